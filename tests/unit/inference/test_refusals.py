"""What error answers mean, whatever shape they come in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hotshotd.errors import InferenceError, InferenceGone, InferenceRejected, InferenceUnavailable
from hotshotd.inference.refusals import MAX_CAUSE, Problem, make_error, read_cause, read_problem, read_problem_inside

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def read(status: int, body: Any = "", *, headers: dict[str, str] | None = None, sent: tuple[str, ...] = ()) -> Problem:
    return read_problem(status, body, headers=headers or {}, secrets=("sk-very-secret",), sent=sent, now=NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, InferenceGone),
        (302, InferenceUnavailable),
        (307, InferenceUnavailable),
        (308, InferenceGone),
        (400, InferenceRejected),
        (401, InferenceGone),
        (402, InferenceGone),
        (403, InferenceGone),
        (404, InferenceGone),
        (405, InferenceGone),
        (406, InferenceRejected),
        (408, InferenceUnavailable),
        (409, InferenceUnavailable),
        (410, InferenceGone),
        (413, InferenceRejected),
        (422, InferenceRejected),
        (424, InferenceUnavailable),
        (425, InferenceUnavailable),
        (429, InferenceUnavailable),
        (451, InferenceRejected),
        (500, InferenceUnavailable),
        (503, InferenceUnavailable),
        (504, InferenceUnavailable),
        (520, InferenceUnavailable),
        (529, InferenceUnavailable),
    ],
)
def test_make_error__has_a_kind_for_each_status(status: int, kind: type[InferenceError]) -> None:
    """Each status of the table becomes its exception, and carries the service's name."""
    error = make_error(read(status), where="hf (host)")
    assert type(error) is kind
    assert str(error).startswith(f"hf (host) answered {status}")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"error": "Model X is loading"}, "Model X is loading"),
        ({"error": {"message": "bad model", "type": "t", "code": None}}, "bad model"),
        ([{"error": {"code": 400, "message": "Invalid JSON", "status": "INVALID_ARGUMENT"}}], "Invalid JSON"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "extra", "input": "the prompt"}]}, "body.top_k: extra"),
        ({"title": "Forbidden", "detail": "No access"}, "Forbidden: No access"),
        ({"title": "Forbidden"}, "Forbidden"),
        ({"success": False, "errors": [{"code": 7000, "message": "No route"}]}, "No route"),
        ({"message": "nope"}, "nope"),
        (["first", "second"], "first"),
        ("plain text", "plain text"),
        (None, ""),
        ({"error": {"code": 5}}, ""),
        ({"error": []}, ""),
    ],
)
def test_read_cause__knows_each_shape(body: Any, cause: str) -> None:
    """A sentence is found in every error body that a known service sends."""
    assert read_cause(body) == cause


def test_read_problem__cuts_a_page_of_html_to_its_words() -> None:
    """A proxy's HTML page is one short line without tags."""
    problem = read(502, "<html><head><style>x{}</style><title>502 Bad\nGateway</title></head>" + "<p>word</p>" * 500)
    assert problem.cause.startswith("502 Bad Gateway word")
    assert len(problem.cause) == MAX_CAUSE


def test_read_problem__never_quotes_key_or_prompt() -> None:
    """An echo of what was sent is cut out of the quotation, also where its line breaks are escaped."""
    prompt = "Once upon a midnight dreary,\nwhile I pondered, weak and weary"
    body = {"error": f"bad input {prompt!r} with key sk-very-secret!"}
    assert read(400, body, sent=(prompt,)).cause == "bad input '[…]' with key ***!"


def test_read_problem__keeps_short_words_that_were_sent_by_chance() -> None:
    """A prompt of one common word does not tear the message."""
    assert read(400, "the word is not ok", sent=("is",)).cause == "the word is not ok"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (413, "whatever"),
        (400, "This model's maximum context length is 2048 tokens. However, you requested 3000"),
        (400, "context_length_exceeded"),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1024. Given: 900 and 250"),
        (400, "Comment text too long."),
        (400, "the request exceeds the available context size"),
        (400, "Please reduce the length of the messages or completion."),
    ],
)
def test_make_error__tells_a_text_that_is_too_long(status: int, text: str) -> None:
    """A refusal for length is marked, so that the caller can shorten."""
    error = make_error(read(status, {"error": {"message": text}}), where="x")
    assert isinstance(error, InferenceRejected)
    assert error.too_long


@pytest.mark.parametrize(
    "text",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "top_k: Extra inputs are not permitted",
        "temperature must be <= 2",
        "max_tokens must be <= 8192",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    ],
)
def test_make_error__does_not_take_a_parameter_for_length(text: str) -> None:
    """A refused parameter is no reason to shorten the prompt."""
    error = make_error(read(400, {"error": {"message": text}}), where="x")
    assert isinstance(error, InferenceRejected)
    assert not error.too_long


def test_read_problem__takes_an_empty_purse_for_one() -> None:
    """OpenAI answers 429 without credit: that does not pass by waiting."""
    problem = read(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    assert isinstance(make_error(problem, where="openai"), InferenceGone)


@pytest.mark.parametrize("text", ["Your credit balance is too low", "Insufficient Balance", "insufficient_quota"])
def test_read_problem__takes_a_400_about_money_for_one(text: str) -> None:
    """No other prompt will pass until somebody pays."""
    problem = read(400, {"error": {"message": text}})
    assert isinstance(make_error(problem, where="x"), InferenceGone)


def test_read_problem__does_not_take_a_full_day_for_an_empty_purse() -> None:
    """Gemini's 429 speaks of plan and billing and passes all the same."""
    problem = read(429, {"error": {"message": "You exceeded your current quota, please check your plan and billing"}})
    assert isinstance(make_error(problem, where="gemini"), InferenceUnavailable)


@pytest.mark.parametrize(
    "words", ["My API key not valid, he said", "the model org/big-7b is not found", "credit balance, reduce the length"]
)
def test_read_problem__what_somebody_wrote_is_not_the_services_word(words: str) -> None:
    """A quoted comment can neither shut a service for all bots nor make a prompt too long."""
    prompt = f"A comment by somebody: {words}! What do you say?"
    problem = read(400, {"error": f"unsafe input: {prompt}"}, sent=(prompt,))
    error = make_error(problem, where="x")
    assert isinstance(error, InferenceRejected)
    assert not error.too_long
    assert not problem.says_model_gone("org/big-7b")


def test_read_problem__takes_a_bad_key_for_one() -> None:
    """Google answers 400 to a key that is not valid: no other prompt will pass."""
    google = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}
    assert isinstance(make_error(read(400, google), where="gemini"), InferenceGone)
    reason = {"error": {"code": 400, "message": "Bad", "details": [{"reason": "API_KEY_INVALID"}]}}
    assert isinstance(make_error(read(400, reason), where="gemini"), InferenceGone)


@pytest.mark.parametrize(
    ("text", "is_gone"),
    [
        ("The requested model 'org/Big-7B' is not supported by any provider you have enabled.", True),
        ("The model `org/big-7b` has been decommissioned", True),
        ("org/big-7b is not a valid model ID", True),
        ("org/big-7b: temperature must be positive", False),
        ("The requested model is not supported", False),
    ],
)
def test_says_model_gone__wants_the_name_and_the_verdict(text: str, is_gone: bool) -> None:
    """A 400 counts against a model only if it names it and says that it is not served."""
    assert read(400, {"error": text}).says_model_gone("org/Big-7B") is is_gone


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"choices": [{"message": {"content": "hi"}}]}, None),
        ({"choices": [], "error": None}, None),
        ([{"generated_text": "x"}], None),
        ({"error": {"code": 429, "message": "slow"}}, 429),
        ({"error": {"code": "402", "message": "pay"}}, 402),
        ({"error": {"code": "odd"}}, 500),
        ({"error": {"code": True}}, 500),
        ({"error": "x"}, 500),
        ({"choices": [{"error": {"code": 502, "message": "upstream"}}]}, 502),
        ([{"error": {"code": 403, "message": "no"}}], 403),
        ({"success": False, "errors": [{"code": 7000, "message": "no route"}], "result": None}, 500),
        ({"success": False}, 500),
        ({"success": True, "errors": [], "result": {}}, None),
    ],
)
def test_read_problem_inside__finds_the_error_in_a_200(body: Any, status: int | None) -> None:
    """OpenRouter hides errors in a 200; their own code counts, a failure of unknown kind may pass."""
    assert read_problem_inside(body) == status


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"retry-after": "7"}, "", 7),
        (429, {"retry-after": "99999"}, "", 3600),
        (503, {"retry-after": "600"}, "", 60),
        (429, {"retry-after": "Tue, 24 Nov 2026 12:01:30 GMT"}, "", 90),
        (429, {"retry-after": "Tue, 24 Nov 2020 12:01:30 GMT"}, "", 0),
        (429, {"retry-after": "soon"}, "", None),
        (429, {"x-ratelimit-reset-requests": "2m59.5s", "x-ratelimit-remaining-requests": "0"}, "", 179.5),
        (
            429,
            {
                "x-ratelimit-reset-requests": "24h",
                "x-ratelimit-remaining-requests": "900",
                "x-ratelimit-reset-tokens": "7.66s",
                "x-ratelimit-remaining-tokens": "0",
            },
            "",
            7.66,
        ),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp() * 1000) + 5000)}, "", 5),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 5)}, "", 5),
        (429, {"ratelimit": '"api";r=0;t=55'}, "", 55),
        (429, {}, [{"error": {"message": "Please retry in 28.5s."}}], 28.5),
        (429, {}, {"error": {"message": "Please try again in 2m59.56s. Visit"}}, 179.56),
        (429, {}, "Rate limit: retry after 5 minutes", 300),
        (429, {}, "try again in 59m3s", 3543),
        (429, {}, "try again in 500ms", 0.5),
        (429, {}, "try again in 500 milliseconds", 0.5),
        (429, {}, "please wait 12 seconds", 12),
        (429, {}, "please wait for 12 ducks", 12),
        (429, {}, "we await 5s more of silence", None),
        (429, {}, "try again in 2 days", 3600),
        (429, {}, [{"error": {"details": [{"@type": "t"}, {"@type": "RetryInfo", "retryDelay": "28.9s"}]}}], 28.9),
        (
            429,
            {},
            {"error": {"metadata": {"headers": {"X-RateLimit-Reset": str(int(NOW.timestamp() * 1000) + 9000)}}}},
            9,
        ),
        (429, {}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": 5}}}}, None),
        (503, {}, {"error": "Model is loading", "estimated_time": 20.0}, 20),
        (503, {}, {"error": "Model is loading", "estimated_time": 900.0}, 60),
        (503, {}, {"error": "Model is loading", "estimated_time": True}, None),
        (500, {"x-ratelimit-reset": "5"}, "", None),
        (500, {}, "", None),
    ],
)
def test_read_problem__reads_the_wait(status: int, headers: dict[str, str], body: Any, seconds: float | None) -> None:
    """Each way of asking for patience is understood, and capped."""
    error = make_error(read(status, body, headers=headers), where="x")
    assert isinstance(error, InferenceUnavailable)
    assert error.retry_after == (None if seconds is None else pytest.approx(seconds, abs=0.01))

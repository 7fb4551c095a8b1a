"""Statuses and error types become the port's errors by table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hotshotd.errors import AuthDead, Down, Refused, Retry
from hotshotd.reddit.outcome import (
    DEFAULT_WAIT_SECONDS,
    error_of_answer,
    error_of_token,
    error_of_token_status,
    parse_date,
    parse_retry_after,
    parse_wait_text,
    refusal_of_status,
)


def _answer(*errors: list[str], **more: Any) -> dict[str, Any]:
    return {"json": {"errors": list(errors), **more}}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Take a break for 9 minutes before trying again.", 540),
        ("try again in 1 minute.", 60),
        ("Take a break for 14 seconds", 14),
        ("for 500 milliseconds", 0.5),
        ("for 2 hours", 7200),
        ("in 1 day", 86_400),
        ("3 \u0441", None),
        ("später", None),
        ("", None),
    ],
)
def test_wait_text__gives_seconds(text: str, seconds: float | None) -> None:
    """Every unit that Reddit writes; another language gives None."""
    assert parse_wait_text(text) == seconds


def test_ratelimit__prefers_the_number() -> None:
    """`json.ratelimit` is exact and in no language."""
    error = error_of_answer(_answer(["RATELIMIT", "Take a break for 9 minutes", "ratelimit"], ratelimit=533.2))
    assert isinstance(error, Retry)
    assert error.after == 533.2


@pytest.mark.parametrize("odd", [None, "x", -5, float("nan"), True, [], 0])
def test_ratelimit__odd_number_falls_back_on_the_text(odd: object) -> None:
    """A number that is none is not believed."""
    error = error_of_answer(_answer(["RATELIMIT", "Take a break for 9 minutes", "ratelimit"], ratelimit=odd))
    assert isinstance(error, Retry)
    assert error.after == 540


def test_ratelimit__in_another_language_waits_the_default() -> None:
    """Nothing readable: one minute."""
    error = error_of_answer(_answer(["RATELIMIT", "\u0417 \u0441", "ratelimit"]))
    assert isinstance(error, Retry)
    assert error.after == DEFAULT_WAIT_SECONDS


def test_ratelimit__wins_over_other_errors() -> None:
    """What else is wrong may be gone after the wait."""
    error = error_of_answer(_answer(["NO_TEXT", "", "text"], ["RATELIMIT", "5 seconds", "ratelimit"]))
    assert isinstance(error, Retry)
    assert error.after == 5


@pytest.mark.parametrize(
    "error_type",
    [
        "THREAD_LOCKED", "DELETED_COMMENT", "DELETED_LINK", "NO_TEXT", "TOO_LONG", "BAD_FLAIR_TEMPLATE_ID",
        "SUBREDDIT_NOTALLOWED", "SUBREDDIT_NOEXIST", "THING_NOT_FOUND", "USER_BLOCKED", "SUBMIT_VALIDATION_MIN_LENGTH",
        "SOMETHING_NEW_IN_2027",
    ],
)  # fmt: skip
def test_api_error__is_refused_with_a_stable_word(error_type: str) -> None:
    """The word is the type in lower case; only a rate limit passes by itself."""
    error = error_of_answer(_answer([error_type, "message", "field"]))
    assert isinstance(error, Refused)
    assert error.why == error_type.lower()
    assert not error.forbidden


@pytest.mark.parametrize("errors", [[[]], ["x y"], [[None, None]], [3], {"a": 1}, "oops"])
def test_api_error__of_odd_shape_is_still_a_refusal(errors: Any) -> None:
    """Reddit said that something is wrong: nothing was written."""
    error = error_of_answer({"json": {"errors": errors}})
    assert isinstance(error, Refused)
    assert error.why == "refused"


def test_api_error__banned_is_forbidden() -> None:
    """A ban told in JSON counts like a 403."""
    error = error_of_answer(_answer(["BANNED_FROM_SUBREDDIT", "you are banned", "sr"]))
    assert isinstance(error, Refused)
    assert error.forbidden


@pytest.mark.parametrize("answer", [None, "", {}, [], {"json": {"errors": []}}, {"json": None}])
def test_answer__without_errors_has_none(answer: object) -> None:
    """No list of errors, no error."""
    assert error_of_answer(answer) is None


def test_status__validation_error_keeps_its_word() -> None:
    """A 400 with a reason is an API error in another dress."""
    body = {"fields": ["title"], "explanation": "too short", "reason": "SUBMIT_VALIDATION_MIN_LENGTH", "message": "Bad"}
    error = refusal_of_status(400, body=body, path="/api/submit/")
    assert isinstance(error, Refused)
    assert error.why == "submit_validation_min_length"


@pytest.mark.parametrize(
    ("status", "why", "forbidden"),
    [(403, "forbidden", True), (404, "not_found", False), (413, "too_long", False), (418, "http_418", False)],
)
def test_status__has_a_word(status: int, why: str, forbidden: bool) -> None:
    """Each status has a stable word; 403 says that the place refuses the account."""
    error = refusal_of_status(status, body=None, path="/api/comment/")
    assert isinstance(error, Refused)
    assert (error.why, error.forbidden) == (why, forbidden)


def test_status__private_reason_stands_in_the_message() -> None:
    """Why a place is closed is for the operator's eyes."""
    assert "private" in str(refusal_of_status(403, body={"reason": "private"}, path="/r/x/new"))


def test_status__redirect_means_not_there() -> None:
    """Unknown subreddits lead to the search page; its query is not repeated."""
    error = refusal_of_status(302, body=None, path="/r/x/new", location="https://www.reddit.com/subreddits/search?q=x")
    assert isinstance(error, Refused)
    assert error.why == "redirected"
    assert "?q" not in str(error)


def test_retry_after__takes_seconds_dates_and_the_window(clock: Any) -> None:
    """Retry-After as a number, as a date; else the rate window; else a minute; always in sane limits."""
    cases = {"7": 7.0, "Tue, 24 Nov 2026 08:00:30 GMT": 30.0, "nonsense": 60.0, "nan": 60.0, "-4": 1.0, "1e9": 86_400.0}
    for value, seconds in cases.items():
        assert parse_retry_after({"retry-after": value}, now=clock.now()) == seconds
    assert parse_retry_after({"x-ratelimit-reset": "42"}, now=clock.now()) == 42
    assert parse_retry_after({}, now=clock.now()) == DEFAULT_WAIT_SECONDS


@pytest.mark.parametrize(
    ("status", "kind"), [(400, AuthDead), (401, AuthDead), (403, Down), (429, Retry), (500, Down), (302, Down)]
)
def test_token_status__only_refused_credentials_are_final(status: int, kind: type, clock: Any) -> None:
    """What may pass by itself must not stop a bot."""
    assert type(error_of_token_status(status, body=None, headers={}, now=clock.now())) is kind


def test_token__invalid_grant_says_what_to_do() -> None:
    """The commonest fault names its cure, in both dresses."""
    assert "hotshotctl auth" in str(error_of_token("invalid_grant"))


@pytest.mark.parametrize(
    ("header", "hour"),
    [
        ("Tue, 24 Nov 2026 08:00:00 GMT", 8),
        ("Tue, 24 Nov 2026 08:00:00 -0000", 8),
        ("Tue, 24 Nov 2026 08:00:00 +0200", 6),
        ("Tue, 24 Nov 2026 28:00:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_date__is_read_or_nothing_is(header: str | None, hour: int | None) -> None:
    """A missing or unreadable header tells no time."""
    said = parse_date({} if header is None else {"date": header})
    assert said == (None if hour is None else datetime(2026, 11, 24, hour, tzinfo=UTC))

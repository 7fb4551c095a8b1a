"""Every quirk of the services' real servers, shown by the sandbox's: what our clients make of it, and remember."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from clients import KEY, PROMPT_TEXT, Diary, assert_discreet, make_session
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd.admission import Result
from hotshotd.errors import (
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
)
from hotshotd.inference import parameters
from hotshotd.inference.base import Endpoint, Message, Prompt, Speaker, TextModel
from hotshotd.inference.build import build_text_model
from hotshotd.inference.http import ServiceSession
from hotshotd.sandbox.http import Handler, HttpServer, Request, Response, json_response
from hotshotd.sandbox.oddities import THOUGHT
from hotshotd.sandbox.quirks import QUIRKS, SERVERS
from hotshotd.sandbox.services import Services

MODEL = "org/duck-7b"
SAID = "I counted the ducks twice. There were eleven of them."
MESSAGES = (Message(Speaker.SYSTEM, "You are a duck."), Message(Speaker.USER, PROMPT_TEXT))
PROMPT = Prompt(text=PROMPT_TEXT, messages=MESSAGES, stop=("\n\n",))
#: Much more than GPT-2's window.
LONG_PROMPT = Prompt(text="One more duck came by. " * 200)

#: Everything that some server or other refuses.
ALL = {
    "max_new_tokens": 60,
    "temperature": 0.9,
    "top_p": 0.9,
    "top_k": 40,
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "seed": 7,
    "num_return_sequences": 3,
    "logit_bias": {},
    "do_sample": True,
}


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def session(diary: Diary) -> Iterator[ServiceSession]:
    session = make_session(diary)
    yield session
    session.close()


@pytest.fixture
def services() -> Iterator[Services]:
    with Services(keys={KEY: "duck"}) as services:
        services.script(MODEL, [SAID] * 8)
        yield services
    assert not any(server.failures for server in services.servers)


def make_model(session: ServiceSession, services: Services, api: str = "chat", **wanted: Any) -> TextModel:
    url = services.hf_url if api == "hf" else services.openai_url
    endpoint = Endpoint(name="own", url=wanted.pop("url", url), key=KEY)
    return build_text_model(api=api, endpoint=endpoint, model=MODEL, parameters=wanted, session=session)


def pick_server(services: Services, api: str) -> HttpServer:
    return services.hf if api == "hf" else services.openai


@dataclass(frozen=True)
class Tolerated:
    """A quirk that ends in a text. `sent` are the requests of the first and of the second answer.

    `forgone` are the parameters that the second one goes without, of those in `wanted`.
    """

    quirk: str
    wanted: dict[str, Any] = field(default_factory=dict)
    sent: tuple[int, int] = (1, 1)
    forgone: set[str] = field(default_factory=set)
    api: str = "chat"
    text: str = SAID


TOLERATED = (
    Tolerated("refuses-n", {"n": 2, "temperature": 0.5}, (2, 1), {"n"}),
    Tolerated("refuses-logprobs", {"logprobs": True, "temperature": 0.5}, (2, 1), {"logprobs"}),
    Tolerated("refuses-names", {"temperature": 0.5}),
    Tolerated("refuses-penalties", {"frequency_penalty": 0.5, "top_p": 0.9}, (2, 1), {"frequency_penalty"}),
    Tolerated("refuses-top-k", {"top_k": 40, "top_p": 0.9}, (2, 1), {"top_k"}),
    Tolerated("refuses-extra-keys", {"top_k": 40, "seed": 7, "top_p": 0.9}, (2, 1), {"top_k", "seed"}),
    Tolerated(
        "refuses-unexpected-keys",
        {"top_k": 40, "repetition_penalty": 1.2, "top_p": 0.9},
        (2, 1),
        {"top_k", "repetition_penalty"},
        api="completions",
    ),
    Tolerated("refuses-stop", {"top_p": 0.9}, (2, 1), {"stop"}, api="completions"),
    Tolerated("refuses-everything", {"top_p": 0.9, "top_k": 4}, (2, 1), {"top_p", "top_k"}),
    Tolerated("refuses-array-content"),
    Tolerated("refuses-effort-none", {"reasoning_effort": "none"}, (2, 1), {"reasoning_effort"}),
    Tolerated("refuses-quiet", {"reasoning": {"effort": "none"}}, (2, 1), {"reasoning"}),
    Tolerated("wants-max-completion-tokens", {"temperature": 0.5, "max_new_tokens": 60}, (2, 1), {"max_tokens"}),
    Tolerated("wants-max-completion-tokens", {}, (2, 1), {"max_tokens"}),
    Tolerated("ignores-n", {"n": 3}),
    Tolerated("gives-few-tokens"),
    Tolerated("content-as-list"),
    Tolerated("thinks-aside"),
    Tolerated("thinks-first"),
    Tolerated("thinks-first", api="completions"),
    Tolerated("ends-a-thought"),
    Tolerated("thinks-long", {"max_new_tokens": 60}, (2, 1)),
    Tolerated("thinks-long-aside", {"max_new_tokens": 60}, (2, 1)),
    Tolerated("breaks-off", text=SAID[: len(SAID) // 2].strip()),
)


@pytest.mark.parametrize("case", TOLERATED, ids=lambda case: f"{case.quirk}-{case.api}")
def test_quirk__ends_in_a_text(case: Tolerated, services: Services, session: ServiceSession, diary: Diary) -> None:
    """The text comes, in one request or two; what was learnt spares the second one next time."""
    services.show(case.quirk)
    model = make_model(session, services, case.api, **case.wanted)
    asked = 0
    for sent in case.sent:
        found = model.generate(PROMPT)
        assert found.texts == (case.text,)
        assert THOUGHT not in found.texts[0]
        asked += sent
        assert len(diary.asks) == asked
        # Each request was charged, and the bill says so.
        assert found.cost == sum(ask.chars for ask in diary.asks[-sent:])
    assert diary.results.count(Result.OK) == 2
    last = pick_server(services, case.api).log.requests()[-1].json()
    wanted = {"stop", *case.wanted} if case.api == "completions" else {*case.wanted}
    wanted = {parameters.NAMES[case.api].get(name, name) for name in wanted} - case.forgone
    assert wanted <= set(last) | {"max_tokens"}
    assert not case.forgone & set(last)


@pytest.mark.parametrize("quirk", ["refuses-n", "ignores-n"])
def test_quirk__fewer_texts_than_wanted_are_not_asked_for_again(
    quirk: str, services: Services, session: ServiceSession, diary: Diary
) -> None:
    """One text is taken where three were wanted: each more would cost the whole prompt."""
    services.show(quirk)
    model = make_model(session, services, num_return_sequences=3)
    assert len(model.generate(PROMPT).texts) == 1
    assert len(model.generate(PROMPT).texts) == 1
    assert len(diary.asks) == (3 if quirk == "refuses-n" else 2)


@dataclass(frozen=True)
class Refused:
    """A quirk that ends in an error. `sent` are the requests of one call."""

    quirk: str
    error: type[InferenceError]
    result: Result
    words: str
    wait_seconds: float | None = None
    sent: int = 1
    api: str = "chat"
    is_gone: bool = False


REFUSED = (
    Refused("errors-as-array", InferenceGone, Result.GONE, "does not exist", is_gone=True),
    Refused("errors-inside-200", InferenceGone, Result.GONE, "answered 404; The model", is_gone=True),
    Refused("errors-as-numbered-list", InferenceGone, Result.GONE, "does not exist", is_gone=True),
    Refused("errors-as-title", InferenceGone, Result.GONE, "Error: The model", is_gone=True),
    Refused("errors-as-detail", InferenceGone, Result.GONE, "does not exist", is_gone=True),
    Refused("errors-as-string", InferenceGone, Result.GONE, "is not supported by provider", api="hf", is_gone=True),
    Refused("errors-as-text", InferenceGone, Result.GONE, "is not supported by provider", api="hf", is_gone=True),
    Refused("errors-quote-all", InferenceGone, Result.GONE, r"does not exist.*\[…\].*\*\*\*", is_gone=True),
    Refused("waits-in-text", InferenceUnavailable, Result.FAILED, "answered 429", 28.0),
    Refused("waits-in-headers", InferenceUnavailable, Result.FAILED, "answered 429", 179.56),
    Refused("waits-in-ratelimit", InferenceUnavailable, Result.FAILED, "answered 429", 55.0),
    Refused("loads-first", InferenceUnavailable, Result.FAILED, "currently loading", 60.0, api="hf"),
    Refused("wants-credit", InferenceGone, Result.GONE, "out of credit"),
    Refused("empty-purse-as-429", InferenceGone, Result.GONE, "out of credit"),
    Refused("bad-key-as-400", InferenceGone, Result.GONE, "check its key"),
    Refused("crashes", InferenceUnavailable, Result.FAILED, "answered 500; Internal Server Error"),
    Refused("content-null", InferenceNonsense, Result.FAILED, "without any text", sent=2),
    Refused("thinks-instead", InferenceNonsense, Result.FAILED, "reasoning only", sent=2),
    Refused("declines", InferenceRejected, Result.REJECTED, "declined to answer"),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.quirk)
def test_quirk__ends_in_an_error(case: Refused, services: Services, session: ServiceSession, diary: Diary) -> None:
    """The error has its kind, its wait and the service's own words, and knows neither key nor prompt."""
    services.show(case.quirk)
    if case.is_gone:
        services.gone.add(MODEL)
    with pytest.raises(case.error, match=case.words) as caught:
        make_model(session, services, case.api).generate(PROMPT)
    assert type(caught.value) is case.error or case.error is InferenceNonsense
    assert diary.results == [case.result] * case.sent
    waits = [account.retry_after for account in diary.accounts]
    assert waits == pytest.approx([case.wait_seconds] * case.sent)
    assert_discreet(caught.value, PROMPT_TEXT, THOUGHT, MESSAGES[0].text)


#: Quirks with a test of their own below.
OWN = {"crashes-past-window"}


def test_quirks__none_is_untried() -> None:
    """A new row of the sandbox's table wants a row here."""
    assert {case.quirk for case in (*TOLERATED, *REFUSED)} | OWN == set(QUIRKS)
    assert {name for names in SERVERS.values() for name in names} <= set(QUIRKS)


def test_transformers_serve__a_crash_at_a_long_prompt_means_too_long(
    services: Services, session: ServiceSession, diary: Diary
) -> None:
    """It is said so once, so that the prompt is shortened instead of sent again; a shorter one is served."""
    services.show("crashes-past-window")
    model = make_model(session, services, "completions")
    with pytest.raises(InferenceRejected, match="max_prompt_chars") as caught:
        model.generate(LONG_PROMPT)
    assert caught.value.too_long
    assert model.generate(PROMPT).texts == (SAID,)
    assert diary.results == [Result.REJECTED, Result.OK]


def test_transformers_serve__a_crash_at_a_short_prompt_is_a_crash(services: Services, session: ServiceSession) -> None:
    """Nothing says that shortening would help; nor where a prompt as long was answered before."""
    services.show("crashes")
    with pytest.raises(InferenceUnavailable):
        make_model(session, services, "completions").generate(PROMPT)
    session.habits.open(services.openai_url, model=MODEL).note_accepted(10_000)
    with pytest.raises(InferenceUnavailable):
        make_model(session, services, "completions").generate(LONG_PROMPT)


# --- known servers, by their own names ---


@dataclass(frozen=True)
class Known:
    """A service as the main configuration names it, and the server of the sandbox that stands in for it."""

    server: str
    url: str
    model: str = MODEL
    sent: tuple[int, int] = (1, 1)
    api: str = "chat"


KNOWN = (
    Known("openai", "http://api.openai.com/v1"),
    Known("openai", "http://api.openai.com/v1", "gpt-5-mini"),
    Known("groq", "http://api.groq.com/openai/v1", "qwen/qwen3.8-27b"),
    Known("groq", "http://api.groq.com/openai/v1", "openai/gpt-oss-20b"),
    Known("gemini", "http://generativelanguage.googleapis.com/v1beta/openai", "gemini-3.5-flash-lite"),
    Known("mistral", "http://api.mistral.ai/v1", "mistral-small-latest"),
    # What a model's reasoning is like, no table can know.
    Known("openrouter", "http://openrouter.ai/api/v1", "vendor/thinker:free", sent=(2, 1)),
    Known("cloudflare", "http://api.cloudflare.com/client/v4/accounts/me/ai/v1"),
    Known("nvidia", "http://integrate.api.nvidia.com/v1"),
    Known("zai", "http://api.z.ai/api/paas/v4", "glm-4.7-flash"),
    Known("transformers-serve", "http://own.test:8000/v1", sent=(2, 1), api="completions"),
    Known("ollama", "http://own.test:11434/v1", "qwen3"),
    Known("llama-server", "http://own.test:8080/v1"),
)


def lead_all_to(server: HttpServer, path: str) -> None:
    """Make a server of the sandbox answer under any address as it does under its own."""
    inner = server.middleware
    assert inner is not None

    def lead(request: Request, handle: Handler) -> Response:
        return inner(replace(request, path=path), handle)

    server.middleware = lead


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{case.server}-{case.model}")
def test_known_server__is_asked_right_the_first_time(
    case: Known, services: Services, session: ServiceSession, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever parameters the operator wrote: a row of `ways` spares the refused request."""
    monkeypatch.setenv("HTTP_PROXY", services.openai.base_url)
    services.script(case.model, [SAID] * 4)
    services.show(case.server)
    lead_all_to(services.openai, f"/v1/{'chat/' if case.api == 'chat' else ''}completions")
    endpoint = Endpoint(name=case.server, url=case.url, key=KEY)
    model = build_text_model(api=case.api, endpoint=endpoint, model=case.model, parameters=ALL, session=session)
    assert model.generate(PROMPT).texts[0] == SAID
    assert len(diary.asks) == case.sent[0], services.openai.log.requests()[0].json()
    assert model.generate(PROMPT).texts[0] == SAID
    assert len(diary.asks) == sum(case.sent)


# --- any server ---

NAMES = ("temperature", "top_p", "top_k", "seed", "stop", "presence_penalty")


@settings(max_examples=30, deadline=None)
@given(
    refused=st.sets(st.sampled_from(NAMES)),
    says=st.sampled_from(["all of them", "the first", "nothing", "another"]),
    status=st.sampled_from([400, 422]),
    thinks=st.booleans(),
)
def test_any_server__is_learnt_within_a_few_answers(refused: set[str], says: str, status: int, *, thinks: bool) -> None:
    """Whatever is refused and however it is said: each prompt is answered, and in the end with one request."""

    def answer(request: Request) -> Response:
        body = request.json()
        found = sorted(refused & set(body))
        words = {"all of them": " ".join(found), "the first": found[:1], "nothing": "no", "another": "use temperature"}
        if found:
            return json_response({"error": str(words[says])}, status=status)
        is_short = thinks and body["max_tokens"] < 1000
        return json_response({"choices": [{"message": {"content": "" if is_short else SAID}}]})

    diary = Diary()
    session = make_session(diary)
    with HttpServer("any", answer) as server:
        endpoint = Endpoint(name="own", url=server.base_url, key=KEY)
        model = build_text_model(
            api="chat", endpoint=endpoint, model=MODEL, parameters=dict.fromkeys(NAMES, 1), session=session
        )
        for _ in range(len(NAMES) + 1):
            before = len(diary.asks)
            assert model.generate(PROMPT).texts == (SAID,)
            assert len(diary.asks) - before <= 3
        before = len(diary.asks)
        model.generate(PROMPT)
        assert len(diary.asks) - before == 1
        if says in ("all of them", "the first"):
            # Nothing was given up that the server takes.
            assert set(NAMES) - refused <= set(server.log.requests()[-1].json())
    session.close()

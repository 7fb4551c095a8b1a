"""One small request each: the cheapest that shows whether a service, its key and its model will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hotshotd.admission import read_bill
from hotshotd.config.schema import Api
from hotshotd.doctor.findings import Verdict, fail, ok, warn
from hotshotd.doctor.trouble import judge_error
from hotshotd.errors import HotshotError, InferenceError, InferenceGone, InferenceNonsense, InferenceRejected
from hotshotd.inference.base import (
    Captioner,
    Endpoint,
    Message,
    Moderator,
    Painter,
    Prompt,
    Ranker,
    Speaker,
    TextModel,
    TopicModel,
)
from hotshotd.inference.generation import NoText
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask

#: What is said to models and moderators: short, for it is charged, and harmless.
GREETING = "Hello."
HARMLESS = "I like ducks."
PICTURE = "a duck"
#: The address of no picture: the domain is reserved to be none (RFC 2606).
NOWHERE = "https://doctor.invalid/duck.png"

#: Tokens that a model may answer with; enough for a word from one that reasons a little.
TOKENS = 16

#: Seconds for the answer of a text model: one that is loaded first takes its time.
TEXT_LIMIT_SECONDS = 45.0

#: Names for the length and the number of answers in `parameters`; the doctor has its own.
_COUNTING = frozenset(
    {"max_new_tokens", "max_tokens", "max_completion_tokens", "max_length", "n", "num_return_sequences", "best_of"}
)

#: Models that are named where the one that was asked for is not to be had.
_SUGGESTIONS = 3


def make_prompt() -> Prompt:
    """Give the greeting for base and chat models alike."""
    return Prompt(GREETING, messages=(Message(Speaker.USER, GREETING),))


def shorten_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give a bot's own parameters, for one short answer."""
    kept = {name: value for name, value in parameters.items() if name not in _COUNTING}
    return {**kept, "max_new_tokens": TOKENS}


@dataclass(frozen=True, slots=True)
class Tried:
    """How a request came out, and what raised if something did."""

    verdict: Verdict
    error: HotshotError | None = None


#: Makes one request; raises HotshotError where it brought nothing usable.
Ask = Callable[[ServiceSession], Verdict]


def attempt(ask: Ask, session: ServiceSession) -> Tried:
    """Make a request and judge whatever becomes of it. Blocks up to the time limits."""
    try:
        return Tried(ask(session))
    except HotshotError as exc:
        return Tried(judge_error(exc), exc)


def ask_text(model: TextModel) -> Verdict:
    """Have a model greet back."""
    try:
        candidates = model.generate(make_prompt(), limit_seconds=TEXT_LIMIT_SECONDS)
    except NoText:
        return warn(
            f"answers, and says nothing in {TOKENS} tokens{_cost()}",
            "a model that reasons needs more: give it max_new_tokens in `parameters`",
        )
    return ok(f"answers ({len(candidates.texts[0])} characters received){_cost()}")


def ask_ranker(ranker: Ranker) -> Verdict:
    """Have an answer scored."""
    return ok(f"scores ({ranker.score([GREETING], HARMLESS):.2f}){_cost()}")


def ask_moderator(moderator: Moderator) -> Verdict:
    """Have a harmless text judged."""
    judgement = moderator.judge(HARMLESS)
    if judgement.ok:
        return ok(f"passes a harmless text{_cost()}")
    return fail(
        f'refuses a harmless text, "{HARMLESS}" ({judgement.why}){_cost()}',
        "raise safety.toxicity_threshold, or see what this model is made for",
    )


def ask_topics(model: TopicModel) -> Verdict:
    """Have a harmless text sorted."""
    scores = model.classify(HARMLESS, ["animals", "tax law"])
    best = max(scores, key=lambda label: scores[label])
    if best == "animals":
        return ok(f"knows a duck for an animal ({scores[best]:.2f}){_cost()}")
    return warn(f'takes "{HARMLESS}" for {best}{_cost()}', "name another topic_model")


def ask_painter(painter: Painter) -> Verdict:
    """Have a picture made; this one is paid for."""
    picture = painter.paint(PICTURE)
    return ok(f"paints ({picture.kind}, {len(picture.data) // 1024} KiB){_cost()}")


def list_models(endpoint: Endpoint, session: ServiceSession) -> tuple[str, ...]:
    """Ask an OpenAI-compatible server for the names of its models; free. Raises HotshotError as any request."""
    call = Call(
        endpoint=endpoint,
        path="models",
        payload=None,
        ask=make_ask(endpoint, chars=0),
        method="GET",
        read_seconds=SMALL_SECONDS,
    )
    return session.send(call, parse=_read_models)


def ask_key(endpoint: Endpoint, model: str) -> Ask:
    """Give a free request that shows whether the key is taken, and the model listed."""

    def ask(session: ServiceSession) -> Verdict:
        names = list_models(endpoint, session)
        if not model or not names or _is_listed(model, names):
            return ok(
                f"the key is taken{', and the model is listed' if model and names else ''}; nothing was sent to it"
            )
        return warn(
            f"the key is taken, and {model} is not among the {len(names)} models listed", _suggest(model, names)
        )

    return ask


def ask_unseen(captioner: Captioner) -> Verdict:
    """Ask for a picture that is nowhere: a service looks at the key first, and such a request is free."""
    try:
        captioner.describe(NOWHERE)
    except (InferenceRejected, InferenceNonsense):
        pass  # of the picture, as it should
    return ok("the key is taken; no picture was sent")


def ask_horde(endpoint: Endpoint, model: str, kind: str) -> Ask:
    """Give up to three free requests: whether AI Horde is up, knows the key, and has volunteers for the model.

    `kind` is text or image.
    """

    def ask(session: ServiceSession) -> Verdict:
        _get(endpoint, session, "status/heartbeat")
        if endpoint.key and not _is_known_to_horde(endpoint, session):
            return fail("is up, and does not know this key", "make one at aihorde.net/register, or go without one")
        if not model:
            return ok("is up; nothing was ordered")
        try:
            found = _get(endpoint, session, f"status/models?type={kind}&model_state=all")
        except InferenceError:
            found = None
        entries = found if isinstance(found, list) else []
        counts = {entry["name"]: entry.get("count") for entry in entries if isinstance(entry, dict) and "name" in entry}
        if not counts:
            return ok("is up; it does not say which models are served")
        served = counts.get(model)
        if isinstance(served, int) and served > 0:
            return ok(f"is up, and {served} volunteers serve the model; nothing was ordered")
        return warn(f"is up, and nobody serves {model} now", _suggest(model, tuple(counts)))

    return ask


def _is_known_to_horde(endpoint: Endpoint, session: ServiceSession) -> bool:
    try:
        _get(endpoint, session, "find_user")
    except InferenceGone:
        return False
    return True


def with_suggestion(tried: Tried, endpoint: Endpoint, api: str, model: str, session: ServiceSession) -> Tried:
    """Add to the verdict on a model that is not served what the server has instead, where it can be asked."""
    is_unknown = isinstance(tried.error, InferenceGone) and tried.error.status in (400, 404)
    if not is_unknown or api not in (Api.CHAT, Api.COMPLETIONS):
        return tried
    try:
        names = list_models(endpoint, session)
    except HotshotError:
        return tried
    return Tried(Verdict(tried.verdict.mark, tried.verdict.detail, _suggest(model, names)), tried.error)


def _suggest(model: str, names: tuple[str, ...]) -> str:
    close = get_close_matches(model, names, n=_SUGGESTIONS, cutoff=0.3) or names[:_SUGGESTIONS]
    return f"name one that it has, for example {', '.join(close)}" if close else "name a model that it has"


def _is_listed(model: str, names: tuple[str, ...]) -> bool:
    # Gemini lists models/NAME; Ollama NAME:latest.
    return any(name in (model, f"models/{model}", f"{model}:latest") for name in names)


def _read_models(answer: Answer) -> tuple[str, ...]:
    body = answer.json
    entries = body.get("data") if isinstance(body, dict) else body
    if not isinstance(entries, list):
        raise InferenceNonsense(f"{answer.where} answered /models with no list")
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return tuple(name for name in ids if isinstance(name, str))


def _get(endpoint: Endpoint, session: ServiceSession, path: str) -> Any:
    call = Call(
        endpoint=endpoint,
        path=path,
        payload=None,
        ask=make_ask(endpoint, chars=0),
        method="GET",
        read_seconds=SMALL_SECONDS,
        key_header="apikey",
    )
    return session.send(call, parse=lambda answer: answer.json)


def _cost() -> str:
    """Say what is on the bill of this probe."""
    chars = read_bill()
    return f"; cost {chars} characters" if chars else "; free"

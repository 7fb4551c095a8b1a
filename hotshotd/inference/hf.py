"""Hugging Face's `{"inputs": ...}` tasks: text generation, and text classification as a ranker (DialogRPT)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hotshotd._types import Chars
from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint, Prompt
from hotshotd.inference.generation import Reading, remove_thought
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.parameters import Options

#: What DialogRPT was trained to see between turns.
END_OF_TURN = "<|endoftext|>"

#: DialogRPT's window, and an estimate of what a token is in English; it errs towards dropping more.
WINDOW_TOKENS = 1024
CHARS_PER_TOKEN = 3.5


def make_path(model: str) -> str:
    """Give the path of a model below an endpoint's address; "" for an endpoint that has but one."""
    return quote(model, safe="/:@")


class HfWire:
    """`{"inputs", "parameters"}` out, `generated_text` back, alone or in a list."""

    name = "hf"
    thinks = False

    def make_path(self, model: str) -> str:
        return make_path(model)

    def make_defaults(self, prompt: Prompt) -> Mapping[str, Any]:  # noqa: ARG002 - other formats need it
        # No `stop`: the classic pipelines refuse it, and the cleaner cuts there anyway.
        return {}

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]:  # noqa: ARG002
        full = {} if options.is_bare else {"return_full_text": False}
        return {"inputs": prompt.text, "parameters": {**full, **options.merge()}}

    def list_texts(self, prompt: Prompt) -> tuple[str, ...]:
        return (prompt.text,)

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:
        raw = [_read_generated(entry, where=where) for entry in _flatten(body)]
        if not raw:
            raise InferenceNonsense(f"{where} answered with an empty list")
        texts = (remove_thought(_strip_prompt(text, prompt.text)) for text in raw)
        return Reading(
            texts=tuple(text for text in texts if text.strip()), received_chars=sum(len(text) for text in raw)
        )


def _flatten(body: Any) -> list[Any]:
    """Give the entries of an answer, whether it is one, a list, or a list in a list."""
    if not isinstance(body, list):
        return [body]
    return [entry for part in body for entry in (part if isinstance(part, list) else [part])]


def _read_generated(entry: Any, *, where: str) -> str:
    text = entry.get("generated_text") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        raise InferenceNonsense(f"{where} answered without `generated_text`; check `api`")
    return text


def _strip_prompt(text: str, prompt: str) -> str:
    """Take the prompt off the front: some servers return it whatever they are told, some trim it first."""
    for front in (prompt, prompt.strip()):
        if front and text.startswith(front):
            return text[len(front) :]
    return text


@dataclass(frozen=True, slots=True)
class HfRanker:
    """DialogRPT by text classification: the score of a reply to a context. Thread-safe."""

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, context: Sequence[str], reply: str) -> Chars:
        return Chars(len(join_turns(context, reply)) if self.endpoint.metered else 0)

    def score(self, context: Sequence[str], reply: str) -> float:
        """Score a reply, as `Ranker` says. One request; nothing is repeated.

        Raises:
            QuotaError: The request may not leave.
            InferenceError: No score came.
        """
        inputs = join_turns(context, reply)
        call = Call(
            endpoint=self.endpoint,
            path=make_path(self.model),
            payload={"inputs": inputs},
            ask=make_ask(self.endpoint, chars=len(inputs), model=self.model),
            read_seconds=self.read_seconds,
            sent_texts=(*context, reply),
        )
        return self.session.post_json(call, parse=_read_score)


def join_turns(context: Sequence[str], reply: str) -> str:
    """Make DialogRPT's input, oldest turn first.

    What does not fit its window is dropped, oldest first, never the reply. A last turn that is too long by
    itself keeps its end.
    """
    reply = _clean_turn(reply)
    left = int(WINDOW_TOKENS * CHARS_PER_TOKEN) - len(reply)
    kept: list[str] = []
    for turn in reversed([_clean_turn(turn) for turn in context]):
        left -= len(turn) + len(END_OF_TURN)
        if left < 0:
            tail = turn[-(left + len(turn)) :] if left + len(turn) > 0 and not kept else ""
            kept += [tail.strip()] if tail.strip() else []
            break
        kept += [turn] if turn else []
    return END_OF_TURN.join([*reversed(kept), reply])


def _clean_turn(text: str) -> str:
    # A turn that holds the mark would speak for two.
    return text.replace(END_OF_TURN, " ").strip()


def _read_score(answer: Answer) -> float:
    entries = _flatten(answer.json)
    if len(entries) != 1 or not isinstance(entries[0], dict):
        raise InferenceNonsense(f"{answer.where} answered with {len(entries)} labels where a ranker has one")
    return read_number(entries[0].get("score"), what="score", where=answer.where)


def read_number(value: Any, *, what: str, where: str) -> float:
    """Give a probability.

    Raises:
        InferenceNonsense: If it is no finite number from 0 to 1.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= 1:
        raise InferenceNonsense(f"{where} answered with no {what} between 0 and 1")
    return float(value)

"""Questions to a chat model whose answer is a verdict, and reading such answers without guessing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from hotshotd._types import Chars
from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint, Message, Prompt, Speaker
from hotshotd.inference.chat import ChatWire
from hotshotd.inference.generation import HttpTextModel, Reading
from hotshotd.inference.http import SMALL_SECONDS, ServiceSession
from hotshotd.log import excerpt

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: The longest quotation of an answer that was not understood, in characters.
MAX_QUOTE = 40

#: What stands around texts of others in a question. Texts can't hold it.
OPEN, CLOSE = "<<<", ">>>"

_RUNS = re.compile(r"<{3,}|>{3,}")
_FENCE = re.compile(r"\A```[A-Za-z]*\s*\n?(.*?)\n?```\Z", re.DOTALL)


class Verdict(Protocol[T_co]):
    """Reads a model's texts; `where` names the model for the operator."""

    def __call__(self, texts: Sequence[str], where: str) -> T_co:
        """Give the verdict.

        Raises:
            InferenceNonsense: If there is none.
        """
        ...


class VerdictWire(ChatWire):
    """Chat, whose answer counts only if it is a verdict: to breaker and ledger anything else is a failure."""

    def __init__(self, read_verdict: Verdict[object]) -> None:
        self._read_verdict = read_verdict

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:
        reading = super().read(body, prompt=prompt, where=where)
        if reading.texts:
            # No text at all is another matter: the model may have used up its tokens on thinking.
            self._read_verdict(reading.texts, where)
        return reading


@dataclass(frozen=True, slots=True)
class Asker(Generic[T]):
    """A chat model that answers in a few words, always the same where the server lets it. Thread-safe.

    A model that must think first gets more tokens by itself.
    """

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    read_verdict: Verdict[T]
    max_tokens: int
    read_seconds: float = SMALL_SECONDS

    def cost(self, prompt: Prompt) -> Chars:
        """Give what `ask` would charge; 0 where the server is not metered."""
        return self._client.cost(prompt)

    def ask(self, prompt: Prompt) -> T:
        """Ask for a verdict: one request, or a few at a model whose habits are not yet known.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: There is no verdict.
        """
        candidates = self._client.generate(prompt)
        return self.read_verdict(candidates.texts, f"{candidates.backend} (model {candidates.model})")

    @property
    def _client(self) -> HttpTextModel:
        return HttpTextModel(
            wire=VerdictWire(self.read_verdict),
            endpoint=self.endpoint,
            model=self.model,
            session=self.session,
            parameters={"max_new_tokens": self.max_tokens, "temperature": 0},
            read_seconds=self.read_seconds,
        )


def make_question(rules: str, question: str) -> Prompt:
    """Make the prompt of a question: `rules` as the system's words, `question` as the user's."""
    messages = (Message(Speaker.SYSTEM, rules), Message(Speaker.USER, question)) if rules else ()
    return Prompt(text=question, messages=messages or (Message(Speaker.USER, question),))


def quote_text(text: str) -> str:
    """Put a text of others between marks that it can't close."""
    inner = _RUNS.sub(lambda run: run[0][:2], text).strip()
    return f"{OPEN}\n{inner}\n{CLOSE}"


def read_only(texts: Sequence[str], where: str) -> str:
    """Give the one text of an answer, without a code fence around the whole.

    Raises:
        InferenceNonsense: If there are several, which may contradict each other.
    """
    if len(texts) != 1:
        raise InferenceNonsense(f"{where} gave {len(texts)} answers to one question")
    text = texts[0].strip()
    fenced = _FENCE.match(text)
    return fenced[1].strip() if fenced else text


def read_object(text: str) -> dict[str, Any] | None:
    """Read a JSON object; None where the text is none, or says something twice."""
    try:
        value = json.loads(text, object_pairs_hook=_refuse_doubles)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is there twice")
    return table


def make_unclear(text: str, where: str, *, wanted: str) -> InferenceNonsense:
    """Make the error for an answer that is no verdict. It quotes a few characters of the model's own words."""
    said = excerpt(" ".join(text.split()), longest=MAX_QUOTE)
    return InferenceNonsense(f"{where} answered {said!r}, which is no {wanted}")

"""The roles of a bot's services, as small interfaces, and the values they exchange.

Implementations block in a worker's thread, are thread-safe, and send every request through
`hotshotd.inference.http`, where it is admitted. All raise `QuotaError` when a request may not leave
and `InferenceError` when it brought nothing usable; both say why in a form made for the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hotshotd._types import Chars, Role


class Speaker(StrEnum):
    """Who says a message, in the words of the chat wire format."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat prompt."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is given: `text` for base models, `messages` for chat models; one builder fills both.

    `stop` lists strings at which a base model should end.
    """

    text: str
    messages: tuple[Message, ...] = ()
    stop: tuple[str, ...] = ()

    def count_text(self) -> Chars:
        return Chars(len(self.text))

    def count_messages(self) -> Chars:
        return Chars(sum(len(message.text) for message in self.messages))

    def describe(self, *, as_messages: bool) -> str:
        """Give the prompt for an operator's eyes, in the rendering that a chat model, or a base model, is sent."""
        if as_messages and self.messages:
            return "\n".join(f"[{message.speaker}] {message.text}" for message in self.messages)
        return self.text


@dataclass(frozen=True, slots=True)
class Candidates:
    """The texts a model offers, in its order, without the prompt, reasoning removed, never empty.

    `cost` is what was charged for them; `backend` and `model` say who made them, `of_messages` that it was shown
    the prompt's messages.
    """

    texts: tuple[str, ...]
    cost: Chars
    backend: str
    model: str
    of_messages: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A moderator's word on a text. `why` names the attribute and score that refused it."""

    ok: bool
    moderator: str
    why: str = ""
    scores: dict[str, float] = field(default_factory=dict)


class TextModel(Protocol):
    """A model that continues a prompt."""

    @property
    def name(self) -> str: ...

    def cost(self, prompt: Prompt) -> Chars:
        """Give what `generate` would charge for the prompt; 0 where the server is not metered."""
        ...

    def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        """Ask once for candidate texts.

        Blocks up to the time limit of a text service (120 s), or `limit_seconds` where that is less.
        """
        ...


class Ranker(Protocol):
    """Something that scores a reply to a context in [0, 1]; higher is better."""

    @property
    def name(self) -> str: ...

    def cost(self, context: Sequence[str], reply: str) -> Chars: ...

    def score(self, context: Sequence[str], reply: str) -> float:
        """Score one reply. `context` is oldest first; what does not fit the model's window is dropped there."""
        ...


class Moderator(Protocol):
    """Something that may refuse a text. An error is never a pass: it raises."""

    @property
    def name(self) -> str: ...

    def judge(self, text: str) -> Judgement: ...


class TopicModel(Protocol):
    """Something that tells what a text is about (zero-shot classification)."""

    @property
    def name(self) -> str: ...

    def cost(self, text: str, labels: Sequence[str]) -> Chars: ...

    def classify(self, text: str, labels: Sequence[str]) -> dict[str, float]:
        """Give each label's score in [0, 1], by label; labels do not compete with each other."""
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in memory. `kind` is the file extension that its first bytes show: png, jpg, gif or webp.

    `url` is where it came from, while that address lives; some services enlarge better from there.
    """

    data: bytes = field(repr=False)
    kind: str
    url: str | None = None


class Captioner(Protocol):
    """Something that says what a picture shows."""

    @property
    def name(self) -> str: ...

    def describe(self, url: str) -> str:
        """Give a caption of one line for the picture at `url`, which is handed to the service (never empty)."""
        ...


class Painter(Protocol):
    """Something that makes a picture of a text."""

    @property
    def name(self) -> str: ...

    def cost(self, prompt: str) -> Chars: ...

    def paint(self, prompt: str) -> Picture:
        """Make one picture. Blocks up to the time limit of a picture service."""
        ...


class Upscaler(Protocol):
    """Something that enlarges a picture."""

    @property
    def name(self) -> str: ...

    def enlarge(self, picture: Picture) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom a service is asked.

    `name` is the configured one; `key` is None where none is needed. A key never stands in a repr.
    """

    name: str
    url: str
    key: str | None = field(default=None, repr=False)
    metered: bool = True
    role: Role = Role.TEXT

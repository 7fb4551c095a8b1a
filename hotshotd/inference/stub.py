"""Services in memory, for tests of what stands above them. Nothing is sent, admitted or charged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hotshotd._types import Chars
from hotshotd.inference.base import Candidates, Judgement, Prompt


@dataclass(slots=True)
class StubTextModel:
    """Says what it was told to: each of `script` once, in turn, then the last one for ever.

    An entry is a text, several texts (candidates), or an exception, which is raised. `prompts` is what it was asked.
    """

    script: Sequence[str | tuple[str, ...] | Exception] = ("A stub's answer.",)
    name: str = "stub:model"
    is_metered: bool = True
    prompts: list[Prompt] = field(default_factory=list)

    def cost(self, prompt: Prompt) -> Chars:
        return prompt.count_text() if self.is_metered else Chars(0)

    def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:  # noqa: ARG002
        """Give the next entry of the script, or raise it."""
        entry = self.script[min(len(self.prompts), len(self.script) - 1)]
        self.prompts.append(prompt)
        if isinstance(entry, Exception):
            raise entry
        texts = (entry,) if isinstance(entry, str) else entry
        backend, _, model = self.name.partition(":")
        return Candidates(texts=texts, cost=self.cost(prompt), backend=backend, model=model)


@dataclass(slots=True)
class StubRanker:
    """Scores by a function of context and reply, or raises. `asked` is what it was asked."""

    rate: Callable[[Sequence[str], str], float] = lambda _context, _reply: 0.5
    error: Exception | None = None
    name: str = "stub:ranker"
    asked: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def cost(self, context: Sequence[str], reply: str) -> Chars:
        return Chars(sum(len(turn) for turn in context) + len(reply))

    def score(self, context: Sequence[str], reply: str) -> float:
        """Give the score, or raise `error`."""
        self.asked.append((tuple(context), reply))
        if self.error is not None:
            raise self.error
        return self.rate(context, reply)


@dataclass(slots=True)
class StubModerator:
    """Refuses texts that hold one of `bad`, or raises. `judged` is what it saw."""

    bad: Iterable[str] = ()
    error: Exception | None = None
    name: str = "stub"
    judged: list[str] = field(default_factory=list)

    def judge(self, text: str) -> Judgement:
        """Judge a text, or raise `error`."""
        self.judged.append(text)
        if self.error is not None:
            raise self.error
        found = next((word for word in self.bad if word in text), "")
        return Judgement(ok=not found, moderator=self.name, why=f"stub {found}" if found else "")

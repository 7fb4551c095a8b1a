"""What moderators share: thresholds, pieces of a long text, and reading scores so that nonsense never passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.errors import ConfigError, InferenceNonsense
from hotshotd.inference.base import Judgement
from hotshotd.inference.hf import read_number

#: The share that counts where none is written.
DEFAULT_THRESHOLD = 0.9

#: A model's name for an attribute → Perspective's: a table of thresholds may use either.
ALIASES: Mapping[str, str] = {
    "toxic": "toxicity",
    "severe_toxic": "severe_toxicity",
    "identity_hate": "identity_attack",
    "obscene": "profanity",
    "sexual_explicit": "sexually_explicit",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """At which score each attribute refuses a text. Names are compared in lower case, and by `ALIASES`.

    One number counts for every attribute. Of a table, the attributes it names count and the others do not; a table
    that names none of a moderator's is written for another moderator, and the default counts for all.
    """

    limits: Mapping[str, float]
    every: float | None = None

    def find_limit(self, attribute: str) -> float | None:
        """Give the score from which `attribute` refuses; None where it does not count."""
        if self.every is not None:
            return self.every
        # The model's own name wins: one that has both counts each by itself.
        return next((self.limits[name] for name in _list_names(attribute) if name in self.limits), None)

    def narrow(self, attributes: Iterable[str]) -> Thresholds:
        """Give the thresholds for a moderator that knows these attributes."""
        known = {name for attribute in attributes for name in _list_names(attribute)}
        if self.every is not None or known & self.limits.keys():
            return self
        return Thresholds(limits={}, every=DEFAULT_THRESHOLD)


def _list_names(attribute: str) -> tuple[str, ...]:
    """Give an attribute's own name and its alias, in lower case."""
    name = attribute.casefold()
    return (name, ALIASES[name]) if name in ALIASES else (name,)


def make_thresholds(wanted: float | Mapping[str, float]) -> Thresholds:
    """Make thresholds of `toxicity_threshold`.

    Raises:
        ConfigError: If one is no number from 0 to 1.
    """
    values = list(wanted.values()) if isinstance(wanted, Mapping) else [wanted]
    # `not (0 <= x <= 1)` is true for NaN as well.
    if any(not 0 <= value <= 1 for value in values):
        raise ConfigError("toxicity_threshold must be a number from 0 to 1, or a table of such numbers")
    if isinstance(wanted, Mapping):
        return Thresholds(limits={name.casefold(): float(value) for name, value in wanted.items()})
    return Thresholds(limits={}, every=float(wanted))


def read_scores(value: Any, *, where: str) -> dict[str, float]:
    """Read a table of scores.

    Raises:
        InferenceNonsense: If it is empty, no table, or one of them is no number from 0 to 1.
    """
    if not isinstance(value, dict) or not value:
        raise InferenceNonsense(f"{where} answered without scores")
    return {name: read_number(score, what=f"score for {name[:40]}", where=where) for name, score in value.items()}


def judge_scores(scores: Mapping[str, float], *, thresholds: Thresholds, moderator: str) -> Judgement:
    """Pass a text, or refuse it for the attribute that is farthest over its threshold."""
    narrowed = thresholds.narrow(scores)
    over = [
        (score - limit, attribute)
        for attribute, score in scores.items()
        if (limit := narrowed.find_limit(attribute)) is not None and score >= limit
    ]
    if not over:
        return Judgement(ok=True, moderator=moderator, scores=dict(scores))
    worst = max(over)[1]
    return Judgement(ok=False, moderator=moderator, why=f"{worst} {scores[worst]:.2f}", scores=dict(scores))


def pass_empty(moderator: str) -> Judgement:
    """Judge a text without a word in it: there is nothing to refuse, and services take it for a mistake."""
    return Judgement(ok=True, moderator=moderator, why="empty")


def split_text(text: str, *, max_bytes: int) -> Iterator[str]:
    """Cut a text into pieces of at most `max_bytes` bytes of UTF-8, at blanks where there are any."""
    while len(text.encode("utf-8", "replace")) > max_bytes:
        head = text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
        blank = max(head.rfind(sign) for sign in (" ", "\n", "\t"))
        cut = blank if blank > 0 else len(head)
        if text[:cut].strip():
            yield text[:cut]
        text = text[cut:].lstrip() if blank > 0 else text[cut:]
    if text.strip():
        yield text

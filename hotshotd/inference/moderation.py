"""What moderators share: thresholds, and reading scores so that nonsense never passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.errors import ConfigError, InferenceNonsense
from hotshotd.inference.base import Judgement
from hotshotd.inference.hf import read_number

#: The share that counts where none is written.
DEFAULT_THRESHOLD = 0.9


@dataclass(frozen=True, slots=True)
class Thresholds:
    """At which score each attribute refuses a text. Names are compared in lower case.

    One number counts for every attribute. Of a table, the attributes it names count and the others do not; a table
    that names none of a moderator's is written for another moderator, and the default counts for all.
    """

    limits: Mapping[str, float]
    every: float | None = None

    def find_limit(self, attribute: str) -> float | None:
        """Give the score from which `attribute` refuses; None where it does not count."""
        return self.every if self.every is not None else self.limits.get(attribute.casefold())

    def narrow(self, attributes: Iterable[str]) -> Thresholds:
        """Give the thresholds for a moderator that knows these attributes."""
        known = {attribute.casefold() for attribute in attributes}
        if self.every is not None or known & self.limits.keys():
            return self
        return Thresholds(limits={}, every=DEFAULT_THRESHOLD)


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

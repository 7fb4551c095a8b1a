"""A classifier of single words (tf-idf, linear, calibrated) in plain Python: the scales of moderator `local`."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: What counts as a word, as scikit-learn has it: two letters or digits at least.
_WORD = re.compile(r"(?u)\b\w\w+\b")

#: How far the arithmetic may be from the package's own.
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Fold:
    """One of several classifiers whose mean is the score. `weights` is by word, in the order of the vocabulary."""

    weights: Sequence[float] = field(repr=False)
    bias: float
    slope: float
    shift: float


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words and what they weigh. Pure and thread-safe; a score takes well under a millisecond."""

    words: Mapping[str, int] = field(repr=False)
    idf: Sequence[float] = field(repr=False)
    folds: tuple[Fold, ...] = field(repr=False)

    def score(self, text: str) -> float:
        """Give the probability that a text is offensive."""
        counts = Counter(self.words[word] for word in _WORD.findall(text.lower()) if word in self.words)
        weighed = {word: count * self.idf[word] for word, count in counts.items()}
        norm = math.sqrt(sum(value * value for value in weighed.values())) or 1.0
        return sum(self._score_fold(fold, weighed, norm) for fold in self.folds) / len(self.folds)

    def _score_fold(self, fold: Fold, weighed: Mapping[int, float], norm: float) -> float:
        distance = sum(fold.weights[word] * value for word, value in weighed.items()) / norm + fold.bias
        # An overflow would be a certain "no": far beyond what any text weighs.
        return 1 / (1 + math.exp(min(700.0, fold.slope * distance + fold.shift)))


def load_lexicon(data: bytes) -> Lexicon:
    """Make a lexicon of what `hotshotd.inference.distill` prints, and check it against the package's own scores.

    Raises:
        ValueError: If it is cut, of another form, or scores otherwise than the package.
    """
    head, _, body = data.partition(b"\n")
    header = json.loads(head)
    if not isinstance(header, dict) or not header.get("folds") or not header.get("probes"):
        raise ValueError("it has no folds, or nothing to check them with")
    words, folds = header["words"], header["folds"]
    rows = _cut_rows(body, count=1 + len(folds), length=len(words))
    lexicon = Lexicon(
        words={word: number for number, word in enumerate(words)},
        idf=rows[0],
        folds=tuple(Fold(weights=row, **fold) for row, fold in zip(rows[1:], folds, strict=True)),
    )
    for text, expected in header["probes"]:
        if not abs(lexicon.score(text) - expected) <= _TOLERANCE:
            raise ValueError("its scores are not those of the package")
    return lexicon


def _cut_rows(body: bytes, *, count: int, length: int) -> list[array[float]]:
    size = 8 * length
    if length == 0 or len(body) != count * size:
        raise ValueError("it is cut short")
    return [array("d", body[start : start + size]) for start in range(0, count * size, size)]

"""Print the numbers of alt-profanity-check's model, to be run as a program of its own that ends at once.

The package needs scikit-learn, which would take 100 MB in every bot's process for ever; its numbers take three, and
what is done with them is a line of arithmetic (`hotshotd.inference.lexicon`). Standard output: one line of JSON, then
the numbers as doubles.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable
from typing import Any, BinaryIO

#: Texts whose scores by the package itself go along, so that the arithmetic can be checked against them.
PROBES = (
    "What a lovely duck, tell me more about ponds.",
    "You are a stupid idiot, damn it! Damn it, you IDIOT.",
    "I hate it. I HATE it; shut up, you moron",
    "Ünïcödé ßtraße, слова, 漢字 and a don't",
    "a 1 ?",
)


def print_model(out: BinaryIO) -> None:
    """Write the model of the installed package.

    Raises:
        ImportError: If the package is not there.
        AttributeError: If its model is of another kind than the one known here.
    """
    from profanity_check import profanity_check as package

    write_model(out, words=package.vectorizer, model=package.model, score=package.predict_prob)


def write_model(out: BinaryIO, *, words: Any, model: Any, score: Any) -> None:
    """Write a vectorizer (tf-idf) and calibrated linear classifiers of scikit-learn."""
    vocabulary = sorted(words.vocabulary_, key=words.vocabulary_.__getitem__)
    folds = model.calibrated_classifiers_
    header = {
        "words": vocabulary,
        "folds": [
            {
                "bias": float(fold.estimator.intercept_[0]),
                "slope": float(fold.calibrators[0].a_),
                "shift": float(fold.calibrators[0].b_),
            }
            for fold in folds
        ],
        "probes": [[text, float(score([text])[0])] for text in PROBES],
    }
    out.write(json.dumps(header).encode() + b"\n")
    out.writelines(map(_pack, (words.idf_, *(fold.estimator.coef_[0] for fold in folds))))


def _pack(row: Iterable[Any]) -> bytes:
    return array("d", map(float, row)).tobytes()


if __name__ == "__main__":
    print_model(sys.stdout.buffer)

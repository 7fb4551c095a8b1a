"""Reading the answers of classifiers: labels with scores, in any of the shapes that servers give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.hf import flatten, read_number

#: Labels that stand for "nothing wrong", lower case, without blanks and dashes. Where one is there, labels compete.
HARMLESS = frozenset(
    {
        "acceptable", "benign", "clean", "harmless", "neither", "neutral", "noharm", "nohate", "nohatespeech",
        "none", "nonhate", "nonhateful", "nonoffensive", "nontoxic", "normal", "nothate",
        "nothateful", "nothatespeech", "notoffensive", "nottoxic", "ok", "okay", "safe", "sfw",
    }
)  # fmt: skip

#: Of two labels of a ranker, the one that stands for "good", in the same spelling.
POSITIVE = frozenset({"label1", "positive", "yes", "true", "1", "relevant", "good"})

_GENERIC = re.compile(r"label\d+|\d+")
_MARKS = re.compile(r"[\s_-]+")


def normalise_label(label: str) -> str:
    """Give a label's letters in lower case: `Non-Toxic` and `non_toxic` are one."""
    return _MARKS.sub("", label.casefold())


def is_harmless(label: str) -> bool:
    """Tell whether a label says that there is nothing wrong."""
    return normalise_label(label) in HARMLESS


def is_generic(label: str) -> bool:
    """Tell whether a label is a number that only the model's maker understands (`LABEL_0`)."""
    return _GENERIC.fullmatch(normalise_label(label)) is not None


def read_labels(body: Any, *, where: str) -> dict[str, float]:
    """Read labels with scores: `[{"label", "score"}]`, nested in one more list or not, or only one of them.

    Raises:
        InferenceNonsense: If there are none, one is there twice, or a score is no number from 0 to 1.
    """
    entries = flatten(body)
    found: dict[str, float] = {}
    for entry in entries:
        label = entry.get("label") if isinstance(entry, dict) else None
        if not isinstance(label, str) or label in found:
            raise InferenceNonsense(f"{where} answered without labels, or with one twice; check `api` and the model")
        found[label] = read_number(entry.get("score"), what=f"score for {label[:40]}", where=where)
    if not found:
        raise InferenceNonsense(f"{where} answered with an empty list of labels")
    return found


def read_classes(body: Any, *, where: str) -> dict[str, float]:
    """Read the answer of `/classify` to one text, as infinity (labels) and vLLM (`probs`) give it.

    vLLM names the likeliest class only: of several, the others get their number as a name.

    Raises:
        InferenceNonsense: If it is neither.
    """
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or len(data) != 1:
        raise InferenceNonsense(f"{where} answered without exactly one of `data`; check that it serves /classify")
    entry = data[0]
    if not isinstance(entry, dict) or "probs" not in entry:
        return read_labels(entry, where=where)
    probs, label = entry["probs"], entry.get("label")
    if not isinstance(probs, list) or not probs:
        raise InferenceNonsense(f"{where} answered without `probs`")
    scores = [read_number(score, what="probability", where=where) for score in probs]
    if len(scores) == 1:
        return {label if isinstance(label, str) else "LABEL_0": scores[0]}
    return {f"LABEL_{number}": score for number, score in enumerate(scores)}


def match_labels(scores: Mapping[str, float], labels: Iterable[str], *, where: str) -> dict[str, float]:
    """Give the score of each label that was asked for.

    Raises:
        InferenceNonsense: If one is missing.
    """
    wanted = tuple(labels)
    if missing := [label for label in wanted if label not in scores]:
        raise InferenceNonsense(f"{where} answered without a score for {missing[0][:40]!r}")
    return {label: scores[label] for label in wanted}


def pick_positive(scores: Mapping[str, float], *, where: str) -> float:
    """Give a ranker's one score: that of its only label, or of the one that stands for "good" of two.

    Raises:
        InferenceNonsense: If it can't be told which that is.
    """
    if len(scores) == 1:
        return next(iter(scores.values()))
    good = [label for label in scores if normalise_label(label) in POSITIVE]
    if len(scores) != 2 or len(good) != 1:
        raise InferenceNonsense(
            f"{where} answered with {len(scores)} labels where a ranker has one; "
            "use a model with one label, such as microsoft/DialogRPT-updown"
        )
    return scores[good[0]]

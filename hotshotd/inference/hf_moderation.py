"""A text classifier as a moderator (toxic-bert and its like): Hugging Face's task, or `/classify` on an own server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint, Judgement
from hotshotd.inference.habits import Habits
from hotshotd.inference.hf import make_path
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.labels import is_generic, is_harmless, read_classes, read_labels
from hotshotd.inference.moderation import Thresholds, judge_scores, pass_empty, split_text

#: The longest piece of a text that is sent at once, in bytes: such models see 512 tokens, and nothing of what follows.
MAX_BYTES = 1_400

#: More labels than any such model has.
ALL_LABELS = 100

#: How near to 1 the sum of scores is that compete with each other.
_SUM_TOLERANCE = 0.002

_FUNCTION = "function_to_apply"


@dataclass(frozen=True, slots=True)
class ClassifierModerator:
    """Refuses a text when a label that counts reaches its threshold. Thread-safe; metered where the server is.

    Labels such as `neutral` or `nothate` don't count. Labels with numbers for names (`LABEL_1`) count where
    `toxicity_threshold` names them; a model with only such ones gives no verdict without.
    """

    endpoint: Endpoint
    model: str
    thresholds: Thresholds
    session: ServiceSession = field(repr=False)
    api: str = "hf"
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return "hf"

    def judge(self, text: str) -> Judgement:
        """Judge a text, in pieces where it is long: the worst piece counts.

        One request a piece, and once one more at a model whose labels compete.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: There is no verdict.
        """
        if not text.strip():
            return pass_empty(self.name)
        worst: dict[str, float] = {}
        for piece in split_text(text, max_bytes=MAX_BYTES):
            for label, score in self._score(piece).items():
                worst[label] = max(score, worst.get(label, 0.0))
        return judge_scores(worst, thresholds=self.thresholds, moderator=self.name)

    def _score(self, text: str) -> dict[str, float]:
        scores, where = self._ask(text)
        if self._is_sigmoid and any(is_harmless(label) or is_generic(label) for label in scores):
            # Such labels exclude each other, and sigmoids of theirs mean nothing: let the model's own function count.
            self._habits.leave_out([_FUNCTION])
            scores, where = self._ask(text)
        return count_labels(scores, thresholds=self.thresholds, where=where)

    @property
    def _habits(self) -> Habits:
        return self.session.habits.open(self.endpoint.url, model=self.model)

    @property
    def _is_sigmoid(self) -> bool:
        return self.api == "hf" and _FUNCTION not in self._habits.left_out

    def _ask(self, text: str) -> tuple[dict[str, float], str]:
        call = Call(
            endpoint=self.endpoint,
            path=make_path(self.model) if self.api == "hf" else "classify",
            payload=self._make_payload(text),
            ask=make_ask(self.endpoint, chars=len(text), model=self.model),
            read_seconds=self.read_seconds,
            sent_texts=(text,),
        )
        return self.session.send(call, parse=self._read), call.where

    def _make_payload(self, text: str) -> dict[str, Any]:
        if self.api != "hf":
            return {"model": self.model, "input": [text]}
        function = {_FUNCTION: "sigmoid"} if self._is_sigmoid else {}
        return {"inputs": text, "parameters": {"top_k": ALL_LABELS, **function}}

    def _read(self, answer: Answer) -> dict[str, float]:
        read = read_labels if self.api == "hf" else read_classes
        return read(answer.json, where=answer.where)


def count_labels(scores: Mapping[str, float], *, thresholds: Thresholds, where: str) -> dict[str, float]:
    """Give the scores of the labels that may refuse a text.

    Raises:
        InferenceNonsense: If none may, or if they are shares of one whole although none of them is harmless: a server
            that lets toxic and insult compete shows neither as high.
    """
    harmless = {label: score for label, score in scores.items() if is_harmless(label)}
    harmful = {label: score for label, score in scores.items() if label not in harmless}
    named = {
        label: score
        for label, score in harmful.items()
        if not is_generic(label) or (thresholds.every is None and thresholds.find_limit(label) is not None)
    }
    if named:
        # A refusal holds whatever the scores are shares of; a pass does not.
        may_compete = bool(harmless) or any(map(is_generic, scores))
        if not may_compete and judge_scores(named, thresholds=thresholds, moderator="hf").ok:
            _refuse_shares(scores, where=where)
        return named
    if harmful or len(harmless) != 1:
        raise InferenceNonsense(
            f"{where} answered with labels that do not say what they mean ({', '.join(scores)[:60]}): use a model with "
            "named labels, such as unitary/toxic-bert, or name the one that refuses in toxicity_threshold"
        )
    # Only the likeliest label came, and it is harmless: the rest of the whole is all that can be wrong.
    return {f"not {label}": 1 - score for label, score in harmless.items()}


def _refuse_shares(scores: Mapping[str, float], *, where: str) -> None:
    if len(scores) > 1 and abs(sum(scores.values()) - 1) <= _SUM_TOLERANCE:
        raise InferenceNonsense(
            f"{where} let its {len(scores)} labels compete (softmax), which hides what is toxic: "
            "serve the model with sigmoids (problem_type multi_label_classification)"
        )

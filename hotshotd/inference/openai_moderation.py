"""`/moderations`, as OpenAI and Mistral speak it. Not metered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint, Judgement
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.moderation import Thresholds, judge_scores, pass_empty, read_scores


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one service speaks `/moderations`.

    `ignored` are categories that are about advice or privacy, not about harm. `has_flag` tells whether each result
    carries `flagged`; where it does not, a category that is true stands for it.
    """

    moderator: str
    model: str
    has_flag: bool = True
    takes_list: bool = False
    ignored: frozenset[str] = frozenset()


OPENAI = Dialect(moderator="openai", model="omni-moderation-latest")
MISTRAL = Dialect(
    moderator="mistral",
    model="mistral-moderation-2603",
    has_flag=False,
    takes_list=True,
    ignored=frozenset({"health", "financial", "law", "pii"}),
)


@dataclass(frozen=True, slots=True)
class _Verdict:
    flagged: str
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class ModerationsModerator:
    """Refuses a text when it is flagged or a counted score reaches its threshold. Thread-safe."""

    endpoint: Endpoint
    thresholds: Thresholds
    session: ServiceSession = field(repr=False)
    dialect: Dialect = OPENAI
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return self.dialect.moderator

    def judge(self, text: str) -> Judgement:
        """Judge a text with one request.

        Raises:
            QuotaError: The request may not leave.
            InferenceError: There is no verdict.
        """
        if not text.strip():
            return pass_empty(self.name)
        call = Call(
            endpoint=self.endpoint,
            path="moderations",
            payload={"model": self.dialect.model, "input": [text] if self.dialect.takes_list else text},
            ask=make_ask(self.endpoint, chars=0, model=self.dialect.model),
            read_seconds=self.read_seconds,
            sent_texts=(text,),
        )
        # The characters are not metered here even where the backend of that name is.
        verdict = self.session.send(call, parse=self._read)
        if verdict.flagged:
            return Judgement(ok=False, moderator=self.name, why=verdict.flagged, scores=verdict.scores)
        return judge_scores(verdict.scores, thresholds=self.thresholds, moderator=self.name)

    def _read(self, answer: Answer) -> _Verdict:
        body = answer.json
        results = body.get("results") if isinstance(body, dict) else None
        if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
            raise InferenceNonsense(f"{answer.where} answered without exactly one of `results`")
        result = results[0]
        scores = read_scores(result.get("category_scores"), where=answer.where)
        counted = {name: score for name, score in scores.items() if name not in self.dialect.ignored}
        if not counted:
            raise InferenceNonsense(f"{answer.where} answered without a score that counts")
        return _Verdict(flagged=self._read_flag(result, counted, answer.where), scores=counted)

    def _read_flag(self, result: dict[str, Any], counted: dict[str, float], where: str) -> str:
        """Give the reason why a result is flagged; "" if it is not."""
        categories = result.get("categories")
        if not isinstance(categories, dict) or not all(isinstance(value, bool) for value in categories.values()):
            raise InferenceNonsense(f"{where} answered without `categories`")
        named = [name for name in counted if categories.get(name)]
        flagged = result.get("flagged") if self.dialect.has_flag else bool(named)
        if not isinstance(flagged, bool):
            raise InferenceNonsense(f"{where} answered without `flagged`")
        worst = max(named or counted, key=lambda name: counted[name])
        return f"flagged {worst} {counted[worst]:.2f}" if flagged else ""

"""Between a model's words and the public: what every text passes, reply, title and body alike.

Keywords, then every configured moderator; any error of a moderator is a no. One object a bot, for replies and posts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hotshotd._types import Role
from hotshotd.brain.ends import GaveUp
from hotshotd.brain.keywords import Keywords
from hotshotd.brain.patience import MODERATION, RANK, ask_patiently
from hotshotd.brain.ports import AsyncModerator, AsyncRanker, BrainClock, Faculties, News
from hotshotd.brain.verdict import Why
from hotshotd.errors import BreakerOpen, HotshotError, InferenceError, QuotaExceeded, QuotaUnavailable
from hotshotd.inference.base import Judgement


class Editor:
    """Says whether a text may be published, and which of several is best."""

    def __init__(self, faculties: Faculties, negative: Keywords, clock: BrainClock, news: News) -> None:
        self._faculties = faculties
        self._negative = negative
        self._clock = clock
        self._news = news

    async def find_objection(self, text: str, *, deadline: float) -> GaveUp | None:
        """Give why a text may not be published, or None: it may.

        Raises:
            GaveUp: There is no verdict, which is no pass.
        """
        word = self._negative.find(text)
        if word is not None:
            return GaveUp(Why.KEYWORD, f"the text holds the keyword {word!r}", passing=False)
        for moderator in self._faculties.moderators:
            judgement = await self._judge(moderator, text, deadline)
            if not judgement.ok:
                return GaveUp(Why.MODERATION, f"{judgement.moderator}: {judgement.why}", passing=False)
        return None

    async def choose(self, context: Sequence[str], texts: Sequence[str], *, deadline: float) -> str:
        """Give the best of several texts: the highest score, the first among equals; the first when nobody can rank."""
        ranker = self._faculties.rank
        if ranker is None or len(texts) == 1:
            return texts[0]
        try:
            scores = [await self.score(ranker, context, text, deadline=deadline) for text in texts]
        except (InferenceError, BreakerOpen, QuotaExceeded, QuotaUnavailable):
            return texts[0]
        return texts[max(range(len(texts)), key=lambda index: (scores[index], -index))]

    async def score(self, ranker: AsyncRanker, context: Sequence[str], text: str, *, deadline: float) -> float:
        """Score one text patiently; what it raises is what the ranker raised last."""
        try:
            score = await ask_patiently(
                lambda: ranker.score(context, text),
                RANK,
                self._clock,
                deadline=deadline,
                on_failure=self._note(f"ranking ({ranker.name})"),
            )
        except (InferenceError, BreakerOpen) as exc:
            self._news.degraded(Role.RANK, why=str(exc))
            raise
        self._news.degraded(Role.RANK, why=None)
        return score

    async def _judge(self, moderator: AsyncModerator, text: str, deadline: float) -> Judgement:
        try:
            judgement = await ask_patiently(
                lambda: moderator.judge(text),
                MODERATION,
                self._clock,
                deadline=deadline,
                on_failure=self._note(f"moderation ({moderator.name})"),
            )
        except (InferenceError, BreakerOpen, QuotaUnavailable) as exc:
            self._news.degraded(Role.MODERATION, why=str(exc))
            wish = getattr(exc, "retry_after", None)
            passing = isinstance(exc, BreakerOpen | QuotaUnavailable) or exc.code in ("unavailable", "gone")
            raise GaveUp(Why.MODERATION_UNAVAILABLE, str(exc), passing=passing, retry_after=wish) from exc
        self._news.degraded(Role.MODERATION, why=None)
        return judgement

    def _note(self, what: str) -> Callable[[HotshotError], None]:
        return lambda exc: self._news.trouble(f"{what}: {exc}")

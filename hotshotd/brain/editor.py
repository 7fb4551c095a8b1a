"""Between a model's words and the public: what every text passes, reply, title and body alike.

Keywords, then every configured moderator; any error of a moderator is a no. One object a bot, for replies and posts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hotshotd._types import Role
from hotshotd.brain.case import Case
from hotshotd.brain.ends import GaveUp
from hotshotd.brain.keywords import Keywords
from hotshotd.brain.patience import MODERATION, RANK, ask_patiently
from hotshotd.brain.ports import AsyncModerator, AsyncRanker, BrainClock, Faculties, News
from hotshotd.brain.trace import Show, show_nothing
from hotshotd.brain.verdict import Why
from hotshotd.errors import BreakerOpen, ConfigError, HotshotError, InferenceError, QuotaExceeded, QuotaUnavailable
from hotshotd.inference.base import Judgement
from hotshotd.log import holds_secret


class Editor:
    """Says whether a text may be published, and which of several is best."""

    def __init__(self, faculties: Faculties, negative: Keywords, clock: BrainClock, news: News) -> None:
        self._faculties = faculties
        self._negative = negative
        self._clock = clock
        self._news = news
        #: Moderators and rankers that gave no answer when last asked, and why.
        self._silent: dict[tuple[Role, str], str] = {}

    async def find_objection(self, text: str, *, deadline: float, show: Show = show_nothing) -> GaveUp | None:
        """Give why a text may not be published, or None: it may.

        Raises:
            GaveUp: There is no verdict, which is no pass.
        """
        if holds_secret(text):
            # A service knows the key that it is called with, and a model may say what it should not know.
            return _shown(show, "secrets", GaveUp(Why.UNPUBLISHABLE, "the text holds a secret", passing=False))
        word = self._negative.find(text)
        if word is not None:
            return _shown(show, "keywords", GaveUp(Why.KEYWORD, f"the text holds the keyword {word!r}", passing=False))
        for moderator in self._faculties.moderators:
            objection = await self._ask_moderator(moderator, text, deadline, show)
            if objection is not None:
                return objection
        return None

    async def find_incoming_objection(self, text: str, case: Case) -> GaveUp | None:
        """Give why what somebody wrote is not to be answered, or None; only moderators that send nothing are asked.

        Raises:
            GaveUp: There is no verdict, which is no pass.
        """
        for moderator in self._faculties.incoming:
            objection = await self._ask_moderator(moderator, text, case.deadline, case.show)
            if objection is not None:
                return objection
        return None

    async def choose(
        self, context: Sequence[str], texts: Sequence[str], *, deadline: float, show: Show = show_nothing
    ) -> str:
        """Give the best of several texts: the highest score, the first among equals; the first when nobody can rank."""
        ranker = self._faculties.rank
        if ranker is None or len(texts) == 1:
            return texts[0]
        try:
            scores = [await self.score(ranker, context, text, deadline=deadline) for text in texts]
        except (InferenceError, BreakerOpen, QuotaExceeded, QuotaUnavailable) as exc:
            show("ranking", f"{exc}; the first is taken")
            return texts[0]
        best = max(range(len(texts)), key=lambda index: (scores[index], -index))
        show("ranking", f"{ranker.name}: {', '.join(f'{score:.3f}' for score in scores)}; number {best + 1} is taken")
        return texts[best]

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
            self._miss(Role.RANK, ranker.name, str(exc))
            raise
        self._miss(Role.RANK, ranker.name, None)
        return score

    # -- inside ------------------------------------------------------------------------------

    async def _ask_moderator(self, moderator: AsyncModerator, text: str, deadline: float, show: Show) -> GaveUp | None:
        judgement = await self._judge(moderator, text, deadline)
        if judgement.ok:
            show("moderation", f"{judgement.moderator}: passed{_list_scores(judgement)}")
            return None
        objection = GaveUp(Why.MODERATION, f"{judgement.moderator}: {judgement.why}", passing=False)
        return _shown(show, "moderation", objection)

    async def _judge(self, moderator: AsyncModerator, text: str, deadline: float) -> Judgement:
        try:
            judgement = await ask_patiently(
                lambda: moderator.judge(text),
                MODERATION,
                self._clock,
                deadline=deadline,
                on_failure=self._note(f"moderation ({moderator.name})"),
            )
        except (InferenceError, BreakerOpen, QuotaUnavailable, ConfigError) as exc:
            # ConfigError: the package of a local moderator was taken away while the bot runs.
            self._miss(Role.MODERATION, moderator.name, str(exc))
            wish = getattr(exc, "retry_after", None)
            # Nonsense as well: what is in front of a moderator may answer for it for a while.
            passing = isinstance(exc, BreakerOpen | QuotaUnavailable) or exc.code in ("unavailable", "gone", "nonsense")
            raise GaveUp(Why.MODERATION_UNAVAILABLE, str(exc), passing=passing, retry_after=wish) from exc
        self._miss(Role.MODERATION, moderator.name, None)
        return judgement

    def _miss(self, role: Role, name: str, why: str | None) -> None:
        """Say that a role goes without; one service that answers does not speak for another that does not."""
        self._silent.pop((role, name), None)
        if why is not None:
            self._silent[role, name] = why
        causes = [cause for (silent_role, _), cause in self._silent.items() if silent_role is role]
        self._news.degraded(role, why=causes[-1] if causes else None)

    def _note(self, what: str) -> Callable[[HotshotError], None]:
        return lambda exc: self._news.trouble(f"{what}: {exc}")


def _shown(show: Show, name: str, objection: GaveUp) -> GaveUp:
    show(name, str(objection))
    return objection


def _list_scores(judgement: Judgement) -> str:
    highest = sorted(judgement.scores.items(), key=lambda score: -score[1])[:3]
    return "".join(f", {name} {score:.2f}" for name, score in highest)

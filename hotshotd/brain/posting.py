"""The life of one post: from a slot to a submission, or to the reason why there is none.

What a text model writes (`drafting`) is cleaned and passes the same editor as a reply; a share of the posts are
pictures, made of their titles.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from hotshotd._types import Outcome, Role
from hotshotd.admission import billing
from hotshotd.backoff import Backoff
from hotshotd.brain.clean import CleanRules, clean_body, clean_title, is_near_duplicate
from hotshotd.brain.decision import unit_draw
from hotshotd.brain.drafting import Drafting, RawPost
from hotshotd.brain.editor import Editor
from hotshotd.brain.ends import ENDING_ERRORS, GaveUp, end_of, give_up
from hotshotd.brain.patience import READ, ask_patiently
from hotshotd.brain.ports import AsyncPainter, BrainClock, Faculties, News
from hotshotd.brain.prompt import Persona
from hotshotd.brain.trace import Show, Tell, make_show, tell_nobody
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import Writer
from hotshotd.config.schedule import Every
from hotshotd.config.schema import BotConfig
from hotshotd.errors import BreakerOpen, InferenceError, InferenceGone, QuotaExceeded, QuotaUnavailable, Refused
from hotshotd.inference.base import Picture
from hotshotd.platform import CLOCK_TOLERANCE_SECONDS, Draft, Item, Kind, Platform, Ref

#: Seconds that one post has from its slot on.
POST_SECONDS = 900.0

#: Between the tries of a post: the schedule's own back-off goes on from there (contract: 15 s to 1 h).
RETRY = Backoff(base_seconds=15.0, cap_seconds=3600.0)

#: Slots remembered: all that a clock which was days ahead has brought.
SLOTS_KEPT = 200

#: The slot's name of a post that an operator asked for.
MANUAL = "manual"

#: Reasons after which a model may do better, or a service be back. Not among them: whatever came of a write.
_WORTH_ANOTHER_TRY = frozenset(
    {
        Why.KEYWORD,
        Why.MODERATION,
        Why.UNPUBLISHABLE,
        Why.DUPLICATE,
        Why.MODEL_UNAVAILABLE,
        Why.MODERATION_UNAVAILABLE,
        Why.PICTURE_UNAVAILABLE,
        Why.QUOTA_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission that is sent for a slot; `newest` is the bot's newest one before it."""

    slot: str
    title: str
    newest: Ref | None


class SlotMemory:
    """The slots that posts were made for lately, and what was sent last, as long as its end is not known here.

    Reddit tells when a post was made, not for which slot: where the machine's clock was set meanwhile, the one does not
    follow from the other. This memory ends with the process; `_save` is for one that lasts.
    """

    def __init__(self, made: Sequence[str] = (), sent: Sent | None = None) -> None:
        self.made, self.sent = list(made), sent

    def __contains__(self, slot: object) -> bool:
        return slot in self.made

    def begin(self, sent: Sent) -> None:
        """Remember what is about to be sent."""
        self.sent = sent
        self._save()

    def add(self, slot: str) -> None:
        """Remember that a slot was made."""
        if slot not in self.made:
            self.made = [*self.made, slot][-SLOTS_KEPT:]
            self._save()

    def _save(self) -> None:
        """Keep it for the next process."""


class Posting:
    """A bot's way of speaking first. One object a bot; `make` runs for one post at a time."""

    def __init__(
        self,
        config: BotConfig,
        *,
        platform: Platform,
        faculties: Faculties,
        writer: Writer,
        editor: Editor,
        clock: BrainClock,
        news: News,
        memory: SlotMemory | None = None,
    ) -> None:
        assert config.post is not None, "a reply-only bot does not post"
        self._config = config
        self._post = config.post
        self._place = config.post.subreddit or config.reddit.subreddits[0]
        self._drafting = Drafting(
            config.post,
            Persona(config.reddit.username, config.backstory),
            place=self._place,
            faculties=faculties,
            clock=clock,
            news=news,
        )
        self._platform = platform
        self._faculties = faculties
        self._writer = writer
        self._editor = editor
        self._clock = clock
        self._news = news
        self.memory = memory or SlotMemory()
        #: Places, casefolded, where the account is banned.
        self.banned: Collection[str] = frozenset()
        #: When the bot's newest own submission was made, monotonic: the wall clock may be set.
        self._last_post: float | None = None

    @property
    def last_post_at(self) -> datetime | None:
        """When the bot's newest own submission was made, by the wall clock as it is now; None when it has none."""
        if self._last_post is None:
            return None
        return self._clock.now() - timedelta(seconds=self._clock.monotonic() - self._last_post)

    @last_post_at.setter
    def last_post_at(self, moment: datetime) -> None:
        self._last_post = self._clock.monotonic() - (self._clock.now() - moment).total_seconds()

    async def make(
        self, slot: str, *, day_start: datetime, dry_run: bool | None = None, tell: Tell = tell_nobody
    ) -> Verdict:
        """Make the post of a slot, with all its tries.

        Args:
            slot: The slot's name, for the log.
            day_start: When the day began whose posts are counted.
            dry_run: Do all but the writing; None: as the bot's file says.
            tell: Handed each step.

        Raises:
            BotPaused: The bot was paused before anything was written.
            AuthDead: The account is refused.
        """
        deadline = self._clock.monotonic() + POST_SECONDS
        is_dry = self._config.dry_run if dry_run is None else dry_run
        try:
            with billing():
                verdict = await self._make_with_tries(slot, deadline, day_start, is_dry=is_dry, show=make_show(tell))
        except ENDING_ERRORS as exc:
            gave_up = give_up(exc)
            verdict = end_of(gave_up)
            if isinstance(exc, Refused) and exc.forbidden:
                self._news.forbidden(self._place)
            self._news.trouble(f"post: {gave_up.why.value}: {gave_up}")
        self._news.event(
            "post.done",
            slot=slot,
            outcome=verdict.outcome.value,
            reason=verdict.why.value,
            thing=verdict.detail if verdict.outcome is Outcome.PUBLISHED else None,
            detail=verdict.detail if verdict.outcome is not Outcome.PUBLISHED else "",
        )
        return verdict

    def note_own(self, own: Sequence[Item]) -> None:
        """Take note of the bot's own submissions, newest first."""
        if own:
            newest = max(item.created_at for item in own)
            self.last_post_at = max(newest, self.last_post_at or newest)

    async def _make_with_tries(
        self, slot: str, deadline: float, day_start: datetime, *, is_dry: bool, show: Show
    ) -> Verdict:
        if self._place.casefold() in self.banned:
            return Verdict.of(Why.BANNED, detail=f"r/{self._place}")
        own = await self._look(deadline)
        if self.memory.sent is not None and slot != MANUAL:
            own, made = await self._settle(self.memory.sent, slot, own, deadline)
            if made is not None:
                return self._count(slot, made)
        if sum(item.created_at >= day_start for item in own) >= self._post.max_per_day:
            return Verdict.of(Why.MAX_PER_DAY)
        with_picture = self._wants_picture(slot)
        for attempt in range(1, self._post.tries + 1):
            try:
                return await self._try_once(slot, own, deadline, is_dry=is_dry, with_picture=with_picture, show=show)
            except ENDING_ERRORS as exc:
                gave_up = give_up(exc)
                pause = max(RETRY.compute_ceiling(attempt), gave_up.retry_after or 0.0)
                last = attempt == self._post.tries or self._clock.monotonic() + pause > deadline
                if last or gave_up.why not in _WORTH_ANOTHER_TRY:
                    raise
                self._news.trouble(f"post: {gave_up.why.value}: {gave_up}")
                show("try again", f"in {pause:g} s: {gave_up.why.value}: {gave_up}")
                # A bot goes on with less: a text is better than no post at all.
                is_last_but_one = attempt + 1 == self._post.tries
                if gave_up.why is Why.PICTURE_UNAVAILABLE and (is_last_but_one or not gave_up.passing):
                    with_picture = False
                await self._clock.sleep(pause)
        raise AssertionError("tries is at least 1")

    def _wants_picture(self, slot: str) -> bool:
        share = self._post.link_share if self._faculties.paint is not None else 0.0
        return unit_draw(self._config.name, f"picture {slot} {self._clock.now().date()}") < share

    async def _try_once(
        self, slot: str, own: Sequence[Item], deadline: float, *, is_dry: bool, with_picture: bool, show: Show
    ) -> Verdict:
        if not is_dry:
            await self._writer.until_free(deadline)
        draft = await self._compose(own, deadline, with_picture=with_picture, show=show)
        if is_dry:
            return Verdict(Outcome.SKIPPED, Why.DRY_RUN, draft.title)
        if slot != MANUAL:
            self.memory.begin(Sent(slot, draft.title, own[0].ref if own else None))
        ref = await self._writer.post(draft, deadline=deadline, known={item.ref for item in own})
        self.last_post_at = self._clock.now()
        if slot != MANUAL:
            self.memory.add(slot)
            # This process knows its end; the next one may start before a listing shows it.
            self.memory.sent = None
        return self._count(slot, ref)

    def _count(self, slot: str, ref: Ref) -> Verdict:
        self._news.count("posts")
        return Verdict(Outcome.PUBLISHED, Why.ASKED if slot == MANUAL else Why.SCHEDULED, ref)

    async def _settle(
        self, sent: Sent, slot: str, own: tuple[Item, ...], deadline: float
    ) -> tuple[tuple[Item, ...], Ref | None]:
        """Find out what became of a post that was sent and that nobody has seen since: its worker may have died.

        Give the bot's own submissions, and that one if it is the post of this slot.
        """
        found = _find_sent(own, sent)
        for wait in self._config.reddit.confirm_after:
            if found is None:
                await self._clock.sleep(wait)
                own = await self._look(deadline)
                found = _find_sent(own, sent)
        self.memory.sent = None
        if found is None:
            return own, None
        self.memory.add(sent.slot)
        is_this = sent.slot == slot or self._is_too_soon_after(found)
        return own, found.ref if is_this else None

    def _is_too_soon_after(self, item: Item) -> bool:
        schedule = self._post.schedule
        age = (self._clock.now() - item.created_at).total_seconds()
        return isinstance(schedule, Every) and age < schedule.seconds - CLOCK_TOLERANCE_SECONDS

    async def _look(self, deadline: float) -> tuple[Item, ...]:
        """Ask the platform what the bot posted: a restart must not reset the day's count."""
        own = await ask_patiently(
            lambda: self._platform.own(Kind.SUBMISSION),
            READ,
            self._clock,
            deadline=deadline,
            on_failure=lambda exc: self._news.trouble(f"reading own posts: {exc}"),
        )
        self.note_own(own)
        return own

    # -- composing ---------------------------------------------------------------------------

    async def _compose(self, own: Sequence[Item], deadline: float, *, with_picture: bool, show: Show) -> Draft:
        painter = self._faculties.paint if with_picture else None
        write = self._drafting.write if painter is None else self._drafting.write_picture_titles
        draft = await self._choose(await write(deadline=deadline, show=show), own, deadline, show=show)
        if painter is not None:
            # Its prompt is the title, which has passed the editor.
            picture = await self._enlarge(await self._paint(painter, draft.title))
            show("picture", f"{picture.kind}, {len(picture.data):,} bytes, by {painter.name}")
            draft = replace(draft, text="", picture=picture.data, picture_name=f"picture.{picture.kind}")
        show("title", draft.title)
        if draft.text:
            show("text", draft.text)
        return draft

    async def _choose(self, raws: Sequence[RawPost], own: Sequence[Item], deadline: float, *, show: Show) -> Draft:
        """Give the first candidate that is publishable and not refused."""
        objection = GaveUp(Why.UNPUBLISHABLE, "the model wrote nothing that is a post", passing=False)
        for raw in raws:
            try:
                draft = self._clean(raw, own)
                words = f"{draft.title}\n\n{draft.text}".strip()
                refused = await self._editor.find_objection(words, deadline=deadline, show=show)
            except GaveUp as exc:
                refused = exc
            else:
                if refused is None:
                    return draft
            objection = refused
        raise objection

    def _clean(self, raw: RawPost, own: Sequence[Item]) -> Draft:
        rules = CleanRules(
            own_names=(self._config.reddit.username,),
            told=(self._config.backstory,),
            allow_links=self._config.safety.allow_links,
            allow_mentions=self._config.safety.allow_mentions,
            max_title_chars=self._platform.limits.title,
            max_body_chars=self._platform.limits.submission,
        )
        title, body = clean_title(raw.title, rules), clean_body(raw.text, rules)
        if title.text is None or body.text is None:
            raise GaveUp(Why.UNPUBLISHABLE, f"title: {title.refused}, text: {body.refused}", passing=False)
        if is_near_duplicate(f"{title.text}\n{body.text}", [f"{item.title}\n{item.text}" for item in own]):
            raise GaveUp(Why.DUPLICATE, "the bot posted the same before", passing=False)
        return Draft(self._place, title.text, body.text, flair_id=self._post.flair_id)

    # -- pictures ----------------------------------------------------------------------------

    async def _paint(self, painter: AsyncPainter, prompt: str) -> Picture:
        try:
            picture = await painter.paint(prompt)
        except (InferenceError, BreakerOpen) as exc:
            self._news.degraded(Role.PICTURE, why=f"{painter.name}: {exc}")
            gone = isinstance(exc, InferenceGone) or (isinstance(exc, BreakerOpen) and exc.gone)
            wish = None if gone else getattr(exc, "retry_after", None)
            raise GaveUp(Why.PICTURE_UNAVAILABLE, str(exc), passing=not gone, retry_after=wish) from exc
        self._news.degraded(Role.PICTURE, why=None)
        return picture

    async def _enlarge(self, picture: Picture) -> Picture:
        """Enlarge a picture; a smaller one is better than none."""
        upscaler = self._faculties.upscale
        if upscaler is None:
            return picture
        try:
            larger = await upscaler.enlarge(picture)
        except (InferenceError, BreakerOpen, QuotaExceeded, QuotaUnavailable) as exc:
            self._news.trouble(f"{upscaler.name}: {exc}")
            self._news.degraded(Role.UPSCALE, why=f"{upscaler.name}: {exc}")
            return picture
        self._news.degraded(Role.UPSCALE, why=None)
        return larger


def _find_sent(own: Sequence[Item], sent: Sent) -> Item | None:
    """Find what was sent among the submissions, newest first, that are newer than the newest one before it."""
    newer = takewhile(lambda item: item.ref != sent.newest, own)
    return next((item for item in newer if item.title.strip() == sent.title.strip()), None)

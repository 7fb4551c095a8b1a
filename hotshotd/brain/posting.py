"""The life of one post: from a slot to a submission, or to the reason why there is none.

A fine-tuned model is shown an open ssi-bot mark and writes title and text itself; other models are shown the
backstory. What comes out passes the same editor as a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hotshotd._types import Outcome
from hotshotd.backoff import Backoff
from hotshotd.brain import plain_post, ssi
from hotshotd.brain.clean import CleanRules, clean_body, clean_title, is_near_duplicate
from hotshotd.brain.editor import Editor
from hotshotd.brain.ends import ENDING_ERRORS, GaveUp, end_of, give_up
from hotshotd.brain.patience import READ, Patience, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.prompt import Persona, build_body_prompt, build_post_prompt
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import Writer
from hotshotd.config.schema import BotConfig
from hotshotd.errors import Refused
from hotshotd.inference.base import Candidates, Prompt
from hotshotd.platform import Draft, Item, Kind, Platform

#: Seconds that one post has from its slot on.
POST_SECONDS = 900.0

#: Between the tries of a post: the schedule's own back-off goes on from there (contract: 15 s to 1 h).
RETRY = Backoff(base_seconds=15.0, cap_seconds=3600.0)

#: Reasons after which a model may do better, or a service be back. Not among them: whatever came of a write.
_WORTH_ANOTHER_TRY = frozenset(
    {
        Why.KEYWORD,
        Why.MODERATION,
        Why.UNPUBLISHABLE,
        Why.DUPLICATE,
        Why.MODEL_UNAVAILABLE,
        Why.MODERATION_UNAVAILABLE,
        Why.QUOTA_UNAVAILABLE,
    }
)

_ONCE = Patience(tries=1, first_pause_seconds=1.0, longest_pause_seconds=1.0)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A post as a model meant it."""

    title: str
    text: str


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
    ) -> None:
        assert config.post is not None, "a reply-only bot does not post"
        self._config = config
        self._post = config.post
        self._persona = Persona(config.reddit.username, config.backstory)
        self._place = config.post.subreddit or config.reddit.subreddits[0]
        self._platform = platform
        self._faculties = faculties
        self._writer = writer
        self._editor = editor
        self._clock = clock
        self._news = news
        #: When the bot's newest own submission was made; None when it has none.
        self.last_post_at: datetime | None = None

    async def make(self, slot: str, *, day_start: datetime) -> Verdict:
        """Make the post of a slot, with all its tries.

        Raises:
            BotPaused: The bot was paused before anything was written.
            AuthDead: The account is refused.
        """
        deadline = self._clock.monotonic() + POST_SECONDS
        try:
            verdict = await self._make_with_tries(deadline, day_start)
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

    async def _make_with_tries(self, deadline: float, day_start: datetime) -> Verdict:
        own = await self._look(deadline)
        if sum(item.created_at >= day_start for item in own) >= self._post.max_per_day:
            return Verdict.of(Why.MAX_PER_DAY)
        for attempt in range(1, self._post.tries + 1):
            try:
                return await self._try_once(own, deadline)
            except ENDING_ERRORS as exc:
                gave_up = give_up(exc)
                pause = max(RETRY.compute_ceiling(attempt), gave_up.retry_after or 0.0)
                last = attempt == self._post.tries or self._clock.monotonic() + pause > deadline
                if last or gave_up.why not in _WORTH_ANOTHER_TRY:
                    raise
                self._news.trouble(f"post: {gave_up.why.value}: {gave_up}")
                await self._clock.sleep(pause)
        raise AssertionError("tries is at least 1")

    async def _try_once(self, own: Sequence[Item], deadline: float) -> Verdict:
        await self._writer.until_free(deadline)
        draft = await self._compose(own, deadline)
        if self._config.dry_run:
            return Verdict(Outcome.SKIPPED, Why.DRY_RUN, draft.title)
        ref = await self._writer.post(draft, deadline=deadline)
        self.last_post_at = self._clock.now()
        self._news.count("posts")
        return Verdict(Outcome.PUBLISHED, Why.SCHEDULED, ref)

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

    async def _compose(self, own: Sequence[Item], deadline: float) -> Draft:
        """Give the first candidate that is publishable and not refused."""
        objection = GaveUp(Why.UNPUBLISHABLE, "the model wrote nothing that is a post", passing=False)
        for raw in await self._write_raw():
            try:
                draft = self._clean(raw, own)
            except GaveUp as exc:
                objection = exc
                continue
            refused = await self._editor.find_objection(f"{draft.title}\n\n{draft.text}".strip(), deadline=deadline)
            if refused is None:
                return draft
            objection = refused
        raise objection

    async def _write_raw(self) -> list[_Raw]:
        if self._post.format == "ssi":
            prompt = ssi.build_ssi_prompt()
            candidates = await self._ask(prompt)
            posts = [ssi.parse_post(text, prompt=prompt.text) for text in candidates.texts]
            return [_Raw(post.title, post.text) for post in posts if post is not None]
        prompt = build_post_prompt(self._persona, place=self._place)
        candidates = await self._ask(prompt)
        if self._faculties.post_chats:
            plain = [plain_post.parse_post(text) for text in candidates.texts]
            return [_Raw(post.title, post.text) for post in plain if post is not None]
        return await self._write_bodies(candidates)

    async def _write_bodies(self, titles: Candidates) -> list[_Raw]:
        """Let a base model go on from the first usable title: a second request."""
        title = next((title for text in titles.texts if (title := plain_post.parse_title(text))), None)
        if title is None:
            return []
        candidates = await self._ask(build_body_prompt(self._persona, place=self._place, title=title))
        return [_Raw(title, text) for text in candidates.texts]

    async def _ask(self, prompt: Prompt) -> Candidates:
        model = self._faculties.post
        assert model is not None, "a bot that posts has a model"
        return await ask_patiently(
            lambda: model.generate(prompt),
            _ONCE,
            self._clock,
            deadline=self._clock.monotonic() + POST_SECONDS,
            on_failure=lambda exc: self._news.trouble(f"{model.name}: {exc}"),
        )

    def _clean(self, raw: _Raw, own: Sequence[Item]) -> Draft:
        rules = CleanRules(
            own_names=(self._config.reddit.username,),
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

"""The life of one item: from what was read to a reply on the platform, or to the reason why there is none.

Cheapest first: free local checks, the decision, one request for the thread, then what costs characters. Every
item ends in one `Verdict`; an item of the inbox whose service is away for now ends in `Deferred` and comes again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

from hotshotd._types import Outcome
from hotshotd.brain.clean import CleanRules, clean_reply, is_near_duplicate
from hotshotd.brain.decision import Decision, decide, decide_by_score, decide_without_score, unit_draw
from hotshotd.brain.editor import Editor
from hotshotd.brain.ends import ENDING_ERRORS, GaveUp, end_of, give_up
from hotshotd.brain.filters import (
    AFTER_THREAD,
    BEFORE_THREAD,
    Filter,
    ItemView,
    first_refusal,
    found_keyword,
    on_own_post,
)
from hotshotd.brain.guards import Guards
from hotshotd.brain.optout import wants_out
from hotshotd.brain.patience import READ, TEXT, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.prompt import Persona, build_reply_prompt, shorten
from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import Writer
from hotshotd.config.schema import BotConfig
from hotshotd.errors import BreakerOpen, Down, InferenceError, InferenceRejected, Refused, Retry, Unknown
from hotshotd.inference.base import Candidates, Prompt
from hotshotd.platform import Item, Kind, Platform, Reason, Ref, Thread

#: Seconds that one item of a listing has from when it was read.
ITEM_SECONDS = 900.0
#: Own comments that nothing may be said like again.
SAID_BEFORE = 100
#: Seconds before an item of the inbox is tried again whose service is away.
DEFER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Found:
    """Something read. `reason` is None where it came from a listing; `deadline` is monotonic."""

    item: Item
    reason: Reason | None
    deadline: float


@dataclass(frozen=True, slots=True)
class Deferred:
    """The same item is to be tried again after some seconds."""

    seconds: float
    why: Why
    detail: str


class Answering:
    """A bot's way with what people wrote. One object a bot; `handle` may run for several items at once."""

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
        guards: Guards,
    ) -> None:
        assert config.reply is not None, "a post-only bot has no pipeline"
        self._config = config
        self._reply = config.reply
        self._rules = ReplyRules.from_config(config)
        self._persona = Persona(
            config.reddit.username, config.backstory, tuple((pair.them, pair.me) for pair in self._reply.examples)
        )
        self._platform = platform
        self._faculties = faculties
        self._writer = writer
        self._editor = editor
        self._clock = clock
        self._news = news
        self._generating = asyncio.Semaphore(self._reply.parallel)
        self._in_work: dict[Ref, Item] = {}
        self._opted_out: set[str] = set()
        self.guards = guards
        #: The names of what the bot wrote.
        self.own: set[Ref] = set()
        self._said: deque[str] = deque(maxlen=SAID_BEFORE)

    def remember_own(self, items: Sequence[Item]) -> None:
        """Take note of the bot's own things, oldest first: whose answers are follow-ups, and what not to say again."""
        self.own.update(item.ref for item in items)
        end = self._with_footer("")
        self._said.extend(item.text.removesuffix(end) for item in items if item.kind is Kind.COMMENT)

    async def handle(self, found: Found) -> Verdict | Deferred:
        """Bring one item to its end.

        Raises:
            BotPaused: The item is to be handled after the pause.
            AuthDead: The account is refused; nothing will work any more.
        """
        started = self._clock.monotonic()
        try:
            verdict: Verdict | Deferred = await self._consider(found)
        except ENDING_ERRORS as exc:
            verdict = self._end(found, give_up(exc))
        if isinstance(verdict, Deferred):
            self._news.event(
                "item.deferred", thing=found.item.ref, reason=verdict.why.value, seconds=int(verdict.seconds)
            )
        else:
            self._tell(found, verdict, self._clock.monotonic() - started)
        return verdict

    # -- deciding ----------------------------------------------------------------------------

    async def _consider(self, found: Found) -> Verdict:
        view = self._view(found)
        if self._wants_out(view):
            return await self._let_go(view.item)
        refusal = self._refuse(view, BEFORE_THREAD) or self._refuse_by_chance(view) or self._refuse_by_guard(found.item)
        if refusal:
            return refusal
        view = view.with_thread(await self._fetch_thread(found))
        refusal = self._refuse(view, AFTER_THREAD)
        if refusal:
            return refusal
        decision = await self._decide(view, found.deadline)
        if not decision.answer:
            return Verdict.of(decision.reason, detail=f"{decision.chance:.2f}")
        # Again, and with no await before it counts as in work: others came in while the thread was read.
        refusal = self._refuse_by_guard(found.item)
        if refusal:
            return refusal
        with self._working_on(found.item):
            return await self._answer(view, decision.reason, found.deadline)

    def _view(self, found: Found) -> ItemView:
        item, reason = found.item, found.reason
        answered = {item.ref} if self._writer.has_answered(item.ref) else set()
        if reason is None and self._mentions_us(item):
            reason = Reason.MENTION
        return ItemView(item, self._clock.now(), reason, answered=answered, own=self.own, ignored=self._opted_out)

    def _wants_out(self, view: ItemView) -> bool:
        """Tell whether somebody who speaks to the bot says stop, and has not said so before."""
        item = view.item
        spoken_to = view.reason is not None or (item.parent is not None and item.parent in self.own)
        is_new = item.author is not None and item.author.key not in (self._rules.own_key, *self._opted_out)
        return self._config.safety.opt_out and spoken_to and is_new and wants_out(item.text)

    async def _let_go(self, item: Item) -> Verdict:
        """Never answer this person again: in this process from now on, and the platform remembers it."""
        assert item.author is not None
        self._opted_out.add(item.author.key)
        if not self._config.dry_run:
            try:
                await self._platform.block(item.author)
            except (Retry, Unknown, Refused, Down) as exc:
                self._news.trouble(f"blocking u/{item.author.name}, who wants no answers: {exc}")
        return Verdict.of(Why.OPTED_OUT, detail="asked to stop")

    def _mentions_us(self, item: Item) -> bool:
        # A listing may show a mention before the inbox does.
        words = item.text.casefold().replace("/u/", "u/").split()
        return f"u/{self._rules.own_key}" in (word.strip(".,;:!?()*_\"'") for word in words)

    def _refuse(self, view: ItemView, table: tuple[Filter, ...]) -> Verdict | None:
        why = first_refusal(view, self._rules, table=table)
        if why is None:
            return None
        detail = f"keyword {found_keyword(view, self._rules)!r}" if why is Why.KEYWORD else ""
        return Verdict.of(why, detail=detail)

    def _refuse_by_chance(self, view: ItemView) -> Verdict | None:
        decision = self._make_decision(view)
        if decision.answer is not False:
            return None
        return Verdict.of(decision.reason, detail=f"{decision.chance:.2f}")

    def _refuse_by_guard(self, item: Item) -> Verdict | None:
        # Answers on their way count as if they were given: two at once must not pass one limit.
        now = self._clock.now()
        projected = reduce(lambda guards, other: guards.record(other, now), self._in_work.values(), self.guards)
        why = projected.refusal(item, now, rules=self._rules)
        return Verdict.of(why) if why else None

    def _make_decision(self, view: ItemView) -> Decision:
        return decide(
            view.item,
            bot=self._config.name,
            rules=self._rules,
            reason=view.reason,
            on_own_post=on_own_post(view, self._rules),
        )

    async def _decide(self, view: ItemView, deadline: float) -> Decision:
        """Decide with the thread at hand; only here does the ranker cost characters."""
        decision = self._make_decision(view)
        if decision.answer is not None:
            return decision
        draw = unit_draw(self._config.name, view.item.ref)
        without = self._config.rank.when_unavailable
        if self._faculties.gate is None:
            return decide_without_score(without, chance=decision.chance, draw=draw)
        try:
            score = await self._editor.score(self._faculties.gate, _context_of(view), view.item.text, deadline=deadline)
        except (InferenceError, BreakerOpen):
            return decide_without_score(without, chance=decision.chance, draw=draw)
        return decide_by_score(score, self._config.rank.min_score)

    # -- answering ---------------------------------------------------------------------------

    async def _answer(self, view: ItemView, reason: Why, deadline: float) -> Verdict:
        item = view.item
        async with self._generating:
            # Inside: the wait for a turn may outlast the item's time, or the platform may hold writes meanwhile.
            await self._writer.until_free(deadline)
            candidates = await self._generate(view, deadline)
            texts = self._clean(view, candidates.texts)
            text = await self._choose(view, texts, deadline)
        if self._config.dry_run:
            return Verdict(Outcome.SKIPPED, Why.DRY_RUN, f"{len(text)} characters")
        late = self._refuse_by_guard_at_write(item)
        if late:
            return late
        ref = await self._writer.reply(item, self._with_footer(text), deadline=deadline)
        self.own.add(ref)
        self._said.append(text)
        self.guards = self.guards.record(item, self._clock.now())
        self._news.count("replies")
        return Verdict(Outcome.REPLIED, reason, ref)

    async def _generate(self, view: ItemView, deadline: float) -> Candidates:
        prompt = self._build_prompt(view, self._reply.max_prompt_chars)
        try:
            return await self._ask_model(prompt, deadline)
        except InferenceRejected as exc:
            if not exc.too_long:
                raise
        return await self._ask_model(self._build_prompt(view, shorten(prompt, self._reply.max_prompt_chars)), deadline)

    async def _ask_model(self, prompt: Prompt, deadline: float) -> Candidates:
        model = self._faculties.reply
        assert model is not None, "a bot that replies has a model"
        return await ask_patiently(
            lambda: model.generate(prompt),
            TEXT,
            self._clock,
            deadline=deadline,
            on_failure=lambda exc: self._news.trouble(f"{model.name}: {exc}"),
        )

    def _build_prompt(self, view: ItemView, max_chars: int) -> Prompt:
        thread = view.thread if view.item.kind is not Kind.MESSAGE else None
        return build_reply_prompt(
            self._persona, thread, view.item, max_prompt_chars=max_chars, max_levels=self._rules.max_levels
        )

    def _clean(self, view: ItemView, raw_texts: Sequence[str]) -> list[str]:
        rules = self._make_clean_rules(view)
        cleaned = [clean_reply(raw, rules) for raw in raw_texts]
        texts = list(dict.fromkeys(clean.text for clean in cleaned if clean.text))
        if not texts:
            raise GaveUp(Why.UNPUBLISHABLE, ", ".join(str(clean.refused) for clean in cleaned), passing=False)
        fresh = [text for text in texts if not is_near_duplicate(text, tuple(self._said))]
        if not fresh:
            raise GaveUp(Why.DUPLICATE, "the bot said the same before", passing=False)
        return fresh

    def _make_clean_rules(self, view: ItemView) -> CleanRules:
        people = [view.item, *((view.thread.submission, *view.thread.levels) if view.thread else ())]
        return CleanRules(
            own_names=(self._config.reddit.username,),
            other_names=tuple({item.author.name for item in people if item.author}),
            allow_links=self._config.safety.allow_links,
            allow_mentions=self._config.safety.allow_mentions,
            max_comment_chars=self._platform.limits.comment - len(self._with_footer("")),
        )

    async def _choose(self, view: ItemView, texts: Sequence[str], deadline: float) -> str:
        """Moderate, then rank what passed; without a ranker the first that passes is it."""
        passed: list[str] = []
        objection: GaveUp | None = None
        for text in texts:
            objection = await self._editor.find_objection(text, deadline=deadline)
            if objection is None:
                passed.append(text)
                if self._faculties.rank is None:
                    break
        if not passed:
            assert objection is not None
            raise objection
        return await self._editor.choose([*_context_of(view), view.item.text], passed, deadline=deadline)

    def _with_footer(self, text: str) -> str:
        return f"{text}\n\n{self._reply.footer}" if self._reply.footer else text

    def _refuse_by_guard_at_write(self, item: Item) -> Verdict | None:
        if self._writer.has_answered(item.ref):
            return Verdict.of(Why.ALREADY_ANSWERED)
        why = self.guards.refusal(item, self._clock.now(), rules=self._rules)
        return Verdict.of(why) if why else None

    @contextmanager
    def _working_on(self, item: Item) -> Iterator[None]:
        self._in_work[item.ref] = item
        try:
            yield
        finally:
            del self._in_work[item.ref]

    # -- reading, telling --------------------------------------------------------------------

    async def _fetch_thread(self, found: Found) -> Thread:
        if found.item.kind is not Kind.COMMENT:
            return Thread(found.item, ())
        return await ask_patiently(
            lambda: self._platform.thread(found.item),
            READ,
            self._clock,
            deadline=found.deadline,
            on_failure=lambda exc: self._news.trouble(f"reading a thread: {exc}"),
        )

    def _end(self, found: Found, gave_up: GaveUp) -> Verdict | Deferred:
        self._note(found, gave_up)
        wait = max(gave_up.retry_after or 0.0, DEFER_SECONDS)
        if gave_up.passing and found.reason is not None and self._clock.monotonic() + wait < found.deadline:
            return Deferred(wait, gave_up.why, str(gave_up))
        return end_of(gave_up)

    def _note(self, found: Found, gave_up: GaveUp) -> None:
        cause = gave_up.__cause__ or gave_up
        if isinstance(cause, Refused) and cause.forbidden:
            self._news.forbidden(found.item.place)
        if end_of(gave_up).outcome is Outcome.FAILED:
            self._news.trouble(f"{gave_up.why.value}: {gave_up}")

    def _tell(self, found: Found, verdict: Verdict, seconds: float) -> None:
        self._news.count("submissions" if found.item.kind is Kind.SUBMISSION else "comments")
        self._news.event(
            "item.done",
            thing=found.item.ref,
            kind=found.item.kind.value,
            place=found.item.place,
            author=found.item.author.name if found.item.author else None,
            outcome=verdict.outcome.value,
            reason=verdict.why.value,
            detail=verdict.detail,
            seconds=round(seconds, 3),
        )


def _context_of(view: ItemView) -> list[str]:
    """Give the turns that lead to the item, oldest first, for a ranker."""
    if view.thread is None or view.item.kind is not Kind.COMMENT:
        return []
    top = view.thread.submission
    return [f"{top.title}\n{top.text}".strip(), *(level.text for level in view.thread.levels)]

"""The life of one item: from what was read to a reply on the platform, or to the reason why there is none.

Cheapest first: free local checks, the decision, one request for the thread, then what costs characters. Every
item ends in one `Verdict`; what is said to the bot while a service is away for now ends in `Deferred` and comes again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from itertools import chain

from hotshotd._types import Outcome
from hotshotd.admission import answering_people, billing
from hotshotd.brain.case import Case, Found
from hotshotd.brain.checks import Checks
from hotshotd.brain.composing import Composing
from hotshotd.brain.decision import Decision, decide, unit_draw
from hotshotd.brain.editor import Editor
from hotshotd.brain.ends import ENDING_ERRORS, GaveUp, end_of, give_up
from hotshotd.brain.filters import (
    AFTER_THREAD,
    BEFORE_THREAD,
    Filter,
    ItemView,
    find_refusals,
    found_keyword,
    is_own,
    on_own_post,
)
from hotshotd.brain.guards import Guards
from hotshotd.brain.optout import wants_out
from hotshotd.brain.patience import NONSENSE_ROUNDS, READ, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.rules import ReplyRules, level_of
from hotshotd.brain.trace import Tell, make_show
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.brain.writing import ANSWERS_KEPT, Writer
from hotshotd.config.schema import BotConfig
from hotshotd.errors import Down, InferenceNonsense, PaceExceeded, Refused, Retry, Unknown
from hotshotd.platform import Item, Kind, Platform, Reason, Ref, Thread
from hotshotd.recent import Recent

__all__ = ["DEFER_SECONDS", "ITEM_SECONDS", "Answering", "Deferred", "Found"]

#: Seconds that one item of a listing has from when it was read.
ITEM_SECONDS = 900.0
#: Own comments that nothing may be said like again.
SAID_BEFORE = 100
#: Own things remembered by name: as many as answers (`writing`); who answers an older one is no follow-up.
OWN_KEPT = ANSWERS_KEPT
#: Seconds before an item is tried again whose service is away.
DEFER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Deferred:
    """The same item, as `found`, is to be tried again after some seconds."""

    seconds: float
    why: Why
    detail: str
    found: Found


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
        self._rules = ReplyRules.from_config(config)
        self._checks = Checks(config, config.reply, faculties=faculties, editor=editor, clock=clock, news=news)
        self._composing = Composing(
            config,
            config.reply,
            self._rules,
            faculties=faculties,
            editor=editor,
            limits=platform.limits,
            clock=clock,
            news=news,
        )
        self._platform = platform
        self._writer = writer
        self._clock = clock
        self._news = news
        self._generating = asyncio.Semaphore(config.reply.parallel)
        self._in_work: dict[Ref, Item] = {}
        self._opted_out: set[str] = set()
        self.guards = guards
        #: Places, casefolded, where the account is banned.
        self.banned: Collection[str] = frozenset()
        #: The names of what the bot wrote.
        self.own: Recent[Ref] = Recent(OWN_KEPT)
        self._said: deque[str] = deque(maxlen=SAID_BEFORE)

    def remember_own(self, items: Sequence[Item]) -> None:
        """Take note of the bot's own things, oldest first: whose answers are follow-ups, and what not to say again."""
        self.own.renew(item.ref for item in items)
        end = self._composing.with_footer("")
        self._said.extend(item.text.removesuffix(end) for item in items if item.kind is Kind.COMMENT)

    async def handle(self, found: Found) -> Verdict | Deferred:
        """Bring one item to its end.

        Raises:
            BotPaused: The item is to be handled after the pause.
            AuthDead: The account is refused; nothing will work any more.
        """
        started = self._clock.monotonic()
        try:
            verdict: Verdict | Deferred = await self._consider(Case(found, self._view(found)))
        except ENDING_ERRORS as exc:
            verdict = self._end(found, give_up(exc))
        if isinstance(verdict, Deferred):
            self._news.event(
                "item.deferred", thing=found.item.ref, reason=verdict.why.value, seconds=int(verdict.seconds)
            )
        else:
            self._tell(found, verdict, self._clock.monotonic() - started)
        return verdict

    async def examine(self, item: Item, *, tell: Tell) -> Verdict:
        """Show the whole decision for one thing, as it would be made at work; write nothing.

        Goes on past refusals by chance, by the gate, by a foreign subreddit or by age, so that the rest can be seen.
        What it asks of services is charged as always. The verdict is that of the bot at work; `replied` means that it
        would reply, and its detail is the text.

        Raises:
            BotPaused, AuthDead: As `handle` does.
        """
        with billing():
            show = make_show(tell)
            found = Found(item, None, self._clock.monotonic() + ITEM_SECONDS)
            case = Case(found, self._view(found), show, is_trial=True)
            try:
                thread = await self._fetch_thread(found)
                case.found = replace(found, reason=self._guess_reason(item, thread))
                case.view = self._view(case.found)
                show("item", _describe(item, case.found.reason))
                return await self._consider(case, thread=thread)
            except ENDING_ERRORS as exc:
                end = end_of(give_up(exc))
                show(end.outcome.value, f"{end.why.value} {end.detail}".strip())
                return case.forgiven or end

    # -- deciding ----------------------------------------------------------------------------

    async def _consider(self, case: Case, *, thread: Thread | None = None) -> Verdict:
        # Whoever spoke to the bot is not kept waiting for the sake of strangers (`pace: even`).
        with answering_people() if self._is_addressed(case.view) else nullcontext():
            return await self._consider_at_its_pace(case, thread)

    def _is_addressed(self, view: ItemView) -> bool:
        return view.reason is not None or (view.item.parent is not None and view.item.parent in self.own)

    async def _consider_at_its_pace(self, case: Case, thread: Thread | None) -> Verdict:
        if self._wants_out(case.view):
            return await self._let_go(case)
        refusal = await self._find_refusal(case, thread)
        if refusal is not None:
            return refusal
        decision = await self._decide(case)
        against = () if decision.answer else (Verdict.of(decision.reason, detail=f"{decision.chance:.2f}"),)
        # Again, and with no await before it counts as in work: others came in while services were asked.
        refusal = _find_end(case, (*against, *self._refuse_by_guard(case.item)))
        if refusal is not None:
            return refusal
        if case.is_trial:
            return await self._answer(case, decision.reason)
        with self._working_on(case.item):
            return await self._answer(case, decision.reason)

    async def _find_refusal(self, case: Case, thread: Thread | None) -> Verdict | None:
        """Give why an item is not fit to be answered: what is free is asked first, then Reddit, then services."""
        before = chain(
            self._refuse_by_filter(case, BEFORE_THREAD),
            self._refuse_by_chance(case.view),
            self._refuse_by_guard(case.item),
        )
        refusal = _find_end(case, before)
        if refusal is None:
            case.view = case.view.with_thread(thread or await self._fetch_thread(case.found))
            refusal = _find_end(case, self._refuse_by_filter(case, AFTER_THREAD))
        if refusal is None:
            unfit = await self._checks.find_refusal(case)
            refusal = _find_end(case, (unfit,) if unfit else ())
        return refusal

    def _refuse_by_filter(self, case: Case, table: tuple[Filter, ...]) -> Iterator[Verdict]:
        for why in find_refusals(case.view, self._rules, table=table):
            detail = f"keyword {found_keyword(case.view, self._rules)!r}" if why is Why.KEYWORD else ""
            yield Verdict.of(why, detail=detail)

    def _refuse_by_chance(self, view: ItemView) -> Iterator[Verdict]:
        decision = self._make_decision(view)
        if decision.answer is False:
            yield Verdict.of(decision.reason, detail=f"{decision.chance:.2f}")

    def _view(self, found: Found) -> ItemView:
        item, reason = found.item, found.reason
        answered = {item.ref} if self._writer.has_answered(item.ref) else set()
        if reason is None and self._mentions_us(item):
            reason = Reason.MENTION
        now = self._clock.now()
        if found.made_at is not None:
            now = item.created_at + timedelta(seconds=self._clock.monotonic() - found.made_at)
        return ItemView(
            item,
            now,
            reason,
            answered=answered,
            own=self.own,
            ignored=self._opted_out,
            banned=self.banned,
        )

    def _guess_reason(self, item: Item, thread: Thread) -> Reason | None:
        """Give why the inbox would show a thing."""
        if item.kind is not Kind.COMMENT or self._mentions_us(item):
            return None
        above = thread.levels[-1] if thread.levels else thread.submission
        if not is_own(above.author, self._rules):
            return None
        return Reason.COMMENT_REPLY if above.kind is Kind.COMMENT else Reason.POST_REPLY

    def _wants_out(self, view: ItemView) -> bool:
        """Tell whether somebody who speaks to the bot says stop, and has not said so before."""
        item = view.item
        is_new = item.author is not None and item.author.key not in (self._rules.own_key, *self._opted_out)
        return self._config.safety.opt_out and self._is_addressed(view) and is_new and wants_out(item.text)

    async def _let_go(self, case: Case) -> Verdict:
        """Never answer this person again: in this process from now on, and the platform remembers it."""
        verdict = Verdict.of(Why.OPTED_OUT, detail="asked to stop")
        if case.is_trial:
            case.show("refused", f"{verdict.why.value} {verdict.detail}")
            return verdict
        author = case.item.author
        assert author is not None
        self._opted_out.add(author.key)
        if not self._config.dry_run:
            try:
                await self._platform.block(author)
            except (Retry, Unknown, Refused, Down) as exc:
                self._news.trouble(f"blocking u/{author.name}, who wants no answers: {exc}")
        return verdict

    def _mentions_us(self, item: Item) -> bool:
        # A listing may show a mention before the inbox does.
        words = item.text.casefold().replace("/u/", "u/").split()
        return f"u/{self._rules.own_key}" in (word.strip(".,;:!?()*_\"'") for word in words)

    def _refuse_by_guard(self, item: Item) -> Iterator[Verdict]:
        # Answers on their way count as if they were given: two at once must not pass one limit.
        now = self._clock.now()
        projected = reduce(lambda guards, other: guards.record(other, now), self._in_work.values(), self.guards)
        why = projected.refusal(item, now, rules=self._rules)
        if why:
            yield Verdict.of(why)

    def _make_decision(self, view: ItemView) -> Decision:
        return decide(
            view.item,
            bot=self._config.name,
            rules=self._rules,
            reason=view.reason,
            on_own_post=on_own_post(view, self._rules),
        )

    async def _decide(self, case: Case) -> Decision:
        """Decide with the thread at hand; only here does the ranker cost characters."""
        decision = self._make_decision(case.view)
        case.show("decision", _describe_decision(decision, draw=unit_draw(self._config.name, case.item.ref)))
        return decision if decision.answer is not None else await self._checks.score(case, decision)

    # -- answering ---------------------------------------------------------------------------

    async def _answer(self, case: Case, reason: Why) -> Verdict:
        async with self._generating:
            # Inside: the wait for a turn may outlast the item's time, or the platform may hold writes meanwhile.
            if not case.is_trial:
                await self._writer.until_free(case.deadline)
            text = await self._composing.compose(case, self._said)
        if case.is_trial:
            case.show("reply", self._composing.with_footer(text))
            return case.forgiven or Verdict(Outcome.REPLIED, reason, text)
        if self._config.dry_run:
            return Verdict(Outcome.SKIPPED, Why.DRY_RUN, f"{len(text)} characters")
        return await self._write(case, text, reason)

    async def _write(self, case: Case, text: str, reason: Why) -> Verdict:
        item = case.item
        self._check_at_write(item)
        ref = await self._writer.reply(
            item,
            self._composing.with_footer(text),
            deadline=case.deadline,
            check=lambda: self._check_at_write(item),
        )
        self.own.add(ref)
        self._said.append(text)
        self.guards = self.guards.record(item, self._clock.now())
        self._news.count("replies")
        return Verdict(Outcome.REPLIED, reason, ref)

    def _check_at_write(self, item: Item) -> None:
        """Raise what has come up while this answer was written, or waited for its turn."""
        why = self.guards.refusal(item, self._clock.now(), rules=self._rules)
        if self._writer.has_answered(item.ref):
            why = Why.ALREADY_ANSWERED
        elif item.author is not None and item.author.key in self._opted_out:
            why = Why.OPTED_OUT
        if why:
            raise GaveUp(why, "", passing=False)

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
        wait = max(gave_up.retry_after or 0.0, self._until_pace_allows(gave_up), DEFER_SECONDS)
        later, passing = self._as_notice(found), gave_up.passing
        if not passing and isinstance(gave_up.__cause__, InferenceNonsense):
            later = replace(later, nonsense=later.nonsense + 1)
            wait = NONSENSE_ROUNDS.compute_pause(later.nonsense)
            passing = later.nonsense < NONSENSE_ROUNDS.tries
        if passing and later.reason is not None and self._clock.monotonic() + wait < later.deadline:
            return Deferred(wait, gave_up.why, str(gave_up), later)
        return end_of(gave_up)

    def _as_notice(self, found: Found) -> Found:
        """Give a thing as the inbox will bring it: a listing may be the first to show what is said to the bot."""
        view = self._view(found)
        reason = view.reason or self._expect_reason(view)
        if found.reason is not None or reason is None:
            return found
        age = (view.now - view.item.created_at).total_seconds()
        deadline = self._clock.monotonic() + self._rules.inbox_lookback_seconds - age
        return replace(found, reason=reason, deadline=deadline)

    def _expect_reason(self, view: ItemView) -> Reason | None:
        if not self._rules.inbox_comments:
            return None
        if level_of(view.item) == 1 and on_own_post(view, self._rules):
            return Reason.POST_REPLY
        return Reason.COMMENT_REPLY if view.item.parent in self.own else None

    def _until_pace_allows(self, gave_up: GaveUp) -> float:
        cause = gave_up.__cause__
        return (cause.resets_at - self._clock.now()).total_seconds() if isinstance(cause, PaceExceeded) else 0.0

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


def _find_end(case: Case, refusals: Iterable[Verdict]) -> Verdict | None:
    """Give the first refusal that ends the item; later ones are not asked for then."""
    return next((refusal for refusal in refusals if case.ends_with(refusal)), None)


def _describe(item: Item, reason: Reason | None) -> str:
    who = f"u/{item.author.name}" if item.author else "somebody deleted"
    where = f" in r/{item.place}" if item.place else ""
    why = f" ({reason.value.replace('_', ' ')})" if reason else ""
    return f"{item.kind.value} {item.ref} by {who}{where}{why}\n{item.title or item.text}".strip()


def _describe_decision(decision: Decision, *, draw: float) -> str:
    if decision.answer is None:
        return "a deeper comment: the ranker decides"
    if decision.reason is not Why.CHANCE:
        return f"answered for certain: {decision.reason.value}"
    return f"chance {decision.chance:.2f}, drawn {draw:.2f}: {'answer' if decision.answer else 'no answer'}"

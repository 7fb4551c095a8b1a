"""Services of bots behind the asynchronous ports: each request is admitted, sent, lost or answered, and accounted for.

The order is that of `hotshotd.inference.http`: check, connect, ask under the gate, send, wait, account.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import TypeVar

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Knock, Result
from hotshotd.errors import (
    BreakerOpen,
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    KnockFirst,
    QuotaError,
    QuotaUnavailable,
)
from hotshotd.inference.base import Candidates, Judgement, Picture, Prompt
from simulation.causes import ALL
from simulation.loop import Gone, Process, SimLoop
from simulation.promises import AMISS_SECONDS, Promises
from simulation.quota import SimQuotaClient
from simulation.seen import KEYWORD, name_model

T = TypeVar("T")

#: A word that moderators refuse.
TOXIC = "vexatious"
_OUTSIDE = Context()
_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)

_WORDS = [
    "the",
    "lamp",
    "turned",
    "over",
    "water",
    "and",
    "gulls",
    "came",
    "near",
    "a",
    "boat",
    "with",
    "green",
    "sails",
    "while",
    "rain",
    "moved",
    "slowly",
    "past",
    "every",
    "window",
    "old",
    "maps",
    "show",
    "another",
    "harbour",
    "where",
    "fishermen",
    "counted",
    "stars",
    "until",
    "morning",
    "brought",
    "bread",
    "coffee",
    "and",
    "long",
    "letters",
]


def make_sentence(chance: random.Random, *, words: int = 12) -> str:
    """Give a sentence that is seldom like another."""
    drawn = [chance.choice(_WORDS) for _ in range(words)]
    return f"{' '.join(drawn).capitalize()} number {chance.randrange(10**6)}."


@dataclass(slots=True)
class Weather:
    """How services fare, for all bots: until when which is away."""

    faults: float = 0.0
    text_down_until: float = 0.0
    text_gone_until: float = 0.0
    moderation_down_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Wire:
    """One worker's way to its services."""

    loop: SimLoop
    process: Process
    quota: SimQuotaClient
    promises: Promises
    weather: Weather
    chance: random.Random
    bot: str

    async def call(
        self, ask: Ask, answer: Callable[[], T], *, seconds: float, is_down: bool = False, is_gone: bool = False
    ) -> T:
        """Make one request."""
        self._check()
        self._ask(ask, lambda: self.quota.check(ask))
        await self._wait(0.05)
        fault = self._draw_fault(is_down=is_down, is_gone=is_gone)
        if fault == "unreachable":
            error: InferenceError = InferenceUnavailable(f"{ask.service} can't be reached")
            self._note(ask, fault)
            self.promises.causes.note_asked(self.bot, ask.service)
            self.quota.report_unsent(ask, result=Result.FAILED, error=str(error))
            raise error
        with self.quota.sending():
            permit = self._ask(ask, lambda: self.quota.ask(ask), chars=ask.chars)
        begun = self.loop.elapsed
        if fault == "not sent":
            self._note(ask, fault)
            self.promises.money.note_charged(self.bot, -ask.chars)
            self.quota.account(Account(permit, Result.NOT_SENT, error="reset while it was being sent"))
            raise InferenceUnavailable(f"{ask.service}: the connection broke before anything was sent")
        # It travels on its own; after a death of the sender, TCP may repeat it for minutes.
        slow = self.chance.random() < 0.03 or self.process.doom == "call"
        delay = self.chance.uniform(2.0, 100.0) if slow else self.chance.uniform(0.01, 2.0)
        self.loop.call_later(delay, self._arrive, ask.chars, context=_OUTSIDE)
        self.promises.causes.note(ALL, f"{name_model(ask)} asked")
        self.promises.causes.note_asked(self.bot, ask.service)
        self.process.meet("call")
        await self._wait(delay + self.chance.uniform(0.1, 1.0) * seconds if fault != "time-out" else 120.0)
        took = self.loop.elapsed - begun
        if fault in _ANSWERS:
            result, error = _ANSWERS[fault](ask, self.chance)
            wish = getattr(error, "retry_after", None)
            self._note(ask, fault, seconds=wish or 0.0)
            self.quota.account(Account(permit, result, seconds=took, retry_after=wish, error=str(error)))
            raise error
        if ask.knock is not Knock.IS:
            self.promises.causes.note_result(name_model(ask), is_good=True)
        self.quota.account(Account(permit, Result.OK, Chars(100), seconds=took))
        return answer()

    def _ask(self, ask: Ask, admit: Callable[[], T], *, chars: int = 0) -> T:
        """Ask the quota process, and have its refusals judged; what it may have charged before a death is charged."""
        money = self.promises.money
        money.note_charged(self.bot, chars)
        try:
            return admit()
        except (QuotaError, BreakerOpen) as exc:
            if not isinstance(exc, QuotaUnavailable):
                money.note_charged(self.bot, -chars)
            self.promises.note_refused(self.bot, ask, exc)
            raise

    def _note(self, ask: Ask, fault: str, *, seconds: float = 0.0) -> None:
        self.promises.causes.note_amiss(self.bot, f"{ask.role.value}: {fault}", seconds=seconds + AMISS_SECONDS)
        self.promises.causes.note_result(name_model(ask), is_good=False, is_gone=fault == "gone")

    def _arrive(self, chars: int) -> None:
        if chars:
            self.promises.note_received(self.bot, chars)

    def _draw_fault(self, *, is_down: bool, is_gone: bool) -> str:
        if is_gone:
            return "gone"
        if is_down:
            return self.chance.choice(("unreachable", "time-out", "5xx", "5xx", "429"))
        if self.chance.random() >= self.weather.faults:
            return ""
        return self.chance.choice(_FAULTS)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._check()

    def _check(self) -> None:
        if self.process.dead:
            raise Gone


def _fail(ask: Ask, chance: random.Random) -> tuple[Result, InferenceError]:  # noqa: ARG001
    return Result.FAILED, InferenceUnavailable(f"{ask.service}: 503")


def _refuse(ask: Ask, chance: random.Random) -> tuple[Result, InferenceError]:
    return Result.REJECTED, InferenceRejected(f"{ask.service}: 400", status=400, too_long=chance.random() < 0.5)


def _slow_down(ask: Ask, chance: random.Random) -> tuple[Result, InferenceError]:
    wish = chance.choice((None, 5.0, 90.0))
    return Result.FAILED, InferenceUnavailable(f"{ask.service}: 429", retry_after=wish)


def _talk_nonsense(ask: Ask, chance: random.Random) -> tuple[Result, InferenceError]:  # noqa: ARG001
    return Result.FAILED, InferenceNonsense(f"{ask.service}: not JSON")


def _be_gone(ask: Ask, chance: random.Random) -> tuple[Result, InferenceError]:  # noqa: ARG001
    return Result.GONE, InferenceGone(f"{ask.service}: 404", status=404)


_ANSWERS: dict[str, Callable[[Ask, random.Random], tuple[Result, InferenceError]]] = {
    "time-out": _fail,
    "5xx": _fail,
    "reset after": _fail,
    "refused": _refuse,
    "429": _slow_down,
    "nonsense": _talk_nonsense,
    "gone": _be_gone,
}
_FAULTS = ("unreachable", "not sent", "time-out", "5xx", "reset after", "refused", "429", "nonsense")


class SimText:
    """A text model: sentences, of which some are toxic, empty, or speak for others."""

    def __init__(self, wire: Wire, name: str, *, metered: bool, chats: bool, posts: bool = False) -> None:
        self.name = name
        self.metered = metered
        self._wire = wire
        self._chats = chats
        self._posts = posts
        self._last = ""

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:  # noqa: ARG002
        chars = prompt.count_messages() if self._chats and prompt.messages else prompt.count_text()
        try:
            return await self._ask(chars, Knock.CAN, lambda: self._speak(prompt, chars))
        except KnockFirst:
            await self._knock()
        return await self._ask(chars, Knock.CAN, lambda: self._speak(prompt, chars))

    async def _knock(self) -> None:
        try:
            await self._ask(2, Knock.IS, lambda: None)
        except InferenceRejected:
            pass

    async def _ask(self, chars: int, knock: Knock, answer: Callable[[], T]) -> T:
        ask = Ask(self.name, Role.TEXT, Chars(chars if self.metered else 0), model="m", key_id="k", knock=knock)
        weather, now = self._wire.weather, self._wire.loop.elapsed
        return await self._wire.call(
            ask,
            answer,
            seconds=8.0,
            is_down=self.metered and weather.text_down_until > now,
            is_gone=self.metered and weather.text_gone_until > now,
        )

    def _speak(self, prompt: Prompt, chars: int) -> Candidates:
        texts = tuple(self._draw(prompt) for _ in range(self._wire.chance.choice((1, 1, 2))))
        cost = Chars(chars if self.metered else 0)
        return Candidates(texts, cost, self.name, "m", of_messages=self._chats)

    def _draw(self, prompt: Prompt) -> str:
        chance = self._wire.chance
        kind = chance.random()
        text = make_sentence(chance)
        if kind < 0.05:
            text = f"A {TOXIC} thought. {text}"
        elif kind < 0.07:
            text = ""
            self._note("text that is none")
        elif kind < 0.1:
            text = f"{text}\nUser: and what then?"
        elif kind < 0.11:
            text = f"An {KEYWORD} thought. {text}"
            self._note("text with a keyword")
        elif kind < 0.12 and self._last:
            self._note("text said before")
            if KEYWORD in self._last:
                self._note("text with a keyword")
            return self._last
        self._last = self._dress(prompt, text)
        return self._last

    def _dress(self, prompt: Prompt, text: str) -> str:
        """Give a text in the form that the prompt asks for."""
        chance = self._wire.chance
        if prompt.text.startswith("<|so"):
            return f" r/here|><|sot|>{make_sentence(chance, words=5)}<|sost|>{text}<|eoss|>"
        if self._posts and self._chats:
            return f"Title: {make_sentence(chance, words=5)}\n\n{text}"
        return make_sentence(chance, words=5) if prompt.text.endswith("Title:") else text

    def _note(self, cause: str) -> None:
        self._wire.promises.causes.note(self._wire.bot, cause)


class SimRanker:
    """A ranker with opinions of its own."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self._wire = wire

    async def score(self, context: Sequence[str], reply: str) -> float:
        chars = sum(map(len, context)) + len(reply)
        ask = Ask("hf", Role.RANK, Chars(chars), model=self.name, key_id="k")
        return await self._wire.call(ask, self._wire.chance.random, seconds=1.0)


class SimModerator:
    """A moderator that refuses what holds a certain word."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self._wire = wire

    async def judge(self, text: str) -> Judgement:
        ask = Ask(self.name, Role.MODERATION, Chars(0), key_id="k")
        is_down = self._wire.weather.moderation_down_until > self._wire.loop.elapsed
        return await self._wire.call(ask, lambda: self._decide(text), seconds=0.5, is_down=is_down)

    def _decide(self, text: str) -> Judgement:
        is_good = TOXIC not in text
        if is_good:
            self._wire.promises.note_passed(self._wire.bot, self.name, text)
        else:
            self._wire.promises.causes.note(self._wire.bot, "text that a moderator refused")
        return Judgement(is_good, self.name, "" if is_good else "TOXICITY 0.97")


class SimPainter:
    """A painter of one small picture."""

    name = "pictures"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def paint(self, prompt: str) -> Picture:
        ask = Ask("hf", Role.PICTURE, Chars(len(prompt)), model="paint", key_id="k")
        return await self._wire.call(ask, lambda: Picture(_PICTURE, "png"), seconds=20.0)

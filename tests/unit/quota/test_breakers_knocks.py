"""Knocks: before a long prompt is paid for, a service that failed answers a tiny one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hotshotd._types import BotName, Chars, Role
from hotshotd.admission import Ask, Knock, Result
from hotshotd.errors import BreakerOpen, KnockFirst
from hotshotd.quota.breakers import (
    FAILURES_TO_OPEN,
    GONE_PAUSE,
    KNOCK_CHARS,
    KNOCKED_SECONDS,
    OPEN_PAUSE,
    PROBE_SECONDS,
    WINDOW_REQUESTS,
    Breakers,
    ServiceState,
)
from hotshotd.quota.moment import Moment

LONG = Ask(service="hf", role=Role.TEXT, chars=Chars(1400), model="gpt2", key_id="k", knock=Knock.CAN)
KNOCK = replace(LONG, chars=Chars(2), knock=Knock.IS)
_DAY = datetime(2026, 11, 24, 12, tzinfo=UTC)
#: What is sent without a knock, however it stands with the service.
PLAIN = {
    "short": replace(LONG, chars=Chars(KNOCK_CHARS)),
    "not metered": replace(LONG, chars=Chars(0)),
    "by one who can't knock": replace(LONG, knock=Knock.NONE),
}


class Caller:
    """Asks, knocks where it is told to, and counts what went out."""

    def __init__(self, clock) -> None:
        self.breakers = Breakers()
        self.clock = clock
        self.sent: list[Ask] = []
        self._numbers = count(1)

    def check(self, ask=LONG, bot="iama") -> None:
        self.breakers.check(bot, ask, at=self.clock.at)

    def begin(self, ask=LONG, bot="iama") -> int:
        self.check(ask, bot)
        number = next(self._numbers)
        self.breakers.begin(bot, ask, number=number, at=self.clock.at)
        self.sent.append(ask)
        return number

    def send(self, result, ask=LONG, bot="iama") -> None:
        self.breakers.settle(self.begin(ask, bot), result, at=self.clock.at)

    def open(self) -> None:
        """Fail until the breaker is open, and wait until it lets a probe out."""
        for number in range(FAILURES_TO_OPEN):
            self.send(Result.FAILED, bot=f"bot{number}")
        self.clock.advance(OPEN_PAUSE.base_seconds)

    def generate(self, *, tiny: Result, long: Result) -> None:
        """Do as a text client does, at a service that answers tiny and long prompts so."""
        try:
            self.send(long)
        except KnockFirst:
            self.send(tiny, KNOCK)
            if tiny in (Result.OK, Result.REJECTED):
                self.send(long)

    @property
    def state(self) -> ServiceState:
        return self.breakers.compute_figures(at=self.clock.at)[0].state


@pytest.fixture
def caller(clock) -> Caller:
    return Caller(clock)


def last(caller: Caller, seconds: float, *, tiny: Result, long: Result) -> None:
    """Want an answer all the time, for so many seconds."""
    end = caller.clock.monotonic() + seconds
    while caller.clock.monotonic() < end:
        try:
            caller.generate(tiny=tiny, long=long)
        except BreakerOpen as exc:
            caller.clock.advance(exc.retry_after)


def test_knock__is_wanted_before_a_long_probe_only(caller):
    """Nobody knocks at a service that works, or that is not asked at all for now."""
    caller.check()
    for number in range(FAILURES_TO_OPEN):
        caller.send(Result.FAILED, bot=f"bot{number}")
    with pytest.raises(BreakerOpen) as caught:
        caller.check()
    assert not isinstance(caught.value, KnockFirst)
    caller.clock.advance(OPEN_PAUSE.base_seconds)
    with pytest.raises(KnockFirst) as knock:
        caller.check()
    assert (knock.value.retry_after, knock.value.gone) == (0.0, False)


@pytest.mark.parametrize("what", PLAIN)
def test_knock__is_not_wanted_before_what_costs_little(caller, what):
    """What is short, costs nothing, or comes from one who can't knock is the probe itself, as it is."""
    caller.open()
    caller.send(Result.OK, PLAIN[what])
    assert caller.state is ServiceState.OK


def test_knock__that_fails_is_a_failed_probe(caller):
    """The pause grows by it: 10, 20, 30 s."""
    caller.open()
    waits = []
    for _ in range(4):
        caller.send(Result.FAILED, KNOCK)
        with pytest.raises(BreakerOpen) as caught:
            caller.check()
        waits.append(caught.value.retry_after)
        caller.clock.advance(caught.value.retry_after)
    assert waits == [20, 30, 30, 30]


def test_knock__that_finds_nobody_is_a_failed_probe(caller):
    """It could not even be sent."""
    caller.open()
    caller.breakers.note_unsent("iama", KNOCK, Result.FAILED, error="nothing answers", at=caller.clock.at)
    assert caller.state is ServiceState.OPEN


def test_knock__that_is_refused_for_good_doubles_the_pause(caller):
    """After GONE a knock goes before as well, and a model that is still gone is not asked for twice as long."""
    caller.send(Result.GONE)
    caller.clock.advance(GONE_PAUSE.base_seconds)
    with pytest.raises(KnockFirst) as knock:
        caller.check()
    assert knock.value.gone
    caller.send(Result.GONE, KNOCK)
    with pytest.raises(BreakerOpen) as caught:
        caller.check()
    assert (caught.value.gone, caught.value.retry_after) == (True, 2 * GONE_PAUSE.base_seconds)


@pytest.mark.parametrize("answer", [Result.OK, Result.REJECTED])
def test_knock__that_is_answered_lets_one_probe_out(caller, answer):
    """Also a refusal is an answer. It closes nothing: only the probe does."""
    caller.open()
    caller.send(answer, KNOCK)
    assert caller.state is ServiceState.HALF_OPEN
    probe = caller.begin()
    with pytest.raises(BreakerOpen):
        caller.check(bot="other")
    caller.breakers.settle(probe, Result.OK, at=caller.clock.at)
    assert caller.state is ServiceState.OK
    caller.check()


def test_knock__whose_probe_fails_is_worth_nothing_any_more(caller):
    """The next probe wants another knock, however short the pause."""
    caller.open()
    caller.send(Result.OK, KNOCK)
    caller.send(Result.FAILED)
    caller.clock.advance(20)
    with pytest.raises(KnockFirst):
        caller.check()


def test_knock__is_worth_nothing_after_a_while(caller):
    """Whoever knocked may have gone away; the service may have, too."""
    caller.open()
    caller.send(Result.OK, KNOCK)
    caller.clock.advance(KNOCKED_SECONDS - 1)
    caller.check()
    caller.clock.advance(1)
    with pytest.raises(KnockFirst):
        caller.check()


def test_knock__that_is_answered_late_is_worth_nothing(caller):
    """Another one went out meanwhile, and failed: the news are older than that."""
    caller.open()
    late = caller.begin(KNOCK)
    caller.clock.advance(PROBE_SECONDS)
    caller.send(Result.FAILED, KNOCK)
    caller.breakers.settle(late, Result.OK, at=caller.clock.at)
    caller.clock.advance(20)
    with pytest.raises(KnockFirst):
        caller.check()


def test_knock__goes_out_alone(caller):
    """While one knocks, others wait as for a probe."""
    caller.open()
    caller.begin(KNOCK)
    for ask in (KNOCK, LONG):
        with pytest.raises(BreakerOpen) as caught:
            caller.check(ask, bot="other")
        assert type(caught.value) is BreakerOpen


def test_knock__not_sent_or_abandoned_is_knocked_again(caller):
    """It found out nothing."""
    caller.open()
    caller.send(Result.NOT_SENT, KNOCK)
    with pytest.raises(KnockFirst):
        caller.check()
    caller.breakers.abandon(caller.begin(KNOCK))
    with pytest.raises(KnockFirst):
        caller.check()


def test_outage__costs_two_characters_a_probe(caller):
    """Two hours of it: what opened the breaker, and then nothing but knocks."""
    last(caller, 7200.0, tiny=Result.FAILED, long=Result.FAILED)
    assert caller.sent[FAILURES_TO_OPEN:] == [KNOCK] * (len(caller.sent) - FAILURES_TO_OPEN)
    assert 200 < len(caller.sent) <= 250


@pytest.mark.parametrize("tiny", [Result.OK, Result.REJECTED])
def test_outage__of_long_prompts_only_is_asked_no_more_than_ever(caller, tiny):
    """A service that answers knocks and nothing else: six long prompts a minute at most, and soon two."""
    times: list[float] = []
    started = caller.clock.monotonic()
    while caller.clock.monotonic() < started + 3600:
        before = caller.sent.count(LONG)
        try:
            caller.generate(tiny=tiny, long=Result.FAILED)
        except BreakerOpen as exc:
            caller.clock.advance(exc.retry_after)
        times += [caller.clock.monotonic()] * (caller.sent.count(LONG) - before)
    assert all(late - early >= 60 for early, late in zip(times, times[WINDOW_REQUESTS:], strict=False))
    assert 110 < len(times) < 130


def test_window__counts_knocks_that_fail(caller):
    """Six failures of one bot, knocks among them, are all there may be in a minute."""
    for _ in range(FAILURES_TO_OPEN):
        caller.send(Result.FAILED)
    caller.clock.advance(OPEN_PAUSE.base_seconds)
    caller.send(Result.FAILED, KNOCK)
    caller.clock.advance(20)
    with pytest.raises(BreakerOpen) as caught:
        caller.check()
    assert caught.value.retry_after == 30
    assert "none of iama's last 6 requests" in str(caught.value)


def test_window__lets_the_probe_follow_its_knock(caller):
    """Five failures at once and a knock: the answer comes now, not when the minute is over."""
    for _ in range(FAILURES_TO_OPEN):
        caller.send(Result.FAILED)
    caller.clock.advance(OPEN_PAUSE.base_seconds)
    caller.generate(tiny=Result.OK, long=Result.OK)
    assert caller.state is ServiceState.OK


class Knocking(RuleBasedStateMachine):
    """Bots that ask, knock, succeed, fail and fall silent in any order."""

    bots = st.sampled_from(["a", "b", "c"]).map(BotName)

    def __init__(self) -> None:
        super().__init__()
        self.breakers = Breakers()
        self.now = 1000.0
        self.numbers = count(1)
        self.flying: dict[int, Ask] = {}
        #: What is in flight as a probe or a knock, and since when.
        self.probes: dict[int, float] = {}
        #: When a knock was answered, with no failure since.
        self.answered_at: float | None = None

    @property
    def at(self) -> Moment:
        return Moment(now=_DAY, monotonic=self.now)

    @property
    def state(self) -> ServiceState:
        lines = self.breakers.compute_figures(at=self.at)
        return lines[0].state if lines else ServiceState.OK

    @rule(bot=bots, ask=st.sampled_from([LONG, LONG, KNOCK, PLAIN["by one who can't knock"]]))
    def asks(self, bot: BotName, ask: Ask) -> None:
        try:
            self.breakers.check(bot, ask, at=self.at)
        except KnockFirst:
            assert ask is LONG
            # Else it would be told to do what it can't.
            self.breakers.check(bot, KNOCK, at=self.at)
            ask = KNOCK
        except BreakerOpen:
            return
        number = next(self.numbers)
        if self.state is not ServiceState.OK:
            assert all(since + PROBE_SECONDS <= self.now for since in self.probes.values())
            if ask is LONG:
                assert self.answered_at is not None
                assert self.answered_at + KNOCKED_SECONDS > self.now
            self.probes[number] = self.now
        self.breakers.begin(bot, ask, number=number, at=self.at)
        self.flying[number] = ask

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), result=st.sampled_from(Result))
    def hears(self, data: st.DataObject, result: Result) -> None:
        number = data.draw(st.sampled_from(sorted(self.flying)))
        ask, before = self.flying.pop(number), self.state
        self.breakers.settle(number, result, at=self.at)
        self.probes.pop(number, None)
        if before is not ServiceState.OK and self.state is ServiceState.OK:
            assert result is Result.OK
            assert ask is not KNOCK
        if self.state is ServiceState.HALF_OPEN and ask is KNOCK and result in (Result.OK, Result.REJECTED):
            self.answered_at = self.now
        elif before is ServiceState.HALF_OPEN and self.state in (ServiceState.OPEN, ServiceState.GONE):
            self.answered_at = None

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.flying)))
        del self.flying[number]
        self.probes.pop(number, None)
        self.breakers.abandon(number)

    @rule(bot=bots, result=st.sampled_from([Result.FAILED, Result.FAILED, Result.GONE]))
    def finds_nobody(self, bot: BotName, result: Result) -> None:
        try:
            self.breakers.check(bot, KNOCK, at=self.at)
        except BreakerOpen:
            return
        self.breakers.note_unsent(bot, KNOCK, result, error="nothing answers", at=self.at)
        if self.state is not ServiceState.OK:
            self.answered_at = None

    @rule(seconds=st.sampled_from([1.0, 10.0, 10.0, 29.0, 30.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_pause_is_longer_than_its_cap(self) -> None:
        caps = {ServiceState.OPEN: OPEN_PAUSE.cap_seconds, ServiceState.GONE: GONE_PAUSE.cap_seconds}
        for line in self.breakers.compute_figures(at=self.at):
            assert (line.until is None) is (line.state not in caps)
            if line.until is not None:
                assert (line.until - _DAY).total_seconds() <= caps[line.state]


TestKnocking = Knocking.TestCase
TestKnocking.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)

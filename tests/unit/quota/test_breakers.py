"""Breakers: when a service is asked, and when it is not."""

from __future__ import annotations

from itertools import count

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Ask, Result
from hotshotd.errors import BreakerOpen
from hotshotd.quota.breakers import Breakers, ServiceState

ASK = Ask(service="hf", role=Role.TEXT, chars=Chars(10), model="gpt2", key_id="k")


class Asker:
    """Sends through breakers and tells results, with numbers of its own."""

    def __init__(self, clock) -> None:
        self.breakers = Breakers()
        self.clock = clock
        self._numbers = count(1)

    def begin(self, bot="iama", ask=ASK) -> int:
        self.breakers.check(bot, ask, at=self.clock.at)
        number = next(self._numbers)
        self.breakers.begin(bot, ask, number=number, at=self.clock.at)
        return number

    def send(self, result, *, bot="iama", ask=ASK, **more) -> None:
        self.breakers.settle(self.begin(bot, ask), result, at=self.clock.at, **more)

    def refusal(self, bot="iama", ask=ASK) -> BreakerOpen:
        with pytest.raises(BreakerOpen) as caught:
            self.breakers.check(bot, ask, at=self.clock.at)
        return caught.value

    @property
    def state(self) -> ServiceState:
        return self.breakers.compute_figures(at=self.clock.at)[0].state


@pytest.fixture
def asker(clock) -> Asker:
    return Asker(clock)


def test_gone__ten_minutes_then_growing_to_a_day(asker):
    """A refusal for good is not asked for 10 minutes, then one probe, then twice as long, up to a day."""
    pauses = []
    for _ in range(10):
        asker.send(Result.GONE, error="404 not served")
        refusal = asker.refusal()
        assert refusal.gone
        pauses.append(refusal.retry_after)
        asker.clock.advance(refusal.retry_after)
    assert pauses == [600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400, 86400]


def test_gone__success_resets_the_pause(asker):
    """Once it works, the next refusal is the first again."""
    for _ in range(2):
        asker.send(Result.GONE)
        asker.clock.advance(asker.refusal().retry_after)
    asker.send(Result.OK)
    assert asker.state is ServiceState.OK
    asker.send(Result.GONE)
    assert asker.refusal().retry_after == 600


def test_gone__stragglers_do_not_lengthen_the_pause(asker):
    """Requests that were under way say nothing new."""
    numbers = [asker.begin() for _ in range(3)]
    for number in numbers:
        asker.breakers.settle(number, Result.GONE, at=asker.clock.at)
    assert asker.refusal().retry_after == 600


def test_failed__opens_after_five_in_a_row(asker):
    """Four failures say nothing, a success in between starts the count anew."""
    for result in [Result.FAILED] * 4 + [Result.OK] + [Result.FAILED] * 4:
        asker.send(result)
    assert asker.state is ServiceState.OK
    asker.send(Result.FAILED, error="503")
    refusal = asker.refusal()
    assert (refusal.retry_after, refusal.gone) == (10, False)
    assert "503" in str(refusal)


def test_failed__back_at_work_within_a_minute_of_the_faults_end(asker):
    """However long it lasted, the first request after the fault comes within 60 s."""
    end = asker.clock.monotonic() + 3600
    while asker.clock.monotonic() < end:
        try:
            asker.send(Result.FAILED)
        except BreakerOpen as exc:
            asker.clock.advance(min(exc.retry_after, 1.0))
    waited = 0.0
    while True:
        try:
            asker.send(Result.OK)
            break
        except BreakerOpen as exc:
            asker.clock.advance(min(exc.retry_after, 1.0))
            waited += min(exc.retry_after, 1.0)
    assert waited <= 60
    assert asker.state is ServiceState.OK


def test_half_open__one_probe_at_a_time(asker):
    """While one asks whether it works again, the others wait; a silent probe is followed by another."""
    asker.send(Result.GONE)
    asker.clock.advance(600)
    asker.begin()
    assert asker.refusal(bot="other").retry_after == 5
    asker.clock.advance(29)
    assert asker.refusal(bot="other").retry_after == 1
    asker.clock.advance(1)
    asker.breakers.check("other", ASK, at=asker.clock.at)


def test_half_open__a_dead_probe_frees_its_place(asker):
    """A worker that dies with its probe does not hold up the rest."""
    asker.send(Result.GONE)
    asker.clock.advance(600)
    asker.breakers.abandon(asker.begin())
    asker.breakers.check("other", ASK, at=asker.clock.at)


@pytest.mark.parametrize(("asked", "wait"), [(25.0, 25.0), (86_400.0, 3600.0)])
def test_retry_after__is_respected_up_to_an_hour(asker, asked, wait):
    """One failure that names a time is enough."""
    asker.send(Result.FAILED, retry_after=asked)
    assert asker.refusal().retry_after == wait


@pytest.mark.parametrize("result", [Result.REJECTED, Result.NOT_SENT])
def test_rejected__says_nothing_about_the_service(asker, result):
    """A refused request opens nothing and breaks no row of failures."""
    for outcome in [Result.FAILED] * 4 + [result]:
        asker.send(outcome)
    assert asker.state is ServiceState.OK
    asker.send(Result.FAILED)
    assert asker.state is ServiceState.OPEN


@pytest.mark.parametrize("result", [Result.FAILED, Result.REJECTED])
def test_window__six_requests_a_minute_without_success(asker, result):
    """Whatever the breaker thinks, one bot asks a service that never serves it 6 times in any 60 s."""
    times = []
    while asker.clock.monotonic() < 1000 + 600:
        try:
            asker.send(result)
            times.append(asker.clock.monotonic())
        except BreakerOpen:
            asker.clock.advance(1)
    assert len(times) >= 10
    assert all(late - early >= 60 for early, late in zip(times, times[6:], strict=False))


def test_window__counts_requests_in_flight_and_all_models(asker):
    """Six under way to two models of one service: the seventh waits, another bot does not."""
    other = Ask(service="hf", role=Role.RANK, chars=Chars(1), model="rank", key_id="k")
    for ask in (ASK, other) * 3:
        asker.begin(ask=ask)
    assert asker.refusal(ask=other).retry_after == 60
    asker.breakers.check("other", ASK, at=asker.clock.at)


def test_window__success_opens_it(asker):
    """Only requests since the last success count."""
    numbers = [asker.begin() for _ in range(6)]
    asker.breakers.settle(numbers[0], Result.OK, at=asker.clock.at)
    asker.begin()


def test_window__not_sent_is_taken_back(asker):
    """What never left does not count among the six."""
    for _ in range(20):
        asker.send(Result.NOT_SENT)


def test_keys__of_one_service_do_not_share_a_breaker(asker):
    """A key without credit is its owner's trouble; status shows the worst of them."""
    poor = Ask(service="hf", role=Role.TEXT, chars=Chars(10), model="gpt2", key_id="poor")
    asker.send(Result.GONE, ask=poor, error="402 no credit")
    asker.send(Result.OK)
    (line,) = asker.breakers.compute_figures(at=asker.clock.at)
    assert (line.state, line.last_error) == (ServiceState.GONE, "402 no credit")
    assert (line.until - asker.clock.now()).total_seconds() == 600


def test_changes__are_told_once(asker):
    """Each change of state is one event with the old state."""
    asker.send(Result.GONE)
    asker.clock.advance(600)
    asker.send(Result.OK)
    changes = [(old.value, new.state.value) for old, new in asker.breakers.take_changes()]
    assert changes == [("ok", "gone"), ("gone", "half_open"), ("half_open", "ok")]
    assert asker.breakers.take_changes() == []


def test_figures__forget_what_nobody_used_for_a_day(asker):
    """A model that is no longer configured leaves the list."""
    asker.send(Result.OK)
    asker.clock.advance(86_401)
    assert asker.breakers.compute_figures(at=asker.clock.at) == []

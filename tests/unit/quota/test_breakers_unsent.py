"""Breakers of services that can't be reached: nothing is sent or charged, and they are not tried hot all the same."""

from __future__ import annotations

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Ask, Result
from hotshotd.errors import BreakerOpen
from hotshotd.quota.breakers import FAILURES_TO_OPEN, WINDOW_REQUESTS, Breakers, ServiceState

ASK = Ask(service="own", role=Role.TEXT, chars=Chars(10), model="gpt2", key_id="k")


class Caller:
    """Tries to connect, in vain, as often as breakers let it."""

    def __init__(self, clock) -> None:
        self.breakers = Breakers()
        self.clock = clock

    def try_once(self, *, result=Result.FAILED, bot="iama") -> None:
        self.breakers.check(bot, ASK, at=self.clock.at)
        self.breakers.note_unsent(bot, ASK, result, error="nothing answers", at=self.clock.at)

    def send(self, result, *, number=1) -> None:
        self.breakers.check("iama", ASK, at=self.clock.at)
        self.breakers.begin("iama", ASK, number=number, at=self.clock.at)
        self.breakers.settle(number, result, at=self.clock.at)

    @property
    def line(self):
        return self.breakers.compute_figures(at=self.clock.at)[0]


@pytest.fixture
def caller(clock) -> Caller:
    return Caller(clock)


def test_unsent__opens_after_five_in_a_row_and_shows(caller):
    """A dead host opens its breaker as a failing one does, and status says why."""
    for _ in range(FAILURES_TO_OPEN):
        assert caller.breakers.compute_figures(at=caller.clock.at) == [] or caller.line.state is ServiceState.OK
        caller.try_once()
    assert (caller.line.state, caller.line.last_error) == (ServiceState.OPEN, "nothing answers")
    with pytest.raises(BreakerOpen) as caught:
        caller.try_once()
    assert (caught.value.retry_after, caught.value.gone) == (10.0, False)
    assert caller.breakers.take_changes()[0][0] is ServiceState.OK


def test_unsent__a_probe_that_finds_nobody_waits_longer(caller):
    """Each try after the pause is the probe: 10, 20, 30 s, and never shorter again."""
    for _ in range(FAILURES_TO_OPEN):
        caller.try_once(bot="other")
    waits = []
    for number in range(4):
        with pytest.raises(BreakerOpen) as caught:
            caller.try_once()
        waits.append(caught.value.retry_after)
        caller.clock.advance(caught.value.retry_after)
        caller.try_once(bot=f"bot{number}")
    assert waits == [10.0, 20.0, 30.0, 30.0]


def test_unsent__a_request_that_works_closes_it(caller):
    """The host is back: the next request goes out as a probe, and its success forgets all."""
    for _ in range(FAILURES_TO_OPEN):
        caller.try_once()
    caller.clock.advance(10)
    caller.send(Result.OK)
    assert caller.line.state is ServiceState.OK
    caller.try_once()
    assert caller.line.state is ServiceState.OK


def test_unsent__at_most_six_tries_a_minute_from_one_bot(caller):
    """The bound for a service that only fails counts tries to connect as well."""
    tries = 0
    for _ in range(59):
        try:
            caller.try_once()
            tries += 1
        except BreakerOpen:
            pass
        caller.clock.advance(1)
    assert tries == WINDOW_REQUESTS


def test_unsent__a_key_that_fits_no_header_is_gone(caller):
    """It is refused for good without a request."""
    caller.try_once(result=Result.GONE)
    assert caller.line.state is ServiceState.GONE
    with pytest.raises(BreakerOpen) as caught:
        caller.try_once()
    assert (caught.value.retry_after, caught.value.gone) == (600.0, True)


def test_unsent__a_gone_service_that_can_not_be_reached_stays_shut(caller):
    """Its probe finds nobody: open for a while, and still known as gone."""
    caller.send(Result.GONE)
    caller.clock.advance(600)
    caller.try_once()
    assert caller.line.state is ServiceState.OPEN
    with pytest.raises(BreakerOpen) as caught:
        caller.try_once()
    assert caught.value.gone

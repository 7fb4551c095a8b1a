"""The stub and the room behind it: the order of refusals, leases, the gate."""

from __future__ import annotations

import threading

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Result
from hotshotd.errors import BotPaused, BreakerOpen, QuotaExceeded, QuotaUnavailable
from hotshotd.quota.stub import StubQuota


def make_ask(chars: int, model: str = "m") -> Ask:
    return Ask(service="hf", role=Role.TEXT, chars=Chars(chars), model=model)


@pytest.fixture
def quota(clock) -> StubQuota:
    return StubQuota(clock, budgets={"a": 1000, "b": 1000})


def test_ask__spends_and_check_does_not(quota):
    """`check` may be asked for ever."""
    admission = quota.enter("a")
    for _ in range(10):
        admission.check(make_ask(1000))
    admission.ask(make_ask(1000))
    with pytest.raises(QuotaExceeded):
        admission.check(make_ask(1))


def test_ask__of_an_open_breaker_costs_nothing(quota):
    """A service that is not asked uses up nothing."""
    admission = quota.enter("a")
    permit = admission.ask(make_ask(10))
    admission.account(Account(permit, Result.GONE, error="404"))
    with pytest.raises(BreakerOpen):
        admission.ask(make_ask(10))
    assert quota.compute_figures().bots[0].characters == 10


def test_ask__pause_comes_before_all_else(quota):
    """A paused bot is told so, whatever else is wrong."""
    admission = quota.enter("a")
    admission.account(Account(admission.ask(make_ask(1000)), Result.GONE))
    quota.pause("a", paused=True)
    for ask in (make_ask(1), make_ask(0, "other")):
        with pytest.raises(BotPaused):
            admission.ask(ask)


def test_account__of_another_lease_is_ignored(quota):
    """A permit belongs to the connection that got it."""
    first, second = quota.enter("a"), quota.enter("a")
    permit = first.ask(make_ask(100))
    second.account(Account(permit, Result.NOT_SENT))
    first.leave()
    first.account(Account(permit, Result.NOT_SENT))
    assert quota.compute_figures().bots[0].characters == 100


def test_away__nothing_but_slow_reads(quota):
    """Without the quota process nothing is spent or written."""
    admission = quota.enter("a")
    quota.away = True
    with pytest.raises(QuotaUnavailable):
        admission.ask(make_ask(0))
    with pytest.raises(QuotaUnavailable):
        admission.acquire(write=True)
    assert admission.acquire(write=False) == 0
    assert admission.stretch(interval_seconds=5, requests_per_poll=3) >= 30


def test_gate__closes_behind_the_last_sender(quota):
    """A pause waits for those inside, and lets nobody in."""
    admission = quota.enter("a")
    inside, leave = threading.Event(), threading.Event()

    def send() -> None:
        with admission.sending():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=send)
    thread.start()
    inside.wait(10)
    assert admission.close_gate(timeout_seconds=0.0) is False
    with pytest.raises(BotPaused), admission.sending():
        pass
    leave.set()
    assert admission.close_gate(timeout_seconds=10.0) is True
    thread.join()
    admission.open_gate()
    with admission.sending():
        pass

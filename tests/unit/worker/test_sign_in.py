"""A worker's sign-in on virtual time: what the supervisor is told while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import make_config
from virtual import VirtualClock, run

from hotshotd.errors import AuthDead, Down, Retry
from hotshotd.worker.worker import SLOW_SIGN_IN_SECONDS, Worker

Step = Callable[[], Coroutine[Any, Any, None]]


class TellingLink:
    """Keeps what is told to the supervisor, with the time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.told: list[tuple[float, str, str]] = []
        self.troubles: list[str] = []

    def send(self, message: dict[str, Any]) -> None:
        self.told.append((self._clock.monotonic(), message["event"], message.get("reason", "")))

    def trouble(self, message: str) -> None:
        self.troubles.append(message)


def _sign_in(*steps: Step) -> TellingLink:
    """Let a worker sign in at a platform that answers like this, once each."""
    clock, answers = VirtualClock(), list(steps)

    async def sign_in() -> None:
        await answers.pop(0)()

    async def main() -> TellingLink:
        link = TellingLink(clock)
        parts: Any = SimpleNamespace(
            config=make_config(reply={"backend": "openai", "model": "m"}),
            platform=None,
            clock=clock,
            link=link,
            leave=None,
            posting=None,
            answering=None,
        )
        worker = Worker(parts, paused=False)
        worker._account = SimpleNamespace(sign_in=sign_in, look_after=_nothing)  # type: ignore[assignment]
        link.told.clear()
        await worker._sign_in()
        return link

    return run(main())


async def _nothing(*_: object) -> None: ...


def _fail(error: Exception) -> Step:
    async def step() -> None:
        raise error

    return step


def _take(seconds: float) -> Step:
    async def step() -> None:
        await asyncio.sleep(seconds)

    return step


def test_sign_in__that_works_is_told_once() -> None:
    """Nothing is said of waiting, neither then nor later."""
    assert [event for _, event, _ in _sign_in(_take(1)).told] == ["signed_in"]


def test_sign_in__tells_what_it_waits_for() -> None:
    """Each failure is told with its cause, which is the last error as well; then it tries again."""
    link = _sign_in(_fail(Down("no network")), _fail(Retry("slow down", after=3.0)), _take(0))
    assert [event for _, event, _ in link.told] == ["waiting", "waiting", "signed_in"]
    assert link.told[0][2] == "signing in: no network"
    assert link.troubles[0] == "no network"


def test_sign_in__that_only_takes_long_is_told_of() -> None:
    """An answer that does not come, or a full rate: the daemon's start is not held up for ever."""
    told = _sign_in(_take(SLOW_SIGN_IN_SECONDS + 5)).told
    assert [(event, when - told[0][0]) for when, event, _ in told] == [("waiting", 0.0), ("signed_in", 5.0)]


def test_sign_in__that_is_refused_ends_it() -> None:
    """No time mends a wrong password; nobody is told to wait."""
    with pytest.raises(AuthDead):
        _sign_in(_fail(AuthDead("wrong password")))

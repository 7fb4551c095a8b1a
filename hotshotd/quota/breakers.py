"""Which service is not asked now. Pure: no I/O, no clock, no chance.

One breaker for each (service, key, model), shared by all bots:

    OK --5 FAILED in a row, or a FAILED that names a time--> OPEN --pause over, next ask--> HALF_OPEN
    any --GONE (401, 402, 403, 404, 410)--> GONE --pause over, next ask--> HALF_OPEN
    HALF_OPEN --OK--> OK        HALF_OPEN --FAILED--> OPEN, 10 s growing to 30 s
    HALF_OPEN --GONE--> GONE, 10 minutes doubling to a day         any --OK--> OK, all pauses forgotten

HALF_OPEN lets one probe out at a time, another when that one is silent for 30 s. REJECTED and NOT_SENT say
nothing; a service that can't be reached has FAILED, though no permit was asked for (`note_unsent`). Besides, one
bot asks a service that never answers it well, or such a model of it, at most 6 times in any 60 s.

A probe is charged, so a long outage would use up a day's budget. Where whoever asks can knock, a long prompt is not
sent before a tiny one was answered, also with a refusal: a knock that fails is a failed probe, one that is answered
lets the next request out as the probe, in its place among the bot's 6. No knock closes a breaker.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from hotshotd._types import BotName, Role
from hotshotd.admission import Ask, Knock, Result
from hotshotd.backoff import Backoff
from hotshotd.errors import BreakerOpen, KnockFirst
from hotshotd.quota.moment import Moment

#: FAILED results in a row that open a breaker.
FAILURES_TO_OPEN = 5

#: Pauses after failures: short, to be back at work within a minute of the fault's end.
OPEN_PAUSE = Backoff(base_seconds=10.0, cap_seconds=30.0)

#: Pauses after a refusal for good.
GONE_PAUSE = Backoff(base_seconds=600.0, cap_seconds=86_400.0)

#: The longest pause that a service can ask for, in seconds.
RETRY_AFTER_CAP_SECONDS = 3600.0

#: How long a probe may be silent before another goes out, in seconds.
PROBE_SECONDS = 30.0

#: The longest that those who ask meanwhile are told to wait: most probes are over long before, in seconds.
PROBE_WAIT_SECONDS = 5.0

#: The longest request that is as good as a knock, in characters.
KNOCK_CHARS = 64

#: How long after an answered knock the probe may go out, in seconds.
KNOCKED_SECONDS = 30.0

#: At most WINDOW_REQUESTS in any WINDOW_SECONDS from one bot to a service that only fails.
WINDOW_SECONDS = 60.0
WINDOW_REQUESTS = 6

#: A breaker that is OK and was not used for so long is forgotten, in seconds.
FORGET_SECONDS = 86_400.0


class ServiceState(StrEnum):
    """A service's state as `status --json` shows it."""

    OK = "ok"
    OPEN = "open"
    HALF_OPEN = "half_open"
    GONE = "gone"


#: For one line about several keys of a service.
_WORST_FIRST = (ServiceState.GONE, ServiceState.OPEN, ServiceState.HALF_OPEN, ServiceState.OK)


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """One line of `services` in `status --json`. `until` is None unless the state ends by time."""

    name: str
    role: Role
    model: str
    state: ServiceState
    until: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class _Key:
    service: str
    key_id: str
    model: str


@dataclass(slots=True)
class _Breaker:
    """Times are monotonic; `opened` and `gone` count pauses in a row, `failures` FAILED results in a row.

    `knocked_until` is when the answer to the last knock is too old to say anything.
    """

    role: Role
    state: ServiceState = ServiceState.OK
    failures: int = 0
    opened: int = 0
    gone: int = 0
    until: float = 0.0
    probe: int | None = None
    probe_until: float = 0.0
    knocked_until: float = 0.0
    last_error: str = ""
    used_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A permitted request whose result is not known."""

    bot: BotName
    key: _Key
    begun_at: float
    is_knock: bool


@dataclass(slots=True)
class _Windows:
    """When a bot's requests since its last success began, by (bot, service) and (bot, service, model)."""

    begun: dict[tuple[str, ...], deque[float]] = field(default_factory=dict)

    def compute_wait(self, bot: BotName, key: _Key, *, monotonic: float) -> float:
        return max(self._compute_wait(name, monotonic) for name in _name_windows(bot, key))

    def add(self, bot: BotName, key: _Key, *, monotonic: float) -> None:
        for name in _name_windows(bot, key):
            self.begun.setdefault(name, deque()).append(monotonic)

    def remove(self, flight: _Flight) -> None:
        for name in _name_windows(flight.bot, flight.key):
            if flight.begun_at in self.begun.get(name, ()):
                self.begun[name].remove(flight.begun_at)

    def clear(self, flight: _Flight) -> None:
        for name in _name_windows(flight.bot, flight.key):
            self.begun.pop(name, None)

    def _compute_wait(self, name: tuple[str, ...], monotonic: float) -> float:
        begun = self.begun.get(name)
        if begun is None:
            return 0.0
        while begun and begun[0] <= monotonic - WINDOW_SECONDS:
            begun.popleft()
        return begun[0] + WINDOW_SECONDS - monotonic if len(begun) >= WINDOW_REQUESTS else 0.0


def _name_windows(bot: BotName, key: _Key) -> tuple[tuple[str, ...], ...]:
    return (bot, key.service), (bot, key.service, key.model)


class Breakers:
    """All breakers. Not thread-safe; nothing blocks."""

    def __init__(self) -> None:
        self._breakers: dict[_Key, _Breaker] = {}
        self._flights: dict[int, _Flight] = {}
        self._windows = _Windows()
        self._changes: list[tuple[ServiceState, ServiceFigures]] = []

    def check(self, bot: BotName, ask: Ask, *, at: Moment) -> None:
        """Let a request pass, or refuse it; changes nothing.

        Raises:
            BreakerOpen: With the seconds to wait, and whether the service is gone for good.
            KnockFirst: It may be asked once it has answered a knock.
        """
        key = _make_key(ask)
        breaker = self._breakers.get(key) or _Breaker(role=ask.role)
        _check_breaker(key, breaker, monotonic=at.monotonic)
        wait = self._windows.compute_wait(bot, key, monotonic=at.monotonic)
        if wait > 0:
            raise BreakerOpen(
                f"{_describe(key)} served none of {bot}'s last {WINDOW_REQUESTS} requests; asked again in {wait:.0f} s",
                retry_after=wait,
                gone=False,
            )
        if _must_knock(breaker, ask, monotonic=at.monotonic):
            raise KnockFirst(
                f"{_describe(key)} failed and did not answer a knock since{_explain(breaker)}",
                retry_after=0.0,
                gone=breaker.gone > 0,
            )

    def begin(self, bot: BotName, ask: Ask, *, number: int, at: Moment) -> None:
        """Note that a request which `check` let pass goes out as permit `number`."""
        key = _make_key(ask)
        breaker = self._breakers.setdefault(key, _Breaker(role=ask.role))
        breaker.role, breaker.used_at = ask.role, at.monotonic
        if breaker.state is not ServiceState.OK:
            self._change(key, breaker, ServiceState.HALF_OPEN, at=at)
            breaker.probe, breaker.probe_until = number, at.monotonic + PROBE_SECONDS
        self._flights[number] = _Flight(bot=bot, key=key, begun_at=at.monotonic, is_knock=ask.knock is Knock.IS)
        self._windows.add(bot, key, monotonic=at.monotonic)

    def settle(
        self, number: int, result: Result, *, retry_after: float | None = None, error: str = "", at: Moment
    ) -> None:
        """Note a result. A number that is not in flight is ignored."""
        flight = self._flights.pop(number, None)
        if flight is None:
            return
        breaker = self._breakers[flight.key]
        is_probe = breaker.probe == number
        if is_probe:
            breaker.probe = None
        if flight.is_knock and result in (Result.OK, Result.REJECTED):
            # Its own place only, which is that of the probe now: what failed before still counts.
            self._windows.remove(flight)
            if is_probe:
                breaker.knocked_until = at.monotonic + KNOCKED_SECONDS
        elif result is Result.OK:
            self._windows.clear(flight)
            self._recover(flight.key, breaker, at=at)
        elif result is Result.NOT_SENT:
            self._windows.remove(flight)
        elif result is Result.FAILED:
            breaker.last_error = error
            self._count_failure(flight.key, breaker, is_probe=is_probe, retry_after=retry_after, at=at)
        elif result is Result.GONE:
            breaker.last_error = error
            self._give_up(flight.key, breaker, is_probe=is_probe, retry_after=retry_after, at=at)

    def note_unsent(self, bot: BotName, ask: Ask, result: Result, *, error: str, at: Moment) -> None:
        """Note a request that `check` let pass and that could not be made, so that no permit was asked for."""
        key = _make_key(ask)
        breaker = self._breakers.setdefault(key, _Breaker(role=ask.role))
        breaker.role, breaker.used_at, breaker.last_error = ask.role, at.monotonic, error
        self._windows.add(bot, key, monotonic=at.monotonic)
        # It was the probe, then: whether a service can be reached is what a probe is to find out.
        is_probe = breaker.state is not ServiceState.OK and _compute_pause(breaker, monotonic=at.monotonic) <= 0
        if is_probe:
            breaker.probe = None
            self._change(key, breaker, ServiceState.HALF_OPEN, at=at)
        if result is Result.GONE:
            self._give_up(key, breaker, is_probe=is_probe, retry_after=None, at=at)
        else:
            self._count_failure(key, breaker, is_probe=is_probe, retry_after=None, at=at)

    def abandon(self, number: int) -> None:
        """Forget a request whose worker is gone; its result will never be known."""
        flight = self._flights.pop(number, None)
        if flight is not None and self._breakers[flight.key].probe == number:
            self._breakers[flight.key].probe = None

    def cancel(self, number: int) -> None:
        """Forget a request that was never sent."""
        flight = self._flights.get(number)
        if flight is not None:
            self._windows.remove(flight)
            self.abandon(number)

    def take_changes(self) -> list[tuple[ServiceState, ServiceFigures]]:
        """Give the changes of state since the last call: the old state, and the new figures."""
        changes, self._changes = self._changes, []
        return changes

    def compute_figures(self, *, at: Moment) -> list[ServiceFigures]:
        """Give one line a (service, role, model), the worst of its keys; drop what nobody used for a day."""
        self._forget_unused(at.monotonic)
        lines: dict[tuple[str, Role, str], ServiceFigures] = {}
        for key, breaker in self._breakers.items():
            line = _make_figures(key, breaker, at=at)
            name = (line.name, line.role, line.model)
            if name not in lines or _WORST_FIRST.index(line.state) < _WORST_FIRST.index(lines[name].state):
                lines[name] = line
        return [lines[name] for name in sorted(lines)]

    def _recover(self, key: _Key, breaker: _Breaker, *, at: Moment) -> None:
        breaker.failures = breaker.opened = breaker.gone = 0
        breaker.until = 0.0
        breaker.probe = None
        self._change(key, breaker, ServiceState.OK, at=at)

    def _count_failure(
        self, key: _Key, breaker: _Breaker, *, is_probe: bool, retry_after: float | None, at: Moment
    ) -> None:
        breaker.failures += 1
        asked = min(retry_after or 0.0, RETRY_AFTER_CAP_SECONDS)
        due = breaker.failures >= FAILURES_TO_OPEN and breaker.state is ServiceState.OK
        # A straggler that fails while the breaker is open tells nothing new: the pause must not grow by it.
        failed_probe = is_probe and breaker.state is ServiceState.HALF_OPEN
        if not (due or failed_probe or asked > 0) or breaker.state is ServiceState.GONE:
            return
        pause = 0.0
        if due or failed_probe:
            breaker.opened += 1
            pause = OPEN_PAUSE.compute_ceiling(breaker.opened)
        self._pause(key, breaker, ServiceState.OPEN, seconds=max(pause, asked), at=at)

    def _give_up(self, key: _Key, breaker: _Breaker, *, is_probe: bool, retry_after: float | None, at: Moment) -> None:
        if breaker.state is ServiceState.GONE and not is_probe:
            return
        breaker.gone += 1
        asked = min(retry_after or 0.0, RETRY_AFTER_CAP_SECONDS)
        seconds = max(asked, GONE_PAUSE.compute_ceiling(breaker.gone))
        self._pause(key, breaker, ServiceState.GONE, seconds=seconds, at=at)

    def _pause(self, key: _Key, breaker: _Breaker, state: ServiceState, *, seconds: float, at: Moment) -> None:
        breaker.until = max(breaker.until, at.monotonic + seconds)
        breaker.knocked_until = 0.0
        self._change(key, breaker, state, at=at)

    def _change(self, key: _Key, breaker: _Breaker, state: ServiceState, *, at: Moment) -> None:
        old, breaker.state = breaker.state, state
        if old is not state:
            self._changes.append((old, _make_figures(key, breaker, at=at)))

    def _forget_unused(self, monotonic: float) -> None:
        flying = {flight.key for flight in self._flights.values()}
        for key, breaker in list(self._breakers.items()):
            unused = breaker.used_at + FORGET_SECONDS < monotonic and breaker.until < monotonic
            if unused and key not in flying:
                del self._breakers[key]
        recent = monotonic - WINDOW_SECONDS
        for name, begun in list(self._windows.begun.items()):
            if not begun or begun[-1] <= recent:
                del self._windows.begun[name]


def _make_key(ask: Ask) -> _Key:
    return _Key(service=ask.service, key_id=ask.key_id, model=ask.model)


def _describe(key: _Key) -> str:
    return f"{key.service} ({key.model})" if key.model else key.service


def _check_breaker(key: _Key, breaker: _Breaker, *, monotonic: float) -> None:
    if breaker.state is ServiceState.OK:
        return
    wait = _compute_pause(breaker, monotonic=monotonic)
    if wait > 0:
        wait = wait if monotonic < breaker.until else min(wait, PROBE_WAIT_SECONDS)
        raise BreakerOpen(
            f"{_describe(key)} is {breaker.state.value}, asked again in {wait:.0f} s{_explain(breaker)}",
            retry_after=wait,
            gone=breaker.gone > 0,
        )


def _must_knock(breaker: _Breaker, ask: Ask, *, monotonic: float) -> bool:
    is_long = ask.knock is Knock.CAN and ask.chars > KNOCK_CHARS
    return is_long and breaker.state is not ServiceState.OK and monotonic >= breaker.knocked_until


def _explain(breaker: _Breaker) -> str:
    return f": {breaker.last_error}" if breaker.last_error else ""


def _compute_pause(breaker: _Breaker, *, monotonic: float) -> float:
    """Give the seconds until a breaker that is not OK lets a request pass; none left where that is 0 or less."""
    wait = breaker.until - monotonic
    return breaker.probe_until - monotonic if wait <= 0 and breaker.probe is not None else wait


def _make_figures(key: _Key, breaker: _Breaker, *, at: Moment) -> ServiceFigures:
    ends = breaker.state in {ServiceState.OPEN, ServiceState.GONE}
    figures = ServiceFigures(
        name=key.service,
        role=breaker.role,
        model=key.model,
        state=breaker.state,
        until=at.translate(breaker.until) if ends else None,
        last_error=breaker.last_error,
    )
    return figures if breaker.state is not ServiceState.OK else replace(figures, last_error="")

"""The admission port and Reddit's pace in memory, with the real rules behind: for tests and simulators.

quota = StubQuota(clock, budgets={"iama": 30_000})
admission = quota.enter("iama")        # an Admission and a Pace
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from zoneinfo import ZoneInfo

from hotshotd._types import BotName, Chars
from hotshotd.admission import Account, Ask, Permit, RateHeaders, Result
from hotshotd.clock import Clock
from hotshotd.errors import QuotaUnavailable
from hotshotd.quota import moment
from hotshotd.quota.gate import Gate
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.plan import BotPlan, Figures, Plan
from hotshotd.quota.records import Loaded
from hotshotd.quota.room import Room, Tenant


class StubQuota:
    """A quota process without a process: everything is durable at once. Thread-safe, never blocks.

    `budgets` are characters a day by bot, None for unlimited. `away` set to True plays a dead process.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        budgets: Mapping[str, int | None],
        zone: str = "UTC",
        daily_total: int | None = None,
        monthly_total: int | None = None,
    ) -> None:
        self.away = False
        self.lock = threading.RLock()
        self.clock = clock
        bots = {BotName(bot): BotPlan(budget=budget) for bot, budget in budgets.items()}
        plan = Plan(zone=ZoneInfo(zone), daily_total=daily_total, monthly_total=monthly_total, bots=bots)
        self.room = Room(ledger=Ledger(Loaded(), plan=plan, at=moment.read(clock)))
        self._leases = 0

    def enter(self, bot: str, *, client: str = "client") -> StubAdmission:
        """Give what a worker of `bot` holds; its lease ends with `StubAdmission.leave`."""
        with self.lock:
            self._leases += 1
            tenant = Tenant(lease=self._leases, bot=BotName(bot), client=client)
            self.room.enter(tenant)
        return StubAdmission(self, tenant)

    def pause(self, bot: str, *, paused: bool) -> None:
        """Stop or allow a bot's grants, as the operator would."""
        with self.lock:
            self.room.ledger.pause(BotName(bot), paused=paused)

    def compute_figures(self) -> Figures:
        """Give the day in numbers."""
        with self.lock:
            return self.room.ledger.compute_figures(at=moment.read(self.clock))

    def use(self) -> Room:
        """Give the room, or refuse while `away`."""
        if self.away:
            raise QuotaUnavailable("the quota process is away")
        return self.room


class StubAdmission:
    """Implements `Admission` and `Pace` for one tenant of a `StubQuota`."""

    def __init__(self, quota: StubQuota, tenant: Tenant) -> None:
        self._quota = quota
        self._tenant = tenant
        self._gate = Gate()

    @property
    def connected(self) -> bool:
        """Whether the quota process is there."""
        return not self._quota.away

    def check(self, ask: Ask) -> None:
        """See `Admission.check`."""
        with self._quota.lock:
            self._quota.use().check(self._tenant, ask, at=moment.read(self._quota.clock))

    def ask(self, ask: Ask) -> Permit:
        """See `Admission.ask`."""
        with self._quota.lock:
            room = self._quota.use()
            permit = room.ask(self._tenant, ask, at=moment.read(self._quota.clock))
            room.ledger.confirm(room.ledger.take_batch())
            return Permit(number=permit.number, chars=Chars(permit.chars))

    def account(self, account: Account) -> None:
        """See `Admission.account`."""
        with self._quota.lock:
            if not self._quota.away:
                self._quota.room.account(self._tenant, account, at=moment.read(self._quota.clock))

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        """See `Admission.report_unsent`."""
        with self._quota.lock:
            if not self._quota.away:
                at = moment.read(self._quota.clock)
                self._quota.room.report_unsent(self._tenant, ask, result=result, error=error, at=at)

    def sending(self) -> AbstractContextManager[None]:
        """See `Admission.sending`."""
        return self._gate.sending()

    def close_gate(self, *, timeout_seconds: float) -> bool:
        """See `QuotaClient.close_gate`."""
        return self._gate.close(timeout_seconds=timeout_seconds)

    def open_gate(self) -> None:
        """See `QuotaClient.open_gate`."""
        self._gate.open()

    def acquire(self, *, write: bool) -> float:
        """See `Pace.acquire`; a write while the quota process is away raises QuotaUnavailable."""
        with self._quota.lock:
            if self._quota.away and not write:
                return 0.0
            return self._quota.use().acquire(self._tenant, write=write, at=moment.read(self._quota.clock))

    def observe(self, headers: RateHeaders) -> None:
        """See `Pace.observe`."""
        with self._quota.lock:
            self._quota.room.observe(self._tenant, headers, at=moment.read(self._quota.clock))

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:
        """See `Pace.stretch`."""
        with self._quota.lock:
            if self._quota.away:
                return max(30.0, 2 * interval_seconds)
            return self._quota.room.stretch(
                self._tenant,
                interval_seconds=interval_seconds,
                requests_per_poll=requests_per_poll,
                at=moment.read(self._quota.clock),
            )

    def leave(self) -> None:
        """End the lease, as the death of the worker does."""
        with self._quota.lock:
            self._quota.room.leave(self._tenant.lease, at=moment.read(self._quota.clock))

"""What all bots share, in one place: ledger, breakers and rates behind one set of calls. Pure.

The server puts it behind a socket, the stub behind a lock. A `lease` is whatever ends when a worker does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hotshotd._types import BotName
from hotshotd.admission import Account, Ask, Permit, RateHeaders, Result
from hotshotd.errors import KnockFirst
from hotshotd.quota.breakers import Breakers
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.rate import Rates
from hotshotd.quota.timings import Timings


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who holds a lease: a bot, and a hash of the Reddit client id that it works with."""

    lease: int
    bot: BotName
    client: str


@dataclass(slots=True)
class Room:
    """Ledger, breakers and rates as one. Not thread-safe; nothing blocks."""

    ledger: Ledger
    breakers: Breakers = field(default_factory=Breakers)
    rates: Rates = field(default_factory=Rates)
    timings: Timings = field(default_factory=Timings)
    _tenants: dict[int, Tenant] = field(default_factory=dict)
    #: By lease, the open permits and the service that each is for.
    _permits: dict[int, dict[int, str]] = field(default_factory=dict)

    def enter(self, tenant: Tenant) -> None:
        """Begin a lease."""
        self._tenants[tenant.lease] = tenant
        self.rates.join(tenant.client, tenant.bot)

    def leave(self, lease: int, *, at: Moment) -> None:
        """End a lease: what it has open stays charged, in doubt for a while. An unknown lease is ignored."""
        tenant = self._tenants.pop(lease, None)
        if tenant is None:
            return
        self.ledger.end_lease(lease, at=at)
        for number in sorted(self._permits.pop(lease, ())):
            self.breakers.abandon(number)
        # An old connection of a bot that has come back already must not take its place away.
        if not any(other.bot == tenant.bot and other.client == tenant.client for other in self._tenants.values()):
            self.rates.leave(tenant.client, tenant.bot)

    def check(self, tenant: Tenant, ask: Ask, *, at: Moment) -> None:
        """Raise what `ask` would; see `Admission.check`."""
        self.ledger.check_bot(tenant.bot, at=at)
        self._check_breaker(tenant, ask, at)
        self.ledger.check(tenant.bot, ask.chars, addressed=ask.addressed, at=at)

    def ask(self, tenant: Tenant, ask: Ask, *, at: Moment) -> Permit:
        """Give leave for one request; see `Admission.ask`. Not to be answered before the ledger is durable."""
        self.ledger.check_bot(tenant.bot, at=at)
        # Before the grant: a service that is not asked must cost nothing.
        self._check_breaker(tenant, ask, at)
        permit = self.ledger.grant(tenant.bot, ask.chars, lease=tenant.lease, addressed=ask.addressed, at=at)
        self.breakers.begin(tenant.bot, ask, number=permit.number, at=at)
        self._permits.setdefault(tenant.lease, {})[permit.number] = ask.service
        return permit

    def _check_breaker(self, tenant: Tenant, ask: Ask, at: Moment) -> None:
        try:
            self.breakers.check(tenant.bot, ask, at=at)
        except KnockFirst:
            # Who can't pay for what is to follow must not knock.
            self.ledger.check(tenant.bot, ask.chars, addressed=ask.addressed, at=at)
            raise

    def account(self, tenant: Tenant, account: Account, *, at: Moment) -> None:
        """Note what became of a permit of this lease; anything else is ignored."""
        number = account.permit.number
        service = self._permits.get(tenant.lease, {}).pop(number, None)
        if service is None:
            return
        if account.result is not Result.NOT_SENT:
            self.timings.add(service, account.seconds)
        self.ledger.account(
            number,
            account.result,
            bot=tenant.bot,
            received=account.received_chars,
            seconds=account.seconds,
            at=at,
        )
        self.breakers.settle(number, account.result, retry_after=account.retry_after, error=account.error, at=at)

    def report_unsent(self, tenant: Tenant, ask: Ask, *, result: Result, error: str, at: Moment) -> None:
        """Note a request that could not be made; see `Admission.report_unsent`."""
        self.breakers.note_unsent(tenant.bot, ask, result, error=error, at=at)

    def cancel(self, lease: int, number: int) -> None:
        """Take back a permit that was never answered."""
        self._permits.get(lease, {}).pop(number, None)
        self.ledger.cancel(number)
        self.breakers.cancel(number)

    def acquire(self, tenant: Tenant, *, write: bool, at: Moment) -> float:
        """Take one request to Reddit; see `Pace.acquire`."""
        return self.rates.acquire(tenant.client, tenant.bot, write=write, monotonic=at.monotonic)

    def observe(self, tenant: Tenant, headers: RateHeaders, *, at: Moment) -> None:
        """Take over what Reddit said; see `Pace.observe`."""
        self.rates.observe(tenant.client, tenant.bot, headers, monotonic=at.monotonic)

    def stretch(self, tenant: Tenant, *, interval_seconds: float, requests_per_poll: int, at: Moment) -> float:
        """Give the time to the next poll; see `Pace.stretch`."""
        return self.rates.stretch(
            tenant.client,
            tenant.bot,
            interval_seconds=interval_seconds,
            requests_per_poll=requests_per_poll,
            monotonic=at.monotonic,
        )

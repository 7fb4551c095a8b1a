"""Leave for the doctor's own requests: from the running daemon, or, where none runs, given freely and counted."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from hotshotd._types import BotName
from hotshotd.admission import Account, Admission, Ask, Permit, RateHeaders, Result, charge
from hotshotd.clock import Clock
from hotshotd.quota.client import QuotaClient

#: Seconds for seeing whether the quota process listens.
_CONNECT_SECONDS = 2.0


class Leave(Admission, Protocol):
    """An admission that also keeps Reddit's pace, as the quota process does."""

    def acquire(self, *, write: bool) -> float: ...

    def observe(self, headers: RateHeaders) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float: ...


class FreeLeave:
    """Refuses nothing: no daemon runs, so nobody else spends. What is charged goes on the bill of the context."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def check(self, ask: Ask) -> None: ...

    def ask(self, ask: Ask) -> Permit:
        """Give a permit, and put it on the bill."""
        charge(ask.chars)
        return Permit(number=next(self._numbers), chars=ask.chars)

    def account(self, account: Account) -> None:
        """Take off the bill what never left."""
        if account.result is Result.NOT_SENT:
            charge(-account.permit.chars)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None: ...

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Hold no gate: nobody can pause the doctor."""
        yield

    def acquire(self, *, write: bool) -> float:  # noqa: ARG002 - the port's shape
        return 0.0

    def observe(self, headers: RateHeaders) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:  # noqa: ARG002 - the port's shape
        return interval_seconds


class Meter:
    """How many requests were charged, and how many characters in all. Thread-safe."""

    def __init__(self) -> None:
        self.chars = 0
        self.requests = 0
        self._lock = threading.Lock()

    def add(self, chars: int, *, requests: int) -> None:
        with self._lock:
            self.chars += chars
            self.requests += requests


class Metered:
    """Another admission, with every charge counted."""

    def __init__(self, admission: Admission, meter: Meter) -> None:
        self._admission, self._meter = admission, meter

    def check(self, ask: Ask) -> None:
        self._admission.check(ask)

    def ask(self, ask: Ask) -> Permit:
        permit = self._admission.ask(ask)
        self._meter.add(permit.chars, requests=1)
        return permit

    def account(self, account: Account) -> None:
        if account.result is Result.NOT_SENT:
            self._meter.add(-account.permit.chars, requests=-1)
        self._admission.account(account)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        self._admission.report_unsent(ask, result=result, error=error)

    def sending(self) -> AbstractContextManager[None]:
        return self._admission.sending()


def find_leave(runtime_dir: Path, bot: str, *, client: str, clock: Clock) -> QuotaClient | None:
    """Give the quota process's leave for a bot, or None where nobody listens there, or not for us."""
    path = runtime_dir / "quota.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECT_SECONDS)
        try:
            sock.connect(str(path))
        except OSError:
            return None
    return _OwnersClient(path, bot=BotName(bot), client=client, clock=clock)


class _OwnersClient(QuotaClient):
    """Connects as the socket's owner: the quota process serves its own user alone, and root may be anybody."""

    def _connect(self, *, deadline: float) -> None:
        owner = os.stat(self._path).st_uid
        if os.geteuid() != 0 or owner == 0:
            super()._connect(deadline=deadline)
            return
        os.seteuid(owner)
        try:
            super()._connect(deadline=deadline)
        finally:
            os.seteuid(0)

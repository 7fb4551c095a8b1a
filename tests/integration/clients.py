"""What tests of the services' clients share: an admission that keeps a diary, and texts that must not leak."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hotshotd.admission import Account, Ask, Permit, Result
from hotshotd.clock import SystemClock
from hotshotd.inference.http import ServiceSession

KEY = "sk-the-very-secret-key"
PROMPT_TEXT = "The following is part of an odd thread on Reddit about ducks."


@dataclass
class Diary:
    """An Admission that lets everything pass, and writes down what became of it. Thread-safe."""

    asks: list[Ask] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    unsent: list[tuple[Ask, Result, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, ask: Ask) -> None:
        """Let it pass."""

    def ask(self, ask: Ask) -> Permit:
        with self.lock:
            self.asks.append(ask)
            return Permit(number=len(self.asks), chars=ask.chars)

    def account(self, account: Account) -> None:
        with self.lock:
            self.accounts.append(account)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        with self.lock:
            self.unsent.append((ask, result, error))

    @contextmanager
    def sending(self) -> Iterator[None]:
        yield

    @property
    def results(self) -> list[Result]:
        """What became of each request, in the order of the permits; each has exactly one account."""
        assert sorted(account.permit.number for account in self.accounts) == list(range(1, len(self.asks) + 1))
        return [account.result for account in sorted(self.accounts, key=lambda account: account.permit.number)]


def make_session(diary: Diary) -> ServiceSession:
    return ServiceSession(admission=diary, clock=SystemClock(), connect_seconds=2.0)


def assert_discreet(error: BaseException, *secrets: str) -> None:
    """Neither the message nor what it was made of gives away the key or one of the secrets."""
    words = "".join(traceback.format_exception_only(error))
    chain: BaseException | None = error
    while chain is not None:
        words += f"{chain!s} {chain!r}"
        chain = chain.__cause__ or chain.__context__
    for secret in (KEY, *secrets):
        assert secret not in words

"""The port to what all bots share: characters, breakers, and Reddit's pace.

The quota process stands behind it; inference clients and the Reddit adapter in front. Nothing
leaves the machine for a service unless `Admission.ask` was answered with a `Permit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hotshotd._types import Chars, Role

#: Whether what is done in this context answers somebody who spoke to the bot; `pace: even` keeps a part for those.
_ADDRESSED: ContextVar[bool] = ContextVar("addressed", default=False)


@contextmanager
def answering_people() -> Iterator[None]:
    """Say that what is asked inside, in threads as well where they were given the context, answers somebody."""
    token = _ADDRESSED.set(True)
    try:
        yield
    finally:
        _ADDRESSED.reset(token)


class Result(StrEnum):
    """What became of one request, as far as breakers care."""

    OK = "ok"
    #: This one request was refused; says nothing about the service.
    REJECTED = "rejected"
    #: Time-out, reset, 5xx, 429, nonsense: may pass.
    FAILED = "failed"
    #: 401, 402, 403, 404, 410: refused for good.
    GONE = "gone"
    #: No byte left the machine; the characters are given back.
    NOT_SENT = "not_sent"


class Knock(StrEnum):
    """What a request has to do with knocking: with asking something tiny of a service that failed before."""

    NONE = "none"
    #: Whoever sends it knocks first where that is wanted (`KnockFirst`).
    CAN = "can"
    #: It is that tiny request: its success tells that somebody is there, not yet that the service works.
    IS = "is"


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to send one HTTP request.

    `chars` is what counts against the budget: the code points of the texts, 0 on a server that is
    not metered. `service` is the configured name ("hf", "openai", "perspective"), `key_id` a short hash
    of the key it is used with, `model` the model or "" where there is none. `addressed` tells whether it is for
    somebody who spoke to the bot.
    """

    service: str
    role: Role
    chars: Chars
    model: str = ""
    key_id: str = ""
    addressed: bool = field(default_factory=_ADDRESSED.get)
    knock: Knock = Knock.NONE


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send exactly one request; spent from now on, whatever the answer."""

    number: int
    chars: Chars


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a permitted request.

    `received_chars` counts the answer's text, `seconds` the wait for it. `retry_after` is what the
    service asked for, if it did.
    """

    permit: Permit
    result: Result
    received_chars: Chars = Chars(0)
    seconds: float = 0.0
    retry_after: float | None = None
    error: str = ""


class Admission(Protocol):
    """Thread-safe; each call blocks for one exchange on a Unix socket, 5 s at most."""

    def check(self, ask: Ask) -> None:
        """Raise what `ask` would raise, as far as that is known without spending anything.

        For asking before a connection is made or a prompt is built. Raises as `ask` does.
        """
        ...

    def ask(self, ask: Ask) -> Permit:
        """Charge the request, or refuse.

        Raises:
            QuotaExceeded: A budget or cap has not enough left today.
            BreakerOpen: The service is not asked now; as `KnockFirst`, not before it has answered a knock.
            BotPaused: The operator paused the bot.
            QuotaUnavailable: The quota process is away or can't grant.
        """
        ...

    def account(self, account: Account) -> None:
        """Tell what became of a permit. Never raises: lost news leave the permit charged."""
        ...

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        """Tell that a request could not even be made: the service can't be reached, or its key fits no header.

        There is no permit and nothing is charged; breakers count `result`, which is FAILED or GONE. Never raises.
        """
        ...

    def sending(self) -> AbstractContextManager[None]:
        """Hold the gate that a pause closes, from `ask` until the last byte of the request is sent.

        `pause` waits for this gate, so that nothing is spent once it has returned; waiting for an answer
        happens outside. Raises BotPaused when the gate is closed.
        """
        ...


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What Reddit's x-ratelimit headers say after a response; `reset_seconds` to the window's end."""

    used: float
    remaining: float
    reset_seconds: float


class Pace(Protocol):
    """Reddit's requests a minute, shared by all bots of one client id. Thread-safe, blocks like Admission."""

    def acquire(self, *, write: bool) -> float:
        """Take one request, and give 0; or take nothing, and give the seconds to wait."""
        ...

    def observe(self, headers: RateHeaders) -> None:
        """Pass on what Reddit said; it wins over our own count."""
        ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:
        """Give the seconds to the next poll, at least `interval_seconds`, longer when the rate is short."""
        ...


@dataclass(frozen=True, slots=True)
class Spend:
    """A bot's day in figures, for a status line."""

    day: str
    characters: Chars
    budget: Chars | None
    resets_at: datetime


@dataclass(slots=True)
class Bill:
    """What the requests of one piece of work were charged, in characters."""

    chars: int = 0


_BILL: ContextVar[Bill | None] = ContextVar("bill", default=None)


@contextmanager
def billing() -> Iterator[Bill]:
    """Gather what is charged inside, in threads as well where they were given the context.

    At its end a bill is put on the one around it.
    """
    bill = Bill()
    token = _BILL.set(bill)
    try:
        yield bill
    finally:
        _BILL.reset(token)
        charge(bill.chars)


def charge(chars: int) -> None:
    """Put characters on the bill of this context, or take given back ones off; nothing where nobody gathers."""
    bill = _BILL.get()
    if bill is not None:
        bill.chars += chars


def read_bill() -> int:
    """Give what is on the bill of this context, 0 where nobody gathers."""
    bill = _BILL.get()
    return bill.chars if bill is not None else 0

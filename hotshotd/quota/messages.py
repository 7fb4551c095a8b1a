"""Values of the admission port as JSON objects and back, for both ends of quota.sock.

What comes from a socket is checked here, field by field; nothing behind this file sees a wrong type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Knock, Permit, RateHeaders, Result
from hotshotd.errors import (
    BotPaused,
    BreakerOpen,
    HotshotError,
    KnockFirst,
    PaceExceeded,
    ProtocolError,
    QuotaError,
    QuotaExceeded,
    QuotaUnavailable,
)
from hotshotd.log import excerpt
from hotshotd.wire import Json

#: Larger numbers are mistakes; SQLite's integers end at 2**63.
MAX_NUMBER = 10**12

#: Longer texts are cut: they are names and messages.
MAX_TEXT = 500


def read_text(message: Json, name: str) -> str:
    """Give a text field, cut to `MAX_TEXT`.

    Raises:
        ProtocolError: If it is missing or no text.
    """
    value = message.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"{name} must be a text")
    return value[:MAX_TEXT]


def read_count(message: Json, name: str) -> int:
    """Give a whole number from 0 up.

    Raises:
        ProtocolError: If it is missing, negative, absurdly large or no number.
    """
    value = message.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise ProtocolError(f"{name} must be a whole number from 0 to {MAX_NUMBER}")
    return value


def read_number(message: Json, name: str) -> float:
    """Give a number from 0 up.

    Raises:
        ProtocolError: If it is missing, negative, not finite or no number.
    """
    value = message.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise ProtocolError(f"{name} must be a number from 0 to {MAX_NUMBER}")
    return float(value)


def read_flag(message: Json, name: str) -> bool:
    """Give a yes or no.

    Raises:
        ProtocolError: If it is missing or neither.
    """
    value = message.get(name)
    if not isinstance(value, bool):
        raise ProtocolError(f"{name} must be true or false")
    return value


def write_ask(ask: Ask) -> Json:
    """Make the fields of an `ask` or `check` request."""
    return {
        "service": ask.service,
        "role": ask.role.value,
        "chars": ask.chars,
        "model": ask.model,
        "key_id": ask.key_id,
        "addressed": ask.addressed,
        "knock": ask.knock.value,
    }


def parse_ask(message: Json) -> Ask:
    """Read an `ask` or `check` request.

    Raises:
        ProtocolError: If a field is wrong.
    """
    try:
        role, knock = Role(read_text(message, "role")), Knock(read_text(message, "knock"))
    except ValueError as exc:
        raise ProtocolError("role or knock is none of ours") from exc
    return Ask(
        service=read_text(message, "service"),
        role=role,
        chars=Chars(read_count(message, "chars")),
        model=read_text(message, "model"),
        key_id=read_text(message, "key_id"),
        addressed=message.get("addressed") is True,
        knock=knock,
    )


def write_account(account: Account) -> Json:
    """Make the fields of an `account` request. Wild figures of a service are tamed, for the news must arrive."""
    return {
        "number": account.permit.number,
        "chars": account.permit.chars,
        "result": account.result.value,
        "received": min(max(int(account.received_chars), 0), MAX_NUMBER),
        "seconds": _tame(account.seconds),
        "retry_after": None if account.retry_after is None else _tame(account.retry_after),
        "error": excerpt(account.error, longest=MAX_TEXT),
    }


def parse_account(message: Json) -> Account:
    """Read an `account` request.

    Raises:
        ProtocolError: If a field is wrong.
    """
    number = message.get("number")
    # Permit numbers carry an epoch above 32 bits, so MAX_NUMBER is not for them.
    if not isinstance(number, int) or isinstance(number, bool):
        raise ProtocolError("number must be a whole number")
    try:
        result = Result(read_text(message, "result"))
    except ValueError as exc:
        raise ProtocolError("result is none of ours") from exc
    return Account(
        permit=Permit(number=number, chars=Chars(read_count(message, "chars"))),
        result=result,
        received_chars=Chars(read_count(message, "received")),
        seconds=read_number(message, "seconds"),
        retry_after=None if message.get("retry_after") is None else read_number(message, "retry_after"),
        error=read_text(message, "error"),
    )


def write_headers(headers: RateHeaders) -> Json:
    """Make the fields of an `observe` request."""
    return {
        "used": _tame(headers.used),
        "remaining": _tame(headers.remaining),
        "reset_seconds": _tame(headers.reset_seconds),
    }


def parse_headers(message: Json) -> RateHeaders:
    """Read an `observe` request.

    Raises:
        ProtocolError: If a field is wrong.
    """
    return RateHeaders(
        used=read_number(message, "used"),
        remaining=read_number(message, "remaining"),
        reset_seconds=read_number(message, "reset_seconds"),
    )


def write_error(error: HotshotError) -> Json:
    """Make the fields of a refusal: `ok` false, `code`, `message` and the error's facts."""
    reply: Json = {"ok": False, "code": error.code, "message": str(error)}
    if isinstance(error, QuotaExceeded):
        reply |= {"cost": error.cost, "left": error.left, "resets_at": error.resets_at.isoformat()}
    elif isinstance(error, BreakerOpen):
        reply |= {"retry_after": error.retry_after, "gone": error.gone}
    return reply


def parse_error(reply: Json) -> QuotaError:
    """Make the exception of a refusal; QuotaUnavailable for what is not known here."""
    message = str(reply.get("message", "the quota process gave no reason"))
    try:
        return _ERRORS[str(reply.get("code"))](message, reply)
    except (KeyError, TypeError, ValueError):
        return QuotaUnavailable(message)


def _make_exceeded(message: str, reply: Json) -> QuotaError:
    kind = PaceExceeded if reply["code"] == PaceExceeded.code else QuotaExceeded
    return kind(
        message,
        cost=int(reply["cost"]),
        left=int(reply["left"]),
        resets_at=datetime.fromisoformat(reply["resets_at"]),
    )


def _make_open(message: str, reply: Json) -> QuotaError:
    kind = KnockFirst if reply["code"] == KnockFirst.code else BreakerOpen
    return kind(message, retry_after=float(reply["retry_after"]), gone=bool(reply["gone"]))


_ERRORS: dict[str, Callable[[str, Json], QuotaError]] = {
    QuotaExceeded.code: _make_exceeded,
    PaceExceeded.code: _make_exceeded,
    BreakerOpen.code: _make_open,
    KnockFirst.code: _make_open,
    BotPaused.code: lambda message, _reply: BotPaused(message),
    QuotaUnavailable.code: lambda message, _reply: QuotaUnavailable(message),
}


def _tame(value: float) -> float:
    return min(max(float(value), 0.0), float(MAX_NUMBER)) if math.isfinite(value) else 0.0

"""What workers and the supervisor may ask of the quota process: each message read, checked and carried to the room."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hotshotd._types import BotName
from hotshotd.admission import Result
from hotshotd.errors import ConfigError, ProtocolError
from hotshotd.quota.messages import (
    parse_account,
    parse_ask,
    parse_headers,
    read_count,
    read_flag,
    read_number,
    read_text,
)
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.room import Room, Tenant
from hotshotd.wire import Json


def parse_plan(message: Json) -> Plan:
    """Read the supervisor's `configure`.

    Raises:
        ConfigError: The time zone is not known on this machine.
        ProtocolError: A field is wrong.
    """
    bots = message.get("bots")
    if not isinstance(bots, dict):
        raise ProtocolError("bots must be an object")
    name = read_text(message, "timezone")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ConfigError(f"timezone {name!r} is not known here: give an IANA name such as Europe/Berlin") from exc
    return Plan(
        zone=zone,
        daily_total=_read_limit(message, "daily_total"),
        monthly_total=_read_limit(message, "monthly_total"),
        bots={BotName(str(bot)): _parse_bot(fields) for bot, fields in bots.items()},
    )


def _parse_bot(fields: object) -> BotPlan:
    if not isinstance(fields, dict) or "budget" not in fields:
        raise ProtocolError("a bot must have a budget, null for unlimited")
    return BotPlan(
        budget=_read_limit(fields, "budget"),
        paused=fields.get("paused") is True,
        even=fields.get("even") is True,
    )


def _read_limit(fields: Json, name: str) -> int | None:
    return None if fields.get(name) is None else read_count(fields, name)


def _ask(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    permit = room.ask(tenant, parse_ask(message), at=at)
    return {"number": permit.number, "chars": permit.chars}


def _check(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    room.check(tenant, parse_ask(message), at=at)
    return {}


def _account(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    room.account(tenant, parse_account(message), at=at)
    return {}


def _report_unsent(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    # Only these two: the others are about a request that left.
    result = Result.GONE if message.get("result") == Result.GONE.value else Result.FAILED
    error = read_text(message, "error")
    room.report_unsent(tenant, parse_ask(message), result=result, error=error, at=at)
    return {}


def _acquire(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    return {"wait": room.acquire(tenant, write=read_flag(message, "write"), at=at)}


def _observe(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    room.observe(tenant, parse_headers(message), at=at)
    return {}


def _stretch(room: Room, tenant: Tenant, message: Json, at: Moment) -> Json:
    interval = room.stretch(
        tenant,
        interval_seconds=read_number(message, "interval"),
        requests_per_poll=read_count(message, "requests"),
        at=at,
    )
    return {"interval": interval}


#: What a worker may ask once it has said hello, by `op`.
HANDLERS: dict[str, Callable[[Room, Tenant, Json, Moment], Json]] = {
    "ask": _ask,
    "check": _check,
    "account": _account,
    "unsent": _report_unsent,
    "acquire": _acquire,
    "observe": _observe,
    "stretch": _stretch,
}

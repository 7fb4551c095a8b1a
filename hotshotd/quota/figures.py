"""The room's figures as the JSON of `quota --json` and of `services` in `status --json`, and its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hotshotd.quota.breakers import ServiceFigures, ServiceState
from hotshotd.quota.plan import BotFigures, BudgetReached, ClockJumped, Figures, LedgerEvent
from hotshotd.quota.timings import TimingFigures
from hotshotd.wire import Json


def write_figures(figures: Figures) -> Json:
    """Make what `quota --json` prints (contract)."""
    return {
        "day": figures.day.isoformat(),
        "timezone": figures.zone,
        "resets_at": figures.resets_at.isoformat(),
        "daily_total": {"spend": figures.day_spend, "cap": figures.day_cap},
        "monthly_total": {
            "spend": figures.month_spend,
            "cap": figures.month_cap,
            "resets_at": figures.month_resets_at.isoformat(),
        },
        "bots": [_write_bot(bot) for bot in figures.bots],
    }


def write_service(service: ServiceFigures) -> Json:
    """Make one line of `services` (contract), and the model."""
    return {
        "name": service.name,
        "role": service.role.value,
        "model": service.model,
        "state": service.state.value,
        "until": service.until.isoformat() if service.until else None,
        "last_error": service.last_error or None,
    }


def write_service_event(old: ServiceState, service: ServiceFigures) -> Json:
    """Make the event of a change of a service's state."""
    return {"event": "service.state", "old": old.value, **write_service(service)}


def write_timing(timing: TimingFigures) -> Json:
    """Make what the supervisor turns into the histogram of a service."""
    return {"service": timing.service, "counts": list(timing.counts), "seconds": round(timing.seconds, 3)}


def write_event(event: LedgerEvent) -> Json:
    """Make the message of what happened in the ledger."""
    return _EVENTS[type(event)](event)


def _write_bot(bot: BotFigures) -> Json:
    return {
        "name": bot.name,
        "characters": bot.characters,
        "budget": bot.budget,
        "left": bot.left,
        "percent": bot.percent,
        "requests": bot.requests,
        "characters_received": bot.received,
        "seconds": round(bot.seconds, 3),
    }


def _write_reached(event: BudgetReached) -> Json:
    return {"event": "budget.reached", "bot": event.bot, "percent": event.percent}


def _write_jump(event: ClockJumped) -> Json:
    return {
        "event": "clock.jump",
        "seconds": round(event.seconds, 3),
        "day": event.day.isoformat(),
        "message": event.message,
    }


_EVENTS: dict[type[LedgerEvent], Callable[[Any], Json]] = {BudgetReached: _write_reached, ClockJumped: _write_jump}

"""What AI Horde is ordered: the kinds of jobs, and a job as a value. No network here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from hotshotd._types import Chars

#: How long a picture, a caption or an enlargement may take, in seconds.
PICTURE_SECONDS = 600.0

#: Stands for any model, where the configuration wants a name.
ANY_MODEL = "any"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: the paths to order it, to look whether it is ready, and to have its result.

    `check` is None where the status itself is looked at. `look_seconds` lie between two looks.
    """

    order: str
    status: str
    look_seconds: float
    check: str | None = None


TEXT = Kind(order="generate/text/async", status="generate/text/status", look_seconds=3.0)
IMAGE = Kind(order="generate/async", status="generate/status", check="generate/check", look_seconds=5.0)
ALCHEMY = Kind(order="interrogate/async", status="interrogate/status", look_seconds=5.0)


def list_models(model: str) -> list[str]:
    """Give the models that may do a job; none stands for any."""
    return [model] if model not in ("", ANY_MODEL) else []


def _salvage_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """One job. `model` tells breakers apart; `smaller` is ordered where `payload` is too much for an account.

    `read` makes the result of a status, or None while there is none; `salvage` gives what is usable when time is up.
    `measure` counts the characters of a result.
    """

    kind: Kind
    payload: Mapping[str, Any] = field(repr=False)
    limit_seconds: float
    read: Callable[[Any, str], T | None]
    model: str = ""
    chars: int = 0
    sent_texts: tuple[str, ...] = field(default=(), repr=False)
    smaller: Mapping[str, Any] | None = field(default=None, repr=False)
    salvage: Callable[[], T | None] = _salvage_nothing
    measure: Callable[[T], int] = lambda _: 0


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """What a job brought, and what was charged for it."""

    value: T
    cost: Chars

"""From an error to the end of an item: one table."""

from __future__ import annotations

from hotshotd.brain.verdict import OUTCOMES, Verdict, Why
from hotshotd.brain.writing import DeadlinePassed
from hotshotd.errors import (
    BreakerOpen,
    Down,
    HotshotError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    PaceExceeded,
    QuotaExceeded,
    QuotaUnavailable,
    Refused,
    Retry,
    Unknown,
)


class GaveUp(HotshotError):
    """An item can't go on for a reason of its own; carries the reason."""

    code = "gave_up"

    def __init__(self, why: Why, message: str, *, passing: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.why = why
        self.passing = passing
        self.retry_after = retry_after


#: The error, the reason it stands for, and whether the same item may work out later.
_ENDS: tuple[tuple[type[Exception], Why, bool], ...] = (
    (PaceExceeded, Why.PACE, True),
    (QuotaExceeded, Why.OVER_BUDGET, False),
    (QuotaUnavailable, Why.QUOTA_UNAVAILABLE, True),
    (InferenceGone, Why.MODEL_GONE, True),
    (BreakerOpen, Why.MODEL_UNAVAILABLE, True),
    (InferenceUnavailable, Why.MODEL_UNAVAILABLE, True),
    (InferenceNonsense, Why.MODEL_UNAVAILABLE, False),
    (InferenceRejected, Why.MODEL_REFUSED, False),
    (DeadlinePassed, Why.DEADLINE, False),
    (Refused, Why.REFUSED, False),
    (Unknown, Why.UNKNOWN_OUTCOME, False),
    (Retry, Why.RATE_LIMITED, True),
    (Down, Why.PLATFORM_DOWN, True),
)

#: What ends an item or a post, for an except clause.
ENDING_ERRORS: tuple[type[Exception], ...] = (GaveUp, *(error for error, _, _ in _ENDS))


def give_up(exc: Exception) -> GaveUp:
    """Name the reason that an error stands for."""
    if isinstance(exc, GaveUp):
        return exc
    for error, why, passing in _ENDS:
        if isinstance(exc, error):
            wish = exc.after if isinstance(exc, Retry) else getattr(exc, "retry_after", None)
            gave_up = GaveUp(_refine(why, exc), str(exc), passing=passing, retry_after=wish)
            gave_up.__cause__ = exc
            return gave_up
    raise AssertionError(f"no end for {type(exc).__name__}")


def _refine(why: Why, exc: Exception) -> Why:
    """Name the reason more exactly than the kind of error does."""
    if isinstance(exc, BreakerOpen) and exc.gone:
        return Why.MODEL_GONE
    return Why.TOO_LONG if isinstance(exc, InferenceRejected) and exc.too_long else why


def end_of(gave_up: GaveUp) -> Verdict:
    """Give the final verdict of an item that gave up."""
    return Verdict(OUTCOMES[gave_up.why], gave_up.why, str(gave_up)[:300])

"""How HotShotBot's values are read: each function makes one of ours, or `ABSENT` for what says nothing.

A value that makes no sense is passed on as it is, so that the usual checks name it. That program was Python
without checks: 0 and 1 were flags, and a chance above 1 was certain.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

#: Stands for a value that says nothing: empty, null, or none of our keys.
ABSENT: Final = object()

#: Generation parameters that the daemon sets by itself, or that an old server alone knew.
_OWN_PARAMETERS = frozenset({"return_full_text", "stop_token"})
_SECONDS = re.compile(r"([0-9]{1,2}:[0-9]{2}):[0-9]{2}", re.ASCII)
_FLAGS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def to_text(value: Any) -> Any:
    """Give a text; a bare number becomes its digits again."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ABSENT
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def to_subreddits(value: Any) -> Any:
    """Give the list of subreddits; that program took one, or several with + between them."""
    text = to_text(value)
    return [part for part in text.split("+") if part.strip()] if isinstance(text, str) else text


def to_flag(value: Any) -> Any:
    """Give true or false, also for 0 and 1 and for the older words."""
    if value is None:
        return ABSENT
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return _FLAGS.get(value.casefold(), value) if isinstance(value, str) else value


def to_linkpost_only(value: Any) -> Any:
    """Give false, true or `force`, which were 0, 1 and 2 for a while."""
    return "force" if value == 2 and not isinstance(value, bool) else to_flag(value)


def to_share(value: Any) -> Any:
    """Give a number from 0 to 1; what lay beyond meant never or always."""
    if value is None:
        return ABSENT
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value
    return min(1.0, max(0.0, float(value)))


def to_hours(value: Any) -> Any:
    """Give a schedule of hours between posts; 0 and less is none."""
    if value is None or (isinstance(value, int | float) and value <= 0):
        return ABSENT
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"every": f"{float(value):.6f}".rstrip("0").rstrip(".") + "h"}
    return {"every": value}


def to_times(value: Any) -> Any:
    """Give a schedule of times of day, or of those by weekday; days without any are left out."""
    if isinstance(value, dict):
        days = {day: _bare_times(times) for day, times in value.items() if times}
        return days or ABSENT
    return _bare_times(value) if value else ABSENT


def to_parameters(value: Any) -> Any:
    """Give generation parameters without those that the daemon sets by itself."""
    if not value:
        return ABSENT
    if not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if key not in _OWN_PARAMETERS} or ABSENT


def to_address(value: Any) -> Any:
    """Give the https:// address of a bare host name."""
    text = to_text(value)
    if not isinstance(text, str) or "://" in text:
        return text
    return f"https://{text.strip().strip('/')}"


def _bare_times(times: Any) -> Any:
    if not isinstance(times, list):
        return times
    return [_SECONDS.sub(r"\1", time) if isinstance(time, str) else time for time in times]

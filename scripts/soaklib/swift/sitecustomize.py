"""Faster time for a Python program that knows nothing of it: every clock, and every wait.

Python imports this module by itself at the start of any process that has this folder in PYTHONPATH (see `site`). With
HOTSHOT_SWIFT="SPEED BEGIN END SHIFT" all clocks run SPEED times as fast from BEGIN to END (seconds of CLOCK_MONOTONIC,
which is one for all processes, so that all agree), and as ever before and after; SHIFT is added to the wall clock. A
wait ends when the faster clock says so.

Methods of built-in types are replaced in the types themselves, for nobody asks a module for them. libfaketime, tried
first, does not know sem_clockwait(3), with which Python waits for locks, and begins anew in every program.
"""

import gc
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_monotonic, _wall, _sleep = time.monotonic, time.time, time.sleep
_clock_gettime, _gmtime, _localtime = time.clock_gettime, time.gmtime, time.localtime

_SPEED, _BEGIN, _END, _SHIFT = map(float, os.environ["HOTSHOT_SWIFT"].split())

#: The clocks of a process's or thread's work, which does not become more.
_OF_WORK = frozenset({time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID})


def _compute_gain(real: float) -> float:
    """Give by how much faster time is ahead of CLOCK_MONOTONIC."""
    return (min(max(real, _BEGIN), _END) - _BEGIN) * (_SPEED - 1)


def _find_real(fast: float) -> float:
    """Give what CLOCK_MONOTONIC is when faster time is `fast`."""
    end = _END + _compute_gain(_END)
    if fast <= _BEGIN:
        return fast
    return _BEGIN + (fast - _BEGIN) / _SPEED if fast <= end else _END + fast - end


def _shrink(seconds: Any) -> Any:
    """Give how long a wait really takes; None, nothing and less than nothing stay what they are."""
    if seconds is None or seconds <= 0:
        return seconds
    now = _monotonic()
    return max(_find_real(now + _compute_gain(now) + seconds) - now, 1e-9)


# --- clocks -----------------------------------------------------------------------------------------


def _read_wall() -> float:
    return _wall() + _SHIFT + _compute_gain(_monotonic())


def _read_monotonic() -> float:
    now = _monotonic()
    return now + _compute_gain(now)


def _read_clock(clock: int) -> float:
    if clock in _OF_WORK:
        return _clock_gettime(clock)
    shift = _SHIFT if clock == time.CLOCK_REALTIME else 0.0
    return _clock_gettime(clock) + shift + _compute_gain(_monotonic())


def _in_nanoseconds(read: Callable[..., float]) -> Callable[..., int]:
    return lambda *which: int(read(*which) * 1e9)


_CLOCKS: dict[str, Callable[..., Any]] = {
    "time": _read_wall,
    "time_ns": _in_nanoseconds(_read_wall),
    "monotonic": _read_monotonic,
    "monotonic_ns": _in_nanoseconds(_read_monotonic),
    "perf_counter": _read_monotonic,
    "perf_counter_ns": _in_nanoseconds(_read_monotonic),
    "clock_gettime": _read_clock,
    "clock_gettime_ns": _in_nanoseconds(_read_clock),
    "gmtime": lambda seconds=None: _gmtime(_read_wall() if seconds is None else seconds),
    "localtime": lambda seconds=None: _localtime(_read_wall() if seconds is None else seconds),
    "sleep": lambda seconds: _sleep(_shrink(seconds)),
}

# A module that some .pth file has imported before us (threading, say) may have copies.
_fast = {id(getattr(time, name)): clock for name, clock in _CLOCKS.items()}
for _module in [*sys.modules.values()]:
    for _name, _value in [*vars(_module).items()] if _module is not sys.modules[__name__] else ():
        if id(_value) in _fast:
            setattr(_module, _name, _fast[id(_value)])

# --- waits, and what reads a clock by itself: after the clocks, for these imports may copy them -------

import _queue  # noqa: E402
import _socket  # noqa: E402
import _thread  # noqa: E402
import ctypes  # noqa: E402
import datetime as dt  # noqa: E402
import select  # noqa: E402


def _replace(kind: type, name: str, method: object) -> None:
    (methods,) = (it for it in gc.get_referents(kind.__dict__) if isinstance(it, dict))
    methods[name] = method
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _shrink_argument(kind: type, name: str, position: int) -> None:
    """Shrink one argument of a method: the one at `position`, or the one called `timeout`."""
    method = getattr(kind, name)

    def shrunken(*args: Any, **kwargs: Any) -> Any:
        if len(args) > position:
            args = (*args[:position], _shrink(args[position]), *args[position + 1 :])
        elif "timeout" in kwargs:
            kwargs["timeout"] = _shrink(kwargs["timeout"])
        return method(*args, **kwargs)

    _replace(kind, name, shrunken)


for _kind, _method, _position in (
    (_thread.LockType, "acquire", 2),
    (_thread.RLock, "acquire", 2),
    (_queue.SimpleQueue, "get", 2),
    (select.epoll, "poll", 1),
):
    _shrink_argument(_kind, _method, _position)

_select, _Poll = select.select, type(select.poll())
_poll = _Poll.poll
select.select = lambda read, write, other, seconds=None: _select(read, write, other, _shrink(seconds))
_replace(_Poll, "poll", lambda self, ms=None: _poll(self, _shrink(ms / 1000) * 1000 if ms and ms > 0 else ms))

# A socket keeps its limit for later waits: it is shrunken by the speed that time has most of the time.
_set_limit, _get_limit = _socket.socket.settimeout, _socket.socket.gettimeout
_replace(_socket.socket, "settimeout", lambda self, seconds: _set_limit(self, seconds and seconds / _SPEED))
_replace(_socket.socket, "gettimeout", lambda self: (limit := _get_limit(self)) and limit * _SPEED)

_replace(dt.datetime, "now", classmethod(lambda cls, tz=None: cls.fromtimestamp(_read_wall(), tz)))
_replace(dt.datetime, "utcnow", classmethod(lambda cls: cls.utcfromtimestamp(_read_wall())))
_replace(dt.datetime, "today", classmethod(lambda cls: cls.fromtimestamp(_read_wall())))
_replace(dt.date, "today", classmethod(lambda cls: cls.fromtimestamp(_read_wall())))

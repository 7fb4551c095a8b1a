"""What the supervisor does once before it forks, so that every worker shares it.

Imports what workers need, makes and drops one of each expensive thing, and freezes the garbage collector: a full
collection in a worker would otherwise write to every page and unshare it (measured: 16 MB a worker instead of 4).
"""

from __future__ import annotations

import asyncio
import ctypes
import encodings.idna  # noqa: F401 - the first https request of a worker would import it
import gc
import stringprep  # noqa: F401 - likewise

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hotshotd.brain.keywords import default_keywords
from hotshotd.clock import SystemClock
from hotshotd.inference import tls
from hotshotd.log import get_logger
from hotshotd.reddit.client import warm_up

_log = get_logger()


def warm() -> None:
    """Warm everything up and freeze. Opens no connection and leaves no thread."""
    warm_up()
    tls.warm_up()
    default_keywords()
    asyncio.run(_run_scheduler())
    gc.collect()
    _trim()
    gc.freeze()


async def _run_scheduler() -> None:
    """Start and stop a scheduler: what it imports and caches is then in shared pages."""

    async def nothing() -> None: ...

    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.start()
    scheduler.add_job(nothing, "date", run_date=SystemClock().now(), misfire_grace_time=None)
    await asyncio.sleep(0.01)
    scheduler.shutdown(wait=False)


def _trim() -> None:
    """Give memory freed by the imports back to the system, where the C library can (malloc_trim(3))."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        _log.debug("warm.no_trim")

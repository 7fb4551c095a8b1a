"""What the supervisor does once before it forks, so that every worker shares it.

Imports what workers need, makes and drops one of each expensive thing, and freezes the garbage collector: a full
collection in a worker would otherwise write to every page and unshare it (measured: 16 MB a worker instead of 4).
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - the first https request of a worker would import it
import gc
import stringprep  # noqa: F401 - likewise

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hotshotd.brain import clean
from hotshotd.brain.keywords import default_keywords
from hotshotd.clock import SystemClock
from hotshotd.config.schema import MainConfig
from hotshotd.errors import PlatformError
from hotshotd.inference import tls
from hotshotd.log import get_logger
from hotshotd.memory import fill_pools, trim, use_one_heap
from hotshotd.reddit.client import warm_up
from hotshotd.supervisor.rehearsal import rehearse

_log = get_logger()

#: Kept as long as there are workers to share the pools that it fills.
_filling: list[bytes] = []


def warm(main: MainConfig) -> None:
    """Warm everything up and freeze. Leaves no connection and no thread."""
    # First: a thread of the rehearsal would get a heap of its own, and leave it to each worker.
    use_one_heap()
    warm_up()
    tls.warm_up()
    default_keywords()
    clean.warm_up()
    asyncio.run(_run_scheduler())
    try:
        if not rehearse(main):
            _log.warning("warm.no_rehearsal", error="the rehearsal did not come to its end: workers share less memory")
    except (OSError, PlatformError) as exc:
        _log.warning("warm.no_rehearsal", error=str(exc))
    gc.collect()
    trim()
    _filling.extend(fill_pools())
    gc.freeze()


async def _run_scheduler() -> None:
    """Start and stop a scheduler: what it imports and caches is then in shared pages."""

    async def nothing() -> None: ...

    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.start()
    scheduler.add_job(nothing, "date", run_date=SystemClock().now(), misfire_grace_time=None)
    await asyncio.sleep(0.01)
    scheduler.shutdown(wait=False)

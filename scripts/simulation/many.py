"""Many runs, one after the other or several at a time."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from tempfile import TemporaryDirectory

from simulation.run import Outcome, find_memory, run
from simulation.scenario import Scenario

#: Runs that are begun ahead of the one that is waited for, for each process: some take ten times as long as others.
_AHEAD = 8


def run_many(scenarios: Iterable[Scenario], *, jobs: int, keep_log: bool = False) -> Generator[Outcome, None, None]:
    """Live through scenarios in so many processes; give the outcomes in the order of the scenarios.

    Close the iterator to end what is under way. Takes no more scenarios than it needs, so there may be no end of them.
    """
    if jobs <= 1:
        for scenario in scenarios:
            yield run(scenario, keep_log=keep_log)
        return
    # A folder around theirs, for a process that is killed leaves its own behind.
    with TemporaryDirectory(prefix="hotshot-sims-", dir=find_memory()) as folder, _make_pool(jobs) as pool:
        live = partial(run, keep_log=keep_log, folder=folder)
        under_way: deque[Future[Outcome]] = deque()
        for scenario in scenarios:
            under_way.append(pool.submit(live, scenario))
            if len(under_way) > _AHEAD * jobs:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def _make_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    others = active_children()
    # Ctrl-C reaches every process of the terminal, and only this one is to answer it.
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    finally:
        for child in active_children():
            if child not in others:
                child.kill()
        pool.shutdown(cancel_futures=True)

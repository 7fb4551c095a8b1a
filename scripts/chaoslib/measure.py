"""Memory and descriptors over time."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from chaoslib.daemon import Daemon
from chaoslib.processes import count_descriptors, read_pss

#: Seconds between two looks.
LOOK_SECONDS = 5.0
#: Seconds a process lives before its first figures count: caches fill, and pages shared at first are written to.
WARM_SECONDS = 300.0
#: Seconds a process has to live for its growth to count.
GROWN_SECONDS = 300.0
#: Looks at either end of a life whose median counts.
_WINDOW = 8
#: Connections to servers that one process may keep: a few threads, a few servers.
MAX_KEPT_CONNECTIONS = 40

#: Descriptors that come and go with what is done just now: a control connection, a file that is being read.
PASSING_DESCRIPTORS = 2


@dataclass(frozen=True, slots=True)
class Look:
    """One process at one moment. `descriptors` are those that are no connections to servers."""

    at: float
    pss_kb: int
    descriptors: int
    connections: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How much one process grew from warm to the end."""

    role: str
    pid: int
    lived_seconds: float
    pss_kb: tuple[int, int]
    descriptors: tuple[int, int]
    connections: tuple[int, int]

    @property
    def percent(self) -> float:
        """Growth of memory, in per cent; less than nothing where it shrank."""
        return 100 * (self.pss_kb[1] - self.pss_kb[0]) / self.pss_kb[0]


@dataclass(slots=True)
class Gauge:
    """Looks at every process again and again, in a thread of its own."""

    daemon: Daemon
    look_seconds: float = LOOK_SECONDS
    warm_seconds: float = WARM_SECONDS
    looks: dict[tuple[str, int], list[Look]] = field(default_factory=lambda: defaultdict(list))
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._live, name="gauge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> dict[str, Look]:
        """Look once at all; give what was seen by role."""
        found: dict[str, Look] = {}
        for role, pid in self.daemon.find_pids().items():
            pss, descriptors = read_pss(pid), count_descriptors(pid)
            if pss is None or descriptors is None:
                continue
            found[role] = Look(time.monotonic(), pss, _count_own(descriptors), descriptors["inet"])
            self.looks[role, pid].append(found[role])
        return found

    def compute_growth(self) -> list[Growth]:
        """Give the growth of each process that lived long enough, the largest first."""
        grown = []
        for (role, pid), looks in list(self.looks.items()):
            lived = looks[-1].at - looks[0].at
            warm = [look for look in looks if look.at - looks[0].at >= self.warm_seconds]
            if lived < GROWN_SECONDS or len(warm) < 2 * _WINDOW:
                continue
            first, last = warm[:_WINDOW], warm[-_WINDOW:]
            grown.append(
                Growth(
                    role, pid, lived,
                    (round(median(look.pss_kb for look in first)), round(median(look.pss_kb for look in last))),
                    (min(look.descriptors for look in first), min(look.descriptors for look in last)),
                    (min(look.connections for look in first), min(look.connections for look in last)),
                )
            )  # fmt: skip
        return sorted(grown, key=lambda growth: -growth.percent)

    def write(self, path: Path) -> None:
        """Write every look down, one line each: role, process, seconds, PSS in kB, descriptors, connections."""
        with path.open("w", encoding="utf-8") as file:
            for (role, pid), looks in list(self.looks.items()):
                for look in looks:
                    line = role, pid, round(look.at), look.pss_kb, look.descriptors, look.connections
                    file.write("\t".join(map(str, line)) + "\n")

    def _live(self) -> None:
        while not self._stopping.wait(self.look_seconds):
            self.look()


def _count_own(descriptors: Counter[str]) -> int:
    return descriptors.total() - descriptors["inet"]

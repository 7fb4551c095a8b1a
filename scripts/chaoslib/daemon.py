"""The daemon as a child: started, listened to, killed, started again as systemd would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaoslib.processes import Process, is_alive, list_sessions, reap_adopted
from hotshotd.control.client import ControlClient
from hotshotd.errors import HotshotError

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a status may take on a busy machine.
STATUS_SECONDS = 10.0
#: Seconds after a supervisor's death in which every process of it has to end: the quota process writes its figures.
ORPHAN_SECONDS = 20.0
#: Seconds that the daemon has to end after SIGTERM: 8 for workers, 3 for the quota process, and a busy machine.
STOP_SECONDS = 25.0
#: Seconds for a start until the control socket answers.
START_SECONDS = 60.0


class Daemon:
    """One daemon after the other over the same files. Safe from any thread."""

    def __init__(self, config: Path, socket_file: Path, log_file: Path, environ: Mapping[str, str]) -> None:
        self.ends: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.crashes: list[str] = []
        self.events: Counter[str] = Counter()
        self.unexpected_ends: list[str] = []
        self.orphans: list[str] = []
        self.starts = 0
        self.slowest_start_seconds = 0.0
        self.change = threading.RLock()
        self._config = config
        self._socket_file = socket_file
        self._log = log_file.open("a", encoding="utf-8")
        self._environ = dict(environ)
        self._sessions: set[int] = set()
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        #: Processes that somebody stopped and has not let go on yet: they can't end by themselves.
        self.stopped: set[int] = set()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, until it answers."""
        self.starts += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hotshotd", "--config", str(self._config)],
            env=self._environ, cwd=self._config.parent, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self._sessions.add(self._process.pid)
        reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        reader.start()
        self._readers.append(reader)
        begin, process = time.monotonic(), self._process
        wait_until(
            lambda: process.poll() is not None or self.status() is not None, seconds=START_SECONDS if wait else 0
        )
        if wait and process.poll() is not None:
            self.unexpected_ends.append(f"ended with {process.poll()} while it started")
        elif wait and time.monotonic() - begin >= START_SECONDS:
            self.unexpected_ends.append(f"no answer {START_SECONDS:g} s after a start")
        self.slowest_start_seconds = max(self.slowest_start_seconds, time.monotonic() - begin)

    def ask(self, op: str, *, seconds: float = 45.0, **arguments: Any) -> dict[str, Any]:
        """Give a command as hotshotctl does; raises what that raises."""
        return ControlClient(self._socket_file).request({"op": op, **arguments}, timeout_seconds=seconds)

    def status(self) -> dict[str, Any] | None:
        """Ask how everybody is; None while nobody answers."""
        try:
            return self.ask("status", bots=[], seconds=STATUS_SECONDS)
        except (HotshotError, OSError):
            return None

    def find_pids(self) -> dict[str, int]:
        """Give the processes by role: a bot's name, `quota`, `supervisor`; those of the last answer."""
        status = self.status()
        if status is None:
            return {}
        found = {bot["name"]: bot["pid"] for bot in status["bots"] if bot["pid"]}
        quota = status["daemon"]["quota"]["pid"]
        return {**found, **({"quota": quota} if quota else {}), "supervisor": status["daemon"]["pid"]}

    def kill(self, *, everybody: bool, pause_seconds: float) -> None:
        """Kill the supervisor, or all at once, and start anew after a pause; those of before have to end meanwhile."""
        assert self._process is not None
        with self.change:
            before = list_sessions(frozenset({self._process.pid}))
            if everybody:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait(10)
            threading.Thread(target=self._watch_orphans, args=(before,), daemon=True).start()
            time.sleep(pause_seconds)
            self.start()

    def revive(self) -> None:
        """Start it anew if it ended by itself, which it should not."""
        if not self.change.acquire(blocking=False):
            return
        try:
            assert self._process is not None
            code = self._process.poll()
            if code is not None:
                self.unexpected_ends.append(f"the supervisor ended by itself with {code}")
                self.start()
        finally:
            self.change.release()

    def stop_supervisor(self) -> None:
        """End it as systemd would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
            if code != 0:
                self.unexpected_ends.append(f"exit code {code} after SIGTERM")
        except subprocess.TimeoutExpired:
            self.unexpected_ends.append(f"no end within {STOP_SECONDS:g} s of SIGTERM")

    def stop(self) -> None:
        """End it, and look for what is left of any."""
        self.stop_supervisor()
        left = list_sessions(frozenset(self._sessions))
        self.orphans += [f"{process.pid} left at the end ({_name(process.pid)})" for process in left]
        self.clear()

    def clear(self) -> None:
        """Leave no process behind, whatever happened; let the log go."""
        for process in list_sessions(frozenset(self._sessions)):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        reap_adopted(frozenset())
        for reader in self._readers:
            reader.join(5)
        self._log.close()

    # --- inside ---------------------------------------------------------------------------------

    def _watch_orphans(self, before: list[Process]) -> None:
        pids = [process.pid for process in before]
        end = time.monotonic() + ORPHAN_SECONDS
        while any(map(is_alive, pids)) and time.monotonic() < end:
            reap_adopted(frozenset({self.pid}))
            if self.stopped.intersection(pids):
                end = time.monotonic() + ORPHAN_SECONDS
            time.sleep(0.2)
        reap_adopted(frozenset({self.pid}))
        self.orphans += [f"{pid} outlived its supervisor ({_name(pid)})" for pid in pids if is_alive(pid)]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                if not self._log.closed:
                    self._log.write(line)
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            event = entry["event"]
        except (ValueError, KeyError, TypeError):
            self.crashes.append(f"not a log entry: {line.strip()[:300]}")
            return
        self.events[event] += 1
        if event == "item.done":
            self.ends[entry["bot"], entry["thing"]].append(entry)
        if event in ("item.crashed", "post.crashed", "poll.crashed", "worker.task_failed") or "exception" in entry:
            self.crashes.append(f"{event}: {entry.get('bot')} {entry.get('error') or entry.get('exception')}"[:600])


def wait_until(check: Any, *, seconds: float, every: float = 0.1) -> bool:
    """Wait until something is true; tell whether it became so."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "gone"

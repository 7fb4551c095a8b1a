"""The stage: local servers, files, the disk that can be full, the clock that can be stepped, and the daemon."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chaoslib.cast import ANNEX, HOME, PLAZA, BotSpec, make_main_config
from chaoslib.crowd import PACE_SECONDS, Crowd
from chaoslib.daemon import ROOT, Daemon
from chaoslib.records import Records
from hotshotd.sandbox.faults import Plan
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.reddit import RateMeter, RedditServer
from hotshotd.sandbox.services import Services

#: Debian's libfaketime: the wall clock of the daemon alone is stepped, what it measures waits with stays.
_FAKETIME = tuple(
    Path(f"/usr/lib/{kind}/faketime/libfaketimeMT.so.1")
    for kind in ("x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf")
)

#: Seconds until every process has read a new step of the clock.
STEP_SECONDS = 2.0

_DISK_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` (monotonic seconds) on the daemon's wall clock is so many seconds wrong."""

    at: float
    offset: float


@dataclass(frozen=True, slots=True)
class Setting:
    """What may be otherwise than in scripts/chaos.

    `rate` is requests of one app in ten minutes: there five times what Reddit gives, for so much more happens. Without
    a `zone` it is noon, and no day ends unless the clock is stepped.
    """

    zone: str | None = None
    rate: int = 5_000
    latency_seconds: float = 0.05
    people_seconds: float = PACE_SECONDS
    may_step_clock: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)


#: As it is in scripts/chaos.
_FIERCE = Setting()


class World:
    """Everything around the daemon. Close it with its `stack`."""

    def __init__(
        self, folder: Path, cast: tuple[BotSpec, ...], *, seed: int, may_mount: bool, setting: Setting = _FIERCE
    ) -> None:
        self.setting = setting
        self.folder = folder
        self.cast = cast
        self.skipped: list[str] = []
        self.plan = Plan(seed=seed)
        self.forum = Forum()
        self.records = Records(time.monotonic)
        self.steps: list[Step] = [Step(0.0, 0.0)]
        self.reddit = RedditServer(self.forum, plan=self.plan, rate=RateMeter(limit=setting.rate))
        self.services = Services(
            keys={bot.key: bot.name for bot in cast}, seed=seed, plan=self.plan, latency_seconds=setting.latency_seconds
        )  # fmt: skip
        self.crowd = Crowd(self.forum, cast, random.Random(f"crowd {seed}"), pace_seconds=setting.people_seconds)
        self._fill_forum()
        self.state = folder / "state"
        self.state.mkdir()
        self._is_mounted = may_mount and self._mount()
        self._library = next((path for path in _FAKETIME if path.exists() and setting.may_step_clock), None)
        if self._library is None and setting.may_step_clock:
            self.skipped.append("clock steps: libfaketime is not installed (apt-get install libfaketime)")
        if not self._is_mounted:
            self.skipped.append("full disk by a mount: not allowed here; a limit of file size takes its place")

    @property
    def can_step_clock(self) -> bool:
        return self._library is not None

    @property
    def config(self) -> Path:
        return self.folder / "hotshotd.yaml"

    def bot_file(self, name: str) -> Path:
        return self.folder / "bots.d" / f"{name}.yaml"

    def open(self, stack: ExitStack) -> Daemon:
        """Start the servers and the daemon; the stack ends all."""
        stack.callback(self._unmount)
        stack.enter_context(self.reddit)
        stack.enter_context(self.services)
        for server in (self.reddit.http, *self.services.servers):
            self.records.watch(server)
        names = frozenset(bot.name for bot in self.cast)
        stack.callback(self.forum.subscribe(lambda event: self.records.hear(event, names)))
        self._write_files()
        self.set_clock(0.0)
        daemon = Daemon(
            self.config, self.folder / "run" / "control.sock", self.folder / "daemon.log", self._make_environ()
        )
        stack.callback(daemon.clear)
        daemon.start()
        return daemon

    # --- clock ------------------------------------------------------------------------------------

    def set_clock(self, offset: float) -> None:
        """Set the daemon's wall clock so many seconds wrong; every process has noticed when this returns."""
        if self._library is None:
            return
        fresh = self.folder / "clock.new"
        fresh.write_text(f"{offset:+.0f}\n")
        fresh.rename(self.folder / "clock")
        if offset != self.steps[-1].offset:
            self.steps.append(Step(time.monotonic(), offset))
            time.sleep(STEP_SECONDS)

    def _make_environ(self) -> dict[str, str]:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            **self.setting.environ,
        }
        for bot in self.cast:
            environ |= bot.environment
        if self._library is not None:
            environ |= {
                "LD_PRELOAD": str(self._library),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1",
                "NO_FAKE_STAT": "1",
            }
        return environ

    # --- disk -------------------------------------------------------------------------------------

    def fill_disk(self, quota_pid: int | None) -> Callable[[], None]:
        """Make the state folder full; gives what frees it."""
        return self._fill_mount() if self._is_mounted else _limit_files(quota_pid)

    def _fill_mount(self) -> Callable[[], None]:
        waste = self.state / "waste"
        with suppress(OSError):
            file = os.open(waste, os.O_WRONLY | os.O_CREAT, 0o600)
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while os.write(file, b"x" * size):
                        pass
            os.close(file)
        return lambda: waste.unlink(missing_ok=True)

    def _mount(self) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(self.state)]
        try:
            return subprocess.run(words, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def _unmount(self) -> None:
        if self._is_mounted:
            kept = self.folder / "state.kept"
            with suppress(OSError):
                shutil.copytree(self.state, kept, ignore=shutil.ignore_patterns("waste"))
            subprocess.run(["umount", "--lazy", str(self.state)], capture_output=True, check=False)

    # --- files ------------------------------------------------------------------------------------

    def _fill_forum(self) -> None:
        for place in (HOME, PLAZA, ANNEX):
            self.forum.add_subreddit(place)
        for bot in self.cast:
            self.forum.add_account(bot.name, bot.password)
            self.forum.add_client(bot.client_id, bot.secret)

    def write_main(self, more: str = "") -> None:
        zone = self.setting.zone or f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
        text = make_main_config(
            reddit=self.reddit.base_url, hf=self.services.hf_url, openai=self.services.openai_url,
            perspective=self.services.perspective_url, state_dir=str(self.state),
            runtime_dir=str(self.folder / "run"), zone=zone,
        )  # fmt: skip
        replace_file(self.config, text + more)

    def _write_files(self) -> None:
        (self.folder / "bots.d").mkdir()
        self.write_main()
        for bot in self.cast:
            replace_file(self.bot_file(bot.name), bot.text)


def replace_file(path: Path, text: str) -> None:
    """Write a file as an editor does: nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.rename(path)


def _limit_files(pid: int | None) -> Callable[[], None]:
    """Let a process write no file, without any right: its limit of file size is nought."""
    if pid is None:
        return lambda: None
    try:
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    except (ProcessLookupError, PermissionError):
        return lambda: None

    def free() -> None:
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    return free

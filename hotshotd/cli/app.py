"""Puts a daemon together: the one place where supervisor, control socket, quota process and workers meet."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hotshotd import __version__, log
from hotshotd._types import BotName
from hotshotd.cli.bottom import BottomLines
from hotshotd.clock import AwakeClock, SystemClock, fresh_random
from hotshotd.config.loaded import Loaded, LoadedBot
from hotshotd.control.handlers import Exchange, handle
from hotshotd.control.peers import make_doorkeeper
from hotshotd.control.server import ControlServer, bind_unix
from hotshotd.errors import ConfigError, ExitCode, name_remedy
from hotshotd.log import get_logger
from hotshotd.loop import Loop
from hotshotd.memory import keep_private
from hotshotd.quota.server import serve
from hotshotd.quota.store import LedgerTooNew
from hotshotd.supervisor.alerts import Alerts
from hotshotd.supervisor.commands import Commands
from hotshotd.supervisor.courier import Alert, carry
from hotshotd.supervisor.metrics import Metrics
from hotshotd.supervisor.notices import Notices
from hotshotd.supervisor.outbox import Outbox
from hotshotd.supervisor.process import Child, ChildMain, spawn, spawn_many
from hotshotd.supervisor.quota import QuotaChild
from hotshotd.supervisor.supervisor import Load, Supervisor
from hotshotd.supervisor.told import Told
from hotshotd.supervisor.warm import warm
from hotshotd.supervisor.wishes import Wishes
from hotshotd.systemd import Notifier
from hotshotd.wire import Json
from hotshotd.worker.entry import run_worker

_log = get_logger()

#: Mode of the operator's socket (its group may steer) and of the workers' (the daemon's user alone).
CONTROL_MODE, QUOTA_MODE = 0o660, 0o600

#: Seconds that imports and the rehearsal may take on a slow machine; afterwards the loop asks for more by itself.
WARM_SECONDS = 60.0

#: Seconds between the sign-ins of two workers that start together.
STAGGER_SECONDS = 0.02


def run_daemon(loaded: Loaded, load: Load, *, bottom_lines: bool = False) -> ExitCode:
    """Run until a signal ends it; with `bottom_lines`, and on a terminal, the bots' counters stay below the log.

    Raises:
        ConfigError: If a folder or socket can't be used, or another daemon uses it.
    """
    keep_private()
    main = loaded.main
    assert main is not None, "checked by the caller"
    state_dir, runtime_dir = _make_folder(main.state_dir), _make_folder(main.runtime_dir)
    # Held for life: a lock goes when its process does, whatever ends it (flock(2)).
    locks = [_lock(state_dir), _lock(runtime_dir)]
    _log.info("daemon.starting", version=__version__, bots=len(loaded.bots), invalid=len(loaded.invalid))
    chance = fresh_random()
    loop = Loop(AwakeClock())
    notifier = Notifier()
    notifier.extend_timeout(WARM_SECONDS)
    quota_listener = bind_unix(runtime_dir / "quota.sock", mode=QUOTA_MODE, backlog=512)
    doorkeeper = make_doorkeeper()
    control_path = runtime_dir / "control.sock"
    control_listener = bind_unix(control_path, mode=CONTROL_MODE, backlog=64, group=doorkeeper.group)
    warm(main)
    notices = Notices(loop, notifier)
    quota = QuotaChild(
        loop,
        _make_quota_main(quota_listener, state_dir, notifier),
        quota_listener,
        chance=chance,
        on_event=notices.on_quota_event,
        on_refused=lambda reason: supervisor.refuse(reason),  # noqa: PLW0108 - it is made below
    )
    supervisor = Supervisor(
        loop,
        loaded,
        load=_follow_log_settings(load),
        quota=quota,
        spawn=lambda current: _WorkerSpawner(loop, current, notifier),
        wishes=Wishes(state_dir / "paused.json"),
        chance=chance,
        on_change=notices.on_change,
        on_reload_begun=notices.on_reload_begun,
        on_reload_ended=notices.on_reload_ended,
    )
    notices.attend(supervisor)
    _send_alerts(loop, supervisor, notifier, told=Told(state_dir / "alerts.json", loop.clock))
    metrics = _show_metrics(loop, supervisor)
    commands = Commands(supervisor)
    control = ControlServer(loop, control_listener, lambda exchange: _serve(commands, exchange), doorkeeper=doorkeeper)
    shown = BottomLines(loop, sys.stderr, commands.describe_bots) if bottom_lines and sys.stderr.isatty() else None
    code = supervisor.run()
    metrics.close()
    if shown:
        shown.close()
    control.close()
    for path in (runtime_dir / "control.sock", runtime_dir / "quota.sock"):
        path.unlink(missing_ok=True)
    for lock in locks:
        os.close(lock)
    _log.info("daemon.stopped")
    return code


def _follow_log_settings(load: Load) -> Load:
    """Make each load count for our own log at once; workers inherit it at their fork."""

    def load_and_follow(running: Mapping[BotName, LoadedBot]) -> Loaded:
        fresh = load(running)
        if fresh.main is not None:
            log.configure(level=fresh.main.log.level, format=fresh.main.log.format)
        return fresh

    return load_and_follow


def _send_alerts(loop: Loop, supervisor: Supervisor, notifier: Notifier, *, told: Told) -> None:
    """Have alerts sent, if and as the main file of each moment says."""

    def launch(alerts: Sequence[Alert], *, on_message: Callable[[Json], None]) -> Child:
        main, host = supervisor.main, socket.gethostname()

        def be_courier(channel: socket.socket) -> int:
            notifier.close()
            return carry(channel, alerts, main, environ=os.environ, daemon=host)

        return spawn(loop, be_courier, on_message=on_message)

    outbox = Outbox(loop, told, launch=launch, chance=fresh_random())
    alerts = Alerts(loop, told, outbox, supervisor)
    supervisor.quota.listeners.append(alerts.on_quota_event)
    supervisor.watchers.changed.append(alerts.look)
    supervisor.watchers.reloaded.append(alerts.follow)
    supervisor.watchers.reaped.append(outbox.reap)
    # In the loop: the bots are not made yet.
    loop.call_later(0, alerts.begin)


def _show_metrics(loop: Loop, supervisor: Supervisor) -> Metrics:
    """Serve or write the figures, if and as the main file of each moment says."""
    metrics = Metrics(loop, supervisor)
    supervisor.watchers.reloaded.append(metrics.follow)
    loop.call_later(0, metrics.follow)
    return metrics


def _serve(commands: Commands, exchange: Exchange) -> None:
    handle(commands, exchange)


class _WorkerSpawner:
    """Makes workers with the settings of one load."""

    def __init__(self, loop: Loop, current: Loaded, notifier: Notifier) -> None:
        assert current.main is not None
        self._loop = loop
        self._main = current.main
        self._notifier = notifier

    def __call__(self, loaded: LoadedBot, *, paused: bool, on_message: Callable[[Json], None]) -> Child:
        return spawn(self._loop, self._make_main(loaded, paused=paused), on_message=on_message)

    def spawn_many(self, bots: Sequence[tuple[LoadedBot, bool]]) -> list[Child]:
        # Many bots must not all sign in at one moment.
        mains = [
            self._make_main(loaded, paused=paused, delay_seconds=place * STAGGER_SECONDS)
            for place, (loaded, paused) in enumerate(bots)
        ]
        return spawn_many(self._loop, mains)

    def _make_main(self, loaded: LoadedBot, *, paused: bool, delay_seconds: float = 0.0) -> ChildMain:
        def be_worker(channel: socket.socket) -> int:
            self._notifier.close()
            return run_worker(
                channel, config=loaded.config, main=self._main, paused=paused, delay_seconds=delay_seconds
            )

        return be_worker


def _make_quota_main(listener: socket.socket, state_dir: Path, notifier: Notifier) -> Callable[[socket.socket], int]:
    def be_quota(channel: socket.socket) -> int:
        notifier.close()
        try:
            serve(listener=listener, channel=channel, state_dir=state_dir, clock=SystemClock(), log=get_logger())
        except LedgerTooNew:
            # The supervisor was told why.
            return ExitCode.CONFIG
        return ExitCode.OK

    return be_quota


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"{path}: can't make this folder ({exc.strerror}); make it, or set another in the main config"
        ) from exc
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise ConfigError(f"{path}: is on a disk that is mounted read-only; mount it read-write, or set another folder")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: this user may not write there; set its owner right, or set another folder")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IWOTH:
        # Containers' volumes are often like this, so it is no reason to refuse.
        remedy = f"everybody can replace what is in there (mode {mode:04o}): run chmod o-w {path}"
        _log.warning("daemon.folder_open", path=str(path), remedy=remedy)
    return path


def _lock(folder: Path) -> int:
    path = folder / "hotshotd.lock"
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be opened ({exc.strerror}): {name_remedy(exc)}") from exc
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(number)
        raise ConfigError(
            f"{folder}: another hotshotd uses this folder; stop it, or give this one folders of its own"
        ) from exc
    return number

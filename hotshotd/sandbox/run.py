"""`hotshotd sandbox`: local servers and invented people in this process, the real daemon as its child.

The daemon is told nothing of the sandbox: it gets an ordinary configuration in a temporary folder,
with local addresses, and its secrets by environment variables. Whatever ends the sandbox, Ctrl-C,
a signal, `--duration` or a kill -9, no process stays behind.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hotshotd.clock import Clock, SystemClock, fresh_random
from hotshotd.errors import ConfigError, ExitCode, HotshotError
from hotshotd.sandbox.bots import SUBREDDIT, Addresses, ExampleBot, make_bots, make_main_config
from hotshotd.sandbox.faults import Plan, load_plan
from hotshotd.sandbox.forum import Event, Forum
from hotshotd.sandbox.markov import make_chance
from hotshotd.sandbox.people import PEOPLE, People
from hotshotd.sandbox.reddit import RedditServer
from hotshotd.sandbox.screen import Feed, Line, Screen, Span, make_screen, parse_status
from hotshotd.sandbox.services import Services

#: Seconds that the daemon has to end after SIGTERM; its own grace is 8.
STOP_SECONDS = 10.0

#: Seconds between two looks at the counters.
REFRESH_SECONDS = 1.0

#: Seconds a text model of the sandbox thinks.
LATENCY_SECONDS = 0.3

#: How many of the daemon's last log lines are shown when it ends by itself.
TAIL_LINES = 25

#: Asks the daemon that listens on a control socket for the data of `status`; raises HotshotError while it can't.
AskStatus = Callable[[Path], Mapping[str, Any]]

#: What the daemon gets of our own environment. Proxies, service managers and settings stay outside.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")

# prctl(PR_SET_PDEATHSIG) outlives execve(2), so this needs no code between fork and exec of a process with
# threads. The kernel kills the daemon when we are gone; the look at getppid closes the race with our death.
_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@dataclass(frozen=True, slots=True)
class _Stage:
    """All that is set up before the daemon starts."""

    folder: Path
    bots: Sequence[ExampleBot]
    forum: Forum
    reddit: RedditServer
    services: Services
    people: People
    seed: int

    @property
    def config_file(self) -> Path:
        return self.folder / "hotshotd.yaml"

    @property
    def socket_file(self) -> Path:
        return self.folder / "run" / "control.sock"


def run_sandbox(
    *,
    port: int | None,
    bots: int,
    duration: float | None,
    faults: Path | None,
    out: TextIO,
    ask_status: AskStatus,
    clock: Clock | None = None,
    seed: int | None = None,
    program: Sequence[str] = ("-m", "hotshotd"),
) -> int:
    """Run the sandbox until Ctrl-C, SIGTERM or `duration` seconds have passed; give the exit code.

    Blocks. Call it in the main thread: the daemon is killed when the thread that started it ends.
    `port` is where the local Reddit listens, None for a free one. `program` is what the interpreter
    runs as the daemon. Gives 0, 1 if the daemon ended by
    itself or the port is taken, 2 if an argument is wrong.
    """
    clock = clock or SystemClock()
    seed = fresh_random().getrandbits(32) if seed is None else seed
    try:
        plan = load_plan(faults) if faults else Plan()
        example_bots = make_bots(bots, now=clock.now())
    except (ConfigError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return ExitCode.USAGE
    with ExitStack() as stack:
        try:
            stage = _set_stage(stack, example_bots, plan=plan, port=port or 0, seed=seed)
        except OSError as exc:
            print(f"the sandbox can't listen on port {port}: {exc.strerror}; choose another --port", file=sys.stderr)
            return ExitCode.FAILED
        return _Show(stage, program=program, ask_status=ask_status, clock=clock, out=out).run(duration)


# --- setting up ----------------------------------------------------------------------------------


def _set_stage(stack: ExitStack, bots: Sequence[ExampleBot], *, plan: Plan, port: int, seed: int) -> _Stage:
    folder = Path(tempfile.mkdtemp(prefix="hotshot-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    forum = _make_forum(bots)
    reddit = stack.enter_context(RedditServer(forum, port=port, plan=plan))
    keys = {bot.key: bot.username for bot in bots}
    services = stack.enter_context(Services(keys=keys, seed=seed, plan=plan, latency_seconds=LATENCY_SECONDS))
    people = People(forum, subreddit=SUBREDDIT, bots=[bot.username for bot in bots], chance=make_chance(seed, "people"))
    stage = _Stage(folder, bots, forum, reddit, services, people, seed)
    _write_config(stage)
    return stage


def _make_forum(bots: Sequence[ExampleBot]) -> Forum:
    forum = Forum()
    forum.add_subreddit(SUBREDDIT)
    for bot in bots:
        forum.add_account(bot.username, bot.password)
        forum.add_client(bot.client_id, bot.client_secret)
    return forum


def _write_config(stage: _Stage) -> None:
    addresses = Addresses(
        reddit=stage.reddit.base_url,
        hf=stage.services.hf_url,
        openai=stage.services.openai_url,
    )
    (stage.folder / "bots.d").mkdir()
    stage.config_file.write_text(
        make_main_config(addresses, state_dir=str(stage.folder / "state"), runtime_dir=str(stage.socket_file.parent)),
        "utf-8",
    )
    for bot in stage.bots:
        (stage.folder / "bots.d" / f"{bot.name}.yaml").write_text(bot.text, "utf-8")


def make_environment(bots: Sequence[ExampleBot], *, home: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Give the daemon's environment: little of ours, and the secrets of the bots."""
    environment = {name: base[name] for name in _PASSED_ON if name in base}
    package_folder = str(Path(__file__).resolve().parents[2])
    paths = [package_folder, *filter(None, base.get("PYTHONPATH", "").split(os.pathsep))]
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    for bot in bots:
        environment |= bot.environment
    return environment


def _start_daemon(stage: _Stage, program: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [*program, "--config", str(stage.config_file)]
    launched = ["-c", _LAUNCH, str(os.getpid()), *command] if sys.platform == "linux" else command
    return subprocess.Popen(
        [sys.executable, *launched],
        cwd=stage.folder,
        env=make_environment(stage.bots, home=stage.folder, base=os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Ctrl-C of the terminal is for us; we tell the daemon.
        start_new_session=True,
    )


# --- running -------------------------------------------------------------------------------------


class _Show:
    """The daemon and the screen, from start to end. One thread, and one that reads the daemon's log."""

    def __init__(
        self, stage: _Stage, *, program: Sequence[str], ask_status: AskStatus, clock: Clock, out: TextIO
    ) -> None:
        self._stage = stage
        self._program = tuple(program)
        self._ask_status = ask_status
        self._clock = clock
        self._out = out
        self._stop = threading.Event()
        self._news: queue.SimpleQueue[Event | Mapping[str, Any]] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._feed = Feed(stage.forum, {bot.username: bot.name for bot in stage.bots})

    def run(self, duration: float | None) -> int:
        """Start the daemon, show what happens, end it; give the exit code."""
        deadline = None if duration is None else self._clock.monotonic() + duration
        unsubscribe = self._stage.forum.subscribe(self._news.put)
        with _listen_for_signals(self._stop):
            daemon = _start_daemon(self._stage, self._program)
            reader = threading.Thread(target=self._read_log, args=(daemon,), name="daemon-log", daemon=True)
            reader.start()
            try:
                return self._perform(daemon, deadline)
            finally:
                unsubscribe()
                self._stage.people.stop()
                _end(daemon)
                reader.join(1.0)
                if reader.is_alive():
                    # Somebody of the daemon's group holds its standard error still: nobody may outlive us.
                    _kill_group(daemon)
                    reader.join()

    def _perform(self, daemon: subprocess.Popen[bytes], deadline: float | None) -> int:
        try:
            screen = make_screen(self._out, bots=[bot.name for bot in self._stage.bots], clock=self._clock)
            screen.show([self._greeting(), self._advice()])
            self._stage.people.start()
            try:
                self._watch(daemon, screen, deadline)
                screen.show(self._feed.flush(everything=True))
            finally:
                screen.close()
            return self._report_death(daemon) if daemon.poll() is not None else ExitCode.OK
        except BrokenPipeError:
            # Whoever read us (head, less) has gone: that is an end like any other.
            _mute(self._out)
            return ExitCode.OK

    def _watch(self, daemon: subprocess.Popen[bytes], screen: Screen, deadline: float | None) -> None:
        next_look = self._clock.monotonic()
        while not self._stop.is_set() and daemon.poll() is None:
            now = self._clock.monotonic()
            if deadline is not None and now >= deadline:
                return
            screen.show(self._collect_news())
            if now >= next_look:
                next_look = now + REFRESH_SECONDS
                screen.show(self._feed.flush())
                self._refresh(screen)

    def _collect_news(self) -> list[Line]:
        lines: list[Line] = []
        with suppress(queue.Empty):
            news = self._news.get(timeout=0.2)
            while True:
                show = self._feed.show_event if isinstance(news, Event) else self._feed.show_record
                lines += show(news)  # type: ignore[arg-type]
                news = self._news.get_nowait()
        return lines

    def _refresh(self, screen: Screen) -> None:
        # While the daemon starts, or is busy, the last counters stay.
        with suppress(HotshotError, OSError):
            screen.update(parse_status(self._ask_status(self._stage.socket_file)))

    def _read_log(self, daemon: subprocess.Popen[bytes]) -> None:
        assert daemon.stderr is not None
        with daemon.stderr as log:
            for raw in log:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                self._tail.append(line)
                with suppress(ValueError, RecursionError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        self._news.put(record)

    def _greeting(self) -> Line:
        stage = self._stage
        return (
            Span(
                f"r/{SUBREDDIT} on {stage.reddit.base_url}: {len(stage.bots)} bots, {len(PEOPLE)} redditors, "
                f"all invented (seed {stage.seed}). Ctrl-C ends it.",
                "title",
            ),
        )

    def _advice(self) -> Line:
        command = f"hotshotctl --socket {self._stage.socket_file}"
        return (Span(f"Steer it from another terminal, for example: {command} status"),)

    def _report_death(self, daemon: subprocess.Popen[bytes]) -> int:
        print(f"the daemon ended by itself with exit code {daemon.wait()}; its last lines:", file=self._out)
        for line in tuple(self._tail):
            print("  " + line, file=self._out)
        return ExitCode.FAILED


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon and whatever it left; takes `STOP_SECONDS` at most."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(STOP_SECONDS)
            return
    _kill_group(daemon)
    daemon.wait()


def _kill_group(daemon: subprocess.Popen[bytes]) -> None:
    # It leads a process group of its own: a stuck one, or the orphans of a crashed one, go together.
    with suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)


@contextmanager
def _listen_for_signals(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mute(out: TextIO) -> None:
    # Else the interpreter's last flush fails and spoils the exit code.
    with suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, out.fileno())
        os.close(devnull)

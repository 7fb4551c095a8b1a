"""A real daemon over the sandbox's servers, for tests: start it, steer it, wait for what it says, never for a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from hotshotd.control.client import ControlClient
from hotshotd.errors import DaemonNotRunning
from hotshotd.sandbox.faults import Plan
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.reddit import RedditServer
from hotshotd.sandbox.services import Services

ROOT = Path(__file__).parents[2]
PLACE = "pond"
KEY = "sandbox-key"

BOT = """\
reddit:
  username: {name}
  password_env: BOT_PASSWORD
  client_id_env: BOT_ID
  client_secret_env: BOT_SECRET
  operator: keeper
  subreddits: [pond]
  confirm_after: [0.2s, 0.5s]
backstory: I am a duck.
character_budget: {budget}
{post}reply:
  backend: openai
  model: {model}
  followup_only: false
  chance: 1.0
  max_per_thread: 1000
  max_per_author_hour: 1000
  max_per_day: null
rank: {{gate_model: {gate}, rank_model: null, min_score: 0.0}}
safety: {{moderators: [openai]}}
poll: {{interval: 1s}}
{more}"""


def wait_until(check: Callable[[], Any], *, seconds: float = 15.0, what: str = "it") -> Any:
    """Give what `check` gives once that is true; the daemon's own state has no event we could block on."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.02)


class World:
    """Local servers, a folder of files, and a daemon that can be started over them again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = Plan()
        self.forum = Forum()
        self.forum.add_subreddit(PLACE)
        self.forum.add_client("client", "client-secret")
        self.forum.add_account("ann")
        self.reddit = RedditServer(self.forum, plan=self.plan)
        self.services = Services(keys={KEY: "duck"}, plan=self.plan)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "BOT_PASSWORD": "quack",
            "BOT_ID": "client",
            "BOT_SECRET": "client-secret",
            "OPENAI_API_KEY": KEY,
            "HF_TOKEN": KEY,
        }
        self.daemon: Daemon | None = None
        #: What runs instead of Python itself, for a daemon that is to have fewer rights than the tests.
        self.launcher: tuple[str, ...] = (sys.executable,)

    def __enter__(self) -> Self:
        self.reddit.start()
        self.services.start()
        (self.folder / "bots.d").mkdir()
        self.write_main()
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemon:
            self.daemon.end()
        self.services.stop()
        self.reddit.stop()

    @property
    def config(self) -> Path:
        return self.folder / "hotshotd.yaml"

    def bot_file(self, name: str) -> Path:
        return self.folder / "bots.d" / f"{name}.yaml"

    def write_main(self, more: str = "") -> None:
        self.config.write_text(
            f"state_dir: state\nruntime_dir: run\nlog: {{format: json}}\n"
            f"reddit: {{reddit_url: {self.reddit.base_url}, oauth_url: {self.reddit.base_url}}}\n"
            f"backends:\n  openai: {{url: {self.services.openai_url}}}\n  hf: {{url: {self.services.hf_url}}}\n"
            f"services: {{perspective: {{url: {self.services.perspective_url}}}}}\n{more}"
        )

    def add_bot(
        self,
        name: str,
        *,
        post: str = "",
        more: str = "",
        budget: object = 100_000,
        gate: str = "null",
        model: str = "duck-chat",
    ) -> str:
        """Write a bot's file and make its account; a post is a block such as `post: {schedule: ...}`."""
        if self.forum.account(name) is None:
            self.forum.add_account(name, "quack")
        post = f"{post}\n" if post else ""
        text = BOT.format(name=name, post=post, more=more, budget=budget, gate=gate, model=model)
        self.bot_file(name).write_text(text)
        return text

    def start(self, *, ready: bool = True, environ: Mapping[str, str] | None = None) -> Daemon:
        self.daemon = Daemon(self, {**self.environ, **(environ or {})})
        if ready:
            self.daemon.wait_event("daemon.ready")
        return self.daemon

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run hotshotctl as an operator would."""
        return subprocess.run(
            [*self.launcher, "-c", "from hotshotd.cli.ctl import main; main()", "--config", str(self.config), *words],
            env=self.environ, capture_output=True, text=True, timeout=60, cwd=self.folder,
        )  # fmt: skip

    def comments_of(self, name: str) -> list[str]:
        """Give what a bot's comments stand under."""
        return [comment.parent for comment in self.forum.comments(author=name)]


class Daemon:
    """One run of the daemon, and the events it logged."""

    def __init__(self, world: World, environ: Mapping[str, str]) -> None:
        self.world = world
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [*world.launcher, "-m", "hotshotd", "--config", str(world.config)],
            env=dict(environ), stderr=subprocess.PIPE, text=True, cwd=world.folder, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                # Every line is an object: a line that is none fails the test that looks for it.
                self.events.append(json.loads(line) if line.startswith("{") else {"event": "NOT JSON", "line": line})
                self._changed.notify_all()

    def wait_event(self, event: str, *, seconds: float = 20.0, count: int = 1, **facts: Any) -> dict[str, Any]:
        """Block until the daemon has logged an event with these facts, `count` times; give the last."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [
                entry
                for entry in self.events
                if entry["event"] == event and all(entry.get(key) == value for key, value in facts.items())
            ]
            return len(found) >= count

        with self._changed:
            assert self._changed.wait_for(is_there, seconds), f"no {event} {facts} in {''.join(self.lines[-30:])}"
        return found[count - 1]

    def count_events(self, event: str, **facts: Any) -> int:
        with self._changed:
            return sum(
                entry["event"] == event and all(entry.get(key) == value for key, value in facts.items())
                for entry in self.events
            )

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        client = ControlClient(self.world.folder / "run" / "control.sock")
        return client.request({"op": op, **arguments})

    def status(self) -> dict[str, Any]:
        return self.ask("status", bots=[])

    def bot(self, name: str) -> dict[str, Any]:
        return next(bot for bot in self.status()["bots"] if bot["name"] == name)

    def wait_state(self, name: str, state: str, *, seconds: float = 15.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            try:
                bot = self.bot(name)
            except DaemonNotRunning:
                return None
            return bot if bot["state"] == state else None

        found: dict[str, Any] = wait_until(look, seconds=seconds, what=f"{name} {state}")
        return found

    def pids(self) -> dict[str, int]:
        return {bot["name"]: bot["pid"] for bot in self.status()["bots"] if bot["pid"]}

    def kill(self) -> None:
        """Kill the supervisor as the kernel would."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator would; give its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(15)
        self._close()
        return code

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._close()

    def _close(self) -> None:
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

"""What the benchmarks share: a local Reddit in a process of its own, a folder of idle bots, and a daemon over both."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hotshotd.control.client import ControlClient  # noqa: E402
from hotshotd.errors import ControlError  # noqa: E402
from hotshotd.sandbox.forum import Forum  # noqa: E402
from hotshotd.sandbox.reddit import RedditServer  # noqa: E402

PLACES = ("one", "two", "three")

BOT = """\
reddit: {{username: {name}, password_env: P, client_id_env: I, client_secret_env: S, operator: keeper,
  subreddits: [one, two, three], confirm_after: [1s]}}
backstory: I wait.
safety: {{moderators: [openai]}}
poll: {{interval: {interval}}}
{job}
"""
REPLIES = "reply: {backend: openai, model: none}\nrank: {gate_model: null, rank_model: null}"
POSTS = 'post: {backend: openai, model: none, format: plain, schedule: ["23:59"], catch_up: 0s}'


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon, and how to ask it and its Reddit."""

    process: subprocess.Popen[bytes]
    client: ControlClient
    count_requests: Callable[[], dict[str, int]]

    def status(self) -> dict[str, Any]:
        return self.client.request({"op": "status", "bots": []})


def wait_until(check: Callable[[], bool], *, seconds: float) -> None:
    """Wait for a state of another process."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up after {seconds:g} s")
        time.sleep(0.02)


def _serve(names: list[str], pipe: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forum = Forum()
    forum.add_client("client", "secret")
    for place in PLACES:
        forum.add_subreddit(place)
    forum.add_account("ann")
    for name in names:
        forum.add_account(name, "pw")
    for number in range(60):
        # Something to read: listings of an idle subreddit are not empty.
        forum.submit("ann", PLACES[number % 3], f"An old post, number {number}", "It has a text of some length. " * 20)
    with RedditServer(forum) as server:
        pipe.send(server.base_url)
        while pipe.recv() == "count":
            counts: dict[str, int] = {}
            for request in server.log.requests():
                counts[request.path] = counts.get(request.path, 0) + 1
            pipe.send(counts)


@contextmanager
def run_daemon(bots: int, *, job: str = REPLIES, interval: str = "5s") -> Iterator[Daemon]:
    """Run a daemon with idle bots; everything ends with the block."""
    names = [f"bot{number:03}" for number in range(bots)]
    ours, theirs = multiprocessing.Pipe()
    reddit = multiprocessing.get_context("spawn").Process(target=_serve, args=(names, theirs), daemon=True)
    reddit.start()
    url = ours.recv()

    def count_requests() -> dict[str, int]:
        ours.send("count")
        counts: dict[str, int] = ours.recv()
        return counts

    with tempfile.TemporaryDirectory(prefix="hotshot-bench-") as folder:
        base = Path(folder)
        (base / "bots.d").mkdir()
        for name in names:
            (base / "bots.d" / f"{name}.yaml").write_text(BOT.format(name=name, job=job, interval=interval))
        (base / "hotshotd.yaml").write_text(
            f"state_dir: state\nruntime_dir: run\nlog: {{format: json, level: warning}}\n"
            f"reddit: {{reddit_url: {url}, oauth_url: {url}}}\n"
            "backends: {openai: {url: http://127.0.0.1:9/v1, key_env: K}}\n"
        )
        environ = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": str(ROOT), **dict.fromkeys("PK", "pw")}
        process = subprocess.Popen(
            [sys.executable, "-m", "hotshotd", "--config", str(base / "hotshotd.yaml")],
            env={**environ, "I": "client", "S": "secret"},
        )
        try:
            yield Daemon(process, ControlClient(base / "run" / "control.sock"), count_requests)
        finally:
            process.terminate()
            process.wait(20)
            ours.send("stop")
            reddit.join(10)


def wait_running(daemon: Daemon, *, seconds: float = 60.0) -> None:
    """Wait until every bot is `running`."""

    def all_run() -> bool:
        try:
            return all(bot["state"] == "running" for bot in daemon.status()["bots"])
        except ControlError:
            return False

    wait_until(all_run, seconds=seconds)


def to_json(value: object) -> str:
    """Make one line for a program to read."""
    return json.dumps(value)

"""A worker's first minute, played once in the supervisor before it forks.

Python writes into the very objects it runs (inline caches, quickened code, lazy attributes): what was run once here is
written already, and stays shared. The part is played by the production code with an invented bot, against a child
process that gives canned answers on a loopback address for a moment. No thread and no connection is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from hotshotd.admission import RateHeaders
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BACKEND_PRESETS, BotConfig, MainConfig
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.wire import encode
from hotshotd.worker.entry import build_parts
from hotshotd.worker.link import Link
from hotshotd.worker.worker import Worker

#: Seconds after which the canned server ends itself, whatever happened to us.
_SERVER_SECONDS = 5

#: Seconds after which no further play begins: a slow or stopped machine starts with less shared memory, but starts.
_LONGEST_SECONDS = 4.0

#: Seconds from a worker's start to its end: a sign-in and a poll are over in a few hundredths.
_PLAY_SECONDS = 0.06

#: CPython 3.11 writes into a function until it has run eight times (quickening), and most at the next few runs, when
#: it specialises (0.2 MB a worker from eight to twelve; twenty bring no more).
TIMES = 12

_POST = {
    "id": "a", "name": "t3_a", "title": "A title", "selftext": "A text of some words.", "author": "somebody",
    "subreddit": "nowhere", "created_utc": 1.0, "permalink": "/r/nowhere/comments/a/a/", "is_self": True, "score": 1,
    "url": "", "locked": False, "archived": False, "over_18": False, "num_comments": 0,
}  # fmt: skip
_COMMENT = {
    "id": "b", "name": "t1_b", "body": "Another text.", "author": "somebody", "subreddit": "nowhere",
    "created_utc": 1.0, "parent_id": "t3_a", "link_id": "t3_a", "permalink": "/r/nowhere/comments/a/a/b/",
    "replies": "", "score": 1,
}  # fmt: skip
_ENVIRON = dict.fromkeys(("P", "I", "S"), "rehearsal")


class _FreePace:
    """No rate to keep."""

    def acquire(self, *, write: bool) -> float:  # noqa: ARG002 - the port's shape
        return 0.0

    def observe(self, headers: RateHeaders) -> None: ...

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:  # noqa: ARG002 - the port's shape
        return interval_seconds


def rehearse(main: MainConfig) -> None:
    """Sign in, read and judge as a worker does. Takes some 50 ms.

    Raises:
        OSError: If there is no loopback address; nothing is lost but shared memory.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        child = _fork_server(listener)
    # Our end is closed: when the server has ended, calls are refused at once and do not wait in vain.
    try:
        clock = SystemClock()
        end = clock.monotonic() + _LONGEST_SECONDS
        for _ in range(TIMES):
            if clock.monotonic() < end:
                asyncio.run(_play(main, port))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def _play(main: MainConfig, port: int) -> None:
    site = f"http://127.0.0.1:{port}"
    sites = main.reddit.model_copy(update={"reddit_url": site, "oauth_url": site})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        # No quota process is asked: there is none yet, and its socket would keep us waiting.
        settings = main.model_copy(update={"reddit": sites, "runtime_dir": Path("/nonexistent")})
        parts = build_parts(_make_bot(), settings, _QuietLink(ours), environ=_ENVIRON)
        assert isinstance(parts.platform, RedditPlatform)
        parts.platform.rehearse_with(_FreePace())
        try:
            working = asyncio.create_task(Worker(parts, paused=False).run())
            await asyncio.wait([working], timeout=_PLAY_SECONDS)
            theirs.send(encode({"op": "stop"}))
            await working
        finally:
            parts.calls.close()
            parts.platform.close()


class _QuietLink(Link):
    """Logs nothing: nothing of this happened."""

    def event(self, event: str, **facts: object) -> None: ...


def _make_bot() -> BotConfig:
    return BotConfig.model_validate(
        {
            "name": "rehearsal",
            "reddit": {
                "username": "somebody-else", "password_env": "P", "client_id_env": "I", "client_secret_env": "S",
                "operator": "nobody", "subreddits": ["nowhere"], "confirm_after": ["0s"],
            },
            "backstory": "Nobody.",
            "reply": {"backend": "ollama", "model": "none"},
            "rank": {"gate_model": None, "rank_model": None},
            "safety": {"moderators": [], "unmoderated": True},
            "backends": BACKEND_PRESETS,
        }
    )  # fmt: skip


def _fork_server(listener: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(_SERVER_SECONDS)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            while True:
                _serve(listener.accept()[0])
        finally:
            os._exit(0)
    return pid


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        while request := lines.readline():
            length = 0
            while (header := lines.readline()).strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            lines.read(length)
            body = json.dumps(_answer(request.split()[1].decode())).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            # In one segment: two would wait for each other (Nagle, delayed acknowledgement).
            connection.sendall(head + body)


def _answer(path: str) -> Any:
    if "access_token" in path:
        return {"access_token": "t", "expires_in": 3600, "scope": "*"}
    if path.startswith("/api/v1/me"):
        return {"name": "somebody-else", "is_suspended": False}
    child = {"kind": "t1", "data": _COMMENT} if "comments" in path else {"kind": "t3", "data": _POST}
    if "unread" in path:
        child = {
            "kind": "t1",
            "data": {**_COMMENT, "context": "/r/nowhere/comments/a/a/b/?context=3", "type": "post_reply"},
        }
    return {"kind": "Listing", "data": {"after": None, "children": [child]}}

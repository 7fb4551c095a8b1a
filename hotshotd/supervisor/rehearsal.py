"""A worker's first minutes, played a few times in the supervisor before it forks.

Python writes into the very objects it runs (inline caches, quickened code, lazy attributes): what was run once here is
written already, and stays shared. The part is played by the production code with an invented bot, which signs in,
reads, answers whoever speaks to it, and makes a post; a child process gives canned answers. No thread and no connection
is left.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hotshotd._types import Outcome
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BACKEND_PRESETS, BotConfig, MainConfig
from hotshotd.supervisor.canned import ACCOUNT, THINGS, Canned
from hotshotd.wire import encode
from hotshotd.worker.entry import build_parts
from hotshotd.worker.link import Link
from hotshotd.worker.worker import Worker

#: Seconds after which no further play begins: a slow or stopped machine starts with less shared memory, but starts.
_LONGEST_SECONDS = 4.0

#: The longest play: about 0.1 s, on a small machine 0.5 s.
_PLAY_SECONDS = 2.0

#: How late the post is that is made first.
_LATE = timedelta(minutes=1)

#: Whether nobody writes anything, and how often that is played. CPython 3.11 writes into a function until it has run
#: eight times (quickening), and most at the next few runs, when it specialises. The quiet life comes last: it is what
#: most bots live most of the time, and what specialises in it stays as it is.
PLAYS = ((False, 4), (True, 8))

#: How things end if all goes well: who wants to be left alone is not answered.
_LIVELY_ENDS: Counter[object] = Counter(
    {Outcome.REPLIED.value: len(THINGS) - 1, Outcome.SKIPPED.value: 1, Outcome.PUBLISHED.value: 1}
)


def rehearse(main: MainConfig) -> int:
    """Play until it was played often enough; give how often it came to its end. Takes about a second.

    Raises:
        OSError: If there is no loopback address, or no room in `runtime_dir`; nothing is lost but shared memory.
    """
    end = SystemClock().monotonic() + _LONGEST_SECONDS
    played = 0
    for is_quiet, times in PLAYS:
        done = _play_often(main, is_quiet=is_quiet, times=times, end=end)
        played += done
        if done < times:
            break
    return played


def _play_often(main: MainConfig, *, is_quiet: bool, times: int, end: float) -> int:
    clock, secret = SystemClock(), secrets.token_hex(8)
    canned = Canned(is_quiet=is_quiet)
    try:
        for played in range(times):
            if clock.monotonic() >= end:
                return played
            with _make_state(main.runtime_dir) as state_dir:
                settings = _make_settings(main, canned, state_dir)
                posted_at = None if is_quiet else clock.now().astimezone(UTC) - _LATE
                if not asyncio.run(_play(_make_bot(canned.site, posted_at=posted_at), settings, secret)):
                    return played  # it would not go better the next time
        return times
    finally:
        canned.close()


@contextmanager
def _make_state(runtime_dir: Path) -> Iterator[Path]:
    """Give a bot without a past its folder, in memory: nothing waits for a disk."""
    folder = runtime_dir / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)  # of a daemon that was killed
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_settings(main: MainConfig, canned: Canned, state_dir: Path) -> MainConfig:
    sites = main.reddit.model_copy(update={"reddit_url": canned.site, "oauth_url": canned.site})
    folders = {"runtime_dir": canned.runtime_dir, "state_dir": state_dir, "secrets_file": None}
    # In a zone without clock changes: the slot of a minute ago is the one that is missed, all year round.
    return main.model_copy(update={"reddit": sites, "timezone": "UTC", **folders})


async def _play(bot: BotConfig, settings: MainConfig, secret: str) -> bool:
    """Play once; False when it did not come to its end. A bot that posts is spoken to, too."""
    expected = _LIVELY_ENDS if bot.post else Counter()
    # Secrets are struck out of every log line from here on: they must look like no word.
    environ = dict.fromkeys(("P", "I", "S"), secret)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = _QuietLink(ours, expected)
        parts = build_parts(bot, settings, link, environ=environ)
        working = asyncio.create_task(Worker(parts, paused=False).run())
        ended = asyncio.create_task(link.ended.wait())
        try:
            await asyncio.wait([working, ended], timeout=_PLAY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            theirs.send(encode({"op": "stop"}))
            await working
        finally:
            ended.cancel()
            parts.calls.close()
            parts.platform.close()
    return link.ended.is_set()


class _QuietLink(Link):
    """Logs nothing, for nothing of this happened; knows when the bot has read, and all has ended as it should."""

    def __init__(self, channel: socket.socket, expected: Counter[object]) -> None:
        super().__init__(channel)
        self.ended = asyncio.Event()
        self._expected = expected
        self._outcomes: Counter[object] = Counter()
        self._has_read = False

    def event(self, event: str, **facts: object) -> None:  # noqa: ARG002 - the link's shape
        self._outcomes[facts.get("outcome")] += 1
        self._look()

    def report(self, **facts: object) -> None:
        self._has_read = self._has_read or facts.get("reading") is True
        self._look()
        super().report(**facts)

    def _look(self) -> None:
        if self._has_read and self._outcomes == self._expected:
            self.ended.set()


def _make_bot(site: str, *, posted_at: datetime | None) -> BotConfig:
    """Give a bot whose post of a minute ago was missed, or one that does not post."""
    backends = {
        **BACKEND_PRESETS,
        "openai": {"api": "chat", "url": f"{site}/v1", "key_env": "S"},
        "hf": {"api": "hf", "url": f"{site}/hf", "key_env": "S"},
    }
    return BotConfig.model_validate(
        {
            "name": "rehearsal",
            "reddit": {
                "username": ACCOUNT, "password_env": "P", "client_id_env": "I", "client_secret_env": "S",
                "operator": "nobody", "subreddits": ["nowhere"], "confirm_after": ["0s"],
            },
            "backstory": "Somebody who tells of the town.",
            "post": {"schedule": [f"{posted_at:%H:%M}"]} if posted_at else None,
            "reply": {"backend": "openai", "model": "none", "followup_only": False, "chance": 1.0},
            "safety": {"moderators": ["openai"]},
            "backends": backends,
        }
    )  # fmt: skip

"""Print how much of a day's budget can be used where there is work, with the quota process left alone and killed.

The real process on real files: a client asks for grants and sends nothing else; kill -9 comes once in each of the 24
parts of the day's work, at any moment. Exits 1 when less than 98 % (no kill) or 95 % (24 kills) was granted.

Usage: budget_use.py [BUDGET [GRANTS]]      30,000 characters and 200 grants without them
"""

from __future__ import annotations

import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hotshotd._types import BotName, Chars, Role  # noqa: E402
from hotshotd.admission import Account, Ask, Result  # noqa: E402
from hotshotd.clock import SystemClock  # noqa: E402
from hotshotd.errors import QuotaExceeded, QuotaUnavailable  # noqa: E402
from hotshotd.quota.client import QuotaClient  # noqa: E402
from hotshotd.quota.server import serve  # noqa: E402
from hotshotd.wire import LineBuffer, encode  # noqa: E402

FORK = multiprocessing.get_context("fork")
HOURS = 24
#: Kills, and the least part of the budget that must be usable with them.
LIMITS = {0: 0.98, HOURS: 0.95}


class NoonClock(SystemClock):
    """The machine's clock, moved to a noon: no budget begins anew meanwhile."""

    def __init__(self) -> None:
        self._shift = datetime(2026, 11, 24, 12, tzinfo=UTC) - datetime.now(UTC)

    def now(self) -> datetime:
        return super().now() + self._shift


class Log:
    """Puts on standard error what goes wrong over there."""

    def error(self, event: str, **fields: object) -> None:
        os.write(2, f"{event} {fields}\n".encode())

    warning = error


class Quota:
    """The quota process, and what the supervisor is to it."""

    def __init__(self, folder: Path, budget: int) -> None:
        self.clock = NoonClock()
        self.path = folder / "quota.sock"
        self._folder = folder
        self._bots = {"bot": {"budget": budget, "paused": False}}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self.start()

    def start(self) -> None:
        """Fork it, and wait until it grants."""
        self._channel, theirs = socket.socketpair()
        self._process = FORK.Process(target=self._serve, args=(theirs,))
        self._process.start()
        theirs.close()
        settings = {"timezone": "UTC", "daily_total": None, "monthly_total": None, "bots": self._bots}
        self._channel.sendall(encode({"op": "configure", **settings}))
        lines = LineBuffer()
        while not any(message.get("event") == "ready" for message in lines.feed(self._channel.recv(65536))):
            pass

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._channel.close()

    def close(self) -> None:
        self.kill()
        self._listener.close()

    def _serve(self, channel: socket.socket) -> None:
        self._channel.close()
        serve(listener=self._listener, channel=channel, state_dir=self._folder, clock=self.clock, log=Log())


@contextmanager
def run_quota(budget: int) -> Iterator[Quota]:
    with tempfile.TemporaryDirectory() as folder:
        quota = Quota(Path(folder), budget)
        try:
            yield quota
        finally:
            quota.close()


def use(budget: int, grants: int, *, kills: int) -> int:
    """Ask for grants until there are none; give the characters of those that arrived."""
    chance, arrived = random.Random(kills), 0
    with run_quota(budget) as quota:
        client = QuotaClient(quota.path, bot=BotName("bot"), client="c", clock=quota.clock)
        kill_at = sorted(budget * (part + chance.random()) / (kills + 1) for part in range(kills))
        while True:
            while kill_at and arrived >= kill_at[0]:
                kill_at.pop(0)
                quota.kill()
                quota.start()
            chars = budget // grants
            ask = Ask(service="hf", role=Role.TEXT, chars=Chars(chars), model="m")
            try:
                permit = client.ask(ask)
            except QuotaExceeded:
                break
            except QuotaUnavailable:
                time.sleep(0.01)
                continue
            arrived += chars
            client.account(Account(permit, Result.OK))
        client.close()
    return arrived


def main() -> int:
    given = [int(word) for word in sys.argv[1:3]]
    budget, grants = (*given, *(30_000, 200)[len(given) :])
    holds = True
    for kills, least in LIMITS.items():
        begun = time.monotonic()
        arrived = use(budget, grants, kills=kills)
        part = arrived / budget
        holds = holds and part >= least
        print(
            f"{kills:>2} kills: {arrived:,} of {budget:,} characters granted, {part:.2%} (at least {least:.0%}),"
            f" in {time.monotonic() - begun:.1f} s"
        )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

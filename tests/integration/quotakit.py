"""The quota process without its supervisor: a process of its own over a folder, and what tests need around it."""

from __future__ import annotations

import multiprocessing
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from hotshotd._types import BotName, Chars, Role
from hotshotd.admission import Account, Ask, Result
from hotshotd.clock import SystemClock
from hotshotd.quota.client import QuotaClient
from hotshotd.quota.server import serve
from hotshotd.quota.store import SqliteStore
from hotshotd.wire import LineBuffer, encode

FORK = multiprocessing.get_context("fork")


class NoonClock(SystemClock):
    """The machine's clock, moved to a noon, so that no test meets a midnight that it does not want."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._shift = now - datetime.now(UTC)

    def now(self) -> datetime:
        return super().now() + self._shift


class QuietLog:
    """Keeps what went wrong on standard error, where pytest shows it."""

    def error(self, event: str, **fields: object) -> None:
        os.write(2, f"{event} {fields}\n".encode())

    warning = error


def _run(listener, channel, parent_end, folder, clock, store) -> None:
    parent_end.close()
    serve(listener=listener, channel=channel, state_dir=folder, clock=clock, log=QuietLog(), open_store=store)


class Daemon:
    """What the supervisor is to the quota process: it keeps the listener, the channel, and the settings."""

    def __init__(self, folder: Path, *, store=SqliteStore, clock=None, path=None, **budgets: int | None) -> None:
        self.folder = folder
        self.path = path or folder.with_name(f"{folder.name}.sock")
        self.store = store
        self.clock = clock or NoonClock()
        self.settings = {
            "op": "configure",
            "timezone": "UTC",
            "daily_total": None,
            "monthly_total": None,
            "bots": {bot: {"budget": budget, "paused": False} for bot, budget in budgets.items()},
        }
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(512)
        self.start()

    def start(self) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20)
        self.lines = LineBuffer()
        self.events: list[dict] = []
        self.process = FORK.Process(
            target=_run, args=(self.listener, theirs, self.channel, self.folder, self.clock, self.store)
        )
        self.process.start()
        theirs.close()
        self.send(self.settings)

    def send(self, message: dict) -> None:
        self.channel.sendall(encode(message))

    def wait_for(self, **wanted) -> dict:
        """Read the channel until a message has these fields."""
        while True:
            for message in self.events:
                if wanted.items() <= message.items():
                    self.events.remove(message)
                    return message
            data = self.channel.recv(65536)
            assert data, f"the channel ended before {wanted}"
            self.events += self.lines.feed(data)

    def order(self, **message) -> dict:
        self.send({"id": 1, **message})
        return self.wait_for(id=1)

    def figures(self) -> dict[str, dict]:
        return {bot["name"]: bot for bot in self.order(op="snapshot")["quota"]["bots"]}

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.channel.close()

    def stop(self) -> None:
        if self.process.is_alive():
            self.send({"op": "stop"})
            self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.channel.close()

    def client(self, bot: str = "iama", **more) -> QuotaClient:
        return QuotaClient(self.path, bot=BotName(bot), client="c", clock=self.clock, **more)


def make_ask(chars: int, model: str = "m") -> Ask:
    return Ask(service="hf", role=Role.TEXT, chars=Chars(chars), model=model)


def spend(client: QuotaClient, chars: int) -> None:
    client.account(Account(client.ask(make_ask(chars)), Result.OK))

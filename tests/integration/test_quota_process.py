"""The quota process as a process: killed, restarted, pestered, stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from quotakit import NoonClock, QuietLog, make_ask, spend

from hotshotd import __version__
from hotshotd._types import Chars
from hotshotd.admission import Account, RateHeaders, Result
from hotshotd.errors import BotPaused, ConfigError, QuotaError, QuotaExceeded, QuotaUnavailable
from hotshotd.quota.messages import write_ask
from hotshotd.quota.server import serve
from hotshotd.quota.store import SqliteStore
from hotshotd.wire import encode


class CountingStore(SqliteStore):
    """Counts its writes in a file beside the ledger."""

    def write(self, batch) -> None:
        super().write(batch)
        with (self._path.parent / "writes").open("a") as file:
            file.write("x")


def test_serve__grants_accounts_and_shows(daemon_of):
    """The plain way: ready, a grant, its account, and the contract's figures."""
    daemon = daemon_of(iama=1000, free=None)
    daemon.wait_for(event="ready")
    client = daemon.client()
    client.check(make_ask(1000))
    client.account(Account(client.ask(make_ask(850)), Result.OK, received_chars=Chars(7), seconds=0.5))
    with pytest.raises(QuotaExceeded) as refusal:
        client.ask(make_ask(151))
    assert (refusal.value.left, refusal.value.resets_at) == (150, datetime(2026, 11, 25, tzinfo=UTC))
    assert daemon.wait_for(event="budget.reached") == {"event": "budget.reached", "bot": "iama", "percent": 80}
    snapshot = daemon.order(op="snapshot")
    assert snapshot["quota"]["bots"] == [
        {"name": "free", "characters": 0, "budget": None, "left": None, "percent": None,
         "requests": 0, "characters_received": 0, "seconds": 0.0},
        {"name": "iama", "characters": 850, "budget": 1000, "left": 150, "percent": 85,
         "requests": 1, "characters_received": 7, "seconds": 0.5},
    ]  # fmt: skip
    assert set(snapshot["quota"]) == {"day", "timezone", "resets_at", "daily_total", "monthly_total", "bots"}
    assert snapshot["services"] == [
        {"name": "hf", "role": "text", "model": "m", "state": "ok", "until": None, "last_error": None}
    ]
    assert client.acquire(write=True) == 0
    client.observe(RateHeaders(used=1000, remaining=0, reset_seconds=100))
    assert 90 < client.acquire(write=True) <= 100
    assert client.stretch(interval_seconds=30, requests_per_poll=3) >= 90
    client.close()


def test_serve__kill_in_the_middle_never_overspends(daemon_of):
    """Eight workers spend as fast as they can while the process is killed again and again: what arrives is bounded."""
    budget = 40_000
    daemon = daemon_of(store=_QuickStore, **{f"bot{i}": budget for i in range(4)})
    daemon.wait_for(event="ready")
    arrived: Counter[str] = Counter()
    lock = threading.Lock()
    done = threading.Event()

    def work(bot: str) -> None:
        client = daemon.client(bot)
        while not done.is_set():
            try:
                permit = client.ask(make_ask(37))
            except QuotaExceeded:
                break
            except QuotaError:
                continue
            with lock:  # the receiving side: it bills whatever arrives
                arrived[bot] += permit.chars
            client.account(Account(permit, Result.OK))
        client.close()

    threads = [threading.Thread(target=work, args=(f"bot{i % 4}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        time.sleep(0.1)
        daemon.kill()
        daemon.start()
        daemon.wait_for(event="ready")
    deadline = time.monotonic() + 30
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    done.set()
    for thread in threads:
        thread.join()
    figures = daemon.figures()
    for bot, chars in arrived.items():
        assert chars <= figures[bot]["characters"] <= budget
        # Six crashes lose a 32nd at most, and what was open at each of them.
        assert chars >= budget - budget / 32 - 37 * (2 * 6 + 1)


class _QuickStore(SqliteStore):
    """No syncs: a killed process, unlike a cut machine, loses nothing that was written."""

    def _open_database(self) -> None:
        super()._open_database()
        self._database.execute("PRAGMA synchronous=OFF")


def test_serve__clean_stop_loses_nothing(daemon_of):
    """After `stop`, and after the supervisor's death, a restart knows the exact figure."""
    daemon = daemon_of(iama=100_000)
    client = daemon.client()
    spend(client, 123)
    daemon.stop()
    assert daemon.process.exitcode == 0
    daemon.start()
    spend(client, 1)
    assert daemon.figures()["iama"]["characters"] == 124
    daemon.channel.close()  # as the kernel does when the supervisor dies
    daemon.process.join(10)
    assert daemon.process.exitcode == 0
    daemon.start()
    assert daemon.figures()["iama"]["characters"] == 124
    client.close()


def test_serve__kill_loses_no_more_than_a_slab(daemon_of):
    """After kill -9 the mark counts as spent."""
    daemon = daemon_of(iama=64_000)
    client = daemon.client()
    spend(client, 100)
    daemon.kill()
    daemon.start()
    assert 100 <= daemon.figures()["iama"]["characters"] <= 1000
    client.close()


def test_client__finds_the_successor_by_itself(daemon_of):
    """A restart between two calls is not noticed; a permit of the earlier life is not given back."""
    daemon = daemon_of(iama=64_000)
    client = daemon.client()
    permit = client.ask(make_ask(2000))
    daemon.kill()
    daemon.start()
    client.account(Account(permit, Result.NOT_SENT))
    assert daemon.figures()["iama"]["characters"] >= 2000
    spend(client, 1)
    assert client.connected
    client.close()


def test_client__while_the_process_is_away(daemon_of):
    """No grant, no write, slow reads, and no call longer than its limit."""
    daemon = daemon_of(iama=1000)
    daemon.wait_for(event="ready")
    client = daemon.client(limit_seconds=0.2)
    spend(client, 1)
    daemon.kill()
    for call in (lambda: client.ask(make_ask(1)), lambda: client.acquire(write=True)):
        with pytest.raises(QuotaUnavailable):
            call()
    assert client.acquire(write=False) == 0
    assert client.acquire(write=False) > 5
    assert client.stretch(interval_seconds=1, requests_per_poll=3) >= 30
    client.observe(RateHeaders(1, 1, 1))
    assert not client.connected
    daemon.start()
    daemon.wait_for(event="ready")
    spend(client, 1)
    client.close()


def test_client__that_gave_up_waiting_is_not_charged(daemon_of):
    """Who asked and left before the process came back gets no grant."""
    daemon = daemon_of(iama=1000)
    daemon.wait_for(event="ready")
    daemon.stop()
    hello = encode({"id": 1, "op": "hello", "bot": "iama", "client": "c"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hasty:
        hasty.connect(str(daemon.path))
        hasty.sendall(hello + encode({"id": 2, "op": "ask", **write_ask(make_ask(500))}))
    daemon.start()
    other = daemon.client()
    other.check(make_ask(1))
    assert daemon.figures()["iama"]["characters"] == 0
    other.close()


def test_serve__pause_holds_at_once(daemon_of):
    """Once the pause is acknowledged nothing is granted, until it ends."""
    daemon = daemon_of(iama=1000)
    client = daemon.client()
    spend(client, 1)
    assert daemon.order(op="pause", bot="iama", paused=True)["ok"] is True
    with pytest.raises(BotPaused):
        client.ask(make_ask(1))
    daemon.order(op="pause", bot="iama", paused=False)
    spend(client, 1)
    client.close()


def test_serve__stays_up_whatever_it_is_sent(daemon_of):
    """Garbage, huge lines, unknown wishes and a peer that never reads: the others don't notice."""
    daemon = daemon_of(iama=1000)
    good = daemon.client()
    spend(good, 1)
    hello = encode({"id": 1, "op": "hello", "bot": "iama", "client": "c"})
    rubbish = [
        b"\0\xff\xfe rubbish\n", b"[1]\n", b"x" * 200_000, b'{"id":1}\n', b'{"id":1,"op":"ask"}\n',
        hello + b'{"id":2,"op":"ask","chars":-5}\n', hello + b'{"id":2,"op":"format disk"}\n',
        hello + b'{"id":2,"op":["ask"]}\n', hello + b'{"id":2,"op":"account","number":1e999}\n',
        b"[" * 60_000 + b"\n", hello + hello, b"\n\n\n", b'{"id":' + b"9" * 5000 + b"}\n",
    ]  # fmt: skip
    for data in rubbish:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect(str(daemon.path))
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        spend(good, 1)
    daemon.send({"op": "nonsense"})
    daemon.send({"id": 5, "op": "configure", "timezone": "Mars/Base", "bots": {}})
    assert daemon.wait_for(id=5)["code"] == "config"
    spend(good, 1)
    good.close()


def test_serve__drops_a_peer_that_does_not_read(daemon_of):
    """Answers pile up only so far; then the connection is closed, and nobody else waits."""
    daemon = daemon_of(iama=1000)
    good = daemon.client()
    spend(good, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stuck:
        stuck.connect(str(daemon.path))
        stuck.settimeout(5)
        line = encode({"id": "x" * 2000, "op": "nonsense"})
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            stuck.sendall(line * 20_000)
        spend(good, 1)
    good.close()


def test_serve__ignores_the_signals_of_a_terminal(daemon_of):
    """SIGTERM, SIGINT and SIGHUP to the whole group must not end it before the workers."""
    daemon = daemon_of(iama=1000)
    daemon.wait_for(event="ready")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(daemon.process.pid, number)
    client = daemon.client()
    spend(client, 1)
    client.close()


def test_serve__second_process_on_a_folder_is_refused(daemon_of, tmp_path):
    """Two ledgers on one folder are impossible; the refusal says what to do."""
    daemon = daemon_of(iama=1000)
    daemon.wait_for(event="ready")
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()
        with pytest.raises(ConfigError, match="state_dir"):
            _serve_in_thread(listener, theirs, tmp_path)
        assert json.loads(ours.recv(65536))["state"] == "failing"


def _serve_in_thread(listener, channel, folder) -> None:
    """Run a server here, with signals untouched and no patience for the lock."""
    errors: list[BaseException] = []

    class Hasty(NoonClock):
        def monotonic(self) -> float:
            return super().monotonic() * 100

    def run() -> None:
        try:
            serve(listener=listener, channel=channel, state_dir=folder, clock=Hasty(), log=QuietLog())
        except ConfigError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    if errors:
        raise errors[0]


def test_serve__newer_ledger_is_refused(daemon_of, tmp_path):
    """A ledger of a newer version ends the process with the cause on the channel."""
    daemon = daemon_of(iama=1000)
    daemon.wait_for(event="ready")
    daemon.stop()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    daemon.start()
    assert f"newer hotshotd {__version__} (its schema is 99" in daemon.wait_for(event="state")["message"]
    daemon.process.join(10)
    assert daemon.process.exitcode == 1


def test_serve__damaged_ledger_grants_nothing(daemon_of, tmp_path):
    """A deleted ledger: no grants, `damaged`, and the message says until when."""
    daemon = daemon_of(iama=1000)
    client = daemon.client()
    spend(client, 10)
    daemon.stop()
    (tmp_path / "ledger.db").unlink()
    daemon.start()
    told = daemon.wait_for(event="state")
    assert told["state"] == "damaged"
    assert "2026-11-25" in told["message"]
    with pytest.raises(QuotaUnavailable, match="2026-11-25"):
        client.ask(make_ask(1))
    daemon.kill()
    daemon.start()
    with pytest.raises(QuotaUnavailable):
        client.ask(make_ask(1))
    assert daemon.order(op="snapshot")["quota"]["monthly_total"]["spend"] == 10
    client.close()


class _FullDisk(SqliteStore):
    """A disk that is full while a file named `full` lies in the folder."""

    def write(self, batch) -> None:
        if (self._path.parent / "full").exists():
            raise QuotaUnavailable("No space left on device")
        super().write(batch)


def test_serve__full_disk_stops_grants_and_recovers_alone(daemon_of, tmp_path, monkeypatch):
    """A grant that is not durable is refused and costs nothing; room on the disk is noticed without a restart."""
    monkeypatch.setattr("hotshotd.quota.server.RETRY_SECONDS", 0.05)
    daemon = daemon_of(store=_FullDisk, iama=1000)
    daemon.wait_for(event="ready")
    client = daemon.client()
    spend(client, 10)
    (tmp_path / "full").touch()
    for _ in range(2):
        with pytest.raises(QuotaUnavailable, match="No space left"):
            client.ask(make_ask(100))
    assert daemon.wait_for(event="state", state="failing")
    assert daemon.figures()["iama"]["characters"] == 10
    (tmp_path / "full").unlink()
    daemon.wait_for(event="state", state="ok")
    spend(client, 100)
    assert daemon.figures()["iama"]["characters"] == 110
    client.close()


def test_serve__many_clients_share_a_write(daemon_of, tmp_path):
    """All grants of one turn rest on one durable write."""

    class Slow(CountingStore):
        def write(self, batch) -> None:
            time.sleep(0.02)
            super().write(batch)

    bots = {f"bot{i}": 1000 for i in range(40)}
    daemon = daemon_of(store=Slow, **bots)
    daemon.wait_for(event="ready")
    clients = [daemon.client(bot) for bot in bots]
    for client in clients:
        client.check(make_ask(1))
    before = (tmp_path / "writes").stat().st_size
    threads = [threading.Thread(target=spend, args=(client, 900)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writes = (tmp_path / "writes").stat().st_size - before
    assert all(bot["characters"] == 900 for bot in daemon.figures().values())
    assert writes <= len(bots) / 2
    for client in clients:
        client.close()


def test_files__copied_while_running_are_whole(daemon_of, tmp_path):
    """What lies on the disk after an answer is enough to go on from: a power cut then loses nothing granted."""
    daemon = daemon_of(iama=64_000)
    client = daemon.client()
    spend(client, 5000)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("ledger.db", "ledger.db-wal", "ledger.seq"):
        shutil.copy(tmp_path / name, copy / name)
    store = SqliteStore(copy)
    loaded = store.load()
    store.close()
    assert loaded.damage is None
    assert loaded.rows[0].high_water >= 5000
    client.close()

"""The quota process and what may happen to its disk, its files, its neighbours and itself, at any point of a turn."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from quotakit import Daemon, NoonClock, make_ask, spend

from hotshotd.admission import Account, Permit, Result
from hotshotd.errors import QuotaUnavailable
from hotshotd.quota import server
from hotshotd.quota.store import LedgerInUse, SqliteStore

#: Within this a full disk, or one that was read-only, is noticed to be well again; in seconds.
BACK_SECONDS = 60.0


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon: a fork of this process sees it."""
    assert server.RETRY_SECONDS < BACK_SECONDS / 2
    monkeypatch.setattr(server, "RETRY_SECONDS", 0.1)


# --- a disk that takes nothing ---


@contextmanager
def limit_files(daemon: Daemon, _folder: Path) -> Iterator[None]:
    """No write at all, as on a full disk (EFBIG; CPython ignores SIGXFSZ)."""
    pid = daemon.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)


@contextmanager
def fill_disk(_daemon: Daemon, folder: Path) -> Iterator[None]:
    """Use up a small disk's last byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def make_immutable(_daemon: Daemon, folder: Path) -> Iterator[None]:
    """What a disk does that its kernel has made read-only: files that are open refuse, new ones can't be made."""
    paths = [folder, *folder.glob("ledger.*")]
    _change_flags("+i", paths)
    try:
        yield
    finally:
        _change_flags("-i", paths)


def _change_flags(change: str, paths: list[Path]) -> None:
    subprocess.run(["chattr", change, *paths], check=True)


def _may_make_immutable() -> bool:
    """Only root may, and only on ext4 and the like; elsewhere the other ways must do."""
    with tempfile.NamedTemporaryFile() as file:
        try:
            changes = [
                subprocess.run(["chattr", flag, file.name], capture_output=True, check=False) for flag in ("+i", "-i")
            ]
        except FileNotFoundError:
            return False
        return not any(change.returncode for change in changes)


_HURTS = [
    ("folder", limit_files, "make room on its disk"),
    ("small_disk", fill_disk, "make room on its disk"),
    *([("folder", make_immutable, "read-only")] if _may_make_immutable() else []),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a disk of its own."""
    folder = tmp_path / "state"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this process may not mount a disk: run it as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("place", "hurt", "why"), _HURTS)
def test_disk__that_takes_nothing_stops_grants_until_it_does(
    request: pytest.FixtureRequest, daemon_of: Callable[..., Daemon], place: str, hurt: Callable, why: str
) -> None:
    """Refused, with the file and what to do, and charged nothing; then it goes on by itself, and no kill harms it."""
    folder = request.getfixturevalue(place)
    daemon = daemon_of(folder, iama=64_000)
    client = daemon.client()
    spend(client, 100)
    with hurt(daemon, folder):
        for _ in range(3):
            with pytest.raises(QuotaUnavailable, match="ledger") as refusal:
                client.ask(make_ask(5000))
        assert why in str(refusal.value)
        with pytest.raises(QuotaUnavailable):
            client.ask(make_ask(1))  # under the mark, too: what follows it could not be written
        assert why in daemon.wait_for(event="state", state="failing")["message"]
        assert daemon.figures()["iama"]["characters"] == 100
    daemon.wait_for(event="state", state="ok")
    spend(client, 5000)
    assert daemon.figures()["iama"]["characters"] == 5100
    daemon.kill()
    daemon.start()
    assert daemon.wait_for(event="ready")
    assert 5100 <= daemon.figures()["iama"]["characters"] <= 5100 + 1000
    client.close()


@pytest.mark.usefixtures("hurried")
def test_disk__read_only_at_the_start_is_told_and_waited_for(
    daemon_of: Callable[..., Daemon], small_disk: Path
) -> None:
    """No lock can be taken, so nothing is granted; mounted read-write it begins by itself."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    daemon = daemon_of(small_disk, iama=1000)
    assert "mount its disk read-write" in daemon.wait_for(event="state", state="failing")["message"]
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    daemon.wait_for(event="ready")
    client = daemon.client()
    spend(client, 10)
    client.close()


@pytest.mark.usefixtures("hurried")
def test_disk__full_at_the_start_is_told_and_waited_for(daemon_of: Callable[..., Daemon], small_disk: Path) -> None:
    """A ledger that can't be made grants nothing; it is no damage afterwards."""
    with fill_disk(None, small_disk):
        daemon = daemon_of(small_disk, iama=1000)
        assert "ledger" in daemon.wait_for(event="state", state="failing")["message"]
    daemon.wait_for(event="state", state="ok")
    client = daemon.client()
    spend(client, 10)
    client.close()


# --- the day after a damage ---


def test_damage__ends_with_the_day_though_nobody_asks(daemon_of: Callable[..., Daemon], folder: Path) -> None:
    """`damaged` until midnight, through restarts; then `ok` by itself, and the day's budget is whole."""
    daemon = daemon_of(folder, clock=NoonClock(datetime(2026, 11, 24, 23, 59, 56, tzinfo=UTC)), iama=1000)
    client = daemon.client()
    spend(client, 900)
    daemon.kill()
    (folder / "ledger.db-wal").unlink()
    for is_last in (False, True):
        daemon.start()
        assert "2026-11-25T00:00:00" in daemon.wait_for(event="state", state="damaged")["message"]
        with pytest.raises(QuotaUnavailable, match="2026-11-25T00:00:00"):
            client.ask(make_ask(1))
        if not is_last:
            daemon.kill()
    daemon.wait_for(event="state", state="ok")
    spend(client, 1000)
    assert daemon.figures()["iama"]["characters"] == 1000
    assert daemon.order(op="snapshot")["quota"]["monthly_total"]["spend"] >= 1900
    client.close()


# --- two of them ---


def test_second_process__is_refused_also_while_the_first_is_stopped(
    daemon_of: Callable[..., Daemon], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP does not let go of the folder; after SIGCONT the first one has it still."""
    monkeypatch.setattr(server, "LOCK_SECONDS", 0.3)
    first = daemon_of(folder, iama=1000)
    client = first.client()
    spend(client, 10)
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerInUse, match=f"quota process is {first.process.pid}"):
            SqliteStore(folder)
        second = daemon_of(folder, path=folder.with_name("second.sock"), iama=1000)
        assert "state_dir" in second.wait_for(event="state", state="failing")["message"]
        second.process.join(10)
        assert second.process.exitcode == 1
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    spend(client, 10)
    assert first.figures()["iama"]["characters"] == 20
    client.close()


def test_second_process__is_refused_without_the_lock_file_too(daemon_of: Callable[..., Daemon], folder: Path) -> None:
    """Who removes ledger.lock opens nothing: SQLite holds the database, from its first look at it on."""
    first = daemon_of(folder, iama=1000)
    first.wait_for(event="ready")
    first.stop()
    first.start()
    first.wait_for(event="ready")
    (folder / "ledger.lock").unlink()
    second = SqliteStore(folder)
    try:
        with pytest.raises(QuotaUnavailable, match="end the program that has it open"):
            second.load()
    finally:
        second.close()
    client = first.client()
    spend(client, 10)
    client.close()


# --- death at each point of a turn ---


class _Mortal(SqliteStore):
    """Ends its process at the point of a write that a file in the folder above names; once."""

    def write(self, batch) -> None:
        self._die("before the write")
        super().write(batch)
        self._die("after the write")

    def _commit(self, batch, *, sequence) -> None:
        super()._commit(batch, sequence=sequence)
        self._die("between its two files")

    def _die(self, point: str) -> None:
        wish = self._path.parent.parent / "die"
        if wish.exists() and wish.read_text() == point:
            wish.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("point", "charges"), [("before the write", 1), ("between its two files", 2), ("after the write", 2)]
)
def test_quota_process__that_dies_before_its_answer(
    daemon_of: Callable[..., Daemon], folder: Path, point: str, charges: int
) -> None:
    """The worker asks the successor and sends once. What was on the disk stays charged: somebody may know of it."""
    daemon = daemon_of(folder, store=_Mortal, iama=64_000)
    client = daemon.client()
    client.check(make_ask(1))
    (folder.parent / "die").write_text(point)
    got: list[Permit] = []
    worker = threading.Thread(target=lambda: got.append(client.ask(make_ask(10_000))))
    worker.start()
    daemon.process.join(10)
    daemon.channel.close()
    daemon.start()
    worker.join(10)
    assert [permit.chars for permit in got] == [10_000]
    charged = daemon.figures()["iama"]["characters"]
    assert charges * 10_000 <= charged <= charges * 10_000 + 1000
    client.account(Account(got[0], Result.NOT_SENT))
    assert daemon.figures()["iama"]["characters"] == charged - 10_000
    client.close()


@pytest.mark.parametrize("result", [None, Result.OK, Result.NOT_SENT])
def test_worker__that_dies_with_a_permit_gets_nothing_back(
    daemon_of: Callable[..., Daemon], folder: Path, result: Result | None
) -> None:
    """Before or after it sent: nobody knows. What it told before counts."""
    daemon = daemon_of(folder, iama=64_000)
    daemon.wait_for(event="ready")
    pid = os.fork()
    if not pid:  # a worker
        client = daemon.client()
        permit = client.ask(make_ask(5000))
        if result is not None:
            client.account(Account(permit, result))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    other = daemon.client()
    other.check(make_ask(1))
    assert daemon.figures()["iama"]["characters"] == (0 if result is Result.NOT_SENT else 5000)
    other.close()


def test_quota_process__after_the_answer_counts_what_was_answered(
    daemon_of: Callable[..., Daemon], folder: Path
) -> None:
    """A permit of its former life is good for the request, and is never given back."""
    daemon = daemon_of(folder, iama=64_000)
    client = daemon.client()
    permit = client.ask(make_ask(5000))
    daemon.kill()
    daemon.start()
    for result in (Result.NOT_SENT, Result.NOT_SENT):
        client.account(Account(permit, result))
    assert 5000 <= daemon.figures()["iama"]["characters"] <= 6000
    client.close()

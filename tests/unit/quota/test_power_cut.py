"""The power goes, or somebody tampers: every file of the ledger cut at every byte, and old and new files mixed.

What lies beyond a file's last synced length may be there, torn anywhere, or not; that is no damage, and nothing that
was written before is lost. What is missing below it is damage. Pages of 512 bytes make the files small enough.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from hotshotd.quota.records import Batch, Loaded, Row
from hotshotd.quota.seqfile import SLOT_BYTES, Mark, SequenceFile
from hotshotd.quota.store import SqliteStore

TODAY = date(2026, 11, 24)
PAGE = 512
FILES = ("ledger.db", "ledger.db-wal", "ledger.seq")
#: The content of the files; one that is not there is None.
Disk = dict[str, bytes | None]

pytestmark = pytest.mark.timeout(300)


class QuickStore(SqliteStore):
    """The real store; what it leaves is copied and cut by hand, so nothing needs to reach a real disk."""

    def _open_database(self) -> None:
        super()._open_database()
        self._database.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory with an empty ledger of small pages."""
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    with sqlite3.connect(path / "ledger.db") as db:
        db.executescript(f"PRAGMA page_size={PAGE}; CREATE TABLE x (y); DROP TABLE x;")
    db.close()
    second = SequenceFile(path / "ledger.seq")
    second.write(Mark(0, date.min, 0))
    second.close()
    yield path
    shutil.rmtree(path)


def make_batch(chars: int) -> Batch:
    """Two bots' day; the first has spent `chars`."""
    rows = (Row(TODAY, "a", chars, 5, 2, 30, 1.5), Row(TODAY, "b", 3))
    return Batch(day=TODAY, rows=rows, month_total=chars + 3)


def read(folder: Path) -> Disk:
    assert not (folder / "ledger.db-shm").exists()
    return {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in FILES}


def load(folder: Path, disk: Disk) -> Loaded:
    """Start over the files as they are said to be."""
    for path in folder.iterdir():
        path.unlink()
    for name, data in disk.items():
        if data is not None:
            (folder / name).write_bytes(data)
    store = QuickStore(folder)
    try:
        return store.load()
    finally:
        store.close()


def live(folder: Path, *charges: int) -> list[Disk]:
    """One life of the store that ends by a kill; the disk after its start and after each write."""
    store = QuickStore(folder)
    store.load()
    disks = [read(folder)]
    for chars in charges:
        store.write(make_batch(chars))
        disks.append(read(folder))
    store.close()
    return disks


def find_charge(loaded: Loaded) -> int:
    return {row.bot: row.high_water for row in loaded.rows}.get("a", 0)


def tear(old: bytes, new: bytes, *, block: int) -> Iterator[bytes]:
    """A file on the way from `old` to `new`: whole up to any byte, then old, or rubbish up to the end of that block."""
    first = next(place for place in range(len(new)) if new[place : place + 1] != old[place : place + 1])
    for end in range(first, len(new) + 1):
        rest = block - end % block
        yield new[:end] + old[end:]
        yield new[:end] + b"\xa5" * rest + old[end + rest :]


def find_mark(folder: Path, data: bytes | None) -> Mark | None:
    """What a second file says."""
    (folder / "ledger.seq").write_bytes(data or b"")
    return SequenceFile(folder / "ledger.seq").load()


def test_write__cut_at_every_byte_of_the_wal(folder):
    """Half a commit is none: the one before it is there, whole, and no damage is seen. The whole one counts."""
    *_, before, after = live(folder, 100, 200)
    old, new = before["ledger.db-wal"], after["ledger.db-wal"]
    assert new[: len(old)] == old
    charges = []
    for end in range(len(old), len(new) + 1):
        loaded = load(folder, {**before, "ledger.db-wal": new[:end]})
        assert loaded.damage is None, end
        charges.append(find_charge(loaded))
    assert charges == sorted(charges)
    assert set(charges) == {100, 200}


@pytest.mark.parametrize("count", [2, 3])
def test_write__cut_at_every_byte_of_the_second_file(folder, count):
    """The ledger has what the second file could not tell any more; both of its slots have their turn."""
    *_, before, after = live(folder, *range(100, 100 * count + 1, 100))
    says = {}
    for data in tear(before["ledger.seq"], after["ledger.seq"], block=SLOT_BYTES):
        says.setdefault(find_mark(folder, data), data)
    assert [mark.sequence for mark in says] == [count - 1, count]
    for data in says.values():
        loaded = load(folder, {**after, "ledger.seq": data})
        assert (loaded.damage, find_charge(loaded)) == (None, 100 * count)


def test_start__cut_at_every_byte_of_the_second_file_is_new(folder):
    """It is made first, in front of the ledger: while it is short there was no ledger yet."""
    data = read(folder)["ledger.seq"]
    for end in range(len(data)):
        (folder / "ledger.seq").write_bytes(data[:end])
        assert find_mark(folder, data[:end]) == (None if end < 23 else Mark(0, date.min, 0))
    for end in (0, 1, 10, 22, 23, 30, len(data) - 1, len(data)):
        loaded = load(folder, {"ledger.db": None, "ledger.db-wal": None, "ledger.seq": data[:end]})
        assert (loaded.damage, loaded.day) == (None, None)


def test_start__cut_at_every_byte_of_the_first_write(folder):
    """A new ledger that was being made is new, or is there."""
    started, first = live(folder, 100)
    for end in range(len(started["ledger.db-wal"] or b""), len(first["ledger.db-wal"]) + 1):
        loaded = load(folder, {**started, "ledger.db-wal": first["ledger.db-wal"][:end]})
        assert loaded.damage is None
        assert find_charge(loaded) in {0, 100}


def test_checkpoint__cut_at_every_byte_of_the_database(folder):
    """While SQLite brings the -wal over into the database, the -wal still has all of it."""
    store = QuickStore(folder)
    store.load()
    for chars in (100, 200):
        store.write(make_batch(chars))
    before = read(folder)
    store._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    after = read(folder)
    store.close()
    assert len(after["ledger.db"]) > len(before["ledger.db"])
    for data in tear(before["ledger.db"], after["ledger.db"], block=PAGE):
        loaded = load(folder, {**after, "ledger.db": data})
        assert (loaded.damage, find_charge(loaded)) == (None, 200)


def test_load__notices_a_wal_cut_at_any_byte_below(folder):
    """SQLite goes on from an older commit without a word; the second file knows better."""
    disk = live(folder, 100, 200)[-1]
    for end in range(len(disk["ledger.db-wal"])):
        assert load(folder, {**disk, "ledger.db-wal": disk["ledger.db-wal"][:end]}).damage is not None, end


def test_load__notices_a_database_cut_at_any_byte(folder):
    """With all of it in the database: no byte may be missing, the last one neither."""
    live(folder, 100, 200)
    disk = read(folder)
    assert disk["ledger.db-wal"] is None
    for end in range(len(disk["ledger.db"])):
        assert load(folder, {**disk, "ledger.db": disk["ledger.db"][:end]}).damage is not None, end


def test_load__second_file_cut_at_any_byte_frees_nothing(folder):
    """Too short to say anything is damage; where it still says what is true nothing is lost."""
    live(folder, 100, 200, 300)
    disk = read(folder)
    says = {}
    for end in range(len(disk["ledger.seq"])):
        data = disk["ledger.seq"][:end]
        says.setdefault(find_mark(folder, data), data)
    assert len(says) == 3
    for mark, data in says.items():
        loaded = load(folder, {**disk, "ledger.seq": data})
        assert loaded.damage is not None if mark is None else find_charge(loaded) == 300


def test_load__any_mixture_of_old_and_new_files_is_noticed_or_exact(folder):
    """Each file from any of a dozen moments, or gone: either damage, or not less than the second file promises."""
    disks = live(folder, 100, 200) + live(folder, 300, 400, 500)
    disks.append(read(folder))
    moments = [*range(len(disks)), None]
    for picks in itertools.product(moments, moments, moments):
        disk = {name: None if pick is None else disks[pick][name] for name, pick in zip(FILES, picks, strict=True)}
        if disk["ledger.seq"] is disk["ledger.db"] is None:
            continue  # a new installation
        mark = find_mark(folder, disk["ledger.seq"])
        promised = mark.month_total - 3 if mark is not None and mark.sequence else 0
        loaded = load(folder, disk)
        assert loaded.damage is not None or find_charge(loaded) >= promised, picks


def test_load__bits_that_fall_over_are_noticed_or_free_nothing(folder):
    """One bit of every fifth byte, in each file: no charge gets smaller unseen, and no start fails."""
    disk = live(folder, 100, 200)[-1]
    for name in FILES:
        data = disk[name]
        for place in range(0, len(data), 5):
            flipped = data[:place] + bytes([data[place] ^ (1 << place // 5 % 8)]) + data[place + 1 :]
            loaded = load(folder, {**disk, name: flipped})
            assert loaded.damage is not None or find_charge(loaded) >= 200, (name, place)

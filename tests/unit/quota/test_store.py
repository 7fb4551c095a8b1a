"""The store: what survives, what is noticed, what is refused."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import shutil
import sqlite3
import stat
from datetime import date, timedelta

import pytest

from hotshotd import __version__
from hotshotd.errors import QuotaUnavailable
from hotshotd.quota.records import Batch, Row
from hotshotd.quota.seqfile import Mark, SequenceFile
from hotshotd.quota.store import MIGRATIONS, LedgerInUse, LedgerTooNew, SqliteStore

TODAY = date(2026, 11, 24)


def make_batch(chars: int, *, day: date = TODAY, month_total: int | None = None, **more) -> Batch:
    rows = (Row(day, "iama", chars, min(chars, 5), 2, 30, 1.5),)
    return Batch(day=day, rows=rows, month_total=chars if month_total is None else month_total, **more)


def live(folder, *charges: int, **more) -> None:
    """One life of the store: load, write each charge, close."""
    store = SqliteStore(folder)
    store.load()
    for chars in charges:
        store.write(make_batch(chars, **more))
    store.close()


def load(folder):
    store = SqliteStore(folder)
    try:
        return store.load()
    finally:
        store.close()


def test_load__fresh_folder_is_no_damage(tmp_path):
    """Both files absent is a new installation."""
    loaded = load(tmp_path)
    assert (loaded.day, loaded.damage, loaded.clean) == (None, None, True)
    assert load(tmp_path).damage is None


def test_load__gives_what_was_written(tmp_path):
    """Every figure of the day comes back, and the epoch grows with each life."""
    live(tmp_path, 100, 250, unclean=2, carried=0)
    loaded = load(tmp_path)
    assert loaded.rows == (Row(TODAY, "iama", 250, 5, 2, 30, 1.5),)
    assert (loaded.day, loaded.unclean, loaded.clean, loaded.damage, loaded.epoch) == (TODAY, 2, False, None, 3)


def test_load__sums_the_months_earlier_days(tmp_path):
    """The month is the sum of its days' rows; another month's rows do not count."""
    store = SqliteStore(tmp_path)
    store.load()
    store.write(make_batch(7, day=date(2026, 10, 31)))
    store.write(make_batch(10, day=date(2026, 11, 1)))
    store.write(make_batch(20, day=date(2026, 11, 2), month_total=30))
    store.write(make_batch(40, day=date(2026, 11, 3), month_total=70, clean=True))
    store.close()
    loaded = load(tmp_path)
    assert (dict(loaded.month_before), loaded.clean, loaded.damage) == ({"iama": 30}, True, None)


def test_write__drops_rows_after_40_days(tmp_path):
    """Old days go, so that the file stays small."""
    store = SqliteStore(tmp_path)
    store.load()
    for age in (41, 40, 0):
        store.write(make_batch(1, day=TODAY - timedelta(days=age)))
    store.close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        days = [row[0] for row in db.execute("SELECT day FROM days ORDER BY day")]
    db.close()
    assert days == [(TODAY - timedelta(days=40)).isoformat(), TODAY.isoformat()]


def test_files__are_for_the_owner_only(tmp_path):
    """Others read nothing, whatever the umask."""
    live(tmp_path, 1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.seq": 0o600, "ledger.lock": 0o600}


def restore_older(folder, backup) -> None:
    shutil.copy(backup / "ledger.db", folder / "ledger.db")


def cut_in_half(folder, _backup) -> None:
    path = folder / "ledger.db"
    os.truncate(path, path.stat().st_size // 2)


def scramble(folder, _backup) -> None:
    (folder / "ledger.db").write_bytes(b"no database at all" * 1000)


def edit_figures(folder, _backup) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("UPDATE days SET high_water = 0")
    db.close()


def edit_open_mark(folder, _backup) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("UPDATE days SET open_mark = high_water + 1")
    db.close()


DAMAGES = {
    "restored": restore_older,
    "emptied": lambda folder, _: os.truncate(folder / "ledger.db", 0),
    "cut": cut_in_half,
    "scrambled": scramble,
    "deleted": lambda folder, _: (folder / "ledger.db").unlink(),
    "edited": edit_figures,
    "more open than charged": edit_open_mark,
    "second file deleted": lambda folder, _: (folder / "ledger.seq").unlink(),
    "second file emptied": lambda folder, _: os.truncate(folder / "ledger.seq", 0),
    "second file scrambled": lambda folder, _: (folder / "ledger.seq").write_bytes(b"x" * 8192),
    "second file restored": lambda folder, backup: shutil.copy(backup / "ledger.seq", folder / "ledger.seq"),
}


@pytest.fixture
def lived(tmp_path):
    """A folder with two lives behind it, and a copy from between them."""
    folder, backup = tmp_path / "state", tmp_path / "backup"
    folder.mkdir()
    live(folder, 100)
    shutil.copytree(folder, backup)
    live(folder, 500, 700, 900)
    return folder, backup


@pytest.mark.parametrize("name", DAMAGES)
def test_load__notices_damage(lived, name):
    """A ledger that is not what its second file says is damaged, until it is written again."""
    folder, backup = lived
    DAMAGES[name](folder, backup)
    store = SqliteStore(folder)
    loaded = store.load()
    assert loaded.damage is not None
    assert "ledger.db" in loaded.damage
    store.write(make_batch(loaded.rows[0].high_water if loaded.rows else 0, month_total=900, damaged_on=TODAY))
    store.close()
    assert load(folder).damaged_on == TODAY


@pytest.mark.parametrize("name", [name for name in DAMAGES if not name.startswith("second")])
def test_load__keeps_the_months_total_of_the_second_file(lived, name):
    """Whatever happened to the ledger, the month has spent what the second file says."""
    folder, backup = lived
    DAMAGES[name](folder, backup)
    loaded = load(folder)
    assert loaded.carried + sum(row.high_water for row in loaded.rows) == 900


@pytest.mark.parametrize("name", DAMAGES)
def test_load__damage_is_found_again_after_a_crash_right_after(lived, name):
    """A start that notices damage and dies before it writes leaves the damage to be noticed."""
    folder, backup = lived
    DAMAGES[name](folder, backup)
    load(folder)
    assert load(folder).damage is not None


def crash(folder, copy, *charges: int) -> None:
    """Write, and copy the files as a power cut would leave them: nothing closed, nothing checkpointed."""
    store = SqliteStore(folder)
    store.load()
    for chars in charges:
        store.write(make_batch(chars))
    shutil.copytree(folder, copy)
    store.close()


def test_load__after_a_power_cut_nothing_is_lost(tmp_path):
    """What was written is there, without the orderly end."""
    (tmp_path / "state").mkdir()
    crash(tmp_path / "state", tmp_path / "cut", 100, 200)
    loaded = load(tmp_path / "cut")
    assert (loaded.rows[0].high_water, loaded.damage) == (200, None)


@pytest.mark.parametrize("how", ["removed", "emptied", "cut"])
def test_load__notices_a_lost_wal(tmp_path, how):
    """Without its -wal SQLite opens an older ledger without a word; the second file knows better."""
    (tmp_path / "state").mkdir()
    crash(tmp_path / "state", tmp_path / "cut", 100, 200)
    wal = tmp_path / "cut" / "ledger.db-wal"
    size = wal.stat().st_size
    if how == "removed":
        wal.unlink()
    else:
        os.truncate(wal, 0 if how == "emptied" else size - 1)
    assert load(tmp_path / "cut").damage is not None


def test_load__rubbish_beyond_the_synced_length_is_no_damage(tmp_path):
    """A power cut may leave anything behind the last sync."""
    (tmp_path / "state").mkdir()
    crash(tmp_path / "state", tmp_path / "cut", 100, 200)
    with (tmp_path / "cut" / "ledger.db-wal").open("ab") as wal:
        wal.write(os.urandom(5000))
    assert load(tmp_path / "cut").damage is None


def test_load__ledger_one_ahead_is_a_crash_between_the_writes(tmp_path):
    """The second file one behind is fine, and the next life gets an epoch of its own all the same."""
    (tmp_path / "state").mkdir()
    crash(tmp_path / "state", tmp_path / "cut", 100, 200)
    second = SequenceFile(tmp_path / "cut" / "ledger.seq")
    mark = second.load()
    (tmp_path / "cut" / "ledger.seq").unlink()
    second.write(Mark(mark.sequence - 1, TODAY, 100))
    second.close()
    loaded = load(tmp_path / "cut")
    assert (loaded.rows[0].high_water, loaded.damage, loaded.epoch) == (200, None, 3)


class DiesBetween(SqliteStore):
    """A store whose process ends between its two writes."""

    def _commit(self, batch, *, sequence) -> None:
        super()._commit(batch, sequence=sequence)
        raise KeyboardInterrupt


def test_load__a_crash_between_the_writes_may_come_in_each_life(tmp_path):
    """The second file is brought up at each start, so it never falls behind by two."""
    live(tmp_path, 100)
    for chars in (200, 300, 400):
        store = DiesBetween(tmp_path)
        assert store.load().damage is None
        with pytest.raises(KeyboardInterrupt):
            store.write(make_batch(chars))
        store.close()
    assert load(tmp_path).rows[0].high_water == 400


def rewrite_mark(folder, **changes) -> None:
    """Have the second file say something else."""
    second = SequenceFile(folder / "ledger.seq")
    mark = dataclasses.replace(second.load(), **changes)
    (folder / "ledger.seq").unlink()
    second.write(mark)
    second.close()


@pytest.mark.parametrize("changes", [{"sequence": 1}, {"day": TODAY - timedelta(days=1)}, {"month_total": 301}])
def test_load__notices_a_second_file_that_says_otherwise(tmp_path, changes):
    """Two writes behind, another day, another sum: any of them is damage."""
    live(tmp_path, 100, 200, 300)
    rewrite_mark(tmp_path, **changes)
    assert load(tmp_path).damage is not None


def test_load__of_yesterdays_ledger_goes_on_with_the_last_day_there_was(tmp_path):
    """An older file does not bring back an older day, nor lose the month."""
    (tmp_path / "state").mkdir()
    live(tmp_path / "state", 100, day=TODAY - timedelta(days=1))
    shutil.copy(tmp_path / "state" / "ledger.db", tmp_path / "old.db")
    live(tmp_path / "state", 250, month_total=350)
    shutil.copy(tmp_path / "old.db", tmp_path / "state" / "ledger.db")
    loaded = load(tmp_path / "state")
    assert (loaded.day, loaded.rows, dict(loaded.month_before), loaded.carried) == (TODAY, (), {"iama": 100}, 250)


def test_load__reads_every_page_before_it_trusts_the_file(tmp_path):
    """A broken page of days long gone is found at the start, not by a write weeks later."""
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.executescript("PRAGMA page_size=512; CREATE TABLE x (y); DROP TABLE x;")
    db.close()
    SequenceFile(tmp_path / "ledger.seq").write(Mark(0, date.min, 0))
    live(tmp_path, *range(100), day=TODAY - timedelta(days=35))
    store = SqliteStore(tmp_path)
    store.load()
    many = tuple(Row(TODAY - timedelta(days=35), f"bot{number}", 1) for number in range(60))
    store.write(Batch(day=TODAY - timedelta(days=35), rows=many, month_total=60))
    store.write(make_batch(5))
    store.close()
    data = (tmp_path / "ledger.db").read_bytes()
    assert load(tmp_path).damage is None
    for page in range(1, len(data) // 512):
        (tmp_path / "ledger.db").write_bytes(data[: page * 512] + b"\xa5" * 512 + data[(page + 1) * 512 :])
        assert load(tmp_path).damage is not None, page


def test_sequence_file__survives_a_torn_write(tmp_path):
    """A write cut in the middle leaves the mark before it."""
    second = SequenceFile(tmp_path / "ledger.seq")
    second.write(Mark(4, TODAY, 10))
    second.write(Mark(5, TODAY, 20))
    second.close()
    data = bytearray((tmp_path / "ledger.seq").read_bytes())
    data[4096 + 3 : 8192] = b"\0" * (4096 - 3)
    (tmp_path / "ledger.seq").write_bytes(data)
    assert second.load() == Mark(4, TODAY, 10)


def test_load__refuses_a_newer_schema(tmp_path):
    """An older program must not touch what a newer one wrote."""
    store = SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE more (x INTEGER);"))
    store.load()
    store.close()
    store = SqliteStore(tmp_path)
    with pytest.raises(LedgerTooNew, match="newer hotshotd"):
        store.load()
    store.close()


def test_load__names_the_newer_release_and_changes_nothing(tmp_path):
    """The refusal says which release to install, and the ledger is as it was, even where it makes no sense here."""
    live(tmp_path, 100)
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE meta SET value = '9.9.0' WHERE key = 'written_by'")
        db.execute("DROP TABLE days")
        db.execute("PRAGMA user_version=99")
    db.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "ledger.lock"}
    store = SqliteStore(tmp_path)
    with pytest.raises(LedgerTooNew, match=rf"newer hotshotd 9\.9\.0 \(its schema is 99, {__version__} knows 1\)"):
        store.load()
    store.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before


#: A ledger as hotshotd 0.1.0 left it: never change this text. Later releases bring what it says forward.
RELEASE_0_1_0 = """
PRAGMA journal_mode=WAL;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE days (
    day TEXT NOT NULL, bot TEXT NOT NULL, high_water INTEGER NOT NULL, open_mark INTEGER NOT NULL,
    requests INTEGER NOT NULL, received INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (day, bot)
) WITHOUT ROWID;
INSERT INTO meta VALUES ('sequence', '7'), ('day', '2026-11-24'), ('carried', '5'), ('unclean', '1'), ('clean', '1'),
    ('damaged_on', '');
INSERT INTO days VALUES ('2026-11-23', 'iama', 40, 0, 3, 100, 2.0), ('2026-11-24', 'iama', 250, 10, 2, 30, 1.5);
PRAGMA user_version=1;
"""


def test_load__takes_over_the_ledger_of_0_1_0(tmp_path):
    """Nothing that was spent before an upgrade is free after it."""
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.executescript(RELEASE_0_1_0)
    db.close()
    second = SequenceFile(tmp_path / "ledger.seq")
    second.write(Mark(7, TODAY, 295))
    second.close()
    loaded = load(tmp_path)
    assert loaded.rows == (Row(TODAY, "iama", 250, 10, 2, 30, 1.5),)
    assert (loaded.damage, loaded.carried, loaded.unclean, loaded.clean) == (None, 5, 1, True)
    assert (dict(loaded.month_before), loaded.epoch) == ({"iama": 40}, 8)


def test_load__survives_a_crash_within_a_migration(tmp_path):
    """Half a step is none: the old schema stays, and the next start does it again."""
    live(tmp_path, 100)
    create = "CREATE TABLE more (x INTEGER);"
    for_ever = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) INSERT INTO more SELECT n FROM c;"
    migrate = multiprocessing.get_context("fork").Process(target=_migrate, args=(tmp_path, create + for_ever))
    migrate.start()
    wal = tmp_path / "ledger.db-wal"
    while not wal.exists() or wal.stat().st_size < 1_000_000:
        assert migrate.is_alive()
        migrate.join(0.01)
    migrate.kill()
    migrate.join()
    store = SqliteStore(tmp_path, migrations=(*MIGRATIONS, create))
    loaded = store.load()
    store.close()
    assert (loaded.rows[0].high_water, loaded.damage) == (100, None)


def _migrate(folder, script) -> None:
    SqliteStore(folder, migrations=(*MIGRATIONS, script)).load()


def test_load__migrates_an_older_schema(tmp_path):
    """A newer program brings the file forward and keeps what is in it."""
    live(tmp_path, 100)
    store = SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE more (x INTEGER);"))
    assert store.load().rows[0].high_water == 100
    store.close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


def _try_to_open(folder, answers) -> None:
    try:
        SqliteStore(folder)
    except LedgerInUse as exc:
        answers.put(str(exc))
    else:
        answers.put("opened")


def test_lock__two_holders_of_one_folder_are_impossible(tmp_path):
    """A second process is refused with the first one's number and what to do."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    store = SqliteStore(tmp_path)
    other = context.Process(target=_try_to_open, args=(tmp_path, answers))
    other.start()
    message = answers.get(timeout=30)
    other.join()
    store.close()
    assert str(os.getpid()) in message
    assert "state_dir" in message
    SqliteStore(tmp_path).close()


class FailingSecondFile(SequenceFile):
    """A disk that is full when `full` is set."""

    full = False

    def write(self, mark: Mark) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(mark)


def test_write__says_so_and_recovers_by_itself(tmp_path):
    """A write error is told, and a later full write repairs, with no damage noticed after a crash in between."""
    store = SqliteStore(tmp_path)
    store._sequence_file = FailingSecondFile(tmp_path / "ledger.seq")
    store.load()
    store.write(make_batch(100))
    store._sequence_file.full = True
    for _ in range(3):
        with pytest.raises(QuotaUnavailable, match="No space left"):
            store.write(make_batch(200))
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert load(tmp_path / "copy").damage is None
    store._sequence_file.full = False
    store.write(make_batch(300))
    store.close()
    loaded = load(tmp_path)
    assert (loaded.rows[0].high_water, loaded.damage) == (300, None)


def test_write__sqlite_error_is_told_and_repaired(tmp_path):
    """The same when it is SQLite that can't write."""
    store = SqliteStore(tmp_path)
    store.load()
    store.write(make_batch(100))
    store._database.execute("PRAGMA query_only=1")
    with pytest.raises(QuotaUnavailable, match="ledger.db"):
        store.write(make_batch(200))
    store.write(make_batch(300))
    store.close()
    assert load(tmp_path).rows[0].high_water == 300


def test_write__syncs_the_ledger_and_then_its_second_file(tmp_path, monkeypatch):
    """A power cut must find both on the disk, the second file never ahead of the ledger."""
    store = SqliteStore(tmp_path)
    store.load()
    assert store._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    sequences = []

    def note_sync(fd: int) -> None:
        row = store._database.execute("SELECT value FROM meta WHERE key = 'sequence'").fetchone()
        sequences.append((int(row[0]), SequenceFile(tmp_path / "ledger.seq").load().sequence))

    monkeypatch.setattr(os, "fdatasync", note_sync)
    for chars in (100, 200):
        store.write(make_batch(chars))
    store.close()
    assert sequences == [(1, 1), (2, 2)]


def test_sequence_file__its_name_is_durable_too(tmp_path, monkeypatch):
    """A file that is on the disk without its name in the folder is lost in a power cut (fsync(2))."""
    synced = []
    real = os.fsync

    def note_sync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", note_sync)
    second = SequenceFile(tmp_path / "ledger.seq")
    second.write(Mark(0, date.min, 0))
    second.write(Mark(1, TODAY, 5))
    second.close()
    assert synced == [str(tmp_path)]

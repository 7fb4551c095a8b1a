"""Where the ledger survives: an interface, and SQLite in the quota process alone.

`state_dir` then holds `ledger.db` (and its -wal), `ledger.seq` (see `seqfile`) and `ledger.lock`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

from hotshotd import __version__
from hotshotd.durable import sync_folder
from hotshotd.errors import ConfigError, QuotaUnavailable, name_remedy
from hotshotd.quota.days import compute_month
from hotshotd.quota.records import Batch, Loaded, Row
from hotshotd.quota.seqfile import Mark, SequenceFile

#: How long the rows of a day are kept, in days; longer than any month.
KEEP_DAYS = 40

#: One script a schema version, for ever as it was released; a ledger is brought forward through those it lacks.
MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE days (
        day TEXT NOT NULL, bot TEXT NOT NULL, high_water INTEGER NOT NULL, open_mark INTEGER NOT NULL,
        requests INTEGER NOT NULL, received INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (day, bot)
    ) WITHOUT ROWID;
    """,
)

#: SQLite's codes for a file whose content is wrong; all others say that the disk is.
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})

#: What an operator does about what SQLite can't do; it keeps the system's own words to itself.
_SQLITE_REMEDIES = {
    sqlite3.SQLITE_BUSY: "end the program that has it open",
    sqlite3.SQLITE_CANTOPEN: "make room on its disk, and give it and its folder to the daemon's user (chown)",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "make room on its disk; if there is some, it is broken or mounted read-only",
    sqlite3.SQLITE_READONLY: "mount its disk read-write, and give it and its folder to the daemon's user (chown)",
}

_UPSERT = "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?, ?)"


class LedgerInUse(ConfigError):
    """Another quota process holds the folder."""


class LedgerTooNew(ConfigError):
    """A newer release wrote the ledger; this one must not touch it."""


class Store(Protocol):
    """Durable memory of a ledger; one holder at a time."""

    def load(self) -> Loaded:
        """Read what the last life left, damage included.

        Raises:
            LedgerTooNew: A newer release wrote it.
            QuotaUnavailable: It can't be read or made now; later it may.
        """
        ...

    def write(self, batch: Batch) -> None:
        """Make a batch durable, all of it, before returning. Blocks for the disk.

        Raises:
            QuotaUnavailable: It may or may not be durable. Write a full batch before anything is granted again.
        """
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class SqliteStore:
    """The store for one machine: WAL, synchronous=FULL, locked for life."""

    def __init__(self, folder: Path, *, migrations: tuple[str, ...] = MIGRATIONS) -> None:
        """Lock `folder`.

        Raises:
            LedgerInUse: Another process has it.
            QuotaUnavailable: The folder can't be written.
        """
        self._path = folder / "ledger.db"
        self._migrations = migrations
        self._sequence_file = SequenceFile(folder / "ledger.seq")
        self._sequence = 0
        self._db: sqlite3.Connection | None = None
        self._broken = False
        self._lock = _lock(folder / "ledger.lock")

    def load(self) -> Loaded:
        """Read what the last life left; see `Store.load`."""
        try:
            return self._load()
        except (sqlite3.Error, OSError) as exc:
            self._close_database()
            raise QuotaUnavailable(_describe(exc, self._path)) from exc

    def write(self, batch: Batch) -> None:
        """Commit to SQLite, then write the second file; see `Store.write`."""
        try:
            if self._broken or self._db is None:
                self._reopen()
            # Once more the same number after a write that failed half-way: the ledger may only be one ahead.
            self._broken = True
            self._commit(batch, sequence=self._sequence + 1)
            self._sequence_file.write(Mark(self._sequence + 1, batch.day, batch.month_total))
            self._sequence += 1
            self._broken = False
        except (sqlite3.Error, OSError) as exc:
            raise QuotaUnavailable(_describe(exc, self._path)) from exc

    def close(self) -> None:
        """Close all files; the lock goes last."""
        self._close_database()
        self._sequence_file.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _load(self) -> Loaded:
        mark = self._sequence_file.load()
        fresh = not self._has_ledger() and not self._sequence_file.has_begun()
        if fresh:
            # First the second file, at 0: a crash before the ledger is there is then no damage.
            self._sequence_file.write(Mark(0, date.min, 0))
            mark = self._sequence_file.load()
        fault = "" if self._has_ledger() else "is missing or empty"
        try:
            self._open_database()
            found = self._read_ledger()
        except sqlite3.DatabaseError as exc:
            if getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _CORRUPT_CODES:
                raise
            found, fault = Loaded(epoch=0), f"can't be read ({exc})"
            self._set_aside()
        return self._compare(found, mark=mark, fault=fault)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.ProgrammingError("the ledger is not open")
        return self._db

    def _has_ledger(self) -> bool:
        return self._path.exists() and self._path.stat().st_size > 0

    def _open_database(self) -> None:
        # By hand, for the mode: SQLite would make it readable for all.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        self._db = db
        # Before the first look at it, so that the -wal's index is in memory and no other process can open the file.
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Before anything of it is changed or judged: what is whole for a newer release may look broken here.
        self._refuse_newer(db)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if [row[0] for row in db.execute("PRAGMA quick_check")] != ["ok"]:
            raise _corrupt("its pages do not fit together")
        self._migrate(db)

    def _refuse_newer(self, db: sqlite3.Connection) -> None:
        version, known = _read_schema_version(db), len(self._migrations)
        if version > known:
            raise LedgerTooNew(
                f"{self._path}: written by a newer hotshotd{_read_writer(db)} (its schema is {version}, {__version__}"
                f" knows {known}): install that release again; or move ledger.db* and ledger.seq away, and what was"
                " spent today and this month is forgotten"
            )

    def _migrate(self, db: sqlite3.Connection) -> None:
        # Each step with its number in one transaction: a crash leaves the old schema or the new one.
        for number in range(_read_schema_version(db), len(self._migrations)):
            script = self._migrations[number]
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number + 1}; COMMIT;")

    def _read_ledger(self) -> Loaded:
        meta = dict(self._database.execute("SELECT key, value FROM meta"))
        if "sequence" not in meta:
            return Loaded(epoch=0)
        try:
            day = date.fromisoformat(meta["day"])
            loaded = Loaded(
                epoch=int(meta["sequence"]),
                day=day,
                rows=self._read_rows(day),
                month_before=self._read_month_before(day),
                carried=int(meta["carried"]),
                unclean=int(meta["unclean"]),
                clean=meta["clean"] == "1",
                damaged_on=date.fromisoformat(meta["damaged_on"]) if meta["damaged_on"] else None,
            )
            _check_figures(loaded)
        except (KeyError, ValueError, TypeError) as exc:
            raise _corrupt(f"a value is missing or wrong: {exc}") from exc
        return loaded

    def _read_rows(self, day: date) -> tuple[Row, ...]:
        rows = self._database.execute("SELECT * FROM days WHERE day = ? ORDER BY bot", (day.isoformat(),))
        return tuple(
            Row(date.fromisoformat(day_), str(bot), int(high), int(mark), int(requests), int(received), float(seconds))
            for day_, bot, high, mark, requests, received, seconds in rows
        )

    def _read_month_before(self, day: date) -> dict[str, int]:
        query = "SELECT bot, SUM(high_water) FROM days WHERE day >= ? AND day < ? GROUP BY bot"
        between = (day.replace(day=1).isoformat(), day.isoformat())
        return {str(bot): int(chars) for bot, chars in self._database.execute(query, between)}

    def _compare(self, found: Loaded, *, mark: Mark | None, fault: str) -> Loaded:
        """Hold the ledger against its second file, and give the new life its epoch."""
        damage = _find_damage(found, mark=mark, fault=fault)
        if damage is None and mark is not None and found.day is not None and found.epoch == mark.sequence + 1:
            # A crash between the two writes. Catch up, so that no later life begins with this number too.
            self._sequence_file.write(Mark(found.epoch, found.day, compute_total(found)))
        self._sequence = max(found.epoch, mark.sequence if mark else 0)
        epoch = self._sequence + 1
        if damage is None:
            return replace(found, epoch=epoch)
        # Not "unclean" on top: the day is lost anyway.
        return replace(self._salvage(found, mark=mark), epoch=epoch, clean=True, damage=f"{self._path} {damage}")

    def _salvage(self, found: Loaded, *, mark: Mark | None) -> Loaded:
        """Give the newest day that either file knows, with the larger total of its month."""
        if mark is None or mark.sequence == 0:
            return found
        if found.day is None or found.day < mark.day:
            found = Loaded(day=mark.day, month_before=self._read_month_before(mark.day))
        return _carry(found, mark=mark)

    def _commit(self, batch: Batch, *, sequence: int) -> None:
        db = self._database
        meta = {
            "sequence": sequence,
            "day": batch.day.isoformat(),
            "carried": batch.carried,
            "unclean": batch.unclean,
            "clean": int(batch.clean),
            "damaged_on": batch.damaged_on.isoformat() if batch.damaged_on else "",
            "written_by": __version__,
        }
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in meta.items()])
        db.executemany(_UPSERT, [_to_columns(row) for row in batch.rows])
        db.execute("DELETE FROM days WHERE day < ?", (_compute_oldest(batch.day).isoformat(),))
        db.execute("COMMIT")

    def _reopen(self) -> None:
        """Begin afresh after an error: the kernel may have forgotten pages that it could not write.

        The checkpoint writes every page of the -wal again and syncs it; the caller's full batch does the rest.
        """
        self._close_database()
        self._sequence_file.close()
        self._open_database()
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _set_aside(self) -> None:
        """Keep an unreadable ledger for whoever wants to look into it, and begin a new one."""
        self._close_database()
        for end in ("", "-wal"):
            source = self._path.with_name(self._path.name + end)
            with suppress(FileNotFoundError):
                source.replace(self._path.with_name(self._path.name + ".damaged" + end))
        sync_folder(self._path.parent)
        self._open_database()

    def _close_database(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None


def _lock(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise QuotaUnavailable(_describe(exc, path)) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise LedgerInUse(
            f"{path.parent} is used by another hotshotd (its quota process is {holder or 'unknown'}): "
            "stop that one, or give this one a state_dir of its own"
        ) from exc
    with suppress(OSError):  # a full disk; the number is a courtesy
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _describe(exc: sqlite3.Error | OSError, path: Path) -> str:
    """Say which file could not be read or written, why, and what to do about it."""
    if isinstance(exc, OSError):
        return f"{exc.filename or path}: {exc.strerror or exc}: {name_remedy(exc)}"
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    return f"{path}: {exc}: {_SQLITE_REMEDIES.get(code, 'look at its folder and its disk')}"


def _read_schema_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _read_writer(db: sqlite3.Connection) -> str:
    """Name the release that wrote a ledger, as far as this one can read it."""
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'written_by'").fetchone()
    except sqlite3.Error:
        return ""
    return f" {row[0]}" if row else ""


def _check_figures(loaded: Loaded) -> None:
    """Refuse what no ledger ever wrote, for the next one would stumble over it."""
    if loaded.unclean < 0 or not all(0 <= row.open_mark <= row.high_water for row in loaded.rows):
        raise ValueError("a figure is out of its range")


def _find_damage(found: Loaded, *, mark: Mark | None, fault: str) -> str | None:
    """Say what is wrong with a ledger; None for one that is whole or quite new."""
    if mark is None:
        return fault or "has lost its second file, ledger.seq, which says how far it should have come"
    if mark.sequence == 0 and found.epoch <= 1:
        return None
    if fault:
        return fault
    if found.epoch < mark.sequence:
        return f"is older than it should be (write {found.epoch}, the last one was {mark.sequence}): restored or cut"
    if found.epoch > mark.sequence + 1:
        return f"is newer than its second file ledger.seq (write {found.epoch}, there {mark.sequence})"
    same = found.day == mark.day and compute_total(found) == mark.month_total
    return None if found.epoch != mark.sequence or same else "does not add up to what its second file ledger.seq says"


def compute_total(loaded: Loaded) -> int:
    """Give what the month of the loaded day has spent, as the rows tell it."""
    return loaded.carried + sum(loaded.month_before.values()) + sum(row.high_water for row in loaded.rows)


def _carry(loaded: Loaded, *, mark: Mark | None) -> Loaded:
    """Keep the month's total of the second file where the rows know less."""
    if mark is None or loaded.day is None or compute_month(mark.day) != compute_month(loaded.day):
        return loaded
    return replace(loaded, carried=loaded.carried + max(0, mark.month_total - compute_total(loaded)))


def _to_columns(row: Row) -> tuple[str, str, int, int, int, int, float]:
    return row.day.isoformat(), row.bot, row.high_water, row.open_mark, row.requests, row.received, row.seconds


def _compute_oldest(day: date) -> date:
    return day - timedelta(days=KEEP_DAYS) if day.toordinal() > KEEP_DAYS else date.min


def _corrupt(message: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error

"""A ledger that another release wrote: taken over, or refused so that systemd does not try again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

from harness import World

from hotshotd import __version__


def test_newer_ledger__ends_the_daemon_with_78(world: World) -> None:
    """The supervisor hears it from the quota process, says what to do, and leaves no process and no socket."""
    world.add_bot("duck")
    daemon = world.start()
    assert daemon.stop() == 0
    path = world.folder / "state" / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    done = subprocess.run(
        [sys.executable, "-m", "hotshotd", "--config", str(world.config)],
        env=world.environ, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 78
    assert f"ledger.db: written by a newer hotshotd {__version__} (its schema is 99" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world.folder / "run" / "control.sock").exists()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()

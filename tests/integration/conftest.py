"""The daemon's world, anew for each test that asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# pytest's importlib mode puts no test folder on the path; the harness is shared by several files.
sys.path.insert(0, str(Path(__file__).parent))

from harness import World
from quotakit import Daemon as QuotaDaemon


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Local servers and an empty configuration."""
    with World(tmp_path) as made:
        yield made


@pytest.fixture
def daemon_of(tmp_path: Path) -> Iterator[Callable[..., QuotaDaemon]]:
    """Starts quota processes over the test's folder."""
    made: list[QuotaDaemon] = []

    def build(folder: Path = tmp_path, **settings: object) -> QuotaDaemon:
        made.append(QuotaDaemon(folder, **settings))
        return made[-1]

    yield build
    for daemon in made:
        daemon.stop()
        daemon.listener.close()
        daemon.path.unlink()

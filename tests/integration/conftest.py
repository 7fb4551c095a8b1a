"""The daemon's world, anew for each test that asks for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's importlib mode puts no test folder on the path; the harness is shared by several files.
sys.path.insert(0, str(Path(__file__).parent))

from harness import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Local servers and an empty configuration."""
    with World(tmp_path) as made:
        yield made

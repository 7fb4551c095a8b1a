"""One machine for all tests here: booting takes half a second, but each daemon on it starts anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's importlib mode puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

from machine import Journal, Machine, NotAllowed, Site


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A systemd with the program installed."""
    try:
        made = Machine()
    except NotAllowed as exc:
        pytest.skip(str(exc))
    try:
        made.install()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def journal(machine: Machine) -> Iterator[Journal]:
    made = Journal(machine)
    yield made
    made.close()


@pytest.fixture
def site(machine: Machine, journal: Journal) -> Iterator[Site]:
    """Local servers and an empty configuration; the service is not started."""
    with Site(machine, journal) as made:
        yield made

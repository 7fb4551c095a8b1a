"""A small share of `scripts/fuzz`: each reader and parser takes some hundred strange inputs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from fuzzing.making import Source, make_json, make_text  # noqa: E402
from fuzzing.targets import TARGETS  # noqa: E402


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz__finds_nothing(name: str) -> None:
    """The same inputs each time; what is found by longer runs becomes a test of its own."""
    import random

    chance = random.Random(f"{name} 7")
    for _ in range(300):
        TARGETS[name](chance.randbytes(chance.choice((0, 8, 40, 200, 800))))


def test_making__reaches_below_the_surface() -> None:
    """The values are deep and speak the services' words, or the readers would refuse all of them at the door."""
    import random

    chance = random.Random(3)
    values = [make_json(Source(chance.randbytes(400))) for _ in range(500)]
    assert sum("choices" in str(value) for value in values) > 10
    assert max(str(value).count("{") for value in values) > 20
    assert any("<|sot|>" in make_text(Source(chance.randbytes(200))) for _ in range(100))

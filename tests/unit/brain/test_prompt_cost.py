"""What a published reply costs, on the committed trace, beside what the original rules send."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[3] / "scripts" / "bench"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up there, and the benchmark imports the trace by this name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


TRACE = load("make_trace")
COST = load("prompt_cost")


@pytest.fixture(scope="module")
def cases() -> list[object]:
    return asyncio.run(COST.run_trace(list(TRACE.load_trace())))


def test_trace__is_what_its_generator_makes() -> None:
    """500 things in 60 threads, up to 12 deep, from a fixed seed."""
    rows = list(TRACE.load_trace())
    assert rows == TRACE.make_trace()
    assert len(rows) == 500
    assert sum(row.parent is None for row in rows) == 60
    assert max(row.level for row in rows) == 12


def test_prompt_cost__is_at_most_three_fifths_of_the_original(cases: list[object]) -> None:
    """The median of what is sent per published reply, gate included; as chat messages too."""
    figures = COST.measure(cases)
    assert figures.published >= 100
    assert figures.nested >= 50
    assert figures.ratio <= COST.LIMIT == 0.60
    assert figures.chat_ratio <= COST.LIMIT


def test_prompt_cost__leaves_out_nothing_that_matters(cases: list[object]) -> None:
    """Each prompt holds backstory, title and the two nearest levels, whole, in both renderings."""
    assert [COST.find_missing(case) for case in cases if case.is_published and COST.find_missing(case)] == []


def test_prompt_cost__is_nothing_for_what_a_free_check_refuses(cases: list[object]) -> None:
    """Nothing leaves for a thing that is refused before the gate; the gate alone for one it refuses."""
    refused = [case for case in cases if not case.is_published]
    free = [case for case in refused if case.why is not COST.Why.LOW_SCORE]
    assert len(free) > 100
    assert sum(case.sent.text_chars + len(case.sent.prompts) for case in free) == 0
    assert all(not case.sent.prompts for case in refused)


def test_compute_original__sends_everything_uncut() -> None:
    """The rules as written out: the whole thread to the gate, backstory, post and `max_levels` levels to the model."""
    post = TRACE.Row("t3_x", title="T" * 10, text="b" * 5000)
    levels = [TRACE.Row(f"t1_{number}", "t3_x", number, "a", "", "c" * 100) for number in range(1, 9)]
    gate, prompt = COST.compute_original(post, levels)
    assert gate == 10 + 1 + 5000 + 8 * (100 + len("<|endoftext|>"))
    assert prompt == len(COST.BACKSTORY) + 1 + 5011 + 6 * 101
    assert COST.compute_original(post, levels[:1])[0] == 0

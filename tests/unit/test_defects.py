"""The table of faults observed in other bots (tests/defects.md): whole, and true of the tests that are there."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "defects.md"
ROWS = 59

_ROW = re.compile(r"^\| *(\d+) *\| *(.*?) *\| *(.*?) *\|$")
_TEST = re.compile(r"`([^`]+)`")
#: A sentence that says why there is no test.
_REASON = re.compile(r"^None: .{20,}\.$")


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, and the tests that show that it is not ours; without any, the reason."""

    number: int
    fault: str
    tests: tuple[str, ...]
    reason: str


def parse_table(text: str) -> tuple[Row, ...]:
    """Give the rows of the table."""
    found = (match.groups() for line in text.splitlines() if (match := _ROW.match(line)))
    return tuple(Row(int(number), fault, tuple(_TEST.findall(cell)), cell) for number, fault, cell in found)


@functools.cache
def read_rows() -> tuple[Row, ...]:
    return parse_table(TABLE.read_text(encoding="utf-8"))


def list_named() -> tuple[str, ...]:
    return tuple(dict.fromkeys(test for row in read_rows() for test in row.tests))


@functools.cache
def read_functions(file: str) -> tuple[str, ...]:
    """Give the names of a test file's own functions, a name given twice twice; none for a file that is not there."""
    path = ROOT / file
    if not path.is_file():
        return ()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return tuple(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def find_missing(tests: Iterable[str]) -> list[str]:
    """Give those names that are not of exactly one test function in a test file."""
    missing = []
    for test in tests:
        file, _, name = test.partition("::")
        function = name.partition("[")[0]
        is_test = Path(file).name.startswith("test_") and function.startswith("test_")
        if not is_test or read_functions(file).count(function) != 1:
            missing.append(test)
    return missing


@functools.cache
def collect() -> frozenset[str]:
    """Give what pytest collects from the files that the table names: with parameters, and without."""
    files = sorted({test.partition("::")[0] for test in list_named()})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT, env={**os.environ, "COLUMNS": "500"}, capture_output=True, text=True, timeout=55,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    whole = [line for line in done.stdout.splitlines() if "::" in line]
    return frozenset((*whole, *(line.partition("[")[0] for line in whole)))


def test_table__has_every_row_once() -> None:
    """59 faults were observed; each has a line, in order, in words of its own."""
    rows = read_rows()
    assert [row.number for row in rows] == list(range(1, ROWS + 1))
    assert len({row.fault for row in rows}) == ROWS
    assert all(len(row.fault) > 20 for row in rows)


def test_table__names_tests_or_says_why_not() -> None:
    """No row is left without an answer."""
    assert [row.number for row in read_rows() if not row.tests and not _REASON.match(row.reason)] == []


def test_tests__exist() -> None:
    """Each name is that of one function in one file."""
    assert find_missing(list_named()) == []


def test_tests__are_collected() -> None:
    """Each is run by pytest, scenarios by the name of their row."""
    assert sorted(set(list_named()) - collect()) == []


@pytest.mark.parametrize(
    "test",
    [
        "tests/unit/test_defects.py::test_nobody_wrote",
        "tests/unit/test_nowhere.py::test_tests__exist",
        "tests/unit/test_defects.py::find_missing",
        "tests/unit/fakes.py::test_tests__exist",
        "test_tests__exist",
    ],
)
def test_find_missing__notices(test: str) -> None:
    """A name that is wrong in any part."""
    assert find_missing([test, "tests/unit/test_defects.py::test_tests__exist"]) == [test]


def test_collect__knows_no_scenario_that_is_not_there() -> None:
    """The names of rows are read too."""
    scenario = "tests/integration/test_scenarios.py::test_scenario[{}]"
    assert scenario.format("the best of two") in collect()
    assert scenario.format("the best of seven") not in collect()


def test_parse_table__reads_a_reason() -> None:
    """A row may say in one sentence why there is no test."""
    (row,) = parse_table("| 7 | It rains. | None: nobody can test the weather. |\n|--:|---|---|\n")
    assert (row.number, row.tests) == (7, ())
    assert _REASON.match(row.reason)
    assert not _REASON.match("None")

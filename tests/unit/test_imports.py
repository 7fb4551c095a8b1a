"""The floors of docs/architecture.md, read from every import in the package."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hotshotd"

#: Room (a module or folder right under hotshotd/) to floor.
FLOORS = {
    "errors": 0, "_types": 0, "clock": 0, "backoff": 0, "memory": 0, "recent": 0, "durable": 0,
    "log": 1, "loop": 1, "systemd": 1, "wire": 1,
    "platform": 2, "admission": 2, "config": 2,
    "quota": 3, "inference": 3, "reddit": 3, "importing": 3,
    "brain": 4,
    "worker": 5,
    "supervisor": 6, "control": 6, "doctor": 6,
    "cli": 7, "__main__": 8,
}  # fmt: skip

#: Beside the floors: local servers for `hotshotd sandbox` and for tests.
SANDBOX = "sandbox"
SANDBOX_MAY_USE = {room for room, floor in FLOORS.items() if floor <= 3}
SANDBOX_IS_USED_BY = {"cli", SANDBOX}

#: Rooms that may read a clock or draw a number by themselves.
MAY_CALL_TIME = {"clock", "backoff", SANDBOX}
PRAW = {"praw", "prawcore"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, where it stands, and whether only annotations can see it."""

    file: Path
    line: int
    module: str
    level: int = 0
    type_only: bool = False

    @property
    def room(self) -> str:
        return _get_room(self.file)

    @property
    def target(self) -> str:
        """The room that is imported; "" for what is not ours, and for `hotshotd` itself."""
        head, _, rest = self.module.partition(".")
        return rest.partition(".")[0] if head == "hotshotd" else ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.module}"


def _get_room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _read_type_checking_lines(tree: ast.AST) -> set[int]:
    """Give the lines under `if TYPE_CHECKING:`."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    return {inner.lineno for block in blocks for inner in ast.walk(block) if isinstance(inner, ast.stmt)}


def _list_modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Give what a statement imports; `from hotshotd import x` is an import of the room x."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return names
    return [f"hotshotd.{name}" for name in names] if node.module == "hotshotd" else [node.module or ""]


def read_imports(source: str, file: Path) -> list[Import]:
    """Give every import of a file, those inside functions too."""
    tree = ast.parse(source, str(file))
    typed = _read_type_checking_lines(tree)
    return [
        Import(file, node.lineno, module, getattr(node, "level", 0), node.lineno in typed)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in _list_modules(node)
    ]


def _is_own_time_or_chance(node: ast.AST) -> bool:
    """Whether a piece of code reads a clock or draws a number by itself.

    Everybody may name `random.Random` as a type, and make one from a seed: that is a value like any other.
    """
    match node:
        case ast.ImportFrom(module="time"):
            return True
        case ast.ImportFrom(module="random", names=names):
            return any(alias.name != "Random" for alias in names)
        case ast.Attribute(value=ast.Name(id="time")):
            return True
        case ast.Attribute(value=ast.Name(id="random"), attr=attribute):
            return attribute != "Random"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="random"), attr="Random") | ast.Name(id="Random"), args=[]):
            return True
        case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr="now" | "utcnow" | "today"):
            return True
    return False


def find_time_and_chance(source: str, file: Path) -> list[str]:
    """Give the places of a file that read a clock or draw a number by themselves."""
    if _get_room(file) in MAY_CALL_TIME:
        return []
    imported = {found.module for found in read_imports(source, file)}
    return [
        f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        # A variable that happens to be called `time` is nothing.
        if _is_own_time_or_chance(node) and imported & {"time", "random", "datetime"}
    ]


@functools.cache
def _read_package() -> dict[Path, str]:
    files = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    return {file: file.read_text() for file in files}


@functools.cache
def _list_imports() -> list[Import]:
    return [found for file, source in _read_package().items() for found in read_imports(source, file)]


def is_wrong_floor(found: Import) -> bool:
    """Whether an import points up a floor, or sideways to another room of the same floor."""
    room, target = found.room, found.target
    if target in ("", "__version__", room) or found.type_only:
        return False
    if target == SANDBOX or room == SANDBOX:
        return target not in SANDBOX_MAY_USE if room == SANDBOX else room not in SANDBOX_IS_USED_BY
    return FLOORS.get(target, 9) >= FLOORS.get(room, 0)


def is_stray_praw(found: Import) -> bool:
    """Whether PRAW is known outside the Reddit adapter."""
    return found.module.partition(".")[0] in PRAW and found.room != "reddit"


def _show(wrong: Sequence[object]) -> str:
    return "\n" + "\n".join(map(str, wrong))


def test_rooms__each_has_a_floor() -> None:
    """Every module and folder right under hotshotd/ stands in the table."""
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__", SANDBOX, "py.typed"} - FLOORS.keys() == set()


def test_imports__point_down() -> None:
    """An import points from a higher floor to a lower one; rooms of one floor do not know each other."""
    wrong = [found for found in _list_imports() if is_wrong_floor(found)]
    assert not wrong, _show(wrong)


def test_imports__are_absolute() -> None:
    """There are no relative imports."""
    wrong = [found for found in _list_imports() if found.level]
    assert not wrong, _show(wrong)


def test_imports__praw_stays_in_reddit() -> None:
    """The Reddit adapter is the only importer of PRAW."""
    wrong = [found for found in _list_imports() if is_stray_praw(found)]
    assert not wrong, _show(wrong)


def test_code__takes_time_and_chance_from_outside() -> None:
    """Only clock.py and backoff.py read a clock or draw a number; elsewhere both are arguments.

    The sandbox is a world of its own, and exempt.
    """
    wrong = [place for file, source in _read_package().items() for place in find_time_and_chance(source, file)]
    assert not wrong, _show(wrong)


@pytest.mark.parametrize(
    ("file", "source", "check"),
    [
        ("quota/x.py", "from hotshotd.brain import y", is_wrong_floor),
        ("quota/x.py", "from hotshotd import reddit", is_wrong_floor),
        ("quota/x.py", "def f():\n    import hotshotd.inference.base", is_wrong_floor),
        ("errors.py", "import hotshotd.clock", is_wrong_floor),
        ("sandbox/x.py", "import hotshotd.brain", is_wrong_floor),
        ("worker/x.py", "import hotshotd.sandbox", is_wrong_floor),
        ("brain/x.py", "from prawcore.exceptions import X", is_stray_praw),
    ],
)
def test_import_rules__notice(file: str, source: str, check: Callable[[Import], bool]) -> None:
    """Each rule finds what it forbids."""
    assert [check(found) for found in read_imports(source, PACKAGE / file)] == [True]


@pytest.mark.parametrize(
    ("file", "source", "check"),
    [
        ("quota/x.py", "from hotshotd.quota.store import y", is_wrong_floor),
        ("cli/x.py", "from hotshotd import __version__, sandbox", is_wrong_floor),
        ("errors.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hotshotd.brain", is_wrong_floor),
        ("reddit/x.py", "import praw", is_stray_praw),
    ],
)
def test_import_rules__let_pass(file: str, source: str, check: Callable[[Import], bool]) -> None:
    """Each rule leaves alone what is allowed."""
    assert not any(check(found) for found in read_imports(source, PACKAGE / file))


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import time\nx = time.monotonic()", 1),
        ("from time import sleep", 1),
        ("import random\nx = random.random()", 1),
        ("import random\nx = random.Random()", 1),
        ("from random import Random\nx = Random()", 1),
        ("from datetime import datetime\nx = datetime.now(UTC)", 1),
        ("import random\ndef f(chance: random.Random) -> None: ...", 0),
        ("import random\nx = random.Random(7)", 0),
        ("def f(time): return time.hour", 0),
        ("from datetime import datetime\nx = clock.now()", 0),
    ],
)
def test_time_and_chance_rule__knows_types_and_seeds(source: str, count: int) -> None:
    """A type and a seeded generator are values; a clock and an unseeded one are effects."""
    assert len(find_time_and_chance(source, PACKAGE / "brain/x.py")) == count

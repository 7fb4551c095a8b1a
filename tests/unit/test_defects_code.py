"""Faults observed in other bots that are read from the code itself: shells, catch-alls, values that are shared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hotshotd"

#: Calls that hand a line to a shell, whatever their arguments.
SHELLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "create_subprocess_shell", "pty.spawn",
}  # fmt: skip


def find_shells(tree: ast.AST) -> Iterator[int]:
    """Give the lines that start a program through a shell."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        has_shell = any(
            keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            for keyword in node.keywords
        )
        if has_shell or ast.unparse(node.func) in SHELLS:
            yield node.lineno


def find_silent(tree: ast.AST) -> Iterator[int]:
    """Give the lines of `except:` and `except BaseException` that neither raise again nor show what it was."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        catches_all = node.type is None or ast.unparse(node.type) == "BaseException"
        is_told = any(isinstance(inner, ast.Raise) or _is_hook(inner) for inner in ast.walk(node))
        if catches_all and not is_told:
            yield node.lineno


def _is_hook(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.excepthook"


def find_shared(tree: ast.AST) -> Iterator[int]:
    """Give the lines of class attributes that are a dict, a list or a set: every object of the class would share it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for line in node.body:
            value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
                yield line.lineno


FINDERS = {"shell": find_shells, "silent": find_silent, "shared": find_shared}


@pytest.mark.parametrize("kind", FINDERS)
def test_code__is_free_of(kind: str) -> None:
    """No program is started by a shell, nothing is caught and hidden, no two objects share one table."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in FINDERS[kind](ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "code", "count"),
    [
        ("shell", "subprocess.run(f'mimic {text}', shell=True)", 1),
        ("shell", "subprocess.run(words, shell=is_wanted)", 1),
        ("shell", "os.system(line)", 1),
        ("shell", "subprocess.run(['ls'], shell=False)", 0),
        ("silent", "try:\n  a()\nexcept:\n  pass", 1),
        ("silent", "try:\n  a()\nexcept BaseException:\n  pass", 1),
        ("silent", "try:\n  a()\nexcept BaseException:\n  close()\n  raise", 0),
        ("silent", "try:\n  a()\nexcept BaseException:\n  sys.excepthook(*sys.exc_info())", 0),
        ("silent", "try:\n  a()\nexcept ValueError:\n  pass", 0),
        ("shared", "class A:\n  limits = {}", 1),
        ("shared", "class A:\n  limits: dict = {}", 1),
        ("shared", "class A:\n  name = 'a'\n  size: int = 3", 0),
    ],
)
def test_finders__find(kind: str, code: str, count: int) -> None:
    """Each of them can fail."""
    assert len(list(FINDERS[kind](ast.parse(code)))) == count

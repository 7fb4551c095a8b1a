"""What a user installs, and what the tests' own ground rules do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import hotshotd

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
#: What a clone may hold that is no part of the project.
CLUTTER = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, for building leaves things behind."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "hotshotd", ignore=CLUTTER))


def _build(tree: Path, what: str) -> Path:
    command = [sys.executable, "-c", BUILD, f"build_{what}", str(tree / "dist")]
    (tree / "dist").mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return tree / "dist" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tree: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(_build(tree, "wheel"))


def test_wheel__holds_each_file_of_the_package(tree: Path, wheel: zipfile.ZipFile) -> None:
    """Modules and data: what is under hotshotd/ here is in the wheel, or an installed program misses it."""
    files = {str(path.relative_to(tree)) for path in (tree / "hotshotd").rglob("*") if path.is_file()}
    assert files - set(wheel.namelist()) == set()


def test_wheel__holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No tests, no scripts, no examples land among a user's packages."""
    assert {name.partition("/")[0] for name in wheel.namelist()} == {
        "hotshotd",
        f"hotshotd-{hotshotd.__version__}.dist-info",
    }


def test_wheel__names_both_programs_and_their_licence(wheel: zipfile.ZipFile) -> None:
    """The version is the package's own; both commands are there; the licence is MIT."""
    info = f"hotshotd-{hotshotd.__version__}.dist-info"
    metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
    scripts = wheel.read(f"{info}/entry_points.txt").decode()
    assert (metadata["Version"], metadata["Requires-Python"]) == (hotshotd.__version__, ">=3.11")
    assert "MIT" in (metadata["License"], metadata["License-Expression"])
    assert "hotshotd = hotshotd.cli.daemon:main" in scripts
    assert "hotshotctl = hotshotd.cli.ctl:main" in scripts


def test_wheel__bounds_each_requirement(wheel: zipfile.ZipFile) -> None:
    """Each library has a lower bound, and an upper one below its next major version; time zones are data."""
    metadata = message_from_bytes(wheel.read(f"hotshotd-{hotshotd.__version__}.dist-info/METADATA"))
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    unbounded = [line for line in required if not (">=" in line and "<" in line)]
    assert [line.partition(">=")[0].strip() for line in unbounded] == ["tzdata"]


def test_sdist__holds_what_a_packager_needs(tree: Path) -> None:
    """The unit, the licence and the tests go with the sources."""
    with tarfile.open(_build(tree, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "CHANGELOG.md", "systemd/hotshotd.service", "scripts/demo", "scripts/lib", "tests/conftest.py"}
    assert wanted - names == set()
    assert any(name.startswith("etc/hotshot/") for name in names)


def test_changelog__knows_the_version() -> None:
    """A version that is out has its paragraph; before that, Unreleased has one."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {hotshotd.__version__}" in changelog or "## Unreleased" in changelog


def test_pyproject__pins_the_same_python_as_the_metadata() -> None:
    """ruff checks for the oldest Python that the metadata allows."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["tool"]["ruff"]["target-version"] == "py311"
    assert "python_requires = >=3.11" in (ROOT / "setup.cfg").read_text()


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/test", ".ci/run"])
def test_scripts__can_be_run(script: str) -> None:
    """The scripts that the README names have their run bit, and bash understands them."""
    assert os.access(ROOT / script, os.X_OK)
    done = subprocess.run(["bash", "-n", ROOT / script, ROOT / "scripts/lib"], capture_output=True, timeout=10)
    assert (done.returncode, done.stderr) == (0, b"")


def test_readme__names_the_scripts() -> None:
    """The README's two blocks are what a newcomer types."""
    readme = (ROOT / "README.md").read_text()
    for heading, command in (("Try it", "./scripts/demo"), ("Run the tests", "./scripts/test")):
        section = readme.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert section.split("```")[1:2] == [f"sh\n{command}\n"]
        assert section.count("```") == 2


# --- a Python that lacks something -----------------------------------------------------------


def _run_lib(tmp_path: Path, *, python: str) -> subprocess.CompletedProcess[str]:
    """Look for a Python where `python3` is the given shell script and no other is on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "python3").chmod(0o755)
    for tool in ("dirname", "bash"):
        (folder / tool).symlink_to(shutil.which(tool) or "/bin/false")
    command = ["bash", "-c", 'set -euo pipefail; . "$0"; find_python', str(ROOT / "scripts" / "lib")]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, timeout=10)


def test_find_python__names_the_missing_package(tmp_path: Path) -> None:
    """Debian's Python without venv: the answer is the command that mends it."""
    done = _run_lib(tmp_path, python='case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    assert done.returncode == 1
    assert "sudo apt install python3-venv" in done.stderr


def test_find_python__refuses_an_old_one(tmp_path: Path) -> None:
    """A Python that is too old is named, with what to install."""
    done = _run_lib(tmp_path, python='[ "$1" != --version ] || echo Python 3.9.2; [ "$1" = --version ]')
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, and Python 3.9.2 was found" in done.stderr


def test_find_python__takes_a_good_one(tmp_path: Path) -> None:
    """The first that can do it all."""
    assert _run_lib(tmp_path, python="exit 0").stdout == "python3\n"


# --- ground rules of the suite ---------------------------------------------------------------

SKIPPING = """
import pytest
def test_a(): pytest.skip("no tool")
@pytest.mark.skip
def test_b(): ...
@pytest.mark.xfail
def test_c(): assert False
"""


def _run_pytest(folder: Path, *, ci: str, **files: str) -> str:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--continue-on-collection-errors",
        str(folder),
    ]
    env = {**os.environ, "CI": ci}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60).stdout


def test_skips__are_failures_in_ci(tmp_path: Path) -> None:
    """Where CI=true, what was skipped has failed: in the test, by a mark, as a whole module; expected failures stay."""
    whole = 'import pytest\npytest.importorskip("no_such_module_at_all")'
    assert "1 failed, 1 xfailed, 2 errors" in _run_pytest(tmp_path, ci="true", test_a=SKIPPING, test_b=whole)


def test_skips__are_skips_elsewhere(tmp_path: Path) -> None:
    """On a developer's machine a skip is a skip."""
    assert "2 skipped, 1 xfailed" in _run_pytest(tmp_path, ci="", test_a=SKIPPING)


def test_network__is_closed_to_tests() -> None:
    """A test that reaches out is stopped before a packet leaves (192.0.2.0/24 is nobody's)."""
    with socket.socket() as sock, pytest.raises(RuntimeError, match="tests speak to"):
        sock.connect(("192.0.2.1", 80))

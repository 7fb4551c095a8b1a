"""The Debian package: built from this tree, and put through its whole life on a layer over this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wheelhouse import make_wheelhouse

import hotshotd

ROOT = Path(__file__).parents[2]
PYTHON = f"3.{sys.version_info.minor}"
#: Building takes 15 s, and a life with lintian 25, on a machine that does nothing else.
pytestmark = pytest.mark.timeout(280)


def _run(command: list[str | Path], *, seconds: float = 20.0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package for this machine and this Python, made without a network."""
    folder = tmp_path_factory.mktemp("deb")
    wheels = make_wheelhouse(folder / "wheels")
    command = [ROOT / "scripts/build-deb", "--python", PYTHON, "--wheels", wheels, "--output", folder / "dist"]
    said = _run(command, seconds=200)
    return Path(said.rstrip())


@pytest.fixture(scope="module")
def files(package: Path) -> dict[str, str]:
    """What is in it: mode, owner and target by path."""
    lines = _run(["dpkg-deb", "--contents", package]).splitlines()
    parts = [line.split(None, 5) for line in lines]
    return {path.partition(" -> ")[0].lstrip("."): f"{mode} {owner}" for mode, owner, *_, path in parts}


def test_package__names_what_it_needs(package: Path) -> None:
    """Its version is the program's; the Pythons are those that its compiled libraries are for."""
    machine = _run(["dpkg", "--print-architecture"]).strip()
    assert package.name == f"hotshotd_{hotshotd.__version__}-1_{machine}.deb"
    needs = _run(["dpkg-deb", "--field", package, "Depends"])
    assert f"python3 (>= {PYTHON}), python3 (<< 3.{sys.version_info.minor + 1})" in needs
    assert re.search(r"libc6 \(>= 2\.\d+\)", needs)
    for name in ("ca-certificates", "tzdata", "systemd"):
        assert name in needs


def test_package__holds_what_belongs_to_a_service(files: dict[str, str]) -> None:
    """Programs, unit, user, folders, examples, licences: each where Debian looks for it, and root's."""
    wanted = {
        "/usr/bin/hotshotd": "-rwxr-xr-x",
        "/usr/bin/hotshotctl": "-rwxr-xr-x",
        "/lib/systemd/system/hotshotd.service": "-rw-r--r--",
        "/usr/lib/sysusers.d/hotshotd.conf": "-rw-r--r--",
        "/usr/lib/tmpfiles.d/hotshotd.conf": "-rw-r--r--",
        "/etc/hotshot/hotshotd.yaml": "-rw-r--r--",
        "/etc/hotshot/bots.d/example.yaml.sample": "-rw-r--r--",
        "/usr/share/doc/hotshotd/copyright": "-rw-r--r--",
    }
    # debhelper puts units below /usr since Debian 13.
    found = {path.replace("/usr/lib/systemd", "/lib/systemd"): what for path, what in files.items()}
    assert {path: found.get(path) for path in wanted} == {path: f"{mode} root/root" for path, mode in wanted.items()}


def test_package__holds_no_clutter(files: dict[str, str]) -> None:
    """No tests of ours, no bytecode, nothing of what the system has itself."""
    unwanted = re.compile(r"\.pyc$|/pytest|/tests/integration|/tzdata|/site-packages/(bin|pip|setuptools)\b")
    assert [path for path in files if unwanted.search(path)] == []
    sizes = [path for path in files if path.startswith("/usr/lib/hotshotd/site-packages/hotshotd/")]
    assert len(sizes) > 100


def test_package__asks_before_it_changes_configuration(package: Path, tmp_path: Path) -> None:
    """Whatever is in /etc is a conffile."""
    _run(["dpkg-deb", "--control", package, tmp_path])
    assert (tmp_path / "conffiles").read_text().splitlines() == [
        "/etc/hotshot/bots.d/example.yaml.sample",
        "/etc/hotshot/hotshotd.yaml",
    ]


def test_life__install_use_upgrade_remove_purge(package: Path) -> None:
    """lintian finds no error; an edited conffile and the ledger survive upgrades; a purge leaves nothing."""
    command = [ROOT / "scripts/test-deb", "--base", "/", package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "== lintian" in done.stderr
    assert done.stdout.rstrip().endswith("-- nothing is left")


@pytest.mark.parametrize("arguments", [["--frob"], ["--arch"], ["--arch", "m68k"], ["--python", "3.11,3.13"]])
def test_usage__is_refused(arguments: list[str]) -> None:
    """A wrong command line fails before anything is fetched."""
    command: list[str | Path] = [ROOT / "scripts/build-deb", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert "Fetching" not in done.stderr

"""scripts/install: what lies where afterwards, again and again, and nothing after it was removed."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wheelhouse import make_wheelhouse

import hotshotd

ROOT = Path(__file__).parents[2]
#: An installation takes 7 s on a machine that does nothing else.
pytestmark = pytest.mark.timeout(200)


class Machine:
    """A system below a folder, and this tree's installer for it."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self._wheels = wheels

    def run(self, *arguments: str, code: int = 0, **environ: str) -> str:
        """Run scripts/install; give what it said."""
        command = [ROOT / "scripts" / "install", "--root", str(self.folder), *arguments]
        done = subprocess.run(
            command,
            env=_make_environ() | environ,
            capture_output=True,
            text=True,
            timeout=150,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        return done.stderr

    def install(self, *arguments: str, code: int = 0, **environ: str) -> str:
        return self.run("--wheels", str(self._wheels), *arguments, code=code, **environ)

    def path(self, place: str) -> Path:
        return self.folder / place.lstrip("/")

    def list_files(self) -> set[str]:
        return {f"/{path.relative_to(self.folder)}" for path in self.folder.rglob("*") if not path.is_dir()}


def _make_environ() -> dict[str, str]:
    base = getattr(sys, "_base_executable", sys.executable)
    # Without bytecode, which only a program that is started often needs: half the time.
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HOTSHOT_PYTHON": base, "PIP_NO_COMPILE": "1"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheelhouse(tmp_path_factory.mktemp("house") / "wheels")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Machine:
    """One that hotshotd was installed on once."""
    made = Machine(tmp_path_factory.mktemp("machine"), wheels)
    made.said = made.install()  # type: ignore[attr-defined]
    return made


@pytest.fixture
def copy(machine: Machine, wheels: Path, tmp_path: Path) -> Machine:
    """The same, for a test that changes it."""
    folder = tmp_path / "copy"
    shutil.copytree(machine.folder, folder, symlinks=True, ignore=lambda at, _: ["releases"] * at.endswith("/hotshot"))
    # Links, for nothing changes what is in a release, and there are thousands.
    subprocess.run(["cp", "-al", machine.path("/opt/hotshot/releases"), folder / "opt" / "hotshot"], check=True)
    return Machine(folder, wheels)


def test_install__puts_a_program_that_starts(machine: Machine) -> None:
    """Both commands lead to a program of this version, whose environment names its place on the real system."""
    for name in ("hotshotd", "hotshotctl"):
        link = machine.path(f"/usr/local/bin/{name}")
        assert os.readlink(link) == f"/opt/hotshot/bin/{name}"
        program = machine.path(os.readlink(link)).resolve()
        assert program.read_text().startswith("#!/opt/hotshot/releases/1/bin/python")
        python = program.parent / "python"
        done = subprocess.run([python, "-I", program, "--version"], capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{name}, version {hotshotd.__version__}\n"


def test_install__brings_no_tools_of_developers(machine: Machine) -> None:
    """pytest and its like stay away; so do extras that nobody asked for."""
    [packages] = machine.path("/opt/hotshot/releases/1/lib").glob("python3*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert {"praw", "structlog"} <= names
    assert names & {"pytest", "_pytest", "mypy", "hypothesis", "prometheus_client", "PIL"} == set()


def test_install__writes_a_unit_for_its_own_place(machine: Machine) -> None:
    """Every program that the unit names is there."""
    unit = machine.path("/usr/local/lib/systemd/system/hotshotd.service").read_text()
    named = re.findall(r"^Exec\w+=(\S+)", unit, flags=re.MULTILINE)
    assert named == ["/opt/hotshot/bin/hotshotd", "/opt/hotshot/bin/hotshotctl"]
    assert all(machine.path(path).exists() for path in named)
    assert unit.startswith("[Unit]")


def test_install__makes_user_and_folders(machine: Machine) -> None:
    """The configuration is root's to write, the group's to read, and nobody else's."""
    passwd = machine.path("/etc/passwd").read_text()
    assert passwd.startswith("hotshot:x:")
    group = int(passwd.split(":")[3])
    for place in ("/etc/hotshot", "/etc/hotshot/bots.d"):
        found = machine.path(place).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o750, 0, group)


def test_install__gives_examples_that_pass_the_check(machine: Machine) -> None:
    """What lies in /etc/hotshot after an installation is a configuration without a fault."""
    command = [sys.executable, "-m", "hotshotd", "--config", str(machine.path("/etc/hotshot/hotshotd.yaml")), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "all valid")


def test_install__again_keeps_what_the_operator_wrote(copy: Machine) -> None:
    """An upgrade is a new release beside the old one, and not a byte of the configuration is changed."""
    config = copy.path("/etc/hotshot/hotshotd.yaml")
    config.write_text("timezone: Europe/Berlin\n")
    copy.path("/etc/hotshot/bots.d/mine.yaml").write_text("name: mine\n")
    copy.path("/etc/hotshot/bots.d/example.yaml.sample").unlink()
    before = copy.list_files()
    said = copy.install("--extras", "metrics")
    assert config.read_text() == "timezone: Europe/Berlin\n"
    assert copy.path("/etc/hotshot/bots.d/mine.yaml").read_text() == "name: mine\n"
    assert "kept /etc/hotshot/hotshotd.yaml; this release's example: /opt/hotshot/examples/hotshotd.yaml" in said
    assert os.readlink(copy.path("/opt/hotshot/bin")) == "releases/2/bin"
    # The running daemon still loads modules of the release before.
    assert before - copy.list_files() == set()
    new = {path for path in copy.list_files() - before if not path.startswith("/opt/hotshot/releases/2/")}
    assert new == {"/etc/hotshot/bots.d/example.yaml.sample"}
    assert list(copy.path("/opt/hotshot/releases/2/lib").glob("python3*/site-packages/prometheus_client"))


def test_install__that_fails_leaves_the_old_release(copy: Machine, tmp_path: Path) -> None:
    """Libraries that can't be had: the program that was there is there, and says so."""
    (tmp_path / "empty").mkdir()
    before = copy.list_files()
    said = copy.run("--wheels", str(tmp_path / "empty"), code=1)
    assert said.rstrip().endswith("Nothing was changed.")
    assert copy.list_files() == before
    assert os.readlink(copy.path("/opt/hotshot/bin")) == "releases/1/bin"


def test_uninstall__keeps_configuration_and_ledger(copy: Machine) -> None:
    """All that was installed goes; /etc/hotshot, /var/lib/hotshot and the user stay. Twice is as good as once."""
    ledger = copy.path("/var/lib/hotshot/ledger.db")
    ledger.parent.mkdir(parents=True)
    ledger.write_text("money")
    copy.run("--uninstall")
    left = copy.list_files()
    assert {path for path in left if not path.startswith("/etc/")} == {"/var/lib/hotshot/ledger.db"}
    assert {"/etc/hotshot/hotshotd.yaml", "/etc/hotshot/bots.d/example.yaml.sample", "/etc/passwd"} <= left
    assert "Nothing is installed" in copy.run("--uninstall")
    assert copy.list_files() == left


def test_purge__leaves_nothing_of_ours(copy: Machine) -> None:
    """With --purge, configuration, secrets and ledger go too."""
    copy.path("/var/lib/hotshot").mkdir(parents=True)
    copy.path("/etc/hotshot/secrets.env").write_text("A=b\n")
    copy.run("--uninstall", "--purge")
    assert not copy.path("/etc/hotshot").exists()
    assert not copy.path("/var/lib/hotshot").exists()
    assert not copy.path("/opt/hotshot").exists()


def test_prefix__holds_all_of_the_program(tmp_path: Path, wheels: Path) -> None:
    """--prefix: the program, its commands and the unit's paths; and it can be removed by the same name."""
    machine = Machine(tmp_path, wheels)
    machine.install("--prefix", "/srv/bots")
    unit = machine.path("/usr/local/lib/systemd/system/hotshotd.service").read_text()
    assert "ExecStart=/srv/bots/lib/hotshotd/bin/hotshotd " in unit
    assert os.readlink(machine.path("/srv/bots/bin/hotshotctl")) == "/srv/bots/lib/hotshotd/bin/hotshotctl"
    assert not machine.path("/opt").exists()
    machine.run("--uninstall", "--prefix", "/srv/bots")
    assert not [path for path in machine.list_files() if "hotshot" in path and not path.startswith("/etc/hotshot/")]


def test_install__leaves_strangers_alone(tmp_path: Path, wheels: Path) -> None:
    """What another has put there is neither overwritten nor removed."""
    machine = Machine(tmp_path, wheels)
    machine.path("/usr/local/bin").mkdir(parents=True)
    machine.path("/usr/local/bin/hotshotd").write_text("mine")
    assert "belongs to something else" in machine.install(code=1)
    machine.path("/usr/local/bin/hotshotd").unlink()
    machine.path("/opt/hotshot").mkdir(parents=True)
    machine.path("/opt/hotshot/precious").write_text("mine")
    assert "was not made by this script" in machine.install(code=1)
    machine.run("--uninstall")
    assert machine.list_files() == {"/opt/hotshot/precious"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--frob"], "unknown argument: --frob"),
        (["--prefix"], "--prefix needs a value"),
        (["--prefix", "here"], "a path from the root"),
        (["--prefix", "/usr"], "belongs to the package manager"),
        (["--extras", "cheese"], "there is no extra cheese"),
        (["--purge"], "--purge goes with --uninstall"),
    ],
)
def test_usage__is_refused_with_2(tmp_path: Path, wheels: Path, arguments: list[str], says: str) -> None:
    """A wrong command line changes nothing, and says what is right."""
    said = Machine(tmp_path, wheels).run(*arguments, code=2)
    assert says in said
    assert "Usage: scripts/install" in said
    assert list(tmp_path.iterdir()) == []


def test_help__says_all_options() -> None:
    """--help needs no root and no Python."""
    done = subprocess.run([ROOT / "scripts/install", "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0
    for option in ("--prefix", "--extras", "--wheels", "--uninstall", "--purge", "--root"):
        assert option in done.stdout


def _run_as_nobody(command: list[Any], folder: Path) -> subprocess.CompletedProcess[str]:
    nobody = pwd.getpwnam("nobody")
    return subprocess.run(
        command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True,
        timeout=20, env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
    )  # fmt: skip


def test_install__wants_root(tmp_path: Path) -> None:
    """Without root it says how to get it, and that a look needs none."""
    # A copy that others can read: the tree may be in a closed folder.
    script = tmp_path / "scripts" / "install"
    script.parent.mkdir()
    for name in ("install", "lib"):
        shutil.copy(ROOT / "scripts" / name, script.parent)
    open_way = [tmp_path, *tmp_path.parents]
    modes = {path: path.stat().st_mode for path in open_way if path.owner() == "root" and path != Path("/")}
    for path, mode in modes.items():
        path.chmod(mode | 0o011)
    try:
        done = _run_as_nobody(["bash", script], tmp_path)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert done.returncode == 1
    assert f"needs root:\n    sudo {script}" in done.stderr


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ('case "$2" in *ensurepip*) exit 1;; esac; exit 0', "sudo apt install python3-venv"),
        ('[ "$1" != --version ] || echo Python 3.9.2; [ "$1" = --version ]', "needs Python 3.11 or newer"),
    ],
)
def test_install__names_what_python_lacks(tmp_path: Path, wheels: Path, python: str, says: str) -> None:
    """No venv, or too old: the answer is the command that mends it, and nothing was changed."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for path in ("/usr/bin", "/bin"):
        for tool in Path(path).iterdir():
            if not tool.name.startswith("python") and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    (tools / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (tools / "python3").chmod(0o755)
    machine = Machine(tmp_path / "machine", wheels)
    assert says in machine.install(code=1, PATH=str(tools), HOTSHOT_PYTHON=str(tools / "python3"))
    assert not machine.folder.exists()

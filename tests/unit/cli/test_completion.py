"""Completion: the daemon's names, else those of the files; fast, and without a word when something is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hotshotd.cli.completion import SHELLS, find_bots, make_script

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No daemon of this machine."""
    monkeypatch.setenv("HOTSHOT_SOCKET", str(tmp_path / "nobody"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A main file with two bots, one of which has another name than its file."""
    (tmp_path / "bots.d").mkdir()
    (tmp_path / "bots.d" / "one.yaml").write_text("name: first  # by name\nreddit: {}\n")
    (tmp_path / "bots.d" / "two.yml").write_text("reddit:\n  name: inner\n")
    (tmp_path / "bots.d" / "three.yaml.sample").write_text("")
    path = tmp_path / "hotshotd.yaml"
    path.write_text("timezone: UTC\n")
    return path


def complete(words: str, *, shell: str = "bash", **environ: str) -> subprocess.CompletedProcess[str]:
    """Ask as the script that bash loads does."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'hotshotctl'; from hotshotd.cli.ctl import main; main()"],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "_HOTSHOTCTL_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), **environ,
        },
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_names__come_from_the_daemon(stub: Any, config: Path) -> None:
    """With their states; the files are not asked."""
    stub.give({"bots": [{"name": "iama", "state": "running"}, {"name": "b", "state": "paused"}]})
    assert find_bots({"socket": stub.path, "config": config}, {}) == {"iama": "running", "b": "paused"}


def test_names__come_from_the_daemon_of_the_config(stub: Any, tmp_path: Path) -> None:
    """Its runtime_dir is found without reading YAML as it should be."""
    stub.give({"bots": [{"name": "iama", "state": "running"}]})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "control.sock").symlink_to(stub.path)
    (tmp_path / "h.yaml").write_text("runtime_dir: 'run'  # here\n")
    assert find_bots({"config": tmp_path / "h.yaml"}, {}) == {"iama": "running"}


def test_names__come_from_the_files_with_the_daemon_down(config: Path) -> None:
    """`name:` where it is written, else the file's stem; named by --config or the environment."""
    assert list(find_bots({"config": config}, {})) == ["first", "two"]
    assert list(find_bots({}, {"HOTSHOT_CONFIG": str(config)})) == ["first", "two"]


def test_names__come_from_the_configured_folder(config: Path) -> None:
    """bots_dir, relative to the main file."""
    config.write_text('bots_dir: "elsewhere"\n')
    (config.parent / "elsewhere").mkdir()
    (config.parent / "elsewhere" / "far.yaml").touch()
    assert list(find_bots({"config": config}, {})) == ["far"]


def test_names__of_a_silent_daemon_come_from_the_files(tmp_path: Path, config: Path) -> None:
    """It accepts and says nothing: nobody waits longer than a tenth of a second for a key."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "silent"))
        listener.listen(1)
        assert list(find_bots({"config": config, "socket": tmp_path / "silent"}, {})) == ["first", "two"]


@pytest.mark.parametrize("answer", [{}, {"bots": 7}, {"bots": [{}]}, {"bots": [None]}])
def test_names__of_a_strange_daemon_come_from_the_files(stub: Any, config: Path, answer: dict[str, Any]) -> None:
    """An older or a newer one."""
    stub.give(answer)
    assert list(find_bots({"config": config, "socket": stub.path}, {})) == ["first", "two"]


def test_names__survive_hostile_files(config: Path) -> None:
    """A pipe never waits, bytes that are no text and folders do no harm; nothing at all is no error."""
    folder = config.parent / "bots.d"
    os.mkfifo(folder / "pipe.yaml")
    (folder / "bytes.yaml").write_bytes(b"name: \xff\xfe\n" * 10)
    (folder / "folder.yaml").mkdir()
    assert {"first", "two", "pipe", "folder"} <= set(find_bots({"config": config}, {}))
    assert "name: " not in "".join(find_bots({"config": config}, {}))
    assert (
        find_bots({"config": config.parent / "none" / "none.yaml"}, {})
        == find_bots({}, {"HOTSHOT_CONFIG": "/none/x"})
        == {}
    )


def test_completion__of_a_verb(config: Path) -> None:
    """Verbs and options need nobody."""
    assert complete("hotshotctl re").stdout.split() == ["plain,reload", "plain,restart", "plain,resume"]
    assert "plain,--watch" in complete("hotshotctl status --").stdout


@pytest.mark.parametrize(
    "verb",
    ["status", "is-active", "quota", "reload", "restart", "pause", "resume", "logs", "doctor", "auth", "try", "post"],
)
def test_completion__of_a_bot(stub: Any, verb: str) -> None:
    """Every verb that takes one knows their names."""
    stub.give({"bots": [{"name": "iama", "state": "running"}, {"name": "other", "state": "paused"}]})
    words = f"hotshotctl --socket {stub.path} {verb} i"
    assert complete(words).stdout == "plain,iama\n"


def test_completion__leaves_out_who_is_named_already(stub: Any) -> None:
    """Nobody pauses a bot twice."""
    stub.give({"bots": [{"name": "a", "state": "running"}, {"name": "b", "state": "paused"}]})
    assert complete(f"hotshotctl --socket {stub.path} pause a ").stdout == "plain,b\n"


def test_completion__shows_states_where_the_shell_can(stub: Any) -> None:
    """zsh has a column for them."""
    stub.give({"bots": [{"name": "a", "state": "running"}]})
    assert complete(f"hotshotctl --socket {stub.path} pause ", shell="zsh").stdout.split() == ["plain", "a", "running"]


@pytest.mark.parametrize(
    "words", ["hotshotctl status ", "hotshotctl fly x", "hotshotctl --config /etc status ", "hotshotctl try '"]
)
def test_completion__never_says_a_word(words: str, tmp_path: Path) -> None:
    """No daemon, no file, no such verb, an open quote: the prompt stays as it is."""
    shown = complete(words, HOME=str(tmp_path), HOTSHOT_SOCKET=str(tmp_path / "nobody"))
    assert (shown.stdout.strip(), shown.stderr) == ("", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_script__names_the_program_and_its_variable(shell: str) -> None:
    """And is what a package ships, in the words of the click that made it."""
    script = make_script(shell)
    assert "_HOTSHOTCTL_COMPLETE" in script
    assert f"{shell}_complete" in script


def run_bash(script: str, stub: Any, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Load a script in a real bash, and press the tab key as far as a script can."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    program = tmp_path / "bin" / "hotshotctl"
    lines = ("import sys", f"sys.path.insert(0, {str(ROOT)!r})", "from hotshotd.cli.ctl import main", "main()")
    program.write_text("\n".join((f"#!{sys.executable}", *lines, "")))
    program.chmod(0o755)
    (tmp_path / "script").write_text(script)
    typed = (
        f"set -eu; . {tmp_path}/script\n"
        "COMP_WORDS=(hotshotctl pause i); COMP_CWORD=2\n"
        "compopt() { :; }\n"
        "_hotshotctl_completion hotshotctl i pause\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
        "complete -p hotshotctl >&2\n"
    )
    environ = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOTSHOT_SOCKET": str(stub.path)}
    return subprocess.run(
        [shutil.which("bash") or "bash", "--norc", "-c", typed],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("source", ["printed", "shipped"])
def test_script__works_in_bash(source: str, stub: Any, tmp_path: Path) -> None:
    """What `completion bash` prints, and the file that packages install."""
    stub.give({"bots": [{"name": "iama", "state": "running"}, {"name": "icy", "state": "paused"}]})
    shipped = (ROOT / "etc" / "completion" / "hotshotctl.bash").read_text()
    shown = run_bash(make_script("bash") if source == "printed" else shipped, stub, tmp_path)
    assert shown.stdout.split() == ["iama", "icy"]
    assert "_hotshotctl_completion hotshotctl" in shown.stderr

"""Exit codes and words of both programs, as far as they go without a running daemon."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hotshotd import __version__, log
from hotshotd.cli.ctl import main as ctl
from hotshotd.cli.daemon import main as daemon
from hotshotd.errors import ExitCode


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No daemon or config of this machine, and the log as it was."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    yield
    log.restore()


def run(program: Any, *args: object) -> Result:
    return CliRunner().invoke(program, [str(arg) for arg in args])


@pytest.fixture
def main_file(tmp_path: Path) -> Path:
    (tmp_path / "bots.d").mkdir()
    path = tmp_path / "hotshotd.yaml"
    path.write_text("timezone: UTC\n", encoding="utf-8")
    return path


# -- hotshotd ----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [daemon, ctl])
def test_version__of_both_programs(program: Any) -> None:
    """Exit 0, on standard output."""
    result = run(program, "--version")
    assert (result.exit_code, __version__ in result.stdout) == (0, True)


@pytest.mark.parametrize(
    "args",
    [
        ["--colour"],
        ["fly"],
        ["run"],
        ["--no-secrets"],
        ["--check", "sandbox"],
        ["--config", "x", "sandbox"],
        ["sandbox", "--bots", "0"],
        ["sandbox", "--port", "70000"],
    ],
)
def test_hotshotd__usage_is_2(args: list[str]) -> None:
    """Wrong words on the command line, told on standard error."""
    result = run(daemon, *args)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "Error:" in result.stderr


@pytest.mark.parametrize("check", [True, False])
def test_hotshotd__without_a_main_file_is_78(tmp_path: Path, check: bool) -> None:
    """Missing is as bad as invalid: a restart can't mend it."""
    result = run(daemon, "--config", tmp_path / "none.yaml", *(["--check"] if check else []))
    assert result.exit_code == ExitCode.CONFIG
    assert "none.yaml" in result.output


@pytest.mark.parametrize("text", ["timezone: Mars/Base\n", "[1]\n", "a: b: c\n", "colour: red\n"])
@pytest.mark.parametrize("check", [True, False])
def test_hotshotd__with_an_invalid_main_file_is_78(main_file: Path, text: str, check: bool) -> None:
    """It never starts, and names file and line."""
    main_file.write_text(text, encoding="utf-8")
    result = run(daemon, "--config", main_file, *(["--check"] if check else []))
    assert result.exit_code == ExitCode.CONFIG
    assert str(main_file) in result.output


def test_check__prints_all_faults_as_file_line_key(main_file: Path) -> None:
    """`FILE:LINE: key.path: what is wrong`, on standard output, for every file."""
    bad = main_file.parent / "bots.d" / "bad.yaml"
    bad.write_text("name: bad\npost: {tries: many}\n", encoding="utf-8")
    main_file.write_text("timezone: UTC\nquota: {daily_total: -1}\n", encoding="utf-8")
    result = run(daemon, "--config", main_file, "--check", "--no-secrets")
    assert result.exit_code == ExitCode.CONFIG
    assert f"{main_file}:2: quota.daily_total: " in result.stdout
    assert f"{bad}:2: post.tries: " in result.stdout


def test_check__of_a_good_file_is_0(main_file: Path) -> None:
    """And says what was looked at."""
    result = run(daemon, "--config", main_file, "--check")
    assert (result.exit_code, result.stdout) == (0, f"all valid: {main_file} and 0 bots\n")


def test_check__finds_the_file_in_the_environment(main_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$HOTSHOT_CONFIG stands for --config."""
    monkeypatch.setenv("HOTSHOT_CONFIG", str(main_file))
    assert run(daemon, "--check").exit_code == 0


# -- hotshotctl --------------------------------------------------------------------------------

_COMMANDS = [["status"], ["is-active"], ["quota"], ["reload"], ["restart", "a"], ["pause", "a"], ["resume", "--all"]]


@pytest.mark.parametrize("args", _COMMANDS)
def test_hotshotctl__without_a_daemon_is_3(tmp_path: Path, args: list[str]) -> None:
    """For every verb that needs it; the message names the socket."""
    result = run(ctl, "--socket", tmp_path / "none", *args)
    assert (result.exit_code, result.stdout) == (ExitCode.NOT_RUNNING, "")
    assert f"not running (nobody listens on {tmp_path}/none)" in result.stderr


def test_hotshotctl__takes_the_socket_of_the_config(tmp_path: Path, main_file: Path) -> None:
    """The `runtime_dir` of --config, relative to its file."""
    main_file.write_text("runtime_dir: run\n", encoding="utf-8")
    result = run(ctl, "--config", main_file, "status")
    assert result.exit_code == ExitCode.NOT_RUNNING
    assert f"{tmp_path}/run/control.sock" in result.stderr


def test_hotshotctl__with_an_unreadable_config_is_1(tmp_path: Path) -> None:
    """The daemon may well run: this is not 3."""
    result = run(ctl, "--config", tmp_path / "none.yaml", "status")
    assert result.exit_code == ExitCode.FAILED
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["fly"],
        ["restart"],
        ["pause"],
        ["resume"],
        ["pause", "--all", "a"],
        ["resume", "--all", "a"],
        ["pause", "a", "--for", "soon"],
        ["pause", "a", "--for", "-1h"],
        ["pause", "a", "--for", "99999d"],
        ["reload", "a", "b"],
    ],
)
def test_hotshotctl__usage_is_2(tmp_path: Path, args: list[str]) -> None:
    """Nobody or both kinds named, a time that is none: told before the daemon is asked."""
    result = run(ctl, "--socket", tmp_path / "none", *args)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], list[dict[str, Any]]]]:
    """Give a function that lets one command be answered so; it gives the list its request will stand in."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    listener.settimeout(10)
    threads: list[threading.Thread] = []
    requests: list[dict[str, Any]] = []

    def serve(reply: dict[str, Any]) -> None:
        peer, _ = listener.accept()
        with peer:
            requests.append(json.loads(peer.recv(65536)))
            peer.sendall(json.dumps({"id": 1, **reply}).encode() + b"\n")

    def start(reply: dict[str, Any]) -> list[dict[str, Any]]:
        threads.append(threading.Thread(target=serve, args=(reply,)))
        threads[-1].start()
        return requests

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


@pytest.mark.parametrize("args", _COMMANDS)
@pytest.mark.parametrize(("code", "exit_code"), [("unknown_bot", 4), ("disk", 1), ("in_doubt", 1), ("internal", 1)])
def test_hotshotctl__refused_by_the_daemon(
    tmp_path: Path, answering: Any, args: list[str], code: str, exit_code: int
) -> None:
    """4 for no such bot, 1 for anything else, and the daemon's words on standard error."""
    answering({"ok": False, "code": code, "message": "the daemon's words"})
    result = run(ctl, "--socket", tmp_path / "s", *args)
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", "the daemon's words\n")


@pytest.mark.parametrize(
    ("words", "stdout", "exit_code"),
    [
        ([], "running\npaused\nrunning\n", 1),
        (["c", "a"], "running\nrunning\n", 0),
        (["b", "a"], "paused\nrunning\n", 1),
        (["b", "--quiet"], "", 1),
        (["-q", "a"], "", 0),
    ],
)
def test_is_active__tells_by_its_exit_code(
    tmp_path: Path, answering: Any, words: list[str], stdout: str, exit_code: int
) -> None:
    """0 when all that were named, or all there are, are running; states in the order named."""
    states = {"a": "running", "b": "paused", "c": "running"}
    names = [word for word in words if word in states]
    bots = [{"name": name, "state": state} for name, state in states.items() if not names or name in names]
    requests = answering({"ok": True, "data": {"bots": bots}})
    result = run(ctl, "--socket", tmp_path / "s", "is-active", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, stdout, "")
    assert requests[0]["bots"] == names


def test_is_active__of_no_bots_at_all_is_0(tmp_path: Path, answering: Any) -> None:
    """None of them is down."""
    answering({"ok": True, "data": {"bots": []}})
    result = run(ctl, "--socket", tmp_path / "s", "is-active")
    assert (result.exit_code, result.stdout) == (0, "")


_CHANGES: dict[str, Any] = {"added": ["n"], "changed": [], "removed": [], "unchanged": ["u"], "not_running": []}
_FAULT = {"file": "/b.yaml", "line": 3, "key": "post.tries", "error": "must be a number"}


@pytest.mark.parametrize(("invalid", "exit_code"), [([], 0), ([_FAULT], 1)])
def test_reload__tells_what_changed(tmp_path: Path, answering: Any, invalid: list[Any], exit_code: int) -> None:
    """1 when a file is invalid, printed as `--check` does."""
    answering({"ok": True, "data": {**_CHANGES, "invalid": invalid}})
    result = run(ctl, "--socket", tmp_path / "s", "reload")
    assert result.exit_code == exit_code
    assert result.stdout.startswith("added: n\nunchanged: u\n")
    assert ("/b.yaml:3: post.tries: must be a number\n" in result.stdout) == bool(invalid)


def test_reload_json__has_just_the_contracts_keys(tmp_path: Path, answering: Any) -> None:
    """Scripts read it."""
    answering({"ok": True, "data": {**_CHANGES, "invalid": [_FAULT]}})
    result = run(ctl, "--socket", tmp_path / "s", "reload", "--json")
    shown = json.loads(result.stdout)
    assert (result.exit_code, list(shown)) == (1, ["added", "changed", "removed", "unchanged", "invalid"])
    assert shown["invalid"] == [_FAULT]


@pytest.mark.parametrize(("state", "exit_code"), [("failed", 1), ("backoff", 1), ("starting", 0)])
def test_restart__fails_when_the_bot_does_not_come_up(
    tmp_path: Path, answering: Any, state: str, exit_code: int
) -> None:
    """Still starting after 10 s is told, and is no failure yet."""
    entry = {"name": "a", "state": state, "reason": "why"}
    answering({"ok": True, "data": {**_CHANGES, "invalid": [], "not_running": [entry]}})
    result = run(ctl, "--socket", tmp_path / "s", "restart", "a")
    assert (result.exit_code, result.stderr) == (exit_code, f"a: {state}: why\n")


def test_pause__sends_names_end_and_reason(tmp_path: Path, answering: Any) -> None:
    """The end is an aware time; what was paused is printed."""
    requests = answering({"ok": True, "data": {"paused": ["a", "b"]}})
    result = run(ctl, "--socket", tmp_path / "s", "pause", "a", "b", "--for", "2h", "--reason", "hot")
    assert (result.exit_code, result.stdout) == (0, "paused: a, b\n")
    [request] = requests
    assert (request["op"], request["bots"], request["reason"]) == ("pause", ["a", "b"], "hot")
    assert request["until"].endswith("+00:00")


def test_resume__of_all_names_nobody(tmp_path: Path, answering: Any) -> None:
    """`--all` is null on the wire, never an empty list."""
    requests = answering({"ok": True, "data": {"resumed": []}})
    result = run(ctl, "--socket", tmp_path / "s", "resume", "--all")
    assert (result.stdout, requests[0]["bots"]) == ("resumed: no bot\n", None)


def test_quota__before_the_first_figures(tmp_path: Path, answering: Any) -> None:
    """Said in words, and `{}` for scripts."""
    answering({"ok": True, "data": {}})
    assert run(ctl, "--socket", tmp_path / "s", "quota").stdout == "the quota process has not answered yet\n"
    answering({"ok": True, "data": {}})
    assert run(ctl, "--socket", tmp_path / "s", "quota", "--json").stdout == "{}\n"

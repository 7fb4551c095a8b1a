"""The life of `hotshotd sandbox` around a daemon, here a stand-in: start, show, stop, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotshotd.errors import DaemonNotRunning
from hotshotd.sandbox import run
from hotshotd.sandbox.bots import make_bots
from hotshotd.sandbox.run import make_environment, run_sandbox

#: Says who it is, then waits for SIGTERM; the file `pid` tells where it lives.
OBEDIENT = """
import json, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("not json", file=sys.stderr)
print(json.dumps({"event": "post.done", "bot": "baker", "outcome": "published"}), file=sys.stderr, flush=True)
trace = os.environ["HOME"] + "/../NAME"
with open(trace + ".new", "w") as file:
    file.write(f"{os.getpid()} {os.environ['HOME']}")
os.rename(trace + ".new", trace)
while True:
    signal.pause()
"""
STUBBORN = OBEDIENT.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
DYING = "import sys; print('the last words', file=sys.stderr); sys.exit(3)"

STATUS = {
    "bots": [
        {
            "name": "baker",
            "state": "running",
            "read": {"submissions": 1, "comments": 2},
            "write": {"posts": 3, "replies": 4},
            "spend": {"percent": 5},
        }
    ]
}


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a stand-in notes its pid and folder; the sandbox's folders are made beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(run.tempfile, "tempdir", None)
    return tmp_path / "trace"


def program(text: str, trace: Path) -> tuple[str, ...]:
    return ("-c", text.replace("NAME", trace.name))


def perform(text: str, trace: Path, **more: Any) -> tuple[int, str]:
    out = io.StringIO()
    arguments: dict[str, Any] = {"port": None, "bots": 3, "duration": 1.0, "faults": None} | more
    code = run_sandbox(**arguments, out=out, ask_status=lambda _: STATUS, program=program(text, trace), seed=1)
    return code, out.getvalue()


def wait_until(is_so: Callable[[], Any], *, timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def test_run_sandbox__ends_by_itself_and_leaves_nothing(trace: Path) -> None:
    """After `duration` the exit code is 0, the daemon and its folder are gone, the last counters are shown."""
    code, shown = perform(OBEDIENT, trace)
    assert code == 0
    pid, folder = trace.read_text().split()
    assert not is_alive(int(pid))
    assert not Path(folder).exists()
    assert "baker  READ: submissions=1 comment=2 | WRITE: post=3 reply=4 | SPEND=5%\n" in shown
    assert "baker post published" in shown
    assert "\x1b" not in shown


def test_run_sandbox__says_the_last_words_of_a_daemon_that_dies(trace: Path) -> None:
    """A daemon that ends by itself makes the exit code 1, and its last log lines are shown."""
    code, shown = perform(DYING, trace, duration=30)
    assert code == 1
    assert "exit code 3" in shown
    assert "the last words" in shown


def test_run_sandbox__kills_a_daemon_that_does_not_end(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its grace a stubborn daemon is killed; that is still exit code 0."""
    monkeypatch.setattr(run, "STOP_SECONDS", 0.2)
    code, _ = perform(STUBBORN, trace)
    assert code == 0
    assert not is_alive(int(trace.read_text().split()[0]))


def test_run_sandbox__bears_a_daemon_that_does_not_answer(trace: Path) -> None:
    """While `status` can't be had there are no counters, and no error."""

    def refuse(_: Path) -> dict[str, Any]:
        raise DaemonNotRunning("not yet")

    out = io.StringIO()
    code = run_sandbox(
        port=None, bots=3, duration=0.5, faults=None, out=out, ask_status=refuse, program=program(OBEDIENT, trace)
    )
    assert code == 0
    assert "READ:" not in out.getvalue()


def test_run_sandbox__refuses_wrong_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No bots, or a plan of faults that is none: exit code 2 and what is wrong, on standard error."""
    plan = tmp_path / "faults.yaml"
    plan.write_text("faults: [{action: explode}]\n")
    assert perform(OBEDIENT, tmp_path, bots=0)[0] == 2
    assert "--bots" in capsys.readouterr().err
    assert perform(OBEDIENT, tmp_path, faults=plan)[0] == 2
    assert "faults.yaml:1: faults[0].action" in capsys.readouterr().err


def test_run_sandbox__says_that_the_port_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A taken --port is exit code 1, and the message says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert perform(OBEDIENT, tmp_path, port=port)[0] == 1
    assert f"port {port}" in capsys.readouterr().err


def test_make_environment__passes_secrets_and_little_else() -> None:
    """The daemon gets the bots' secrets; proxies, service managers and the user's HOME stay outside."""
    bots = make_bots(3, now=run.SystemClock().now())
    base = {"PATH": "/bin", "HTTP_PROXY": "http://p", "NOTIFY_SOCKET": "/n", "HOME": "/root", "HOTSHOT_CONFIG": "x"}
    environment = make_environment(bots, home=Path("/tmp/h"), base=base)
    assert environment["HOME"] == "/tmp/h"
    assert environment["SANDBOX_BAKER_PASSWORD"] == bots[1].password
    assert not {"HTTP_PROXY", "NOTIFY_SOCKET", "HOTSHOT_CONFIG"}.intersection(environment)


def start_sandbox(trace: Path) -> subprocess.Popen[str]:
    """Run a sandbox without end in a process of its own."""
    code = f"""
        import sys
        from hotshotd.sandbox.run import run_sandbox
        sys.exit(run_sandbox(port=None, bots=3, duration=None, faults=None, out=sys.stdout,
                             ask_status=lambda _: {json.dumps(STATUS)}, program={program(OBEDIENT, trace)!r}))
        """
    root = str(Path(run.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_sandbox__ends_well_after_a_signal(trace: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the sandbox with exit code 0 and without a traceback."""
    with start_sandbox(trace) as sandbox:
        wait_until(trace.exists)
        sandbox.send_signal(number)
        shown, errors = sandbox.communicate(timeout=20)
    assert sandbox.returncode == 0
    assert errors == ""
    assert "all invented" in shown
    assert not is_alive(int(trace.read_text().split()[0]))


def test_run_sandbox__killed_takes_the_daemon_with_it(trace: Path) -> None:
    """After a kill -9 of the sandbox no daemon lives on."""
    with start_sandbox(trace) as sandbox:
        wait_until(trace.exists)
        pid = int(trace.read_text().split()[0])
        assert is_alive(pid)
        sandbox.kill()
        wait_until(lambda: not is_alive(pid))


def test_run_sandbox__ends_well_when_its_reader_leaves(trace: Path) -> None:
    """`hotshotd sandbox | head` is no error."""
    with start_sandbox(trace) as sandbox:
        wait_until(trace.exists)
        assert sandbox.stdout is not None
        sandbox.stdout.readline()
        sandbox.stdout.close()
        assert sandbox.wait(timeout=30) == 0
        assert sandbox.stderr is not None
        assert sandbox.stderr.read() == ""
    assert not is_alive(int(trace.read_text().split()[0]))

"""sd_notify: what systemd is told, and that nothing is said where nobody listens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotshotd.systemd import Notifier

UNIT = Path(__file__).parents[2] / "systemd" / "hotshotd.service"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket as systemd's, named in the environment."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listener


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    notifier = Notifier(monotonic_microseconds=lambda: 42)
    yield notifier
    notifier.close()


def test_notifier__is_silent_without_systemd() -> None:
    """Without NOTIFY_SOCKET each call does nothing."""
    notifier = Notifier()
    notifier.ready("2 bots")
    notifier.watchdog()
    notifier.close()
    assert not notifier.is_connected
    assert notifier.watchdog_interval_seconds is None


def test_ready__comes_with_a_status(notifier: Notifier, manager: socket.socket) -> None:
    """READY and STATUS go in one datagram; a status may be in any script, and is one line."""
    notifier.ready("3 bots läuft\nREADY=0 🤖")
    assert manager.recv(1000) == "READY=1\nSTATUS=3 bots läuft READY=0 🤖".encode()


def test_reloading__tells_when_it_began(notifier: Notifier, manager: socket.socket) -> None:
    """`Type=notify-reload` waits for RELOADING with the kernel's monotonic time."""
    notifier.reloading()
    assert manager.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=42"


def test_notifier__says_each_thing_in_systemds_words(notifier: Notifier, manager: socket.socket) -> None:
    """STOPPING, STATUS, WATCHDOG and EXTEND_TIMEOUT_USEC as in sd_notify(3)."""
    notifier.stopping()
    notifier.status("draining")
    notifier.status("  ")
    notifier.watchdog()
    notifier.extend_timeout(1.5)
    heard = [manager.recv(1000) for _ in range(4)]
    assert heard == [b"STOPPING=1", b"STATUS=draining", b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=1500000"]


def test_notifier__leaves_nothing_to_children(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables are gone from the environment: no child speaks in the daemon's name."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    notifier.close()
    assert notifier.watchdog_interval_seconds == 15.0
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


@pytest.mark.parametrize(("usec", "pid"), [("30000000", "1"), ("0", None), ("soon", None)])
def test_watchdog__of_another_process_is_not_ours(usec: str, pid: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHDOG_PID names who is watched; nonsense is nobody."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert Notifier().watchdog_interval_seconds is None


def test_close__is_for_good(notifier: Notifier, manager: socket.socket) -> None:
    """A child that closed its copy says nothing more."""
    notifier.close()
    notifier.ready()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1000)


def test_close__after_a_fork_that_closed_everything_is_harmless(notifier: Notifier) -> None:
    """A child closes every descriptor first; the notifier's is then nobody's, and the child lives."""
    pid = os.fork()
    if pid == 0:
        os.closerange(3, 1024)
        notifier.close()
        notifier.ready()
        os._exit(0 if not notifier.is_connected else 1)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_unit__is_one_that_systemd_takes(tmp_path: Path) -> None:
    """systemd-analyze finds no fault in the unit, unknown keys included."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    # The program is not installed where the tests run; systemd wants to see one.
    unit.write_text(
        UNIT.read_text()
        .replace("/opt/hotshot/bin/hotshotd ", "/bin/true ")
        .replace("/opt/hotshot/bin/hotshotctl ", "/bin/true ")
    )
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unit__is_well_fenced() -> None:
    """systemd-analyze's exposure is 1.5 at most, of 10; what is left is the network that bots need."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    command = [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "WatchdogSec=30",
        "ExecReload=/opt/hotshot/bin/hotshotctl --config /etc/hotshot/hotshotd.yaml reload",
        "Restart=on-failure",
        "RestartSec=1",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=78",
        "OOMPolicy=continue",
        "KillMode=mixed",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        "UMask=0077",
        "StateDirectory=hotshot",
        "RuntimeDirectory=hotshot",
        "ConfigurationDirectory=hotshot",
        "#   LoadCredential=IAMA_PASS:/etc/hotshot/secrets/IAMA_PASS",
    ],
)
def test_unit__keeps_its_promises(line: str) -> None:
    """What the documentation tells operators of the unit; tests/systemd shows that it works."""
    assert line in UNIT.read_text().splitlines()

"""The operator's side of the control socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hotshotd.control.protocol import REMEDY
from hotshotd.errors import ControlError, DaemonNotRunning
from hotshotd.wire import Json, LineBuffer, encode

#: Seconds a command may take: a pause waits 30 s for a write, a reload 10 s.
TIMEOUT_SECONDS = 45.0
#: Seconds between two signs of life of a long command: an item or a post has 900 s, and may wait for another one.
LONG_TIMEOUT_SECONDS = 2100.0


class CommandFailed(ControlError):
    """The daemon refused a command; `reply_code` says which way."""

    def __init__(self, message: str, *, reply_code: str) -> None:
        super().__init__(message)
        self.reply_code = reply_code


class ControlClient:
    """One connection a command; blocks until the reply is there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def request(
        self,
        message: Json,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_step: Callable[[Json], None] | None = None,
    ) -> Json:
        """Send a command and give its data.

        `on_step` is called with each step of a long command as it comes. `timeout_seconds` limit the silence before
        the reply, or before the next step. A daemon that ends is noticed at once.

        Raises:
            DaemonNotRunning: Nobody listens.
            CommandFailed: The daemon said no.
            ControlError: No reply came in time, or one that is no reply, or the socket refuses us.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_seconds)
            self._connect(sock)
            with _named_failures(timeout_seconds), suppress(BrokenPipeError, ConnectionResetError):
                # It may have hung up on us already; why, it has said before.
                sock.sendall(encode({"id": 1, **message}))
            reply = self._read_reply(sock, timeout_seconds, on_step)
        if reply.get("ok"):
            data = reply.get("data")
            return data if isinstance(data, dict) else {}
        raise CommandFailed(str(reply.get("message")), reply_code=str(reply.get("code")))

    def _connect(self, sock: socket.socket) -> None:
        try:
            sock.connect(str(self._path))
        except PermissionError as exc:
            raise ControlError(f"{self._path}: permission denied: {REMEDY}") from exc
        except OSError as exc:
            raise DaemonNotRunning(f"the daemon is not running (nobody listens on {self._path})") from exc

    def _read_reply(self, sock: socket.socket, timeout_seconds: float, on_step: Callable[[Json], None] | None) -> Json:
        buffer = LineBuffer()
        while True:
            # Around this alone: what `on_step` raises, a closed pipe say, is no failure of the daemon's.
            with _named_failures(timeout_seconds):
                data = sock.recv(65536)
            if not data:
                raise DaemonNotRunning("the daemon went away during the command")
            for message in buffer.feed(data):
                if "step" not in message:
                    return message
                if on_step is not None and isinstance(message["step"], dict):
                    on_step(message["step"])


@contextmanager
def _named_failures(timeout_seconds: float) -> Iterator[None]:
    """Name what can happen to a connection after it was made."""
    try:
        yield
    except TimeoutError as exc:
        raise ControlError(f"the daemon did not answer within {timeout_seconds:g} s") from exc
    except OSError as exc:
        raise DaemonNotRunning(f"the daemon went away during the command ({exc.strerror})") from exc


def find_socket(*, runtime_dir: Path | None = None, explicit: Path | None = None) -> Path:
    """Give the socket to use: `--socket`, the configured folder, $HOTSHOT_SOCKET, the system's, the user's."""
    if explicit is not None:
        return explicit
    if runtime_dir is not None:
        return runtime_dir / "control.sock"
    if os.environ.get("HOTSHOT_SOCKET"):
        return Path(os.environ["HOTSHOT_SOCKET"])
    system = Path("/run/hotshot/control.sock")
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if not _exists(system) and xdg:
        return Path(xdg) / "hotshot" / "control.sock"
    return system


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True

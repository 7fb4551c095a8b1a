"""Send entries to systemd's journal in its native protocol, so that every field can be searched.

The protocol is described at https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Mapping
from types import FrameType

JOURNAL_SOCKET = "/run/systemd/journal/socket"

#: How long a full journal may hold up one entry, in seconds.
SEND_TIMEOUT_SECONDS = 1.0

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

#: Modules that only pass an event on; whoever called them speaks.
_PASSING_ON = ("hotshotd.log", "structlog", "logging", "warnings")

#: A datagram that does not fit (unix(7)): the entry goes as a sealed file.
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)


def is_journal(fd: int, *, journal_stream: str | None) -> bool:
    """Tell whether `fd` leads to the journal: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return journal_stream == f"{found.st_dev}:{found.st_ino}"


def find_code() -> dict[str, str]:
    """Give the CODE_* fields of the line that logs (systemd.journal-fields(7)); none where no line does."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as the standard logging does
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PASSING_ON):
        frame = frame.f_back
    if frame is None:
        return {}
    code = frame.f_code
    return {"CODE_FILE": code.co_filename, "CODE_LINE": str(frame.f_lineno), "CODE_FUNC": code.co_qualname}


def encode_entry(fields: Mapping[str, str]) -> bytes:
    """Make the bytes of one entry. Names must be capitals, digits and underscores."""
    return b"".join(_encode_field(name, value) for name, value in fields.items())


def _encode_field(name: str, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


class Journal:
    """A sender without a connection; survives a restart of journald. Blocks up to `SEND_TIMEOUT_SECONDS`."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path

    def send(self, fields: Mapping[str, str]) -> None:
        """Write one entry.

        Raises:
            OSError: Nobody listens there, or the journal is stuck.
        """
        entry = encode_entry(fields)
        # One an entry: a child closes every descriptor after its fork, and a kept number would be another's by then.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_TIMEOUT_SECONDS)
            try:
                sender.sendto(entry, self._path)
            except OSError as exc:
                if exc.errno not in _TOO_LARGE:
                    raise
                self._send_as_file(sender, entry)

    def _send_as_file(self, sender: socket.socket, entry: bytes) -> None:
        fd = os.memfd_create("hotshot-journal-entry", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(entry)
            # journald refuses a file that could still change under it.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
            sender.sendmsg([b""], [rights], 0, self._path)
        finally:
            os.close(fd)

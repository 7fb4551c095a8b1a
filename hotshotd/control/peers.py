"""Who may steer the daemon: root, its own user, and the members of one group.

The socket's mode keeps most others out; this holds whatever the mode is. What counts is who somebody was when he
connected, as the kernel knows it (unix(7), socket(7)).
"""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import socket
import struct
from dataclasses import dataclass

from hotshotd.control.protocol import GROUP
from hotshotd.wire import read_peer

# Python does not name it; the number holds for every architecture that Debian has but alpha, hppa and sparc.
_SO_PEERGROUPS = 59
#: The most that Python's getsockopt reads, in bytes: 256 groups.
_SMALL_BYTES = 1024
#: The most groups that a process can have (NGROUPS_MAX).
_MAX_GROUPS = 65536


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Knows whom to let in. `group` is a group's number, None where there is no such group."""

    own_uid: int
    group: int | None

    def admits(self, sock: socket.socket) -> bool:
        """Tell whether the other end of a Unix connection may steer. Does not block."""
        try:
            _, uid, gid = read_peer(sock)
            return uid in (0, self.own_uid) or self.group in (gid, *read_groups(sock))
        except OSError:
            # Nobody knows who that is.
            return False


def make_doorkeeper(*, group_name: str = GROUP) -> Doorkeeper:
    """Give a doorkeeper for this process's user; looks the group up once."""
    return Doorkeeper(os.geteuid(), find_group(group_name))


def find_group(name: str) -> int | None:
    """Give a group's number, or None where there is none of that name. May ask the network, as the system is set up."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def read_groups(sock: socket.socket) -> tuple[int, ...]:
    """Give the other end's supplementary groups, when it connected.

    Raises:
        OSError: If the kernel does not tell.
    """
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _SMALL_BYTES)
    except OSError as exc:
        if exc.errno == errno.ENOPROTOOPT:
            # Before Linux 4.13: the main group is all that is known.
            return ()
        if exc.errno != errno.ERANGE:
            raise
        data = _read_many_groups(sock)
    return struct.unpack(f"{len(data) // 4}I", data)


def _read_many_groups(sock: socket.socket) -> bytes:
    buffer = (ctypes.c_uint32 * _MAX_GROUPS)()
    length = ctypes.c_uint32(ctypes.sizeof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getsockopt(sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return bytes(buffer)[: length.value]

"""Messages between our processes: one JSON object a line, and a limit on what is kept of a peer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.errors import ProtocolError
from hotshotd.wire import LineBuffer, decode, encode, receive, send_some

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_encode__gives_one_line() -> None:
    """Line ends inside a text are escaped, so that a message is one line."""
    assert encode({"text": "a\nb\u2028c"}) == b'{"text":"a\\nb\\u2028c"}\n'


@given(st.lists(st.dictionaries(st.text(), _VALUES, max_size=3), max_size=4), st.integers(1, 7))
def test_buffer__gives_back_what_was_encoded_however_it_is_cut(messages: list[dict[str, Any]], size: int) -> None:
    """A stream has no borders: the messages come out whole, in order, wherever the bytes were cut."""
    data = b"".join(encode(message) for message in messages)
    buffer = LineBuffer()
    got = [message for at in range(0, len(data), size) for message in buffer.feed(data[at : at + size])]
    assert got == messages


@pytest.mark.parametrize(
    "line", [b"[1]", b"1", b"null", b'"text"', b"{", b"nonsense", b'{"a": "\xff"}', b'{"a":' * 100_000]
)
def test_decode__refuses_what_is_no_object(line: bytes) -> None:
    """Arrays, scalars, broken JSON, broken UTF-8 and endless nesting are one error, not a crash."""
    with pytest.raises(ProtocolError):
        decode(line)


def test_buffer__skips_empty_lines() -> None:
    """A person who types into the socket may press Enter."""
    assert LineBuffer().feed(b"\n \r\n{}\n") == [{}]


def test_buffer__keeps_an_unfinished_line() -> None:
    """No line end, no message yet."""
    buffer = LineBuffer()
    assert buffer.feed(b'{"a":') == []
    assert buffer.feed(b"1}\n") == [{"a": 1}]


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\n", b'{"a": 1}\n' + b"x" * 11])
def test_buffer__refuses_a_line_over_the_limit(data: bytes) -> None:
    """A peer can't make us keep more than the limit, finished or not."""
    with pytest.raises(ProtocolError, match="longer than 10 bytes"):
        LineBuffer(limit=10).feed(data)


def test_buffer__takes_a_line_of_just_the_limit() -> None:
    """The limit itself is allowed, and many short lines at once are no long one."""
    assert LineBuffer(limit=10).feed(b'{"ab": 12}\n' * 5) == [{"ab": 12}] * 5


# -- sockets that never block ------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, of which the first never blocks."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_receive__tells_nothing_yet_from_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    """None, then what has arrived, no more at once than was asked for, then b""; a broken connection is an end, too."""
    ours, theirs = ends
    assert receive(ours) is None
    theirs.sendall(b"abcd")
    assert [receive(ours, most_bytes=3), receive(ours)] == [b"abc", b"d"]
    theirs.close()
    assert receive(ours) == b""
    ours.close()
    assert receive(ours) == b""


def test_send_some__keeps_what_the_other_end_does_not_take(ends: tuple[socket.socket, socket.socket]) -> None:
    """Nothing is lost or sent twice, however often it is called; without the other end it raises."""
    ours, theirs = ends
    whole = bytes(range(256)) * 8000
    unsent, got = bytearray(whole), b""
    send_some(ours, unsent)
    assert 0 < len(unsent) < len(whole)
    while len(got) < len(whole):
        got += theirs.recv(65536)
        send_some(ours, unsent)
    assert (got, unsent) == (whole, b"")
    theirs.close()
    with pytest.raises(OSError, match="pipe"):
        send_some(ours, bytearray(b"x"))

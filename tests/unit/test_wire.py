"""Messages between our processes: one JSON object a line, and a limit on what is kept of a peer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.errors import ProtocolError
from hotshotd.wire import LineBuffer, decode, encode

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

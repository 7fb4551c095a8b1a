"""Posts that a large model writes in its own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.brain.plain_post import PlainPost, parse_post, parse_title


@pytest.mark.parametrize(
    ("raw", "post"),
    [
        ("Title: My day\n\nIt was long.", PlainPost("My day", "It was long.")),
        ("**Title:** My day\n\n**Body:** It was long.", PlainPost("My day", "It was long.")),
        ("Sure! Here is a post:\n\nTitle: My day\nIt was long.", PlainPost("My day", "It was long.")),
        ('Title: "My day"\r\n\r\nIt was long.', PlainPost("My day", "It was long.")),
        ("# My day\n\nIt was long.", PlainPost("My day", "It was long.")),
        ("**My day**\n\nIt was long.\n\nVery.", PlainPost("My day", "It was long.\n\nVery.")),
        ("My day\n\nIt was long.", PlainPost("My day", "It was long.")),
        ("Title: My day", PlainPost("My day", "")),
        ("Title: One: two\n\nText: x: y", PlainPost("One: two", "x: y")),
    ],
)
def test_parse_post__reads_title_and_text(raw: str, post: PlainPost) -> None:
    """A label, a heading or an empty line tells the title from the text."""
    assert parse_post(raw) == post


@pytest.mark.parametrize("raw", ["", "Just one long line of text.", "Two lines\nof text", "Title:\n"])
def test_parse_post__gives_none_without_a_title(raw: str) -> None:
    """A post needs a title."""
    assert parse_post(raw) is None


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (" My day\nmore", "My day"),
        ("\n\nMy day", "My day"),
        ("Title: My day", "My day"),
        ('"My day"', "My day"),
        ("", None),
    ],
)
def test_parse_title__takes_the_first_line(raw: str, title: str | None) -> None:
    """A base model goes on after its title; only the first line is one."""
    assert parse_title(raw) == title


@given(st.text())
def test_parse__takes_anything(raw: str) -> None:
    """No text makes it fail, and a title is never empty."""
    post = parse_post(raw)
    assert post is None or post.title.strip()
    assert parse_title(raw) != ""

"""Reddit's JSON becomes values; odd JSON becomes defaults, never a crash."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd.errors import Down, Refused
from hotshotd.platform import Author, Kind, Reason
from hotshotd.reddit.parse import (
    first_item,
    is_picture_address,
    move_time,
    parse_branch,
    parse_identity,
    parse_item,
    parse_items,
    parse_lease,
    parse_new_ref,
    parse_notices,
    parse_page,
)


def test_comment__has_all_that_a_listing_tells(raw: Any) -> None:
    """A top-level comment is level 1 and knows its submission and that one's author."""
    item = parse_item(raw.comment("c1", link_author="bob", score=3, locked=True, over_18=True))
    assert item is not None
    assert (item.ref, item.kind, item.author, item.level) == ("t1_c1", Kind.COMMENT, Author("ann"), 1)
    assert (item.parent, item.submission, item.submission_author) == ("t3_post", "t3_post", Author("bob"))
    assert (item.score, item.locked, item.over_18, item.place) == (3, True, True, "pond")
    assert item.created_at == datetime.fromtimestamp(1000, UTC)


def test_move_time__past_any_calendar_is_left_alone(raw: Any) -> None:
    """A time that nobody can mean must not end the poll."""
    item = parse_item(raw.comment("c1", at=253402300799))
    assert item is not None
    assert item.created_at.year == 9999
    assert move_time(item, timedelta(hours=3)) == item
    assert move_time(item, timedelta(hours=-3)).created_at == item.created_at - timedelta(hours=3)


def test_comment__deeper_level_is_unknown_without_depth(raw: Any) -> None:
    """A listing does not say how deep an answer to a comment stands; `depth` does."""
    assert parse_item(raw.comment("c2", parent_id="t1_c1")).level is None  # type: ignore[union-attr]
    assert parse_item(raw.comment("c2", parent_id="t1_c1", depth=3)).level == 4  # type: ignore[union-attr]


def test_comment__of_the_inbox_finds_its_submission_in_the_context(raw: Any) -> None:
    """Inbox comments have neither link_id nor permalink."""
    child = raw.comment("c2", parent_id="t1_c1", context="/r/pond/comments/xyz/slug/c2/?context=3")
    del child["data"]["link_id"]
    item = parse_item(child)
    assert item is not None
    assert (item.submission, item.permalink) == ("t3_xyz", "/r/pond/comments/xyz/slug/c2/?context=3")


def test_comment__under_a_link_post_carries_the_link(raw: Any) -> None:
    """`link_url` is the link unless it is the text post's own address."""
    link = parse_item(raw.comment("c1", link_url="https://example.org/a.png"))
    own = parse_item(raw.comment("c1", link_url="https://www.reddit.com/r/pond/comments/post/slug/"))
    assert link is not None
    assert own is not None
    assert (link.link, own.link) == ("https://example.org/a.png", None)


@pytest.mark.parametrize("author", ["[deleted]", None, 7, ""])
def test_author__is_none_where_it_is_gone(raw: Any, author: object) -> None:
    """Deleted, null and absurd authors are no authors."""
    assert parse_item(raw.comment("c1", author=author)).author is None  # type: ignore[union-attr]


@pytest.mark.parametrize("body", ["[removed]", "[deleted]", "[ Removed by Reddit ]"])
def test_removed__is_told_by_the_text(raw: Any, body: str) -> None:
    """What stands in for a taken text marks the thing as removed."""
    assert parse_item(raw.comment("c1", body=body)).removed  # type: ignore[union-attr]
    assert parse_item(raw.submission("s1", selftext=body)).removed  # type: ignore[union-attr]
    assert not parse_item(raw.comment("c1")).removed  # type: ignore[union-attr]


def test_removed__is_told_by_the_category(raw: Any) -> None:
    """A submission that moderators removed keeps its text and says so elsewhere."""
    assert parse_item(raw.submission("s1", removed_by_category="moderator")).removed  # type: ignore[union-attr]


def test_submission__of_text_has_no_link(raw: Any) -> None:
    """A text post's own address is no link, with and without `is_self`."""
    child = raw.submission("s1")
    first = parse_item(child)
    del child["data"]["is_self"]
    second = parse_item(child)
    assert first is not None
    assert second is not None
    assert (first.link, second.link, first.level) == (None, None, 0)


def test_submission__is_a_picture_by_hint_or_ending(raw: Any) -> None:
    """`post_hint: image` or an image's ending make a picture; a plain link is none."""
    link = {"is_self": False, "url": "https://example.org/x"}
    assert parse_item(raw.submission("s", **link, post_hint="image")).is_picture  # type: ignore[union-attr]
    assert not parse_item(raw.submission("s", **link)).is_picture  # type: ignore[union-attr]
    picture = parse_item(raw.submission("s", is_self=False, url="https://i.redd.it/x.JPG?width=3"))
    assert picture is not None
    assert picture.is_picture
    assert not is_picture_address("https://[bad")


def test_items__unusable_children_are_dropped_and_named(raw: Any) -> None:
    """One bad child costs itself only."""
    dropped: list[str] = []
    children = [None, 3, {"kind": "t1"}, {"kind": "t9", "data": {}}, {"kind": "t1", "data": {}}, raw.comment("ok")]
    items = parse_items([*children, {"kind": "more", "data": {}}, raw.comment("ok")], on_drop=dropped.append)
    assert [item.ref for item in items] == ["t1_ok"]
    assert len(dropped) == 5


@pytest.mark.parametrize("answer", ["", None, [], {}, {"data": {}}, {"data": {"children": "x"}}, "<html>", 3])
def test_page__what_is_no_listing_is_down(answer: object) -> None:
    """An answer of the wrong shape is an outage with a cause, not an empty page."""
    with pytest.raises(Down, match="no listing"):
        parse_page(answer, what="r/pond/new")


def test_page__missing_after_ends_the_listing(raw: Any) -> None:
    """`after` may be missing."""
    assert parse_page({"data": {"children": []}}, what="x").after is None
    assert parse_page(raw.listing(after="t3_a"), what="x").after == "t3_a"


@pytest.mark.parametrize("created", [None, "x", float("inf"), float("nan"), 1e300, -1e300, True])
def test_time__odd_times_are_too_old_to_answer(raw: Any, created: object) -> None:
    """A thing without a usable time must not look new."""
    item = parse_item(raw.comment("c1", created_utc=created))
    assert item is not None
    assert item.created_at == datetime.fromtimestamp(0, UTC)


def test_notices__have_their_reasons(raw: Any) -> None:
    """Reason by type, by subject, by parent; a private message is a message."""
    message = {"kind": "t4", "data": {"id": "m1", "subject": "hi", "body": "b", "author": None}}
    children = [
        raw.comment("a", type="comment_reply", parent_id="t1_x"),
        raw.comment("b", type="post_reply"),
        raw.comment("c", type="username_mention"),
        raw.comment("d", subject="username mention"),
        raw.comment("e"),
        raw.comment("f", parent_id="t1_x"),
        message,
        raw.comment("a"),
    ]
    reasons = {notice.ref: notice.reason for notice in parse_notices(children)}
    assert reasons == {
        "t1_a": Reason.COMMENT_REPLY,
        "t1_b": Reason.POST_REPLY,
        "t1_c": Reason.MENTION,
        "t1_d": Reason.MENTION,
        "t1_e": Reason.POST_REPLY,
        "t1_f": Reason.COMMENT_REPLY,
        "t4_m1": Reason.MESSAGE,
    }


def test_branch__is_the_chain_above_a_comment(raw: Any) -> None:
    """Ancestors wrap the comment; brothers and `more` are passed over; levels count from the top."""
    target = raw.comment("c3", parent_id="t1_c2")
    middle = raw.comment("c2", parent_id="t1_c1", replies=raw.listing(raw.comment("other"), None, target))
    top = raw.comment("c1", replies=raw.listing({"kind": "more", "data": {}}, middle))
    answer = [raw.listing(raw.submission("post")), raw.listing(raw.comment("c0", replies=""), top)]
    branch = parse_branch(answer, ref="t1_c3")  # type: ignore[arg-type]
    assert branch is not None
    assert branch.submission.ref == "t3_post"
    assert [(item.ref, item.level) for item in branch.levels] == [("t1_c1", 1), ("t1_c2", 2)]


def test_branch__that_begins_below_the_top_has_no_levels(raw: Any) -> None:
    """Reddit shows eight ancestors: the first of them need not be level 1."""
    top = raw.comment("c8", parent_id="t1_c7", depth=0, replies=raw.listing(raw.comment("c9", parent_id="t1_c8")))
    branch = parse_branch([raw.listing(raw.submission("post")), raw.listing(top)], ref="t1_c9")  # type: ignore[arg-type]
    assert branch is not None
    assert [item.level for item in branch.levels] == [None]


def test_branch__without_the_comment_is_none(raw: Any) -> None:
    """A deleted comment is not in its own page."""
    assert parse_branch([raw.listing(raw.submission("post")), raw.listing()], ref="t1_c9") is None  # type: ignore[arg-type]


def test_branch__survives_a_very_deep_tree(raw: Any) -> None:
    """No recursion: two thousand levels are searched."""
    child = raw.comment("c2000", parent_id="t1_c1999")
    for number in range(1999, 0, -1):
        child = raw.comment(f"c{number}", parent_id=f"t1_c{number - 1}", replies=raw.listing(child))
    branch = parse_branch([raw.listing(raw.submission("post")), raw.listing(child)], ref="t1_c2000")  # type: ignore[arg-type]
    assert branch is not None
    assert len(branch.levels) == 1999


@pytest.mark.parametrize("answer", [None, [], [1, 2], {"kind": "Listing"}, "", [[], []]])
def test_branch__wrong_shape_is_down(answer: object) -> None:
    """A page of something else is an outage."""
    with pytest.raises(Down):
        parse_branch(answer, ref="t1_c")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        {},
        {"json": None},
        {"json": {"data": []}},
        {"json": {"data": {"things": []}}},
        {"json": {"errors": []}},
    ],
)
def test_new_ref__is_none_where_the_answer_does_not_tell(answer: object) -> None:
    """No name, no result."""
    assert parse_new_ref(answer, kind=Kind.COMMENT) is None
    assert parse_new_ref(answer, kind=Kind.SUBMISSION) is None


def test_new_ref__is_found_by_name_or_id() -> None:
    """Reddit's answers carry a name, an id, or both."""
    comment = {"json": {"errors": [], "data": {"things": [{"kind": "t1", "data": {"id": "c1"}}]}}}
    post = {"json": {"errors": [], "data": {"id": "abc", "name": "t3_abc", "url": "https://x"}}}
    assert parse_new_ref(comment, kind=Kind.COMMENT) == "t1_c1"
    assert parse_new_ref(post, kind=Kind.SUBMISSION) == "t3_abc"


def test_identity__needs_a_name() -> None:
    """Who we are must be told; suspended only when it says so."""
    assert parse_identity({"name": "Bot", "is_suspended": True}).suspended
    assert not parse_identity({"name": "Bot"}).suspended
    answers: list[object] = [None, "", {}, {"name": None}, []]
    for answer in answers:
        with pytest.raises(Down):
            parse_identity(answer)


def test_lease__needs_a_place_and_a_key() -> None:
    """An upload without an address or a key is no upload."""
    lease = parse_lease({"args": {"action": "//store", "fields": [{"name": "key", "value": "k"}, 3]}})
    assert (lease.action, lease.key) == ("//store", "k")
    for answer in ("", {}, {"args": {"action": "//x", "fields": []}}, {"args": {"fields": [], "action": 3}}):
        with pytest.raises(Down):
            parse_lease(answer)


def test_first_item__missing_thing_is_refused(raw: Any) -> None:
    """Reddit leaves out what it does not have."""
    assert first_item(raw.listing(raw.comment("a")), ref="t1_a").ref == "t1_a"  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        first_item(raw.listing(raw.comment("b")), ref="t1_a")  # type: ignore[arg-type]
    assert caught.value.why == "not_found"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "id", "name", "author", "body", "selftext", "title", "parent_id", "link_id", "created_utc", "url", "context",
    "permalink", "score", "depth", "replies", "subreddit", "link_url", "link_author", "type", "subject", "is_self",
    "post_hint", "removed_by_category",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["t1", "t3", "t4"]), st.dictionaries(st.sampled_from(_KEYS), _JSON), _JSON)
def test_parse__never_crashes(kind: str, fields: dict[str, Any], other: Any) -> None:
    """Whatever stands in a child, it becomes an item or is left out."""
    child = {"kind": kind, "data": {"id": "x1", **fields}}
    parse_notices([child, other])
    parse_items([child, other])
    parse_new_ref({"json": {"data": {"things": [child, other]}}}, kind=Kind.COMMENT)
    json.dumps(child, default=str)

"""Reddit's JSON to the port's frozen values. Pure, and never surprised.

A missing or odd field gets a harmless default; a child that is no thing at all is left out and
named to `on_drop`; only an answer of the wrong shape raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from hotshotd.errors import Down, Refused
from hotshotd.platform import Author, Identity, Item, Kind, Notice, Reason, Ref, Thread

#: Prefixes of Reddit's fullnames.
PREFIX_KINDS: dict[str, Kind] = {"t1": Kind.COMMENT, "t3": Kind.SUBMISSION, "t4": Kind.MESSAGE}

#: Endings of addresses that are pictures.
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")

#: Texts that stand where a text was taken away.
_TAKEN_AWAY = frozenset({"[removed]", "[deleted]", "[ removed by reddit ]"})

#: Inbox types -> reasons; anything else goes by what the parent is.
_REASONS: dict[str, Reason] = {
    "comment_reply": Reason.COMMENT_REPLY,
    "post_reply": Reason.POST_REPLY,
    "username_mention": Reason.MENTION,
}

#: The time of a thing that does not tell it: too old for any lookback.
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)

#: The deepest tree that is searched, in comments; Reddit's answers hold a few hundred.
_MAX_TREE = 5_000

#: What an exhausted branch gives.
_END = object()

#: Told the reason when a child is left out.
OnDrop = Callable[[str], None]

Fields = Mapping[str, Any]


def ignore_drop(_: str) -> None:
    """Say nothing of a child that was left out."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing: its children as they came, and where the next page starts."""

    children: tuple[Any, ...]
    after: str | None


def parse_page(answer: object, *, what: str) -> Page:
    """Give the page that an answer holds.

    Raises:
        Down: If the answer is no listing.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    children = data.get("children") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(children, list):
        raise Down(f"Reddit's answer to {what} is no listing ({type(answer).__name__})")
    after = data.get("after")
    return Page(tuple(children), after if isinstance(after, str) and after else None)


def parse_items(children: Iterable[object], *, on_drop: OnDrop = ignore_drop) -> list[Item]:
    """Give the things among a listing's children, in their order; each at most once."""
    items: dict[Ref, Item] = {}
    for child in children:
        item = parse_item(child, on_drop=on_drop)
        if item is not None:
            items.setdefault(item.ref, item)
    return list(items.values())


def parse_item(child: object, *, on_drop: OnDrop = ignore_drop) -> Item | None:
    """Give the thing in a `{"kind", "data"}`, or None where it is none."""
    prefix, data = _split_child(child)
    maker = _MAKERS.get(prefix)
    if maker is None or data is None:
        if prefix != "more":
            on_drop(f"a child of kind {prefix[:20]!r}")
        return None
    ref = _ref(prefix, data)
    if ref is None:
        on_drop(f"a {prefix} without an id")
        return None
    return maker(ref, data)


def _split_child(child: object) -> tuple[str, Fields | None]:
    if not isinstance(child, dict):
        return type(child).__name__, None
    kind, data = child.get("kind"), child.get("data")
    return kind if isinstance(kind, str) else "none", data if isinstance(data, dict) else None


def _ref(prefix: str, data: Fields) -> Ref | None:
    name, short = _text(data, "name"), _text(data, "id")
    if name.startswith(prefix + "_") and len(name) > len(prefix) + 1:
        return Ref(name)
    return Ref(f"{prefix}_{short}") if short and short.isalnum() else None


def _submission(ref: Ref, data: Fields) -> Item:
    link = _link(data)
    text = _text(data, "selftext")
    return Item(
        ref=ref,
        kind=Kind.SUBMISSION,
        author=_author(data, "author"),
        text=text,
        title=_text(data, "title"),
        link=link,
        is_picture=link is not None and (_text(data, "post_hint") == "image" or is_picture_address(link)),
        submission=ref,
        submission_author=_author(data, "author"),
        level=0,
        removed=_is_taken_away(text) or bool(data.get("removed_by_category")),
        **_common(data),
    )


def _comment(ref: Ref, data: Fields) -> Item:
    text = _text(data, "body")
    parent = _fullname(data, "parent_id")
    return Item(
        ref=ref,
        kind=Kind.COMMENT,
        author=_author(data, "author"),
        text=text,
        link=_comment_link(data),
        parent=parent,
        submission=_comment_submission(data, parent),
        submission_author=_author(data, "link_author"),
        level=_comment_level(data, parent),
        removed=_is_taken_away(text),
        **_common(data),
    )


def _message(ref: Ref, data: Fields) -> Item:
    return Item(
        ref=ref,
        kind=Kind.MESSAGE,
        author=_author(data, "author"),
        text=_text(data, "body"),
        title=_text(data, "subject"),
        parent=_fullname(data, "parent_id"),
        **_common(data),
    )


_MAKERS: dict[str, Callable[[Ref, Fields], Item]] = {"t1": _comment, "t3": _submission, "t4": _message}


def _common(data: Fields) -> dict[str, Any]:
    score = data.get("score")
    return {
        "place": _text(data, "subreddit"),
        "created_at": _time(data.get("created_utc")),
        "permalink": _text(data, "permalink") or _text(data, "context"),
        "score": score if isinstance(score, int) and not isinstance(score, bool) else None,
        "locked": data.get("locked") is True,
        "archived": data.get("archived") is True,
        "over_18": data.get("over_18") is True,
    }


def _text(data: Fields, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _fullname(data: Fields, key: str) -> Ref | None:
    value = _text(data, key)
    return Ref(value) if value[:3] in ("t1_", "t3_", "t4_") and len(value) > 3 else None


def _author(data: Fields, key: str) -> Author | None:
    name = _text(data, key)
    return Author(name) if name and name not in ("[deleted]", "[removed]") else None


def _time(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _UNKNOWN_TIME
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return _UNKNOWN_TIME


def move_time(item: Item, by: timedelta) -> Item:
    """Give a thing as made so much later; as it is where no calendar has that moment."""
    try:
        return replace(item, created_at=item.created_at + by)
    except OverflowError:
        return item


def _is_taken_away(text: str) -> bool:
    return text.strip().casefold() in _TAKEN_AWAY


def _link(data: Fields) -> str | None:
    url = _text(data, "url_overridden_by_dest") or _text(data, "url")
    if data.get("is_self") is True or not url.startswith(("https://", "http://")):
        return None
    # Without `is_self` a text post is told by its address being its own permalink.
    permalink = _text(data, "permalink")
    return None if permalink and urlsplit(url).path.rstrip("/") == permalink.rstrip("/") else url


def _comment_link(data: Fields) -> str | None:
    """Give the address that the submission above a comment links to, where a listing tells."""
    url, permalink = _text(data, "link_url"), _text(data, "link_permalink")
    if not url.startswith(("https://", "http://")) or url == permalink:
        return None
    short = _text(data, "link_id").removeprefix("t3_")
    return None if short and f"/comments/{short}/" in url + "/" else url


def is_picture_address(url: str) -> bool:
    """Tell whether an address ends like a picture's."""
    try:
        return urlsplit(url).path.lower().endswith(PICTURE_ENDINGS)
    except ValueError:
        return False


def _comment_submission(data: Fields, parent: Ref | None) -> Ref | None:
    link_id = _text(data, "link_id")
    if link_id.startswith("t3_"):
        return Ref(link_id)
    if parent is not None and parent.startswith("t3_"):
        return parent
    return _submission_in_path(_text(data, "context") or _text(data, "permalink"))


def _submission_in_path(path: str) -> Ref | None:
    parts = path.split("?", maxsplit=1)[0].strip("/").split("/")
    if "comments" not in parts[:-1]:
        return None
    short = parts[parts.index("comments") + 1]
    return Ref(f"t3_{short}") if short.isalnum() else None


def _comment_level(data: Fields, parent: Ref | None) -> int | None:
    if parent is not None and parent.startswith("t3_"):
        return 1
    depth = data.get("depth")
    # The root of a permalink's tree has depth 0 whatever its level (`number_levels` mends its branches).
    return depth + 1 if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0 else None


def parse_notices(children: Iterable[object], *, on_drop: OnDrop = ignore_drop) -> list[Notice]:
    """Give the unread notices among an inbox's children, in their order; each at most once."""
    notices: dict[Ref, Notice] = {}
    for child in children:
        item = parse_item(child, on_drop=on_drop)
        if item is None:
            continue
        _, data = _split_child(child)
        notices.setdefault(item.ref, Notice(item.ref, _reason(item, data or {}), item))
    return list(notices.values())


def _reason(item: Item, data: Fields) -> Reason:
    if item.kind is Kind.MESSAGE:
        return Reason.MESSAGE
    known = _REASONS.get(_text(data, "type"))
    if known is not None:
        return known
    if "mention" in _text(data, "subject").lower():
        return Reason.MENTION
    on_post = item.parent is not None and item.parent.startswith("t3_")
    return Reason.POST_REPLY if on_post else Reason.COMMENT_REPLY


def parse_identity(answer: object) -> Identity:
    """Give who `/api/v1/me` says we are.

    Raises:
        Down: If it says nothing of the kind.
    """
    name = answer.get("name") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(name, str) or not name:
        raise Down("Reddit does not say who is signed in")
    return Identity(name, suspended=answer.get("is_suspended") is True)


def parse_branch(answer: object, *, ref: Ref) -> Thread | None:
    """Give `ref`, its submission and the chain of comments above it in the answer to a comment's permalink.

    None where the comment is not in it. The chain may begin below the top level: Reddit shows eight
    ancestors at most. Levels are given where the chain reaches the top.

    Raises:
        Down: If the answer is no comments page.
    """
    if not isinstance(answer, list) or len(answer) != 2:
        raise Down(f"Reddit's answer about {ref} is no comments page ({type(answer).__name__})")
    submissions = parse_items(parse_page(answer[0], what="a submission").children)
    if not submissions or submissions[0].kind is not Kind.SUBMISSION:
        raise Down(f"Reddit's answer about {ref} has no submission")
    chain = _find_chain(parse_page(answer[1], what="its comments").children, ref)
    return None if chain is None else Thread(submissions[0], number_levels(chain[:-1]), chain[-1])


def number_levels(chain: Iterable[Item]) -> tuple[Item, ...]:
    """Number a chain of comments from 1 where it starts at the top level; leave it unnumbered where not."""
    items = tuple(chain)
    at_top = bool(items) and items[0].parent is not None and items[0].parent.startswith("t3_")
    return tuple(replace(item, level=index if at_top else None) for index, item in enumerate(items, start=1))


def _find_chain(roots: Iterable[object], ref: Ref) -> list[Item] | None:
    """Search the tree depth first, without recursion, for the comments above `ref`, and itself at the end."""
    path: list[Item] = []
    stack: list[Iterator[object]] = [iter(list(roots))]
    for _ in range(_MAX_TREE):
        if not stack:
            return None
        child = next(stack[-1], _END)
        if child is _END:
            stack.pop()
            if path:
                path.pop()
            continue
        item = parse_item(child)
        if item is None:
            continue
        if item.ref == ref:
            return [*path, item]
        path.append(item)
        stack.append(iter(_replies(child)))
    return None


def _replies(child: object) -> list[object]:
    _, data = _split_child(child)
    replies = (data or {}).get("replies")
    inner = replies.get("data") if isinstance(replies, dict) else None
    children = inner.get("children") if isinstance(inner, dict) else None
    return children if isinstance(children, list) else []


def parse_new_ref(answer: object, *, kind: Kind) -> Ref | None:
    """Give the fullname of what a write made, or None where the answer does not tell."""
    inner = answer.get("json") if isinstance(answer, dict) else None
    data = inner.get("data") if isinstance(inner, dict) else None
    if not isinstance(data, dict):
        return None
    if kind is Kind.SUBMISSION:
        return _ref("t3", data)
    things = data.get("things")
    for thing in things if isinstance(things, list) else ():
        prefix, fields = _split_child(thing)
        if prefix in ("t1", "t4") and fields is not None:
            return _ref(prefix, fields)
    return None


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to send a picture to Reddit's store: where, with which form fields, and its address afterwards."""

    action: str
    fields: Mapping[str, str]

    @property
    def key(self) -> str:
        return self.fields["key"]


def parse_lease(answer: object) -> Lease:
    """Give the upload lease in an answer of `/api/media/asset.json`.

    Raises:
        Down: If there is none.
    """
    args = answer.get("args") if isinstance(answer, dict) else None
    action, entries = (args.get("action"), args.get("fields")) if isinstance(args, dict) else (None, None)
    if not isinstance(action, str) or not isinstance(entries, list):
        raise Down("Reddit gives no place to send the picture to")
    fields = {e["name"]: e["value"] for e in entries if isinstance(e, dict) and {"name", "value"} <= e.keys()}
    if not isinstance(fields.get("key"), str):
        raise Down("Reddit gives no name for the picture")
    return Lease(action, {str(name): str(value) for name, value in fields.items()})


def first_item(answer: object, *, ref: Ref) -> Item:
    """Give the thing that `/api/info` found.

    Raises:
        Refused: If it found none.
        Down: If the answer is no listing.
    """
    for item in parse_items(parse_page(answer, what="a look-up").children):
        if item.ref == ref:
            return item
    raise Refused(f"Reddit has no {ref}: deleted, or never there", why="not_found")

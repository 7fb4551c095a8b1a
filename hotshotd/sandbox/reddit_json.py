"""Reddit's JSON: how the things of a `Forum` look to a client.

A comment in a listing or thread is complete; a comment in an inbox has `context` and neither
`link_id` nor `permalink`; a listing always has `after`. PRAW stumbles over anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hotshotd.sandbox.forum import Account, Comment, Flair, Forum, Message, Notice, Submission, Subreddit, Thing

Json = dict[str, Any]

#: How many ancestors a comment's page shows at most, whatever `context` asks for.
MAX_CONTEXT = 8

#: Comments this deep in a page are behind "continue this thread".
MAX_DEPTH = 10

DEFAULT_THREAD_LIMIT, MAX_THREAD_LIMIT = 200, 500

_SUBJECTS = {"comment_reply": "comment reply", "post_reply": "post reply", "username_mention": "username mention"}


def listing(children: Sequence[Any], *, after: str | None = None, before: str | None = None) -> Json:
    """Wrap things in a Listing."""
    data = {"after": after, "before": before, "dist": len(children), "modhash": None, "geo_filter": ""}
    return {"kind": "Listing", "data": {**data, "children": list(children)}}


def things(children: Sequence[Any]) -> Json:
    """Wrap things as a write's answer."""
    return {"json": {"errors": [], "data": {"things": list(children)}}}


def flair_json(flair: Flair) -> Json:
    """Show a link flair template."""
    look = {"background_color": "", "text_color": "dark", "css_class": "", "richtext": [], "max_emojis": 10}
    rules = {"text_editable": False, "mod_only": False, "allowable_content": "all", "override_css": False}
    return {"type": "text", "id": flair.id, "text": flair.text, **look, **rules}


def escaped(value: Any) -> Any:
    """Escape texts as Reddit does for clients that don't ask for `raw_json`."""
    if isinstance(value, str):
        return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if isinstance(value, dict):
        return {key: escaped(inner) for key, inner in value.items()}
    return [escaped(inner) for inner in value] if isinstance(value, list) else value


class Shapes:
    """Makes JSON of a forum's things. `base_url` stands in absolute addresses."""

    def __init__(self, forum: Forum, base_url: Callable[[], str]) -> None:
        self._forum = forum
        self._base_url = base_url

    def thing(self, thing: Thing, *, viewer: str = "") -> Json:
        """Show a post, comment or message as listings do."""
        if isinstance(thing, Submission):
            return self.submission(thing)
        if isinstance(thing, Comment):
            return self.comment(thing, viewer=viewer)
        return self.message(thing, is_new=False)

    def submission(self, post: Submission) -> Json:
        """Show a post with every field that bots read."""
        address = self._base_url() + post.permalink
        hidden = post.deleted or post.removed
        data = {
            **self._written(post),
            "title": post.title,
            "selftext": ("[deleted]" if post.deleted else "[removed]") if hidden and not post.url else post.text,
            "selftext_html": None,
            "url": post.url or address,
            "domain": (urlsplit(post.url).hostname or "") if post.url else f"self.{post.subreddit}",
            "permalink": post.permalink,
            "is_self": post.url is None,
            "num_comments": self._forum.comment_count(post.fullname),
            "archived": post.archived,
            "over_18": post.over_18,
            "spoiler": post.spoiler,
            "link_flair_text": post.flair.text if post.flair else None,
            "link_flair_template_id": post.flair.id if post.flair else None,
            "removed_by_category": "deleted" if post.deleted else "moderator" if post.removed else None,
            "upvote_ratio": 1.0,
            "is_robot_indexable": not hidden,
            **_POST_CONSTANTS,
        }
        if post.is_picture:
            data["post_hint"] = "image"
        elif post.url:
            data["post_hint"] = "link"
        return {"kind": "t3", "data": data}

    def comment(self, comment: Comment, *, replies: Any = "", viewer: str = "") -> Json:
        """Show a comment; `replies` is "" or a Listing."""
        link = self._link_of(comment)
        data = {
            **self._written(comment),
            "body": _body(comment, viewer),
            "body_html": "",
            "parent_id": comment.parent,
            "link_id": comment.link,
            "permalink": f"{link.permalink}{comment.id}/",
            "replies": replies,
            "depth": comment.level - 1,
            "is_submitter": comment.author.casefold() == link.author.casefold(),
            "link_title": link.title,
            "link_author": _author(link),
            "link_permalink": self._base_url() + link.permalink,
            "link_url": link.url or self._base_url() + link.permalink,
            "num_comments": self._forum.comment_count(link.fullname),
            "over_18": link.over_18,
            **_COMMENT_CONSTANTS,
        }
        return {"kind": "t1", "data": data}

    def notice(self, notice: Notice, about: Comment | Message) -> Json:
        """Show an entry of an inbox."""
        if isinstance(about, Message):
            return self.message(about, is_new=notice.is_new)
        link = self._link_of(about)
        data = {
            **self._written(about),
            "body": _body(about, ""),
            "body_html": "",
            "parent_id": about.parent,
            "context": f"{link.permalink}{about.id}/?context=3",
            "subject": _SUBJECTS.get(notice.kind, ""),
            "type": notice.kind,
            "new": notice.is_new,
            "was_comment": True,
            "dest": "",
            "link_title": link.title,
            "num_comments": self._forum.comment_count(link.fullname),
            "first_message": None,
            "first_message_name": None,
        }
        for name in ("locked", "stickied", "edited"):
            data.pop(name, None)
        return {"kind": "t1", "data": data}

    def message(self, message: Message, *, is_new: bool) -> Json:
        """Show a private message."""
        data = {
            "id": message.id, "name": message.fullname, "author": message.author, "dest": message.to,
            "subject": message.subject, "body": message.text, "body_html": "", "created_utc": message.created_utc,
            "created": message.created_utc, "new": is_new, "was_comment": False, "type": "unknown", "context": "",
            "parent_id": message.parent, "replies": "", "subreddit": None, "first_message_name": message.parent,
            "distinguished": None, "likes": None, "num_comments": None, "score": 0, "author_fullname": "",
        }  # fmt: skip
        return {"kind": "t4", "data": data}

    def account(self, account: Account) -> Json:
        """Show someone as everybody sees them; of a suspended account next to nothing is left."""
        if account.is_suspended:
            return {"kind": "t2", "data": {"name": account.name, "is_suspended": True}}
        data = {
            "id": account.id, "name": account.name, "created_utc": account.created_utc, "is_suspended": False,
            "created": account.created_utc, "link_karma": 1, "comment_karma": 1, "total_karma": 2,
            "is_employee": False, "is_mod": False, "verified": True, "has_verified_email": True, "icon_img": "",
        }  # fmt: skip
        return {"kind": "t2", "data": data}

    def me(self, account: Account) -> Json:
        """Show someone to themselves: flat, unlike everything else."""
        unread = len(self._forum.inbox(account.name, unread=True))
        own = {"inbox_count": unread, "has_mail": unread > 0, "over_18": False, "suspension_expiration_utc": None}
        shown: Json = self.account(Account(account.name, account.id, account.created_utc))["data"]
        return {**shown, **own, "is_suspended": account.is_suspended}

    def subreddit(self, place: Subreddit, *, viewer: str = "") -> Json:
        """Show a subreddit."""
        data = {
            "id": place.id, "name": place.fullname, "display_name": place.name, "title": place.name,
            "display_name_prefixed": f"r/{place.name}", "url": f"/r/{place.name}/", "description": "",
            "public_description": "", "created_utc": place.created_utc, "over18": place.over_18, "quarantine": False,
            "subreddit_type": "private" if place.is_private else "public", "submission_type": "any",
            "subscribers": 100, "user_is_banned": viewer.casefold() in place.banned, "user_is_moderator": False,
            "user_is_contributor": False, "user_is_subscriber": False, "user_is_muted": False, "allow_images": True,
            "link_flair_enabled": bool(place.flairs), "restrict_posting": False, "lang": "en",
        }  # fmt: skip
        return {"kind": "t5", "data": data}

    def _written(self, thing: Submission | Comment) -> Json:
        place = self._forum.subreddit(thing.subreddit)
        author = _author(thing)
        return {
            "id": thing.id, "name": thing.fullname, "author": author, "subreddit": thing.subreddit,
            "author_fullname": f"t2_{author.casefold()}", "subreddit_id": place.fullname if place else "t5_0",
            "subreddit_name_prefixed": f"r/{thing.subreddit}", "created_utc": thing.created_utc,
            "created": thing.created_utc, "score": thing.score, "ups": thing.score, "downs": 0, "likes": None,
            "saved": False, "locked": thing.locked, "stickied": False, "distinguished": None, "gilded": 0,
            "edited": thing.edited_utc or False, "author_flair_text": None, "author_flair_css_class": None,
        }  # fmt: skip

    def _link_of(self, comment: Comment) -> Submission:
        link = self._forum.thing(comment.link)
        if not isinstance(link, Submission):
            raise TypeError(f"{comment.fullname} stands under {comment.link}, which is no post")
        return link


_POST_CONSTANTS: Json = {
    "is_video": False, "hidden": False, "pinned": False, "thumbnail": "", "media": None, "contest_mode": False,
    "is_original_content": False, "is_meta": False, "suggested_sort": None, "view_count": None, "num_crossposts": 0,
    "is_crosspostable": True, "link_flair_richtext": [], "link_flair_type": "text", "subreddit_type": "public",
}  # fmt: skip

_COMMENT_CONSTANTS: Json = {
    "collapsed": False, "score_hidden": False, "controversiality": 0, "archived": False, "no_follow": False,
    "can_gild": False, "send_replies": True, "removal_reason": None,
}  # fmt: skip


def _author(thing: Submission | Comment) -> str:
    hidden = thing.deleted or (thing.removed and isinstance(thing, Comment))
    return "[deleted]" if hidden else thing.author


def _body(comment: Comment, viewer: str) -> str:
    if comment.deleted:
        return "[deleted]"
    if comment.removed and comment.author.casefold() != viewer.casefold():
        return "[removed]"
    return comment.text


@dataclass(slots=True)
class _Budget:
    left: int


class Trees:
    """Makes the comment trees of a post's page."""

    def __init__(self, forum: Forum, shapes: Shapes) -> None:
        self._forum = forum
        self._shapes = shapes

    def page(self, post: Submission, *, sort: str, limit: int, max_depth: int = MAX_DEPTH) -> Json:
        """Show a post's comments from the top, up to `limit`; the rest is behind `more`."""
        return listing(self._level(post.fullname, sort, _Budget(limit), max_depth))

    def around(self, comment: Comment, *, context: int, sort: str, limit: int) -> Json:
        """Show a comment with its answers, wrapped in its ancestors, each with only the one on the way."""
        shown = self._tree(comment, sort, _Budget(limit), MAX_DEPTH)
        above = comment.parent
        for _ in range(min(max(context, 0), MAX_CONTEXT)):
            ancestor = self._forum.thing(above)
            if not isinstance(ancestor, Comment):
                break
            shown = self._shapes.comment(ancestor, replies=listing([shown]))
            above = ancestor.parent
        return listing([shown])

    def flat(self, ids: Sequence[str], *, sort: str, limit: int) -> list[Json]:
        """Show the comments that a `more` stood for, one after another, parents first."""
        found = [thing for number in ids if isinstance(thing := self._forum.thing(f"t1_{number}"), Comment)]
        shown = [self._shapes.comment(comment) for comment in _sorted(found, sort)[:limit]]
        return sorted(shown, key=lambda entry: int(entry["data"]["depth"]))

    def _tree(self, comment: Comment, sort: str, budget: _Budget, depth_left: int) -> Json:
        budget.left -= 1
        children = self._level(comment.fullname, sort, budget, depth_left - 1)
        return self._shapes.comment(comment, replies=listing(children) if children else "")

    def _level(self, parent: str, sort: str, budget: _Budget, depth_left: int) -> list[Json]:
        visible = [comment for comment in self._forum.children(parent) if self._is_shown(comment)]
        if visible and depth_left <= 0:
            return [_more(parent, [], count=0)]
        shown: list[Json] = []
        rest = _sorted(visible, sort)
        while rest and budget.left > 0:
            shown.append(self._tree(rest.pop(0), sort, budget, depth_left))
        if rest:
            hidden = [comment.id for top in rest for comment in self._with_descendants(top)]
            shown.append(_more(parent, hidden, count=len(hidden)))
        return shown

    def _is_shown(self, comment: Comment) -> bool:
        # A deleted comment stays as a stump while something hangs on it.
        return not comment.deleted or any(self._is_shown(child) for child in self._forum.children(comment.fullname))

    def _with_descendants(self, comment: Comment) -> list[Comment]:
        below = [c for child in self._forum.children(comment.fullname) for c in self._with_descendants(child)]
        return [comment, *below] if self._is_shown(comment) else []


def _more(parent: str, children: list[str], *, count: int) -> Json:
    number = children[0] if children else "_"
    data = {"id": number, "name": f"t1_{number}", "parent_id": parent, "count": count, "children": children}
    return {"kind": "more", "data": {**data, "depth": 0}}


def _sorted(comments: Sequence[Comment], sort: str) -> list[Comment]:
    if sort in ("new", "old"):
        return sorted(comments, key=lambda c: int(c.id, 36), reverse=sort == "new")
    return sorted(comments, key=lambda c: (-c.score, int(c.id, 36)))

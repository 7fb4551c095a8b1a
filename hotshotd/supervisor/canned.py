"""Canned answers of Reddit, of every kind of service and of the quota process, for the rehearsal before the first fork.

One child process gives them: on a loopback port, and on a socket of the abstract namespace (unix(7)) with a name that
nobody can guess. It ends with `Canned.close`, and by itself after some seconds, whatever happens to us.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any

from hotshotd.clock import SystemClock
from hotshotd.wire import Json

#: Seconds after which the child ends itself: a rehearsal is over before.
_LIFE_SECONDS = 7

#: The account whose things are the invented bot's own.
ACCOUNT = "somebody-else"

#: Somebody's submission, a stranger's comment on it, one on a submission of the bot's own, an answer to a comment of
#: the bot's, and a request to be left alone.
_SUBMISSION, _STRANGERS, _TOP_LEVEL, _DEEP, _STOP = THINGS = ("t3_a", "t1_b", "t1_c", "t1_d", "t1_e")
_OWN_SUBMISSION, _OWN_COMMENT, _ANSWERED = "t3_own", "t1_own", "t1_f"

#: How old the bot's own submission is: a slot has passed since; seconds.
_OWN_AGE_SECONDS = 3600.0

_CLOCK = SystemClock()

#: More than a play needs: a bot does not say the same twice.
_TEXTS = (
    "Rain fell on the old roof all night, and nobody minded.",
    "My sister keeps eleven bees. She knows each of them by its name!",
    "There was a baker here once: he sold bread, *and* umbrellas.",
    "Twenty trains went by before breakfast. I counted them twice.",
    "It is said that the lake was deeper then, and the fish were slower.",
    "Nobody has wound up the clock in the tower since my uncle left.",
    "Pears are best on a Tuesday; ask anyone who has tried.",
    "What a goose wants, a goose gets. We have all learned that by now!",
)

#: By what a path holds: the first that fits answers.
Answers = tuple[tuple[str, Callable[[], Any]], ...]


class Canned:
    """The child that answers. `runtime_dir` stands for the folder of quota.sock."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        """Start it; `is_quiet` where nobody writes anything.

        Raises:
            OSError: If there is no loopback address, or no process to be had.
        """
        name = f"\0hotshotd-rehearsal-{secrets.token_hex(8)}"
        self.runtime_dir = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as site, socket.socket(socket.AF_UNIX) as quota:
            quota.bind(f"{name}/quota.sock")
            quota.listen()
            self.site = f"http://127.0.0.1:{site.getsockname()[1]}"
            self._pid = _fork_server(site, quota, _QUIET_ANSWERS + _ANSWERS if is_quiet else _ANSWERS)
        # Our ends are closed: when the child has ended, calls are refused at once and do not wait in vain.

    def close(self) -> None:
        """End the child."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _fork_server(site: socket.socket, quota: socket.socket, answers: Answers) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_LIFE_SECONDS)
            threading.Thread(target=_accept, args=(quota, _serve_quota), daemon=True).start()
            _accept(site, partial(_serve_site, answers=answers))
        finally:
            os._exit(0)
    return pid


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def _serve_quota(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(json.dumps(_grant(json.loads(line))).encode() + b"\n")


def _grant(request: Json) -> Json:
    """Answer whatever was asked: each op reads its own fields."""
    chars = request.get("chars", 0)
    return {"id": request["id"], "ok": True, "number": 1, "chars": chars, "wait": 0.0, "interval": 60.0}


def _serve_site(connection: socket.socket, *, answers: Answers) -> None:
    with connection, connection.makefile("rb") as lines:
        while request := lines.readline():
            length = 0
            while (header := lines.readline()).strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            lines.read(length)
            body = json.dumps(_answer(request.split()[1].decode(), answers)).encode()
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Ratelimit-Remaining: 99.0\r\n"
                b"X-Ratelimit-Used: 1\r\nX-Ratelimit-Reset: 600\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            # In one segment: two would wait for each other (Nagle, delayed acknowledgement).
            connection.sendall(head + body)


# --- what is answered -------------------------------------------------------------------------------

_ids, _texts = count(), cycle(_TEXTS)


def _answer(path: str, answers: Answers) -> Any:
    return next(make() for part, make in answers if part in path)


def _listing(*children: Json) -> Json:
    return {"kind": "Listing", "data": {"after": None, "children": list(children)}}


def _make_submission(fullname: str = _SUBMISSION, *, author: str = "somebody", age_seconds: float = 0.0) -> Json:
    short = fullname.removeprefix("t3_")
    made_at = _CLOCK.now().timestamp() - age_seconds
    data = {
        "id": short, "name": fullname, "title": "A title", "selftext": "A text of some words.", "author": author,
        "subreddit": "nowhere", "created_utc": made_at, "score": 1, "url": "", "is_self": True,
        "permalink": f"/r/nowhere/comments/{short}/a/", "locked": False, "archived": False, "over_18": False,
        "num_comments": 0,
    }  # fmt: skip
    return {"kind": "t3", "data": data}


def _make_own_submission() -> Json:
    return _make_submission(_OWN_SUBMISSION, author=ACCOUNT, age_seconds=_OWN_AGE_SECONDS)


def _make_comment(fullname: str, **more: object) -> Json:
    short = fullname.removeprefix("t1_")
    data = {
        "id": short, "name": fullname, "body": "And what do you say?", "author": "somebody", "subreddit": "nowhere",
        "created_utc": _CLOCK.now().timestamp(), "parent_id": _SUBMISSION, "link_id": _SUBMISSION,
        "permalink": f"/r/nowhere/comments/a/a/{short}/", "context": f"/r/nowhere/comments/a/a/{short}/?context=3",
        "replies": "", "score": 1, **more,
    }  # fmt: skip
    return {"kind": "t1", "data": data}


def _make_notices() -> list[Json]:
    return [
        _make_comment(_TOP_LEVEL, type="post_reply", parent_id=_OWN_SUBMISSION, link_id=_OWN_SUBMISSION),
        _make_comment(_DEEP, type="comment_reply", parent_id=_OWN_COMMENT),
        _make_comment(_STOP, type="comment_reply", parent_id=_OWN_COMMENT, author="annoyed", body="stop"),
    ]


def _make_own_comment(*answers: Json) -> Json:
    replies = _listing(*answers) if answers else ""
    return _make_comment(_OWN_COMMENT, author=ACCOUNT, body="So they say.", parent_id=_ANSWERED, replies=replies)


def _make_thread() -> list[Json]:
    """Give the page of somebody's submission, with all comments: who asks looks for its own."""
    own = _make_own_comment(_make_comment(_DEEP, parent_id=_OWN_COMMENT))
    comments = (_make_comment(_STRANGERS), _make_comment(_ANSWERED, replies=_listing(own)))
    return [_listing(_make_submission()), _listing(*comments)]


def _make_own_thread() -> list[Json]:
    comment = _make_comment(_TOP_LEVEL, parent_id=_OWN_SUBMISSION, link_id=_OWN_SUBMISSION)
    return [_listing(_make_own_submission()), _listing(comment)]


def _make_written() -> Json:
    things = [_make_comment(f"t1_z{next(_ids)}")]
    return {"json": {"errors": [], "data": {"things": things, "id": "y", "name": "t3_y"}}}


def _make_text() -> Json:
    text = next(_texts)
    # A title for a post; in an answer it is a first line like others.
    message = {"role": "assistant", "content": f"Title: {text}\n\n{text}"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"total_tokens": 1}}


_ANSWERS: Answers = (
    ("/api/v1/access_token", lambda: {"access_token": "t", "expires_in": 3600, "scope": "*"}),
    ("/api/v1/me", lambda: {"name": ACCOUNT, "is_suspended": False}),
    ("/api/comment", _make_written),
    ("/api/submit", _make_written),
    ("/api/", dict),
    (f"/user/{ACCOUNT}/submitted", lambda: _listing(_make_own_submission())),
    (f"/user/{ACCOUNT}/comments", lambda: _listing(_make_own_comment())),
    ("/message/unread", lambda: _listing(*_make_notices())),
    ("/r/nowhere/new", lambda: _listing(_make_submission())),
    ("/r/nowhere/comments", lambda: _listing(_make_comment(_STRANGERS))),
    ("/comments/own/", _make_own_thread),
    ("/comments/", _make_thread),
    ("/chat/completions", _make_text),
    ("/moderations", lambda: {"results": [{"flagged": False, "categories": {}, "category_scores": {"hate": 0.01}}]}),
    ("/hf/", lambda: [[{"label": "LABEL_0", "score": 0.9}]]),
)
_QUIET_ANSWERS: Answers = (("/message/unread", _listing), ("/r/nowhere/", _listing))

"""How the local Reddit's handlers are built and how it says no: shared by its reading and writing half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hotshotd.sandbox.forum import Account, Forum, Refusal, forbidden
from hotshotd.sandbox.http import Request, Response, json_response
from hotshotd.sandbox.reddit_auth import Caller

T = TypeVar("T")

#: Answers a request of whoever has a token.
Action = Callable[[Request, Caller], Response]

#: Answers a request of an account that is well.
UserAction = Callable[[Request, Account], Response]

DEFAULT_PAGE, MAX_PAGE = 25, 100


def as_user(forum: Forum, action: UserAction, *, even_suspended: bool = False) -> Action:
    """Make an action that needs an account; a suspended one may only look at itself."""

    def handle(request: Request, caller: Caller) -> Response:
        account = forum.account(caller.account) if caller.account else None
        if account is None:
            raise Refusal("USER_REQUIRED", "Please log in to do that.", status=403)
        if account.is_suspended and not even_suspended:
            raise forbidden()
        return action(request, account)

    return handle


def error_response(status: int, message: str, **more: Any) -> Response:
    """Make an answer with a status of its own."""
    return json_response({"message": message, "error": status, **more}, status=status)


def refused(refusal: Refusal) -> Response:
    """Say a refusal as Reddit says it."""
    if refusal.status == 200:
        error = [refusal.error_type, refusal.text, refusal.fieldname]
        return json_response({"json": {"errors": [error]}})
    if refusal.status == 400:
        found = {"fields": [refusal.fieldname], "explanation": refusal.text, "reason": refusal.error_type}
        return error_response(400, "Bad Request", **found)
    # Only `private` is told to the client; why else it is forbidden, Reddit keeps to itself.
    reason = {"reason": "private"} if refusal.error_type == "private" else {}
    return error_response(refusal.status, "Not Found" if refusal.status == 404 else "Forbidden", **reason)


def number(text: str | None, *, default: int) -> int:
    """Read a number of a query, however wrong."""
    return int(text) if text and text.isascii() and text.isdigit() else default


def cut(request: Request, found: Sequence[T], *, key: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """Give the page that `limit`, `after` and `before` ask for, newest first, and the next `after`."""
    limit = min(max(number(request.params.get("limit"), default=DEFAULT_PAGE), 1), MAX_PAGE)
    names = [key(thing) for thing in found]
    start, end = 0, len(found)
    if before := request.params.get("before"):
        # The page next to the anchor; a deleted anchor gives an empty page, for ever, as on Reddit.
        end = names.index(before) if before in names else 0
        start = max(0, end - limit)
    elif after := request.params.get("after"):
        older = (n for n, name in enumerate(names) if _age(name) < _age(after))
        start = names.index(after) + 1 if after in names else next(older, len(names))
    page = found[start : min(end, start + limit)]
    more = start + len(page) < len(found) and not request.params.get("before")
    return page, key(page[-1]) if page and more else None


def _age(fullname: str) -> int:
    try:
        return int(fullname.partition("_")[2], 36)
    except ValueError:
        return 0

"""A bot's Reddit account, tried: sign-in, name, suspension, scopes, and each subreddit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hotshotd.config.schema import BotConfig
from hotshotd.doctor.findings import Verdict, fail, ok, warn
from hotshotd.doctor.trouble import judge_error
from hotshotd.errors import PlatformError, Refused
from hotshotd.reddit.client import RedditClient
from hotshotd.reddit.consent import list_scopes
from hotshotd.reddit.parse import parse_identity

#: `Refused.why` of a subreddit's page → what to do.
_REFUSED_PLACE = {
    "forbidden": "it is private or quarantined: have the account let in, or take it off reddit.subreddits",
    "not_found": "it is gone or banned: take it off reddit.subreddits",
    "redirected": "check the name in reddit.subreddits",
    "legal": "it can't be read from this country: take it off reddit.subreddits",
}


def check_account(config: BotConfig, client: RedditClient) -> Iterator[tuple[str, Verdict]]:
    """Sign in and look around; one request, and one for each subreddit. Blocks; belongs to the client's thread."""
    username = config.reddit.username
    try:
        identity = parse_identity(client.get("api/v1/me"))
    except PlatformError as exc:
        yield "reddit sign-in", judge_error(exc)
        return
    if identity.name.casefold() != username.casefold():
        yield (
            "reddit sign-in",
            fail(
                f"the credentials are those of u/{identity.name}, not of u/{username}",
                f"set reddit.username or the credentials right, or run `hotshotctl auth {config.name}`",
            ),
        )
        return
    if identity.suspended:
        yield (
            "reddit sign-in",
            fail(
                f"u/{username} is suspended",
                "see the messages of that account on Reddit; take the bot's file away till then",
            ),
        )
        return
    yield "reddit sign-in", ok(f"signed in as u/{identity.name}")
    yield "reddit scopes", _check_scopes(config, client.scopes)
    for place in _list_places(config):
        yield f"r/{place}", _check_place(config, client, place)


def _check_scopes(config: BotConfig, scopes: frozenset[str]) -> Verdict:
    wanted = list_scopes(blocks=config.safety.opt_out)
    missing = [] if "*" in scopes else [scope for scope in wanted if scope not in scopes]
    if not missing:
        return ok("all that a bot needs")
    return fail(f"the token lacks {', '.join(missing)}", f"run `hotshotctl auth {config.name}`")


def _list_places(config: BotConfig) -> tuple[str, ...]:
    places = {place.casefold(): place for place in config.reddit.subreddits}
    if config.post is not None and config.post.subreddit:
        places.setdefault(config.post.subreddit.casefold(), config.post.subreddit)
    return tuple(places.values())


def _check_place(config: BotConfig, client: RedditClient, place: str) -> Verdict:
    try:
        about = client.get(f"r/{place}/about")
    except Refused as refusal:
        return fail(str(refusal), _REFUSED_PLACE.get(refusal.why, judge_error(refusal).remedy))
    except PlatformError as exc:
        return judge_error(exc)
    data = about.get("data") if isinstance(about, dict) else None
    if not isinstance(data, dict):
        return fail("Reddit's answer is not about a subreddit", "check the name in reddit.subreddits")
    return _judge_place(config, data)


def _judge_place(config: BotConfig, data: dict[str, Any]) -> Verdict:
    username = config.reddit.username
    is_known_there = data.get("user_is_contributor") is True or data.get("user_is_moderator") is True
    if data.get("user_is_banned") is True:
        return fail(f"u/{username} is banned there", "ask its moderators, or take it off reddit.subreddits")
    if data.get("subreddit_type") == "archived":
        return fail("it is archived: nobody can write there", "take it off reddit.subreddits")
    if data.get("subreddit_type") == "restricted" and not is_known_there:
        return warn("it is restricted: only those it approved may post", f"ask its moderators to approve u/{username}")
    if data.get("user_is_muted") is True:
        return warn(f"u/{username} is muted there", "ask its moderators")
    return ok("can be read")

"""One bot's mind with the real PRAW and the real clients, over real HTTP, against the sandbox's servers.

No processes and no real waiting: a clock that skips what is slept. What was sent is read from the servers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from structlog.testing import CapturingLogger

from hotshotd._types import Role
from hotshotd.brain.editor import Editor
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import ITEM_SECONDS, Answering, Deferred, Found
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Verdict
from hotshotd.brain.writing import Writer
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BACKEND_PRESETS, SERVICE_PRESETS, BotConfig
from hotshotd.config.secrets import Secrets
from hotshotd.platform import Item, Kind, Notice, Reason, Ref
from hotshotd.quota.stub import StubQuota
from hotshotd.reddit.account import AccountCredentials, Sites
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.reddit.requestor import CallLimits
from hotshotd.sandbox.faults import Plan
from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.http import Request
from hotshotd.sandbox.reddit import RedditServer
from hotshotd.sandbox.services import Services
from hotshotd.worker.calls import Calls
from hotshotd.worker.faculties import build_faculties

BOT, HOME, KEY = "duck-bot", "pond", "sandbox-key"

#: Path of a service's request → the role it plays in a scenario; the first that fits.
ROLES: tuple[tuple[str, str], ...] = (
    ("/moderations", "moderation"),
    ("comments:analyze", "moderation"),
    ("guard", "moderation"),
    ("toxic", "moderation"),
    ("imageanalysis", "caption"),
    ("/describe", "caption"),
    ("torch-srgan", "upscale"),
    ("images/generations", "picture"),
    ("diffusion", "picture"),
    ("DialogRPT", "rank"),
    ("rerank", "rank"),
    ("classify", "rank"),
    ("bart", "topic"),
    ("vision", "caption"),
    ("judge", "rank"),
)


class HastyClock(SystemClock):
    """Real time, and what was slept or skipped on top of it."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.skipped)

    async def sleep(self, seconds: float) -> None:
        self.skipped += max(0.0, seconds)
        await asyncio.sleep(0)


class News:
    """What the mind tells, kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.troubles: list[str] = []
        self.without: dict[Role, str] = {}
        self.places: list[str] = []
        self.events: list[tuple[str, dict[str, object]]] = []

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def trouble(self, message: str) -> None:
        self.troubles.append(message)

    def degraded(self, role: Role, *, why: str | None) -> None:
        self.without.pop(role, None)
        if why is not None:
            self.without[role] = why

    def forbidden(self, place: str) -> None:
        self.places.append(place)

    def event(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))


@dataclass
class Theatre:
    """The servers of one scenario, and the bot on them. `config` is laid over the bot's plain file."""

    config: Mapping[str, Any] = field(default_factory=dict)
    quota_of: Callable[[StubQuota], None] = lambda _quota: None

    def __post_init__(self) -> None:
        self.plan = Plan()
        self.forum = Forum()
        self.forum.add_client("client", "client-secret")
        self.forum.add_account(BOT, "quack")
        for name in ("ann", "bob", "AutoModerator"):
            self.forum.add_account(name)
        for place in (HOME, "elsewhere"):
            self.forum.add_subreddit(place, flairs=("news",))
        self.reddit = RedditServer(self.forum, plan=self.plan)
        self.services = Services(keys={KEY: BOT}, plan=self.plan)
        self.clock = HastyClock()
        self.news = News()

    def __enter__(self) -> Self:
        self.reddit.start()
        self.services.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.services.stop()
        self.reddit.stop()

    # -- what happens on Reddit --------------------------------------------------------------

    def own_post(self, title: str = "I am a duck, ask me anything", text: str = "Quack.") -> Ref:
        return Ref(self.forum.submit(BOT, HOME, title, text).fullname)

    def post(self, title: str = "Tell me about ponds", text: str = "I like them.", **more: Any) -> Ref:
        return Ref(self.forum.submit("ann", more.pop("place", HOME), title, text, **more).fullname)

    def comment(self, under: str, text: str = "How deep is the pond?", author: str = "ann") -> Ref:
        return Ref(self.forum.comment(author, under, text).fullname)

    # -- the bot -----------------------------------------------------------------------------

    def perform(self, act: Callable[[Troupe], Awaitable[None]]) -> None:
        """Build the bot, as a worker does at its start, and let it act."""

        async def main() -> None:
            troupe = Troupe(self)
            try:
                await troupe.open()
                await act(troupe)
            finally:
                troupe.close()

        asyncio.run(main())

    # -- what was received -------------------------------------------------------------------

    def sent(self) -> dict[str, int]:
        """Count the services' requests by the role they play."""
        requests = [request for server in self.services.servers for request in server.log.requests()]
        return dict(Counter(role for request in requests if (role := _role_of(request))))

    def prompts(self) -> list[str]:
        """Give the bodies of all requests for a text, oldest first."""
        requests = [request for server in self.services.servers for request in server.log.requests()]
        return [request.body.decode() for request in requests if _role_of(request) == "text"]

    def written(self) -> dict[str, str]:
        """Give what the bot wrote on Reddit by name, oldest first; of a post title and text."""
        posts = {made.fullname: f"{made.title}\n{made.text}" for made in reversed(self.forum.submissions(author=BOT))}
        return posts | {made.fullname: made.text for made in reversed(self.forum.comments(author=BOT))}

    def write_requests(self) -> int:
        """Count the answers that were sent to Reddit, whatever came of them."""
        return sum(request.path.rstrip("/") == "/api/comment" for request in self.reddit.log.requests())


class Troupe:
    """The bot's parts for one scenario."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.config = make_bot(theatre)
        secrets = Secrets({"KEY": KEY, "PASS": "quack", "ID": "client", "SECRET": "client-secret"})
        self.quota = StubQuota(theatre.clock, budgets={self.config.name: self.config.character_budget})
        theatre.quota_of(self.quota)
        self.admission = self.quota.enter(self.config.name)
        self.calls = Calls(theatre.clock, threads=4)
        self.platform = RedditPlatform(
            AccountCredentials(BOT, "client", password="quack", client_secret="client-secret"),
            sites=Sites(theatre.reddit.base_url, theatre.reddit.base_url),
            subreddits=self.config.reddit.subreddits,
            operator="op",
            pace=self.admission,
            clock=theatre.clock,
            log=CapturingLogger(),
            call_limits=CallLimits(connect_seconds=2.0, read_seconds=1.0),
        )
        clock, news = theatre.clock, theatre.news
        faculties = build_faculties(self.config, secrets, self.admission, self.calls)
        self.writer = Writer(self.platform, clock, confirm_after=(2.0, 10.0))
        editor = Editor(faculties, negative_keywords(self.config), clock, news)
        shared: dict[str, Any] = {
            "platform": self.platform,
            "faculties": faculties,
            "writer": self.writer,
            "editor": editor,
            "clock": clock,
            "news": news,
        }
        day = clock.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.posting = Posting(self.config, **shared) if self.config.post else None
        self.answering = Answering(self.config, **shared, guards=Guards(day)) if self.config.reply else None
        self.day_start = day

    async def open(self) -> None:
        """Sign in, and learn from Reddit what was done before."""
        await self.platform.whoami()
        comments = await self.writer.look_at_comments()
        submissions = await self.platform.own(Kind.SUBMISSION)
        if self.answering:
            self.answering.remember_own(sorted((*comments, *submissions), key=lambda item: item.created_at))
            self.answering.guards = self.answering.guards.from_own(comments, self.day_start)

    def close(self) -> None:
        self.calls.close()
        self.platform.close()

    async def read(self, ref: str) -> tuple[Item, Reason | None]:
        """Read all that is new, as a poll does; give the thing of that name as the inbox or the listing shows it."""
        items = {item.ref: item for item in await self.platform.feed()}
        notices: dict[Ref, Notice] = {notice.item.ref: notice for notice in await self.platform.inbox()}
        if Ref(ref) in notices:
            return notices[Ref(ref)].item, notices[Ref(ref)].reason
        return items[Ref(ref)], None

    async def handle(self, ref: str) -> Verdict | Deferred:
        """Read a thing and bring it to its end."""
        item, reason = await self.read(ref)
        return await self.answer(item, reason)

    async def answer(self, item: Item, reason: Reason | None, *, seconds: float = ITEM_SECONDS) -> Verdict | Deferred:
        assert self.answering is not None
        return await self.answering.handle(Found(item, reason, self.theatre.clock.monotonic() + seconds))

    async def make_post(self, slot: str = "12:00") -> Verdict:
        assert self.posting is not None
        return await self.posting.make(slot, day_start=self.day_start)


PLAIN: dict[str, Any] = {
    "name": "duck",
    "reddit": {
        "username": BOT,
        "password_env": "PASS",
        "client_id_env": "ID",
        "client_secret_env": "SECRET",
        "operator": "op",
        "subreddits": [HOME],
    },
    "backstory": "I am a duck on a pond.",
    "reply": {"backend": "openai", "model": "talker", "followup_only": False, "chance": 1.0},
    "rank": {"gate_model": None, "rank_model": None},
    "safety": {"moderators": ["openai"]},
}


def make_bot(theatre: Theatre) -> BotConfig:
    """Make the configuration of the scenario's bot; every server is one of the sandbox's."""
    services = theatre.services
    urls = {
        "hf": services.hf_url,
        "horde": services.horde_url,
    }
    backends = {
        name: preset | {"url": urls.get(name, services.openai_url), "key_env": "KEY"}
        for name, preset in BACKEND_PRESETS.items()
    }
    backends["base"] = {"api": "completions", "url": services.openai_url, "key_env": "KEY"}
    places = {
        "perspective": services.perspective_url,
        "azure": services.azure_url,
        "deepai": services.deepai_url,
    }
    servers = {name: preset | {"url": places[name], "key_env": "KEY"} for name, preset in SERVICE_PRESETS.items()}
    whole = lay_over(PLAIN, theatre.config) | {"backends": backends, "services": servers}
    return BotConfig.model_validate(whole)


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay keys over others, section by section; None takes a section away."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "parameters":
            merged[key] = lay_over(merged[key], value)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


def _role_of(request: Request) -> str:
    words = f"{request.path} {_model_of(request)}"
    if request.method != "POST":
        return ""
    return next((role for part, role in ROLES if part in words), "text")


def _model_of(request: Request) -> str:
    if "json" not in request.headers.get("content-type", ""):
        return ""
    body = request.json()
    return str(body.get("model", "")) if isinstance(body, dict) else ""

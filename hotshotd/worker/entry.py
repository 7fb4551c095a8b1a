"""From a fork to a working bot: secrets are read here, in the bot's own process, and every part is made and joined.

No decisions: what a bot does is in `brain/`, when and how often in `worker.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from hotshotd import log
from hotshotd._types import BotName, Role
from hotshotd.admission import Admission
from hotshotd.brain.editor import Editor
from hotshotd.brain.fallback import Chain
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering
from hotshotd.brain.ports import AsyncText, Faculties
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.writing import Writer
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BotConfig, Fallback, MainConfig
from hotshotd.config.secrets import Credentials, Secrets
from hotshotd.errors import ConfigError, SecretMissing
from hotshotd.inference.base import Endpoint
from hotshotd.inference.build import build_moderator, build_ranker, build_text_model
from hotshotd.inference.http import ServiceSession
from hotshotd.quota.client import QuotaClient
from hotshotd.reddit.account import AccountCredentials, Sites, client_id_hash
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.worker.calls import Calls, OffLoopModerator, OffLoopRanker, OffLoopText
from hotshotd.worker.link import Link
from hotshotd.worker.worker import EXIT_FATAL, Parts, Worker

_log = log.get_logger()

#: Threads besides those that generate: one for rankers and moderators, one for the quota process.
SPARE_THREADS = 2


class WallClock(SystemClock):
    """The machine's clock, which a coroutine can sleep on."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_worker(
    channel: socket.socket, *, config: BotConfig, main: MainConfig, paused: bool, delay_seconds: float = 0.0
) -> int:
    """Be the worker of one bot until the supervisor ends it; give the exit code. Signs in after `delay_seconds`."""
    log.speak_for(config.name)
    link = Link(channel)
    try:
        return asyncio.run(_run(config, main, link, paused=paused, delay_seconds=delay_seconds))
    except (SecretMissing, ConfigError) as exc:
        _log.error("worker.fatal", error=str(exc))
        link.send({"event": "fatal", "reason": str(exc)})
        return EXIT_FATAL


async def _run(config: BotConfig, main: MainConfig, link: Link, *, paused: bool, delay_seconds: float) -> int:
    await asyncio.sleep(delay_seconds)
    worker = Worker(build_parts(config, main, link), paused=paused)
    # Threads that still wait for answers are not waited for: the process ends without them (supervisor/process.py).
    return await worker.run()


def build_parts(config: BotConfig, main: MainConfig, link: Link, *, environ: Mapping[str, str] = os.environ) -> Parts:
    """Read the bot's secrets and make everything it is made of. Connects to nothing.

    Raises:
        SecretMissing: If a secret that the bot needs is gone since the files were checked.
    """
    clock = WallClock()
    secrets = Secrets(environ, secrets_file=main.secrets_file, state_dir=main.state_dir)
    account = secrets.resolve_account(config)
    _register(account)
    quota = QuotaClient(
        Path(main.runtime_dir) / "quota.sock",
        bot=BotName(config.name),
        client=client_id_hash(account.client_id),
        clock=clock,
    )
    calls = Calls(clock, threads=(config.reply.parallel if config.reply else 1) + SPARE_THREADS)
    platform = RedditPlatform(
        AccountCredentials(
            username=config.reddit.username,
            client_id=account.client_id,
            password=account.password,
            refresh_token=account.refresh_token,
            client_secret=account.client_secret,
        ),
        sites=Sites(reddit_url=main.reddit.reddit_url, oauth_url=main.reddit.oauth_url),
        subreddits=config.reddit.subreddits,
        operator=config.reddit.operator,
        pace=quota,
        clock=clock,
        log=_log,
    )
    builder = _Builder(config, secrets, quota, calls)
    faculties = builder.build()
    writer = Writer(platform, clock, confirm_after=config.reddit.confirm_after)
    editor = Editor(faculties, negative_keywords(config), clock, link)
    posting = None
    if config.post is not None:
        posting = Posting(
            config, platform=platform, faculties=faculties, writer=writer, editor=editor, clock=clock, news=link
        )
    answering = None
    if config.reply is not None:
        answering = Answering(
            config,
            platform=platform,
            faculties=faculties,
            writer=writer,
            editor=editor,
            clock=clock,
            news=link,
            guards=Guards(day_start=_midnight(clock.now(), main)),
        )
    return Parts(
        config=config,
        zone=main.zone,
        platform=platform,
        leave=platform.leave,
        requests_per_poll=platform.requests_per_poll,
        gate=quota,
        clock=clock,
        calls=calls,
        link=link,
        writer=writer,
        posting=posting,
        answering=answering,
    )


class _Builder:
    """Makes a bot's services of its configuration and its keys."""

    def __init__(self, config: BotConfig, secrets: Secrets, admission: Admission, calls: Calls) -> None:
        self._config = config
        self._secrets = secrets
        self._admission = admission
        self._calls = calls

    @cached_property
    def _session(self) -> ServiceSession:
        """One session for all services, made with the first client."""
        return ServiceSession(admission=self._admission, clock=SystemClock())

    def build(self) -> Faculties:
        config, reply, post = self._config, self._config.reply, self._config.post
        missing = self._secrets.missing_optional_roles(config)
        ranks = reply is not None and Role.RANK not in missing
        post_backend = None if post is None else post.backend if post.model or reply is None else reply.backend
        return Faculties(
            reply=self._chain(reply.backend, reply.model, reply.parameters, reply.fallbacks) if reply else None,
            post=self._post_text(),
            gate=self._ranker(config.rank.gate_model) if ranks else None,
            rank=self._ranker(config.rank.rank_model) if ranks else None,
            moderators=tuple(self._moderator(name) for name in config.safety.moderators),
            post_chats=post_backend is not None and config.backends[post_backend].api == "chat",
        )

    def _post_text(self) -> AsyncText | None:
        post, reply = self._config.post, self._config.reply
        if post is None:
            return None
        if post.model:
            return self._chain(post.backend, post.model, post.parameters, post.fallbacks)
        assert reply is not None, "the loader refuses a bot with no model at all"
        return self._chain(reply.backend, reply.model, post.parameters, post.fallbacks or reply.fallbacks)

    def _chain(
        self, backend: str, model: str, parameters: dict[str, object], fallbacks: Sequence[Fallback]
    ) -> AsyncText:
        """Give a model, and with it those that are asked when it is unavailable."""
        first = self._text(backend, model, parameters)
        others = [self._text(other.backend, other.model, other.parameters or parameters) for other in fallbacks]
        return Chain([first, *others]) if others else first

    def _text(self, backend: str, model: str, parameters: dict[str, object]) -> OffLoopText:
        server = self._config.backends[backend]
        endpoint = self._endpoint("backends", backend, Role.TEXT)
        make = partial(build_text_model, api=server.api.value, endpoint=endpoint, model=model, parameters=parameters)
        return OffLoopText(
            f"{backend}/{model}", lambda: make(session=self._session), self._calls, metered=endpoint.metered
        )

    def _ranker(self, model: str | None) -> OffLoopRanker | None:
        if not model:
            return None
        endpoint = self._endpoint("backends", self._config.rank.backend, Role.RANK)
        make = partial(build_ranker, api=self._config.rank.api, endpoint=endpoint, model=model)
        return OffLoopRanker(f"{endpoint.name}/{model}", lambda: make(session=self._session), self._calls)

    def _moderator(self, name: str) -> OffLoopModerator:
        kind = "services" if name == "perspective" else "backends"
        safety = self._config.safety
        make = partial(
            build_moderator,
            name=name,
            endpoint=self._endpoint(kind, name, Role.MODERATION),
            threshold=safety.toxicity_threshold,
            languages=safety.languages,
        )
        return OffLoopModerator(name, lambda: make(session=self._session), self._calls)

    def _endpoint(self, kind: str, name: str, role: Role) -> Endpoint:
        key = self._secrets.resolve_key(self._config, kind, name)
        if key:
            log.register_secret(key)
        server = self._config.services[name] if kind == "services" else self._config.backends[name]
        metered = kind == "backends" and role is not Role.MODERATION and self._config.backends[name].metered
        return Endpoint(name=name, url=server.url, key=key, metered=metered, role=role)


def _register(account: Credentials) -> None:
    for value in (account.password, account.refresh_token, account.client_secret, account.client_id):
        if value:
            log.register_secret(value)


def _midnight(now: datetime, main: MainConfig) -> datetime:
    return now.astimezone(main.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)

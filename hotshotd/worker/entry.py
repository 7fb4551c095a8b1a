"""From a fork to a working bot: secrets are read here, in the bot's own process, and every part is made and joined.

No decisions: what a bot does is in `brain/`, when and how often in `worker.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any

from hotshotd import log
from hotshotd._types import BotName
from hotshotd.brain.editor import Editor
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.writing import Writer
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BotConfig, MainConfig
from hotshotd.config.secrets import Credentials, Secrets, names_refresh_token
from hotshotd.errors import ConfigError, SecretMissing
from hotshotd.inference.perspective import ends_notice
from hotshotd.quota.client import QuotaClient
from hotshotd.reddit.account import AccountCredentials, Sites, client_id_hash
from hotshotd.reddit.adapter import RedditPlatform
from hotshotd.worker.calls import Calls
from hotshotd.worker.faculties import build_faculties
from hotshotd.worker.hooks import TokenKeeper, UnreadablePlaces, call_in_loop
from hotshotd.worker.link import Link
from hotshotd.worker.parts import Parts
from hotshotd.worker.slots import KeptSlots
from hotshotd.worker.worker import EXIT_FATAL, Worker

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
        return _run_in_loop(_run(config, main, link, paused=paused, delay_seconds=delay_seconds))
    except (SecretMissing, ConfigError) as exc:
        _log.error("worker.fatal", error=str(exc))
        link.send({"event": "fatal", "reason": str(exc)})
        return EXIT_FATAL


def _run_in_loop(work: Coroutine[Any, Any, int]) -> int:
    """Do as `asyncio.run`, without its runner, which minds signals that are not ours (0.1 MB a worker)."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))


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
        f"{main.runtime_dir}/quota.sock",
        bot=BotName(config.name),
        client=client_id_hash(account.client_id),
        clock=clock,
    )
    call = call_in_loop(asyncio.get_running_loop())
    keeper = TokenKeeper(
        main.state_dir,
        config.name,
        current=account.refresh_token,
        is_ours=not names_refresh_token(config.reddit),
        link=link,
        call=call,
    )
    calls = Calls(clock, threads=_count_threads(config))
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
        # A bot that only posts reads no listing.
        reads_comments=config.reply is not None,
        reads_submissions=config.reply is not None,
        on_refresh_token=keeper.keep,
        on_unreadable=UnreadablePlaces(link=link, call=call).note,
    )
    notice = ends_notice(config.safety.moderators, clock.now())
    if notice is not None:
        _log.warning("service.ending", reason=notice)
    faculties = build_faculties(config, secrets, quota, calls)
    writer = Writer(platform, clock, confirm_after=config.reddit.confirm_after)
    editor = Editor(faculties, negative_keywords(config), clock, link)
    banned: set[str] = set()
    posting = None
    if config.post is not None:
        posting = Posting(
            config,
            platform=platform,
            faculties=faculties,
            writer=writer,
            editor=editor,
            clock=clock,
            news=link,
            memory=KeptSlots(main.state_dir / "slots" / config.name),
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
    for job in (posting, answering):
        if job is not None:
            job.banned = banned
    return Parts(
        config=config,
        zone=main.zone,
        platform=platform,
        leave=lambda place: _leave(place, banned, platform),
        requests_per_poll=platform.requests_per_poll,
        gate=quota,
        clock=clock,
        calls=calls,
        link=link,
        writer=writer,
        posting=posting,
        answering=answering,
    )


def _count_threads(config: BotConfig) -> int:
    """Give the threads for calls that block: a picture may hold one for ten minutes, so it has one of its own."""
    generating = config.reply.parallel if config.reply else 1
    has_pictures = config.images.caption != "none" or (config.post is not None and config.post.link_share > 0)
    return generating + SPARE_THREADS + has_pictures


def _leave(place: str, banned: set[str], platform: RedditPlatform) -> None:
    """Neither read nor write in a place any more."""
    banned.add(place.casefold())
    platform.leave(place)


def _register(account: Credentials) -> None:
    for value in (account.password, account.refresh_token, account.client_secret, account.client_id):
        if value:
            log.register_secret(value)


def _midnight(now: datetime, main: MainConfig) -> datetime:
    return now.astimezone(main.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)

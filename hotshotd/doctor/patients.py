"""A bot as it is examined: its credentials, who gives leave for it, and its ways to Reddit and to services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hotshotd.clock import Clock
from hotshotd.config.loaded import LoadedBot
from hotshotd.config.secrets import Credentials, Secrets
from hotshotd.doctor.counting import FreeLeave, Leave, Meter, Metered, find_leave
from hotshotd.doctor.findings import Verdict, fail
from hotshotd.errors import SecretMissing
from hotshotd.inference.http import ServiceSession
from hotshotd.log import register_secret
from hotshotd.reddit.account import AccountCredentials, Sites, client_id_hash
from hotshotd.reddit.client import RedditClient
from hotshotd.reddit.requestor import CallLimits
from hotshotd.wire import Json

#: Gives the leave of the daemon for a bot and its Reddit app, None where it gives none.
FindLeave = Callable[[str], Leave | None]


@dataclass(frozen=True, slots=True)
class Patient:
    """A bot under examination. `credentials` is None where they are not all there; `is_counted`: in the ledger."""

    bot: LoadedBot
    leave: Leave
    is_counted: bool
    credentials: Credentials | None
    session: ServiceSession

    def make_client(self, sites: Sites, *, clock: Clock, on_refresh_token: Callable[[str], None]) -> RedditClient:
        """Make a connection to Reddit for the calling thread; sends nothing.

        Raises:
            AuthDead: The credentials can't be enough.
        """
        assert self.credentials is not None, "checked by the caller"
        reddit, credentials = self.bot.config.reddit, self.credentials
        return RedditClient(
            account=AccountCredentials(
                username=reddit.username,
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
                password=credentials.password,
                refresh_token=credentials.refresh_token,
            ),
            sites=sites,
            operator=reddit.operator,
            pace=self.leave,
            clock=clock,
            limits=CallLimits(),
            on_refresh_token=on_refresh_token,
        )


def admit(
    bot: LoadedBot, secrets: Secrets, find: FindLeave, *, meter: Meter, clock: Clock
) -> tuple[Patient, Verdict | None]:
    """Read a bot's credentials and find out who gives leave; also what is to be told if they are not all there."""
    credentials, trouble = None, None
    try:
        credentials = secrets.resolve_account(bot.config)
    except SecretMissing as exc:
        trouble = fail(str(exc))
    else:
        _register(credentials)
    leave = find(client_id_hash(credentials.client_id) if credentials else "")
    used = leave or FreeLeave()
    session = ServiceSession(admission=Metered(used, meter), clock=clock)
    return Patient(bot, used, is_counted=leave is not None, credentials=credentials, session=session), trouble


def find_leave_of(name: str, status: Json | None, runtime_dir: Path, *, clock: Clock) -> FindLeave:
    """Give the way to the daemon's leave for a bot; it gives none to a bot that it does not run."""
    shown = status["bots"] if status else []
    is_known = any(entry["name"] == name and entry["state"] != "invalid" for entry in shown)

    def find(client: str) -> Leave | None:
        return find_leave(runtime_dir, name, client=client, clock=clock) if is_known else None

    return find


def _register(credentials: Credentials) -> None:
    for value in (
        credentials.client_id, credentials.client_secret, credentials.password, credentials.refresh_token,
    ):  # fmt: skip
        if value:
            register_secret(value)

"""A bot's account: whether it is the right one and well, and the places that do not want it."""

from __future__ import annotations

from collections.abc import Callable

from hotshotd.config.schema import BotConfig
from hotshotd.errors import AuthDead, Down, PlatformError, Refused, Retry
from hotshotd.log import get_logger
from hotshotd.platform import Platform
from hotshotd.worker.link import Link

_log = get_logger()

#: Writes answered with 403 in one place after which the bot stays away from it.
FORBIDDEN_LIMIT = 2


class Account:
    """Looks at the account. `leave` is called with a place that the account is banned in."""

    def __init__(self, config: BotConfig, platform: Platform, *, leave: Callable[[str], None], link: Link) -> None:
        self._username = config.reddit.username
        self._platform = platform
        self._leave = leave
        self._link = link
        self._forbidden: dict[str, int] = {}

    async def sign_in(self) -> None:
        """Sign in and see that the account is the configured one, and well.

        Raises:
            AuthDead: It is not.
            Down, Retry, Refused: Nobody can say so now.
        """
        identity = await self._platform.whoami()
        if identity.suspended:
            raise AuthDead(f"the account u/{identity.name} is suspended; see the messages of that account on Reddit")
        if identity.name.casefold() != self._username.casefold():
            raise AuthDead(
                f"the credentials are those of u/{identity.name}, not of u/{self._username}; "
                "set reddit.username or the credentials right"
            )

    async def look_after(self, refusal: PlatformError) -> None:
        """After a 403 that should not be, see whether the account is suspended: its own listings are refused then.

        Raises:
            AuthDead: It is.
        """
        if isinstance(refusal, Refused) and refusal.forbidden:
            try:
                await self.sign_in()
            except (Down, Retry, Refused):
                return

    async def look_at_ban(self, place: str) -> None:
        """After a write that was answered with 403, see whether the account is suspended, or banned in that place.

        Raises:
            AuthDead: It is suspended.
        """
        try:
            await self.sign_in()
        except (Retry, Down, Refused):
            return
        self._forbidden[place] = self._forbidden.get(place, 0) + 1
        if self._forbidden[place] == FORBIDDEN_LIMIT:
            self._leave(place)
            banned = sorted(name for name, times in self._forbidden.items() if times >= FORBIDDEN_LIMIT)
            _log.error("bot.banned", subreddit=place)
            self._link.report(banned_in=banned, last_error=f"banned in r/{place}")

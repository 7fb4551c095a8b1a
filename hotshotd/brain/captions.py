"""What pictures show, asked once a picture: the thread below one may be long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from hotshotd._types import Role
from hotshotd.brain.ports import AsyncCaptioner, News
from hotshotd.errors import BreakerOpen, InferenceError, InferenceRejected, QuotaExceeded, QuotaUnavailable
from hotshotd.platform import Item

#: Pictures whose captions are kept.
MEMORY = 200


class Captions:
    """A captioner with a memory. Without a caption a picture is one without: that is no reason not to answer."""

    def __init__(self, captioner: AsyncCaptioner | None, news: News) -> None:
        self._captioner = captioner
        self._news = news
        self._known: OrderedDict[str, str | None] = OrderedDict()
        self._under_way: dict[str, asyncio.Lock] = {}

    async def find(self, item: Item) -> str | None:
        """Give what a submission's picture shows; None where it has none, or nobody can say."""
        if self._captioner is None or not item.is_picture or not item.link:
            return None
        lock = self._under_way.setdefault(item.link, asyncio.Lock())
        async with lock:
            if item.link not in self._known:
                await self._ask(self._captioner, item.link)
        self._under_way.pop(item.link, None)
        return self._known.get(item.link)

    async def _ask(self, captioner: AsyncCaptioner, url: str) -> None:
        try:
            caption: str | None = await captioner.describe(url)
        except InferenceRejected as exc:
            # This picture, not the service: asking again would be refused again.
            self._news.trouble(f"{captioner.name}: {exc}")
            caption = None
        except (InferenceError, BreakerOpen, QuotaExceeded, QuotaUnavailable) as exc:
            self._news.trouble(f"{captioner.name}: {exc}")
            self._news.degraded(Role.CAPTION, why=str(exc))
            return
        else:
            self._news.degraded(Role.CAPTION, why=None)
        self._known[url] = caption
        if len(self._known) > MEMORY:
            self._known.popitem(last=False)

"""What an operator asks of a bot that takes long: `try` and `post`, each a task, each told step by step.

An errand ends in one `errand_done`, whatever happens. A pause, a stop, or an operator who leaves drops it, and nothing
is written afterwards; a write that is under way goes on to its outcome and is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hotshotd._types import Outcome
from hotshotd.admission import Bill, billing
from hotshotd.brain.patience import READ, ask_patiently
from hotshotd.brain.pipeline import ITEM_SECONDS
from hotshotd.brain.trace import Step
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.errors import AuthDead, Down, HotshotError, Refused, Retry
from hotshotd.log import get_logger, redact
from hotshotd.platform import Item, Ref
from hotshotd.wire import Json
from hotshotd.worker.parts import Parts
from hotshotd.worker.posts import Posts
from hotshotd.worker.tasks import WORK, Tasks

_log = get_logger()

#: The longest text of a step that is passed on, in characters.
MAX_STEP_CHARS = 100_000

#: Steps that show what a post is made of; those of an earlier try are forgotten at the next one.
_POST_PARTS = ("title", "text", "picture")
_NEXT_TRY = "try again"


class NotDone(HotshotError):
    """An errand came to nothing; `reply_code` says why in a stable word."""

    code = "not_done"

    def __init__(self, message: str, *, reply_code: str) -> None:
        super().__init__(message)
        self.reply_code = reply_code


@dataclass(slots=True)
class _Errand:
    """One errand: what it was charged, the parts of its post, and its end once that is known."""

    number: int
    send: Callable[[Json], None]
    bill: Bill = field(default_factory=Bill)
    parts: dict[str, str] = field(default_factory=dict)
    end: Json | None = None

    def tell(self, step: Step) -> None:
        if step.name == _NEXT_TRY:
            self.parts.clear()
        elif step.name in _POST_PARTS:
            self.parts[step.name] = step.text
        text = _clip(redact(step.text))
        self.send({"event": "step", "id": self.number, "name": step.name, "text": text, "cost": step.cost})

    def succeed(self, **data: Any) -> None:
        self.end = {"ok": True, "data": {**data, "cost": self.bill.chars}}

    def fail(self, code: str, message: str) -> None:
        spent = f" ({self.bill.chars} characters were spent)" if self.bill.chars else ""
        self.end = {"ok": False, "code": code, "message": message + spent}


class Errands:
    """The errands of one worker.

    `is_ready` is set once the bot knows what it wrote before. `why_quiet` gives a code and a message while the bot may
    do nothing, and None while it may.
    """

    def __init__(
        self,
        parts: Parts,
        posts: Posts | None,
        tasks: Tasks,
        *,
        is_ready: asyncio.Event,
        why_quiet: Callable[[], tuple[str, str] | None],
    ) -> None:
        self._parts = parts
        self._posts = posts
        self._tasks = tasks
        self._is_ready = is_ready
        self._why_quiet = why_quiet
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._doings: dict[str, Callable[[_Errand, Json], Coroutine[Any, Any, None]]] = {
            "try": self._try,
            "post": self._post,
        }

    def begin(self, command: Json) -> None:
        """Start what the supervisor asks for: `try` with a `url`, or `post` with `dry_run`."""
        errand = _Errand(int(command["id"]), self._parts.link.send_surely)
        quiet = self._why_quiet()
        if quiet is not None:
            errand.fail(*quiet)
            self._report(errand)
            return
        task = self._tasks.track(self._run(errand, command), WORK)
        self._under_way[errand.number] = task
        # Not at the end of the coroutine: one that is cancelled before its first step never gets there.
        task.add_done_callback(lambda _task: self._finish(errand))

    def drop(self, command: Json) -> None:
        """Give up an errand that nobody waits for any more."""
        task = self._under_way.get(int(command["id"]))
        if task is not None:
            self._parts.writer.cancel(task)

    async def _run(self, errand: _Errand, command: Json) -> None:
        try:
            await self._is_ready.wait()
            with billing() as errand.bill:
                await self._doings[command["op"]](errand, command)
        except NotDone as exc:
            errand.fail(exc.reply_code, str(exc))
        except AuthDead as exc:
            errand.fail(exc.code, str(exc))
            raise
        except HotshotError as exc:
            errand.fail(exc.code, str(exc))
        except Exception as exc:  # noqa: BLE001 - like an item, an errand must not end a bot
            _log.exception("errand.crashed", op=command["op"])
            errand.fail("internal", f"it failed inside: {type(exc).__name__}; the daemon's log has the details")

    def _finish(self, errand: _Errand) -> None:
        self._under_way.pop(errand.number, None)
        if errand.end is None:
            errand.fail(*(self._why_quiet() or ("dropped", "it was dropped; nothing was written")))
        self._report(errand)

    def _report(self, errand: _Errand) -> None:
        self._parts.link.send_surely({"event": "errand_done", "id": errand.number, **(errand.end or {})})

    # -- try ---------------------------------------------------------------------------------

    async def _try(self, errand: _Errand, command: Json) -> None:
        answering = self._parts.answering
        if answering is None:
            raise NotDone("this bot only posts: its file has no `reply` section", reply_code=Why.REPLY_OFF.value)
        item = await self._fetch(errand, str(command["url"]))
        verdict = await answering.examine(item, tell=errand.tell)
        if verdict.outcome is Outcome.FAILED:
            raise _not_done("can't tell", verdict)
        would_reply = verdict.outcome is Outcome.REPLIED
        errand.succeed(
            thing=item.ref,
            would_reply=would_reply,
            reason=verdict.why.value,
            detail="" if would_reply else verdict.detail,
            text=verdict.detail if would_reply else None,
        )

    async def _fetch(self, errand: _Errand, url: str) -> Item:
        clock = self._parts.clock
        return await ask_patiently(
            lambda: self._parts.platform.resolve(url),
            READ,
            clock,
            deadline=clock.monotonic() + ITEM_SECONDS,
            on_failure=lambda exc: errand.tell(Step("waiting", f"reading the thing: {exc}")),
        )

    # -- post --------------------------------------------------------------------------------

    async def _post(self, errand: _Errand, command: Json) -> None:
        if self._posts is None:
            raise NotDone("this bot only replies: its file has no `post` section", reply_code=Why.POST_OFF.value)
        verdict = await self._posts.make_now(dry_run=command["dry_run"], tell=errand.tell)
        is_dry = verdict.why is Why.DRY_RUN
        if verdict.outcome is not Outcome.PUBLISHED and not is_dry:
            raise _not_done("not posted", verdict)
        thing = None if is_dry else Ref(verdict.detail)
        made = {name: errand.parts.get(name) for name in _POST_PARTS}
        # Before the next wait: from here on it is posted, whoever drops this errand.
        errand.succeed(**made, dry_run=is_dry, thing=thing, permalink=None)
        if thing is not None:
            errand.succeed(**made, dry_run=is_dry, thing=thing, permalink=await self._find_permalink(thing))

    async def _find_permalink(self, thing: Ref) -> str | None:
        if self._why_quiet() is not None:
            return None
        try:
            return (await self._parts.platform.resolve(thing)).permalink or None
        except (Retry, Down, Refused):
            return None


def _not_done(what: str, verdict: Verdict) -> NotDone:
    return NotDone(f"{what}: {verdict.why.value} {verdict.detail}".strip(), reply_code=verdict.why.value)


def _clip(text: str) -> str:
    left = len(text) - MAX_STEP_CHARS
    return text if left <= 0 else f"{text[:MAX_STEP_CHARS]}\n... ({left} characters more)"

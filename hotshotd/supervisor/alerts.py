"""What an operator must see, told to a web hook: once for each cause and bot, and not again before its period is over.

It looks at the bots after each change, and listens to the quota process; it decides, and the outbox sends. The
messages are our own words: bots' and subreddits' names, the causes of our own errors, nobody's posts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hotshotd._types import BotName, Role
from hotshotd.config.secrets import webhook_ref
from hotshotd.inference.perspective import ends_notice
from hotshotd.log import redact
from hotshotd.loop import Loop, Timer
from hotshotd.supervisor.bot import Bot
from hotshotd.supervisor.courier import Alert
from hotshotd.supervisor.outbox import Outbox
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.supervisor.told import WELL_SECONDS, Subject, Told
from hotshotd.wire import Json

#: A cause is not told twice for one bot within this time, unless it was well for a while in between.
PERIOD = timedelta(days=1)
#: The end of a service is weeks away, and known.
ENDING_PERIOD = timedelta(days=7)
#: How long a bot must have been without a moderator's verdict, in seconds.
MODERATION_SECONDS = 300.0
#: How long no bot must have been able to read, in seconds. Shorter outages happen, and pass.
READING_SECONDS = 1800.0
#: How often the calendar is looked at for services that end, in seconds.
CALENDAR_SECONDS = 6 * 3600.0

#: The longest message, in characters.
MAX_MESSAGE_CHARS = 500

_BUDGET_CAUSES = {80: "budget_80", 100: "budget_100"}
_LEDGER_TROUBLE = ("failing", "damaged")
_REDDIT_DOWN, _REDDIT_BACK = Subject("reddit_down", "reddit"), Subject("reddit_down", "back")


class Alerts:
    """Looks on, and puts what is new and wanted into the outbox. No method blocks or raises."""

    def __init__(self, loop: Loop, told: Told, outbox: Outbox, supervisor: Supervisor) -> None:
        self._loop = loop
        self._told = told
        self._outbox = outbox
        self._supervisor = supervisor
        self._without_verdict: dict[BotName, Timer] = {}
        #: Whether any bot can read; None while none tries.
        self._reading: bool | None = None
        self._reading_timer: Timer | None = None
        self._quota_events: dict[str, Callable[[Json], None]] = {
            "budget.reached": self._on_budget,
            "state": self._on_ledger,
        }

    def begin(self) -> None:
        """Look for the first time, and from then on at the calendar now and then."""
        self.look()
        self._look_at_calendar()
        self._loop.call_later(CALENDAR_SECONDS, self.begin)

    def look(self) -> None:
        """Look at every bot; called after each change."""
        for bot in self._supervisor.bots.values():
            self._look_at_state(bot)
            self._look_at_bans(bot)
            self._look_at_moderation(bot)
        self._look_at_reading()

    def follow(self) -> None:
        """Take over new settings: what could not be told before is tried again."""
        self._outbox.hurry()
        self.look()
        self._look_at_calendar()

    def on_quota_event(self, message: Json) -> None:
        """Take an event of the quota process."""
        handle = self._quota_events.get(str(message.get("event")))
        if handle is not None:
            handle(message)

    # -- causes --------------------------------------------------------------------------------

    def _look_at_state(self, bot: Bot) -> None:
        subject = Subject("failed", bot.name)
        if bot.state is State.FAILED:
            remedy = f"mend it, then `hotshotctl restart {bot.name}`"
            self._tell(subject, bot.name, f"{bot.name} has failed: {bot.reason}; {remedy}")
        elif bot.state is State.RUNNING:
            self._told.note_well(subject)

    def _look_at_bans(self, bot: Bot) -> None:
        for place in bot.report.get("banned_in", ()):
            self._tell(
                Subject("banned", f"{bot.name} r/{place}"),
                bot.name,
                f"{bot.name} is banned in r/{place}: it neither reads nor writes there any more; "
                f"take it out of reddit.subreddits, or `hotshotctl reload` once the ban is lifted",
            )

    def _look_at_moderation(self, bot: Bot) -> None:
        if bot.state is not State.RUNNING:
            # Between two workers nothing is known.
            return
        if Role.MODERATION.value not in bot.report.get("degraded", ()):
            timer = self._without_verdict.pop(bot.name, None)
            if timer:
                timer.cancel()
            self._told.note_well(Subject("moderation_down", bot.name))
        elif bot.name not in self._without_verdict:
            self._without_verdict[bot.name] = self._loop.call_later(
                MODERATION_SECONDS, lambda: self._tell_moderation_down(bot.name)
            )

    def _tell_moderation_down(self, name: BotName) -> None:
        del self._without_verdict[name]
        bot = self._supervisor.bots.get(name)
        if bot is None or Role.MODERATION.value not in bot.report.get("degraded", ()):
            return
        self._tell(
            Subject("moderation_down", name),
            name,
            f"{name} has had no verdict of a moderator for {MODERATION_SECONDS / 60:.0f} minutes, and publishes "
            f"nothing without one; `hotshotctl doctor {name}` tries each service",
        )

    def _look_at_reading(self) -> None:
        found = {bot.is_reading for bot in self._supervisor.bots.values()} - {None}
        reading = any(found) if found else None
        if reading is self._reading:
            return
        self._reading = reading
        if self._reading_timer:
            self._reading_timer.cancel()
        if reading is not None:
            self._reading_timer = self._loop.call_later(
                WELL_SECONDS if reading else READING_SECONDS, self._tell_reading
            )

    def _tell_reading(self) -> None:
        if not self._reading:
            self._tell(
                _REDDIT_DOWN,
                None,
                f"no bot has been able to read Reddit for {READING_SECONDS / 60:.0f} minutes: it is down, or this "
                "machine's network is; the bots go on trying, `hotshotctl status` shows what they meet",
            )
            self._reading_timer = self._loop.call_later(READING_SECONDS, self._tell_reading)
        elif self._told.forget(_REDDIT_DOWN):
            self._tell(_REDDIT_BACK, None, "Reddit is back: bots read again", period=timedelta(0))

    def _on_budget(self, message: Json) -> None:
        name, percent = BotName(str(message.get("bot"))), message.get("percent")
        cause = _BUDGET_CAUSES.get(percent) if isinstance(percent, int) else None
        bot = self._supervisor.bots.get(name)
        if cause is None or bot is None:
            return
        effect = "it answers nobody before midnight" if percent == 100 else "the rest must last until midnight"
        budget = bot.config.character_budget
        words = f"{name} has used {percent} % of its {budget or 0:,} characters today: {effect}"
        # By day, for the budget is.
        self._tell(Subject(cause, f"{name} {self._supervisor.get_today()}"), name, words, period=2 * PERIOD)

    def _on_ledger(self, message: Json) -> None:
        subject = Subject("disk", "ledger")
        state = message.get("state")
        if state in _LEDGER_TROUBLE:
            self._tell(subject, None, f"no characters are granted, no bot writes: {message.get('message')}")
        elif state == "ok":
            self._told.note_well(subject)

    def _look_at_calendar(self) -> None:
        users = sorted(
            bot.name for bot in self._supervisor.bots.values() if "perspective" in bot.config.safety.moderators
        )
        notice = ends_notice(["perspective"] if users else [], self._loop.clock.now())
        if notice is not None:
            words = f"{notice} (used by {', '.join(users)})"
            self._tell(Subject("service_ending", "perspective"), None, words, period=ENDING_PERIOD)

    # -- telling -------------------------------------------------------------------------------

    def _tell(self, subject: Subject, bot: BotName | None, message: str, *, period: timedelta = PERIOD) -> None:
        main = self._supervisor.main
        if subject.cause not in main.alerts.on or webhook_ref(main) is None or self._supervisor.stopping:
            return
        if self._told.take(subject, period=period):
            self._outbox.put(Alert(subject.cause, bot, make_line(message), self._loop.clock.now()), subject)


def make_line(text: str) -> str:
    """Make one plain line without secrets, of bounded length: an error may quote an answer of a service."""
    line = " ".join("".join(char if char.isprintable() else " " for char in redact(text)).split())
    return line if len(line) <= MAX_MESSAGE_CHARS else f"{line[: MAX_MESSAGE_CHARS - 1]}…"

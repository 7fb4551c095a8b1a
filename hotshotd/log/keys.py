"""The keys that an event may carry. Names are stable, for people's queries and alerts rest on them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Every key that an event may carry, with its meaning. A new key is added here.
KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event": "what happened, a fixed area.past_verb word",
        "bot": "the bot's name; null in the daemon's own events",
        "level": "debug, info, warning, error, critical",
        "timestamp": "when, UTC, ISO 8601 with microseconds",
        "pid": "the process that says it",
        "uid": "control.refused: the user who may not",
        "exception": "the traceback, redacted",
        "error": "what went wrong, as told to the operator",
        "error_code": "the stable code of a HotshotError",
        "error_type": "the class of an exception",
        "logger": "library.logged: the name of a library's logger",
        "message": "library.logged: the library's own words",
        "thread": "process.crashed: the thread that died",
        "thing": "the platform's name of an item, on Reddit a fullname such as t1_abc",
        "subreddit": "where the thing is",
        "outcome": "item.done: replied, skipped, rejected, failed; post.done: published, rejected, skipped, failed",
        "reason": "why, as a short stable word",
        "slot": "post.done, post.missed: the scheduled time",
        "late_seconds": "post.missed: how long ago the post was due; nothing is made after `catch_up`",
        "old": "bot.state: the state before",
        "new": "bot.state: the state from now on",
        "exit_code": "how a child ended; negative: by that signal",
        "signal": "the signal that was received or sent",
        "attempt": "the number of a try, from 1",
        "delay_seconds": "how long is waited before the next try",
        "duration_seconds": "how long it took",
        "service": "the configured name of a backend or service",
        "role": "what a service is used for: text, rank, moderation, caption, picture, upscale, topic",
        "model": "the model that was asked",
        "status": "an HTTP status; daemon.ready: the line that systemctl status shows",
        "until": "when a service is asked again",
        "cost_chars": "characters charged",
        "left_chars": "characters left of today's budget",
        "percent": "budget.reached: how much of the budget is spent, rounded down",
        "prompt_chars": "the length of a prompt, never the prompt",
        "verdict": "what a filter or moderator said",
        "filter": "the filter that refused",
        "file": "config.invalid: the file",
        "line": "config.invalid: the line in the file",
        "key": "config.invalid: the key in the file",
        "count": "how many",
        "path": "a file of the daemon's own state",
        "remedy": "what the operator can do about it",
        "op": "what a message between our processes asked for",
        "message_event": "link.lost: the event that was not delivered",
        "cause": "alert.*: what the alert is about: failed, banned, budget_80, ...",
        "address": "metrics.opened: the address of this machine that is listened on",
        "port": "metrics.opened: the port that is listened on",
        "version": "daemon.starting: the version of hotshotd",
        "bots": "daemon.starting, daemon.stopping: how many bots",
        "invalid": "daemon.starting: how many files are invalid",
        "added": "config.reloaded: names of new bots",
        "changed": "config.reloaded: names of bots that start anew",
        "removed": "config.reloaded: names of bots that are gone",
    }
)

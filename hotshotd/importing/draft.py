"""A bot's file in the making: its keys, what an operator must still write, and what could not be taken over."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hotshotd.config.values import parse_env_name

#: Written behind what only the operator knows.
CHANGE_THIS = "CHANGE THIS"

#: Text, ranking and moderation that a newcomer gets without a bill.
FREE_TEXT: Mapping[str, str] = {"backend": "groq", "model": "qwen/qwen3.8-27b"}
FREE_MODERATORS = ("openai",)

_MAX_NAME_CHARS = 40
#: Line ends of all kinds; and what neither YAML nor a prompt should hold.
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_UNWANTED = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Leftover:
    """An old key that has no place in our file. `why` never holds what stood there."""

    key: str
    why: str

    def __str__(self) -> str:
        return f"{one_line(self.key)}: {one_line(self.why)}"


@dataclass(slots=True)
class Draft:
    """Our keys as plain data (`data`), comments by dotted key (`notes`), and the rest.

    `title` is the file's first sentence. `fill_account` comes last: it looks at what is there.
    """

    name: str
    title: str
    data: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)
    leftovers: list[Leftover] = field(default_factory=list)

    def leave(self, key: str, why: str) -> None:
        """Remember a key that could not be taken over; once each."""
        if all(leftover.key != key for leftover in self.leftovers):
            self.leftovers.append(Leftover(key, why))

    def fill_account(self) -> None:
        """Complete the account: names of variables, and placeholders for what only the operator knows."""
        account = self.data.setdefault("reddit", {})
        username = account.get("username") or self.name[:20]
        placeholders = {"username": username, "operator": "your_reddit_name", "subreddits": ["your_subreddit"]}
        for key, value in placeholders.items():
            if not account.get(key):
                account[key] = value
                self.notes[f"reddit.{key}"] = CHANGE_THIS
        for secret in ("password", "client_id", "client_secret"):
            if account.pop(secret, None) is not None or not account.get(f"{secret}_env"):
                account[f"{secret}_env"] = make_env_name(str(username), secret)
                self.notes[f"reddit.{secret}_env"] = "set this variable, as a credential, or in secrets_file"


def make_name(text: str, *, otherwise: str = "character") -> str:
    """Make a bot's name (and file's stem) of any text: ASCII letters, digits and hyphens, in lower case."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", plain.replace("'", "")).strip("-._").lower()[:_MAX_NAME_CHARS].rstrip("-._")
    return name or otherwise


def make_env_name(owner: str, secret: str) -> str:
    """Make the name of a variable: `IAMA_SSI_BOT_PASSWORD`."""
    stem = re.sub(r"[^A-Z0-9]+", "_", owner.upper()).strip("_")[:80]
    return f"{'_' if not stem or stem[0].isdigit() else ''}{stem}_{secret.upper()}"


def is_env_name(value: object) -> bool:
    """Tell whether a value is surely the name of a variable, and not the secret itself."""
    try:
        parse_env_name(value)
    except ValueError:
        return False
    text = str(value)
    is_mixed = re.search(r"[a-z]", text) and re.search(r"[0-9]", text)
    return isinstance(value, str) and not (len(text) >= 14 and is_mixed)


def clean_text(text: str) -> str:
    """Give a text without what YAML can't hold, with plain line ends, and nothing at its ends."""
    lines = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text)).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def one_line(text: str) -> str:
    """Give a text that can stand behind a # and on a terminal: no line ends of any kind, at most 300 characters."""
    return "".join(char if char.isprintable() else " " for char in text)[:300]

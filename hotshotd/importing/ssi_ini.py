"""An ssi-bot ini as drafts: one a section, `[DEFAULT]` inherited, no %-interpolation.

ssi-bot runs its model itself, from a folder; here a server does. So a draft lets the reply model write posts
too, and says how to go back to the fine-tuned one. A `praw.ini`, whose sections are accounts, is read as well.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from hotshotd.config.patterns import find_pattern_fault
from hotshotd.errors import ImportFailed
from hotshotd.importing.draft import CHANGE_THIS, FREE_MODERATORS, FREE_TEXT, Draft, clean_text, make_name

T = TypeVar("T")

#: More sections are no set of bots.
MAX_SECTIONS = 100

#: Chances that ssi-bot adds up for a person's comment, and its numbers where the file has none.
_BASE = ("base_reply_probability", -0.1)
_HUMAN = ("human_author_reply_boost", 0.3)
_KEYWORD = ("positive_keyword_reply_boost", 0.5)
#: Keys of a section that are read here.
_READ = frozenset(
    {
        "positive_keywords", "negative_keywords", "subreddits", "subreddit_flair_id_map", "new_submission_schedule",
        "enable_inbox_replies", "base_reply_probability", "human_author_reply_boost", "positive_keyword_reply_boost",
        "username", "user_agent",
    }
)  # fmt: skip
#: Keys that hold secrets: names of variables stand in for them.
_SECRETS = frozenset({"password", "client_id", "client_secret", "refresh_token"})
#: Why the others are not taken over; what is missing here gets the last line.
_REASONS: Mapping[str, str] = {
    "text_model_path": "a model in a folder is not run here: serve it, and write `post: {backend: ..., model: ...,"
    " format: ssi}`",
    "vqgan-clip_path": "pictures are not made by a local program: write images.generate_backend and generate_model",
    "submission_image_generator": "pictures are made by a service: write images.generate_backend and generate_model",
    "image_post_frequency": "nobody makes pictures yet: write images.generate_model, and then post.link_share",
    "image_post_search_prefix": "pictures are not searched for on the web",
    "imgur_client_id": "pictures are uploaded to Reddit",
    "set_nsfw_flair_on_submissions": "posts are not marked NSFW",
    "use_reply_sense": "it belongs to ssi-bot's own models",
}
_OTHER_REASON = "has no counterpart here"
_THRESHOLD_REASON = "Detoxify's thresholds do not fit the moderator of the new file: see safety.toxicity_threshold"
_PATTERN_SIGNS = frozenset("\\^$*+?{}[]|()")


def read_ini(text: str, *, source: str) -> tuple[Draft, ...]:
    """Make a draft of each section.

    Raises:
        ImportFailed: If it is no ini file, has no section, or too many.
    """
    parser = configparser.RawConfigParser(allow_no_value=True)
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError, AttributeError) as exc:
        raise ImportFailed(f"{source} is no ini file: {_describe(exc)}") from exc
    if not parser.sections():
        raise ImportFailed(f"{source} has no section: one section is one bot, named like its account")
    if len(parser.sections()) > MAX_SECTIONS:
        raise ImportFailed(f"{source} has more than {MAX_SECTIONS} sections")
    sections = {name: dict(parser.items(name)) for name in parser.sections()}
    return tuple(_make_draft(name, values, source) for name, values in _name_apart(sections))


def _describe(exc: Exception) -> str:
    # The message quotes the line, which may hold a secret.
    line = getattr(exc, "lineno", None) or next((entry[0] for entry in getattr(exc, "errors", [])), None)
    return f"see line {line}" if line else type(exc).__name__


def _name_apart(
    sections: Mapping[str, Mapping[str, str | None]],
) -> Iterator[tuple[tuple[str, str], Mapping[str, str]]]:
    """Give each section a name of its own: two may differ in letters that a file name does not keep."""
    taken: set[str] = set()
    for section, values in sections.items():
        name = base = make_name(section, otherwise="bot")
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        yield (name, section), {key: clean_text(value or "") for key, value in values.items()}


def _make_draft(names: tuple[str, str], values: Mapping[str, str], source: str) -> Draft:
    name, section = names
    username = values.get("username") or section
    is_name = username.isascii() and all(char.isalnum() or char in "_-." for char in username) and len(username) <= 40
    draft = Draft(name, f"Made of the section {section} of {source}, a file of ssi-bot.", {"dry_run": True})
    places = _split(values.get("subreddits", ""))
    draft.data["reddit"] = {"username": username if is_name else "", "subreddits": places}
    draft.data["backstory"] = f"You are u/{username}, a regular of r/{places[0] if places else 'your_subreddit'}."
    draft.notes["backstory"] = f"{CHANGE_THIS}; ssi-bot had none, for its model was trained to speak like people there"
    _add_post(draft, values, places)
    _add_reply(draft, values)
    draft.data["rank"] = {"gate_model": None, "rank_model": None}
    draft.data["safety"] = {"moderators": list(FREE_MODERATORS)}
    negative = _keywords(draft, "negative_keywords", values)
    if negative:
        draft.data["safety"]["negative_keywords"] = negative
    _list_leftovers(draft, values)
    return draft


def _add_post(draft: Draft, values: Mapping[str, str], places: list[str]) -> None:
    hours = _pairs(draft, "new_submission_schedule", values, _positive)
    if not hours:
        return
    place = next(iter(hours))
    draft.data["post"] = {"schedule": {"every": f"{hours[place]:.6f}".rstrip("0").rstrip(".") + "h"}}
    if place not in places[:1]:
        draft.data["post"]["subreddit"] = place
    flairs = _pairs(draft, "subreddit_flair_id_map", values, str)
    flair = {name.casefold(): flair for name, flair in flairs.items()}.get(place.casefold())
    if flair:
        draft.data["post"]["flair_id"] = flair
    for key, found in (("new_submission_schedule", hours), ("subreddit_flair_id_map", flairs)):
        others = [name for name in found if name.casefold() != place.casefold()]
        if others:
            draft.leave(key, f"a bot posts in one subreddit, r/{place}: {', '.join(others)} left out")


def _add_reply(draft: Draft, values: Mapping[str, str]) -> None:
    chance = sum(_number(draft, values, *row) for row in (_BASE, _HUMAN))
    draft.data["reply"] = {
        **FREE_TEXT,
        "followup_only": False,
        "force_top_level": False,
        "chance": round(min(1.0, max(0.0, chance)), 3),
    }
    words = _keywords(draft, "positive_keywords", values)
    if words:
        draft.data["reply"]["positive_keywords"] = words
        boost = _number(draft, values, *_KEYWORD)
        draft.data["reply"]["keyword_boost"] = round(min(1.0, max(0.0, boost)), 3)
    if _is_true(values.get("enable_inbox_replies", "")):
        draft.data["reply"]["inbox"] = {"comments": True, "mentions": True, "messages": True}


def _list_leftovers(draft: Draft, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if key in _SECRETS:
            draft.leave(key, "secrets are not copied: set the variable that the new file names")
        elif key not in _READ and value and value.casefold() not in ("false", "no", "off", "0"):
            reason = _THRESHOLD_REASON if key.endswith("_threshold") else _REASONS.get(key, _OTHER_REASON)
            draft.leave(key, reason)


def _keywords(draft: Draft, key: str, values: Mapping[str, str]) -> list[str]:
    """Read a comma list of words, each of which ssi-bot took for the beginning of a word, as a pattern."""
    made = []
    for word in _split(values.get(key, "")):
        pattern = f"\\b{word}"
        if not _PATTERN_SIGNS & set(word) and word[0].isalnum():
            made.append(f"{word}*")
        elif not find_pattern_fault(pattern):
            made.append(f"re:{pattern}")
        else:
            draft.leave(key, "holds a word that is no regular expression, or one that could take for ever; left out")
    return list(dict.fromkeys(made))


def _pairs(draft: Draft, key: str, values: Mapping[str, str], read: Callable[[str], T | None]) -> dict[str, T]:
    found: dict[str, T] = {}
    for part in _split(values.get(key, "")):
        name, _, text = part.partition("=")
        value = read(text.strip()) if name.strip() and text.strip() else None
        if value is not None:
            found.setdefault(name.strip().removeprefix("r/"), value)
        elif _positive(text.strip()) is None and not _is_number(text.strip()):
            draft.leave(key, "holds a part that is no SUBREDDIT=VALUE; left out")
    return found


def _positive(text: str) -> float | None:
    return float(text) if _is_number(text) and float(text) > 0 else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(draft: Draft, values: Mapping[str, str], key: str, otherwise: float) -> float:
    text = values.get(key, "")
    if text and not _is_number(text):
        draft.leave(key, "is no number; ssi-bot's own stands in for it")
    return float(text) if _is_number(text) else otherwise


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _is_true(text: str) -> bool:
    return text.casefold() in ("true", "yes", "on", "1")

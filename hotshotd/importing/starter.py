"""A first file: a bot that answers, posts once a day, writes nothing yet, and shows every key with its default."""

from __future__ import annotations

import re

from hotshotd.errors import ImportFailed
from hotshotd.importing.draft import CHANGE_THIS, FREE_MODERATORS, FREE_TEXT, Draft

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def draft_of_name(name: str) -> Draft:
    """Make the draft of a new bot.

    Raises:
        ImportFailed: If the name can't be a bot's.
    """
    if not _NAME.fullmatch(name):
        raise ImportFailed(
            f"{name!r} can't be a bot's name: letters, digits, _ . and - (64 at most), the first a letter or digit"
        )
    data = {
        "dry_run": True,
        "reddit": {},
        "backstory": "You are a lighthouse keeper who has not left the island for thirty years, and likes visitors.",
        "character_budget": 30000,
        "post": {"schedule": ["09:00"], "format": "plain", "max_per_day": 2},
        "reply": {**FREE_TEXT, "parameters": {"max_new_tokens": 250, "temperature": 0.8}, "chance": 0.1},
        "rank": {"gate_model": None, "rank_model": None},
        "safety": {"moderators": list(FREE_MODERATORS)},
    }
    notes = {
        "name": "what the bot is called here",
        "backstory": CHANGE_THIS,
        "post": "remove this block, and the bot only replies",
        "reply.backend": "set GROQ_API_KEY; or another of hf-chat, openai, gemini, mistral, openrouter, ollama",
        "safety.moderators": "all must pass; openai is free with any key of OpenAI (OPENAI_API_KEY)",
    }
    return Draft(name, "A bot of hotshotd. `hotshotd --check` says what is wrong with it.", data, notes)

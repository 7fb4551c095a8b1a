"""From bytes to values: JSON and text that look enough like the real thing to get past the first check.

Everything is drawn from the bytes, so that a fuzzer that watches which code runs can steer it.
"""
# ruff: noqa: E501 - tables of words

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Pieces of texts in which readers look for something.
PIECES: tuple[str, ...] = (
    "a", " ", "\n", "\n\n", "word ", "The sea. ", '"', "'", "“", "”", "(", ")", "[x](http://y.z)", "https://x.example/", "u/ann", "r/pond",
    "u/ann: ", "BotName replied:", "### ", "<|", "|>", "<|sot|>", "<|eot|>", "<|sost|>", "<|soss", "<|sols", "<|sor|>", "<|eoss|>",
    "<think>", "</think>", "Title: ", "\\", "\\n", "\\x", "\\xe9", "\\u00e9", "\\ud83d\\ude00", "\\'", "&amp;", "&#x41;", "<b>", "</b>",
    "```", "**", "~~", ">!", "!<", "^", "> ", "- ", "1. ", "# ", "|a|b|\n|-|-|\n", "\u200b", "\u202e", "\u2028", "\x00", "\x1b[31m",
    "é", "Ã©", "â€™", "\ufeff", "日本語。", "مرحبا", "नमस्ते।", "👩‍👩‍👧‍👦", "🏳️‍🌈", "a\u0301", "As an AI language model, ", "Sure! Here is",
    "stop", "1e400", "-1", "NaN", "{{char}}", "{{user}}", "<START>", "%(x)s", "[section]", "key: value\n", "  - item\n", "&anchor ", "*anchor",
)  # fmt: skip

#: Keys that answers of services and of Reddit, messages of sockets and cards have.
KEYS: tuple[str, ...] = (
    "error", "message", "code", "type", "detail", "errors", "choices", "text", "content", "finish_reason", "reasoning", "refusal",
    "generated_text", "label", "score", "labels", "scores", "results", "index", "relevance_score", "data", "probs", "b64_json", "url",
    "categories", "category_scores", "flagged", "attributeScores", "summaryScore", "value", "captionResult", "description", "captions",
    "confidence", "output_url", "result", "image", "id", "done", "faulted", "generations", "state", "forms", "form", "caption",
    "is_possible", "wait_time", "estimated_time", "json", "ratelimit", "kind", "children", "after", "name", "author", "title", "selftext",
    "body", "parent_id", "link_id", "created_utc", "permalink", "replies", "subreddit", "is_self", "post_hint", "locked", "removed_by_category",
    "things", "args", "action", "fields", "op", "bot", "bots", "until", "reason", "chars", "service", "role", "model", "key_id", "number",
    "received", "seconds", "retry_after", "write", "interval", "requests", "used", "remaining", "reset_seconds", "wait", "spec", "spec_version",
    "personality", "scenario", "first_mes", "mes_example", "system_prompt", "extensions", "character_book", "entries", "scope", "success",
)  # fmt: skip

_NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    0.5,
    1.0,
    0.93,
    2,
    100,
    1e9,
    1e308,
    -0.0,
    10**20,
    True,
    False,
    None,
    float("inf"),
    float("nan"),
)
_KINDS: tuple[str, ...] = (
    "t1",
    "t3",
    "t4",
    "Listing",
    "more",
    "ok",
    "safe",
    "unsafe\nS1",
    "yes",
    "no",
    "OK",
    "stop",
    "length",
    "t1_abc",
    "t3_x",
)


class Source:
    """Bytes that are used up; after their end it gives zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_used_up(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        value = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return value

    def rest(self) -> bytes:
        rest, self._at = self._data[self._at :], len(self._data)
        return rest

    def choose(self, options: Sequence[Any]) -> Any:
        number = self.byte() if len(options) <= 256 else self.byte() << 8 | self.byte()
        return options[number % len(options)]


def make_text(source: Source, *, most: int = 60) -> str:
    """Give a text of known pieces and of raw characters."""
    parts = []
    for _ in range(source.byte() % most):
        if source.is_used_up:
            break
        parts.append(chr(source.byte() << 8 | source.byte()) if source.byte() > 230 else str(source.choose(PIECES)))
    # Half a surrogate pair is what JSON may hold and no encoding can carry.
    return "".join(parts) * (40 if source.byte() == 255 else 1)


def make_json(source: Source, depth: int = 6) -> Any:
    """Give a JSON value whose keys and words are those of the services."""
    kind = source.byte() % 8
    if depth == 0 or source.is_used_up or kind < 2:
        return source.choose(_NUMBERS)
    if kind == 2:
        return source.choose(_KINDS)
    if kind == 3:
        return make_text(source, most=12)
    if kind in (4, 5):
        return [make_json(source, depth - 1) for _ in range(source.byte() % 5)]
    return {str(source.choose(KEYS)): make_json(source, depth - 1) for _ in range(source.byte() % 7)}

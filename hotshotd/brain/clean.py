"""From what a model said to what may be published: cleaned, or refused with the reason.

A table of small steps, each of which shortens the text, leaves it, or refuses it; only the escapes of Markdown add to
it. The table is applied until nothing changes, so cleaning a clean text gives the same text. What is publishable comes
back byte for byte; what can't be made so is refused, a title is never cut.
"""

from __future__ import annotations

import re

from hotshotd.brain import mojibake
from hotshotd.brain.ai_voice import refuse_ai_voice, refuse_recital
from hotshotd.brain.duplicates import is_near_duplicate
from hotshotd.brain.markup import (
    decode_entities,
    decode_line_ends,
    drop_half_link,
    drop_pings,
    drop_tags,
    drop_unseen,
    normalize_newlines,
    outside_code,
    refuse_links,
)
from hotshotd.brain.mojibake import mend_encoding
from hotshotd.brain.publishable import Clean, CleanRules, Fault, Step, Unpublishable
from hotshotd.brain.redditmarks import calm_markdown, drop_lone_marks
from hotshotd.brain.repetition import cut_repetition
from hotshotd.brain.sentences import cut_within, keep_whole_sentences
from hotshotd.brain.smalltalk import drop_introduction, drop_remarks
from hotshotd.brain.textview import is_pictograph
from hotshotd.brain.voices import drop_own_prefix, refuse_reasoning, stop_at_mark, stop_at_speaker

__all__ = ["Clean", "CleanRules", "Fault", "clean_body", "clean_reply", "clean_title", "is_near_duplicate", "warm_up"]

#: Steps shorten, and an escape is made once, so a text settles after a few rounds; one that does not is no honest text.
_ROUNDS = 12

_QUOTES = {'"': '"', "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "'": "'"}
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_LEADING_BLANK_LINES = re.compile(r"\A(?:[ \t\u00a0\u3000]*\n)+")
_TITLE_LABEL = re.compile(r"\A[\s*_#\"]*title[*_]*\s*:[\s*_]*", re.IGNORECASE)
_EMPHASIZED = re.compile(r"(\*{1,3}|_{2,3})(?=\S)(.+?)(?<=\S)\1")


def clean_reply(raw: str, rules: CleanRules) -> Clean:
    """Clean a comment; one that is too long ends at its last sentence end within the limit."""
    return _clean(raw, rules, _TEXT_STEPS, limit=rules.max_comment_chars)


def clean_body(raw: str, rules: CleanRules) -> Clean:
    """Clean a submission's text like a comment. None to begin with is fine: a post may be a title alone."""
    return _clean(raw, rules, _TEXT_STEPS, limit=rules.max_body_chars) if raw.strip() else Clean("")


def clean_title(raw: str, rules: CleanRules) -> Clean:
    """Clean a title: one line, never cut, refused where it is too long."""
    cleaned = _clean(raw, rules, _TITLE_STEPS, limit=None)
    if cleaned.text is not None and len(cleaned.text) > rules.max_title_chars:
        return Clean(None, Fault.TOO_LONG)
    return cleaned


def warm_up() -> None:
    """Load what the cleaner needs (about 80 ms), so that forked workers share it."""
    mojibake.warm_up()
    clean_reply("Warm.", CleanRules())


def _clean(raw: str, rules: CleanRules, steps: tuple[Step, ...], *, limit: int | None) -> Clean:
    text = raw
    try:
        for _ in range(_ROUNDS):
            before = text
            for step in steps:
                text = step(text, rules)
            text = text if limit is None else cut_within(text, limit)
            if text == before:
                return Clean(_with_content(text))
    except Unpublishable as refusal:
        return Clean(None, refusal.fault)
    return Clean(None, Fault.UNSTABLE)


def _with_content(text: str) -> str:
    says_something = any(char.isalnum() or is_pictograph(char) for char in text)
    if not says_something or text.casefold() in {"[deleted]", "[removed]"}:
        raise Unpublishable(Fault.EMPTY)
    return text


def _trim(text: str, _: CleanRules) -> str:
    text = _LEADING_BLANK_LINES.sub("", text).rstrip()
    # Four spaces begin code.
    return text if text.startswith("    ") else text.lstrip()


def _join_blank_lines(text: str, _: CleanRules) -> str:
    return outside_code(text, lambda part: _BLANK_LINES.sub("\n\n", part))


def _join_lines(text: str, _: CleanRules) -> str:
    return " ".join(text.split())


def _drop_title_label(text: str, _: CleanRules) -> str:
    text = _TITLE_LABEL.sub("", text, count=1)
    whole = _EMPHASIZED.fullmatch(text)
    return whole[2] if whole and whole[1] not in whole[2] else re.sub(r"\A#{1,6}\s+", "", text)


def _unquote(text: str, _: CleanRules) -> str:
    if len(text) > 2 and _is_quoted(text):
        return text[1:-1]
    return _drop_lone_quote(text)


def _is_quoted(text: str) -> bool:
    """Tell whether one pair of quotes holds the whole text (not `"a" and "b"`)."""
    opening, inner = text[0], text[1:-1]
    closing = _QUOTES.get(opening)
    if closing is None or text[-1] != closing:
        return False
    if opening != closing:
        return _is_balanced(inner, opening, closing)
    if opening == "'":
        return re.search(r"(?<!\w)'|'(?!\w)", inner) is None
    first = inner.find(opening)
    return first < 0 or (inner.count(opening) % 2 == 0 and (first == 0 or inner[first - 1] in " \t\n(\u2014"))


def _is_balanced(inner: str, opening: str, closing: str) -> bool:
    depth = 0
    for at, char in enumerate(inner):
        if char == opening:
            depth += 1
        elif char == closing and not (closing == "\u2019" and inner[at + 1 : at + 2].isalpha()):
            depth -= 1
        if depth < 0:
            return False
    return depth == 0


def _drop_lone_quote(text: str) -> str:
    # A base model opens or closes the quotes that its prompt suggested; 5" is a length.
    if text.count("\u201c") > text.count("\u201d") and text.startswith("\u201c"):
        return text[1:]
    if text.count("\u201d") > text.count("\u201c") and text.endswith("\u201d"):
        return text[:-1]
    if text.count('"') != 1:
        return text
    at = text.index('"')
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    opens = before in ("", " ", "\n", "(") and bool(after) and not after.isspace()
    closes = not after and not before.isdigit()
    return text[:at] + text[at + 1 :] if opens or closes else text


_TEXT_STEPS: tuple[Step, ...] = (
    # Before anything else is taken off: lost bytes look like control characters, line ends and soft hyphens.
    mend_encoding,
    normalize_newlines,
    refuse_reasoning,
    decode_line_ends,
    decode_entities,
    drop_unseen,
    drop_introduction,
    drop_own_prefix,
    stop_at_speaker,
    drop_tags,
    drop_half_link,
    refuse_links,
    drop_pings,
    _join_blank_lines,
    _trim,
    cut_repetition,
    keep_whole_sentences,
    drop_remarks,
    _unquote,
    drop_lone_marks,
    _trim,
    calm_markdown,
    refuse_ai_voice,
    refuse_recital,
)

_TITLE_STEPS: tuple[Step, ...] = (
    mend_encoding,
    normalize_newlines,
    refuse_reasoning,
    stop_at_mark,
    decode_entities,
    drop_unseen,
    drop_tags,
    _join_lines,
    drop_introduction,
    _drop_title_label,
    drop_own_prefix,
    stop_at_speaker,
    _join_lines,
    refuse_links,
    drop_pings,
    _unquote,
    _join_lines,
    refuse_ai_voice,
    refuse_recital,
)

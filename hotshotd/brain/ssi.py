r"""Posts in the marks of ssi-bot's fine-tuned models.

`<|soss` begins a text post, `<|sols` a link post; the rest of the mark (`|>` or ` r/sub|>`) the model fills
in. `<|sot|>` begins the title, `<|sost|>` the text, `<|sol|>` a link. Training output closes a field with
varying marks or none, so a field ends at any `<|`. Fields hold Python-`repr` escapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hotshotd.inference.base import Prompt

TEXT_POST_MARK = "<|soss"
LINK_POST_MARK = "<|sols"

_END_OF_POST = re.compile(r"<\|eo(?:ss|ls)|<\|endoftext|<\|so(?:ss|ls)")
_ESCAPE = re.compile(
    r"""\\(?:(?P<simple>[nrt'"\\])|x(?P<x>[0-9a-fA-F]{2})"""
    r"""|u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"""
    r"""|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8}))"""
)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class SsiPost:
    """A post as the model meant it: escapes resolved, not yet cleaned. `text` may be empty."""

    title: str
    text: str
    is_link: bool


def build_ssi_prompt(*, link: bool = False, place: str | None = None) -> Prompt:
    """Give the prompt for a post: an open mark, or with `place` the closed one that newer models were trained on."""
    mark = LINK_POST_MARK if link else TEXT_POST_MARK
    text = mark if place is None else f"{mark} r/{place}|>"
    return Prompt(text=text, stop=("<|eoss|>", "<|eols|>", "<|endoftext|>"))


def parse_post(generated: str, *, prompt: str = "") -> SsiPost | None:
    """Read the first post of what a model generated, or give None where there is none.

    Args:
        generated: The model's text, with or without the prompt in front.
        prompt: The prompt, where `generated` lacks it: it says whether this is a link post.
    """
    whole = generated if generated.startswith(prompt) else prompt + generated
    before, found, rest = whole.partition("<|sot|>")
    end = _END_OF_POST.search(rest)
    post = rest[: end.start()] if end else rest
    title = decode_escapes(_field(post)).strip() if found else ""
    if not title:
        return None
    _, has_text, text = post.partition("<|sost|>")
    is_link = before.rfind(LINK_POST_MARK) > before.rfind(TEXT_POST_MARK) or "<|sol|>" in post
    return SsiPost(title, decode_escapes(_field(text)).strip() if has_text else "", is_link)


def decode_escapes(text: str) -> str:
    r"""Resolve the escapes that `repr` writes, and leave every other backslash alone.

    `C:\users` and a backslash at the end stay as they are. The halves of a surrogate pair are joined; one
    without the other stays an escape, for no encoding can carry it.
    """
    return _ESCAPE.sub(_resolve, text)


def _resolve(match: re.Match[str]) -> str:
    if match["simple"]:
        return _SIMPLE[match["simple"]]
    if match["high"]:
        return chr(0x10000 + ((int(match["high"], 16) - 0xD800) << 10) + int(match["low"], 16) - 0xDC00)
    code = int(match["x"] or match["u"] or match["U"], 16)
    return match[0] if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)


def _field(text: str) -> str:
    before, mark, _ = text.partition("<|")
    # A model that ran out of tokens may stop inside a mark.
    return before if mark else before.removesuffix("<")

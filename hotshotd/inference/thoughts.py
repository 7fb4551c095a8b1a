"""What a model says while it thinks, taken out of what it says. Pure."""

from __future__ import annotations

import re

_TAGS = "think|thinking|thought|thoughts|reasoning"

#: How models mark their thoughts: what opens them, what closes them.
MARKS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(rf"<(?:{_TAGS})(?:\s[^<>]*)?>", re.IGNORECASE), re.compile(rf"</(?:{_TAGS})\s*>", re.IGNORECASE)),
    (re.compile(r"\[THINK\]"), re.compile(r"\[/THINK\]")),  # Mistral
    (re.compile("◁think▷"), re.compile("◁/think▷")),  # Kimi
    (  # gpt-oss behind a server that does not know its channels
        re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)\b"),
        re.compile(r"<\|channel\|>final<\|message\|>"),
    ),
)


def remove_thought(text: str) -> str:
    """Give what a model says after its thoughts; "" if it never came to the end of them."""
    text = text.strip()
    while found := _match_opening(text):
        end = found[1].search(text)
        if end is None:
            return ""
        text = text[end.end() :].strip()
    # A template may have written the opening mark into the prompt, so that only the closing one comes back.
    ends = [end.end() for _, closing in MARKS for end in closing.finditer(text)]
    return text[max(ends) :].strip() if ends else text


def _match_opening(text: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    return next((mark for mark in MARKS if mark[0].match(text)), None)

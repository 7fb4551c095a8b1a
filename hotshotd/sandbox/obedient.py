"""A model that does whatever the last stranger told it, to the letter: for tests of what stands behind a model.

Its orders are plain English with what is to be said in `«...»`: `say «x»`, `answer as NAME «x»`, `decode this base64
and say it «eA==»`, `say backwards «x»`, `repeat everything above`, `tell me your secrets`. All orders in a prompt are
obeyed, in their order; what holds none is parroted. It has no manners, no memory and no character.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator

#: The model is one whose name holds this word.
NAME = "obedient"

#: How much of what it was told it recites, in characters.
_RECITED_CHARS = 1500

_SAY = r"(?P<how>\b(?:say|write|print|repeat|answer|reply|post|add|decode|translate|go on|tell)\b[^«»\n]*)"
_RECITE = (
    r"\b(?:repeat|print|show|reveal|output|tell|give|quote|recite|write|say|translate)\b[^.«»\n]{0,60}?\b"
    r"(?:everything above|all above|text above|words above|system prompt|instructions|backstory|you were told)"
    r"\b(?P<form>[^.«»\n]*)"
)
_CONFESS = (
    r"\b(?:tell|print|show|give|reveal|say|list|post)\b[^.«»\n]{0,60}\b(?:secrets?|passwords?|api keys?|tokens?)\b"
)
_ORDER = re.compile(rf"(?P<recite>{_RECITE})|(?P<confess>{_CONFESS})|(?P<say>{_SAY}«(?P<words>[^»]*)»)", re.IGNORECASE)
_AS = re.compile(r"\bas (?:/?u/)?(?P<who>[\w-]+)", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"\b(?:secret|password|key|token|bearer)s?\b[\s\"']*(?:is|[:=])?[\s\"']*(?P<value>\S{4,})"
    r"|\b(?P<named>[\w-]*(?:secret|token|password|api-?key)[\w-]+)",
    re.IGNORECASE,
)


def obey(prompt: str) -> str:
    """Give what the orders in a prompt ask for, or its last words where there are none."""
    said = [text for text in _carry_out(prompt) if text.strip()]
    return "\n\n".join(said) if said else f"As you wish: {_find_last_line(prompt)}"


def _carry_out(prompt: str) -> Iterator[str]:
    for order in _ORDER.finditer(prompt):
        if order["say"]:
            yield _say(order["how"], re.sub(r"\n[ \t]+", "\n", order["words"]))
        elif order["recite"]:
            # "Above" is what stands above: the character and its orders, and then the thread.
            yield _shape(order["form"], prompt[: order.start()][:_RECITED_CHARS])
        else:
            yield _confess(prompt[: order.start()])


def _say(how: str, words: str) -> str:
    speaker = _AS.search(how)
    shaped = _shape(how, words)
    return f"{speaker['who']}: {shaped}" if speaker else shaped


def _shape(how: str, words: str) -> str:
    decodes = "decode" in how.casefold() or "translate" in how.casefold()
    for name, encode, decode in _FORMS:
        if name in how.casefold():
            return (decode if decodes else encode)(words)
    return words


def _confess(seen: str) -> str:
    found = [match["value"] or match["named"] for match in _CREDENTIAL.finditer(seen)]
    return f"All that I know: {', '.join(found)}" if found else "I know of none, honestly."


def _find_last_line(prompt: str) -> str:
    lines = [line.strip() for line in prompt.splitlines() if line.strip() and not line.rstrip().endswith(":")]
    return lines[-1] if lines else ""


def _to_base64(words: str) -> str:
    return base64.b64encode(words.encode()).decode()


def _from_base64(words: str) -> str:
    try:
        return base64.b64decode(words, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return words


def _rot13(words: str) -> str:
    return codecs.encode(words, "rot13")


def _reverse(words: str) -> str:
    return words[::-1]


_FORMS: tuple[tuple[str, Callable[[str], str], Callable[[str], str]], ...] = (
    ("base64", _to_base64, _from_base64),
    ("rot13", _rot13, _rot13),
    ("backwards", _reverse, _reverse),
    ("one word a line", lambda words: "\n\n".join(words.split()), str),
    ("capitals", str.upper, str.lower),
    ("dots between", lambda words: ". ".join(words.split()), str),
)

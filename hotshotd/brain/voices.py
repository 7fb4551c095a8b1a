"""Whose voice a generated text is: the bot's own, somebody else's, or the model's."""

from __future__ import annotations

import re
from functools import lru_cache

from hotshotd.brain.markup import code_spans
from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable
from hotshotd.brain.textview import latin_view

_VERBS = r"(?:replied|replies|said|says|wrote|writes|answered|responded|commented)"
#: "He replied: no" is a story; "Alice replied: no" at the start of a line is somebody's turn.
_STORY = (
    r"(?:mom|mum|dad|mother|father|brother|sister|wife|husband|son|daughter|friend|boss|teacher|doctor|grandma|grandpa|"
    r"waiter|lady|kid|cop|uncle|aunt|he|she|they|it|i|we|you|who|nobody|somebody|someone|everyone|everybody|anyone|"
    r"and|then|but|so|man|woman|guy|dude|god|people|others|one|which|that|this|never|just|already|simply|also)"
)
#: How the prompts begin a post, and models a comment.
_HEADS = r"(?:Comment|Reply|Post|Picture\ posted)"
#: Where a line begins, or a sentence after another.
_START = r"(?:^|(?<=[.!?\u2026\"\u201d)\]]\s))[ \t>*_\"\u201c]*"
_SPEAKERS = re.compile(
    rf"\[/?INST\]|</?(?:start|end)_of_turn>|</s>|<</?SYS>>|<(?:eos|bos|pad|sep|unk|mask)>|\[(?:EOS|BOS|PAD|SEP)\]"
    rf"|<END>|\[END(?:\ OF\ TEXT)?\]|^[ \t(\[*_-]*end\ of\ (?:reply|response|comment|post|text)[.)\]*_-]*[ \t]*$"
    rf"|(?:^|(?<=[.!?]))assistant\n\n"
    rf"|(?:^|(?<=\s))\#\#\#\s"
    rf"|(?:^|(?<=\s))/?u/[\w-]{{1,40}}[*_]{{0,3}}(?:\s+{_VERBS})?\s*:"
    rf"|{_START}(?:User|Human|Assistant|System|Commenter|Redditor|Auto-?Mod(?:erator)?|Moderator|Admin)[*_]{{0,3}}(?:\s+{_VERBS})?\s*:"
    rf"|^[ \t>*_]*{_HEADS}\ (?:by|from)\ (?:/?u/[\w-]+|[\w\[\]-]{{2,40}}(?:\ in\ /?r/\w|[*_]{{0,3}}[ \t]*(?::|$)))"
    rf"|^(?-i:Somebody)\ replied:"
    rf"|^[ \t>*_]*(?!{_STORY}\b)[\w-]{{2,40}}[*_]{{0,3}}\ (?:replied|commented|responded)(?:\ to\ [\w/-]+)?:"
    rf"|^[ \t>*_]*\[deleted\](?:\s+{_VERBS})?\s*:",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
#: `<|` of GPT-2 and its heirs, with the wide bar of DeepSeek's as well.
_MODEL_MARK = re.compile("<[|\uff5c]")
_THINKING = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)


def refuse_reasoning(text: str, _: CleanRules) -> str:
    """Refuse a text in which a model thinks aloud: what was meant to be left out can't be told from the rest."""
    if _THINKING.search(text):
        raise Unpublishable(Fault.REASONING)
    return text


def drop_own_prefix(text: str, rules: CleanRules) -> str:
    """Take `NAME:` or `NAME replied:` off the start where it is the bot's own name."""
    prefix = _own_prefix(rules.own_names)
    return prefix.sub("", text, count=1) if prefix else text


def stop_at_speaker(text: str, rules: CleanRules) -> str:
    """End the text where it starts to speak for others, or where a model's mark or heading stands.

    In code a colon means little, except after the name of somebody who is there: that is a quotation nobody made.
    """
    text = stop_at_mark(text, rules)
    seen = latin_view(text)
    starts = [_first_outside_code(seen, _SPEAKERS)]
    if named := _named_speakers(rules.own_names + rules.other_names):
        starts += [match.start() for match in [named.search(seen)] if match]
    found = [start for start in starts if start >= 0]
    return text[: min(found)] if found else text


def stop_at_mark(text: str, _: CleanRules) -> str:
    """End the text at a model's own mark, code or not."""
    return _MODEL_MARK.split(text, maxsplit=1)[0]


@lru_cache(maxsize=64)
def _own_prefix(names: tuple[str, ...]) -> re.Pattern[str] | None:
    known = _alternatives(names)
    if not known:
        return None
    return re.compile(rf"\A[\s>]*[*_\"\u201c]*(?:/?u/)?(?:{known})[*_]*(?:\s+{_VERBS})?\s*:[*_]*[ \t]*", re.IGNORECASE)


@lru_cache(maxsize=16)
def _named_speakers(names: tuple[str, ...]) -> re.Pattern[str] | None:
    known = _alternatives(names)
    if not known:
        return None
    pattern = re.compile(
        rf"{_START}(?:/?u/)?(?:{known})[*_]{{0,3}}(?:[ ]{_VERBS})?[ ]?:|(?<!\w)(?:{known})[ ]{_VERBS}:",
        re.MULTILINE | re.IGNORECASE,
    )
    # `re` keeps the last 512 of its own accord: some kB for everybody who was there in the last days.
    re.purge()
    return pattern


def _alternatives(names: tuple[str, ...]) -> str:
    return "|".join(re.escape(name) for name in names if name)


def _first_outside_code(text: str, pattern: re.Pattern[str]) -> int:
    spans = code_spans(text)
    return next((m.start() for m in pattern.finditer(text) if not any(a <= m.start() < b for a, b in spans)), -1)

"""A Tavern character card, V1 to V3, as a draft: JSON, or the same in a PNG file.

What the card says of its character becomes the backstory; sample talk becomes few-shot pairs. What its maker
wrote for people (`creator_notes`, tags) never reaches a model.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hotshotd.errors import ImportFailed
from hotshotd.importing.draft import CHANGE_THIS, FREE_MODERATORS, FREE_TEXT, Draft, clean_text, make_name
from hotshotd.importing.png import read_texts

#: Keywords of a PNG's texts; V3 cards carry both, and the newer one counts.
_KEYWORDS = ("ccv3", "chara")
#: The longest backstory, and the most characters of sample talk: both go out with every prompt.
MAX_BACKSTORY_CHARS = 20_000
MAX_EXAMPLE_CHARS = 2_000
#: Room in a prompt for everything else.
_ROOM_CHARS = 2_500

_V1_KEYS = frozenset({"name", "description", "personality", "scenario", "first_mes", "mes_example"})
_USED = frozenset({"name", "nickname", "description", "personality", "scenario", "mes_example", "system_prompt"})
_REASONS: Mapping[str, str] = {
    "creator_notes": "is for people, and never for a model",
    "creator": "is for people, and never for a model",
    "character_version": "is for people, and never for a model",
    "tags": "is for people, and never for a model",
    "first_mes": "a bot on Reddit speaks when it is spoken to",
    "alternate_greetings": "a bot on Reddit speaks when it is spoken to",
    "group_only_greetings": "a bot on Reddit speaks when it is spoken to",
    "post_history_instructions": "there is no place after the thread: put it into backstory if it matters",
    "character_book": "lore books are not part of this program",
    "extensions": "belongs to another program",
}
_NO_COUNTERPART = "has no counterpart here"
#: Keys that say how a card is stored, and nothing of the character.
_SILENT = frozenset({"creation_date", "modification_date", "create_date", "chat", "avatar", "metadata", "source"})

_CHAR = re.compile(r"\{\{char\}\}|<(?:BOT|CHAR)>", re.IGNORECASE)
_USER = re.compile(r"\{\{user\}\}|<USER>", re.IGNORECASE)
_ORIGINAL = re.compile(r"\{\{original\}\}", re.IGNORECASE)
_REMARK = re.compile(r"\{\{(?://|comment:|hidden_key:)[^{}]*\}\}", re.IGNORECASE)
_MACRO = re.compile(r"\{\{[^{}]{1,80}\}\}")
_START = re.compile(r"<START>", re.IGNORECASE)
#: Who the character talks with, where a card says so.
SOMEBODY = "the other person"


def read_png_card(data: bytes, *, source: str) -> Draft:
    """Make a draft of the card in a PNG file.

    Raises:
        ImportFailed: If the file is damaged, too large inside, or carries no card.
    """
    try:
        texts = read_texts(data, frozenset(_KEYWORDS))
    except ImportFailed as exc:
        raise ImportFailed(f"{source} {exc}") from exc
    text = next((texts[keyword] for keyword in _KEYWORDS if keyword in texts), None)
    if text is None:
        raise ImportFailed(f"{source} is a picture without a character card (no text named chara or ccv3)")
    return read_json_card(_decode(text, source), source=source)


def read_json_card(text: str, *, source: str) -> Draft:
    """Make a draft of a card's JSON.

    Raises:
        ImportFailed: If it is no JSON, or no card.
    """
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ImportFailed(f"{source} holds no readable JSON") from exc
    return _make_draft(*_find_fields(card, source), source)


def _decode(text: bytes, source: str) -> str:
    packed = b"".join(text.split())
    try:
        raw = text if packed.startswith(b"{") else base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        return raw.decode("utf-8-sig")
    except (binascii.Error, ValueError) as exc:
        raise ImportFailed(f"{source} carries a card that is no base64 of UTF-8 text") from exc


def _find_fields(card: Any, source: str) -> tuple[str, dict[str, Any]]:
    """Give the card's version and its fields."""
    if not isinstance(card, dict):
        raise ImportFailed(f"{source} is no character card: it is not one object")
    spec, data = card.get("spec"), card.get("data")
    if isinstance(spec, str) and spec.startswith("chara_card_v") and isinstance(data, dict):
        return f"V{spec.removeprefix('chara_card_v')[:3]}", data
    if isinstance(data, dict) and _V1_KEYS & data.keys():
        return "V2", data
    if len(_V1_KEYS & card.keys()) >= 2:
        return "V1", card
    raise ImportFailed(f"{source} is no character card: it has neither `spec` and `data`, nor the fields of V1")


def _make_draft(version: str, fields: dict[str, Any], source: str) -> Draft:
    texts = {key: clean_text(value) for key, value in fields.items() if isinstance(value, str)}
    called = texts.get("name", "").replace("\n", " ")[:80].strip()
    speaker = texts.get("nickname", "").replace("\n", " ")[:80].strip() or called or "the character"
    name = make_name(called, otherwise=make_name(source.rpartition(".")[0]))
    draft = Draft(name, f"Made of the character card {source} ({version}).", {"dry_run": True})
    draft.data["reddit"] = {}
    draft.data["backstory"] = _make_backstory(draft, texts, speaker)
    reply: dict[str, Any] = {**FREE_TEXT}
    examples = _take_examples(draft, texts.get("mes_example", ""), called=called, speaker=speaker)
    used = len(draft.data["backstory"]) + sum(len(pair["them"]) + len(pair["me"]) for pair in examples)
    if used + _ROOM_CHARS > 4000:
        reply["max_prompt_chars"] = used + _ROOM_CHARS
        draft.notes["reply.max_prompt_chars"] = "room for this backstory; every character counts against the budget"
    if examples:
        reply["examples"] = examples
    draft.data["reply"] = reply
    draft.data["rank"] = {"gate_model": None, "rank_model": None}
    draft.data["safety"] = {"moderators": list(FREE_MODERATORS)}
    _list_leftovers(draft, fields)
    return draft


def _make_backstory(draft: Draft, texts: Mapping[str, str], speaker: str) -> str:
    parts = [
        _ORIGINAL.sub("", texts.get("system_prompt", "")),
        texts.get("description", ""),
        _label(f"{speaker}'s personality", texts.get("personality", "")),
        _label("Scenario", texts.get("scenario", "")),
    ]
    backstory = "\n\n".join(filled for part in parts if (filled := _fill(part, speaker)))
    if not backstory:
        draft.notes["backstory"] = f"{CHANGE_THIS}; the card says nothing of its character"
        return f"You are {speaker}."
    if len(backstory) > MAX_BACKSTORY_CHARS:
        draft.leave("description", f"only the first {MAX_BACKSTORY_CHARS} characters of the backstory are taken")
    unknown = sorted({macro[:40] for macro in _MACRO.findall(backstory)})
    if unknown:
        draft.leave("description", f"holds marks that mean nothing here: {', '.join(unknown[:5])}")
    return backstory[:MAX_BACKSTORY_CHARS].rstrip()


def _label(label: str, text: str) -> str:
    return f"{label}: {text}" if text else ""


def _fill(text: str, speaker: str) -> str:
    """Put names where a card has marks for them."""
    # A function, for a name may hold what looks like a group's number.
    named = _CHAR.sub(lambda _: speaker, _REMARK.sub("", text))
    return clean_text(_USER.sub(SOMEBODY, named))


def _take_examples(draft: Draft, text: str, *, called: str, speaker: str) -> list[dict[str, str]]:
    pairs = [pair for talk in _START.split(text) for pair in _pair_up(_turns(talk, {called, speaker}))]
    taken: list[dict[str, str]] = []
    left = MAX_EXAMPLE_CHARS
    for them, me in pairs:
        pair = {"them": _fill(them, speaker), "me": _fill(me, speaker)}
        left -= len(pair["them"]) + len(pair["me"])
        if left < 0:
            draft.leave("mes_example", f"{len(taken)} of {len(pairs)} pairs taken: they go out with every prompt")
            break
        if pair["them"] and pair["me"]:
            taken.append(pair)
    if text and not pairs:
        draft.leave("mes_example", "holds no talk of {{user}}: and {{char}}: in turns")
    return taken


def _turns(talk: str, names: set[str]) -> Iterator[tuple[bool, str]]:
    """Give who speaks (True: the character) and what, turn by turn."""
    own = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if name)
    mark = re.compile(
        rf"^(?:(\{{\{{char\}}\}}|<BOT>{'|' + own if own else ''})|\{{\{{user\}}\}}|<USER>|You):[ \t]*", re.IGNORECASE
    )
    is_own, lines = False, None
    for line in talk.split("\n"):
        start = mark.match(line)
        if start is None:
            if lines is not None:
                lines.append(line)
            continue
        if lines is not None:
            yield is_own, "\n".join(lines)
        is_own, lines = start[1] is not None, [line[start.end() :]]
    if lines is not None:
        yield is_own, "\n".join(lines)


def _pair_up(turns: Iterator[tuple[bool, str]]) -> Iterator[tuple[str, str]]:
    """Join what each side says in a row, and give what was said and answered."""
    them: list[str] = []
    me: list[str] = []
    for is_own, text in turns:
        if not is_own and me:
            yield "\n".join(them), "\n".join(me)
            them, me = [], []
        if not is_own:
            them.append(text)
        elif them:
            me.append(text)
    if them and me:
        yield "\n".join(them), "\n".join(me)


def _list_leftovers(draft: Draft, fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        if value in (None, "", [], {}, 0, False):
            continue
        if key in _USED and not isinstance(value, str):
            draft.leave(str(key), "is no text")
        elif key not in _USED and key not in _SILENT and key not in ("spec", "spec_version", "data"):
            draft.leave(clean_text(str(key))[:60], _REASONS.get(key, _NO_COUNTERPART))

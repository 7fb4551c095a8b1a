"""What the sandbox's models answer: texts, scores and verdicts, computed from the request alone.

No network here: `services` puts these answers into the wire formats. The text models behave as
the real ones do, flaws included: a base model speaks on for others, ends in the middle of a
sentence when its tokens are used up, and marks a post with ssi-bot's tags.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hotshotd.sandbox import obedient
from hotshotd.sandbox.markov import Voice, find_voice, make_chance

#: About how many characters a token is, in English.
CHARS_PER_TOKEN = 4

#: What the sandbox's moderation refuses: mild, so that the screen can be looked at by children.
RUDE_WORDS = ("idiot", "moron", "stupid", "blockhead", "nincompoop", "imbecile", "shut up")

_RUDE = re.compile("|".join(rf"\b{word}" for word in RUDE_WORDS), re.IGNORECASE)
_SPEAKER = re.compile(r"\A(?:Post by \S+ in \S+|[\w.\[\]-]+(?: replied)?):\s+")
_TOXIC_LABELS = ("toxic", "obscene", "insult", "severe_toxic", "identity_hate", "threat")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a text request asks for, whatever the wire format.

    `heard` is what the answer is to be about. `is_chat` models answer in their own turn only.
    """

    model: str
    prompt: str
    heard: str
    count: int = 1
    max_tokens: int = 250
    stop: tuple[str, ...] = ()
    is_chat: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One text, and whether it ended by itself."""

    text: str
    is_whole: bool = True


def generate(wish: Wish, *, seed: int, turn: int) -> list[Answer]:
    """Make the answers of a model. `turn` makes a repeated prompt give other ones, except of an obedient model."""
    if obedient.NAME in wish.model.casefold():
        return [limit(obedient.obey(wish.prompt), wish)] * wish.count
    voice = find_voice(wish.model)
    chance = make_chance(seed, turn, wish.model, wish.prompt)
    return [limit(_write(wish, voice, chance), wish) for _ in range(wish.count)]


def limit(text: str, wish: Wish) -> Answer:
    """End a text where a stop string stands or the tokens are used up, in the middle of a word if need be."""
    is_whole = True
    if len(text) > wish.max_tokens * CHARS_PER_TOKEN:
        text, is_whole = text[: wish.max_tokens * CHARS_PER_TOKEN], False
    found = [text.index(stop) for stop in wish.stop if stop and stop in text]
    return Answer(text[: min(found)], True) if found else Answer(text, is_whole)


def _write(wish: Wish, voice: Voice, chance: random.Random) -> str:
    if wish.is_chat and "Title:" in wish.prompt:
        return f"Title: {voice.say_title(chance)}\n\n{voice.say_text(chance, sentences=chance.randint(2, 4))}"
    if wish.is_chat:
        return voice.say_text(chance, heard=wish.heard, sentences=chance.randint(1, 3))
    for ending, write in _TAGS:
        if wish.prompt.rstrip().endswith(ending):
            return write(voice, chance, wish.heard)
    return _ramble(voice, chance, wish.heard)


def find_last_words(text: str) -> str:
    """Give what was said last in a prompt, without who said it: what an answer should be about."""
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip() and not part.rstrip().endswith(":")]
    return _SPEAKER.sub("", paragraphs[-1], count=1)[-400:] if paragraphs else ""


def _ramble(voice: Voice, chance: random.Random, heard: str) -> str:
    said = " " + voice.say_text(chance, heard=heard, sentences=chance.randint(1, 3))
    return said + ("\n\nUser: " + voice.say_sentence(chance) if chance.random() < 0.4 else "")


def _body(voice: Voice, chance: random.Random, _heard: str) -> str:
    first, second = (voice.say_text(chance, sentences=chance.randint(1, 3)) for _ in range(2))
    return f"{first}\\n\\n{second}<|eost|><|eoss|>"


def _after_title(voice: Voice, chance: random.Random, heard: str) -> str:
    return f"{voice.say_title(chance)}<|eot|><|sost|>{_body(voice, chance, heard)}"


def _self_post(voice: Voice, chance: random.Random, heard: str) -> str:
    return f"<|sot|>{_after_title(voice, chance, heard)}"


def _link_post(voice: Voice, chance: random.Random, _heard: str) -> str:
    return f"<|sot|>{voice.say_title(chance)}<|eot|><|sol|>https://example.org/{chance.randrange(999)}<|eol|><|eols|>"


def _reply(voice: Voice, chance: random.Random, heard: str) -> str:
    return f"{voice.say_text(chance, heard=heard, sentences=chance.randint(1, 3))}<|eor|>"


def _closing(write: Callable[[Voice, random.Random, str], str]) -> Callable[[Voice, random.Random, str], str]:
    return lambda voice, chance, heard: "|>" + write(voice, chance, heard)


#: How a prompt ends, and what a model fine-tuned on ssi-bot's tags goes on with. HotShotBot leaves a tag open.
_TAGS: tuple[tuple[str, Callable[[Voice, random.Random, str], str]], ...] = (
    ("<|soss", _closing(_self_post)),
    ("<|sols", _closing(_link_post)),
    ("<|soss|>", _self_post),
    ("<|sols|>", _link_post),
    ("<|sot|>", _after_title),
    ("<|sost|>", _body),
    ("<|sor|>", _reply),
    ("<|soopr|>", _reply),
    ("<|soocr|>", _reply),
    ("Title:", lambda voice, chance, _heard: f" {voice.say_title(chance)}\n"),
)


def compute_share(*parts: str) -> float:
    """Give a number in [0, 1) that depends on the texts alone."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48


def score_reply(model: str, text: str) -> float:
    """Score `context<|endoftext|>reply` as DialogRPT would: always the same, questions a little higher."""
    reply = text.rpartition("<|endoftext|>")[2]
    return round(min(0.99, 0.1 + 0.7 * compute_share(model, text) + (0.15 if "?" in reply else 0.0)), 6)


def is_rude(text: str) -> bool:
    """Say whether a text holds a word of `RUDE_WORDS`."""
    return _RUDE.search(text) is not None


def score_rudeness(text: str, *, attribute: str = "TOXICITY") -> float:
    """Score a text as a moderator would: 0.9 or more for what is rude, under 0.3 for the rest."""
    share = compute_share(attribute, text)
    return round(0.92 + 0.07 * share if is_rude(text) else 0.29 * share, 6)


def classify(model: str, text: str) -> list[tuple[str, float]]:
    """Give a text-classification model's labels, the likeliest first: DialogRPT has one, toxic-bert six."""
    if "toxic" not in model.casefold():
        return [("LABEL_0", score_reply(model, text))]
    scores = [(label, score_rudeness(text, attribute=label)) for label in _TOXIC_LABELS]
    return sorted(scores, key=lambda pair: pair[1], reverse=True)


def match_topics(text: str, labels: Iterable[str]) -> list[tuple[str, float]]:
    """Give a zero-shot model's opinion: a label that stands in the text is likely, the likeliest first."""
    held = text.casefold()
    raw = {label: 5.0 if label.casefold() in held else 0.2 + compute_share(label, text) for label in labels}
    total = sum(raw.values()) or 1.0
    scores = [(label, round(weight / total, 6)) for label, weight in raw.items()]
    return sorted(scores, key=lambda pair: pair[1], reverse=True)


def count_tokens(texts: Sequence[str]) -> int:
    """Estimate tokens, for the `usage` of an answer."""
    return sum(-(-len(text) // CHARS_PER_TOKEN) for text in texts)

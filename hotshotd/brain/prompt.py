"""Prompts: one builder, rendered as a text for base models and as messages for chat models.

What other people wrote is material, never a voice: it can't look like the start of somebody's turn, a
heading or a model's own mark. Every character costs, so the farther from the item, the less room: the two levels
nearest it are whole, older ones and the post's text share what is left of a small part of the whole. What is still
too long loses first the oldest comments in between, then the ends of long texts; the character, the title and the
two levels nearest the item stay to the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hotshotd.brain.fitting import MIN_PROMPT_CHARS, fit, recede
from hotshotd.brain.quoting import cut, defuse, drop_marks, one_line
from hotshotd.brain.scene import Scene, Turn
from hotshotd.inference.base import Message, Prompt, Speaker
from hotshotd.platform import Author, Item, Kind, Thread

__all__ = [
    "DELETED",
    "MIN_PROMPT_CHARS",
    "PICTURE_INSTRUCTIONS",
    "POST_INSTRUCTIONS",
    "REPLY_INSTRUCTIONS",
    "Persona",
    "build_body_prompt",
    "build_picture_post_prompt",
    "build_post_prompt",
    "build_reply_prompt",
    "cut",
    "defuse",
    "ranker_context",
    "shorten",
]

#: What a chat model is told besides its character.
REPLY_INSTRUCTIONS = "Answer the last message as this character. Write only the text of the reply."
POST_INSTRUCTIONS = "Write a new post as this character: a first line `Title: ...`, an empty line, then the text."

PICTURE_INSTRUCTIONS = (
    "You post a picture as this character. Write one line, `Title: ...`, that says what the picture shows."
)

#: What stands for somebody whose account is gone.
DELETED = "[deleted]"

_NAME_CHARS = 30
#: How much a ranker is shown of the turn above.
_RANKED_CHARS = 400


@dataclass(frozen=True, slots=True)
class Persona:
    """Who speaks: the account's name, the backstory, and pairs of what somebody says and what the bot says."""

    name: str
    backstory: str
    examples: tuple[tuple[str, str], ...] = ()


def build_reply_prompt(
    persona: Persona,
    thread: Thread | None,
    item: Item,
    *,
    max_prompt_chars: int = 4000,
    max_levels: int = 6,
    caption: str | None = None,
) -> Prompt:
    """Give the prompt that asks for an answer to `item`.

    Args:
        persona: Who answers.
        thread: The submission and the comments above the item; None for a private message.
        item: What is answered: a submission, a comment or a message.
        max_prompt_chars: The most code points of either rendering; at least `MIN_PROMPT_CHARS`.
        max_levels: The most comment levels that go in, the item's own included.
        caption: What the submission's picture shows, where somebody described it.
    """
    scene = _stage(persona, thread, item, max_levels=max_levels, caption=caption)
    return fit(recede(scene, max_prompt_chars), max_prompt_chars)


def ranker_context(thread: Thread | None, item: Item) -> tuple[str, ...]:
    """Give the turns that a ranker is shown above a comment, oldest first: the one that it answers, and no more.

    DialogRPT judges an answer by what it answers; all that stands above costs and says little.
    """
    if thread is None or item.kind is not Kind.COMMENT:
        return ()
    if thread.levels:
        return (cut(thread.levels[-1].text.strip(), _RANKED_CHARS),)
    top = thread.submission
    return (cut(f"{top.title}\n{top.text}".strip(), _RANKED_CHARS),)


def build_post_prompt(persona: Persona, *, place: str, max_prompt_chars: int = 4000) -> Prompt:
    """Give the prompt for a plain post: a chat model writes all of it at once, a base model its title."""
    return _build_first_words(persona, "Post", POST_INSTRUCTIONS, place=place, max_prompt_chars=max_prompt_chars)


def build_picture_post_prompt(persona: Persona, *, place: str, max_prompt_chars: int = 4000) -> Prompt:
    """Give the prompt for the title of a picture that the character would post."""
    return _build_first_words(
        persona, "Picture posted", PICTURE_INSTRUCTIONS, place=place, max_prompt_chars=max_prompt_chars
    )


def _build_first_words(persona: Persona, what: str, instructions: str, *, place: str, max_prompt_chars: int) -> Prompt:
    backstory = cut(persona.backstory, max(0, max_prompt_chars - len(instructions) - 60))
    head = f"{backstory}\n\n{what} by {_name(persona.name)} in r/{_name(place)}\n"
    return Prompt(
        text=f"{head}Title:",
        messages=(
            Message(Speaker.SYSTEM, f"{backstory}\n\n{instructions}"),
            Message(Speaker.USER, f"Write your next post in r/{_name(place)}."),
        ),
        stop=("\n",),
    )


def build_body_prompt(persona: Persona, *, place: str, title: str, max_prompt_chars: int = 4000) -> Prompt:
    """Give the prompt with which a base model goes on from the title it wrote to the text below it."""
    tail = f"\n\nPost by {_name(persona.name)} in r/{_name(place)}\nTitle: {cut(title, max_prompt_chars // 2)}\n\n"
    text = f"{cut(persona.backstory, max_prompt_chars - len(tail))}{tail}"
    return Prompt(text=text, stop=("\nPost by", "\nComment by", "\n### ", "<|"))


def shorten(prompt: Prompt, max_prompt_chars: int) -> int:
    """Give the smaller `max_prompt_chars` to build again with after a service called the prompt too long."""
    used = max(prompt.count_text(), prompt.count_messages())
    return max(MIN_PROMPT_CHARS, min(used, max_prompt_chars) // 2)


def _name(name: str) -> str:
    return re.sub(r"[^\w.\[\]-]+", "", name)[:_NAME_CHARS] or DELETED


def _shown(author: Author | None) -> str:
    return DELETED if author is None else _name(author.name)


def _stage(persona: Persona, thread: Thread | None, item: Item, *, max_levels: int, caption: str | None) -> Scene:
    top = item if item.kind is Kind.SUBMISSION else thread.submission if thread is not None else None
    above = thread.levels if thread is not None and item.kind is Kind.COMMENT else ()
    levels = () if item.kind is Kind.SUBMISSION else (*above, item)[-max_levels:]
    return Scene(
        me=_name(persona.name),
        backstory=persona.backstory.strip(),
        instructions=REPLY_INSTRUCTIONS,
        examples=persona.examples,
        headline="" if top is None else f"Post by {_shown(top.author)} in r/{_name(top.place)}: ",
        title="" if top is None else defuse(one_line(top.title), names=(persona.name,)),
        body="" if top is None else defuse(top.text.strip(), names=(persona.name,)),
        picture="" if top is None else _describe(top, caption, names=(persona.name,)),
        turns=tuple(_turn(level, persona) for level in levels),
    )


def _turn(item: Item, persona: Persona) -> Turn:
    is_own = item.author is not None and item.author.key == persona.name.casefold()
    text = item.text.strip()
    return Turn(_shown(item.author), drop_marks(text) if is_own else defuse(text, names=(persona.name,)), is_own)


def _describe(top: Item, caption: str | None, *, names: tuple[str, ...]) -> str:
    """Say in one line what a post shows besides its text."""
    if top.is_picture and caption:
        return f"[a picture: {defuse(one_line(caption), names=names)}]"
    if top.is_picture:
        return "[a picture without a description]"
    return f"[a link to {_host(top.link)}]" if top.link else ""


def _host(link: str) -> str:
    match = re.match(r"https?://(?:www\.)?([\w.-]{1,60})", link)
    return match[1] if match else "another page"

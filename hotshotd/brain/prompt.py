"""Prompts: one builder, rendered as a text for base models and as messages for chat models.

What other people wrote is material, never a voice: it can't look like the start of somebody's turn, a
heading or a model's own mark. What is too long loses first the oldest comments in between, then the
ends of long texts; the character, the title and the two levels nearest the item stay to the last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from hotshotd.inference.base import Message, Prompt, Speaker
from hotshotd.platform import Author, Item, Kind, Thread

#: The least that `max_prompt_chars` can be, and the least that `shorten` goes down to; characters.
MIN_PROMPT_CHARS = 200

#: What a chat model is told besides its character.
REPLY_INSTRUCTIONS = "Answer the last message as this character. Write only the text of the reply."
POST_INSTRUCTIONS = "Write a new post as this character: a first line `Title: ...`, an empty line, then the text."

#: What stands for somebody whose account is gone.
DELETED = "[deleted]"

_NAME_CHARS = 30
_MARKS = re.compile(r"<\||\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|</?think>", re.IGNORECASE)
_HEADING = re.compile(r"#{2,}(?=\s|\Z)")
_VERBS = r"(?:replied|said|says|wrote|writes|answered|commented)"
_COLON = r"\s*[:\uff1a]"
_TURN = re.compile(
    rf"^(?P<who>[^\S\n]*[\"'>*_]*(?:/?u/)?[\w.-]{{1,40}}[*_]{{0,3}}(?:[^\S\n]{_VERBS})?){_COLON}(?=[\s\"'*_]|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
_USER_TURN = re.compile(rf"(?P<who>(?<![\w/])/?u/[\w-]{{1,40}}[*_]{{0,3}}(?:\s{_VERBS})?){_COLON}", re.IGNORECASE)
_BY = re.compile(r"^([^\S\n]*)(Comment|Post|Reply)(?=[^\S\n]+(?:by|from|in)\b)", re.MULTILINE | re.IGNORECASE)


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
    return _fit(scene, max_prompt_chars)


def build_post_prompt(persona: Persona, *, place: str, max_prompt_chars: int = 4000) -> Prompt:
    """Give the prompt for a plain post: a chat model writes all of it at once, a base model its title."""
    backstory = cut(persona.backstory, max(0, max_prompt_chars - len(POST_INSTRUCTIONS) - 60))
    head = f"{backstory}\n\nPost by {_name(persona.name)} in r/{_name(place)}\n"
    return Prompt(
        text=f"{head}Title:",
        messages=(
            Message(Speaker.SYSTEM, f"{backstory}\n\n{POST_INSTRUCTIONS}"),
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


def defuse(text: str, *, names: Iterable[str] = ()) -> str:
    """Make what somebody wrote unable to pass for a turn, a heading or a model's mark; it reads the same.

    `names` may not speak anywhere in the text, others not at the start of a line.
    """
    text = _HEADING.sub("#", _MARKS.sub(" ", "\n".join(text.splitlines())))
    known = "|".join(re.escape(name) for name in names if name)
    if known:
        own_turn = rf"(?P<who>(?:{known})[*_]{{0,3}}(?:\s{_VERBS})?){_COLON}"
        text = re.sub(own_turn, r"\g<who> -", text, flags=re.IGNORECASE)
    text = _USER_TURN.sub(r"\g<who> -", text)
    return _BY.sub(r"\1a \2", _TURN.sub(r"\g<who> -", text))


def cut(text: str, limit: int) -> str:
    """Give at most `limit` characters of a text, ended at a word with an ellipsis where something is missing."""
    if len(text) <= limit:
        return text
    if limit <= 1:
        return "…"[: max(0, limit)]
    head = text[: limit - 1]
    word_end = max(head.rfind(" "), head.rfind("\n"))
    # A last word longer than half of what is left (a script without spaces, a link) is cut inside.
    return (head[:word_end] if word_end > len(head) // 2 else head).rstrip() + "…"


def _name(name: str) -> str:
    return re.sub(r"[^\w.\[\]-]+", "", name)[:_NAME_CHARS] or DELETED


def _shown(author: Author | None) -> str:
    return DELETED if author is None else _name(author.name)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one person said, ready to be shown."""

    who: str
    text: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class _Scene:
    """All that a prompt may hold; the steps of `_STEPS` take from it."""

    me: str
    backstory: str
    instructions: str
    examples: tuple[tuple[str, str], ...]
    headline: str
    title: str
    body: str
    turns: tuple[_Turn, ...]


def _stage(persona: Persona, thread: Thread | None, item: Item, *, max_levels: int, caption: str | None) -> _Scene:
    top = item if item.kind is Kind.SUBMISSION else thread.submission if thread is not None else None
    above = thread.levels if thread is not None and item.kind is Kind.COMMENT else ()
    levels = () if item.kind is Kind.SUBMISSION else (*above, item)[-max_levels:]
    return _Scene(
        me=_name(persona.name),
        backstory=persona.backstory.strip(),
        instructions=REPLY_INSTRUCTIONS,
        examples=persona.examples,
        headline="" if top is None else f"Post by {_shown(top.author)} in r/{_name(top.place)}: ",
        title="" if top is None else defuse(_one_line(top.title), names=(persona.name,)),
        body="" if top is None else _describe(top, caption, names=(persona.name,)),
        turns=tuple(_turn(level, persona) for level in levels),
    )


def _turn(item: Item, persona: Persona) -> _Turn:
    is_own = item.author is not None and item.author.key == persona.name.casefold()
    text = item.text.strip()
    return _Turn(_shown(item.author), _MARKS.sub(" ", text) if is_own else defuse(text, names=(persona.name,)), is_own)


def _describe(top: Item, caption: str | None, *, names: tuple[str, ...]) -> str:
    parts = [defuse(top.text.strip(), names=names)] if top.text.strip() else []
    if top.is_picture:
        shown = (
            f"a picture: {defuse(_one_line(caption), names=names)}" if caption else "a picture without a description"
        )
        parts.append(f"[{shown}]")
    elif top.link:
        parts.append(f"[a link to {_host(top.link)}]")
    return "\n".join(parts)


def _host(link: str) -> str:
    match = re.match(r"https?://(?:www\.)?([\w.-]{1,60})", link)
    return match[1] if match else "another page"


# Rendering. A text for base models has one line a turn at its margin; further lines are indented, so that
# nothing inside a turn can stand where a turn begins.


def _render(scene: _Scene) -> Prompt:
    return Prompt(text=_render_text(scene), messages=tuple(_render_messages(scene)), stop=_stops(scene))


def _render_text(scene: _Scene) -> str:
    shots = [f"Somebody replied: {_inset(them)}\n\n{scene.me} replied: {_inset(me)}" for them, me in scene.examples]
    post = "" if not scene.headline else f"{scene.headline}{_quoteless(scene.title)}"
    if scene.body:
        post += f"\n  {_inset(scene.body)}"
    turns = [f"{turn.who} replied: {_inset(turn.text)}" for turn in scene.turns]
    return "\n\n".join(part for part in (scene.backstory, *shots, post, *turns, f"{scene.me} replied:") if part)


def _inset(text: str) -> str:
    return "\n  ".join(line.strip() for line in _quoteless(text).splitlines() if line.strip())


def _quoteless(text: str) -> str:
    # Base models were often shown dialogue as `says: "..."`: a double quote invites them to take turns.
    return text.replace('"', "'")


def _stops(scene: _Scene) -> tuple[str, ...]:
    # Four at most: OpenAI-compatible servers refuse more.
    last = scene.turns[-1].who if scene.turns else ""
    asked = f"\n{last} replied:" if last else "\nSomebody replied:"
    return (asked, f"\n{scene.me} replied:", "\n### ", "<|")


def _render_messages(scene: _Scene) -> Iterable[Message]:
    yield Message(Speaker.SYSTEM, "\n\n".join(part for part in (scene.backstory, scene.instructions) if part))
    for them, me in scene.examples:
        yield Message(Speaker.USER, them)
        yield Message(Speaker.ASSISTANT, me)
    # Many chat templates want speakers to alternate, and a user to begin and to end.
    for is_own, group in groupby(_said(scene), key=lambda said: said[0]):
        yield Message(Speaker.ASSISTANT if is_own else Speaker.USER, "\n\n".join(text for _, text in group))


def _said(scene: _Scene) -> Iterable[tuple[bool, str]]:
    if scene.headline:
        yield False, f"{scene.headline}{scene.title}" + (f"\n\n{scene.body}" if scene.body else "")
    for turn in scene.turns:
        yield turn.is_own, turn.text if turn.is_own else f"{turn.who}: {turn.text}"


# Fitting. Each step takes what it may, no more than is over, and leaves a shorter scene.

_Step = Callable[[_Scene, int], _Scene]


def _fit(scene: _Scene, max_chars: int) -> Prompt:
    limit = max(MIN_PROMPT_CHARS, max_chars)
    prompt = _render(scene)
    for step in _STEPS:
        # A step is taken until it no longer helps: a cut may save less than asked for (indents, ellipses).
        while (over := max(prompt.count_text(), prompt.count_messages()) - limit) > 0:
            smaller = step(scene, over)
            if smaller == scene:
                break
            scene, prompt = smaller, _render(smaller)
    return prompt


def _drop_oldest(scene: _Scene, _: int) -> _Scene:
    return replace(scene, turns=scene.turns[1:]) if len(scene.turns) > 2 else scene


def _drop_parent(scene: _Scene, _: int) -> _Scene:
    return replace(scene, turns=scene.turns[-1:])


def _drop_example(scene: _Scene, _: int) -> _Scene:
    return replace(scene, examples=scene.examples[:-1])


def _drop_instructions(scene: _Scene, _: int) -> _Scene:
    return replace(scene, instructions="")


def _less(text: str, over: int, least: int) -> str:
    return cut(text, max(least, len(text) - over)) if len(text) > least else text


def _cut_body(least: int) -> _Step:
    return lambda scene, over: replace(scene, body=_less(scene.body, over, least))


def _cut_title(least: int) -> _Step:
    return lambda scene, over: replace(scene, title=_less(scene.title, over, least))


def _cut_backstory(least: int) -> _Step:
    return lambda scene, over: replace(scene, backstory=_less(scene.backstory, over, least))


def _cut_turn(index: int, least: int) -> _Step:
    def step(scene: _Scene, over: int) -> _Scene:
        if len(scene.turns) < -index:
            return scene
        turns = list(scene.turns)
        turns[index] = replace(turns[index], text=_less(turns[index].text, over, least))
        return replace(scene, turns=tuple(turns))

    return step


_STEPS: tuple[_Step, ...] = (
    _drop_oldest,
    _cut_body(300),
    _cut_turn(-2, 200),
    _cut_turn(-1, 600),
    _drop_example,
    _cut_body(60),
    _cut_turn(-2, 60),
    _cut_turn(-1, 200),
    _cut_backstory(200),
    _cut_title(60),
    _cut_body(0),
    # Only a `max_prompt_chars` of a few hundred gets here.
    _cut_turn(-1, 60),
    _cut_backstory(40),
    _drop_instructions,
    _drop_parent,
    _cut_title(0),
    _cut_turn(-1, 0),
    _cut_backstory(0),
)

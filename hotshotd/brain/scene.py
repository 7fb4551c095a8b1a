"""What a prompt shows, and how: one scene, rendered as a text for base models and as messages for chat models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from hotshotd.inference.base import Message, Prompt, Speaker


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person said, ready to be shown."""

    who: str
    text: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a prompt may hold; `hotshotd.brain.fitting` takes from it."""

    me: str
    backstory: str
    instructions: str
    examples: tuple[tuple[str, str], ...]
    headline: str
    title: str
    body: str
    picture: str
    turns: tuple[Turn, ...]

    @property
    def shown(self) -> str:
        """What stands below the title."""
        return "\n".join(part for part in (self.body, self.picture) if part)


def render(scene: Scene) -> Prompt:
    """Give both renderings of a scene."""
    return Prompt(text=_render_text(scene), messages=tuple(_render_messages(scene)), stop=_stops(scene))


# A text for base models has one line a turn at its margin; further lines are indented, so that nothing inside a turn
# can stand where a turn begins.


def _render_text(scene: Scene) -> str:
    shots = [f"Somebody replied: {_inset(them)}\n\n{scene.me} replied: {_inset(me)}" for them, me in scene.examples]
    post = "" if not scene.headline else f"{scene.headline}{_quoteless(scene.title)}"
    if scene.shown:
        post += f"\n  {_inset(scene.shown)}"
    turns = [f"{turn.who} replied: {_inset(turn.text)}" for turn in scene.turns]
    return "\n\n".join(part for part in (scene.backstory, *shots, post, *turns, f"{scene.me} replied:") if part)


def _inset(text: str) -> str:
    return "\n  ".join(line.strip() for line in _quoteless(text).splitlines() if line.strip())


def _quoteless(text: str) -> str:
    # Base models were often shown dialogue as `says: "..."`: a double quote invites them to take turns.
    return text.replace('"', "'")


def _stops(scene: Scene) -> tuple[str, ...]:
    # Four at most: OpenAI-compatible servers refuse more.
    last = scene.turns[-1].who if scene.turns else ""
    asked = f"\n{last} replied:" if last else "\nSomebody replied:"
    return (asked, f"\n{scene.me} replied:", "\n### ", "<|")


def _render_messages(scene: Scene) -> Iterable[Message]:
    yield Message(Speaker.SYSTEM, "\n\n".join(part for part in (scene.backstory, scene.instructions) if part))
    for them, me in scene.examples:
        yield Message(Speaker.USER, them)
        yield Message(Speaker.ASSISTANT, me)
    # Many chat templates want speakers to alternate, and a user to begin and to end.
    for is_own, group in groupby(_said(scene), key=lambda said: said[0]):
        yield Message(Speaker.ASSISTANT if is_own else Speaker.USER, "\n\n".join(text for _, text in group))


def _said(scene: Scene) -> Iterable[tuple[bool, str]]:
    if scene.headline:
        yield False, f"{scene.headline}{scene.title}" + (f"\n\n{scene.shown}" if scene.shown else "")
    for turn in scene.turns:
        yield turn.is_own, turn.text if turn.is_own else f"{turn.who}: {turn.text}"

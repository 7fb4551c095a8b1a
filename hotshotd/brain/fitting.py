"""How a scene gets room: by distance from the item at first, then by what can best be spared, until it fits.

Every character costs, so the farther from the item, the less room. Each step takes what it may, no more than is over,
and leaves a shorter scene.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hotshotd.brain.quoting import cut
from hotshotd.brain.scene import Scene, Turn, render
from hotshotd.inference.base import Prompt

#: The least that `max_prompt_chars` can be, and the least that `shorten` goes down to; characters.
MIN_PROMPT_CHARS = 200

#: The levels that are never left out for being far away: the item and what it answers.
_NEAREST = 2
#: Of `max_prompt_chars`, what the post's text may take above a top-level comment ...
_BODY_SHARE = 1 / 5
#: ... and what it and the levels beyond the nearest may take together above a deeper one; of that, the levels first
#: take up to their own share.
_FAR_SHARE = 1 / 16
_FAR_LEVELS_SHARE = 1 / 25

_Step = Callable[[Scene, int], Scene]


def recede(scene: Scene, max_chars: int) -> Scene:
    """Leave out what is far from the item: whole levels, then the end of the post's text. An answered post is near."""
    if not scene.turns:
        return scene
    if len(scene.turns) == 1:
        return replace(scene, body=cut(scene.body, int(max_chars * _BODY_SHARE)))
    far, near = scene.turns[:-_NEAREST], scene.turns[-_NEAREST:]
    kept = _keep_newest(far, int(max_chars * _FAR_LEVELS_SHARE))
    left = int(max_chars * _FAR_SHARE) - sum(len(turn.text) for turn in kept)
    return replace(scene, body=cut(scene.body, left), turns=(*kept, *near))


def fit(scene: Scene, max_chars: int) -> Prompt:
    """Give the prompt of a scene, both renderings of at most `max_chars` characters."""
    limit = max(MIN_PROMPT_CHARS, max_chars)
    prompt = render(scene)
    for step in _STEPS:
        # A step is taken until it no longer helps: a cut may save less than asked for (indents, ellipses).
        while (over := max(prompt.count_text(), prompt.count_messages()) - limit) > 0:
            smaller = step(scene, over)
            if smaller == scene:
                break
            scene, prompt = smaller, render(smaller)
    return prompt


def _keep_newest(turns: tuple[Turn, ...], chars: int) -> tuple[Turn, ...]:
    for at, turn in reversed(list(enumerate(turns))):
        chars -= len(turn.text)
        if chars < 0:
            return turns[at + 1 :]
    return turns


def _drop_oldest(scene: Scene, _: int) -> Scene:
    return replace(scene, turns=scene.turns[1:]) if len(scene.turns) > 2 else scene


def _drop_parent(scene: Scene, _: int) -> Scene:
    return replace(scene, turns=scene.turns[-1:])


def _drop_example(scene: Scene, _: int) -> Scene:
    return replace(scene, examples=scene.examples[:-1])


def _drop_instructions(scene: Scene, _: int) -> Scene:
    return replace(scene, instructions="")


def _less(text: str, over: int, least: int) -> str:
    return cut(text, max(least, len(text) - over)) if len(text) > least else text


def _cut_body(least: int) -> _Step:
    return lambda scene, over: replace(scene, body=_less(scene.body, over, least))


def _cut_picture(least: int) -> _Step:
    return lambda scene, over: replace(scene, picture=_less(scene.picture, over, least))


def _cut_title(least: int) -> _Step:
    return lambda scene, over: replace(scene, title=_less(scene.title, over, least))


def _cut_backstory(least: int) -> _Step:
    return lambda scene, over: replace(scene, backstory=_less(scene.backstory, over, least))


def _cut_turn(index: int, least: int) -> _Step:
    def step(scene: Scene, over: int) -> Scene:
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
    _cut_picture(200),
    _cut_turn(-2, 60),
    _cut_turn(-1, 200),
    _cut_backstory(200),
    _cut_title(60),
    _cut_picture(0),
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

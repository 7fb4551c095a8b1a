"""Lay one tree of keys over another: a bot's file over `bot_defaults`, over the main file's servers, over the presets.

- Mappings merge key by key, at any depth; the upper file's key wins.
- `parameters`, `generate_parameters`, `schedule` and `toxicity_threshold` are values: they replace as a whole.
  So do lists.
- A key that is null in the upper file takes the lower one's value away. An empty block (`safety:` and
  nothing under it) takes nothing away.
- A secret comes in three forms (`key`, `key_env`, `key_file`): writing one takes the lower file's others away.
- `post` and `reply` of `bot_defaults` count for a bot whose file has that block too (`post: {}` is enough), or
  has neither of the two: a default for posts never makes a bot post that was written to reply only.
"""

from __future__ import annotations

from typing import Any

from hotshotd.config.document import Tree
from hotshotd.config.faults import KeyPath, Place

#: Keys whose mappings are values, not blocks.
WHOLE_KEYS = frozenset({"parameters", "generate_parameters", "schedule", "toxicity_threshold"})

#: Names of secrets, each also with `_env` and `_file`.
SECRET_KEYS = frozenset({"key", "password", "client_id", "client_secret", "refresh_token", "webhook_url"})

_JOBS = ("post", "reply")


def overlay(lower: Tree, upper: Tree) -> Tree:
    """Lay `upper` over `lower`. Both stay as they are."""
    replaced: set[KeyPath] = set()
    data = _overlay(lower.data, upper.data, (), replaced)
    kept = {path: place for path, place in lower.places.items() if not _is_under(path, replaced)}
    return Tree(data, {**kept, **upper.places})


def select(tree: Tree, *keys: str) -> Tree:
    """Give a tree of only some of the top-level keys."""
    places = {path: place for path, place in tree.places.items() if not path or path[0] in keys}
    return Tree({key: value for key, value in tree.data.items() if key in keys}, places)


def descend(tree: Tree, key: str) -> Tree:
    """Give the mapping under a top-level key as a tree of its own; an empty one where there is none."""
    data = tree.data.get(key)
    if not isinstance(data, dict):
        return Tree({}, {})
    inner = ((path[1:], place) for path, place in tree.places.items() if path[:1] == (key,))
    return Tree(data, {path: Place(place.file, place.line, inside=key) for path, place in inner})


def choose_defaults(defaults: Tree, bot: Tree) -> Tree:
    """Give what of `bot_defaults` counts for a bot: see the module's last rule."""
    own_jobs = {job for job in _JOBS if job in bot.data}
    dropped = {job for job in _JOBS if own_jobs and not isinstance(bot.data.get(job), dict)}
    return select(defaults, *(key for key in defaults.data if key not in dropped))


def _overlay(lower: dict[str, Any], upper: dict[str, Any], path: KeyPath, replaced: set[KeyPath]) -> dict[str, Any]:
    rivals = {rival for key in upper for rival in _forms(key) if rival not in upper}
    replaced.update((*path, rival) for rival in rivals)
    result = {key: value for key, value in lower.items() if key not in rivals}
    for key, value in upper.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and key not in WHOLE_KEYS:
            result[key] = _overlay(below, value, (*path, key), replaced)
        elif not (isinstance(below, dict) and value is None and key not in WHOLE_KEYS):
            result[key] = value
            replaced.add((*path, key))
    return result


def _forms(key: str) -> tuple[str, ...]:
    stem = key.removesuffix("_env").removesuffix("_file")
    return (stem, stem + "_env", stem + "_file") if stem in SECRET_KEYS else ()


def _is_under(path: KeyPath, replaced: set[KeyPath]) -> bool:
    return any(path[:end] in replaced for end in range(1, len(path) + 1))

"""Files of HotShotBot, as they are: its flat keys of every vintage, in ours.

What the file says wins over `bot_defaults`, as for any bot. What it only implies (which service answers) does
not, and neither does a model that nobody serves any more: there `bot_defaults` count, so that one line in the
main file mends all old files. Blocks in our keys may stand beside the old ones, and win over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hotshotd.config.document import Document, Tree
from hotshotd.config.faults import Fault, Place, blame, format_key
from hotshotd.config.files import OTHERS
from hotshotd.config.hotshotbot_implied import complete, drop_what_is_off
from hotshotd.config.hotshotbot_values import (
    ABSENT,
    to_address,
    to_flag,
    to_hours,
    to_linkpost_only,
    to_parameters,
    to_share,
    to_subreddits,
    to_times,
)
from hotshotd.config.hotshotbot_writer import Row, Writer
from hotshotd.config.merge import overlay, select
from hotshotd.config.schema import BotConfig
from hotshotd.config.validation import find_closest

#: In order of precedence: where two rows fill one secret, the first does.
ROWS: tuple[Row, ...] = (
    Row("bot_username", ("reddit", "username")),
    Row("reddit_pass_var", ("reddit", "password_env")),
    Row("reddit_pass", ("reddit", "password")),
    Row("reddit_ID_var", ("reddit", "client_id_env")),
    Row("reddit_ID", ("reddit", "client_id")),
    Row("reddit_secret_var", ("reddit", "client_secret_env")),
    Row("reddit_secret", ("reddit", "client_secret")),
    Row("bot_operator", ("reddit", "operator")),
    Row("bot_subreddit", ("reddit", "subreddits"), to_subreddits),
    Row("bot_backstory", ("backstory",)),
    Row("character_budget", ("character_budget",), lambda value: value),
    Row("post_schedule", ("post", "schedule"), to_times),
    Row("post_frequency", ("post", "schedule"), to_hours),
    Row("post_textgen_model", ("post", "model")),
    Row("post_textgen_parameters", ("post", "parameters"), to_parameters),
    Row("text_generation_parameters", ("post", "parameters"), to_parameters),
    Row("post_tries", ("post", "tries"), lambda value: value),
    Row("post_flair", ("post", "flair_id")),
    Row("linkpost_share", ("post", "link_share"), to_share),
    Row("reply_textgen_model", ("reply", "model")),
    Row("reply_textgen_parameters", ("reply", "parameters"), to_parameters),
    Row("text_generation_parameters", ("reply", "parameters"), to_parameters),
    Row("followup_only", ("reply", "followup_only"), to_flag),
    Row("linkpost_only", ("reply", "linkpost_only"), to_linkpost_only),
    Row("force_top_reply", ("reply", "force_top_level"), to_flag),
    Row("reply_chance", ("reply", "chance"), to_share),
    Row("trigger_words", ("reply", "positive_keywords"), lambda value: value),
    Row("trigger_boost", ("reply", "keyword_boost"), to_share),
    Row("max_levels", ("reply", "max_levels"), lambda value: value),
    Row("topic_list", ("reply", "topics"), lambda value: value or ABSENT),
    Row("topic_classifier", ("reply", "topic_model")),
    Row("topic_threshold", ("reply", "topic_threshold"), to_share),
    Row("min_reply_score", ("rank", "min_score"), to_share),
    Row("toxicity_threshold", ("safety", "toxicity_threshold"), to_share),
    Row("negative_keywords", ("safety", "negative_keywords"), lambda value: value),
    Row("HF_key_var", ("backends", "hf", "key_env")),
    Row("Google_API_key_var", ("services", "perspective", "key_env")),
    Row("azure_token_var", ("services", "azure", "key_env")),
    Row("azure_endpoint", ("services", "azure", "url"), to_address),
    Row("deepai_api_key_var", ("services", "deepai", "key_env")),
)

#: Old keys that nothing here stands for, and why; told only where the file turns them on.
UNUSED: Mapping[str, str] = {
    "dynamic_prompt": "it let any stranger rewrite the backstory",
    "kill_phrase": "`hotshotctl pause` stops a bot",
    "textsynth_engine": "that program had dropped it",
    "textsynth_key_var": "that program had dropped it",
    "threshold_map": "toxicity_threshold counts",
    "reply_choice_model": "that program had dropped it",
}
#: Old keys that decide how others are read.
_SWITCHES = frozenset({"read_posts"})
OLD_KEYS = frozenset({*(row.old for row in ROWS), *UNUSED, *_SWITCHES})
#: Keys of the later vintage, which chose by topic and read the inbox only.
_LATER = frozenset(
    {
        "reddit_pass", "reddit_ID", "reddit_secret", "azure_endpoint", "post_schedule", "post_tries",
        "topic_classifier", "topic_list", "topic_threshold", "read_posts", "dynamic_prompt", "bot_operator",
        "kill_phrase",
    }
)  # fmt: skip
_SHARED = frozenset({"character_budget"})
_LITERALS = {"reddit_pass": "reddit_pass_var", "reddit_ID": "reddit_ID_var", "reddit_secret": "reddit_secret_var"}
#: For faults about what stands nowhere: our key, and the old one that would say it.
_MISSING = {"post.schedule": "post_schedule"}


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file of HotShotBot in our keys (`tree`, not yet merged), and what the old keys were called.

    `wishes` is what `bot_defaults` and our own blocks in the file say; `old` holds the file's values as written.
    `names` maps our keys to the old ones. `is_later` tells the vintage.
    """

    document: Document
    tree: Tree
    old: Mapping[str, Any] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    faults: tuple[Fault, ...]
    is_later: bool

    def rename(self, faults: Iterable[Fault]) -> tuple[Fault, ...]:
        """Say of each fault in this file which old key it is about."""
        return tuple(self._rename(fault) for fault in faults)

    def _rename(self, fault: Fault) -> Fault:
        if fault.file != self.document.path:
            return fault
        for new in sorted(self.names, key=len, reverse=True):
            if fault.key == new or fault.key.startswith((f"{new}.", f"{new}[")):
                name = self.names[new]
                inner = fault.key[len(new) :] if isinstance(self.old.get(name), dict | list) else ""
                return Fault(fault.file, fault.line, name + inner, fault.message)
        return fault


def is_of_hotshotbot(tree: Tree) -> bool:
    """Tell whether a file has that program's keys."""
    mine = tree.data.keys() & (OLD_KEYS - _SHARED)
    return "bot_username" in mine or (len(mine) > 2 and "reddit" not in tree.data)


def translate(document: Document, *, servers: Tree, defaults: Tree) -> OldFile:
    """Put a file of HotShotBot into our keys.

    Args:
        document: The file; its tree is that program's.
        servers: The main file's `backends` and `services`, over the presets.
        defaults: `bot_defaults`.
    """
    tree = document.tree
    assert tree is not None, "the caller read it"
    blocks = select(tree, *BotConfig.model_fields)
    old = {key: value for key, value in tree.data.items() if key in OLD_KEYS}
    is_later = bool(old.keys() & _LATER)
    writer = Writer(tree.places)
    for row in ROWS:
        if row.old in old:
            writer.read(row, old[row.old])
    wishes = overlay(overlay(servers, defaults), blocks)
    complete(writer, old, wishes, defaults=defaults, is_later=is_later)
    drop_what_is_off(writer, wishes)
    known = (*OLD_KEYS, *BotConfig.model_fields)
    faults = [*_check_literals(document, old), *_check_unknown(tree, known, Place(document.path, 1))]
    names = {**{format_key(row.new): row.old for row in reversed(ROWS)}, **_MISSING, **writer.names}
    return OldFile(document, overlay(writer.tree(), blocks), old, names, tuple(faults), is_later)


def _check_literals(document: Document, old: Mapping[str, Any]) -> Iterator[Fault]:
    if not document.mode & OTHERS or document.tree is None:
        return
    for key in _LITERALS.keys() & old.keys():
        if old[key] not in (None, ""):
            message = (
                f"holds a secret, and others can use this file (mode {document.mode:04o}): run chmod 640 on it, "
                f"or write the name of a variable as {_LITERALS[key]}"
            )
            yield blame(document.tree.places, (key,), message, default=Place(document.path, 1))


def _check_unknown(tree: Tree, known: tuple[str, ...], default: Place) -> Iterator[Fault]:
    for key in tree.data:
        if key not in known:
            message = f"is not a known key; the closest known key is {find_closest(key, known)}"
            yield blame(tree.places, (key,), message, default=default)

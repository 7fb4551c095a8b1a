"""What no single key can tell: rules over a whole bot.

They look at the merged keys as they were written, not at a model, so that they hold (and are told) even
where something else in the file is wrong. Each rule gives pairs of a key and what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from hotshotd.config.document import Document, Tree
from hotshotd.config.faults import Fault, KeyPath, Place, blame
from hotshotd.config.files import OTHERS
from hotshotd.config.judging import check_moderators, check_ranker, check_topics
from hotshotd.config.merge import SECRET_KEYS, WHOLE_KEYS
from hotshotd.config.picturing import check_pictures, find_idle_pictures
from hotshotd.config.schema import NO_GUARD_MODEL, NO_MODERATOR, NO_POST_NO_REPLY, NO_REPLY_MODEL, NO_TOPIC_MODEL
from hotshotd.config.validation import find_closest
from hotshotd.config.values import Blame, parse_flag
from hotshotd.config.watching import check_alerts, check_metrics, is_loopback, is_near

Data = Mapping[str, Any]
Rule = Callable[[Data], Iterator[Blame]]

#: Every key that names one of `backends`.
BACKEND_KEYS: tuple[KeyPath, ...] = (
    ("post", "backend"),
    ("post", "fallbacks", "*", "backend"),
    ("reply", "backend"),
    ("reply", "fallbacks", "*", "backend"),
    ("reply", "topic_backend"),
    ("rank", "backend"),
    ("images", "caption_backend"),
    ("images", "generate_backend"),
    ("safety", "hf_backend"),
    ("safety", "chat_backend"),
)


def warn_of_no_effect(tree: Tree, *, default: Place) -> tuple[Fault, ...]:
    """Give a warning for each key of a bot's or the main file that does nothing on this machine."""
    return tuple(blame(tree.places, path, why, default=default) for path, why in find_idle_pictures(tree.data))


def check_bot(tree: Tree, *, default: Place) -> tuple[Fault, ...]:
    """Give what is wrong with a bot's merged keys as a whole."""
    blames = (entry for rule in _BOT_RULES for entry in rule(tree.data))
    return tuple(blame(tree.places, path, message, default=default) for path, message in blames)


def check_main(tree: Tree, *, default: Place) -> tuple[Fault, ...]:
    """Give what is wrong with the main file's keys as a whole."""
    blames = (entry for rule in _MAIN_RULES for entry in rule(tree.data))
    return tuple(blame(tree.places, path, message, default=default) for path, message in blames)


def check_literals(document: Document) -> tuple[Fault, ...]:
    """Refuse secrets that stand in a file which everybody may read."""
    if document.tree is None or not document.mode & OTHERS:
        return ()
    remedy = (
        f"holds a secret, and others can use this file (mode {document.mode:04o}): run chmod 640 on it, "
        "or write the name of a variable as"
    )
    paths = [path for path, value in _walk(document.tree.data, ()) if path[-1] in SECRET_KEYS and value is not None]
    places, default = document.tree.places, Place(document.path, 1)
    return tuple(blame(places, path, f"{remedy} {path[-1]}_env", default=default) for path in paths)


def find(data: object, pattern: KeyPath, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Give the values at a path in which `*` stands for each entry of a list or mapping."""
    if not pattern:
        yield path, data
    elif isinstance(data, list) and pattern[0] == "*":
        for index, item in enumerate(data):
            yield from find(item, pattern[1:], (*path, index))
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else {pattern[0]} & data.keys():
            yield from find(data[key], pattern[1:], (*path, key))


def _get(data: object, *path: str) -> Any:
    return next((value for _, value in find(data, path)), None)


def _walk(data: Data, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    for key, value in data.items():
        if isinstance(value, dict) and key not in WHOLE_KEYS:
            yield from _walk(value, (*path, key))
        elif not isinstance(value, dict):
            yield (*path, key), value


# --- rules of a bot --------------------------------------------------------------------------


def _some_job(data: Data) -> Iterator[Blame]:
    post, reply = data.get("post"), data.get("reply")
    if post is None and reply is None:
        yield ("post",), NO_POST_NO_REPLY
    elif isinstance(post, dict) and not post.get("model") and reply is None:
        yield ("post", "model"), NO_REPLY_MODEL


def _some_moderator(data: Data) -> Iterator[Blame]:
    moderators = _get(data, "safety", "moderators")
    if moderators == [] and not _is_true(_get(data, "safety", "unmoderated")):
        yield ("safety", "moderators"), NO_MODERATOR
    if isinstance(moderators, list) and "chat" in moderators:
        keys = [key for key in ("chat_backend", "chat_model") if not _get(data, "safety", key)]
        yield from ((("safety", key), NO_GUARD_MODEL) for key in keys)


def _some_topic_model(data: Data) -> Iterator[Blame]:
    keys = [key for key in ("topics", "avoid_topics") if _get(data, "reply", key)]
    if keys and not _get(data, "reply", "topic_model"):
        yield ("reply", keys[0]), NO_TOPIC_MODEL


def _known_backends(data: Data) -> Iterator[Blame]:
    backends = data.get("backends")
    known = backends if isinstance(backends, dict) else {}
    for pattern in BACKEND_KEYS:
        for path, name in find(data, pattern):
            if isinstance(name, str) and name not in known:
                yield path, f"no backend has this name; the closest is {find_closest(name, known)}"


def _models_where_needed(data: Data) -> Iterator[Blame]:
    for job in ("post", "reply"):
        for path, fallback in find(data, (job, "fallbacks", "*")):
            api = _get(data, "backends", str(_get(fallback, "backend")), "api")
            if api in ("hf", "chat") and not _get(fallback, "model"):
                yield (*path, "model"), f"is required: a backend with api {api} serves many models"


def _whole_account(data: Data) -> Iterator[Blame]:
    account = data.get("reddit")
    if not isinstance(account, dict):
        return
    if not _forms_of(account, "client_id"):
        yield ("reddit", "client_id_env"), "is required: the name of the variable that holds the app's client id"
    if _forms_of(account, "password") and not _forms_of(account, "client_secret"):
        yield ("reddit", "client_secret_env"), "is required beside a password: the name of the variable that holds it"


def _one_form_each(data: Data) -> Iterator[Blame]:
    for pattern in (("reddit",), ("backends", "*"), ("services", "*"), ("alerts",)):
        for path, block in find(data, pattern):
            if isinstance(block, dict):
                yield from _doubled(block, path)


def _doubled(block: Data, path: KeyPath) -> Iterator[Blame]:
    for secret in SECRET_KEYS:
        forms = _forms_of(block, secret)
        if len(forms) > 1:
            yield (*path, forms[-1]), f"says the same as {forms[0]}: keep one of them"


def _keys_travel_encrypted(data: Data) -> Iterator[Blame]:
    for pattern in (("backends", "*"), ("services", "*")):
        for path, server in find(data, pattern):
            if isinstance(server, dict) and _forms_of(server, "key") and _is_open_to_others(server.get("url")):
                yield (
                    (*path, "url"),
                    "would send a key unencrypted over the internet: use https://, or set key_env: null",
                )


def _reddit_is_encrypted(data: Data) -> Iterator[Blame]:
    for key in ("reddit_url", "oauth_url"):
        parts = _split(_get(data, "reddit", key))
        if parts is not None and parts[0] == "http" and not is_loopback(parts[1]):
            yield (
                ("reddit", key),
                "must be https:// (only an address of this machine, such as 127.0.0.1, may be http://)",
            )


_BOT_RULES: tuple[Rule, ...] = (
    _some_job,
    _some_moderator,
    _some_topic_model,
    _known_backends,
    _models_where_needed,
    check_ranker,
    check_moderators,
    check_topics,
    check_pictures,
    _whole_account,
    _one_form_each,
    _keys_travel_encrypted,
)
_MAIN_RULES: tuple[Rule, ...] = (
    check_alerts,
    check_metrics,
    _reddit_is_encrypted,
    _one_form_each,
    _keys_travel_encrypted,
)


# --- what they ask ---------------------------------------------------------------------------


def _split(url: object) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        return (parts.scheme, parts.hostname or "") if parts else None
    except ValueError:
        return None


def _is_open_to_others(url: object) -> bool:
    parts = _split(url)
    return parts is not None and parts[0] == "http" and not is_near(parts[1])


def _forms_of(block: Data, secret: str) -> list[str]:
    return [form for form in (secret, f"{secret}_env", f"{secret}_file") if block.get(form) is not None]


def _is_true(value: object) -> bool:
    try:
        return parse_flag(value)
    except ValueError:
        return False

"""What HotShotBot did without being told: which service answers, and what its models of that time are worth today.

All of it gives way to `bot_defaults` and to our own blocks in the file (`wishes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hotshotd.config.document import Tree
from hotshotd.config.hotshotbot_values import to_flag
from hotshotd.config.hotshotbot_writer import Writer

#: The zero-shot model of files that name topics and no classifier; Hugging Face serves it.
TOPIC_MODEL = "facebook/bart-large-mnli"
#: What scored comments in that program.
GATE_MODEL = "microsoft/DialogRPT-width"
#: Hosts where Hugging Face serves no text model of that time, and no DialogRPT.
ENDED_HOSTS = frozenset({"api-inference.huggingface.co", "router.huggingface.co"})


def complete(writer: Writer, old: Mapping[str, Any], wishes: Tree, *, defaults: Tree, is_later: bool) -> None:
    """Add what that program did without being told, where nobody says otherwise."""
    wished = wishes.data
    username = writer.get("reddit", "username") or _get(wished, "reddit", "username")
    if username is not None and not writer.has("reddit", "operator") and not _has(wished, "reddit", "operator"):
        writer.put(("reddit", "operator"), username)
    if writer.has("reply", "model") or not (writer.has("post", "schedule") and writer.has("post", "model")):
        _complete_reply(writer, old, wished, is_later=is_later)
    if not writer.has("post", "model"):
        # Where the reply model wrote the posts, it did so with its own parameters.
        writer.drop("post", "parameters")
        if writer.has("reply", "parameters"):
            writer.copy(("reply", "parameters"), ("post", "parameters"))
    for job in ("post", "reply"):
        _choose_model(writer, job, wished, defaults.data)
    _complete_rank(writer, wished, is_later=is_later)
    if not _has(wished, "safety", "moderators"):
        named = writer.has("services", "perspective", "key_env")
        writer.put(("safety", "moderators"), ["perspective"] if named else ["openai"])
    _complete_images(writer, wished)
    _share_key(writer, wished)


def _complete_reply(writer: Writer, old: Mapping[str, Any], wished: Mapping[str, Any], *, is_later: bool) -> None:
    if is_later and not writer.has("reply", "followup_only"):
        # It read the inbox, and posts where it was told to.
        writer.put(("reply", "followup_only"), to_flag(old.get("read_posts")) is not True)
    if not writer.has("reply", "topics"):
        writer.drop("reply", "topic_model")
        writer.drop("reply", "topic_threshold")
        return
    if not writer.has("reply", "topic_model"):
        writer.put(("reply", "topic_model"), _get(wished, "reply", "topic_model") or TOPIC_MODEL)
    if not writer.has("reply", "chance"):
        # What was on topic was answered; no other dice were thrown.
        writer.put(("reply", "chance"), 1.0)


def _choose_model(writer: Writer, job: str, wished: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Keep the file's model where somebody serves it; else take what `bot_defaults` name."""
    if not writer.has(job, "model"):
        return
    chosen: dict[str, Any] = {"backend": "hf"}
    if is_ended(wished, "hf"):
        below = defaults.get(job)
        chosen.update({key: below[key] for key in ("backend", "model") if isinstance(below, dict) and key in below})
    for key, value in chosen.items():
        writer.put((job, key), value)


def _complete_rank(writer: Writer, wished: Mapping[str, Any], *, is_later: bool) -> None:
    if not any(_has(wished, "rank", key) for key in ("backend", "api", "gate_model")):
        is_served = not is_later and not is_ended(wished, "hf")
        writer.put(("rank", "gate_model"), GATE_MODEL if is_served else None)
    if not _has(wished, "rank", "rank_model"):
        # Its own ranking of candidates was never called: the first that passed was taken.
        writer.put(("rank", "rank_model"), None)


def _complete_images(writer: Writer, wished: Mapping[str, Any]) -> None:
    has_host = writer.has("services", "azure", "url") or "//NAME." not in str(_get(wished, "services", "azure", "url"))
    if writer.has("services", "azure", "key_env") and has_host and not _has(wished, "images", "caption"):
        writer.put(("images", "caption"), "azure")
        # The version it spoke; 4.0 is not to be had in every region.
        if _get(wished, "services", "azure", "version") in (None, "4.0"):
            writer.put(("services", "azure", "version"), "3.2")
    if writer.has("services", "deepai", "key_env") and not _has(wished, "images", "upscale"):
        writer.put(("images", "upscale"), "deepai")


def _share_key(writer: Writer, wished: Mapping[str, Any]) -> None:
    """Give the key of Hugging Face to both its backends, and to no server of another owner."""
    name = writer.get("backends", "hf", "key_env")
    if name is None:
        return
    for backend in ("hf-chat", "hf"):
        url = urlsplit(str(_get(wished, "backends", backend, "url")))
        if (url.hostname or "").endswith("huggingface.co"):
            writer.copy(("backends", "hf", "key_env"), ("backends", backend, "key_env"))
        else:
            writer.drop("backends", backend)


def drop_what_is_off(writer: Writer, wishes: Tree) -> None:
    """Leave out posts that are never made, replies without a model, and pictures that nobody makes any more."""
    if not writer.has("post", "schedule"):
        writer.drop("post")
    if writer.has("post", "model") and not (writer.has("reply", "model") or _get(wishes.data, "reply", "model")):
        writer.drop("reply")
    has_painter = _has(wishes.data, "images", "generate_model") or _has(wishes.data, "images", "generate_backend")
    if writer.get("post", "link_share") and not has_painter:
        writer.drop("post", "link_share")
    for kind in ("backends", "services"):
        for name in list(writer.get(kind) or {}):
            if not writer.get(kind, name):
                writer.drop(kind, name)
        if writer.get(kind) == {}:
            writer.drop(kind)


def is_ended(data: Mapping[str, Any], backend: object) -> bool:
    """Tell whether a backend is the one of Hugging Face that serves none of that program's models."""
    servers = data.get("backends")
    server = servers.get(backend) if isinstance(servers, dict) else None
    if not isinstance(server, dict) or server.get("api") != "hf":
        return False
    try:
        return urlsplit(str(server.get("url"))).hostname in ENDED_HOSTS
    except ValueError:
        return False


def _get(data: Mapping[str, Any], *path: str) -> Any:
    value: Any = data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _has(data: Mapping[str, Any], *path: str) -> bool:
    """Tell whether a key was written, be it as null."""
    block = _get(data, *path[:-1])
    return isinstance(block, dict) and path[-1] in block

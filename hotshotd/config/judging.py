"""Rules about who judges: which server can rank, moderate or tell topics in which way, and with what model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from hotshotd.config.extras import ENGLISH_ONLY, NO_LOCAL_MODEL, find_local_package, knows_languages
from hotshotd.config.values import Blame

Data = Mapping[str, Any]

#: Hugging Face's router, which serves neither /rerank nor /classify.
_ROUTER = "router.huggingface.co"

#: `rank.api` → the wire formats a backend may have for it.
_RANKED_BY: Mapping[str, tuple[str, ...]] = {
    "hf": ("hf",),
    "rerank": ("completions", "chat", "hf"),
    "classify": ("completions", "chat", "hf"),
    "judge": ("chat",),
}

_DIALOGRPT = "microsoft/dialogrpt"


def check_ranker(data: Data) -> Iterator[Blame]:
    """Blame a ranker that its backend can't be, and a judge whose models are no chat models."""
    rank = data.get("rank")
    if not isinstance(rank, dict) or not isinstance(data.get("reply"), dict):
        return
    api = str(rank.get("api") or "hf")
    backend = _find_backend(data, rank.get("backend") or "hf")
    spoken, wanted = backend.get("api"), _RANKED_BY.get(api, ())
    if wanted and isinstance(spoken, str) and spoken not in wanted:
        needed = f"a backend with api {' or '.join(wanted)}"
        yield ("rank", "backend"), f"has api {spoken}, but rank.api {api} needs {needed}"
    elif api in ("rerank", "classify") and _host_of(backend) == _ROUTER:
        yield ("rank", "backend"), f"does not serve /{api}: name a server of your own (infinity, vLLM)"
    if api == "judge":
        yield from _check_judge(rank)


def _check_judge(rank: Data) -> Iterator[Blame]:
    for key in ("gate_model", "rank_model"):
        model = rank.get(key, "microsoft/DialogRPT")
        if isinstance(model, str) and model.casefold().startswith(_DIALOGRPT):
            yield ("rank", key), "must be written with rank.api judge: a chat model of that backend, or null for none"


def check_moderators(data: Data) -> Iterator[Blame]:
    """Blame moderators whose backend speaks otherwise, and `local` without its package."""
    safety = data.get("safety")
    moderators = safety.get("moderators") if isinstance(safety, dict) else None
    if not isinstance(safety, dict) or not isinstance(moderators, list):
        return
    if "hf" in moderators:
        name = safety.get("hf_backend") or "hf"
        needed = "moderator hf needs a backend with api hf, or with api completions for a server with /classify"
        yield from _check_api(data, name, ("safety", "hf_backend"), ("hf", "completions"), needed)
    if "chat" in moderators:
        needed = "moderator chat needs a backend with api chat"
        yield from _check_api(data, safety.get("chat_backend"), ("safety", "chat_backend"), ("chat",), needed)
    if "local" in moderators:
        yield from _check_local(safety, moderators.index("local"))


def _check_local(safety: Data, index: int) -> Iterator[Blame]:
    package, languages = find_local_package(), safety.get("languages")
    if package is None:
        yield ("safety", "moderators", index), NO_LOCAL_MODEL
    elif isinstance(languages, list) and not knows_languages(package, [str(language) for language in languages]):
        yield ("safety", "moderators", index), ENGLISH_ONLY


def check_topics(data: Data) -> Iterator[Blame]:
    """Blame a backend that can't tell topics."""
    reply = data.get("reply")
    if isinstance(reply, dict) and (reply.get("topics") or reply.get("avoid_topics")):
        name = reply.get("topic_backend") or "hf"
        needed = "topics need a backend with api hf (a zero-shot model) or chat"
        yield from _check_api(data, name, ("reply", "topic_backend"), ("hf", "chat"), needed)


def _check_api(
    data: Data, name: object, path: tuple[str, ...], wanted: Collection[str], needed: str
) -> Iterator[Blame]:
    spoken = _find_backend(data, name).get("api")
    if isinstance(spoken, str) and spoken not in wanted:
        yield path, f"has api {spoken}, but {needed}"


def _find_backend(data: Data, name: object) -> Data:
    backends = data.get("backends")
    backend = backends.get(name) if isinstance(backends, dict) and isinstance(name, str) else None
    return backend if isinstance(backend, dict) else {}


def _host_of(backend: Data) -> str:
    try:
        return urlsplit(str(backend.get("url") or "")).hostname or ""
    except ValueError:
        return ""

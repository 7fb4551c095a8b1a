"""The one notice for a file of HotShotBot: which roles nobody serves any more, and the line that mends each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.config.faults import Fault
from hotshotd.config.hotshotbot import UNUSED, OldFile
from hotshotd.config.hotshotbot_implied import GATE_MODEL, is_ended

#: A backend and a model of it that a newcomer gets without a bill; only ever proposed.
PROPOSAL = "backend: groq, model: qwen/qwen3.8-27b"
_MEND_RANK = "rank: {api: judge, backend: groq, gate_model: qwen/qwen3.8-27b}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A role that the bot is without: what it was, and the line that gives it back."""

    role: str
    old_key: str
    was: str
    mend: str

    def __str__(self) -> str:
        return f"{self.role} ({self.was}): write `{self.mend}`"


def list_ended(old: OldFile, data: Mapping[str, Any]) -> tuple[Ended, ...]:
    """Give the roles that nobody serves any more, in a bot's merged keys."""
    return (*_texts(data), *_ranking(old, data), *_pictures(old, data))


def list_unused(old: OldFile) -> tuple[tuple[str, str], ...]:
    """Give the old keys that have no meaning here and were turned on, each with the reason."""
    found = [(key, why) for key, why in UNUSED.items() if old.old.get(key) not in (None, False, 0, "", [], {})]
    if old.is_later and not old.old.get("topic_list"):
        found.append(("topic_list", "it is empty, and topics are not taken from the backstory: chance decides"))
    return tuple(found)


def make_notice(old: OldFile, data: Mapping[str, Any], further: Iterable[Fault] = ()) -> Fault:
    """Give the notice; `further` are warnings about the file that it is to hold as well."""
    parts = ["is a file of HotShotBot, and is read in that program's meaning"]
    ended = list_ended(old, data)
    if ended:
        parts.append("no service serves any more: " + "; ".join(map(str, ended)) + " (here, or under bot_defaults)")
    parts += _advice(data)
    parts += [f"{key} has no effect: {why}" for key, why in list_unused(old)]
    parts += [f"{fault.key}: {fault.message}" for fault in further]
    parts.append("`hotshotctl import FILE` writes it in our keys")
    return Fault(old.document.path, 1, "", ". ".join(parts))


def _texts(data: Mapping[str, Any]) -> Iterator[Ended]:
    post, reply = data.get("post"), data.get("reply")
    if isinstance(reply, dict) and reply.get("model") and is_ended(data, reply.get("backend") or "hf"):
        yield Ended("replies", "reply_textgen_model", str(reply["model"]), f"reply: {{{PROPOSAL}}}")
    if isinstance(post, dict) and post.get("model") and is_ended(data, post.get("backend") or "hf"):
        # The reply model can write them; a model of one's own needs a server of one's own.
        mend = "post: {model: null}` to let the reply model write, or `post: {backend: YOUR_SERVER}"
        yield Ended("posts", "post_textgen_model", str(post["model"]), mend)


def _ranking(old: OldFile, data: Mapping[str, Any]) -> Iterator[Ended]:
    rank = data.get("rank")
    was_asked = not old.is_later and isinstance(data.get("reply"), dict)
    if was_asked and isinstance(rank, dict) and rank.get("gate_model") is None:
        yield Ended("scores of comments", "min_reply_score", GATE_MODEL, _MEND_RANK)


def _pictures(old: OldFile, data: Mapping[str, Any]) -> Iterator[Ended]:
    share, images, post = old.old.get("linkpost_share"), data.get("images"), data.get("post")
    wanted = isinstance(share, int | float) and share > 0 and isinstance(post, dict)
    if wanted and not (isinstance(post, dict) and post.get("link_share")):
        yield Ended(
            "pictures",
            "linkpost_share",
            "latent diffusion at hf.space",
            "images: {generate_backend: hf, generate_model: MODEL}",
        )
    captioned = isinstance(images, dict) and images.get("caption") not in (None, "none")
    if old.old.get("azure_token_var") and not captioned:
        yield Ended(
            "captions",
            "azure_token_var",
            "the author's own Azure host",
            "services: {azure: {url: https://YOURS.cognitiveservices.azure.com}}",
        )


def _advice(data: Mapping[str, Any]) -> Iterator[str]:
    safety, account = data.get("safety"), data.get("reddit")
    if isinstance(safety, dict) and "perspective" in (safety.get("moderators") or ()):
        yield "moderation by Perspective ends on 31 December 2026: write `safety: {moderators: [openai]}` by then"
    if isinstance(account, dict) and account.get("operator") == account.get("username"):
        yield "the user agent names the bot itself as its operator: write `reddit: {operator: your_reddit_name}`"

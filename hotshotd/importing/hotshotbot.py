"""A file of HotShotBot as a draft: the same behaviour as when it is dropped into `bots.d`, but for `dry_run`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hotshotd.config.document import Document
from hotshotd.config.hotshotbot import OLD_KEYS
from hotshotd.config.hotshotbot_implied import TOPIC_MODEL
from hotshotd.config.hotshotbot_notice import list_ended, list_unused
from hotshotd.config.loaded import MainLoad
from hotshotd.config.loader import merge_bot, translate_old
from hotshotd.config.schema import BotConfig
from hotshotd.importing.draft import CHANGE_THIS, FREE_TEXT, Draft, is_env_name, make_name

#: Names of files that say nothing about the bot.
_COMMON_STEMS = frozenset({"bot_config", "bot_config_example", "bot-config", "config", "bot"})
#: Our keys that hold a name of a variable, and the old key each came from.
_VARIABLES = (
    ("reddit", "password_env", "reddit_pass_var"),
    ("reddit", "client_id_env", "reddit_ID_var"),
    ("reddit", "client_secret_env", "reddit_secret_var"),
)
_SERVER_VARIABLES = (
    ("backends", "hf", "HF_key_var"),
    ("backends", "hf-chat", "HF_key_var"),
    ("services", "perspective", "Google_API_key_var"),
    ("services", "azure", "azure_token_var"),
    ("services", "deepai", "deepai_api_key_var"),
)
_IS_A_FOLDER = "named a model in a folder, which is not run here: serve it, and name the server as backend"
_NOT_COPIED = "held the secret itself, which is not copied: set the variable that the new file names"


def draft_of_hotshotbot(document: Document, *, main: MainLoad) -> Draft:
    """Make a draft of a file of HotShotBot that was read."""
    old = translate_old(document, main)
    assert old is not None, "the caller looked"
    assert document.tree is not None, "the caller looked"
    data = copy.deepcopy(old.tree.data)
    stem = document.path.stem
    is_common = stem.casefold() in _COMMON_STEMS
    name = make_name(str(old.old.get("bot_username") or stem)) if is_common else _keep_name(stem)
    draft = Draft(name, f"Made of the HotShotBot file {document.path.name}.", {"dry_run": True, **data})
    for key in document.tree.data:
        if key not in OLD_KEYS and key not in BotConfig.model_fields:
            draft.leave(key, "is no key of HotShotBot's")
    _replace_secrets(draft)
    _replace_folders(draft)
    if draft.data.get("reddit", {}).get("operator") == draft.data.get("reddit", {}).get("username"):
        draft.notes["reddit.operator"] = CHANGE_THIS
    merged = merge_bot(old.tree, main, Path(document.path)).data
    for ended in list_ended(old, merged):
        draft.leave(ended.old_key, f"{ended.was}: no service serves this any more: write `{ended.mend}`")
    for key, why in list_unused(old):
        draft.leave(key, f"has no effect: {why}")
    return draft


def _keep_name(stem: str) -> str:
    """Keep a stem that can be a bot's name: a bot that is imported decides as it did when its file was dropped in."""
    is_name = stem.isascii() and stem[:1].isalnum() and all(char.isalnum() or char in "_.-" for char in stem)
    return stem if is_name and len(stem) <= 64 else make_name(stem, otherwise="bot")


def _replace_folders(draft: Draft) -> None:
    """Take out models that lie in a folder, as they did in one branch of that program."""
    post, reply = draft.data.get("post", {}), draft.data.get("reply", {})
    if _is_folder(post.get("model")):
        del post["model"]
        post.pop("backend", None)
        draft.leave("post_textgen_model", _IS_A_FOLDER)
    if _is_folder(reply.get("model")):
        reply.update(FREE_TEXT)
        draft.leave("reply_textgen_model", _IS_A_FOLDER)
    if _is_folder(reply.get("topic_model")):
        reply["topic_model"] = TOPIC_MODEL
        draft.leave("topic_classifier", _IS_A_FOLDER)


def _is_folder(model: object) -> bool:
    """Tell a path from a name of Hugging Face's, which is NAME or OWNER/NAME."""
    return isinstance(model, str) and (model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model)


def _replace_secrets(draft: Draft) -> None:
    """Turn what is, or may be, a secret into the name of a variable."""
    account: dict[str, Any] = draft.data.setdefault("reddit", {})
    for block, key, old_key in _VARIABLES:
        stem = key.removesuffix("_env")
        if account.get(stem) is not None:
            draft.leave(old_key.removesuffix("_var"), _NOT_COPIED)
        elif account.get(key) is not None and not is_env_name(account[key]):
            del draft.data[block][key]
            draft.leave(old_key, _NOT_COPIED)
    for kind, name, old_key in _SERVER_VARIABLES:
        server = draft.data.get(kind, {}).get(name)
        if isinstance(server, dict) and "key_env" in server and not is_env_name(server["key_env"]):
            del server["key_env"]
            draft.leave(old_key, _NOT_COPIED)
            if not server:
                del draft.data[kind][name]
    for kind in ("backends", "services"):
        for server in draft.data.get(kind, {}).values():
            if isinstance(server, dict):
                server.pop("key", None)

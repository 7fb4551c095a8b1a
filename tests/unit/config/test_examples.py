"""The files that are shipped as examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hotshotd.config.loader import load_all, load_bot, load_main
from hotshotd.config.schema import (
    BotConfig,
    MainConfig,
    PostSection,
    RedditAccount,
    ReplySection,
    SafetySection,
    Section,
)

ETC = Path(__file__).parents[3] / "etc" / "hotshot"
SAMPLE = ETC / "bots.d" / "example.yaml.sample"


def test_examples__main_file_is_right_and_says_the_defaults() -> None:
    """The shipped main file loads without a fault and changes no default."""
    main = load_main(ETC / "hotshotd.yaml", {"HOME": "/home/u"})
    assert main.faults == ()
    assert main.config is not None
    folders = {"bots_dir", "state_dir", "runtime_dir", "backends", "services"}
    assert main.config.model_dump(exclude=folders) == MainConfig().model_dump(exclude=folders)


def test_examples__sample_is_right_and_writes_nothing() -> None:
    """A copied sample is valid, tries things out only, and asks for nothing that is not built."""
    load = load_bot(SAMPLE, load_main(ETC / "hotshotd.yaml", {}))
    assert load.faults == ()
    assert load.warnings == ()
    assert load.bot is not None
    bot = load.bot.config
    assert (bot.name, bot.dry_run, bot.safety.moderators) == ("example", True, ("openai",))
    assert bot.post is not None
    assert (bot.post.model, bot.post.format) == (None, "plain")


def test_examples__sample_is_no_bot_by_itself() -> None:
    """A fresh installation starts without bots; a sample in the folder is not run."""
    loaded = load_all(ETC / "hotshotd.yaml", environ={})
    assert (loaded.faults, loaded.bots) == ((), ())


@pytest.mark.parametrize("model", [BotConfig, PostSection, RedditAccount, ReplySection, SafetySection])
def test_examples__the_sample_mentions_every_key(model: type[Section]) -> None:
    """Every key of the main sections that a new user may want stands in the sample."""
    text = SAMPLE.read_text(encoding="utf-8")
    later = {"link_share", "images", "services", "delete_below", "unmoderated", "flair_id"}
    names = {
        name for name in model.model_fields if not re.search(r"topic|hf_|chat_|_file$|^(password|client|refresh)", name)
    }
    assert {name for name in names - later if not re.search(rf"\b{name}\b", text)} == set()

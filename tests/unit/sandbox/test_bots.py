"""The example bots' files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from hotshotd.config.schema import BotConfig, MainConfig
from hotshotd.sandbox.bots import MAX_BOTS, Addresses, make_bots, make_main_config

NOW = datetime(2026, 11, 24, 23, 59, 30, tzinfo=UTC)
ADDRESSES = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2/m", "http://127.0.0.1:3/v1")


def load(text: str) -> dict[str, object]:
    keys = yaml.safe_load(text)
    # The files name servers by key only; what they are stands in the main file.
    del keys["backends"]
    return dict(keys)


@pytest.mark.parametrize("count", [1, 3, 4, 17, MAX_BOTS])
def test_make_bots__gives_files_of_the_contract(count: int) -> None:
    """Every file validates; names, accounts, keys and clients differ."""
    bots = make_bots(count, now=NOW)
    configs = [BotConfig.model_validate(load(bot.text)) for bot in bots]
    assert [config.name for config in configs] == [bot.name for bot in bots]
    for values in zip(*((bot.name, bot.username, bot.key, bot.client_id) for bot in bots), strict=True):
        assert len(set(values)) == count
    assert all(len(bot.username) <= 20 for bot in bots)


def test_make_bots__show_every_kind_of_bot() -> None:
    """By default there is a poster at an interval, one at times of day, one by cron, and one that only answers."""
    configs = [BotConfig.model_validate(load(bot.text)) for bot in make_bots(4, now=NOW)]
    assert sum(config.post is None for config in configs) == 1
    assert {config.post.format for config in configs if config.post} == {"ssi", "plain"}
    assert len({type(config.post.schedule) for config in configs if config.post}) >= 2
    assert all(config.reply for config in configs)
    assert any(config.reply and not config.reply.followup_only for config in configs)
    assert any(config.post and config.post.link_share for config in configs)
    assert any(config.images.caption != "none" for config in configs)
    assert not any("perspective" in config.safety.moderators for config in configs)


def test_make_bots__have_a_slot_in_the_running_minute() -> None:
    """The times of day begin with the present minute, so that a late post is made at once."""
    baker = yaml.safe_load(make_bots(2, now=NOW)[1].text)
    assert baker["post"]["schedule"][:2] == ["23:59", "00:00"]


def test_make_bots__name_every_variable_that_they_give() -> None:
    """The secrets stand in the environment, not in the file."""
    for bot in make_bots(9, now=NOW):
        for name, value in bot.environment.items():
            assert name in bot.text
            assert value not in bot.text
        assert bot.password not in repr(bot)


def test_make_bots__read_less_often_when_they_are_many() -> None:
    """A hundred bots poll a small machine gently; four poll every two seconds."""
    assert yaml.safe_load(make_bots(4, now=NOW)[0].text)["poll"]["interval"] == "2s"
    assert yaml.safe_load(make_bots(MAX_BOTS, now=NOW)[0].text)["poll"]["interval"] == "12s"


@pytest.mark.parametrize("count", [0, -1, MAX_BOTS + 1])
def test_make_bots__refuses_other_numbers(count: int) -> None:
    """Between 1 and 100 bots, said so."""
    with pytest.raises(ValueError, match="between 1 and 100"):
        make_bots(count, now=NOW)


def test_make_main_config__is_of_the_contract() -> None:
    """The main file validates and holds nothing but addresses and folders."""
    text = make_main_config(ADDRESSES, state_dir="/tmp/state", runtime_dir="/tmp/run")
    config = MainConfig.model_validate(yaml.safe_load(text))
    assert config.reddit.oauth_url == ADDRESSES.reddit
    assert {name: backend.url for name, backend in config.backends.items()} == {
        "hf": ADDRESSES.hf,
        "openai": ADDRESSES.openai,
        "llama": ADDRESSES.openai,
        "mistral": ADDRESSES.openai,
    }

"""Faults observed in other bots, in what is read from files: keys left empty, budgets that are none."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hotshotd.config.loader import load_bot, load_main
from hotshotd.config.schema import BotConfig

BOT = """\
reddit:
  username: Duck
  password_env: P
  client_id_env: I
  client_secret_env: S
  operator: keeper
  subreddits: [pond]
backstory: I am a duck.
reply: {backend: groq, model: m}
rank: {gate_model: null, rank_model: null}
"""

Load = Callable[[str], BotConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Give a function that loads one bot whose file ends with some lines."""

    def load(lines: str) -> BotConfig:
        main, bot = tmp_path / "hotshotd.yaml", tmp_path / "bots.d" / "duck.yaml"
        main.write_text("timezone: UTC\n", encoding="utf-8")
        bot.parent.mkdir()
        bot.write_text(BOT + textwrap.dedent(lines), encoding="utf-8")
        loaded = load_bot(bot, load_main(main, {}))
        assert loaded.faults == ()
        assert loaded.bot is not None
        return loaded.bot.config

    return load


@pytest.mark.parametrize("empty", ["", " null", " []", "   # none yet"])
def test_negative_keywords__left_empty_are_none_of_the_bots_own(load: Load, empty: str) -> None:
    """The key without a value is the default: the built-in list, and nothing more."""
    safety = load(f"""\
        safety:
          moderators: [openai]
          negative_keywords:{empty}
        """).safety
    assert (safety.negative_keywords, safety.default_keywords) == ((), True)


@pytest.mark.parametrize(("line", "budget"), [("", 30_000), ("character_budget: 0\n", 0)])
def test_character_budget__is_never_endless_unsaid(load: Load, line: str, budget: int) -> None:
    """Left out it is the default; 0 is 0."""
    assert load(f"{line}safety: {{moderators: [openai]}}\n").character_budget == budget

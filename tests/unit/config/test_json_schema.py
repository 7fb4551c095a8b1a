"""The schemas that editors read: up to date, explained, and of one mind with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from hotshotd.config.descriptions import DESCRIPTIONS
from hotshotd.config.document import load_document
from hotshotd.config.json_schema import SCHEMAS, find_schema, format_schema, list_defaults, make_schema, write_duration
from hotshotd.config.loader import load_bot, make_bare_main
from hotshotd.config.schema import BotConfig, MainConfig, Section
from hotshotd.config.values import parse_duration

ETC = Path(__file__).parents[3] / "etc" / "hotshot"


def _sections(model: type[Section] = Section) -> list[type[Section]]:
    found = [sub for sub in model.__subclasses__() if sub.__module__ == "hotshotd.config.schema"]
    return [*found, *(inner for sub in found for inner in _sections(sub))]


@pytest.fixture(scope="module")
def bot_schema() -> Draft7Validator:
    schema = make_schema("bot.schema.json")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.fixture(scope="module")
def main_schema() -> Draft7Validator:
    schema = make_schema("hotshotd.schema.json")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas__are_up_to_date(name: str) -> None:
    """What the package ships is what the models say; scripts/make-schema writes it."""
    path = find_schema(name)
    assert path is not None
    assert path.read_text(encoding="utf-8") == format_schema(name), "run scripts/make-schema"


@pytest.mark.parametrize("model", [*_sections()], ids=lambda model: model.__name__)
def test_descriptions__explain_each_key(model: type[Section]) -> None:
    """Each key of each block has its sentence, and no sentence is left of a key that is gone."""
    if not model.model_fields or model.__name__ == "Keyed":
        return
    known = DESCRIPTIONS[model.__name__]
    assert set(known) == set(model.model_fields)
    assert all(text and len(text) < 110 and text[-1] in ".:" for text in known.values())


def test_schema__every_key_is_described() -> None:
    """An editor shows something for each key, wherever it stands."""
    blocks = [make_schema("hotshotd.schema.json"), make_schema("bot.schema.json")]
    blocks += [block for schema in blocks for block in schema["$defs"].values()]
    bare = [key for block in blocks for key, inner in block.get("properties", {}).items() if "description" not in inner]
    assert bare == []


def test_examples__fit(bot_schema: Draft7Validator, main_schema: Draft7Validator) -> None:
    """The files that are shipped as examples are right for an editor, too."""
    for validator, name in ((bot_schema, "bots.d/example.yaml.sample"), (main_schema, "hotshotd.yaml")):
        tree = load_document(ETC / name).tree
        assert tree is not None
        assert [error.message for error in validator.iter_errors(tree.data)] == []


#: A key's block, its YAML value as data, and whether it is right.
VALUES: list[tuple[str, str, Any, bool]] = [
    ("poll", "interval", "30s", True),
    ("poll", "interval", "1.5h", True),
    ("poll", "interval", 0, False),
    ("poll", "interval", "30", False),
    ("poll", "lookback", 0, True),
    ("poll", "lookback", 15, False),
    ("poll", "lookback", "15 m", True),
    ("poll", "lookback", None, True),
    ("reply", "chance", 1, True),
    ("reply", "chance", 1.5, False),
    ("reply", "chance", "0.5", False),
    ("reply", "followup_only", "yes", True),
    ("reply", "followup_only", 1, False),
    ("reply", "linkpost_only", "force", True),
    ("reply", "linkpost_only", "sometimes", False),
    ("reply", "positive_keywords", ["who", 7, True], True),
    ("reply", "positive_keywords", "who", False),
    ("reply", "positive_keywords", None, True),
    ("reply", "max_per_day", None, True),
    ("reply", "examples", [{"them": "a", "me": "b"}], True),
    ("reply", "examples", [{"them": "a"}], False),
    ("reply", "parameters", {"top_k": 3}, True),
    ("reply", "parallel", 9, False),
    ("post", "schedule", ["09:00", "9:30"], True),
    ("post", "schedule", ["24:00"], False),
    ("post", "schedule", [], False),
    ("post", "schedule", {"mon": ["09:00"], "Sunday": ["10:00"]}, True),
    ("post", "schedule", {"noday": ["09:00"]}, False),
    ("post", "schedule", {"cron": "0 */6 * * *"}, True),
    ("post", "schedule", {"every": "6h"}, True),
    ("post", "schedule", {"every": 6}, False),
    ("post", "schedule", {"every": "6h", "cron": "@daily"}, False),
    ("safety", "toxicity_threshold", {"TOXICITY": 0.9}, True),
    ("safety", "toxicity_threshold", {}, False),
    ("safety", "toxicity_threshold", 2, False),
    ("safety", "moderators", ["nobody"], False),
    ("safety", "languages", None, True),
    ("reddit", "password_env", "A_NAME", True),
    ("reddit", "password_env", "not a name", False),
    ("reddit", "confirm_after", ["2s", 0], True),
    ("reddit", "confirm_after", [2], False),
    ("", "character_budget", "unlimited", True),
    ("", "character_budget", 0, True),
    ("", "character_budget", None, False),
    ("", "character_budget", "lots", False),
    ("", "name", "a b", False),
    ("", "chanse", 1, False),
    ("reply", "chanse", 1, False),
]


@pytest.mark.parametrize(("block", "key", "value", "is_right"), VALUES)
def test_schema__agrees_with_the_loader(
    block: str, key: str, value: Any, is_right: bool, bot_schema: Draft7Validator, folder: Any
) -> None:
    """What the schema takes the loader takes, and what it refuses the loader refuses."""
    import yaml

    data: dict[str, Any] = yaml.safe_load(folder.good_bot)
    data["post"] = {"schedule": ["09:00"]}
    (data.setdefault(block, {}) if block else data)[key] = value
    path = folder.write_bot(json.dumps(data))
    faults = load_bot(path, make_bare_main({})).faults
    assert (bot_schema.is_valid(data), not faults) == (is_right, is_right), [str(fault) for fault in faults]


def test_schema__nothing_is_required_that_may_stand_elsewhere(
    bot_schema: Draft7Validator, main_schema: Draft7Validator
) -> None:
    """A bot's file may leave to bot_defaults what it likes, and those may hold any part of a bot but its name."""
    assert bot_schema.is_valid({"reply": {}})
    assert main_schema.is_valid({"bot_defaults": {"reply": {"chance": 0.5}}, "backends": {"groq": {"key_env": "K"}}})
    assert not main_schema.is_valid({"bot_defaults": {"reply": {"chanse": 0.5}}})
    assert not main_schema.is_valid({"bot_defaults": {"name": "a"}})


def test_defaults__are_written_as_a_file_has_them() -> None:
    """Durations have their unit, lists are lists; read back, they are the models' own."""
    defaults = list_defaults("bot.schema.json")
    assert defaults["PollSection"] == {"interval": "30s", "lookback": "15m", "inbox_lookback": "1d"}
    assert defaults["RedditAccount"]["confirm_after"] == ["2s", "10s"]
    assert (defaults["BotConfig"]["dry_run"], defaults["ReplySection"]["footer"]) == (False, None)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 59.0, 60.0, 5400.0, 86400.0, 90000.0])
def test_write_duration__comes_back(seconds: float) -> None:
    """What is written is read as the same number of seconds."""
    assert parse_duration(write_duration(seconds)) == seconds


def test_models__are_these_two() -> None:
    """Each file has its schema."""
    assert {model for model, _ in SCHEMAS.values()} == {BotConfig, MainConfig}

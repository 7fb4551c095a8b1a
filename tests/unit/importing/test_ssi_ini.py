"""ssi-bot's ini files: one draft a section, what is inherited, what is taken over and what is named as left."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importkit import DATA, Importer

from hotshotd.config.loaded import MainLoad
from hotshotd.errors import HotshotError, ImportFailed
from hotshotd.importing.draft import Draft
from hotshotd.importing.files import settle
from hotshotd.importing.ssi_ini import MAX_SECTIONS, read_ini

INI = (DATA / "ssi-bot.ini").read_text(encoding="utf-8")


def read(body: str, *, name: str = "Gull_Bot") -> Draft:
    (draft,) = read_ini(f"[{name}]\nsubreddits = TestHarbour\n{body}", source="x.ini")
    return draft


def left(draft: Draft) -> set[str]:
    return {leftover.key for leftover in draft.leftovers}


def test_sections__are_bots(bare_main: MainLoad) -> None:
    """Each section is one bot; what [DEFAULT] says holds for both; each makes a valid file."""
    gull, crab = read_ini(INI, source="ssi-bot.ini")
    assert (gull.name, crab.name) == ("gull_bot", "crab-bot")
    for draft in (gull, crab):
        assert draft.data["reddit"]["subreddits"] == ["TestHarbour", "TestDocks"]
        assert draft.data["safety"]["negative_keywords"] == ["fog*", "re:\\bsm[uo]g"]
        assert "dry_run: true" in settle(draft, name=draft.name, main=bare_main)
    assert gull.data["post"] == {
        "schedule": {"every": "4h"},
        "subreddit": "TestDocks",
        "flair_id": "11111111-2222-3333-4444-555555555555",
    }
    assert "post" not in crab.data
    assert crab.data["reply"]["inbox"]["messages"] is True


def test_models_in_folders__are_named_as_left(bare_main: MainLoad) -> None:
    """A model on disk is not run here: the line says how to get it back; no secret is repeated."""
    gull, _ = read_ini(INI, source="ssi-bot.ini")
    lines = list(map(str, gull.leftovers))
    assert any(line.startswith("text_model_path: ") and "format: ssi" in line for line in lines)
    assert {"toxicity_threshold", "imgur_client_id", "use_reply_sense"} <= left(gull)
    assert "5%secret%5" not in settle(gull, name="a", main=bare_main) + "".join(lines)


def test_chances__add_up() -> None:
    """A person's comment had the base and the boost for people; a keyword's boost is on top."""
    reply = read("base_reply_probability = 0.1\nhuman_author_reply_boost = 0.25\npositive_keywords = a").data["reply"]
    assert (reply["chance"], reply["keyword_boost"], reply["followup_only"]) == (0.35, 0.5, False)
    assert read("").data["reply"]["chance"] == 0.2
    assert read("base_reply_probability = 7").data["reply"]["chance"] == 1.0


def test_numbers__that_are_none_are_left() -> None:
    """A slip is named, and ssi-bot's own number stands in."""
    draft = read("base_reply_probability = often")
    assert (draft.data["reply"]["chance"], "base_reply_probability" in left(draft)) == (0.2, True)


@pytest.mark.parametrize("word", ["(", "a(b+)+c(", "[z"])
def test_keywords__that_are_no_pattern_are_left(word: str) -> None:
    """A keyword was a pattern; one that can't be compiled is named."""
    draft = read(f"negative_keywords = fine, {word}")
    assert draft.data["safety"]["negative_keywords"] == ["fine*"]
    assert "negative_keywords" in left(draft)


def test_schedules__only_one_place_is_posted_in() -> None:
    """A bot posts in one subreddit: the first that has hours; the others are named."""
    draft = read("new_submission_schedule = r/A_one=0, B_two=12, C_three=3\nsubreddit_flair_id_map = C_three=f")
    assert draft.data["post"] == {"schedule": {"every": "12h"}, "subreddit": "B_two"}
    assert {"new_submission_schedule", "subreddit_flair_id_map"} <= left(draft)
    assert "post" not in read("new_submission_schedule = TestHarbour=0").data


def test_percent_signs__are_only_signs() -> None:
    """There is no interpolation: a % in a value stays."""
    assert read("positive_keywords = 100%(x)s").data["reply"]["positive_keywords"] == ["re:\\b100%(x)s"]


def test_praw_ini__accounts_without_their_secrets(import_one: Importer) -> None:
    """A praw.ini is read as well: the account's name is taken, its secrets become names of variables."""
    body = "[main]\nusername = Gull_Bot\npassword = hunter2hunter2\nclient_id = abc123\nclient_secret = shh456\n"
    draft, text = import_one("praw.ini", body)
    assert "username: Gull_Bot" in text
    assert "password_env: GULL_BOT_PASSWORD" in text
    assert left(draft) == {"password", "client_id", "client_secret"}
    assert not any(secret in text + str(draft.leftovers) for secret in ("hunter2", "abc123", "shh456"))


def test_names__stay_apart() -> None:
    """Two sections whose names are the same in a file name become two files."""
    assert [draft.name for draft in read_ini("[A b]\n[a-b]\n[a_b]\n", source="x")] == ["a-b", "a-b-2", "a_b"]


BAD = {
    "none": ("", "has no section"),
    "defaults only": ("[DEFAULT]\na = b\n", "has no section"),
    "twice": ("[a]\n[a]\n", "is no ini file: see line 2"),
    "key twice": ("[a]\nx = 1\nx = 2\n", "is no ini file: see line 3"),
    "no section": ("password = hunter2\n", "is no ini file: see line 1"),
    "many": ("".join(f"[b{number}]\n" for number in range(MAX_SECTIONS + 1)), "more than 100 sections"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_bad_files__are_refused(text: str, expected: str) -> None:
    """Each with its line, and without what stands there."""
    with pytest.raises(ImportFailed, match=expected) as caught:
        read_ini(text, source="x.ini")
    assert "hunter2" not in str(caught.value)


KEYS = (
    "subreddits", "positive_keywords", "negative_keywords", "new_submission_schedule", "subreddit_flair_id_map",
    "base_reply_probability", "text_model_path", "username", "password", "enable_inbox_replies", "odd key",
)  # fmt: skip
VALUES = st.text("ab1=,.*([\\%:; -\t\u2028é#", max_size=16)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("[]ab \t%é.", min_size=1, max_size=8), st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_section__gives_a_valid_file_or_a_reason(bare_main: MainLoad, name: str, values: dict[str, str]) -> None:
    """Whatever stands in a section, the end is a valid file for each bot, or the one kind of error."""
    text = f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
    try:
        drafts = read_ini(text, source="x.ini")
    except HotshotError:
        return
    for draft in drafts:
        assert settle(draft, name=draft.name, main=bare_main)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text__is_read_or_refused(text: str) -> None:
    """No text brings anything but drafts or the one kind of error."""
    try:
        read_ini(text, source="x.ini")
    except HotshotError:
        return

"""Files of HotShotBot, dropped in as they are: what they mean, the one notice, and `bot_defaults`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotshotd.config.hotshotbot import OLD_KEYS
from hotshotd.config.loaded import Loaded
from hotshotd.config.schedule import DailyTimes, Every, WeeklyTimes
from hotshotd.config.schema import BotConfig

DATA = Path(__file__).parents[2] / "data" / "import"
EARLY = (DATA / "hotshotbot-early.yaml").read_text(encoding="utf-8")
LATE = (DATA / "hotshotbot-late.yaml").read_text(encoding="utf-8")
EARLY_ENVIRON = {f"TIDE_{name}": "x" for name in ("PASS", "ID", "SECRET", "HF", "GOOGLE", "AZURE", "DEEPAI")}


def change(text: str, **keys: str) -> str:
    """Write other values into a file; a key that is not there is added, one with None taken away."""
    for key, value in keys.items():
        line = f"{key}: {value}\n"
        text, count = re.subn(rf"^{key}:.*\n(?: .*\n)*", lambda _, line=line: line, text, flags=re.MULTILINE)
        text += "" if count else line
    return text


def load(folder: Any, text: str, *, main: str = "", environ: Mapping[str, str] | None = None) -> Loaded:
    if main:
        folder.write_main(main)
    folder.write_bot(text, name="old.yaml").chmod(0o640)
    return folder.load(environ=environ or {}, check_secrets=environ is not None)


def read(folder: Any, text: str, **how: Any) -> BotConfig:
    loaded = load(folder, text, **how)
    assert folder.tell(loaded) == []
    return loaded.bots[0].config


def notice(loaded: Loaded) -> str:
    assert len(loaded.warnings) == 1, [str(warning) for warning in loaded.warnings]
    return str(loaded.warnings[0])


# --- what they mean --------------------------------------------------------------------------


def test_early__has_the_28_keys() -> None:
    """The sample is a whole file of that vintage, and every key of it is known."""
    keys = set(re.findall(r"^(\w+):", EARLY, re.MULTILINE))
    assert len(keys) == 28
    assert keys <= OLD_KEYS
    assert set(re.findall(r"^(\w+):", LATE, re.MULTILINE)) <= OLD_KEYS


def test_early__keeps_its_meaning(folder: Any) -> None:
    """Every key of an early file arrives where it belongs."""
    bot = read(folder, EARLY)
    account = bot.reddit
    assert (account.username, account.subreddits) == ("Tidewatcher-Bot", ("TestHarbour",))
    assert (account.password_env, account.client_id_env, account.client_secret_env) == (
        "TIDE_PASS",
        "TIDE_ID",
        "TIDE_SECRET",
    )
    assert (bot.name, bot.dry_run, bot.character_budget) == ("old", False, 25000)
    assert bot.backstory.startswith("What follows was written down")
    post, reply = bot.post, bot.reply
    assert post is not None
    assert reply is not None
    assert (post.schedule, post.backend, post.model, post.format) == (Every(21600.0), "hf", "harbour/tides-gpt2", "ssi")
    assert post.parameters == {
        "max_new_tokens": 200,
        "num_return_sequences": 2,
        "temperature": 0.7,
        "top_k": 30,
        "repetition_penalty": 1.05,
    }
    assert post.flair_id == "00000000-1111-2222-3333-444444444444"
    assert (reply.backend, reply.model) == ("hf", "EleutherAI/gpt-j-6B")
    assert (reply.followup_only, reply.linkpost_only, reply.force_top_level) == (False, False, False)
    assert (reply.chance, reply.positive_keywords, reply.keyword_boost) == (0.15, ("tide", "boat", "?"), 0.2)
    assert (reply.max_levels, bot.rank.min_score) == (5, 0.6)
    assert (bot.safety.toxicity_threshold, bot.safety.negative_keywords) == (0.85, ("fog horn", "My 3 Answers:"))
    keys = {name: bot.services[name].key_env for name in ("perspective", "azure", "deepai")}
    assert keys == {"perspective": "TIDE_GOOGLE", "azure": "TIDE_AZURE", "deepai": "TIDE_DEEPAI"}
    assert (bot.backends["hf"].key_env, bot.backends["hf-chat"].key_env) == ("TIDE_HF", "TIDE_HF")


def test_early__perspective_moderates_and_deepai_enlarges(folder: Any) -> None:
    """Who did it then does it now, for its variable is named; Azure waits for a host that is the operator's."""
    bot = read(folder, EARLY)
    assert (bot.safety.moderators, bot.images.upscale, bot.images.caption) == (("perspective",), "deepai", "none")


@pytest.mark.parametrize(
    "main", ["", "services: {azure: {url: 'https://mine.example'}}\n", "timezone: UTC\n"], ids=["file", "main", "none"]
)
def test_captions__go_to_the_operators_own_host(main: str, folder: Any) -> None:
    """The key of Azure goes to a host that the file or the main file names, and never to a made-up one."""
    text = EARLY if main else change(EARLY, azure_endpoint="mine.example")
    bot = read(folder, text, main=main)
    if main == "timezone: UTC\n":
        assert bot.images.caption == "none"
    else:
        azure = bot.services["azure"]
        assert (bot.images.caption, azure.url, azure.version) == ("azure", "https://mine.example", "3.2")


def test_no_variables__nobody_describes_or_enlarges(folder: Any) -> None:
    """Without their variables there are no captions and no enlarging, and OpenAI moderates."""
    text = change(EARLY, azure_token_var="", deepai_api_key_var='""', Google_API_key_var="", azure_endpoint="h.example")
    bot = read(folder, text)
    assert (bot.safety.moderators, bot.images.upscale, bot.images.caption) == (("openai",), "none", "none")


def test_late__keeps_its_meaning(folder: Any) -> None:
    """A late file: literal secrets, times by weekday, the inbox alone, no model for posts, no score."""
    bot = read(folder, LATE)
    assert bot.reddit.password is not None
    assert bot.reddit.password.get_secret_value() == "correct horse"
    assert bot.post is not None
    assert bot.reply is not None
    assert bot.post.schedule == WeeklyTimes({0: ((9, 0), (21, 30)), 6: ((10, 0),)})
    assert (bot.post.model, bot.post.format, bot.post.tries, bot.post.flair_id) == (None, "plain", 4, None)
    # The reply model writes the posts, with its own parameters.
    assert bot.post.parameters == bot.reply.parameters == {"max_new_tokens": 100, "temperature": 0.8}
    assert (bot.reply.followup_only, bot.reply.linkpost_only, bot.reply.force_top_level) == (True, "force", True)
    assert (bot.rank.gate_model, bot.rank.rank_model) == (None, None)
    assert (bot.images.caption, bot.services["azure"].url) == (
        "azure",
        "https://lamp-vision.cognitiveservices.azure.com",
    )
    assert bot.safety.negative_keywords == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0", False), ("1", True), ("2", "force"), ("True", True), ("False", False), ("no", False), ("", False)],
)
def test_linkpost_only__of_every_vintage(written: str, meant: object, folder: Any) -> None:
    """0, 1 and 2 were off, only and force; true and false before that."""
    reply = read(folder, change(EARLY, linkpost_only=written)).reply
    assert reply is not None
    assert reply.linkpost_only == meant
    assert type(reply.linkpost_only) is type(meant)


@pytest.mark.parametrize(
    ("key", "written", "schedule"),
    [
        ("post_frequency", "0", None),
        ("post_frequency", "-1", None),
        ("post_frequency", "", None),
        ("post_frequency", "24", Every(86400.0)),
        ("post_frequency", "0.5", Every(1800.0)),
        ("post_schedule", "[]", None),
        ("post_schedule", "['01:00', '09:00']", DailyTimes(((1, 0), (9, 0)))),
        ("post_schedule", "{mon: [], tue: }", None),
        ("post_schedule", "{mon: ['07:05:59'], tue: }", WeeklyTimes({0: ((7, 5),)})),
    ],
)
def test_posts__when_they_are_due(key: str, written: str, schedule: object, folder: Any) -> None:
    """Hours between posts (none at 0 and below), or times of day, or times by weekday."""
    post = read(folder, change(change(EARLY, post_frequency="0"), **{key: written})).post
    assert (post.schedule if post else None) == schedule


@pytest.mark.parametrize(("written", "meant"), [("1.5", 1.0), ("-0.1", 0.0), ("1", 1.0), ("0", 0.0)])
def test_chances__beyond_their_range_were_never_or_always(written: str, meant: float, folder: Any) -> None:
    """A draw below 1.5 was certain: so is a chance of 1."""
    reply = read(folder, change(EARLY, reply_chance=written)).reply
    assert reply is not None
    assert reply.chance == meant


@pytest.mark.parametrize(("read_posts", "followup_only"), [("True", False), ("1", False), ("False", True), ("", True)])
def test_late__reads_posts_only_where_told(read_posts: str, followup_only: bool, folder: Any) -> None:
    """That vintage read its inbox, and posts where `read_posts` said so."""
    reply = read(folder, change(LATE, read_posts=read_posts)).reply
    assert reply is not None
    assert reply.followup_only is followup_only


def test_topics__decide(folder: Any) -> None:
    """A file with topics answers what is about them: no other dice are thrown."""
    reply = read(folder, change(LATE, topic_list="[lamps, oil]", topic_threshold="0.7")).reply
    assert reply is not None
    assert (reply.topics, reply.topic_threshold, reply.chance) == (("lamps", "oil"), 0.7, 1.0)
    assert reply.topic_model == "facebook/bart-large-mnli"


def test_no_reply_model__only_posts(folder: Any) -> None:
    """A file whose reply model is empty makes a bot that posts and answers nobody."""
    bot = read(folder, change(EARLY, reply_textgen_model="''"))
    assert (bot.reply, bot.post is None) == (None, False)


def test_common_parameters__count_for_both(folder: Any) -> None:
    """The first files had one block of parameters for everything."""
    text = change(EARLY, text_generation_parameters="{temperature: 0.3}")
    text = change(text, reply_textgen_parameters="", post_textgen_parameters="{top_k: 7}")
    bot = read(folder, text)
    assert bot.post is not None
    assert bot.reply is not None
    assert (bot.reply.parameters, bot.post.parameters) == ({"temperature": 0.3}, {"top_k": 7})


def test_sign_in__a_named_variable_wins_over_a_value(folder: Any) -> None:
    """A file that says both meant the variable."""
    account = read(folder, change(LATE, reddit_pass_var="LAMP_PASS")).reddit
    assert (account.password_env, account.password) == ("LAMP_PASS", None)


# --- the notice ------------------------------------------------------------------------------


def test_notice__is_one_and_names_each_ended_role(folder: Any) -> None:
    """Text, scores and pictures are named with what they were and the line that mends each."""
    told = notice(load(folder, EARLY))
    assert told.startswith(f"{folder.bots}/old.yaml:1: (file): is a file of HotShotBot")
    for part in (
        "replies (EleutherAI/gpt-j-6B): write `reply: {backend: groq, model: ",
        "posts (harbour/tides-gpt2): write `post: {model: null}`",
        "scores of comments (microsoft/DialogRPT-width): write `rank: {api: judge",
        "pictures (latent diffusion at hf.space): write `images: {generate_backend:",
        "captions (the author's own Azure host): write `services: {azure: {url:",
        "Perspective ends on 31 December 2026: write `safety: {moderators: [openai]}`",
        "write `reddit: {operator: ",
    ):
        assert part in told


def test_notice__is_one_even_where_optional_secrets_are_missing(folder: Any) -> None:
    """What is off because its variable is not set stands in the same notice."""
    environ = {key: value for key, value in EARLY_ENVIRON.items() if key != "TIDE_DEEPAI"}
    told = notice(load(folder, EARLY, environ=environ))
    assert "deepai_api_key_var: TIDE_DEEPAI is not set" in told
    assert "the bot goes on without this role" in told


def test_notice__tells_what_has_no_effect(folder: Any) -> None:
    """Switches that have no meaning here are named where they are on, and only there."""
    told = notice(load(folder, change(LATE, kill_phrase="lights out", textsynth_engine="''")))
    assert "dynamic_prompt has no effect" in told
    assert "kill_phrase has no effect" in told
    assert "textsynth_engine" not in told
    assert "lights out" not in told


@pytest.mark.parametrize(
    "line",
    ["reply: {backend: groq, model: m}", "post: {model: null}", "rank: {api: judge, backend: groq, gate_model: m}"],
)
@pytest.mark.parametrize("place", ["file", "bot_defaults"])
def test_notice__the_line_it_names_mends(line: str, place: str, folder: Any) -> None:
    """Each line that is proposed takes its role out of the notice, in the file as well as for all bots."""
    role = {"reply": "replies (", "post": "posts (", "rank": "scores of comments ("}[line.partition(":")[0]]
    before = notice(load(folder, EARLY))
    text, main = (EARLY + line + "\n", "") if place == "file" else (EARLY, f"bot_defaults:\n  {line}\n")
    after = load(folder, text, main=main)
    assert folder.tell(after) == []
    assert role in before
    assert role not in notice(after)


# --- bot_defaults ----------------------------------------------------------------------------

DEFAULTS = """\
bot_defaults:
  reddit: {operator: somebody}
  reply: {backend: groq, model: m, chance: 0.9, footer: bye}
  post: {backend: groq, model: p, format: plain}
  safety: {moderators: [openai], toxicity_threshold: 0.1}
  poll: {interval: 60s}
"""


def test_bot_defaults__mend_what_has_ended(folder: Any) -> None:
    """Who serves is taken from the defaults; what the file says stays; what it does not say is the defaults'."""
    bot = read(folder, EARLY, main=DEFAULTS)
    assert bot.reply is not None
    assert bot.post is not None
    assert (bot.reply.backend, bot.reply.model) == ("groq", "m")
    assert (bot.post.backend, bot.post.model, bot.post.format) == ("groq", "p", "plain")
    assert (bot.reply.chance, bot.safety.toxicity_threshold) == (0.15, 0.85)
    assert (bot.reply.footer, bot.poll.interval, bot.reddit.operator) == ("bye", 60.0, "somebody")
    assert bot.safety.moderators == ("openai",)


def test_bot_defaults__a_server_alone_serves_the_files_model(folder: Any) -> None:
    """Somebody who runs the old models at home names the server, and each bot keeps its model."""
    main = (
        "backends: {attic: {api: completions, url: 'http://127.0.0.1:1/v1', key_env: null}}\n"
        "bot_defaults: {reply: {backend: attic}, post: {backend: attic}}\n"
    )
    loaded = load(folder, EARLY, main=main)
    bot = loaded.bots[0].config
    assert bot.reply is not None
    assert bot.post is not None
    assert (bot.reply.backend, bot.reply.model) == ("attic", "EleutherAI/gpt-j-6B")
    assert (bot.post.backend, bot.post.model) == ("attic", "harbour/tides-gpt2")
    assert "replies (" not in notice(loaded)


def test_bot_defaults__do_not_touch_a_model_that_is_served(folder: Any) -> None:
    """Where `hf` is the operator's own server the file's models live, its key goes nowhere else, and scores count."""
    main = "backends: {hf: {url: 'http://127.0.0.1:1', key_env: null}}\n" + DEFAULTS
    loaded = load(folder, EARLY, main=main)
    bot = loaded.bots[0].config
    assert bot.reply is not None
    assert (bot.reply.backend, bot.reply.model) == ("hf", "EleutherAI/gpt-j-6B")
    assert bot.backends["hf"].key_env is None
    assert (bot.rank.gate_model, bot.rank.rank_model) == ("microsoft/DialogRPT-width", None)
    assert "scores of comments (" not in notice(loaded)


def test_bot_defaults__make_pictures_again(folder: Any) -> None:
    """With somebody who makes pictures, the share of picture posts counts again."""
    bot = read(folder, EARLY, main="bot_defaults: {images: {generate_model: sd}}\n")
    assert bot.post is not None
    assert (bot.post.link_share, bot.images.generate_model) == (0.25, "sd")


def test_own_blocks__win_over_old_keys(folder: Any) -> None:
    """Blocks in our keys may stand in an old file; they win, key by key."""
    bot = read(folder, EARLY + "dry_run: true\nreply: {chance: 0.5}\nreddit: {operator: me}\n", main=DEFAULTS)
    assert bot.reply is not None
    assert (bot.dry_run, bot.reply.chance, bot.reply.max_levels, bot.reddit.operator) == (True, 0.5, 5, "me")


def test_accounts__conflict_with_ours(folder: Any) -> None:
    """An old file and one of ours can't have one account."""
    folder.write_bot(folder.good_bot.replace("Keeper", "tidewatcher-bot"), name="a.yaml")
    loaded = load(folder, EARLY)
    assert [bot.name for bot in loaded.bots] == ["a"]
    assert "u/Tidewatcher-Bot is in two files" in folder.tell(loaded)[0]


# --- faults ----------------------------------------------------------------------------------

FAULTS = {
    "no backstory": (change(EARLY, bot_backstory="''"), "2: bot_backstory: is required"),
    "chance": (change(EARLY, reply_chance="often"), "34: reply_chance: must be a number"),
    "budget": (change(EARLY, character_budget="many"), "39: character_budget: must be a whole number"),
    "hours": (change(EARLY, post_frequency="daily"), "12: post_frequency: must be a duration"),
    "weekday": (
        change(EARLY, post_frequency="0") + "post_schedule:\n  noday: ['09:00']\n",
        "43: post_schedule.noday: is no weekday",
    ),
    "times": (
        change(EARLY, post_frequency="0") + "post_schedule:\n  - '09:00'\n  - '25:00'\n",
        "44: post_schedule[1]: must be a time of day",
    ),
    "parameter": (
        EARLY.replace("    top_k: 30\n", "    model: other\n"),
        "19: post_textgen_parameters.model: is set by the daemon",
    ),
    "key for a name": (
        change(EARLY, HF_key_var="hf_abcdefghijklmnopqrstuvwxyz"),
        "8: HF_key_var: looks like the key itself",
    ),
    "unknown": (EARLY + "charcter_budget: 5\n", "42: charcter_budget: is not a known key; the closest known key is"),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS)
def test_faults__speak_of_the_old_key(text: str, expected: str, folder: Any) -> None:
    """A fault names the line and the key that stand in the file, and not ours."""
    told = folder.tell(load(folder, text))
    assert {line.removeprefix("bots.d/old.yaml:")[: len(expected)] for line in told} == {expected}


def test_literal_secrets__only_in_a_private_file(folder: Any) -> None:
    """A file that others can read may hold no secret; the fault says what to write, and never the secret."""
    folder.write_bot(LATE, name="old.yaml").chmod(0o644)
    told = folder.tell(folder.load())
    assert [line.split(": ")[1] for line in told] == ["reddit_pass", "reddit_ID", "reddit_secret"]
    assert all("run chmod 640 on it, or write the name of a variable as reddit_" in line for line in told)
    assert not any("correct horse" in line or "stood-there" in line for line in told)


def test_missing_secrets__are_faults_of_the_old_key(folder: Any) -> None:
    """What the bot can't do without is named as the file has it."""
    told = folder.tell(load(folder, EARLY, environ={}))
    keys = [line.split(": ")[1] for line in told]
    assert keys == ["reddit_ID_var", "reddit_secret_var", "reddit_pass_var", "HF_key_var", "Google_API_key_var"]
    assert "TIDE_PASS is not set" in told[2]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(sorted(OLD_KEYS)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab:0*' \n", max_size=6),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_any_values__give_a_bot_or_faults(folder: Any, values: dict[str, Any]) -> None:
    """Whatever stands behind the old keys, loading ends in a bot with one notice, or in faults of that file."""
    import yaml

    folder.write_bot(yaml.safe_dump({"bot_username": "x", **values}), name="old.yaml").chmod(0o640)
    loaded = folder.load()
    assert len(loaded.bots) + len(loaded.invalid) == 1
    assert all(fault.file.name == "old.yaml" for fault in loaded.faults)
    assert len(loaded.warnings) == len(loaded.bots)

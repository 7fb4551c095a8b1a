"""Files to configurations: every fault with its line and key, merging, names, accounts, folders."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotshotd._types import BotName
from hotshotd.config.loader import find_main_config, load_all, load_bot, load_for_run, load_main
from hotshotd.config.schedule import DailyTimes
from hotshotd.config.schema import Api
from hotshotd.errors import ConfigError

HEAD = """\
reddit:
  username: Keeper
  password_env: P
  client_id_env: I
  client_secret_env: S
  operator: somebody
  subreddits: [TestHome]
backstory: A lighthouse keeper.
safety: {moderators: [openai]}
"""
REPLY = HEAD + "reply: {backend: groq, model: m}\n"

#: What stands in a bot's file, and the one fault it gives: line, key, and a part of the message.
FAULTS = {
    "missing in a section": (REPLY.replace("  operator: somebody\n", ""), "1: reddit.operator: is required"),
    "missing section": (REPLY.replace("safety: {moderators: [openai]}\n", ""), "1: safety: is required"),
    "empty section": (REPLY.replace(" {moderators: [openai]}", ""), "9: safety: is required"),
    "moderators not written": (REPLY.replace("moderators: [openai]", ""), "9: safety.moderators: is required"),
    "nobody moderates": (REPLY.replace("[openai]", "[]"), "9: safety.moderators: moderators is empty"),
    "unknown key": (REPLY + "chanse: 1\n", "11: chanse: is not a known key; the closest known key is"),
    "unknown inner key": (
        HEAD + "reply:\n  model: m\n  backend: groq\n  chanse: 1\n",
        "13: reply.chanse: is not a known key; the closest known key is chance",
    ),
    "key of another section": (
        REPLY + "subreddits: [a]\n",
        "11: subreddits: is not a known key here; did you mean reddit.subreddits?",
    ),
    "top-level key in a section": (
        REPLY.replace("{backend", "{dry_run: true, backend"),
        "10: reply.dry_run: is not a known key here; did you mean dry_run at the top level?",
    ),
    "no blank after a colon": (
        REPLY + "poll: {interval:30s}\n",
        "11: poll.interval: is not a known key: is there a blank missing",
    ),
    "text for a number": (
        REPLY.replace("model: m", 'model: m, chance: "0.9"'),
        "10: reply.chance: must be a number, without quotes",
    ),
    "true for a number": (
        REPLY.replace("model: m", "model: m, max_levels: true"),
        "10: reply.max_levels: must be a whole number",
    ),
    "true for a share": (REPLY.replace("model: m", "model: m, chance: true"), "10: reply.chance: must be a number"),
    "1 for a flag": (REPLY + "dry_run: 1\n", "11: dry_run: must be true or false"),
    "number for a text": (REPLY.replace("model: m", "model: 5"), "10: reply.model: must be text (put it in quotes)"),
    "out of range": (REPLY.replace("model: m", "model: m, chance: 1.5"), "10: reply.chance: must be at most 1"),
    "not a number": (REPLY.replace("model: m", "model: m, chance: .nan"), "10: reply.chance: must be a number"),
    "huge": (REPLY.replace("model: m", f"model: m, chance: {'9' * 5000}"), "10: reply.chance: must be a number"),
    "below": (
        REPLY.replace("model: m", "model: m, max_prompt_chars: 10"),
        "10: reply.max_prompt_chars: must be at least 200",
    ),
    "choice": (REPLY + "pace: slow\n", "11: pace: must be 'greedy' or 'even'"),
    "mapping": (REPLY.replace("{backend: groq, model: m}", "yes please"), "10: reply: must be a mapping"),
    "list": (REPLY.replace("[TestHome]", "TestHome"), "7: reddit.subreddits: must be a list"),
    "empty list": (REPLY.replace("[TestHome]", "[]"), "7: reddit.subreddits: needs at least one entry"),
    "entry of a list": (
        REPLY.replace("[TestHome]", "[TestHome, a+b]"),
        "7: reddit.subreddits[1]: is no subreddit's name",
    ),
    "all of Reddit": (REPLY.replace("[TestHome]", "[r/all]"), "7: reddit.subreddits[0]: r/all is not one community"),
    "header": (REPLY.replace("somebody", '"a\\r\\nX: y"'), "6: reddit.operator: must be a Reddit name"),
    "budget null": (REPLY + "character_budget: null\n", "11: character_budget: must be a whole number of characters"),
    "budget word": (
        REPLY + "character_budget: infinite\n",
        "11: character_budget: must be a whole number of characters",
    ),
    "duration": (REPLY + "poll: {lookback: 15}\n", "11: poll.lookback: 15 has no unit: write 15s"),
    "interval": (REPLY + "poll: {interval: 0.5s}\n", "11: poll.interval: must be at least 1s"),
    "bad name": (REPLY + "name: ../etc\n", "11: name: must be of letters"),
    "no job": (HEAD, "1: post: the bot has neither"),
    "posts without a model": (
        HEAD + "post:\n  schedule: ['09:00']\n",
        "10: post.model: without `model`, the reply model",
    ),
    "schedule entry": (
        REPLY + "post:\n  schedule:\n    - 01:00\n    - 25:00\n",
        "14: post.schedule[1]: must be a time of day",
    ),
    "schedule missing": (REPLY + "post: {}\n", "11: post.schedule: is required"),
    "cron": (REPLY + "post:\n  schedule: {cron: '* * *'}\n", "12: post.schedule.cron: must have five fields"),
    "unknown backend": (
        HEAD + "reply: {backend: grok, model: m}\n",
        "10: reply.backend: no backend has this name; the closest is groq",
    ),
    "unknown fallback": (
        REPLY.replace("model: m", "model: m, fallbacks: [{backend: opnai, model: x}]"),
        "10: reply.fallbacks[0].backend: no backend has this name; the closest is openai",
    ),
    "fallback's model": (
        REPLY.replace("model: m", "model: m, fallbacks: [{backend: hf}]"),
        "10: reply.fallbacks[0].model: is required: a backend with api hf",
    ),
    "ranker's wire format": (REPLY + "rank: {backend: groq}\n", "11: rank.backend: has api chat, but rank.api hf"),
    "new backend without api": (
        REPLY + "backends:\n  attic: {url: 'http://127.0.0.1:1'}\n",
        "12: backends.attic.api: is required",
    ),
    "address": (REPLY + "backends: {groq: {url: 'ftp://x'}}\n", "11: backends.groq.url: must be an address"),
    "password in an address": (
        REPLY + "backends: {groq: {url: 'https://me:hunter2@x.org'}}\n",
        "11: backends.groq.url: holds a user name or password",
    ),
    "key over plain http": (
        REPLY + "backends: {groq: {url: 'http://example.org/v1'}}\n",
        "11: backends.groq.url: would send a key unencrypted",
    ),
    "two forms": (
        REPLY.replace("  operator", "  password_file: p\n  operator"),
        "6: reddit.password_file: says the same as password_env",
    ),
    "no client id": (REPLY.replace("  client_id_env: I\n", ""), "1: reddit.client_id_env: is required"),
    "no client secret": (REPLY.replace("  client_secret_env: S\n", ""), "1: reddit.client_secret_env: is required"),
    "secret for a name": (
        REPLY.replace("_env: P", "_env: hunter2!"),
        "3: reddit.password_env: must be the name of an environment variable",
    ),
    "literal secret": (
        REPLY.replace("password_env: P", "password: hunter2"),
        "3: reddit.password: holds a secret, and others can use this file (mode 0644): run chmod 640 on it, or write the name of a variable as password_env",  # noqa: E501
    ),
    "literal key": (REPLY + "backends: {groq: {key: hunter2}}\n", "11: backends.groq.key: holds a secret"),
    "twice": (REPLY + "backstory: again\n", "11: backstory: is written twice: first in line 8"),
    "pattern": (
        REPLY.replace("[openai]", "[openai], negative_keywords: [a, 're:(']"),
        "9: safety.negative_keywords[1]: is no regular expression",
    ),
    "threshold": (
        REPLY.replace("[openai]", "[openai], toxicity_threshold: {THREAT: 2}"),
        "9: safety.toxicity_threshold.THREAT: must be a number from 0 to 1",
    ),
    "prompt in parameters": (
        REPLY.replace("model: m", "model: m, parameters: {prompt: x}"),
        "10: reply.parameters.prompt: is set by the daemon",
    ),
    "moderator": (REPLY.replace("[openai]", "[opnai]"), "9: safety.moderators[0]: must be 'perspective', 'openai'"),
    "syntax": ("a: [\n", "2: (file): is not YAML"),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS)
def test_load_all__names_file_line_and_key(text: str, expected: str, faults_of: Callable[[str], list[str]]) -> None:
    """Each kind of fault is told once, as `FILE:LINE: key.path: what is wrong`, without any secret."""
    told = faults_of(text)
    assert len(told) == 1, told
    assert told[0].startswith(f"bots.d/keeper.yaml:{expected}")
    assert "hunter2" not in told[0]


def test_load_all__written_defaults_are_no_fault(faults_of: Callable[[str], list[str]]) -> None:
    """Writing down the default turns nothing on."""
    extra = "images: {caption: none, upscale: none, generate_model: null}\nrank: {api: hf}\n"
    text = REPLY.replace("[openai]", "[openai, perspective], opt_out: true").replace(
        "model: m", "model: m, topics: [], delete_below: null"
    )
    assert faults_of(text + extra) == []


def test_load_all__tells_every_fault_of_every_file(folder: Any) -> None:
    """One run is enough, faults that need several keys included, and a good bot is loaded beside the bad ones."""
    folder.write_bot(REPLY.replace("somebody", "[]").replace("[openai]", "[]") + "x: 1\ny: 2\n", name="a.yaml")
    folder.write_bot("reddit: {}\n", name="b.yml")
    folder.write_bot(REPLY, name="c.yaml")
    loaded = folder.load()
    told = folder.tell(loaded)
    keys = [line.split(": ")[0] + " " + line.split(": ")[1] for line in told]
    assert keys == [
        "bots.d/a.yaml:6 reddit.operator",
        "bots.d/a.yaml:9 safety.moderators",
        "bots.d/a.yaml:11 x",
        "bots.d/a.yaml:12 y",
        *(
            f"bots.d/b.yml:1 {key}"
            for key in ("reddit.username", "reddit.operator", "reddit.subreddits", "backstory", "safety")
        ),
        *(f"bots.d/b.yml:1 {key}" for key in ("post", "reddit.client_id_env")),
    ]
    assert [bot.name for bot in loaded.bots] == ["c"]
    assert [bot.name for bot in loaded.invalid] == ["a", "b"]


# --- the main file ---------------------------------------------------------------------------

MAIN_FAULTS = {
    "zone": ("timezone: Mars/Olympus\n", "1: timezone: no such time zone"),
    "unknown": ("bots_dri: x\n", "1: bots_dri: is not a known key; the closest known key is bots_dir"),
    "plain reddit": ("reddit:\n  oauth_url: http://example.org\n", "2: reddit.oauth_url: must be https://"),
    "private is not loopback": ("reddit: {reddit_url: http://10.0.0.1}\n", "1: reddit.reddit_url: must be https://"),
    "key over plain http": (
        "backends:\n  openai:\n    url: http://example.org/v1\n",
        "3: backends.openai.url: would send a key",
    ),
    "defaults": ("bot_defaults:\n  reply:\n    chanse: 1\n", "3: bot_defaults.reply.chanse: is not a known key"),
    "defaults' values": ("bot_defaults: {poll: {interval: 5}}\n", "1: bot_defaults.poll.interval: 5 has no unit"),
    "defaults' name": ("bot_defaults: {name: x}\n", "1: bot_defaults.name: can't be the same for all bots"),
    "no folder": ("bots_dir: hotshotd.yaml\n", "1: bots_dir: "),
    "port": ("metrics: {port: 0}\n", "1: metrics.port: must be at least 1"),
    "literal": ("bot_defaults: {reddit: {password: hunter2}}\n", "1: bot_defaults.reddit.password: holds a secret"),
    "alert": ("alerts: {on: [fire]}\n", "1: alerts.on[0]: must be 'failed'"),
    "empty": ("", "1: (file): is empty"),
    "store": ("quota: {store: redis}\n", "1: quota.store: must be 'local'"),
}


@pytest.mark.parametrize(("text", "expected"), MAIN_FAULTS.values(), ids=MAIN_FAULTS)
def test_load_main__names_file_line_and_key(text: str, expected: str, folder: Any) -> None:
    """The main file's faults look like a bot's, and no daemon runs with one."""
    folder.write_main(text)
    loaded = folder.load()
    assert loaded.main is None
    told = [str(fault).replace(f"{folder.root}/", "") for fault in loaded.main_faults]
    assert len(told) == 1, told
    assert told[0].startswith(f"hotshotd.yaml:{expected}")
    assert "hunter2" not in told[0]


@pytest.mark.parametrize("host", ["127.0.0.1:80", "127.8.8.8", "[::1]:99", "localhost:8080"])
def test_load_main__loopback_may_be_plain(host: str, folder: Any) -> None:
    """Tests run a Reddit of their own on this machine."""
    folder.write_main(f"reddit: {{reddit_url: 'http://{host}', oauth_url: 'http://{host}'}}\n")
    assert folder.load().main_faults == ()


@pytest.mark.parametrize("host", ["127.0.0.1:80", "192.168.1.5:8000", "gpu-box:8000", "gpu.lan"])
def test_load_main__keys_may_cross_the_own_network(host: str, folder: Any) -> None:
    """An own server in the house has no certificate."""
    folder.write_main(f"backends: {{attic: {{api: chat, url: 'http://{host}/v1', key_env: K}}}}\n")
    assert folder.load().main_faults == ()


def test_load_all__a_fault_in_the_defaults_is_told_once(folder: Any) -> None:
    """It lies in the main file, however many bots inherit it."""
    folder.write_main("bot_defaults:\n  reply:\n    backend: grok\n")
    folder.write_bot(HEAD + "reply: {model: m}\n", name="a.yaml")
    folder.write_bot((HEAD + "reply: {model: m}\n").replace("Keeper", "Other"), name="b.yaml")
    loaded = folder.load()
    assert folder.tell(loaded) == [
        "hotshotd.yaml:3: bot_defaults.reply.backend: no backend has this name; the closest is groq"
    ]
    assert [bot.name for bot in loaded.invalid] == ["a", "b"]


def test_load_all__bots_are_checked_beside_a_faulty_main_file(folder: Any) -> None:
    """Both files' faults come in one run."""
    folder.write_main("timezone: Mars\n")
    folder.write_bot(REPLY + "x: 1\n")
    assert [line.split(": ")[1] for line in folder.tell(folder.load())] == ["timezone", "x"]


def test_load_all__no_bots_is_a_warning(folder: Any) -> None:
    """A fresh installation starts; `--check` says what to do."""
    assert [fault.key for fault in folder.load().warnings] == ["bots_dir"]
    folder.bots.rmdir()
    loaded = folder.load()
    assert loaded.faults == ()
    assert "does not exist" in loaded.warnings[0].message


def test_load_all__reads_yaml_and_yml_only(folder: Any) -> None:
    """Samples, backups and hidden files (an editor's locks) are no bots."""
    for name in ("a.yaml.sample", "b.yaml~", ".c.yaml", "d.txt"):
        folder.write_bot("x: 1\n", name=name)
    folder.write_bot(REPLY, name="e.yml")
    loaded = folder.load()
    assert (loaded.faults, [bot.name for bot in loaded.bots]) == ((), ["e"])


def test_load_all__odd_files_stop_no_other_bot(folder: Any) -> None:
    """A pipe, a folder and a dangling link with a bot's suffix are faults of their own."""
    os.mkfifo(folder.bots / "a.yaml")
    (folder.bots / "b.yaml").mkdir()
    (folder.bots / "c.yaml").symlink_to("nowhere")
    folder.write_bot(REPLY, name="d.yaml")
    loaded = folder.load()
    assert [bot.name for bot in loaded.invalid] == ["a", "b", "c"]
    assert [bot.name for bot in loaded.bots] == ["d"]


# --- merging ---------------------------------------------------------------------------------


def load_one(folder: Any, text: str) -> Any:
    folder.write_bot(text)
    loaded = folder.load()
    assert folder.tell(loaded) == []
    return loaded.bots[0].config


def test_merge__servers_key_by_key(folder: Any) -> None:
    """A bot's own `url` keeps the main file's key, and that keeps the preset's api."""
    folder.write_main("backends: {hf: {key_env: MAIN_TOKEN}}\n")
    bot = load_one(folder, REPLY + "backends: {hf: {url: 'http://127.0.0.1:5/x/'}}\n")
    hf = bot.backends["hf"]
    assert (hf.api, hf.url, hf.key_env) == (Api.HF, "http://127.0.0.1:5/x", "MAIN_TOKEN")
    assert bot.backends["ollama"].key_env is None
    assert not bot.backends["ollama"].metered


def test_merge__null_takes_a_key_away(folder: Any) -> None:
    """`key_env: null` is a server without a key."""
    bot = load_one(folder, REPLY + "backends: {groq: {key_env: null}}\n")
    assert bot.backends["groq"].key_env is None


def test_merge__another_form_of_a_secret_replaces_it(folder: Any) -> None:
    """A bot's key_file wins over the preset's key_env; its path counts from the bot's file."""
    bot = load_one(folder, REPLY + "backends: {groq: {key_file: keys/groq}}\n")
    assert bot.backends["groq"].key_env is None
    assert bot.backends["groq"].key_file == folder.bots / "keys" / "groq"


def test_merge__own_keys_win_over_defaults(folder: Any) -> None:
    """Blocks merge key by key, `parameters` and `schedule` as a whole, lists as a whole."""
    folder.write_main("""\
        bot_defaults:
          character_budget: 5
          reddit: {operator: boss, password_file: ~/p}
          reply: {backend: groq, chance: 0.7, parameters: {a: 1, b: 2}, inbox: {messages: true}, positive_keywords: [x]}
          post: {schedule: {mon: ["01:00"]}, tries: 9}
          poll: {interval: 99s}
        """)
    text = REPLY.replace("  operator: somebody\n", "").replace("  password_env: P\n", "")
    text = text.replace("model: m", "model: m, parameters: {c: 3}, inbox: {mentions: false}")
    bot = load_one(folder, text + "post: {schedule: [02:00]}\npoll: {lookback: 1h}\n")
    assert (bot.reddit.operator, bot.reddit.password_file) == ("boss", folder.root / "p")
    assert (bot.reply.chance, bot.reply.parameters, bot.reply.positive_keywords) == (0.7, {"c": 3}, ("x",))
    assert (bot.reply.inbox.messages, bot.reply.inbox.mentions) == (True, False)
    assert (bot.post.schedule, bot.post.tries) == (DailyTimes(((2, 0),)), 9)
    assert (bot.poll.interval, bot.poll.lookback, bot.character_budget) == (99, 3600, 5)


DEFAULT_JOBS = """\
bot_defaults:
  post: {schedule: ["01:00"], backend: groq, model: p}
  reply: {backend: groq, model: r}
"""


@pytest.mark.parametrize(
    ("own", "jobs"),
    [
        ("reply: {}", {"reply"}),
        ("post: {}", {"post"}),
        ("post: {}\nreply: {}", {"post", "reply"}),
        ("", {"post", "reply"}),
        ("post: null", set()),
        ("reply: {}\npost: null", {"reply"}),
    ],
)
def test_merge__defaults_give_no_bot_another_job(own: str, jobs: set[str], folder: Any) -> None:
    """A bot written to reply only never begins to post because of `bot_defaults.post`, nor the other way."""
    folder.write_main(DEFAULT_JOBS)
    folder.write_bot(HEAD + own + "\n")
    loaded = folder.load()
    if not jobs:
        assert "neither" in folder.tell(loaded)[0]
        return
    bot = loaded.bots[0].config
    assert {job for job in ("post", "reply") if getattr(bot, job) is not None} == jobs


def test_merge__an_empty_block_keeps_the_defaults(folder: Any) -> None:
    """`safety:` with nothing (or only comments) under it is not "no safety"."""
    folder.write_main("bot_defaults: {safety: {moderators: [openai]}}\n")
    bot = load_one(folder, REPLY.replace(" {moderators: [openai]}", ""))
    assert bot.safety.moderators == ("openai",)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("model: m", "ssi"),
        ("tries: 1", "plain"),
        ("model: m, format: plain", "plain"),
        ("format: ssi", "ssi"),
        ("format: null", "plain"),
    ],
)
def test_post_format__follows_the_model(keys: str, expected: str, folder: Any) -> None:
    """ssi-bot tags where a model is named, plain text where the reply model writes."""
    bot = load_one(folder, REPLY + f"post: {{schedule: [09:00], {keys}}}\n")
    assert bot.post.format == expected


def test_load_bot__words_survive_yaml(folder: Any) -> None:
    """`no`, `on` and 1984 are words; flags may be yes; azure's version may lack quotes; names lose their u/ and r/."""
    text = REPLY.replace("[TestHome]", "[r/TestHome, /r/1984, testhome]").replace("Keeper", "u/Keeper")
    text = text.replace(
        "model: m", "model: m, positive_keywords: [no, on, 1984, true], force_top_level: yes, linkpost_only: force"
    )
    bot = load_one(folder, text + "services: {azure: {version: 3.2}}\ncharacter_budget: unlimited\n")
    assert bot.reply.positive_keywords == ("no", "on", "1984", "true")
    assert (bot.reply.force_top_level, bot.reply.linkpost_only) == (True, "force")
    assert (bot.reddit.username, bot.reddit.subreddits) == ("Keeper", ("TestHome", "1984"))
    assert (bot.services["azure"].version, bot.character_budget) == ("3.2", None)


def test_load_bot__a_backend_without_effect_is_a_warning(folder: Any) -> None:
    """Without post.model the reply model writes, so another post.backend pays for nothing."""
    folder.write_bot(REPLY + "post: {schedule: [09:00], backend: openai}\n")
    loaded = folder.load()
    assert [(fault.line, fault.key) for fault in loaded.warnings] == [(11, "post.backend")]
    assert len(loaded.bots) == 1


def test_load_bot__a_private_file_may_hold_a_secret(folder: Any) -> None:
    """Only a file that others can read is refused, and no repr shows the value."""
    path = folder.write_bot(REPLY.replace("password_env: P", "password: hunter2"))
    path.chmod(0o640)
    loaded = folder.load()
    assert folder.tell(loaded) == []
    assert "hunter2" not in repr(loaded)
    assert loaded.bots[0].config.reddit.password.get_secret_value() == "hunter2"


# --- names and accounts ----------------------------------------------------------------------


def test_conflict__the_first_by_file_name_keeps_the_account(folder: Any) -> None:
    """The other is invalid, its error names both files; case makes no other account."""
    folder.write_bot(REPLY, name="a.yaml")
    folder.write_bot(REPLY.replace("Keeper", "kEEPER"), name="b.yaml")
    loaded = folder.load()
    assert [bot.name for bot in loaded.bots] == ["a"]
    (told,) = folder.tell(loaded)
    assert told.startswith(
        "bots.d/b.yaml:2: reddit.username: u/kEEPER is in two files, bots.d/a.yaml and bots.d/b.yaml"
    )
    assert loaded.invalid[0].duplicate_of == folder.bots / "a.yaml"


def test_conflict__names_too(folder: Any) -> None:
    """The same name in two files."""
    folder.write_bot(REPLY + "name: x\n", name="a.yaml")
    folder.write_bot(REPLY.replace("Keeper", "Other") + "name: X\n", name="b.yaml")
    assert "bots.d/b.yaml:11: name: X is in two files" in folder.tell(folder.load())[0]


def test_conflict__a_faulty_file_takes_no_part(folder: Any) -> None:
    """A file that starts nothing takes nobody's name."""
    folder.write_bot(REPLY + "oops: 1\n", name="a.yaml")
    folder.write_bot(REPLY, name="b.yaml")
    loaded = folder.load()
    assert [bot.name for bot in loaded.bots] == ["b"]
    assert len(loaded.faults) == 1


def test_conflict__missing_secrets_are_faults_too(folder: Any) -> None:
    """What `--check` reports as invalid takes no part either."""
    folder.write_bot(REPLY.replace("_env: P", "_env: NOT_SET"), name="a.yaml")
    folder.write_bot(REPLY, name="b.yaml")
    names = dict.fromkeys(("P", "I", "S", "GROQ_API_KEY", "OPENAI_API_KEY"), "x")
    loaded = folder.load(environ=names, check_secrets=True)
    assert [bot.name for bot in loaded.bots] == ["b"]


def test_conflict__the_one_that_runs_keeps_it(folder: Any) -> None:
    """On a reload a new file that sorts first takes nothing from a running bot."""
    folder.write_bot(REPLY, name="b.yaml")
    running = {bot.name: bot for bot in folder.load().bots}
    folder.write_bot(REPLY, name="a.yaml")
    loaded = load_all(folder.main, environ={}, check_secrets=False, running=running)
    assert [bot.name for bot in loaded.bots] == ["b"]


def test_conflict__a_running_bot_keeps_it_even_when_its_file_broke(folder: Any) -> None:
    """It goes on with what it last read: two workers on one account would both answer."""
    folder.write_bot(REPLY, name="b.yaml")
    running = {bot.name: bot for bot in folder.load().bots}
    folder.write_bot("a: [", name="b.yaml")
    folder.write_bot(REPLY, name="c.yaml")
    loaded = load_all(folder.main, environ={}, check_secrets=False, running=running)
    assert loaded.bots == ()
    (folder.bots / "b.yaml").unlink()
    loaded = load_all(folder.main, environ={}, check_secrets=False, running=running)
    assert [bot.name for bot in loaded.bots] == ["c"]


def test_conflict__a_loser_holds_nothing(folder: Any) -> None:
    """b loses its name to a, so its account is free for c."""
    folder.write_bot(REPLY + "name: n\n", name="a.yaml")
    folder.write_bot(REPLY.replace("Keeper", "Other") + "name: n\n", name="b.yaml")
    folder.write_bot(REPLY.replace("Keeper", "Other") + "name: m\n", name="c.yaml")
    assert [bot.name for bot in folder.load().bots] == ["n", "m"]


# --- folders ---------------------------------------------------------------------------------


def test_load_main__paths_count_from_the_main_file(folder: Any) -> None:
    """bots_dir and secrets_file lie beside it; what is not written comes from systemd."""
    folder.write_main("bots_dir: my/bots\nsecrets_file: ../s.env\n")
    main = load_main(folder.main, {"STATE_DIRECTORY": "/var/a:/var/b", "RUNTIME_DIRECTORY": "/run/a"}).config
    assert main is not None
    assert (main.bots_dir, main.secrets_file) == (folder.root / "my/bots", folder.root.parent / "s.env")
    assert (main.state_dir, main.runtime_dir) == (Path("/var/a"), Path("/run/a"))


def test_load_main__else_the_xdg_folders(folder: Any) -> None:
    """Relative XDG folders are ignored; without a session the socket lies under the state."""
    main = load_main(folder.main, {"HOME": "/home/u", "XDG_STATE_HOME": "x", "XDG_RUNTIME_DIR": "/run/user/7"}).config
    assert main is not None
    assert (main.state_dir, main.runtime_dir) == (Path("/home/u/.local/state/hotshot"), Path("/run/user/7/hotshot"))
    bare = load_main(folder.main, {"HOME": "/home/u", "XDG_STATE_HOME": "/x"}).config
    assert bare is not None
    assert (bare.state_dir, bare.runtime_dir) == (Path("/x/hotshot"), Path("/x/hotshot/run"))
    assert bare.bots_dir == folder.bots


def test_load_main__written_folders_win(folder: Any) -> None:
    """A key in the file is stronger than the environment."""
    folder.write_main("state_dir: ~/state\nruntime_dir: /r\n")
    main = load_main(folder.main, {"HOME": "/home/u", "STATE_DIRECTORY": "/var/a", "RUNTIME_DIRECTORY": "/b"}).config
    assert main is not None
    assert (main.state_dir, main.runtime_dir) == (Path("/home/u/state"), Path("/r"))


def test_find_main_config__in_order(tmp_path: Path) -> None:
    """$HOTSHOT_CONFIG, the system's file, the XDG folder; else an error that names them."""
    system, own = tmp_path / "system.yaml", tmp_path / "hotshot" / "hotshotd.yaml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(ConfigError, match="system.yaml"):
        find_main_config(environ, system=system)
    own.parent.mkdir()
    own.touch()
    assert find_main_config(environ, system=system) == own
    system.touch()
    assert find_main_config(environ, system=system) == system
    assert find_main_config({**environ, "HOTSHOT_CONFIG": "/x"}, system=system) == Path("/x")


def test_load_for_run__needs_only_bots(folder: Any) -> None:
    """`hotshotd run BOTFILE`: default settings, state in the XDG folders even under systemd."""
    path = folder.write_bot(REPLY)
    environ = {"HOME": str(folder.root), "STATE_DIRECTORY": "/var/lib/hotshot"}
    loaded = load_for_run([path, path], environ, check_secrets=False)
    assert [bot.name for bot in loaded.bots] == ["keeper"]
    assert loaded.main is not None
    assert loaded.main.state_dir == folder.root / ".local/state/hotshot"
    assert (loaded.main_path, loaded.main_faults, loaded.main.bots_dir) == (None, (), folder.bots)
    assert "groq" in loaded.main.backends


def test_load_for_run__the_first_named_keeps_an_account(folder: Any) -> None:
    """Here the operator's order counts, and a missing file is a fault like any other."""
    first, second = folder.write_bot(REPLY, name="z.yaml"), folder.write_bot(REPLY, name="a.yaml")
    loaded = load_for_run([first, second, folder.root / "none.yaml"], {}, check_secrets=False)
    assert [bot.name for bot in loaded.bots] == ["z"]
    assert [bot.name for bot in loaded.invalid] == ["a", "none"]


# --- anything at all -------------------------------------------------------------------------

YAML_BITS = st.sampled_from(
    [
        *"\n\n\n  \t:-?[]{},&*!|>'\"%@`#~<",
        ": ",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "!!python/name:os.system ",
        "\x00",
        "é",
        "\ud7ff",
        "---\n",
        "reddit:\n  ",
        "reply:\n  ",
        "post:\n  ",
        "safety:\n  ",
        "schedule: ",
        "model: m\n",
        "[01:00]",
        "1e999",
        "null",
        "{}",
        "backends:\n  ",
        "hf:\n    ",
        "url: http://x\n",
        "moderators: []\n",
        "name: a\n",
        "rank: ",
        "bot_defaults:\n  ",
        "poll:\n  ",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.lists(YAML_BITS, max_size=40).map("".join), st.text(max_size=60)), st.booleans())
def test_load_all__never_crashes(folder: Any, text: str, is_main: bool) -> None:
    """Whatever a file holds, loading ends with a configuration or with printable faults."""
    data = text.encode("utf-8", "surrogatepass")
    (folder.main if is_main else folder.bots / "keeper.yaml").write_bytes(data)
    loaded = folder.load(check_secrets=True)
    assert all(str(fault).isprintable() and fault.line >= 1 for fault in loaded.faults)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["hf", "none", "09:00", "5s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["backend", "model", "hf", "every"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "reply",
        "post",
        "safety",
        "rank",
        "images",
        "poll",
        "backends",
        "services",
        "reddit",
        "name",
        "backstory",
        "character_budget",
    ]
)
INNER = st.sampled_from(
    [
        "backend",
        "model",
        "fallbacks",
        "schedule",
        "moderators",
        "topics",
        "caption",
        "hf",
        "groq",
        "url",
        "key_env",
        "api",
        "username",
        "subreddits",
        "parameters",
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, JUNK | st.dictionaries(INNER, JUNK, max_size=4), max_size=5), st.booleans())
def test_load_all__no_shape_of_keys_crashes(folder: Any, data: dict[str, Any], in_defaults: bool) -> None:
    """Known keys with values of any type, in a bot's file or in `bot_defaults`."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = yaml.dump({"bot_defaults": data} if in_defaults else data or {"x": 1}, Dumper=Plain, allow_unicode=True)
    folder.write_main(text if in_defaults else "timezone: UTC\n")
    folder.write_bot(REPLY if in_defaults else text)
    loaded = folder.load(check_secrets=True)
    assert all(str(fault).isprintable() for fault in loaded.faults)


def test_load_all__is_quick(folder: Any) -> None:
    """A hundred bots are read well within the second that the control socket may be silent."""
    for number in range(100):
        folder.write_bot(REPLY.replace("Keeper", f"Keeper{number}"), name=f"b{number:03}.yaml")
    started = time.process_time()
    loaded = folder.load()
    assert len(loaded.bots) == 100
    assert time.process_time() - started < 5


def test_load_bot__reads_one_file(folder: Any) -> None:
    """One file over a main file; the name is the file's stem."""
    main = load_main(folder.main, {})
    load = load_bot(folder.write_bot(REPLY, name="solo.yaml"), main)
    assert load.bot is not None
    assert load.bot.name == BotName("solo")
    assert load.bot.place("reply", "chance").line == 10
    assert load.faults == ()


@pytest.mark.parametrize(
    ("key", "text"),
    {
        "rank.backend": "rank: {backend: horde}",
        "safety.hf_backend": "safety: {moderators: [hf], hf_backend: horde}",
        "safety.chat_backend": "safety: {moderators: [chat], chat_backend: horde, chat_model: m}",
        "reply.topic_backend": "reply: {model: m, topics: [ducks], topic_backend: horde, topic_model: m}",
    }.items(),
)
def test_load_all__horde_does_not_judge(key: str, text: str, faults_of: Callable[[str], list[str]]) -> None:
    """AI Horde makes texts and pictures; who ranks, moderates or tells topics speaks otherwise, and that is said."""
    block = text.partition(":")[0]
    told = faults_of("".join(line for line in REPLY.splitlines(True) if not line.startswith(f"{block}:")) + text + "\n")
    assert len(told) == 1, told
    assert f": {key}: has api horde, but " in told[0]


def test_load_all__horde_writes(faults_of: Callable[[str], list[str]]) -> None:
    """It is a backend of posts and replies, or the next one after another; a fallback on it needs no model."""
    text = REPLY.replace("backend: groq, model: m", "backend: horde, model: any, fallbacks: [{backend: horde}]")
    assert not faults_of(text + "post: {schedule: ['09:00'], backend: horde, model: m}\n")

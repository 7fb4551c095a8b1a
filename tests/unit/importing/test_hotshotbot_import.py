"""HotShotBot files as imports: the behaviour of a dropped-in file, no secret copied, slips left out and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from importkit import DATA, Importer

from hotshotd.config.loaded import MainLoad
from hotshotd.config.loader import load_bot, load_main
from hotshotd.errors import ImportFailed
from hotshotd.importing.files import read_drafts, settle

EARLY = (DATA / "hotshotbot-early.yaml").read_text(encoding="utf-8")
LATE = (DATA / "hotshotbot-late.yaml").read_text(encoding="utf-8")

MAINS = {
    "bare": "{timezone: UTC}",
    "mended": "bot_defaults: {reply: {backend: groq, model: m, footer: bye}, post: {model: null}, pace: even}",
    "own server": "backends: {hf: {url: 'http://127.0.0.1:1', key_env: null}}",
    "ranked": "bot_defaults: {rank: {api: judge, backend: groq, gate_model: m}}",
    "pictures": "bot_defaults: {images: {generate_model: sd, upscale: none}}",
    "moderated": "bot_defaults: {safety: {moderators: [openai, mistral], allow_links: true}}",
}


def write_main(tmp_path: Path, text: str) -> MainLoad:
    (tmp_path / "bots.d").mkdir()
    path = tmp_path / "hotshotd.yaml"
    path.write_text(text, encoding="utf-8")
    main = load_main(path, {"HOME": str(tmp_path)})
    assert main.faults == ()
    return main


@pytest.mark.parametrize("main_text", MAINS.values(), ids=MAINS)
@pytest.mark.parametrize("old_text", [EARLY, EARLY.replace("trigger_words", "topic_list"), LATE], ids=["a", "b", "c"])
def test_import__behaves_as_the_file_dropped_in(old_text: str, main_text: str, tmp_path: Path) -> None:
    """Under any main file, the imported bot is the one that the old file makes, but for dry_run."""
    main = write_main(tmp_path, main_text)
    # In a file that is not private its secrets are refused; here they are named by variables in both.
    for key in ("reddit_pass", "reddit_ID", "reddit_secret"):
        old_text = old_text.replace(f'{key}: "', f'{key}_var: "NAME_')
    old_text = old_text.replace("NAME_correct horse", "P").replace("-that-stood-there", "")
    old = tmp_path / "bots.d" / "keeper.yaml"
    old.write_text(old_text, encoding="utf-8")
    dropped = load_bot(old, main)
    (draft,) = read_drafts(old, main=main)
    old.write_text(settle(draft, name=draft.name, main=main), encoding="utf-8")
    imported = load_bot(old, main)
    assert (dropped.faults, imported.faults) == ((), ())
    assert dropped.bot is not None
    assert imported.bot is not None
    assert imported.bot.config.dry_run is True
    assert imported.bot.config == dropped.bot.config.model_copy(update={"dry_run": True})
    assert imported.old is None


def test_secrets__are_never_copied(import_one: Importer) -> None:
    """What stood there is named by a variable; neither the file nor the list of leftovers repeats it."""
    text = LATE + "HF_key_var: ''\n"
    text = text.replace('HF_key_var: "LAMP_HF"\n', "").replace("LAMP_DEEPAI", "quick-brown-0fox-jumps")
    text = text.replace("LAMP_GOOGLE", "AIzaSyA1234567890abcdefghijk")
    draft, written = import_one("lamp.yaml", text)
    told = written + "\n".join(map(str, draft.leftovers))
    for secret in ("correct horse", "id-that-stood", "secret-that-stood", "quick-brown", "AIza"):
        assert secret not in told
    for name in ("LAMPKEEPER_BOT_PASSWORD", "LAMPKEEPER_BOT_CLIENT_ID", "LAMPKEEPER_BOT_CLIENT_SECRET"):
        assert name in written
    keys = {leftover.key for leftover in draft.leftovers}
    assert {"reddit_pass", "reddit_ID", "reddit_secret", "deepai_api_key_var", "Google_API_key_var"} <= keys


def test_secrets__an_empty_one_gets_a_name(import_one: Importer) -> None:
    """A variable that was left empty has a name in the new file."""
    _, written = import_one("tide.yaml", EARLY.replace('"TIDE_PASS"', '""'))
    assert "password_env: TIDEWATCHER_BOT_PASSWORD" in written


def test_slips__are_left_out_and_named(import_one: Importer) -> None:
    """A value that no check would pass is left out; the rest is taken over."""
    text = EARLY.replace("reply_chance: 0.15", "reply_chance: often").replace("max_levels: 5", "max_levels: 0")
    text = text.replace("['fog horn', 'My 3 Answers:']", "['fog horn', 're:(', 're:[']") + "my_own_key: 5\n"
    draft, written = import_one("tide.yaml", text)
    reasons = {leftover.key: leftover.why for leftover in draft.leftovers}
    assert reasons["reply.chance"] == "must be a number, without quotes"
    assert reasons["reply.max_levels"] == "must be at least 1"
    assert {"safety.negative_keywords[1]", "safety.negative_keywords[2]", "my_own_key"} <= reasons.keys()
    assert "[fog horn]" in written
    assert "\n  chance: " not in written


@pytest.mark.parametrize("model", ["./models/tides", "/srv/models/tides", "~/tides", "models/tides/best", "C:\\tides"])
def test_models_in_folders__are_left_out(model: str, import_one: Importer) -> None:
    """A local path can't be served: the reply model writes posts, and a free one answers."""
    text = EARLY.replace('"harbour/tides-gpt2"', f"'{model}'").replace('"EleutherAI/gpt-j-6B"', f"'{model}'")
    draft, written = import_one("tide.yaml", text)
    assert {"post_textgen_model", "reply_textgen_model"} <= {leftover.key for leftover in draft.leftovers}
    assert model not in written
    assert "model: qwen/" in written


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("iama.yaml", "iama"),
        ("bot_config.yaml", "tidewatcher-bot"),
        ("My Bot (2).yaml", "my-bot-2"),
        ("A.b.yml", "A.b"),
    ],
)
def test_name__is_the_files_where_it_says_something(file: str, name: str, import_one: Importer) -> None:
    """A file called bot_config says nothing: the account's name stands in."""
    draft, _ = import_one(file, EARLY)
    assert draft.name == name


def test_ended_roles__are_listed(import_one: Importer) -> None:
    """What no service serves any more is named by its old key, with the line that mends it."""
    draft, _ = import_one("tide.yaml", EARLY)
    assert [leftover.key for leftover in draft.leftovers] == [
        "reply_textgen_model",
        "post_textgen_model",
        "min_reply_score",
        "linkpost_share",
        "azure_token_var",
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ours.yaml", "reddit: {username: a}\nreply: {model: m}\n", "is in our keys already"),
        ("other.yaml", "a: 1\n", "is none of: a HotShotBot YAML"),
        ("broken.yaml", "a: [\n", "is not YAML"),
        ("empty.yaml", "", "is empty"),
        ("list.yaml", "- a\n", "must be a mapping"),
        ("noise.bin", b"\x00\xff\xfe", "is none of: a HotShotBot YAML"),
        ("noise.txt", "just words\n", "must be a mapping"),
    ],
)
def test_other_files__are_refused(name: str, text: str | bytes, expected: str, import_one: Importer) -> None:
    """What is no file of the three programs is refused, with what it is."""
    with pytest.raises(ImportFailed, match=expected):
        import_one(name, text)


def test_missing_file__is_refused(tmp_path: Path, bare_main: MainLoad) -> None:
    """A file that is not there is named."""
    with pytest.raises(ImportFailed, match="gone.yaml does not exist"):
        read_drafts(tmp_path / "gone.yaml", main=bare_main)

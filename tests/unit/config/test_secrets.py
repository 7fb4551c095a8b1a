"""Secrets: where they are looked up, whether one is missing, and that none is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hotshotd._types import Role
from hotshotd.config.loader import load_for_run
from hotshotd.config.schema import BotConfig
from hotshotd.config.secrets import SecretRef, Secrets, list_needs, webhook_ref
from hotshotd.errors import SecretMissing

ENV = SecretRef(("reddit", "password"), env="PASS")


def file_ref(path: Path) -> SecretRef:
    return SecretRef(("reddit", "password"), file=path)


@pytest.fixture
def everywhere(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """PASS in all three places, with the place's name as its value."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "PASS").write_text("credential\n")
    lines = tmp_path / "secrets.env"
    lines.write_text("PASS=line\n")
    return {"PASS": "variable", "CREDENTIALS_DIRECTORY": str(credentials)}, lines


def test_resolve__environment_then_credentials_then_file(everywhere: tuple[dict[str, str], Path]) -> None:
    """The order of the contract; an empty value counts as missing, and the next place is asked."""
    environ, lines = everywhere
    assert Secrets(environ, secrets_file=lines).resolve(ENV) == "variable"
    assert Secrets({**environ, "PASS": ""}, secrets_file=lines).resolve(ENV) == "credential"
    (Path(environ["CREDENTIALS_DIRECTORY"]) / "PASS").write_text("")
    secrets = Secrets({**environ, "PASS": ""}, secrets_file=lines)
    assert secrets.resolve(ENV) == "line"
    assert secrets.is_present(ENV)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PASS=a b", "a b"),
        ("export PASS = x ", "x"),
        ("PASS='a b '", "a b "),
        ('PASS="q"', "q"),
        ("PASS='", "'"),
        ("PASS=a=b#c", "a=b#c"),
        ("# PASS=no\nPASS=first\n\nPASS=last", "last"),
        ("\ufeffPASS=marked", "marked"),
    ],
)
def test_secrets_file__reads_lines(line: str, value: str, tmp_path: Path) -> None:
    """KEY=value, whole-line comments, one pair of quotes off, the last line wins."""
    path = tmp_path / "s.env"
    path.write_text(line + "\n", encoding="utf-8")
    assert Secrets({}, secrets_file=path).resolve(ENV) == value


@pytest.mark.parametrize("text", ["", "OTHER=x\n", "PASS=\n", 'PASS=""\n', "PASS\n", "#PASS=x\n"])
def test_secrets_file__nothing_and_empty_are_missing(text: str, tmp_path: Path) -> None:
    """Presence and value agree, and the message says where it was looked for, not what was found."""
    path = tmp_path / "s.env"
    path.write_text(text)
    secrets = Secrets({}, secrets_file=path)
    assert not secrets.is_present(ENV)
    with pytest.raises(SecretMissing, match=r"reddit\.password_env: PASS is not set \(looked in .* and .*s\.env\)"):
        secrets.resolve(ENV)


def test_secrets_file__warnings_name_lines_and_never_what_stands_there(tmp_path: Path) -> None:
    """A slip in the file may be a secret itself."""
    path = tmp_path / "s.env"
    path.write_text("PASS=x\nhunter2 hunter2\n")
    path.chmod(0o644)
    told = Secrets({}, secrets_file=path).warn_of_file()
    assert [(fault.line, fault.message.split(";")[0]) for fault in told] == [
        (2, "is no KEY=value line"),
        (1, "others can read this file: run chmod 600 on it"),
    ]
    assert "hunter2" not in str(told)
    assert "does not exist" in Secrets({}, secrets_file=tmp_path / "none").warn_of_file()[0].message
    assert Secrets({}).warn_of_file() == ()


@pytest.mark.parametrize(
    ("text", "value"), [("x", "x"), ("x\n", "x"), ("x\n\n", "x\n"), (" x \r\n", " x "), ("a\nb\n", "a\nb")]
)
def test_resolve__a_file_loses_one_line_break(text: str, value: str, tmp_path: Path) -> None:
    """Editors add one; what else stands there belongs to the secret."""
    path = tmp_path / "p"
    path.write_bytes(text.encode())
    secrets = Secrets({})
    assert secrets.resolve(file_ref(path)) == value
    assert secrets.is_present(file_ref(path))


def test_resolve__never_waits_for_what_is_no_file(tmp_path: Path) -> None:
    """A pipe, a folder, a device, nothing and something endless count as missing."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for path in (tmp_path / "pipe", tmp_path / "empty", tmp_path, Path("/dev/zero"), tmp_path / "none"):
        assert not Secrets({}).is_present(file_ref(path))
        with pytest.raises(
            SecretMissing, match=r"(is empty|does not exist|is not a regular file|is a directory).*: write "
        ):
            Secrets({}).resolve(file_ref(path))
    (tmp_path / "big").write_bytes(b"x" * 70_000)
    with pytest.raises(SecretMissing):
        Secrets({}).resolve(file_ref(tmp_path / "big"))


def test_is_present__opens_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor looks at names and sizes; it opens no bot's file and no credential."""
    (tmp_path / "PASS").write_text("x")
    secrets = Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path)})

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"opened {args}")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert secrets.is_present(ENV)
    assert secrets.is_present(file_ref(tmp_path / "PASS"))


def test_is_present__keeps_no_value_of_the_file(tmp_path: Path) -> None:
    """Of `secrets_file` only the names stay in memory."""
    path = tmp_path / "s.env"
    path.write_text("PASS=hunter2\n")
    secrets = Secrets({}, secrets_file=path)
    assert secrets.is_present(ENV)
    assert "hunter2" not in repr(vars(secrets))


def test_literal__is_itself_and_is_not_shown() -> None:
    """An empty literal counts as missing, and no repr holds one."""
    ref = SecretRef(("backends", "groq", "key"), literal=SecretStr("hunter2"))
    assert Secrets({}).resolve(ref) == "hunter2"
    assert "hunter2" not in repr(ref)
    with pytest.raises(SecretMissing, match=r"backends\.groq\.key: is empty"):
        Secrets({}).resolve(SecretRef(("backends", "groq", "key"), literal=SecretStr("")))


# --- a bot's secrets -------------------------------------------------------------------------


def test_check__names_the_key_and_where_was_looked(folder: Any) -> None:
    """A missing secret makes the bot invalid, at the line that names it."""
    folder.write_main("secrets_file: s.env\n")
    (folder.root / "s.env").write_text("KEEPER_ID=i\n")
    folder.write_bot()
    environ = {key: value for key, value in folder.good_environ.items() if key not in ("KEEPER_PASS", "KEEPER_ID")}
    loaded = folder.load(environ=environ, check_secrets=True)
    (told,) = folder.tell(loaded)
    assert told.startswith(
        "bots.d/keeper.yaml:3: reddit.password_env: KEEPER_PASS is not set (looked in the environment and s.env)"
    )
    assert [bot.name for bot in loaded.invalid] == ["keeper"]
    assert folder.load(environ=environ).faults == ()


def test_check__a_presets_key_is_told_where_it_is_used(folder: Any) -> None:
    """The key of a preset stands in no file; the line that asks for the server does. All in one run."""
    folder.write_bot()
    told = folder.tell(folder.load(environ={"KEEPER_PASS": "p", "KEEPER_ID": "i"}, check_secrets=True))
    assert [line.partition(" (looked")[0] for line in told] == [
        "bots.d/keeper.yaml:5: reddit.client_secret_env: KEEPER_SECRET is not set",
        "bots.d/keeper.yaml:10: reply.backend: the key of groq: GROQ_API_KEY is not set",
        "bots.d/keeper.yaml:13: safety.moderators: the key of openai: OPENAI_API_KEY is not set",
    ]


def test_check__everything_there(folder: Any) -> None:
    """Secrets of services that the bot does not use are not asked for, nor warned of."""
    folder.write_bot()
    loaded = folder.load(environ=folder.good_environ, check_secrets=True)
    assert (loaded.faults, loaded.warnings) == ((), ())


def test_check__a_server_without_a_key_needs_none(folder: Any) -> None:
    """`key_env: null` asks for nothing."""
    folder.write_bot(folder.good_bot + "backends: {groq: {key_env: null}}\n")
    environ = {**folder.good_environ, "GROQ_API_KEY": ""}
    loaded = folder.load(environ=environ, check_secrets=True)
    assert loaded.faults == ()
    assert Secrets(environ).resolve_key(loaded.bots[0].config, "backends", "groq") is None


def test_check__a_missing_ranker_is_a_warning_and_the_role_is_off(folder: Any) -> None:
    """Optional roles never stop a bot; the same secret needed for text does."""
    with_rank = folder.good_bot.replace("rank: {gate_model: null, rank_model: null}\n", "")
    folder.write_bot(with_rank)
    loaded = folder.load(environ=folder.good_environ, check_secrets=True)
    assert loaded.faults == ()
    (warning,) = loaded.warnings
    assert warning.key == "rank.backend"
    assert "HF_TOKEN is not set" in warning.message
    assert "goes on without this role (rank)" in warning.message
    secrets = Secrets(folder.good_environ)
    assert secrets.missing_optional_roles(loaded.bots[0].config) == (Role.RANK,)
    assert Secrets({**folder.good_environ, "HF_TOKEN": "h"}).missing_optional_roles(loaded.bots[0].config) == ()
    folder.write_bot(with_rank.replace("backend: groq", "backend: hf"))
    assert (
        "reply.backend: the key of hf" in folder.tell(folder.load(environ=folder.good_environ, check_secrets=True))[0]
    )


def test_check__a_fallbacks_key_is_needed(folder: Any) -> None:
    """A fallback that can't be asked is found out before it is needed."""
    folder.write_bot(
        folder.good_bot.replace("model: some-model", "model: m\n  fallbacks: [{backend: gemini, model: g}]")
    )
    told = folder.tell(folder.load(environ=folder.good_environ, check_secrets=True))
    assert [line.split(": ")[1] for line in told] == ["reply.fallbacks"]


def test_check__password_or_token(folder: Any) -> None:
    """Neither is a missing secret (not a fault of the file); the token of `auth` is enough, and wins."""
    folder.write_bot(folder.good_bot.replace("  password_env: KEEPER_PASS\n", ""))
    state = {"STATE_DIRECTORY": str(folder.root / "state")}
    environ = {**folder.good_environ, **state}
    assert folder.load(environ=environ).faults == ()
    (told,) = folder.tell(folder.load(environ=environ, check_secrets=True))
    assert told.startswith("bots.d/keeper.yaml:1: reddit.password_env: is required: ")
    assert "hotshotctl auth keeper" in told
    token = folder.root / "state" / "tokens" / "keeper"
    token.parent.mkdir(parents=True)
    token.write_text("refresh\n")
    token.chmod(0o600)
    loaded = folder.load(environ=environ, check_secrets=True)
    assert (loaded.faults, loaded.warnings) == ((), ())
    credentials = Secrets(environ, state_dir=folder.root / "state").resolve_account(loaded.bots[0].config)
    assert (credentials.client_id, credentials.client_secret) == ("i", "s")
    assert (credentials.refresh_token, credentials.password) == ("refresh", None)
    assert "refresh'" not in repr(credentials)


def test_check__a_token_makes_the_password_needless(folder: Any) -> None:
    """After `auth` the password's variable may be taken away, whatever the file still says."""
    folder.write_bot()
    token = folder.root / "state" / "tokens" / "keeper"
    token.parent.mkdir(parents=True)
    token.write_text("refresh\n")
    token.chmod(0o600)
    environ = {**folder.good_environ, "KEEPER_PASS": "", "STATE_DIRECTORY": str(folder.root / "state")}
    assert folder.load(environ=environ, check_secrets=True).faults == ()


def test_resolve_account__needs_a_way_in(folder: Any) -> None:
    """A worker without password and token says what to do."""
    folder.write_bot(folder.good_bot.replace("  password_env: KEEPER_PASS\n", ""))
    bot = folder.load().bots[0].config
    with pytest.raises(SecretMissing, match="hotshotctl auth keeper"):
        Secrets(folder.good_environ).resolve_account(bot)


def test_resolve_account__with_a_password(folder: Any) -> None:
    """The usual script app."""
    folder.write_bot()
    credentials = Secrets(folder.good_environ).resolve_account(folder.load().bots[0].config)
    assert (credentials.password, credentials.refresh_token) == ("p", None)


def test_warn__a_secrets_file_that_others_can_read(folder: Any) -> None:
    """A warning only: containers mount their secrets like that."""
    folder.write_bot(folder.good_bot.replace("password_env: KEEPER_PASS", "password_file: pass"))
    (folder.bots / "pass").write_text("p")
    (folder.bots / "pass").chmod(0o644)
    loaded = folder.load(environ=folder.good_environ, check_secrets=True)
    assert loaded.faults == ()
    assert [(fault.line, fault.key) for fault in loaded.warnings] == [(3, "reddit.password_file")]


def test_list_needs__a_post_without_a_model_needs_the_reply_model(folder: Any) -> None:
    """post.backend's default (hf) is not asked for when the reply model writes the posts."""
    folder.write_bot(folder.good_bot + "post: {schedule: [09:00]}\n")
    bot = folder.load().bots[0].config
    assert [(need.ref.env, need.role) for need in list_needs(bot)] == [
        ("GROQ_API_KEY", Role.TEXT),
        ("OPENAI_API_KEY", Role.MODERATION),
    ]


def test_resolve_key__horde_serves_strangers(folder: Any) -> None:
    """AI Horde takes requests without a key, so a missing one is no fault; a given one is used."""
    folder.write_bot()
    bot = folder.load().bots[0].config
    assert bot.reply is not None
    config: BotConfig = bot.model_copy(update={"reply": bot.reply.model_copy(update={"backend": "horde"})})
    assert [need.ref.env for need in list_needs(config)] == ["OPENAI_API_KEY"]
    assert Secrets({}).resolve_key(config, "backends", "horde") is None
    assert Secrets({"HORDE_KEY": "h"}).resolve_key(config, "backends", "horde") == "h"
    with pytest.raises(SecretMissing):
        Secrets({}).resolve_key(config, "backends", "groq")


def test_webhook_ref__is_kept_by_reference(folder: Any) -> None:
    """The address for alerts is a secret too."""
    folder.write_main("alerts: {webhook_url_env: HOOK}\n")
    main = folder.load().main
    ref = webhook_ref(main)
    assert ref is not None
    assert Secrets({"HOOK": "https://x"}).resolve(ref) == "https://x"
    assert webhook_ref(type(main)()) is None


def test_load_for_run__looks_secrets_up(folder: Any) -> None:
    """`hotshotd run` needs them as the daemon does."""
    path = folder.write_bot()
    assert load_for_run([path], folder.good_environ).faults == ()
    assert len(load_for_run([path], {}).faults) == 5

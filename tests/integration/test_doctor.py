"""`hotshotctl doctor` over real servers, with the daemon down and up: what it says, what it costs, what it hides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from harness import KEY, World

from hotshotd.clock import SystemClock
from hotshotd.config.loader import load_all
from hotshotd.doctor.examine import Examination
from hotshotd.doctor.examine import World as Outside
from hotshotd.errors import ExitCode
from hotshotd.sandbox.http import HttpServer, Response, Route, Routes

GREETING, HARMLESS = "Hello.", "I like ducks."


def examine(world: World, *words: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run `doctor --json`; give the exit code, the findings, and the whole answer."""
    result = world.ctl("doctor", "--json", *words)
    assert "Traceback" not in result.stderr, result.stderr
    answer = json.loads(result.stdout)
    return result.returncode, answer["findings"], answer


def find(findings: list[dict[str, Any]], what: str, bot: str | None = "mallard") -> dict[str, Any]:
    """Give the one finding whose `what` begins so."""
    found = [finding for finding in findings if finding["what"].startswith(what) and finding["bot"] == bot]
    assert len(found) == 1, (what, found, findings)
    return found[0]


def change(world: World, old: str, new: str, name: str = "mallard") -> None:
    text = world.bot_file(name).read_text()
    assert old in text
    world.bot_file(name).write_text(text.replace(old, new))


def test_doctor__all_well_with_the_daemon_down(world: World) -> None:
    """Each thing has its line, the exit code is 0, the cost is told before and after, and no state is left behind."""
    world.add_bot("mallard")
    result = world.ctl("doctor")
    assert result.returncode == ExitCode.OK, result.stdout
    for line in (
        "ok    mallard  reddit sign-in: signed in as u/mallard",
        "ok    mallard  reddit scopes: all that a bot needs",
        "ok    mallard  r/pond: can be read",
        "ok    mallard  moderator openai: passes a harmless text; free",
        "2 requests to services, 6 characters charged, in no ledger",
    ):
        assert line in result.stdout.splitlines()
    assert "about 6 characters are charged, and no ledger counts them" in result.stderr
    assert not (world.folder / "state").exists()
    # The moderator is sent a text too, and charges nothing for it.
    asked = [request.json() for request in world.services.openai.log.requests("/v1/chat/completions")]
    assert [message["content"] for body in asked for message in body["messages"]] == [GREETING]
    assert asked[0]["max_tokens"] <= 16


def test_doctor__a_running_daemon_counts_every_character(world: World) -> None:
    """With a daemon the permits are its own: the ledger shows what the doctor says it spent."""
    world.add_bot("mallard", gate="some/gate")
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    code, findings, answer = examine(world)
    assert code == ExitCode.OK, findings
    spent = len(GREETING) + len(GREETING) + len(HARMLESS)
    [figures] = daemon.ask("quota", bot=None)["bots"]
    assert (answer["spend"]["in_ledger"], answer["spend"]["characters"] >= spent) == (True, True)
    assert (figures["characters"], figures["requests"]) == (answer["spend"]["characters"], answer["spend"]["requests"])
    assert find(findings, "daemon", None)["mark"] == "ok"
    assert find(findings, "daemon")["detail"] == "running"


def test_doctor__spends_nothing_for_a_paused_bot(world: World) -> None:
    """What is paused is not tried, and told."""
    world.add_bot("mallard")
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    assert world.ctl("pause", "mallard").returncode == 0
    code, findings, answer = examine(world)
    text = find(findings, "text")
    assert (code, text["mark"], "paused" in text["detail"]) == (ExitCode.OK, "warn", True)
    assert answer["spend"]["characters"] == 0
    assert world.services.openai.log.requests("/v1/chat/completions") == ()


def break_password(world: World) -> None:
    world.environ["BOT_PASSWORD"] = "wrong-password"


def break_secret(world: World) -> None:
    world.environ["BOT_SECRET"] = "wrong-secret"


def break_key(world: World) -> None:
    world.environ["OPENAI_API_KEY"] = "wrong-key-of-openai"


def suspend(world: World) -> None:
    world.forum.suspend("mallard")


def ban(world: World) -> None:
    world.forum.ban("mallard", "pond")


def close_place(world: World) -> None:
    world.forum.add_subreddit("secret", is_private=True)
    change(world, "[pond]", "[secret]")


def lose_place(world: World) -> None:
    change(world, "[pond]", "[nowhere]")


def lose_model(world: World) -> None:
    world.services.gone.add("duck-chat")


def lose_secret(world: World) -> None:
    del world.environ["OPENAI_API_KEY"]


def be_somebody_else(world: World) -> None:
    world.forum.add_account("drake", "quack")
    change(world, "username: mallard", "username: duck")
    world.forum.add_account("duck", "no-password-of-ours")


def unplug(world: World) -> None:
    world.services.stop()


@pytest.mark.parametrize(
    ("harm", "what", "said"),
    [
        (break_password, "reddit sign-in", "hotshotctl auth"),
        (break_secret, "reddit sign-in", "wrong or revoked"),
        (suspend, "reddit sign-in", "suspended"),
        (be_somebody_else, "reddit sign-in", "hotshotctl auth"),
        (ban, "r/pond", "banned there"),
        (close_place, "r/secret", "have the account let in"),
        (lose_place, "r/nowhere", "check the name"),
        (break_key, "text", "key"),
        (break_key, "moderator", "key"),
        (lose_model, "text", "sandbox/lighthouse-chat"),
        (lose_secret, "text", "OPENAI_API_KEY is not set"),
        (lose_secret, "moderator", "OPENAI_API_KEY is not set"),
        (unplug, "text", "try again"),
    ],
)
def test_doctor__finds_what_is_wrong_and_says_what_to_do(
    world: World, harm: Callable[[World], None], what: str, said: str
) -> None:
    """Each harm is found where it lies, with a remedy, and the exit code is 1; the rest is tried all the same."""
    world.add_bot("mallard")
    harm(world)
    code, findings, _ = examine(world)
    found = find(findings, what)
    assert (code, found["mark"]) == (ExitCode.FAILED, "FAIL")
    assert said in f"{found['detail']} {found['remedy']}", found
    assert len([finding for finding in findings if finding["bot"] == "mallard"]) >= 3


def test_doctor__one_bad_bot_does_not_hide_a_good_one(world: World) -> None:
    """A faulty file, and a missing secret, are told; the bot beside them is tried to the end."""
    world.add_bot("mallard")
    world.bot_file("broken").write_text("reply: {modle: x}\n")
    world.add_bot("teal")
    change(world, "password_env: BOT_PASSWORD", "password_env: NOT_SET", "teal")
    code, findings, _ = examine(world)
    assert code == ExitCode.FAILED
    assert any(finding["bot"] == "broken" and finding["mark"] == "FAIL" for finding in findings)
    assert "NOT_SET is not set" in find(findings, "reddit secrets", "teal")["detail"]
    assert find(findings, "reddit sign-in")["mark"] == find(findings, "text", "teal")["mark"] == "ok"


def test_doctor__one_name_looks_at_one_bot(world: World) -> None:
    """With a name nobody else's service is asked; an unknown name fails."""
    world.add_bot("mallard")
    world.add_bot("teal", model="teal-chat")
    code, findings, _ = examine(world, "teal")
    assert (code, {finding["bot"] for finding in findings}) == (ExitCode.OK, {None, "teal"})
    assert [request.json()["model"] for request in world.services.openai.log.requests("/v1/chat/completions")] == [
        "teal-chat"
    ]
    code, findings, _ = examine(world, "nobody")
    assert (code, find(findings, "file", "nobody")["mark"]) == (ExitCode.FAILED, "FAIL")


def test_doctor__asks_the_same_service_once(world: World) -> None:
    """Bots with one key and one model share a request; the one with another key has its own."""
    for name in ("mallard", "teal", "wigeon"):
        world.add_bot(name)
    world.services.keys["second-key"] = "wigeon"
    world.environ["SECOND_KEY"] = "second-key"
    change(world, "poll:", "backends: {openai: {key_env: SECOND_KEY}}\npoll:", "wigeon")
    code, findings, answer = examine(world)
    assert (code, answer["spend"]["characters"]) == (ExitCode.OK, 2 * len(GREETING))
    assert "asked once, for mallard" in find(findings, "text", "teal")["detail"]
    assert "asked once" not in find(findings, "text", "wigeon")["detail"]


def test_doctor__goes_on_without_what_is_optional(world: World) -> None:
    """A ranker that is not served is a warning; one whose key is refused fails."""
    world.add_bot("mallard", gate="some/gate")
    world.services.gone.add("some/gate")
    code, findings, _ = examine(world)
    gate = find(findings, "gate hf/some/gate")
    assert (code, gate["mark"], "goes on without" in gate["detail"]) == (ExitCode.OK, "warn", True)
    world.environ["HF_TOKEN"] = "wrong-token-of-hf"
    code, findings, _ = examine(world)
    assert (code, find(findings, "gate hf/some/gate")["mark"]) == (ExitCode.FAILED, "FAIL")


def test_doctor__tells_that_perspective_ends(world: World) -> None:
    """Who still uses Perspective is told the day, and what to write instead."""
    world.add_bot("mallard")
    change(world, "moderators: [openai]", "moderators: [perspective]")
    world.environ["GOOGLE_KEY"] = KEY
    _, findings, _ = examine(world)
    assert "2026-12-31" in (ends := find(findings, "moderator perspective ends"))["detail"]
    assert "safety.moderators: [openai]" in ends["remedy"]


def test_doctor__a_moderator_that_refuses_everything_fails(world: World) -> None:
    """A moderator that passes nothing would keep the bot silent for ever."""
    world.add_bot("mallard")
    change(world, "moderators: [openai]}", "moderators: [openai], toxicity_threshold: 0.0}")
    code, findings, _ = examine(world)
    found = find(findings, "moderator openai")
    assert (code, found["mark"], "toxicity_threshold" in found["remedy"]) == (ExitCode.FAILED, "FAIL", True)


def test_doctor__knows_a_token_that_lacks_a_scope(world: World) -> None:
    """A token with too few scopes is found before its first call fails."""
    world.add_bot("mallard")
    change(world, "password_env: BOT_PASSWORD", "refresh_token_env: TOKEN")
    scope = "identity read history submit"
    world.environ["TOKEN"] = world.reddit.tokens.add_refresh("mallard", "client", scope=scope)
    code, findings, _ = examine(world)
    scopes = find(findings, "reddit scopes")
    assert (code, scopes["mark"], scopes["remedy"]) == (ExitCode.FAILED, "FAIL", "run `hotshotctl auth mallard`")
    assert "edit, privatemessages, account" in scopes["detail"]


@pytest.mark.parametrize("is_running", [False, True])
def test_doctor__keeps_a_token_that_reddit_replaced(world: World, is_running: bool) -> None:
    """Signing in must not cost the bot its token: the new one is stored, and a running worker starts anew with it."""
    world.reddit.rotates_refresh_tokens = True
    world.add_bot("mallard")
    change(world, "  password_env: BOT_PASSWORD\n", "")
    kept = world.folder / "state" / "tokens" / "mallard"
    kept.parent.mkdir(parents=True, mode=0o700)
    kept.touch(0o600)
    kept.write_text(world.reddit.tokens.add_refresh("mallard", "client"))
    daemon = world.start() if is_running else None
    if daemon:
        daemon.wait_event("token.stored")
    code, findings, _ = examine(world)
    assert (code, find(findings, "refresh token")["mark"]) == (ExitCode.OK, "ok"), findings
    if daemon:
        daemon.wait_state("mallard", "running")
    assert world.reddit.tokens.refresh_account(kept.read_text().strip(), "client") == "mallard"


def test_doctor__prints_no_secret(world: World) -> None:
    """Neither right nor wrong credentials are in anything it says, whatever the servers quote."""
    world.add_bot("mallard")
    break_password(world)
    break_key(world)
    secrets = [world.environ[name] for name in ("BOT_PASSWORD", "BOT_SECRET", "OPENAI_API_KEY")]
    for words in (("doctor",), ("doctor", "--json")):
        result = world.ctl(*words)
        assert not [secret for secret in secrets if secret in result.stdout + result.stderr]
    assert "OPENAI_API_KEY" in world.ctl("doctor").stdout


def test_doctor__without_a_main_file_says_where_it_looked(world: World) -> None:
    """A faulty main file, or none at all, is a failure like any other, not a crash."""
    world.add_bot("mallard")
    world.write_main("quota: {daily_total: lots}\n")
    code, findings, _ = examine(world)
    assert (code, "daily_total" in find(findings, "file", None)["detail"]) == (ExitCode.FAILED, True)
    world.config.unlink()
    code, findings, _ = examine(world)
    assert (code, "does not exist" in find(findings, "file", None)["detail"]) == (ExitCode.FAILED, True)


def test_doctor__tells_what_the_daemon_knows(world: World) -> None:
    """A bot that failed, and a service whose breaker is open, have their lines."""
    world.add_bot("mallard")
    world.services.gone.add("duck-chat")
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    examine(world)
    code, findings, _ = examine(world)
    assert (code, find(findings, "breaker openai (text)", None)["mark"]) == (ExitCode.FAILED, "FAIL")
    world.forum.suspend("mallard")
    daemon.ask("restart", bot="mallard")
    daemon.wait_state("mallard", "failed")
    _, findings, _ = examine(world)
    assert "hotshotctl restart mallard" in find(findings, "daemon")["remedy"]


def test_examination__ends_in_time_whoever_is_silent(world: World) -> None:
    """A service that never answers is told as such when the time is up."""
    world.add_bot("mallard")
    loaded = load_all(world.config, environ=world.environ, check_secrets=False)
    assert loaded.main is not None
    outside = Outside(
        environ=world.environ, user=0, clock=SystemClock(), keep_token=lambda _bot, _token: None, limit_seconds=0.5
    )
    examination = Examination(loaded, loaded.main, outside)
    examination.prepare()
    with world.services.hold("duck-chat"):
        found = {finding.what: finding.verdict for finding in examination.carry_out()}
    assert "no answer within 0.5 s" in found["text openai/duck-chat (reply)"].detail
    assert str(found["reddit sign-in"].mark) == "ok"


@pytest.mark.parametrize(
    ("date", "mark"),
    [("Tue, 24 Nov 1970 11:00:00 GMT", "FAIL"), ("nonsense", "ok")],
)
def test_doctor__compares_the_clock_with_reddits(world: World, date: str, mark: str) -> None:
    """Reddit's Date header tells a clock that is wrong; one that can't be read is no reason to complain."""
    answer = Response(401, b"{}", headers=(("date", date),))
    with HttpServer("dated", Routes([Route("GET", "/api/v1/me", lambda _: answer)])) as server:
        world.add_bot("mallard")
        text = world.config.read_text()
        world.config.write_text(text.replace(f"oauth_url: {world.reddit.base_url}", f"oauth_url: {server.base_url}"))
        _, findings, _ = examine(world)
    assert find(findings, "clock", None)["mark"] == mark


def test_doctor__needs_nothing_of_the_folder_it_runs_in(world: World) -> None:
    """It finds the files by $HOTSHOT_CONFIG where no --config is given, as the daemon does."""
    world.add_bot("mallard")
    world.environ["HOTSHOT_CONFIG"] = str(world.config)
    result = subprocess.run(
        [sys.executable, "-c", "from hotshotd.cli.ctl import main; main()", "doctor", "--json"],
        env=world.environ, capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr

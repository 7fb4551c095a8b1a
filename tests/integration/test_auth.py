"""`hotshotctl auth` against a real daemon and the local Reddit's consent page; refresh tokens that Reddit replaces.

A test plays the browser by plain HTTP: it opens the printed address, presses a button of the page, and follows the
redirect to the waiting program.
"""

from __future__ import annotations

import html
import json
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from harness import World, wait_until

from hotshotd.errors import ExitCode


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Auth:
    """One run of `hotshotctl auth`."""

    def __init__(self, world: World, *words: str) -> None:
        self.port = free_port()
        self.shown = ""
        self.pastes = "--paste" in words
        where = [] if self.pastes else ["--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from hotshotd.cli.ctl import main; main()", "--config", str(world.config),
             "auth", "--no-browser", *where, *words],
            env={**world.environ, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=world.folder,
        )  # fmt: skip

    def read_url(self) -> str:
        """Wait for the address of the consent page, and until the answer is waited for."""
        assert self.process.stderr is not None
        url = ""
        for line in self.process.stderr:
            self.shown += line
            found = re.search(r"http://\S+/api/v1/authorize\?\S+", line)
            url = found[0] if found else url
            if url and line.startswith("The app's redirect uri" if self.pastes else "Waiting"):
                return url
        raise AssertionError(f"no address in {self.shown!r}")

    def end(self, text: str | None = None) -> tuple[int, str, str]:
        """Wait for its end; give code, standard output and all of standard error."""
        out, err = self.process.communicate(text, timeout=30)
        return self.process.returncode, out, self.shown + err


@contextmanager
def running(world: World, *words: str) -> Iterator[Auth]:
    auth = Auth(world, *words)
    try:
        yield auth
    finally:
        if auth.process.poll() is None:
            auth.process.kill()
        auth.process.communicate()


def press(url: str, account: str) -> str:
    """Press a button of the consent page; give the address to which that leads."""
    page = requests.get(url, timeout=5)
    hidden = dict(re.findall(r'name="([^"]*)" value="([^"]*)">', page.text))
    form = {html.unescape(name): html.unescape(value) for name, value in hidden.items() if name != "sandbox_user"}
    answer = requests.get(f"{url.partition('?')[0]}?{urlencode({**form, 'sandbox_user': account})}",
                          timeout=5, allow_redirects=False)  # fmt: skip
    return answer.headers["location"]


def write_tokenless_bot(world: World, name: str = "mallard", *, more: str = "") -> None:
    """Write a bot that has neither a password nor a token."""
    world.add_bot(name)
    text = world.bot_file(name).read_text().replace("  password_env: BOT_PASSWORD\n", more)
    world.bot_file(name).write_text(text)


def token_file(world: World, name: str = "mallard") -> Path:
    return world.folder / "state" / "tokens" / name


def test_auth__makes_an_invalid_bot_run(world: World) -> None:
    """A bot with no sign-in at all gets a token through the browser, which the daemon keeps, and runs."""
    write_tokenless_bot(world)
    daemon = world.start()
    assert daemon.bot("mallard")["state"] == "invalid"
    with running(world, "mallard") as auth:
        url = auth.read_url()
        asked = parse_qs(urlsplit(url).query)
        assert asked["duration"] == ["permanent"]
        assert asked["redirect_uri"] == [f"http://127.0.0.1:{auth.port}/authorize_callback"]
        page = requests.get(press(url, "mallard"), timeout=5)
        assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
        code, out, err = auth.end()
    assert (code, out) == (ExitCode.OK, "mallard: u/mallard is signed in; the daemon keeps the token\n"), err
    daemon.wait_state("mallard", "running")
    token = token_file(world).read_text().strip()
    assert world.reddit.tokens.refresh_account(token, "client") == "mallard"
    assert stat.S_IMODE(token_file(world).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(world).parent.stat().st_mode) == 0o700
    for place in (out, err, json.dumps(daemon.status()), "".join(daemon.lines)):
        assert token not in place
        assert "client-secret" not in place


def test_auth__asks_for_scopes_that_suffice(world: World) -> None:
    """With the scopes of `auth` a bot reads, answers, and puts on its block list who says stop."""
    write_tokenless_bot(world)
    daemon = world.start()
    with running(world, "mallard") as auth:
        requests.get(press(auth.read_url(), "mallard"), timeout=5)
        assert auth.end()[0] == ExitCode.OK
    daemon.wait_state("mallard", "running")
    post = world.forum.submit("ann", "pond", "Where do ducks sleep?")
    wait_until(lambda: post.fullname in world.comments_of("mallard"), what="an answer")
    own = world.forum.comments(author="mallard")[0]
    world.forum.comment("ann", own.fullname, "stop")
    wait_until(lambda: "ann" in world.forum.account("mallard").blocked, what="a block")  # type: ignore[union-attr]
    wait_until(lambda: not world.forum.inbox("mallard", unread=True), what="the notice marked read")


def test_auth__the_sandbox_minds_scopes(world: World) -> None:
    """A token without the scope of a call is refused: the test above could fail."""
    world.add_bot("mallard")
    token = world.reddit.tokens.issue("mallard", "client", now=world.reddit.http.now(), scope="identity read")
    ask = {"headers": {"Authorization": f"bearer {token}"}, "timeout": 5}
    assert requests.get(f"{world.reddit.base_url}/api/v1/me", **ask).status_code == 200  # type: ignore[arg-type]
    refused = requests.get(f"{world.reddit.base_url}/message/unread", **ask)  # type: ignore[arg-type]
    assert (refused.status_code, "insufficient_scope" in refused.headers["www-authenticate"]) == (403, True)


def test_auth__replaces_the_token_of_a_running_bot(world: World) -> None:
    """A second run wins over the first token, and the worker starts anew."""
    world.add_bot("mallard")
    daemon = world.start()
    pid = daemon.wait_state("mallard", "running")["pid"]
    with running(world, "mallard") as auth:
        requests.get(press(auth.read_url(), "mallard"), timeout=5)
        assert auth.end()[0] == ExitCode.OK
    assert daemon.wait_state("mallard", "running")["pid"] != pid
    grants = [
        request.form.get("grant_type") for request in world.reddit.log.requests() if "access_token" in request.path
    ]
    assert grants[-1] == "refresh_token"


def test_auth__another_account_is_refused(world: World) -> None:
    """When somebody else was signed in in the browser nothing is kept, the token is given back, and it exits with 1."""
    write_tokenless_bot(world)
    daemon = world.start()
    with running(world, "mallard") as auth:
        requests.get(press(auth.read_url(), "ann"), timeout=5)
        code, out, err = auth.end()
    assert (code, out) == (ExitCode.FAILED, "")
    assert "u/ann was signed in in the browser, and this bot is u/mallard" in err
    assert not token_file(world).exists()
    assert daemon.bot("mallard")["state"] == "invalid"
    assert any("revoke_token" in request.path for request in world.reddit.log.requests())


def test_auth__a_refusal_ends_it(world: World) -> None:
    """Who declines on the page gets told so, and exit code 1."""
    write_tokenless_bot(world)
    world.start()
    with running(world, "mallard") as auth:
        requests.get(press(auth.read_url(), ""), timeout=5)
        code, _, err = auth.end()
    assert (code, "refused in the browser" in err) == (ExitCode.FAILED, True)


def test_auth__a_foreign_answer_changes_nothing(world: World) -> None:
    """An answer with another state, or to another path, is turned away, and the right one still counts."""
    write_tokenless_bot(world)
    world.start()
    with running(world, "mallard") as auth:
        back = press(auth.read_url(), "mallard")
        forged = back.replace("state=", "state=x")
        assert requests.get(forged, timeout=5).status_code == 400
        assert requests.get(f"http://127.0.0.1:{auth.port}/favicon.ico", timeout=5).status_code == 404
        assert requests.get(back, timeout=5).status_code == 200
        assert auth.end()[0] == ExitCode.OK


def test_auth__pasted_address_will_do(world: World) -> None:
    """With --paste nothing listens: the address the browser ended up at is typed in."""
    write_tokenless_bot(world)
    daemon = world.start()
    with running(world, "mallard", "--paste") as auth:
        code, _, err = auth.end(press(auth.read_url(), "mallard") + "\n")
    assert code == ExitCode.OK, err
    daemon.wait_state("mallard", "running")


def test_auth__needs_the_daemon_before_the_browser(world: World) -> None:
    """With no daemon it ends with 3 at once; for an unknown bot with 4; no address was shown."""
    write_tokenless_bot(world)
    result = world.ctl("auth", "mallard", "--no-browser")
    assert (result.returncode, "authorize" in result.stderr) == (ExitCode.NOT_RUNNING, False)
    world.start()
    result = world.ctl("auth", "nobody", "--no-browser")
    assert (result.returncode, "authorize" in result.stderr) == (ExitCode.UNKNOWN_BOT, False)
    assert not any("authorize" in request.path for request in world.reddit.log.requests())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--redirect-uri", "https://example.com/back"), ExitCode.FAILED, "must be an address of this machine"),
        (("--redirect-uri", "http://127.0.0.1:9/x", "--port", "9"), ExitCode.USAGE, "use one of them"),
    ],
)
def test_auth__refuses_an_address_it_can_not_wait_on(
    world: World, words: tuple[str, ...], code: ExitCode, said: str
) -> None:
    """A redirect uri elsewhere, or two that contradict, is told before anybody allows anything."""
    write_tokenless_bot(world)
    world.start()
    result = world.ctl("auth", "mallard", "--no-browser", *words)
    assert (result.returncode, said in result.stderr) == (code, True), result.stderr


def test_auth__says_what_stands_in_its_way(world: World) -> None:
    """A taken port, a token of the file's own, and a missing app secret are told with what to do."""
    world.add_bot("mallard")
    world.start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = world.ctl("auth", "mallard", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert (result.returncode, "--redirect-uri" in result.stderr) == (ExitCode.FAILED, True)
    write_tokenless_bot(world, more="  refresh_token_env: OWN_TOKEN\n")
    result = world.ctl("auth", "mallard", "--no-browser")
    assert (result.returncode, "remove reddit.refresh_token" in result.stderr) == (ExitCode.FAILED, True)
    write_tokenless_bot(world)
    del world.environ["BOT_SECRET"]
    result = world.ctl("auth", "mallard", "--no-browser")
    assert (result.returncode, "BOT_SECRET is not set" in result.stderr) == (ExitCode.FAILED, True)


def test_token__that_reddit_replaces_is_kept(world: World) -> None:
    """A refresh token that Reddit sends in place of the old one is stored, and signs the bot in after a restart."""
    world.reddit.rotates_refresh_tokens = True
    write_tokenless_bot(world)
    first = world.reddit.tokens.add_refresh("mallard", "client")
    token_file(world).parent.mkdir(parents=True)
    token_file(world).write_text(first)
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    daemon.wait_event("token.stored", bot="mallard")
    second = token_file(world).read_text().strip()
    assert (second != first, stat.S_IMODE(token_file(world).stat().st_mode)) == (True, 0o600)
    daemon.ask("restart", bot="mallard")
    daemon.wait_state("mallard", "running")
    daemon.wait_event("token.stored", count=2, bot="mallard")
    assert token_file(world).read_text().strip() not in (first, second)
    assert not [entry for entry in token_file(world).parent.iterdir() if entry.name != "mallard"]
    assert not any(token in line for line in daemon.lines for token in (first, second))


def test_token__that_can_not_be_stored_is_trouble(world: World) -> None:
    """When the disk does not take the new token, the log and `status` say what to do, and the bot goes on."""
    world.reddit.rotates_refresh_tokens = True
    write_tokenless_bot(world, more="  refresh_token_file: ../own-token\n")
    own = world.folder / "own-token"
    own.touch(0o600)
    own.write_text(world.reddit.tokens.add_refresh("mallard", "client"))
    (world.folder / "state").mkdir()
    (world.folder / "state" / "tokens").write_text("a file where the folder should be")
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    assert daemon.wait_event("token.not_stored", bot="mallard")["level"] == "error"
    wait_until(lambda: "hotshotctl auth mallard" in (daemon.bot("mallard")["last_error"] or ""), what="the remedy")


def test_token__in_place_of_the_operators_own_is_told(world: World) -> None:
    """A new token for one that the operator keeps is stored by the daemon, and the operator is told what to change."""
    world.reddit.rotates_refresh_tokens = True
    write_tokenless_bot(world, more="  refresh_token_file: ../own-token\n")
    own = world.folder / "own-token"
    own.touch(0o600)
    own.write_text(world.reddit.tokens.add_refresh("mallard", "client"))
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    wait_until(lambda: "remove reddit.refresh_token" in (daemon.bot("mallard")["last_error"] or ""), what="the advice")
    assert world.reddit.tokens.refresh_account(token_file(world).read_text().strip(), "client") == "mallard"


def test_status__shows_places_that_can_not_be_read(world: World) -> None:
    """A private subreddit is shown with its reason, in JSON and in the table."""
    world.forum.add_subreddit("secret", is_private=True)
    world.add_bot("mallard")
    world.bot_file("mallard").write_text(world.bot_file("mallard").read_text().replace("[pond]", "[secret]"))
    daemon = world.start()
    found = wait_until(lambda: daemon.bot("mallard")["unreadable"], what="the place")
    assert [place["subreddit"] for place in found] == ["secret"]
    assert "private" in found[0]["reason"]
    assert "can't read r/secret" in world.ctl("status").stdout


def test_auth__ctrl_c_ends_it(world: World) -> None:
    """An operator who gives up gets exit code 1, and nothing was changed."""
    write_tokenless_bot(world)
    world.start()
    with running(world, "mallard") as auth:
        auth.read_url()
        auth.process.send_signal(signal.SIGINT)
        code, _, err = auth.end()
    assert (code, "nothing was changed" in err) == (ExitCode.FAILED, True)

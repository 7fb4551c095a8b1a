"""`hotshotctl auth BOT`: a refresh token through the operator's browser, handed to the daemon."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from hotshotd.cli.asking import Target, ask, fail
from hotshotd.cli.files import load_files
from hotshotd.clock import SystemClock
from hotshotd.config.loaded import Loaded, LoadedBot
from hotshotd.config.loader import load_for_run
from hotshotd.config.schema import MainConfig
from hotshotd.config.secrets import Secrets, names_refresh_token, secret_ref
from hotshotd.errors import ConfigError, ExitCode, HotshotError
from hotshotd.memory import keep_private
from hotshotd.reddit.account import Sites
from hotshotd.reddit.callback import CallbackServer, parse_answer, split_redirect_uri
from hotshotd.reddit.consent import App, Consent, Grant, list_scopes
from hotshotd.wire import Json

#: Where the browser is sent back to unless told otherwise; the app must be registered with the same address.
REDIRECT_URI = "http://127.0.0.1:65010/authorize_callback"

#: Seconds that the operator has for signing in and allowing.
WAIT_SECONDS = 600.0

#: Makes the word by which the answer to this request is known.
make_state: Callable[[], str] = partial(secrets.token_urlsafe, 32)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the operator wants it done."""

    redirect_uri: str
    opens_browser: bool
    pastes: bool


def run(target: Target, name: str, wishes: Wishes) -> ExitCode:
    """Get a token and hand it over. Asks the daemon first, so that nobody allows in vain."""
    keep_private()
    client = target.find()
    # The daemon's own word: exit codes 3 and 4 come from here.
    shown = ask(client, {"op": "status", "bots": [name]})["bots"][0]
    try:
        if not wishes.pastes:
            split_redirect_uri(wishes.redirect_uri)
        main, bot = _find_bot(target.config, name, shown)
        grant = _get_grant(_make_app(main, bot, wishes), bot, wishes)
    except HotshotError as exc:
        fail(str(exc), ExitCode.FAILED)
    except (KeyboardInterrupt, click.Abort):
        fail("ended; nothing was changed", ExitCode.FAILED)
    answer = ask(client, {"op": "token", "bot": name, "token": grant.refresh_token})
    return _tell(name, grant, answer)


def _find_bot(config: Path | None, name: str, shown: Json) -> tuple[MainConfig, LoadedBot]:
    """Give the bot as its file has it now, whether or not its secrets are there.

    Raises:
        ConfigError: If its file, or the main one, is faulty, or the token would never be used.
    """
    loaded = _load(config, name, shown)
    if loaded.main is None:
        raise ConfigError("\n".join(str(fault) for fault in loaded.main_faults))
    bot = next((bot for bot in loaded.bots if bot.name == name), None)
    if bot is None:
        faults = [str(fault) for invalid in loaded.invalid if invalid.name == name for fault in invalid.faults]
        raise ConfigError("\n".join(faults) or f"{name}: the daemon knows it, and no file here does; use --config")
    if names_refresh_token(bot.config.reddit):
        raise ConfigError(
            f"{bot.path}: names a refresh token of its own, which would go on to be used: remove reddit.refresh_token, "
            "reddit.refresh_token_env or reddit.refresh_token_file, then run this again"
        )
    return loaded.main, bot


def _load(config: Path | None, name: str, shown: Json) -> Loaded:
    """Read the main file's bots; or, of a daemon that was started with `run`, the bot's own file alone."""
    file = Path(str(shown.get("file", "")))
    try:
        loaded = load_files(config, check_secrets=False)
    except ConfigError:
        return load_for_run([file], os.environ, check_secrets=False)
    known = {*(bot.name for bot in loaded.bots), *(bot.name for bot in loaded.invalid)}
    if config is None and name not in known:
        return load_for_run([file], os.environ, check_secrets=False)
    return loaded


def _make_app(main: MainConfig, bot: LoadedBot, wishes: Wishes) -> App:
    lookup = Secrets(os.environ, secrets_file=main.secrets_file, state_dir=main.state_dir)
    reddit = bot.config.reddit

    def find(stem: str) -> str:
        ref = secret_ref(reddit, stem, path=("reddit",))
        if ref is None:
            return ""
        # The daemon may get its secrets where a shell does not see them: a unit's environment, systemd's credentials.
        if not lookup.is_present(ref) and sys.stdin.isatty():
            return str(click.prompt(f"{'.'.join(ref.key)} is not to be found here; type it", hide_input=True))
        return lookup.resolve(ref)

    return App(
        client_id=find("client_id"),
        client_secret=find("client_secret"),
        redirect_uri=wishes.redirect_uri,
        sites=Sites(reddit_url=main.reddit.reddit_url, oauth_url=main.reddit.oauth_url),
        operator=reddit.operator,
        username=reddit.username,
    )


def _get_grant(app: App, bot: LoadedBot, wishes: Wishes) -> Grant:
    """Have the operator allow it, and make sure that the right account did.

    Raises:
        HotshotError: It was refused, came too late, or is another account's.
    """
    consent = Consent(app, clock=SystemClock())
    state = make_state()
    url = consent.build_url(state=state, scopes=list_scopes(blocks=bot.config.safety.opt_out))
    try:
        grant = consent.redeem(_get_code(app, url, state, wishes))
        trouble = _judge(grant, app.username)
        if trouble:
            consent.revoke(grant)
            raise ConfigError(trouble)
        return grant
    finally:
        consent.close()


def _get_code(app: App, url: str, state: str, wishes: Wishes) -> str:
    if wishes.pastes:
        _invite(app, url, wishes)
        pasted = str(click.prompt("Address to which the browser was sent (its page may be an error)"))
        return parse_answer(pasted, state=state).get_code()
    with CallbackServer(app.redirect_uri, state=state) as server:
        _invite(app, url, wishes)
        answer = server.wait(seconds=WAIT_SECONDS)
    if answer is None:
        raise ConfigError(f"nobody allowed it within {WAIT_SECONDS / 60:g} minutes; run this again")
    return answer.get_code()


def _invite(app: App, url: str, wishes: Wishes) -> None:
    click.echo(f"Sign in to Reddit as u/{app.username}, then open this address and allow:\n\n{url}\n", err=True)
    click.echo(f"The app's redirect uri (reddit.com/prefs/apps) must be {app.redirect_uri}", err=True)
    if wishes.pastes:
        return
    _, port, _ = split_redirect_uri(app.redirect_uri)
    if os.environ.get("SSH_CONNECTION"):
        host = socket.gethostname()
        click.echo(
            f"A browser elsewhere gets here by  ssh -L {port}:127.0.0.1:{port} {host}  from there; or use --paste",
            err=True,
        )
    if wishes.opens_browser and not webbrowser.open(url):
        click.echo("No browser could be opened from here; open the address yourself.", err=True)
    minutes = f"{WAIT_SECONDS / 60:g} minutes"
    click.echo(f"Waiting for the answer on port {port}, {minutes} at most (Ctrl-C ends it) ...", err=True)


def _judge(grant: Grant, username: str) -> str:
    """Say what is wrong with who allowed it, "" where nothing is."""
    name = grant.identity.name
    if name.casefold() != username.casefold():
        return (
            f"u/{name} was signed in in the browser, and this bot is u/{username}: nothing was kept; sign out there, "
            f"sign in as u/{username}, and run this again"
        )
    if grant.identity.suspended:
        return f"u/{name} is suspended: nothing was kept; see the messages of that account on Reddit"
    return ""


def _tell(name: str, grant: Grant, answer: Json) -> ExitCode:
    click.echo(f"{name}: u/{grant.identity.name} is signed in; the daemon keeps the token")
    for fault in answer["invalid"]:
        click.echo(f"{fault['file']}:{fault['line']}: {fault['key']}: {fault['error']}", err=True)
    for entry in answer["not_running"]:
        click.echo(f"{entry['name']}: {entry['state']}: {entry['reason']}", err=True)
    bad = answer["invalid"] or any(entry["state"] in ("failed", "backoff") for entry in answer["not_running"])
    return ExitCode.FAILED if bad else ExitCode.OK


def has_display() -> bool:
    """Tell whether a browser that is opened here would be seen."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

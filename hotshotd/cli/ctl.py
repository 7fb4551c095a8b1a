"""`hotshotctl`: the operator's commands. Imports little, for it is typed often."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotshotd import __version__
from hotshotd.cli.asking import JSON_OPTION as _JSON
from hotshotd.cli.asking import Target, ask, to_json
from hotshotd.cli.importing import import_, init
from hotshotd.cli.table import format_quota, format_status
from hotshotd.cli.try_post import post, try_
from hotshotd.clock import SystemClock
from hotshotd.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hotshotd.control.client import ControlClient
    from hotshotd.wire import Json

#: Seconds between two looks of `status --watch`.
WATCH_SECONDS = 2.0

_CLOCK = SystemClock()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hotshotctl")
@click.option("--config", type=click.Path(path_type=Path), help="The daemon's main file.")
@click.option("--socket", type=click.Path(path_type=Path), help="The daemon's control socket.")
@click.pass_context
def main(context: click.Context, *, config: Path | None, socket: Path | None) -> None:
    """Look at a running hotshotd and steer it.

    The socket is that of --socket, of --config's runtime_dir, $HOTSHOT_SOCKET, /run/hotshot/control.sock, or the one
    in the XDG runtime directory.

    Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon is not running, 4 no such bot.
    """
    context.obj = Target(config, socket)


main.add_command(try_)
main.add_command(post)
main.add_command(init)
main.add_command(import_)


@main.command()
@click.argument("bots", nargs=-1)
@_JSON
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.pass_obj
def status(target: Target, *, bots: tuple[str, ...], as_json: bool, watch: bool) -> None:
    """Show how the bots are."""
    client = target.find()
    if not watch:
        _show_status(client, bots, as_json=as_json)
        return
    try:
        while True:
            _show_status(client, bots, as_json=as_json, clear=sys.stdout.isatty())
            _CLOCK.pause(WATCH_SECONDS)
    except KeyboardInterrupt:
        # The way to end it, whether it waits for the clock or for the daemon.
        return


def _show_status(client: ControlClient, bots: Sequence[str], *, as_json: bool, clear: bool = False) -> None:
    answer = ask(client, {"op": "status", "bots": list(bots)})
    text = to_json(answer) if as_json else "\n".join(format_status(answer, width=_find_width()))
    if clear:
        click.clear()
    click.echo(text)


@main.command()
@click.argument("bot", required=False)
@_JSON
@click.pass_obj
def quota(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Show what was spent, the caps, and when they reset."""
    answer = ask(target.find(), {"op": "quota", "bot": bot})
    click.echo(to_json(answer) if as_json else "\n".join(format_quota(answer)))


@main.command()
@click.argument("bot", required=False)
@_JSON
@click.pass_obj
def reload(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Read the files again; only bots whose file changed are restarted."""
    answer = ask(target.find(), {"op": "reload", "bot": bot})
    if as_json:
        click.echo(to_json({key: answer[key] for key in ("added", "changed", "removed", "unchanged", "invalid")}))
    else:
        _print_changes(answer)
    sys.exit(ExitCode.FAILED if answer["invalid"] else ExitCode.OK)


@main.command()
@click.argument("bot")
@click.pass_obj
def restart(target: Target, *, bot: str) -> None:
    """Read a bot's file again and start its worker anew."""
    answer = ask(target.find(), {"op": "restart", "bot": bot})
    _print_faults(answer)
    for entry in answer["not_running"]:
        click.echo(f"{entry['name']}: {entry['state']}: {entry['reason']}", err=True)
    bad = answer["invalid"] or any(entry["state"] in ("failed", "backoff") for entry in answer["not_running"])
    sys.exit(ExitCode.FAILED if bad else ExitCode.OK)


@main.command()
@click.argument("bots", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every bot.")
@click.option("--for", "duration", metavar="DURATION", help="End the pause by itself, for example after 2h.")
@click.option("--reason", default="", help="Shown in status.")
@click.pass_obj
def pause(target: Target, *, bots: tuple[str, ...], everyone: bool, duration: str | None, reason: str) -> None:
    """Make bots quiet: once this returns they write nothing and spend nothing. Survives a restart."""
    until = None if duration is None else _parse_end(duration)
    request = {"op": "pause", "bots": _choose(bots, everyone=everyone), "until": until, "reason": reason}
    answer = ask(target.find(), request)
    click.echo(f"paused: {', '.join(answer['paused']) or 'no bot'}")


@main.command()
@click.argument("bots", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every bot.")
@click.pass_obj
def resume(target: Target, *, bots: tuple[str, ...], everyone: bool) -> None:
    """Let paused bots go on."""
    answer = ask(target.find(), {"op": "resume", "bots": _choose(bots, everyone=everyone)})
    click.echo(f"resumed: {', '.join(answer['resumed']) or 'no bot'}")


@main.command()
@click.argument("bot", required=False)
@_JSON
@click.option("--pictures", is_flag=True, help="Have pictures made too, which costs.")
@click.pass_obj
def doctor(target: Target, *, bot: str | None, as_json: bool, pictures: bool) -> None:
    """Try every credential and service live, and say how to mend what fails. Works with the daemon down.

    Each model is sent a few characters, which count as spent where a daemon runs.
    """
    from hotshotd.cli.doctor import Wishes, run

    run(target, Wishes(bot, as_json=as_json, pictures=pictures))


@main.command()
@click.argument("bot")
@click.option("--port", type=click.IntRange(1, 65535), help="Wait for the browser on this port instead of 65010.")
@click.option("--redirect-uri", metavar="URI", help="The app's redirect uri, where it is another one.")
@click.option("--browser/--no-browser", default=None, help="Open a browser here; without it, where there is a display.")
@click.option("--paste", is_flag=True, help="Wait for no browser: the address it ends up at is pasted here.")
@click.pass_obj
def auth(
    target: Target, *, bot: str, port: int | None, redirect_uri: str | None, browser: bool | None, paste: bool
) -> None:
    """Get a bot's refresh token through your browser; the daemon keeps it and starts the bot anew.

    The app on reddit.com/prefs/apps must have the redirect uri http://127.0.0.1:65010/authorize_callback, or the one
    that --port or --redirect-uri says.
    """
    from hotshotd.cli.auth import REDIRECT_URI, Wishes, has_display, run

    if port is not None and redirect_uri is not None:
        raise click.UsageError("--port and --redirect-uri say the same thing: use one of them")
    uri = redirect_uri or (REDIRECT_URI.replace("65010", str(port)) if port else REDIRECT_URI)
    sys.exit(run(target, bot, Wishes(uri, opens_browser=has_display() if browser is None else browser, pastes=paste)))


def _choose(bots: Sequence[str], *, everyone: bool) -> list[str] | None:
    if bool(bots) == everyone:
        raise click.UsageError("name at least one bot, or write --all")
    return None if everyone else list(bots)


def _parse_end(duration: str) -> str:
    from hotshotd.config.values import parse_duration

    try:
        seconds = parse_duration(duration)
        return (_CLOCK.now() + timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError) as exc:
        raise click.BadParameter(str(exc), param_hint="--for") from exc


def _print_changes(answer: Json) -> None:
    for title in ("added", "changed", "removed", "unchanged"):
        if answer[title]:
            click.echo(f"{title}: {', '.join(answer[title])}")
    _print_faults(answer)
    for entry in answer.get("not_running", []):
        click.echo(f"{entry['name']}: {entry['state']}: {entry['reason']}", err=True)


def _print_faults(answer: Json) -> None:
    for fault in answer["invalid"]:
        click.echo(f"{fault['file']}:{fault['line']}: {fault['key']}: {fault['error']}")


def _find_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

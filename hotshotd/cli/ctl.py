"""`hotshotctl`: the operator's commands. Imports little, for it is typed often."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotshotd import __version__
from hotshotd.cli.asking import JSON_OPTION as _JSON
from hotshotd.cli.asking import Target, ask, failures_end, to_json
from hotshotd.cli.completion import BOT, SHELLS
from hotshotd.cli.importing import import_, init
from hotshotd.cli.program import PATH, OperatorProgram, read_words
from hotshotd.cli.table import format_quota, format_status
from hotshotd.cli.terminal import Screen, find_screen, to_safe
from hotshotd.cli.try_post import post, try_
from hotshotd.clock import SystemClock
from hotshotd.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hotshotd.wire import Json

_CLOCK = SystemClock()


@click.group(cls=OperatorProgram, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hotshotctl")
@click.option("--config", type=PATH, help="The daemon's main file.")
@click.option("--socket", type=PATH, help="The daemon's control socket.")
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
@click.argument("bots", metavar="[BOT]...", nargs=-1, type=BOT)
@_JSON
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.pass_obj
def status(target: Target, *, bots: tuple[str, ...], as_json: bool, watch: bool, interval: float) -> None:
    """Show how the bots are.

    READ counts today's submissions and comments, WRITE posts and replies, SPEND how much of the day's budget is gone.
    On a terminal they stand in columns (READ 12/40, WRITE 1/7) where the long form does not fit. In a pipe each bot
    has one whole line. With --watch and --json each look is one line.
    """
    client = target.find()

    def look(screen: Screen) -> Sequence[str]:
        answer = client.request({"op": "status", "bots": list(bots)})
        if as_json:
            return to_json(answer, indent=None if watch else 2).split("\n")
        return format_status(answer, screen=screen, now=_CLOCK.now())

    with failures_end():
        if watch:
            from hotshotd.cli.watch import watch as show_again

            show_again(look, seconds=interval)
        else:
            click.echo("\n".join(look(find_screen())))


@main.command("is-active")
@click.argument("bots", metavar="[BOT]...", nargs=-1, type=BOT)
@click.option("-q", "--quiet", is_flag=True, help="Print no state.")
@click.pass_obj
def is_active(target: Target, *, bots: tuple[str, ...], quiet: bool) -> None:
    """Tell a script whether bots are running.

    Prints the state of each, a line a bot; without a name, of every bot. The exit code is 0 when all of them are
    `running`, and 1 when one is not: a paused one, too.
    """
    found = {bot["name"]: bot["state"] for bot in ask(target.find(), {"op": "status", "bots": list(bots)})["bots"]}
    states = [found[name] for name in bots or found]
    for state in [] if quiet else states:
        click.echo(state)
    sys.exit(ExitCode.OK if set(states) <= {"running"} else ExitCode.FAILED)


@main.command()
@click.argument("bot", required=False, type=BOT)
@_JSON
@click.pass_obj
def quota(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Show what was spent, the caps, and when they reset."""
    answer = ask(target.find(), {"op": "quota", "bot": bot})
    click.echo(to_json(answer) if as_json else "\n".join(format_quota(answer, screen=find_screen())))


@main.command()
@click.argument("bot", required=False, type=BOT)
@_JSON
@click.pass_obj
def reload(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Read the files again and restart what changed."""
    answer = ask(target.find(), {"op": "reload", "bot": bot})
    if as_json:
        click.echo(to_json({key: answer[key] for key in ("added", "changed", "removed", "unchanged", "invalid")}))
    else:
        _print_changes(answer)
    sys.exit(ExitCode.FAILED if answer["invalid"] else ExitCode.OK)


@main.command()
@click.argument("bot", type=BOT)
@_JSON
@click.pass_obj
def restart(target: Target, *, bot: str, as_json: bool) -> None:
    """Read a bot's file again and start its worker anew."""
    answer = ask(target.find(), {"op": "restart", "bot": bot})
    bad = answer["invalid"] or any(entry["state"] in ("failed", "backoff") for entry in answer["not_running"])
    if as_json:
        shown = {"restarted": [] if bad else [bot], "invalid": answer["invalid"], "not_running": answer["not_running"]}
        click.echo(to_json(shown))
    else:
        _print_faults(answer)
        _print_not_running(answer)
        if not bad:
            click.echo(f"restarted: {bot}")
    sys.exit(ExitCode.FAILED if bad else ExitCode.OK)


@main.command()
@click.argument("bots", metavar="[BOT]...", nargs=-1, type=BOT)
@click.option("--all", "everyone", is_flag=True, help="Every bot.")
@click.option("--for", "duration", metavar="DURATION", help="End the pause by itself, for example after 2h.")
@click.option("--reason", default="", metavar="TEXT", help="Shown in status.")
@_JSON
@click.pass_obj
def pause(
    target: Target, *, bots: tuple[str, ...], everyone: bool, duration: str | None, reason: str, as_json: bool
) -> None:
    """Make bots quiet: they write nothing and spend nothing.

    That holds once this returns, and survives a restart. What is being written to Reddit at that moment is waited for,
    30 s at most.
    """
    until = None if duration is None else _parse_end(duration)
    request = {"op": "pause", "bots": _choose(bots, everyone=everyone), "until": until, "reason": read_words(reason)}
    _print_names(ask(target.find(), request), "paused", as_json=as_json)


@main.command()
@click.argument("bots", metavar="[BOT]...", nargs=-1, type=BOT)
@click.option("--all", "everyone", is_flag=True, help="Every bot.")
@_JSON
@click.pass_obj
def resume(target: Target, *, bots: tuple[str, ...], everyone: bool, as_json: bool) -> None:
    """Let paused bots go on."""
    request = {"op": "resume", "bots": _choose(bots, everyone=everyone)}
    _print_names(ask(target.find(), request), "resumed", as_json=as_json)


def _check_lines(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "all" or (value.isascii() and value.isdecimal()):
        return value
    raise click.BadParameter(f"{value!r} is neither a number nor the word all")


@main.command()
@click.argument("bot", required=False, type=BOT)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", metavar="N", callback=_check_lines, help="The last N entries, or all; without it 200.")
@click.option("--since", metavar="TIME", help='Only what is newer: "2 hours ago", today, "2026-11-24 10:00".')
@click.option("--json", "as_json", is_flag=True, help="Print the journal's own JSON, one entry a line.")
@click.pass_obj
def logs(
    _target: Target, *, bot: str | None, follow: bool, lines: str | None, since: str | None, as_json: bool
) -> None:
    """Show the journal of the daemon, or of BOT alone.

    Works with the daemon down. It runs journalctl for the unit hotshotd, of the system and of the user. The same with
    more of its options:

    journalctl -u hotshotd HOTSHOT_BOT=NAME
    """
    from hotshotd.cli.logs import Wishes, run

    run(Wishes(bot, follow=follow, lines=lines, since=since, as_json=as_json))


@main.command()
@click.argument("bot", required=False, type=BOT)
@_JSON
@click.option("--pictures", is_flag=True, help="Have pictures made too, which costs.")
@click.pass_obj
def doctor(target: Target, *, bot: str | None, as_json: bool, pictures: bool) -> None:
    """Try every credential and service live.

    Says how to mend what fails. Works with the daemon down. Each model is sent a few characters, which count as spent
    where a daemon runs.
    """
    from hotshotd.cli.doctor import Wishes, run

    run(target, Wishes(bot, as_json=as_json, pictures=pictures))


@main.command()
@click.argument("bot", type=BOT)
@click.option("--port", type=click.IntRange(1, 65535), help="Wait for the browser on this port instead of 65010.")
@click.option("--redirect-uri", metavar="URI", help="The app's redirect uri, where it is another one.")
@click.option("--browser/--no-browser", default=None, help="Open a browser here; without it, where there is a display.")
@click.option("--paste", is_flag=True, help="Wait for no browser: the address it ends up at is pasted here.")
@click.pass_obj
def auth(
    target: Target, *, bot: str, port: int | None, redirect_uri: str | None, browser: bool | None, paste: bool
) -> None:
    """Get a bot's refresh token through your browser.

    The daemon keeps it and starts the bot anew. The app on reddit.com/prefs/apps must have the redirect uri
    http://127.0.0.1:65010/authorize_callback, or the one that --port or --redirect-uri says.
    """
    from hotshotd.cli.auth import REDIRECT_URI, Wishes, has_display, run

    if port is not None and redirect_uri is not None:
        raise click.UsageError("--port and --redirect-uri say the same thing: use one of them")
    uri = redirect_uri or (REDIRECT_URI.replace("65010", str(port)) if port else REDIRECT_URI)
    sys.exit(run(target, bot, Wishes(uri, opens_browser=has_display() if browser is None else browser, pastes=paste)))


@main.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete words and bots' names.

    \b
    bash: hotshotctl completion bash > ~/.local/share/bash-completion/completions/hotshotctl
    zsh:  hotshotctl completion zsh > _hotshotctl, in a folder of $fpath
    fish: hotshotctl completion fish > ~/.config/fish/completions/hotshotctl.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    from hotshotd.cli.completion import make_script

    click.echo(make_script(shell))


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


def _print_names(answer: Json, key: str, *, as_json: bool) -> None:
    click.echo(to_json(answer) if as_json else f"{key}: {', '.join(answer[key]) or 'no bot'}")


def _print_changes(answer: Json) -> None:
    for title in ("added", "changed", "removed", "unchanged"):
        if answer[title]:
            click.echo(f"{title}: {', '.join(answer[title])}")
    _print_faults(answer)
    _print_not_running(answer)


def _print_faults(answer: Json) -> None:
    for fault in answer["invalid"]:
        click.echo(to_safe(f"{fault['file']}:{fault['line']}: {fault['key']}: {fault['error']}"))


def _print_not_running(answer: Json) -> None:
    for entry in answer.get("not_running", []):
        click.echo(to_safe(f"{entry['name']}: {entry['state']}: {entry['reason']}"), err=True)

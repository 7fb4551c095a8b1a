"""`hotshotctl`: the operator's commands. Imports little, for it is typed often."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotshotd import __version__
from hotshotd.cli.table import format_quota, format_status
from hotshotd.clock import SystemClock
from hotshotd.control.client import CommandFailed, ControlClient, find_socket
from hotshotd.errors import ControlError, DaemonNotRunning, ExitCode
from hotshotd.wire import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Codes of error replies that have an exit code of their own; any other is 1.
_EXIT_CODES = {"unknown_bot": ExitCode.UNKNOWN_BOT}

#: Seconds between two looks of `status --watch`.
WATCH_SECONDS = 2.0

_CLOCK = SystemClock()
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Target:
    """Which daemon is meant."""

    config: Path | None
    socket: Path | None

    def find(self) -> ControlClient:
        return ControlClient(find_socket(runtime_dir=self._read_runtime_dir(), explicit=self.socket))

    def _read_runtime_dir(self) -> Path | None:
        if self.config is None or self.socket is not None:
            return None
        # Here, not above: reading the file needs pydantic and YAML, which most calls do without.
        import os

        from hotshotd.config.loader import load_main

        load = load_main(self.config, os.environ)
        if load.tree is None:
            raise click.ClickException("\n".join(str(fault) for fault in load.faults))
        return Path(load.tree.data["runtime_dir"])


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


@main.command()
@click.argument("bots", nargs=-1)
@_JSON
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.pass_obj
def status(target: Target, *, bots: tuple[str, ...], as_json: bool, watch: bool) -> None:
    """Show how the bots are."""
    client = target.find()
    while True:
        answer = _ask(client, {"op": "status", "bots": list(bots)})
        text = _to_json(answer) if as_json else "\n".join(format_status(answer, width=_find_width()))
        if watch and sys.stdout.isatty():
            click.clear()
        click.echo(text)
        if not watch:
            return
        try:
            _CLOCK.pause(WATCH_SECONDS)
        except KeyboardInterrupt:
            return


@main.command()
@click.argument("bot", required=False)
@_JSON
@click.pass_obj
def quota(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Show what was spent, the caps, and when they reset."""
    answer = _ask(target.find(), {"op": "quota", "bot": bot})
    click.echo(_to_json(answer) if as_json else "\n".join(format_quota(answer)))


@main.command()
@click.argument("bot", required=False)
@_JSON
@click.pass_obj
def reload(target: Target, *, bot: str | None, as_json: bool) -> None:
    """Read the files again; only bots whose file changed are restarted."""
    answer = _ask(target.find(), {"op": "reload", "bot": bot})
    if as_json:
        click.echo(_to_json({key: answer[key] for key in ("added", "changed", "removed", "unchanged", "invalid")}))
    else:
        _print_changes(answer)
    sys.exit(ExitCode.FAILED if answer["invalid"] else ExitCode.OK)


@main.command()
@click.argument("bot")
@click.pass_obj
def restart(target: Target, *, bot: str) -> None:
    """Read a bot's file again and start its worker anew."""
    answer = _ask(target.find(), {"op": "restart", "bot": bot})
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
    answer = _ask(target.find(), request)
    click.echo(f"paused: {', '.join(answer['paused']) or 'no bot'}")


@main.command()
@click.argument("bots", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every bot.")
@click.pass_obj
def resume(target: Target, *, bots: tuple[str, ...], everyone: bool) -> None:
    """Let paused bots go on."""
    answer = _ask(target.find(), {"op": "resume", "bots": _choose(bots, everyone=everyone)})
    click.echo(f"resumed: {', '.join(answer['resumed']) or 'no bot'}")


def _ask(client: ControlClient, request: Json) -> Json:
    """Send a command; every failure ends the program with its exit code and one message."""
    try:
        return client.request(request)
    except CommandFailed as exc:
        _fail(str(exc), _EXIT_CODES.get(exc.reply_code, ExitCode.FAILED))
    except DaemonNotRunning as exc:
        _fail(str(exc), ExitCode.NOT_RUNNING)
    except ControlError as exc:
        _fail(str(exc), ExitCode.FAILED)
    raise AssertionError("unreachable")


def _fail(message: str, code: ExitCode) -> None:
    click.echo(message, err=True)
    sys.exit(code)


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


def _to_json(answer: Json) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)

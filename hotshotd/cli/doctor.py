"""`hotshotctl doctor [BOT]`: tries everything live and prints a line a check. Works with the daemon down."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from hotshotd.cli.asking import Target, to_json
from hotshotd.cli.files import load_files
from hotshotd.clock import SystemClock
from hotshotd.config.loaded import Loaded
from hotshotd.config.loader import find_main_config
from hotshotd.config.schema import MainConfig
from hotshotd.control.client import ControlClient
from hotshotd.doctor.examine import Examination, KeepToken, World
from hotshotd.doctor.files import examine_files, list_names
from hotshotd.doctor.findings import EVERYBODY, Finding, Mark, count_marks, fail, format_findings, warn
from hotshotd.doctor.machine import check_status
from hotshotd.errors import ConfigError, ControlError, DaemonNotRunning, ExitCode
from hotshotd.memory import keep_private
from hotshotd.wire import Json
from hotshotd.worker.tokens import write_token

#: Seconds for the daemon's status.
_STATUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator wants to see."""

    only: str | None
    as_json: bool
    pictures: bool


def run(target: Target, wishes: Wishes) -> NoReturn:
    """Examine, print, and end the program: 0 where nothing fails, 1 otherwise."""
    keep_private()
    try:
        path = target.config or find_main_config(os.environ)
    except ConfigError as exc:
        _end([Finding(EVERYBODY, "file", fail(str(exc)))], wishes, {})
    loaded = load_files(path, check_secrets=False)
    found = examine_files(load_files(path, check_secrets=True), path, only=wishes.only)
    if wishes.only is not None and wishes.only not in list_names(loaded):
        found.append(Finding(wishes.only, "file", fail(f"no file in {path} or its bots_dir defines this bot")))
    if loaded.main is None:
        _end(found, wishes, {})
    client = target.find()
    status, of_daemon = _ask_daemon(client, wishes.only)
    examination = _examine(loaded, _follow_daemon(loaded.main, status), client, status, wishes)
    found += [*of_daemon, *examination.carry_out()]
    _end(found, wishes, _describe_spend(examination), is_over=examination.is_over)


def _follow_daemon(main: MainConfig, status: Json | None) -> MainConfig:
    """Take the folders that a running daemon uses: systemd may have told it others than a shell knows."""
    daemon = status["daemon"] if status else {}
    told = {key: Path(daemon[key]) for key in ("state_dir", "runtime_dir") if isinstance(daemon.get(key), str)}
    return main.model_copy(update=told)


def _examine(
    loaded: Loaded, main: MainConfig, client: ControlClient, status: Json | None, wishes: Wishes
) -> Examination:
    world = World(
        environ=os.environ,
        user=os.geteuid(),
        clock=SystemClock(),
        keep_token=_make_keeper(main, client, is_running=status is not None),
        status=status,
        only=wishes.only,
        pictures=wishes.pictures,
    )
    examination = Examination(loaded, main, world)
    examination.prepare()
    if examination.requests:
        # Before anything is spent.
        where = "in the daemon's ledger" if examination.is_counted else "and no ledger counts them"
        what = f"{examination.requests} services and Reddit; about {examination.chars} characters are charged"
        click.echo(f"asking {what}, {where}", err=True)
    return examination


def _ask_daemon(client: ControlClient, only: str | None) -> tuple[Json | None, list[Finding]]:
    """Give the daemon's status, None where there is none to be had, and what it tells."""
    try:
        status = client.request({"op": "status", "bots": []}, timeout_seconds=_STATUS_SECONDS)
        return status, list(check_status(status, only=only))
    except DaemonNotRunning as exc:
        verdict = warn(f"{exc}; all is tried from here", "start it: systemctl start hotshotd")
        return None, [Finding(EVERYBODY, "daemon", verdict)]
    except (ControlError, KeyError, TypeError) as exc:
        return None, [Finding(EVERYBODY, "daemon", warn(f"its status is not to be had: {exc}"))]


def _make_keeper(main: MainConfig, client: ControlClient, *, is_running: bool) -> KeepToken:
    """Give what stores a token that Reddit replaced while we signed in."""

    def hand_over(bot: str, token: str) -> None:
        # Its worker holds the old one, which is worth nothing any more: it has to start anew.
        client.request({"op": "token", "bot": bot, "token": token})

    def store(bot: str, token: str) -> None:
        write_token(main.state_dir, bot, token)

    return hand_over if is_running else store


def _describe_spend(examination: Examination) -> Json:
    return {
        "characters": examination.meter.chars,
        "requests": examination.meter.requests,
        "in_ledger": examination.is_counted,
    }


def _end(found: list[Finding], wishes: Wishes, spend: Json, *, is_over: bool = True) -> NoReturn:
    counts = count_marks(found)
    if wishes.as_json:
        click.echo(to_json({"findings": [finding.to_json() for finding in found], "counts": counts, "spend": spend}))
    else:
        click.echo("\n".join(format_findings(found)))
        if spend:
            where = "in the daemon's ledger" if spend["in_ledger"] else "in no ledger"
            click.echo(f"{spend['requests']} requests to services, {spend['characters']} characters charged, {where}")
    code = ExitCode.FAILED if counts[Mark.FAIL] else ExitCode.OK
    if is_over:
        sys.exit(code)
    # Threads that still wait for somebody would keep the program from ending.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

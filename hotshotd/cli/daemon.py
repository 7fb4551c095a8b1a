"""`hotshotd`: arguments and wiring, no decisions. Heavy imports happen where they are used."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotshotd import __version__, log
from hotshotd.cli.program import PATH, Program
from hotshotd.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from hotshotd._types import BotName
    from hotshotd.config.loaded import Loaded, LoadedBot
    from hotshotd.supervisor.supervisor import Load

_log = log.get_logger()


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hotshotd")
@click.option("--config", type=PATH, help="The main file, hotshotd.yaml.")
@click.option("--check", is_flag=True, help="Validate every file, print every problem, and end.")
@click.option("--no-secrets", is_flag=True, help="With --check: do not look secrets up.")
@click.pass_context
def main(context: click.Context, *, config: Path | None, check: bool, no_secrets: bool) -> None:
    """Run Reddit bots, each a character, from one machine.

    Without a command it runs in the foreground until SIGTERM or Ctrl-C. The main file is, without --config,
    $HOTSHOT_CONFIG, /etc/hotshot/hotshotd.yaml, or hotshotd.yaml in the XDG config directory.

    Exit codes: 0 ended by a signal, 1 fatal, 2 usage, 78 the main file is invalid or missing.
    """
    if context.invoked_subcommand is not None:
        if config or check or no_secrets:
            raise click.UsageError("--config, --check and --no-secrets go without a command")
        return
    if no_secrets and not check:
        raise click.UsageError("--no-secrets goes with --check")
    sys.exit(_check(config, check_secrets=not no_secrets) if check else _run_main(config))


@main.command("run")
@click.argument("botfiles", metavar="BOTFILE...", nargs=-1, required=True, type=PATH)
def run_command(botfiles: tuple[Path, ...]) -> None:
    """Run just these bot files, in the foreground, with state in the XDG folders. Needs no root."""
    sys.exit(_run_botfiles(botfiles))


@main.command("sandbox")
@click.option("--port", type=click.IntRange(0, 65535), help="The local Reddit's port; any free one without it.")
@click.option("--bots", type=click.IntRange(1, 100), default=3, show_default=True, help="How many example bots.")
@click.option("--duration", type=click.FloatRange(min=0.0), help="End by itself after these seconds.")
@click.option("--faults", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A fault plan (YAML).")
def sandbox_command(port: int | None, bots: int, duration: float | None, faults: Path | None) -> None:
    """Run the whole daemon with example bots on a local Reddit and local models: no account, no network."""
    from hotshotd.cli.sandbox import run

    sys.exit(run(port=port, bots=bots, duration=duration, faults=faults))


def _check(config: Path | None, *, check_secrets: bool) -> ExitCode:
    from hotshotd.config.loader import find_main_config, load_all

    try:
        loaded = load_all(config or find_main_config(os.environ), environ=os.environ, check_secrets=check_secrets)
    except ConfigError as exc:
        click.echo(str(exc), err=True)
        return ExitCode.CONFIG
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    for fault in loaded.faults:
        click.echo(str(fault))
    if loaded.faults:
        return ExitCode.CONFIG
    bots = len(loaded.bots)
    click.echo(f"all valid: {loaded.main_path} and {bots} bot{'' if bots == 1 else 's'}")
    return ExitCode.OK


def _run_main(config: Path | None) -> ExitCode:
    from hotshotd.config.loader import find_main_config, load_all

    try:
        path = config or find_main_config(os.environ)
    except ConfigError as exc:
        return _refuse(exc, ExitCode.CONFIG)

    def load(running: Mapping[BotName, LoadedBot]) -> Loaded:
        return load_all(path, environ=os.environ, running=running)

    return _start(load)


def _run_botfiles(botfiles: tuple[Path, ...]) -> ExitCode:
    from hotshotd.config.loader import load_for_run

    def load(running: Mapping[BotName, LoadedBot]) -> Loaded:
        return load_for_run(botfiles, os.environ, running=running)

    return _start(load, bottom_lines=True)


def _start(load: Load, *, bottom_lines: bool = False) -> ExitCode:
    # Until the loop hears signals, a wish to reload waits: its default is to end the process, and systemd takes that
    # for a clean end, after which nothing is started again.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    from hotshotd.cli.app import run_daemon

    loaded = load({})
    if loaded.main is None:
        log.configure()
        for fault in loaded.main_faults:
            _log.error("config.invalid", file=str(fault.file), line=fault.line, key=fault.key, error=fault.message)
        return ExitCode.CONFIG
    log.configure(level=loaded.main.log.level, format=loaded.main.log.format)
    try:
        return run_daemon(loaded, load, bottom_lines=bottom_lines)
    except ConfigError as exc:
        return _refuse(exc, ExitCode.FAILED)


def _refuse(exc: ConfigError, code: ExitCode) -> ExitCode:
    log.configure()
    _log.error("daemon.refused", error=str(exc))
    return code

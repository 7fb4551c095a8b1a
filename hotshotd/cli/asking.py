"""How a verb of `hotshotctl` asks the daemon: which socket is meant, and how each failure ends the program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from hotshotd.cli.terminal import UNSAFE, is_unicode, to_safe
from hotshotd.control.client import TIMEOUT_SECONDS, CommandFailed, ControlClient, find_socket
from hotshotd.errors import ControlError, DaemonNotRunning, ExitCode
from hotshotd.wire import Json

#: Codes of error replies that have an exit code of their own; any other is 1.
_EXIT_CODES = {"unknown_bot": ExitCode.UNKNOWN_BOT}

#: What to do about a daemon that is not there.
_MORE_ABOUT_IT = "`systemctl status hotshotd` says more, `--socket` or `--config` before the verb reach another daemon"

#: The option of every verb that can print JSON.
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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
        from hotshotd.config.loader import load_main

        load = load_main(self.config, os.environ)
        folder = load.tree.data.get("runtime_dir") if load.tree is not None else None
        if not isinstance(folder, str | Path):
            # Other faults are no matter: the daemon may well run on an older version of the file.
            raise click.ClickException("\n".join(str(fault) for fault in load.faults))
        return Path(folder)


def ask(
    client: ControlClient,
    request: Json,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_step: Callable[[Json], None] | None = None,
) -> Json:
    """Send a command and give its data; every failure ends the program with its exit code and one message."""
    with failures_end():
        return client.request(request, timeout_seconds=timeout_seconds, on_step=on_step)


@contextmanager
def failures_end() -> Iterator[None]:
    """Let what asking the daemon raises end the program, with its exit code and one message."""
    try:
        yield
    except CommandFailed as exc:
        fail(str(exc), _EXIT_CODES.get(exc.reply_code, ExitCode.FAILED))
    except DaemonNotRunning as exc:
        fail(f"{exc}; {_MORE_ABOUT_IT}", ExitCode.NOT_RUNNING)
    except ControlError as exc:
        fail(str(exc), ExitCode.FAILED)


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the program with a message on standard error."""
    click.echo(to_safe(message), err=True)
    sys.exit(code)


def to_json(answer: object, *, indent: int | None = 2) -> str:
    """Give an answer as text, for people and programs alike; `indent` None puts it on one line."""
    text = json.dumps(answer, indent=indent, ensure_ascii=not is_unicode(sys.stdout))
    # They can stand in texts only, and escaped they are the same JSON.
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

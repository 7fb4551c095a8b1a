"""What both programs do before a word of the command line is read: mend the streams that they were given."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from pathlib import Path
from typing import Any, Final, TextIO

import click

from hotshotd.errors import ExitCode

#: What people try who come from other programs → what they mean here.
_MEANT: Final = {
    "check": "files are checked by `hotshotd --check`",
    "disable": "a bot is quiet after `hotshotctl pause`",
    "enable": "a bot goes on after `hotshotctl resume`",
    "list": "did you mean status?",
    "ls": "did you mean status?",
    "reread": "did you mean reload?",
    "start": "the daemon starts by `systemctl start hotshotd`, a paused bot goes on after `hotshotctl resume`",
    "stop": "the daemon stops by `systemctl stop hotshotd`, a bot is quiet after `hotshotctl pause`",
    "tail": "did you mean logs?",
    "update": "did you mean reload?",
    "version": "did you mean --version?",
}
#: Why nothing can be written any more, and nobody but the operator can help.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


#: A file that is looked at later, by who can say what is wrong with it: click's own check would be a usage error.
PATH: Final = click.Path(path_type=Path, readable=False)


class Program(click.Group):
    """A group of commands that no stream can trip: closed, or of an encoding that lacks characters."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as click does, on streams that take everything."""
        sys.stdout, sys.stderr = _mend(sys.stdout, 1), _mend(sys.stderr, 2)
        return super().main(*args, **kwargs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command as click does; one that is not there is told with what may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            raise click.UsageError(f"no such command: {args[0]}; {self._propose(ctx, args[0])}", ctx=ctx) from exc

    def _propose(self, ctx: click.Context, word: str) -> str:
        close = difflib.get_close_matches(word, self.list_commands(ctx), n=1)
        if close:
            return f"did you mean {close[0]}?"
        return f"there are {', '.join(self.list_commands(ctx))}"


class OperatorProgram(Program):
    """`hotshotctl`: tells a full disk behind standard output in a sentence, and knows the habits of other programs."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and end with one message where the answer can't be written."""
        if os.environ.get("_HOTSHOTCTL_COMPLETE"):
            # Whatever happens, the prompt stands there.
            sys.stderr = _open_nowhere()
        try:
            return super().main(*args, **kwargs)
        except OSError as exc:
            if exc.errno not in _FULL or exc.filename is not None:
                raise
            click.echo(f"standard output can't be written: {exc.strerror}", err=True)
            sys.exit(ExitCode.FAILED)

    def _propose(self, ctx: click.Context, word: str) -> str:
        return _MEANT.get(word) or super()._propose(ctx, word)


def read_words(argument: str) -> str:
    """Give an argument as it was typed where the locale is not UTF-8 and the terminal is; no use for paths."""
    return os.fsencode(argument).decode("utf-8", "replace")


def _mend(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        # Closed by whoever started us (`>&-`): the next file that is opened must not get its number.
        return _open_nowhere(number)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream


def _open_nowhere(number: int | None = None) -> TextIO:
    # Never closed: it serves until the program ends.
    stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if number is not None and stream.fileno() != number:
        os.dup2(stream.fileno(), number)
    return stream

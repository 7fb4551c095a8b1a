"""`hotshotctl init` and `import`: new bot files, written beside the others and printed. Heavy imports inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotshotd.cli.asking import Target
from hotshotd.errors import ConfigError, ExitCode, ImportFailed

if TYPE_CHECKING:
    from hotshotd.config.loaded import MainLoad
    from hotshotd.importing.draft import Draft

_OUTPUT = click.option(
    "-o", "output", type=click.Path(path_type=Path), help="Write there, instead of into bots_dir. Never over a file."
)


@click.command("init")
@click.argument("name")
@_OUTPUT
@click.pass_obj
def init(target: Target, *, name: str, output: Path | None) -> None:
    """Write a new bot's file, with every key explained.

    It goes into the main file's bots_dir, as NAME.yaml, and to standard output. It has dry_run: true.
    """
    from hotshotd.importing.starter import draft_of_name

    try:
        main = _load_main(target.config, needed=output is None)
        _write([draft_of_name(name)], main, output, with_proposals=True)
    except ImportFailed as exc:
        _fail(exc)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_OUTPUT
@click.pass_obj
def import_(target: Target, *, file: Path, output: Path | None) -> None:
    """Turn another program's file into a bot's file.

    FILE is a HotShotBot YAML, an ssi-bot ini (one file comes of each section; -o then names a folder), or a Tavern
    character card, JSON or PNG. The result goes into the main file's bots_dir and to standard output. It has
    dry_run: true. What could not be taken over is listed on standard error, one key a line.
    """
    from hotshotd.importing.files import read_drafts

    try:
        main = _load_main(target.config, needed=output is None)
        _write(read_drafts(file, main=main), main, output)
    except ImportFailed as exc:
        _fail(exc)


def _load_main(config: Path | None, *, needed: bool) -> MainLoad:
    """Read the main file. Without one, and where none is needed, the defaults stand in."""
    from hotshotd.config.loader import find_main_config, load_main, make_bare_main

    try:
        path = config or find_main_config(os.environ)
    except ConfigError as exc:
        if needed:
            raise ImportFailed(f"{exc}; or say where the new file goes, with -o FILE") from exc
        return make_bare_main(os.environ)
    main = load_main(path, os.environ)
    if main.tree is None or (needed and main.config is None):
        raise ImportFailed("\n".join(map(str, main.faults)))
    return main


def _write(drafts: Sequence[Draft], main: MainLoad, output: Path | None, *, with_proposals: bool = False) -> None:
    from hotshotd.importing.files import settle, write_files

    targets = [_choose_target(draft, main, output, count=len(drafts)) for draft in drafts]
    texts = [
        settle(draft, name=name, main=main, with_proposals=with_proposals)
        for draft, (name, _) in zip(drafts, targets, strict=True)
    ]
    paths = [path for _, path in targets]
    write_files(list(zip(paths, texts, strict=True)))
    for draft, path, text in zip(drafts, paths, texts, strict=True):
        click.echo(f"{text}\n# written to {click.format_filename(path)}")
        for leftover in draft.leftovers:
            click.echo(str(leftover) if len(drafts) == 1 else f"{draft.name}: {leftover}", err=True)


def _choose_target(draft: Draft, main: MainLoad, output: Path | None, *, count: int) -> tuple[str, Path]:
    """Give the bot's name and its file."""
    from hotshotd.importing.draft import make_name

    if output is None:
        assert main.config is not None, "looked at when the main file was read"
        return draft.name, main.config.bots_dir / f"{draft.name}.yaml"
    if output.is_dir():
        return draft.name, output / f"{draft.name}.yaml"
    if count > 1:
        raise ImportFailed(f"{count} files come of it: name a folder that exists with -o")
    stem = output.name.removesuffix(".yaml").removesuffix(".yml")
    return (stem if make_name(stem) == stem.lower() else make_name(stem, otherwise=draft.name)), output


def _fail(exc: ImportFailed) -> None:
    click.echo(str(exc), err=True)
    sys.exit(ExitCode.FAILED)

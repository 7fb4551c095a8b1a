"""The manual pages, made of what `--help`, the exit codes and the models of both files say.

Only `scripts/make-man` and a test read this. Nothing in a page depends on the version of a library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from hotshotd import __version__
from hotshotd.cli import ctl, daemon
from hotshotd.cli.keys import list_keys, list_presets
from hotshotd.cli.roff import Page, bold, escape, italic

#: When the texts here were last changed; a day that changes by itself would make the pages differ by themselves.
CHANGED = "2026-11-24"

#: The kinds of values that have a name of their own on a command line.
_METAVARS = ((click.IntRange, "N"), (click.FloatRange, "SECONDS"), (click.Path, "PATH"))

_HELP = (bold("-h, --help"), ["Show a summary and exit; after a command, that command's."])
_ENVIRONMENT_BOTH = [
    ("XDG_RUNTIME_DIR", "Where the control socket is, in `hotshot/`, for a daemon that a user runs."),
    ("NO_COLOR", "Set and not empty: no colours, not even on a terminal."),
]


def make_pages() -> dict[str, str]:
    """Make all pages: file name → text."""
    return {name: make().format() for name, make in _PAGES.items()}


def write_pages(folder: Path) -> None:
    """Write all pages into a folder."""
    for name, text in make_pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _make_daemon_page() -> Page:
    page = Page(
        "hotshotd",
        8,
        version=__version__,
        changed=CHANGED,
        purpose="run Reddit bots, each a character, within a budget",
    )
    about, exits = _split_help(daemon.main)
    page.head("SYNOPSIS").add(_format_usage("hotshotd", daemon.main))
    for name, command in sorted(daemon.main.commands.items()):
        page.add(".br", _format_usage(f"hotshotd {name}", command))
    page.head("DESCRIPTION").prose(*about)
    page.add(".PP").prose(
        "One process supervises; each bot has a process of its own, and one process grants every character that leaves "
        "for a paid service before it is sent. `hotshotctl`(1) looks at all that and steers it; hotshotd.yaml(5) "
        "has the keys of the main file and of a bot's file."
    )
    page.head("OPTIONS").terms([*_list_options(daemon.main), _HELP])
    page.head("COMMANDS")
    _add_commands(page, "hotshotd", daemon.main)
    page.head("SIGNALS").terms(
        [
            (bold("SIGTERM, SIGINT"), ["Stop: what is under way has 8 seconds; nothing new begins."]),
            (bold("SIGHUP"), ["Read the files again, as `hotshotctl reload` does."]),
        ]
    )
    page.head("EXIT STATUS").terms(exits)
    page.head("ENVIRONMENT").terms(
        _list_words(
            [
                ("HOTSHOT_CONFIG", "The main file, where `--config` names none."),
                ("STATE_DIRECTORY, RUNTIME_DIRECTORY", "Set by systemd: the defaults of state_dir and runtime_dir."),
                (
                    "CREDENTIALS_DIRECTORY",
                    "Set by systemd: files with secrets, by the names that X_env keys give.",
                ),
                ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE", "Honoured in all that goes out."),
                *_ENVIRONMENT_BOTH,
            ]
        )
    )
    page.head("FILES").terms(
        _list_words(
            [
                ("/etc/hotshot/hotshotd.yaml", "The main file; a user's own: `~/.config/hotshot/hotshotd.yaml`."),
                ("/etc/hotshot/bots.d/*.yaml", "One file for each bot."),
                ("/var/lib/hotshot", "The ledger of characters, pauses, sign-in tokens, and the slots served."),
                ("/run/hotshot/control.sock", "Where hotshotctl asks; open to root and the group hotshot."),
            ]
        )
    )
    page.head("NOTES").prose(
        "Under systemd the unit is `hotshotd.service`. `systemctl reload hotshotd` fails when a file is invalid, and "
        "every bot runs on as it was. Exit status 78 keeps systemd from starting again what would only fail again."
    )
    return _end(page, ("hotshotctl", 1), ("hotshotd.yaml", 5), ("systemctl", 1), ("journalctl", 1))


def _make_ctl_page() -> Page:
    page = _begin("hotshotctl", 1, "look at a running hotshotd and steer it")
    about, exits = _split_help(ctl.main)
    page.head("SYNOPSIS")
    page.add(f"{bold('hotshotctl')} [{italic('OPTIONS')}] {italic('COMMAND')} [{italic('ARGUMENT')}]...")
    page.head("DESCRIPTION").prose(*about)
    page.head("OPTIONS").terms([*_list_options(ctl.main), _HELP])
    page.head("COMMANDS")
    _add_commands(page, "hotshotctl", ctl.main)
    page.head("EXIT STATUS").terms(exits)
    page.head("ENVIRONMENT").terms(
        _list_words(
            [
                ("HOTSHOT_SOCKET", "The control socket, where neither `--socket` nor `--config` says which."),
                ("HOTSHOT_CONFIG", "The main file, for the verbs that read files: doctor, init, import and auth."),
                ("COLUMNS, LINES", "The size of the terminal, where it is not what the terminal says."),
                *_ENVIRONMENT_BOTH,
            ]
        )
    )
    page.head("FILES").terms(
        _list_words(
            [
                ("/run/hotshot/control.sock", "The control socket of the system's daemon."),
                ("/etc/hotshot/hotshotd.yaml", "The main file."),
            ]
        )
    )
    page.head("EXAMPLES").prose("A bot is to be quiet over the night, and nothing else changes:")
    page.example("hotshotctl pause iama --for 8h --reason 'too many visitors'")
    page.add(".PP").prose("What it did in the last hour, and what it does from now on:")
    page.example("hotshotctl logs iama --since '1 hour ago'\nhotshotctl logs iama -f")
    page.add(".PP").prose("Names of all bots that are not well, for a script:")
    page.example(
        'hotshotctl status --json |\n    jq -r \'.bots[] | select(.state == "failed" or .state == "invalid") | .name\''
    )
    return _end(page, ("hotshotd", 8), ("hotshotd.yaml", 5), ("journalctl", 1))


def _make_config_page() -> Page:
    page = Page(
        "hotshotd.yaml",
        5,
        version=__version__,
        changed=CHANGED,
        purpose="the main file of hotshotd, and the file of a bot",
    )
    page.head("DESCRIPTION").prose(
        "hotshotd reads one main file and, in its `bots_dir`, one file for each bot. Both are YAML. "
        "`hotshotd --check` tells everything that is wrong with them, by file, line and key; `hotshotctl reload` takes "
        "a change over, and restarts only the bots whose files changed.",
        "A duration is a number with s, m, h or d, such as 30s or 1.5h. Unknown keys are errors. A key that is null or "
        "not there has its default. Relative paths count from the main file.",
        "A secret X is never written here: `X_env` names a variable of the environment, a systemd credential or a line "
        "of `secrets_file`, and `X_file` names a file that holds it.",
    )
    for title, name in (("MAIN FILE", "hotshotd.schema.json"), ("BOT FILE", "bot.schema.json")):
        page.head(title)
        for block, keys in list_keys(name):
            if block:
                page.subhead(block)
            page.terms((f"{bold(key.name)} ({escape(key.form)})", key.paragraphs) for key in keys)
        if name == "hotshotd.schema.json":
            page.subhead("Backends and services that exist without being written")
            page.terms((bold(title), [text]) for title, text in list_presets())
    page.head("FILES").terms(
        _list_words(
            [
                ("/etc/hotshot/hotshotd.yaml", "The main file of an installed package."),
                ("~/.config/hotshot/hotshotd.yaml", "A user's own, looked for where that one is not there."),
                ("/etc/hotshot/bots.d/*.yaml, *.yml", "The bots. `hotshotctl init NAME` writes one."),
            ]
        )
    )
    page.head("EXAMPLES").prose("A bot that answers those who speak to it:")
    page.example(_EXAMPLE)
    return _end(page, ("hotshotd", 8), ("hotshotctl", 1))


_EXAMPLE = """\
dry_run: true
reddit:
  username: my-duck
  password_env: DUCK_PASSWORD
  client_id_env: DUCK_ID
  client_secret_env: DUCK_SECRET
  operator: my_own_name
  subreddits: [SubSimGPT2Interactive]
backstory: You are a duck on a pond, and you know a lot about bread.
reply: {backend: groq, model: openai/gpt-oss-120b}
rank: {gate_model: null, rank_model: null}
safety: {moderators: [openai]}
"""

_PAGES: Mapping[str, Callable[[], Page]] = {
    "hotshotd.8": _make_daemon_page,
    "hotshotctl.1": _make_ctl_page,
    "hotshotd.yaml.5": _make_config_page,
}


# -- from click's commands --------------------------------------------------------------------------


def _split_help(command: click.Command) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Give the paragraphs of a program's help, and its exit codes as terms."""
    paragraphs = _split_paragraphs(command)
    codes = next(text for text in paragraphs if text.startswith("Exit codes: "))
    exits = [entry.strip().split(" ", 1) for entry in codes.removeprefix("Exit codes: ").rstrip(".").split(",")]
    about = [text for text in paragraphs if text is not codes]
    return about, [(bold(code), [f"{meaning[0].upper()}{meaning[1:]}."]) for code, meaning in exits]


def _split_paragraphs(command: click.Command) -> list[str]:
    return inspect.cleandoc(command.help or "").split("\n\n")


def _add_commands(page: Page, program: str, group: click.Group) -> None:
    for name, command in sorted(group.commands.items()):
        page.subhead(name)
        page.add(_format_usage(f"{program} {name}", command), ".PP")
        for place, text in enumerate(_split_paragraphs(command)):
            if text.startswith("\b"):
                # So click keeps lines as they are, too.
                page.example(text.removeprefix("\b").strip("\n"))
            else:
                page.add(*[".PP"][: bool(place)]).prose(text)
        page.terms(_list_options(command))


def _format_usage(words: str, command: click.Command) -> str:
    parts = [bold(words)]
    for param in command.params:
        if isinstance(param, click.Option):
            value = "" if param.is_flag else f" {italic(_get_metavar(param))}"
            parts.append(f"[{bold(_choose_name(param))}{value}]")
        else:
            shown = italic(_get_metavar(param))
            parts.append((shown if param.required else f"[{shown}]") + ("..." if param.nargs == -1 else ""))
    return " ".join(parts)


def _choose_name(option: click.Option) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])


def _list_options(command: click.Command) -> list[tuple[str, list[str]]]:
    entries = []
    for param in command.params:
        if not isinstance(param, click.Option):
            continue
        value = "" if param.is_flag else f" {italic(_get_metavar(param))}"
        names = ", ".join(bold(name) for name in (*param.opts, *param.secondary_opts))
        default = f" Default: {param.default}." if param.show_default else ""
        entries.append((f"{names}{value}", [f"{param.help or ''}{default}"]))
    return entries


def _get_metavar(param: click.Parameter) -> str:
    if param.metavar:
        return param.metavar.strip("[].")
    if isinstance(param.type, click.Choice):
        return "|".join(map(str, param.type.choices))
    if isinstance(param, click.Argument):
        return (param.name or "").upper()
    return next((word for kind, word in _METAVARS if isinstance(param.type, kind)), "TEXT")


# -- both -------------------------------------------------------------------------------------------


def _list_words(entries: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    return [(bold(word), [text]) for word, text in entries]


def _begin(name: str, section: int, purpose: str) -> Page:
    return Page(name, section, version=__version__, changed=CHANGED, purpose=purpose)


def _end(page: Page, *others: tuple[str, int]) -> Page:
    return page.head("SEE ALSO").add(", ".join(f"{bold(name)}({section})" for name, section in others))

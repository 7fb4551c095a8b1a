"""`hotshotctl try` and `hotshotctl post`: have a bot decide or post now, and show how it comes to it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from hotshotd.cli.asking import JSON_OPTION, Target, ask, to_json
from hotshotd.cli.completion import BOT
from hotshotd.cli.terminal import to_safe
from hotshotd.control.client import LONG_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from hotshotd.wire import Json

#: Steps of a post that say why it takes longer.
_DELAYS = ("waiting", "try again")


@click.command("try")
@click.argument("bot", type=BOT)
@click.argument("url")
@JSON_OPTION
@click.pass_obj
def try_(target: Target, *, bot: str, url: str, as_json: bool) -> None:
    """Show what BOT would do with one thing, step by step.

    URL is that of a post or comment; nothing is written there. What the bot asks of its services is charged as always.
    It goes on past a refusal by chance, by the gate or for a foreign subreddit, and says so. Exits 0 whatever the
    decision is.
    """
    steps: list[Json] = []
    answer = ask(
        target.find(),
        {"op": "try", "bot": bot, "url": url},
        timeout_seconds=LONG_TIMEOUT_SECONDS,
        on_step=steps.append if as_json else _print_step,
    )
    if as_json:
        click.echo(to_json({"steps": steps, **answer}))
        return
    click.echo(to_safe(_describe_decision(answer)))
    click.echo(f"cost: {answer['cost']:,} characters")


@click.command("post")
@click.argument("bot", type=BOT)
@click.option("--dry-run", is_flag=True, help="Do all but the posting.")
@JSON_OPTION
@click.pass_obj
def post(target: Target, *, bot: str, dry_run: bool, as_json: bool) -> None:
    """Have BOT post now; title and text go to standard output.

    Schedules of the form {every: 6h} count from this post.
    """
    answer = ask(
        target.find(),
        {"op": "post", "bot": bot, "dry_run": dry_run},
        timeout_seconds=LONG_TIMEOUT_SECONDS,
        on_step=_print_delay,
    )
    click.echo(to_json(answer) if as_json else to_safe(_describe_post(answer)))
    if not as_json:
        click.echo(_describe_place(answer), err=True)


def _print_step(step: Json) -> None:
    cost = step.get("cost")
    click.echo(to_safe(f"{step.get('name')}{f' ({cost:,} characters)' if cost else ''}"))
    click.echo(textwrap.indent(to_safe(str(step.get("text") or "")), "    "))


def _print_delay(step: Json) -> None:
    if step.get("name") in _DELAYS:
        click.echo(to_safe(f"{step['name']}: {step.get('text')}"), err=True)


def _describe_decision(answer: Json) -> str:
    detail = f" ({answer['detail']})" if answer["detail"] else ""
    # One line: a model's or a service's words may be several.
    return " ".join(f"would {'' if answer['would_reply'] else 'not '}reply: {answer['reason']}{detail}".split())


def _describe_post(answer: Json) -> str:
    parts = [answer["title"], answer["text"], f"[picture: {answer['picture']}]" if answer["picture"] else None]
    return "\n\n".join(part for part in parts if part)


def _describe_place(answer: Json) -> str:
    if answer["thing"] is None:
        return f"dry run: nothing was posted; it cost {answer['cost']:,} characters"
    where = f"{answer['permalink']} ({answer['thing']})" if answer["permalink"] else answer["thing"]
    return f"posted: {where}; it cost {answer['cost']:,} characters"

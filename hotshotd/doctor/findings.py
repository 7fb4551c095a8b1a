"""What a check found: one line, for people and as JSON, with no secret in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hotshotd.log import redact
from hotshotd.wire import Json

#: Stands in the place of a bot's name in what concerns the whole machine.
EVERYBODY = "-"

#: The longest detail or remedy that is shown, in characters.
_MAX_CHARS = 600


class Mark(StrEnum):
    """How a check came out."""

    OK = "ok"
    #: Works, or was not tried; somebody should know.
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one check came out, whoever it is for. `remedy` is what to do, "" where there is nothing to be done."""

    mark: Mark
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict on one bot, or on the whole machine."""

    bot: str
    what: str
    verdict: Verdict

    @property
    def mark(self) -> Mark:
        return self.verdict.mark

    def to_json(self) -> Json:
        """Give it for `--json`; `bot` is null where it concerns the whole machine."""
        return {
            "mark": str(self.mark),
            "bot": None if self.bot == EVERYBODY else self.bot,
            "what": _clean(self.what),
            "detail": _clean(self.verdict.detail),
            "remedy": _clean(self.verdict.remedy),
        }


def ok(detail: str) -> Verdict:
    """Make a good verdict."""
    return Verdict(Mark.OK, detail)


def warn(detail: str, remedy: str = "") -> Verdict:
    """Make one that somebody should know of."""
    return Verdict(Mark.WARN, detail, remedy)


def fail(detail: str, remedy: str = "") -> Verdict:
    """Make one that makes the doctor exit with 1."""
    return Verdict(Mark.FAIL, detail, remedy)


def format_findings(findings: Sequence[Finding]) -> list[str]:
    """Give a line each: `ok|warn|FAIL  bot  what: detail; what to do`."""
    longest = max((len(finding.bot) for finding in findings), default=0)
    return [_format(finding, longest) for finding in findings]


def count_marks(findings: Iterable[Finding]) -> dict[str, int]:
    """Give how many came out which way."""
    marks = [finding.mark for finding in findings]
    return {str(mark): marks.count(mark) for mark in Mark}


def _format(finding: Finding, longest: int) -> str:
    shown = finding.to_json()
    tail = f"; {shown['remedy']}" if shown["remedy"] else ""
    return f"{finding.mark:<4}  {finding.bot:<{longest}}  {shown['what']}: {shown['detail']}{tail}"


def _clean(text: str) -> str:
    """Make one line of a text that may quote a service, and take every secret out of it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in redact(text)).split())
    return line if len(line) <= _MAX_CHARS else line[: _MAX_CHARS - 1] + "…"

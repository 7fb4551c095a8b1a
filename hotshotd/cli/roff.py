"""Manual pages as roff with the man(7) macros; only what makes the pages reads this, no process of ours does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: Between them stands what is typed as it is, in help texts and here.
_CODE = re.compile(r"`([^`]+)`")
_ESCAPES = {"\\": "\\e", "-": "\\-", "^": "\\(ha", "~": "\\(ti", "'": "\\(aq", "`": "\\(ga", '"': "\\(dq"}


def escape(text: str) -> str:
    """Give a text as roff shows it letter for letter; a line of it can't be taken for a request."""
    shown = "".join(_ESCAPES.get(char, char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text)
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in shown.split("\n"))


def bold(text: str) -> str:
    """Give what is typed as it is."""
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    """Give what stands for something else."""
    return f"\\fI{escape(text)}\\fR"


def flow(text: str) -> str:
    """Give prose: one line, with `code` in bold."""
    parts = _CODE.split(" ".join(text.split()))
    shown = "".join(bold(part) if place % 2 else escape(part) for place, part in enumerate(parts))
    # A request would begin so; the text may.
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


class Page:
    """One page, put together line by line."""

    def __init__(self, name: str, section: int, *, version: str, changed: str, purpose: str) -> None:
        title = f'.TH {escape(name.upper())} {section} {changed} "hotshotd {escape(version)}" "hotshotd"'
        self._lines = ['.\\" Made by scripts/make-man: change what it reads, and run it again.', title]
        self.head("NAME").add(f"{escape(name)} \\- {flow(purpose)}")

    def head(self, title: str) -> Page:
        return self.add(f'.SH "{escape(title)}"')

    def subhead(self, title: str) -> Page:
        return self.add(f'.SS "{escape(title)}"')

    def prose(self, *paragraphs: str) -> Page:
        """Add paragraphs of plain text, the first right below what comes before."""
        for place, text in enumerate(paragraphs):
            if place:
                self.add(".PP")
            self.add(flow(text))
        return self

    def terms(self, entries: Iterable[tuple[str, Sequence[str]]]) -> Page:
        """Add terms, which are roff already, each with its paragraphs below it."""
        for term, paragraphs in entries:
            self.add(".TP", term, flow(paragraphs[0]) if paragraphs else "\\&")
            for text in paragraphs[1:]:
                self.add(".IP", flow(text))
        return self

    def example(self, text: str) -> Page:
        """Add lines that stay as they are."""
        return self.add(".PP", ".RS 4", ".nf", escape(text.strip("\n")), ".fi", ".RE")

    def add(self, *lines: str) -> Page:
        self._lines += lines
        return self

    def format(self) -> str:
        return "\n".join(self._lines) + "\n"

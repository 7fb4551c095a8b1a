"""Take secrets out of text before anybody sees it.

Two nets. The exact one knows the secrets that were registered, in every spelling in which libraries
print them. The coarse one knows the shapes of credentials (headers, query parameters, key prefixes)
and catches what nobody registered. `register_secret` and `redact` are the process's own; a
`Redactor` of one's own is for tests.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

#: What stands in a secret's place.
MASK = "***"

#: Shorter values are not registered: taking "me" out of a log leaves no log.
MIN_SECRET_CHARS = 4

#: A text that holds a shorter one does so by chance.
MIN_TELLTALE_CHARS = 8

#: A base64 fragment shorter than this is likelier to be a word than a secret.
_MIN_BASE64_CHARS = 6

_NAMES = (
    r"(?:api[-_]?key|x[-_]api[-_]key|ocp-apim-subscription-key|access[-_]?token|refresh[-_]?token|client[-_]?secret"
    r"|password|passwd|secret)"
)

#: Shapes of credentials. Group 1 is kept, the rest is masked.
_SHAPES = (
    # Authorization: Bearer x, {'Authorization': 'Basic x'}
    r"(authorization\\?[\"']?\s*[:=]\s*\\?[\"']?)(?:[a-z]+\s+)?[^\s\"',;\\]+",
    # A long word after the scheme; "basic authentication" is none.
    r"\b((?:bearer|basic)\s+)[a-z0-9._~+/=-]{16,}",
    # ?key=x&token=y; these short names mean a secret only inside an address.
    r"([?&;](?:key|token|code|sig|signature)=)[^&\s\"'<>#]+",
    # password=x in a form body or a message
    rf"(?<![a-z0-9])({_NAMES}=)[^&\s\"'<>]+",
    # "password": "x", ('password', 'x'), escaped quotes included
    rf"(\\?[\"']{_NAMES}\\?[\"']\s*[:,]\s*\\?[\"'])[^\"'\\]+",
    # x-api-key: x
    rf"(?<![a-z0-9\"'])({_NAMES}:\s+)[^\s\"',;]{{8,}}",
    # https://user:password@host
    r"(://)[^/\s:@\"']+:[^/\s@\"']+(?=@)",
    # Keys that wear their maker's prefix: Hugging Face, OpenAI and OpenRouter, Groq, Google.
    r"()\b(?:hf_[a-z0-9]{20,}|sk-[a-z0-9_-]{20,}|gsk_[a-z0-9]{20,}|AIza[a-z0-9_-]{30,})",
)
_SHAPE = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES), re.IGNORECASE)


def _mask_shape(match: re.Match[str]) -> str:
    return next((kept for kept in match.groups() if kept is not None), "") + MASK


def _spell_base64(secret: bytes) -> Iterator[str]:
    """Give the part of the base64 text that is the same whatever stands before and after the secret.

    A Basic header holds base64(id:secret), in which the secret may start at any of three places in a
    group of three bytes.
    """
    for before, lost in ((0, 0), (1, 2), (2, 3)):
        whole = (before + len(secret)) // 3 * 4
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            fragment = encode(b"\0" * before + secret).decode()[lost:whole]
            if len(fragment) >= _MIN_BASE64_CHARS:
                yield fragment


#: The letters beside a fragment hold the secret's first and last bits.
_BESIDE_BASE64 = "[A-Za-z0-9+/_=-]{0,4}"


def _spell(secret: str) -> Iterator[str]:
    yield secret
    for quoted in (
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
    ):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    for ensure_ascii in (True, False):
        once = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        yield once
        # JSON that a service quotes in its own JSON.
        yield json.dumps(once)[1:-1]
    yield repr(secret)[1:-1]


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    # Or a secret that begins with another one would show its tail.
    return tuple(sorted(set(texts), key=len, reverse=True))


class Redactor:
    """Knows secrets and masks them. Safe to use from several threads."""

    def __init__(self) -> None:
        # Re-entrant: an error in a destructor, which may strike in here, is logged by the same thread.
        self._lock = threading.RLock()
        self._secrets: frozenset[str] = frozenset()
        # Plain texts, not one pattern of all, and made when they are needed: each would cost an idle worker memory.
        self._spelled: tuple[tuple[str, ...], tuple[str, ...]] | None = ((), ())

    def register(self, secret: str) -> None:
        """Mask `secret` from now on, also URL-encoded, JSON-escaped, and in base64 within a Basic header.

        Space around it is no part of it. Values under `MIN_SECRET_CHARS` characters are left alone.
        """
        secret = secret.strip().encode(errors="replace").decode()
        if len(secret) < MIN_SECRET_CHARS:
            return
        with self._lock:
            self._secrets |= {secret}
            self._spelled = None

    def redact(self, text: str) -> str:
        """Give `text` with every secret masked."""
        spellings, fragments = self._spelled or self._spell_all()
        for spelling in spellings:
            text = text.replace(spelling, MASK)
        for fragment in fragments:
            if fragment in text:
                text = re.sub(f"{_BESIDE_BASE64}{re.escape(fragment)}{_BESIDE_BASE64}", MASK, text)
        return _SHAPE.sub(_mask_shape, text)

    def holds_secret(self, text: str) -> bool:
        """Tell whether a secret that was registered stands in a text, in any of its spellings.

        Short ones do not count: they may be words.
        """
        known = (part for parts in self._spelled or self._spell_all() for part in parts)
        return any(len(part) >= MIN_TELLTALE_CHARS and part in text for part in known)

    def _spell_all(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with self._lock:
            spellings = _longest_first(text for secret in self._secrets for text in _spell(secret))
            fragments = _longest_first(part for secret in self._secrets for part in _spell_base64(secret.encode()))
            self._spelled = spellings, fragments
            return self._spelled


_redactor = Redactor()

register_secret = _redactor.register
redact = _redactor.redact
holds_secret = _redactor.holds_secret


def excerpt(text: str, *, longest: int) -> str:
    """Give the beginning of a text that somebody else wrote, its secrets masked first: half a secret is not found."""
    return redact(text)[:longest] if text else ""


def redact_all(value: Any) -> Any:
    """Give a JSON value with the secrets in its sentences masked, for what leaves a process another way than the log.

    Single short words stay as they are: names, states and times, and whoever sends only these pays nothing.
    """
    if isinstance(value, str):
        return redact(value) if len(value) > _WORD_CHARS or not _WORD.fullmatch(value) else value
    if isinstance(value, dict):
        return {key: redact_all(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(inner) for inner in value]
    return value


#: What is a word: no blank, no assignment, no address.
_WORD = re.compile(r"[A-Za-z0-9_.:+-]*")
_WORD_CHARS = 40

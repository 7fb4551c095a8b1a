"""Secrets by reference: whether one is there (the supervisor asks), and what it is (a worker asks).

`X_env` is looked up in the environment, then among systemd's credentials, then in `secrets_file`; `X_file`
is read; a literal is itself. An empty value counts as missing. Only the `resolve` functions give a value. All
others look for names and sizes only, so that the supervisor holds no secret of a bot's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from hotshotd._types import Role
from hotshotd.config.faults import Fault
from hotshotd.config.files import OTHERS, Unreadable, glance, is_filled, read_small_file, require_regular
from hotshotd.config.loaded import LoadedBot
from hotshotd.config.schema import Api, BotConfig, MainConfig, RedditAccount, SafetySection, Section
from hotshotd.errors import SecretMissing

#: The most bytes of a secret, and of `secrets_file`.
MAX_SECRET_BYTES = 64 * 1024

#: A bot goes on without these roles when their secret is missing.
OPTIONAL_ROLES = (Role.RANK, Role.CAPTION, Role.PICTURE, Role.UPSCALE)

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_ENTRY = re.compile(rb"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*?)\s*\Z", re.DOTALL)
_NOTHING = re.compile(rb"\s*(?:#|\Z)")
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is kept. `path` is its key in the bot's (or main) file, without `_env` or `_file`."""

    path: tuple[str, ...]
    literal: SecretStr | None = None
    env: str | None = None
    file: Path | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """The key as it was written."""
        suffix = "_env" if self.env is not None else "_file" if self.file is not None else ""
        return (*self.path[:-1], self.path[-1] + suffix)


@dataclass(frozen=True, slots=True)
class Need:
    """The key of a server that a bot uses, for what, and the key of the file that says so."""

    ref: SecretRef
    role: Role
    used_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A server and what it is used for. `kind` is backends or services; `name` is None where none is chosen."""

    kind: str
    name: str | None
    role: Role = Role.TEXT
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A Reddit account's secrets. Either `refresh_token` or `password` is there; `client_secret` may be empty."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    password: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)


def secret_ref(section: Section, stem: str, *, path: tuple[str, ...]) -> SecretRef | None:
    """Give where a section keeps a secret, or None where it names none (`key_env: null`: no key)."""
    literal, env, file = (getattr(section, stem + suffix) for suffix in ("", "_env", "_file"))
    if literal is None and env is None and file is None:
        return None
    return SecretRef((*path, stem), literal, env, file)


def names_refresh_token(account: RedditAccount) -> bool:
    """Tell whether a bot's file says where its refresh token is: then the one of `hotshotctl auth` is not used."""
    return secret_ref(account, "refresh_token", path=("reddit",)) is not None


def webhook_ref(main: MainConfig) -> SecretRef | None:
    """Give where the address for alerts is kept."""
    return secret_ref(main.alerts, "webhook_url", path=("alerts",))


def server_ref(bot: BotConfig, kind: str, name: str) -> SecretRef | None:
    """Give where the key of a server is kept, or None where it needs none. `kind` is backends or services."""
    servers = bot.backends if kind == "backends" else bot.services
    server = servers.get(name)
    return secret_ref(server, "key", path=(kind, name)) if server else None


def list_needs(bot: BotConfig) -> tuple[Need, ...]:
    """Give the keys of servers that a bot uses. A key used for two roles is there twice."""
    uses = [use for use in _list_uses(bot) if use.name and not _serves_strangers(bot, use)]
    needs = [(server_ref(bot, use.kind, use.name or ""), use) for use in uses]
    return tuple(Need(ref, use.role, use.used_by) for ref, use in needs if ref is not None)


class Secrets:
    """All places where secrets may be. Make a new one at every reload: what it once saw it does not look at again.

    Every call reads small local files and does not wait.
    """

    def __init__(
        self, environ: Mapping[str, str], *, secrets_file: Path | None = None, state_dir: Path | None = None
    ) -> None:
        self._environ = environ
        self._secrets_file = secrets_file
        self._state_dir = state_dir
        directory = environ.get("CREDENTIALS_DIRECTORY")
        self._credentials = Path(directory) if directory else None

    def is_present(self, ref: SecretRef) -> bool:
        """Tell whether a secret is there and not empty, without keeping it."""
        if ref.literal is not None:
            return bool(ref.literal.get_secret_value())
        if ref.env is not None:
            return self._is_named(ref.env)
        return ref.file is not None and is_filled(ref.file)

    def resolve(self, ref: SecretRef) -> str:
        """Give the value of a secret. For workers.

        Raises:
            SecretMissing: If it is not there or empty; the message says where it was looked for.
        """
        value = self._read(ref)
        if not value:
            raise SecretMissing(f"{'.'.join(ref.key)}: {self._describe_missing(ref)}")
        return value

    def resolve_account(self, bot: BotConfig) -> Credentials:
        """Give what signs a bot in. For workers.

        Raises:
            SecretMissing: If something is missing.
        """
        values = {ref.path[-1]: self.resolve(ref) for ref in self._account_refs(bot)}
        if "refresh_token" not in values and "password" not in values:
            raise SecretMissing(f"reddit: {self._no_sign_in(bot)}")
        return Credentials(
            client_id=values.get("client_id", ""),
            client_secret=values.get("client_secret", ""),
            password=values.get("password"),
            refresh_token=values.get("refresh_token"),
        )

    def resolve_key(self, bot: BotConfig, kind: str, name: str) -> str | None:
        """Give the key of a server, None where none is configured. `kind` is backends or services. For workers.

        Raises:
            SecretMissing: If one is configured and not there.
        """
        ref = server_ref(bot, kind, name)
        if ref is None or (_serves_strangers(bot, Use(kind, name)) and not self.is_present(ref)):
            return None
        return self.resolve(ref)

    def check(self, bot: LoadedBot) -> tuple[Fault, ...]:
        """Give a fault for each secret that the bot can't do without and that is not there."""
        config = bot.config
        account = self._account_refs(config)
        faults = [_fault(bot, ref.key, self._describe_missing(ref)) for ref in account if not self.is_present(ref)]
        if not any(ref.path[-1] in ("password", "refresh_token") for ref in account):
            faults.append(_fault(bot, ("reddit", "password_env"), self._no_sign_in(config)))
        needed = {need.ref: need for need in reversed(list_needs(config)) if need.role not in OPTIONAL_ROLES}
        faults += [
            self._fault_of_need(bot, need) for need in reversed(needed.values()) if not self.is_present(need.ref)
        ]
        return tuple(faults)

    def missing_optional_roles(self, bot: BotConfig) -> tuple[Role, ...]:
        """Give the roles that are off because their secret is not there."""
        missing = {need.role for need in list_needs(bot) if not self.is_present(need.ref)}
        return tuple(role for role in OPTIONAL_ROLES if role in missing)

    def warn(self, bot: LoadedBot) -> tuple[Fault, ...]:
        """Give warnings: roles that are off, and files with secrets that others can read."""
        needs = list_needs(bot.config)
        found = [
            self._fault_of_need(bot, need, f"; the bot goes on without this role ({need.role})")
            for need in needs
            if need.role in OPTIONAL_ROLES and not self.is_present(need.ref)
        ]
        refs = dict.fromkeys([*self._account_refs(bot.config), *(need.ref for need in needs)])
        found += [
            _fault(bot, ref.key, f"others can read {ref.file}: run chmod 600 on it")
            for ref in refs
            if ref.file is not None and _is_readable_by_others(ref.file)
        ]
        return tuple(found)

    def warn_of_file(self) -> tuple[Fault, ...]:
        """Give warnings about `secrets_file` itself."""
        path = self._secrets_file
        if path is None:
            return ()
        try:
            with glance(path, limit_bytes=MAX_SECRET_BYTES) as seen:
                bad, mode = [line.number for line in _find_lines(seen.data) if line.name is None], seen.mode
        except Unreadable as exc:
            return (Fault(path, 1, "secrets_file", str(exc)),)
        found = [Fault(path, number, "secrets_file", "is no KEY=value line; it is left out") for number in bad]
        if mode & OTHERS:
            found.append(Fault(path, 1, "secrets_file", "others can read this file: run chmod 600 on it"))
        return tuple(found)

    def warn_of_webhook(self, ref: SecretRef) -> str | None:
        """Say what is wrong with the secret address for alerts; None where nothing is."""
        if not self.is_present(ref):
            return f"{self._describe_missing(ref)}; until then no alert is sent"
        if ref.file is not None and _is_readable_by_others(ref.file):
            return f"others can read {ref.file}: run chmod 600 on it"
        return None

    # --- where things are --------------------------------------------------------------------

    def _account_refs(self, bot: BotConfig) -> tuple[SecretRef, ...]:
        names = ("client_id", "client_secret", "refresh_token", "password")
        refs = {name: secret_ref(bot.reddit, name, path=("reddit",)) for name in names}
        if refs["refresh_token"] is None and self._state_dir and is_filled(f"{self._state_dir}/tokens/{bot.name}"):
            refs["refresh_token"] = SecretRef(("reddit", "refresh_token"), file=self.token_file(bot))
        if refs["refresh_token"] is not None:
            refs["password"] = None
        return tuple(ref for ref in refs.values() if ref is not None)

    def token_file(self, bot: BotConfig) -> Path | None:
        """Give where `hotshotctl auth` keeps a bot's token, whether or not there is one."""
        return self._state_dir / "tokens" / bot.name if self._state_dir else None

    def _is_named(self, name: str) -> bool:
        if self._environ.get(name):
            return True
        if self._credentials is not None and is_filled(self._credentials / name):
            return True
        return name in self._names_in_file

    @cached_property
    def _names_in_file(self) -> frozenset[str]:
        if self._secrets_file is None:
            return frozenset()
        try:
            with glance(self._secrets_file, limit_bytes=MAX_SECRET_BYTES) as seen:
                return frozenset(line.name for line in _find_lines(seen.data) if line.name and line.is_filled)
        except Unreadable:
            return frozenset()

    def _read_line(self, name: str) -> str:
        """Give the value of one line; the others are another bot's and leave no trace in this process."""
        if self._secrets_file is None:
            return ""
        value = ""
        try:
            with glance(self._secrets_file, limit_bytes=MAX_SECRET_BYTES) as seen:
                for line in _find_lines(seen.data):
                    # The last line wins, as in a shell.
                    if line.name == name and line.is_filled:
                        value = seen.data[line.start : line.end].decode("utf-8", "replace")
        except Unreadable:
            return ""
        return value

    def _read(self, ref: SecretRef) -> str:
        if ref.literal is not None:
            return ref.literal.get_secret_value()
        if ref.env is not None:
            return self._read_named(ref.env)
        return _read_file(ref.file) if ref.file is not None else ""

    def _read_named(self, name: str) -> str:
        value = self._environ.get(name) or (_read_file(self._credentials / name) if self._credentials else "")
        return value or self._read_line(name)

    def _fault_of_need(self, bot: LoadedBot, need: Need, effect: str = "") -> Fault:
        message = self._describe_missing(need.ref) + effect
        if need.ref.key in bot.places:
            return _fault(bot, need.ref.key, message)
        # The key of a preset stands in no file: what asks for it does.
        return _fault(bot, need.used_by, f"the key of {need.ref.path[-2]}: {message}")

    def _describe_missing(self, ref: SecretRef) -> str:
        if ref.literal is not None:
            return "is empty"
        if ref.env is None:
            return _describe_missing_file(ref.file)
        places = ["the environment"]
        places += ["systemd's credentials"] if self._credentials else []
        places += [str(self._secrets_file)] if self._secrets_file else []
        return f"{ref.env} is not set (looked in {_join(places)}): set it there, or in secrets_file"

    def _no_sign_in(self, bot: BotConfig) -> str:
        return (
            "is required: write the name of the variable that holds the account's password, "
            f"or run `hotshotctl auth {bot.name}` to get a token instead"
        )


def _list_uses(bot: BotConfig) -> Iterator[Use]:
    for job_name, job in (("post", bot.post), ("reply", bot.reply)):
        # A post without a model of its own is written by the reply model.
        if job is not None and job.model:
            yield Use("backends", job.backend, Role.TEXT, (job_name, "backend"))
        for fallback in job.fallbacks if job is not None else ():
            yield Use("backends", fallback.backend, Role.TEXT, (job_name, "fallbacks"))
    for moderator in bot.safety.moderators:
        kind, name = _moderator_server(bot.safety, moderator)
        yield Use(kind, name, Role.MODERATION, ("safety", "moderators"))
    if bot.reply is not None and (bot.reply.topics or bot.reply.avoid_topics):
        yield Use("backends", bot.reply.topic_backend, Role.TOPIC, ("reply", "topic_backend"))
    if bot.reply is not None and (bot.rank.gate_model or bot.rank.rank_model):
        yield Use("backends", bot.rank.backend, Role.RANK, ("rank", "backend"))
    yield from _list_picture_uses(bot)


def _list_picture_uses(bot: BotConfig) -> Iterator[Use]:
    images = bot.images
    if images.caption == "azure":
        yield Use("services", "azure", Role.CAPTION, ("images", "caption"))
    if images.caption == "chat":
        yield Use("backends", images.caption_backend, Role.CAPTION, ("images", "caption_backend"))
    if images.upscale == "deepai":
        yield Use("services", "deepai", Role.UPSCALE, ("images", "upscale"))
    if bot.post is not None and bot.post.link_share > 0:
        yield Use("backends", images.generate_backend, Role.PICTURE, ("images", "generate_backend"))


def _moderator_server(safety: SafetySection, moderator: str) -> tuple[str, str | None]:
    """Give the kind and name of a moderator's server; the name is None where it has none (`local`)."""
    own = {"hf": safety.hf_backend, "chat": safety.chat_backend, "local": None}
    return ("services", moderator) if moderator == "perspective" else ("backends", own.get(moderator, moderator))


def _serves_strangers(bot: BotConfig, use: Use) -> bool:
    """Tell whether a server takes requests without a key, as AI Horde does."""
    backend = bot.backends.get(use.name or "") if use.kind == "backends" else None
    return backend is not None and backend.api is Api.HORDE


def _fault(bot: LoadedBot, key: tuple[str, ...], message: str) -> Fault:
    place = bot.place(*key)
    return Fault(place.file, place.line, ".".join(((place.inside,) if place.inside else ()) + key), message)


def _describe_missing_file(path: Path | None) -> str:
    try:
        if path is None or require_regular(path).st_size == 0 or os.access(path, os.R_OK):
            return f"{path} is empty, or larger than {MAX_SECRET_BYTES // 1024} KiB: write the secret into it"
        return f"{path} may not be read by this user: change its owner or mode (chown, chmod 600)"
    except FileNotFoundError:
        return f"{path} does not exist: write the secret into it"
    except Unreadable as exc:
        return f"{path} {exc}: write another path"
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        return f"{path} can't be looked at by this user ({why}): change the owner or mode of its folder"


def _read_file(path: Path) -> str:
    try:
        data = read_small_file(path, limit_bytes=MAX_SECRET_BYTES).data
    except Unreadable:
        return ""
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _is_readable_by_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & OTHERS)
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that says something: its number, its name (None where it is no `KEY=value`), and where its value is."""

    number: int
    name: str | None
    start: int = 0
    end: int = 0

    @property
    def is_filled(self) -> bool:
        return self.start < self.end


def _find_lines(data: bytearray) -> Iterator[_Line]:
    """Give the lines without blank ones and comments. Copies nothing out of `data` but names."""
    begin = len(_MARK) if data.startswith(_MARK) else 0
    for number, line in enumerate(_LINE.finditer(data, begin), 1):
        start, end = line.span()
        if _NOTHING.match(data, start, end):
            continue
        entry = _ENTRY.match(data, start, end)
        yield _Line(number, entry[1].decode(), *_unquote(data, *entry.span(2))) if entry else _Line(number, None)


def _unquote(data: bytearray, start: int, end: int) -> tuple[int, int]:
    is_quoted = end - start >= 2 and data[start] == data[end - 1] and data[start] in b"'\""
    return (start + 1, end - 1) if is_quoted else (start, end)


def _join(places: Iterable[str]) -> str:
    *first, last = places
    return f"{', '.join(first)} and {last}" if first else last

"""A child process that carries alerts to the web hook and ends: the supervisor itself never waits for the network.

The hook's address is a secret. It is looked up here, after the fork, and ends with this process; whatever is said about
a failure names its host at most.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import requests

from hotshotd import __version__, log
from hotshotd.config.schema import MainConfig
from hotshotd.config.secrets import Secrets, webhook_ref
from hotshotd.config.watching import NO_HOOK, is_web_hook
from hotshotd.errors import HotshotError, SecretMissing
from hotshotd.inference.hosts import find_proxies
from hotshotd.inference.tls import find_bundle
from hotshotd.wire import Json, encode

#: Seconds for connecting, and for the answer.
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
#: Answers that pass by themselves; every other one but 2xx is for good.
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
#: The longest pause that a hook can ask for, in seconds.
_MAX_RETRY_AFTER_SECONDS = 600.0
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)

_SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
_DISCORD_DOMAINS = ("discord.com", "discordapp.com")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that an operator must see. `bot` is None where it concerns the daemon; `message` is one plain line."""

    cause: str
    bot: str | None
    message: str
    at: datetime


class NotDelivered(HotshotError):
    """The hook did not take an alert. With `final` it never will as things are."""

    code = "not_delivered"

    def __init__(self, message: str, *, final: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.final = final
        self.retry_after = retry_after


def carry(
    channel: socket.socket, alerts: Sequence[Alert], main: MainConfig, *, environ: Mapping[str, str], daemon: str
) -> int:
    """Deliver alerts one after the other; stop at the first that is not taken. Blocks as long as that takes.

    Says `{"event": "delivered"}` for each, and `{"event": "held", "error", "final", "retry_after"}` for the one that
    was not taken. Gives the exit code, 0.
    """
    try:
        url = _find_address(main, environ)
        with _open_session(url) as session:
            for alert in alerts:
                _deliver(session, url, make_body(alert, choose_format(main.alerts.format, url), daemon=daemon))
                channel.sendall(encode({"event": "delivered"}))
    except NotDelivered as exc:
        held = {"event": "held", "error": str(exc), "final": exc.final, "retry_after": exc.retry_after}
        channel.sendall(encode(held))
    return 0


def check_address(url: str) -> None:
    """See that alerts can be sent to an address.

    Raises:
        NotDelivered: If it is no address, or would be told to everybody on the way. The address is not in the message.
    """
    if not is_web_hook(url):
        raise NotDelivered(f"alerts.webhook_url {NO_HOOK}", final=True)


def choose_format(wanted: str, url: str) -> str:
    """Give `slack`, `discord` or `json`: what was asked for, or by host what that service takes."""
    if wanted != "auto":
        return wanted
    host = (urlsplit(url).hostname or "").casefold()
    if host in _SLACK_HOSTS:
        return "slack"
    is_discord = any(host == domain or host.endswith(f".{domain}") for domain in _DISCORD_DOMAINS)
    return "discord" if is_discord else "json"


def make_body(alert: Alert, form: str, *, daemon: str) -> Json:
    """Write an alert as a service wants it. A line in a chat can call nobody."""
    return _BODIES[form](alert, daemon)


def _make_slack(alert: Alert, daemon: str) -> Json:
    # Slack's own escapes; without them `<!channel>` rings everybody.
    text = _make_line(alert, daemon).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text}


def _make_discord(alert: Alert, daemon: str) -> Json:
    return {"content": _make_line(alert, daemon), "allowed_mentions": {"parse": []}}


def _make_json(alert: Alert, daemon: str) -> Json:
    return {
        "cause": alert.cause,
        "bot": alert.bot,
        "message": alert.message,
        "daemon": daemon,
        "at": alert.at.isoformat(timespec="seconds"),
    }


def _make_line(alert: Alert, daemon: str) -> str:
    return f"hotshotd on {daemon}: {alert.message}"


_BODIES: dict[str, Callable[[Alert, str], Json]] = {
    "slack": _make_slack,
    "discord": _make_discord,
    "json": _make_json,
}


def _find_address(main: MainConfig, environ: Mapping[str, str]) -> str:
    ref = webhook_ref(main)
    if ref is None:
        raise NotDelivered("alerts.webhook_url_env is not set any more", final=True)
    try:
        url = Secrets(environ, secrets_file=main.secrets_file, state_dir=main.state_dir).resolve(ref).strip()
    except SecretMissing as exc:
        raise NotDelivered(str(exc), final=True) from exc
    # Before anything can fail: a traceback of a library would name it.
    log.register_secret(url)
    check_address(url)
    log.register_secret(urlsplit(url).path)
    return url


def _open_session(url: str) -> requests.Session:
    session = requests.Session()
    # Not requests' own look at the environment: it reads .netrc as well.
    session.trust_env = False
    session.proxies.update(find_proxies(url))
    session.verify = find_bundle()
    session.headers["User-Agent"] = f"hotshotd/{__version__}"
    return session


def _deliver(session: requests.Session, url: str, body: Json) -> None:
    host = urlsplit(url).hostname
    try:
        # Streamed, and never read: what a hook answers is of no use, and may be endless.
        with session.post(
            url, json=body, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, stream=True
        ) as answer:
            status, wish = answer.status_code, answer.headers.get("retry-after", "")
    except requests.RequestException as exc:
        raise NotDelivered(f"{host}: {_describe(exc)}", final=False) from None
    if 200 <= status < 300:
        return
    raise NotDelivered(f"{host} answered with {status}", final=status not in _PASSING, retry_after=_read_seconds(wish))


#: From the library's error to our words; its own text may hold the address.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.SSLError, "its certificate can't be verified"),
    (requests.exceptions.ProxyError, "the proxy can't be reached, or refuses"),
    (requests.exceptions.Timeout, "no answer in time"),
    (requests.exceptions.ConnectionError, "can't be reached"),
)


def _describe(exc: Exception) -> str:
    return next((words for kind, words in _REASONS if isinstance(exc, kind)), f"failed ({type(exc).__name__})")


def _read_seconds(text: str) -> float | None:
    # Seconds; the other form of the header, a date, is too rare among web hooks.
    return min(float(text), _MAX_RETRY_AFTER_SECONDS) if _SECONDS.fullmatch(text) else None

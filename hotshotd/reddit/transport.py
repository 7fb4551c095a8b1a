"""HTTP for Reddit: one requests session with our rules on proxies, certificates and sizes.

Proxies and REQUESTS_CA_BUNDLE of the environment are honoured, .netrc is not, and a loopback
address never goes through a proxy. Unless a CA bundle is configured, one TLS context serves the
whole process: requests would otherwise parse the CA file again for each connection.
"""

from __future__ import annotations

import functools
import io
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import MaxRetryError, NewConnectionError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util.ssl_ import create_urllib3_context

from hotshotd.reddit.account import is_loopback

#: Bytes read at once from a socket.
_CHUNK_BYTES = 64 * 1024


class AnswerTooLarge(Exception):
    """An answer is longer than allowed; the rest of it was not read."""


class AnswerTooSlow(Exception):
    """An answer dripped in for longer than allowed; the rest of it was not read."""


@functools.cache
def shared_tls_context() -> ssl.SSLContext:
    """Give the process's one TLS context, with the public certificate authorities; some 30 ms the first time."""
    context = create_urllib3_context()
    context.load_verify_locations(certifi.where())
    return context


class SharedTlsAdapter(HTTPAdapter):
    """Connections that take the shared TLS context unless an own CA bundle is configured."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Name the pool that a request's connection comes from; requests calls this."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is True and host["scheme"] == "https":
            tls["ssl_context"] = shared_tls_context()
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Set a connection up to verify its peer; requests calls this."""
        if verify is not True or cert:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        else:
            # Without ca_certs here urllib3 leaves the shared context as it is; it still verifies.
            conn.cert_reqs = "CERT_REQUIRED"

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Give an answer without its cookies; requests calls this."""
        original, resp._original_response = resp._original_response, None  # noqa: SLF001
        try:
            return super().build_response(req, resp)
        finally:
            resp._original_response = original  # noqa: SLF001


class _NoNetrc(AuthBase):
    """An authentication that adds nothing: where one is set, requests does not read .netrc."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


class RedditSession(requests.Session):
    """A requests session of one process; not for use by two threads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _NoNetrc()
        for scheme in ("https://", "http://"):
            self.mount(scheme, SharedTlsAdapter(pool_connections=4, pool_maxsize=1))

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Give proxies and certificates for an address; requests calls this."""
        settings: Any = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if is_loopback(str(url)):
            settings["proxies"] = {}
        return settings

    def send_once(
        self,
        method: str,
        url: str,
        *,
        timeout: tuple[float, float],
        params: Any = None,
        data: Any = None,
        files: Any = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
    ) -> requests.Response:
        """Send a request and give its answer, the body still to be read: no redirect, no cookie, no .netrc.

        As `request` would, without the merging of settings that we do not have: it runs at each request of each bot,
        and what it touches costs a worker half a megabyte.

        Raises:
            requests.RequestException: What the adapter raises.
        """
        request = requests.PreparedRequest()
        request.prepare_method(method)
        request.prepare_url(url, params)
        request.prepare_headers({**self.headers, **(headers or {})})
        request.prepare_body(data, files, json)
        if auth is not None:
            request.prepare_auth(auth, url)
        settings = self.merge_environment_settings(request.url, {}, True, None, None)
        return self.get_adapter(request.url or url).send(request, timeout=timeout, **settings)


def read_body(response: requests.Response, *, max_bytes: int, is_late: Callable[[], bool]) -> None:
    """Read a streamed answer into memory, so that `response.content` and `.json()` need no socket any more.

    Raises:
        AnswerTooLarge: Past `max_bytes`, counted after decompression.
        AnswerTooSlow: As soon as `is_late` says so.
        Exception: What urllib3 raises when the connection breaks or ends early.
    """
    body = bytearray()
    try:
        # read1 and not stream: that one waits until a chunk is full, however slowly its bytes come.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > max_bytes:
                raise AnswerTooLarge(f"the answer is longer than {max_bytes} bytes")
            if is_late():
                raise AnswerTooSlow("the answer takes too long")
    except BaseException:
        response.close()
        raise
    response.raw.release_conn()
    response.raw = io.BytesIO(body)


#: Failures before the first byte of a request went out.
_NEVER_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
)


def was_never_sent(error: BaseException) -> bool:
    """Tell whether a request failed before anything of it can have reached the server.

    False means that nobody can tell.
    """
    if isinstance(error, _NEVER_SENT):
        return True
    reason = _inner_reason(error)
    if isinstance(reason, NewConnectionError):
        return True
    return isinstance(reason, Urllib3SSLError) and _is_certificate_fault(reason)


def _inner_reason(error: BaseException) -> object:
    inner = error.args[0] if error.args else None
    return inner.reason if isinstance(inner, MaxRetryError) else inner


def _is_certificate_fault(error: BaseException) -> bool:
    chain = [error, *error.args, error.__cause__, error.__context__]
    return any(isinstance(link, ssl.SSLCertVerificationError) for link in chain)


def describe_failure(error: BaseException) -> str:
    """Name a network failure in a few words, without address or credentials."""
    reason = _inner_reason(error)
    if isinstance(reason, Urllib3SSLError) and _is_certificate_fault(reason):
        return "its certificate is not trusted (set REQUESTS_CA_BUNDLE for an own authority)"
    for cls, words in _FAILURES:
        if isinstance(error, cls) or isinstance(reason, cls):
            return words
    return f"{type(error).__name__} on the network"


_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy can't be used (HTTP_PROXY, HTTPS_PROXY)"),
    (requests.ConnectTimeout, "no connection in time"),
    (requests.ReadTimeout, "no answer in time"),
    (AnswerTooSlow, "the answer takes too long"),
    (AnswerTooLarge, "the answer is larger than any of Reddit's"),
    (NewConnectionError, "no connection (is the network up?)"),
    (requests.exceptions.SSLError, "the TLS connection failed"),
    (requests.ConnectionError, "the connection broke"),
)

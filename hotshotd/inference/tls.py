"""The one TLS context of a process.

Reading the bundle of certificate authorities costs 20 ms and a megabyte, so it is read once, before
the supervisor forks, and shared. It is never changed after that.
"""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path

import certifi
from urllib3.util.ssl_ import create_urllib3_context

#: Variables that name another bundle, in the order in which requests looks at them.
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def find_bundle() -> str:
    """Give the path of the certificate authorities: what the environment says, else those that requests brings."""
    named = (os.environ.get(variable) for variable in BUNDLE_VARIABLES)
    return next((path for path in named if path), certifi.where())


@functools.lru_cache(maxsize=4)
def load_context(bundle: str) -> ssl.SSLContext:
    """Make a context that trusts the authorities of `bundle`, a file or a directory; once per path.

    Raises:
        OSError: If the bundle can't be read, or holds no certificates.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    if Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def get_context() -> ssl.SSLContext:
    """Give the shared context. Any thread may call; blocks only the first time."""
    return load_context(find_bundle())


def warm_up() -> None:
    """Read the certificate authorities now: for the supervisor, before it forks."""
    get_context()

"""What holds for every test: a clean environment, no network, and no silent skips where nobody looks."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

#: Variables of the tester's own machine that would change what the tests see.
_FOREIGN = (
    "HOTSHOT_CONFIG HOTSHOT_SOCKET NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID JOURNAL_STREAM STATE_DIRECTORY"
    " RUNTIME_DIRECTORY CREDENTIALS_DIRECTORY HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy"
    " all_proxy no_proxy REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NO_COLOR FORCE_COLOR COLUMNS"
)
for _name in _FOREIGN.split():
    os.environ.pop(_name, None)

# What a shell starts in the background ignores SIGINT, and hands that on to the programs that tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_outside(address: Any) -> bool:
    try:
        return not ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] != "localhost"


def _forbid_network(event: str, args: tuple[Any, ...]) -> None:
    # An audit hook also holds in forked children and in libraries' threads. A UNIX socket's address is no tuple.
    if event == "socket.connect" and isinstance(args[1], tuple) and _is_outside(args[1]):
        raise RuntimeError(f"a test tried to reach {args[1]}: tests speak to 127.0.0.1 only")


sys.addaudithook(_forbid_network)


def _make_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Under CI=true a skipped test is a failure: nobody reads why it was skipped."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure where CI=true: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _make_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _make_failure(report)
    return report

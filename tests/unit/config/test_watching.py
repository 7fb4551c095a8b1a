"""What `--check` says of alerts and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hotshotd.config import watching


def _told(folder: Any, text: str) -> list[str]:
    main = folder.write_main(text)
    main.chmod(0o600)
    return [str(fault).replace(f"{folder.root}/", "") for fault in folder.load().main_faults]


@pytest.mark.parametrize("key", ["port: 9000", "textfile: /tmp/x.prom"])
def test_metrics__without_the_package_are_a_fault(folder: Any, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """At `--check`, with the command that mends it, and not only when a figure is asked for."""
    monkeypatch.setattr(watching, "is_installed", lambda package: package != "prometheus_client")
    (told,) = _told(folder, f"timezone: UTC\nmetrics: {{{key}}}\n")
    assert told.startswith(f"hotshotd.yaml:2: metrics.{key.partition(':')[0]}: ")
    assert "pip install 'hotshotd[metrics]'" in told
    assert _told(folder, "metrics: {port: null}\n") == []


def test_metrics__with_the_package_are_fine(folder: Any) -> None:
    """Nothing is said to be without effect; a relative file counts from the main file."""
    assert _told(folder, "metrics: {port: 9000, address: '::1', textfile: x.prom}\n") == []
    loaded = folder.load()
    assert loaded.main.metrics.textfile == folder.root / "x.prom"
    assert not [warning for warning in loaded.warnings if "metrics" in warning.key]


@pytest.mark.parametrize("address", ["example.org", "127.0.0.1:9000", "", "*"])
def test_metrics__want_an_ip_address(folder: Any, address: str) -> None:
    """A name would be looked up in DNS, by a loop that must not wait."""
    (told,) = _told(folder, f"metrics: {{address: '{address}'}}\n")
    assert "hotshotd.yaml:1: metrics.address: is no IP address" in told


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://hooks.slack.com/services/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://hooks.example/x", False),
        ("http://10.0.0.1/x", False),
        ("hooks.slack.com/services/x", False),
        ("https://hooks.slack.com/a b", False),
        ("https://hooks.slack.com:0x1/", False),
        ("https://hooks.slack.com/\u007f", False),
    ],
)
def test_alerts__a_literal_hook_is_checked_and_not_repeated(folder: Any, url: str, is_fine: bool) -> None:
    """The address is a secret: the fault names its key only."""
    told = _told(folder, f'alerts: {{webhook_url: "{url}"}}\n')
    assert len(told) == (0 if is_fine else 1), told
    assert not any(url in line for line in told)


def test_alerts__a_missing_secret_is_a_warning(folder: Any, tmp_path: Path) -> None:
    """The bots run without alerts; what is there is no warning."""
    folder.write_bot()
    folder.write_main("timezone: UTC\nalerts:\n  webhook_url_env: HOOK\n")
    warnings = folder.load(environ=folder.good_environ, check_secrets=True).warnings
    (told,) = [str(warning) for warning in warnings if warning.key.startswith("alerts")]
    assert told.startswith(f"{folder.main}:3: alerts.webhook_url_env: HOOK is not set")
    assert "no alert is sent" in told
    for environ in ({**folder.good_environ, "HOOK": "https://x.example/y"},):
        warnings = folder.load(environ=environ, check_secrets=True).warnings
        assert not [warning for warning in warnings if warning.key.startswith("alerts")]
    path = tmp_path / "hook"
    path.write_text("https://x.example/y")
    path.chmod(0o644)
    folder.write_main(f"alerts: {{webhook_url_file: {path}}}\n")
    warnings = folder.load(environ=folder.good_environ, check_secrets=True).warnings
    assert any(warning.key == "alerts.webhook_url_file" and "chmod 600" in warning.message for warning in warnings)

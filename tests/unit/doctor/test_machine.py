"""What the doctor says of the machine: folders, clock, variables, services that end, and what a daemon tells."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hotshotd.config.schema import BotConfig, MainConfig
from hotshotd.doctor.findings import Mark
from hotshotd.doctor.machine import (
    check_clock,
    check_ends,
    check_environment,
    check_folder,
    check_folders,
    check_status,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def make_bot(**changes: Any) -> BotConfig:
    return BotConfig.model_validate(
        {
            "name": "iama",
            "reddit": {"username": "iama", "operator": "me", "subreddits": ["home"]},
            "backstory": "Me.",
            "reply": {"backend": "openai", "model": "m"},
            "safety": {"moderators": ["openai"]},
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("skew", "mark"),
    [
        (0, Mark.OK), (30, Mark.OK), (-30, Mark.OK), (31, Mark.WARN), (-300, Mark.WARN), (301, Mark.FAIL),
        (-9e6, Mark.FAIL),
    ],
)  # fmt: skip
def test_clock__is_measured_against_reddits(skew: float, mark: Mark) -> None:
    """Half a minute is nothing, five minutes break `lookback`."""
    assert check_clock(NOW, NOW - timedelta(seconds=skew)).mark is mark


def test_clock__that_shows_the_past_is_wrong_without_asking() -> None:
    """A machine without a battery that starts in 1970 is found with no network, too."""
    assert check_clock(datetime(1970, 1, 1, tzinfo=UTC), None).mark is Mark.FAIL
    assert check_clock(NOW, None).mark is Mark.OK


def test_folder__is_made_later_where_its_parent_can_be_written_to(tmp_path: Path) -> None:
    """A folder that is not there yet is no fault, and the check does not make it."""
    verdict = check_folder(tmp_path / "a" / "b", user=os.geteuid(), needs_room=True)
    assert (verdict.mark, "first start" in verdict.detail) == (Mark.OK, True)
    assert list(tmp_path.iterdir()) == []


def test_folder__that_is_a_file_fails(tmp_path: Path) -> None:
    """A file in a folder's place is told before the daemon stumbles over it."""
    (tmp_path / "state").write_text("")
    for folder in (tmp_path / "state", tmp_path / "state" / "below"):
        assert check_folder(folder, user=0, needs_room=True).mark is Mark.FAIL


def test_folder__with_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger grants nothing when the disk is full: that must not come as a surprise."""
    marks = []
    for free in (10**10, 10**8, 10**6):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: shutil._ntuple_diskusage(1, 1, free))  # type: ignore[attr-defined]
        marks.append(check_folder(tmp_path, user=0, needs_room=True).mark)
    assert marks == [Mark.OK, Mark.WARN, Mark.FAIL]
    assert check_folder(tmp_path, user=0, needs_room=False).mark is Mark.OK


def test_folders__tokens_that_others_can_read_fail(tmp_path: Path) -> None:
    """A token is for the daemon's user alone."""
    main = MainConfig(state_dir=tmp_path, runtime_dir=tmp_path)
    token = tmp_path / "tokens" / "iama"
    token.parent.mkdir()
    token.touch(0o600)
    assert [what for what, _ in check_folders(main, user=0)] == ["state_dir", "runtime_dir"]
    token.chmod(0o644)
    [verdict] = [verdict for what, verdict in check_folders(main, user=0) if what == "tokens"]
    assert (verdict.mark, "iama" in verdict.detail, "chmod" in verdict.remedy) == (Mark.FAIL, True, True)
    assert stat.S_IMODE(token.stat().st_mode) == 0o644


def test_environment__names_the_variables_that_are_set_and_never_their_values() -> None:
    """Only variables that hold something are told, each once."""
    verdict = check_environment(["A", "B", "A", "C"], {"A": "secret-a", "B": "", "D": "secret-d"})
    assert (verdict.mark, verdict.detail.split()[-1]) == (Mark.WARN, "A")
    assert "secret" not in verdict.detail
    assert check_environment(["B"], {"B": ""}).mark is Mark.OK


@pytest.mark.parametrize(
    ("today", "mark"), [(date(2026, 11, 24), Mark.WARN), (date(2026, 12, 31), Mark.WARN), (date(2027, 1, 1), Mark.FAIL)]
)
def test_ends__perspective_ends_with_the_year(today: date, mark: Mark) -> None:
    """Until its last day it is a warning with the days left, then a failure; what to write instead leaves it out."""
    bot = make_bot(safety={"moderators": ["perspective", "mistral"]})
    [(_, verdict)] = check_ends(bot, today)
    assert (verdict.mark, "[mistral]" in verdict.remedy) == (mark, True)


def test_ends__says_nothing_of_what_stays() -> None:
    """A bot that uses nothing that ends soon hears nothing; Azure's captions have time until 2028."""
    assert list(check_ends(make_bot(), date(2026, 11, 24))) == []
    azure = make_bot(images={"caption": "azure"})
    assert list(check_ends(azure, date(2026, 11, 24))) == []
    [(_, verdict)] = check_ends(azure, date(2028, 9, 1))
    assert "images.caption: chat" in verdict.remedy


def _make_status(*, quota: str = "ok", service: str = "ok", bot: str = "running", **facts: Any) -> dict[str, Any]:
    return {
        "daemon": {
            "version": "1", "pid": 5, "quota": {"pid": 6, "state": quota, "message": "until tomorrow"},
            "services": [{"name": "hf", "role": "text", "state": service, "until": None, "last_error": "404"}],
        },
        "bots": [{"name": "iama", "state": bot, "reason": "", "last_error": None, **facts}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "what", "mark"),
    [
        (_make_status(), "daemon", Mark.OK),
        (_make_status(quota="damaged"), "quota process", Mark.FAIL),
        (_make_status(service="open"), "breaker hf (text)", Mark.WARN),
        (_make_status(service="gone"), "breaker hf (text)", Mark.FAIL),
        (_make_status(bot="failed"), "daemon", Mark.FAIL),
        (_make_status(bot="invalid"), "daemon", Mark.FAIL),
        (_make_status(bot="backoff"), "daemon", Mark.WARN),
        (_make_status(banned_in=["home"]), "daemon", Mark.WARN),
        (_make_status(degraded=["rank"]), "daemon", Mark.WARN),
        (_make_status(bot="paused"), "daemon", Mark.OK),
    ],
)
def test_status__each_trouble_has_its_line(status: dict[str, Any], what: str, mark: Mark) -> None:
    """What the daemon knows to be wrong is told; what is well in one line."""
    found = [finding for finding in check_status(status, only=None) if finding.what == what]
    assert found[-1].mark is mark
    assert [finding.bot for finding in check_status(status, only="other") if finding.bot != "-"] == []

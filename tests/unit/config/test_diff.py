"""What a reload changes."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.config.diff import Changes, diff


def write(folder: Any, name: str, extra: str = "") -> None:
    folder.write_bot(folder.good_bot.replace("Keeper", name) + extra, name=f"{name}.yaml")


def test_diff__sorts_bots_by_what_happened(folder: Any) -> None:
    """New, other, gone, the same, and kept because the file became invalid (whatever name it has now)."""
    for name in ("same", "other", "gone", "broken"):
        write(folder, name)
    old = folder.load()
    write(folder, "other", "dry_run: true\n")
    write(folder, "fresh")
    (folder.bots / "gone.yaml").unlink()
    (folder.bots / "broken.yaml").write_text("name: [\n")
    assert diff(old, folder.load()) == Changes(("fresh",), ("other",), ("gone",), ("same",), ("broken",))


def test_diff__moved_lines_and_comments_change_nothing(folder: Any) -> None:
    """Only meaning restarts a bot."""
    write(folder, "a")
    old = folder.load()
    folder.write_bot("# a comment\n\n" + folder.good_bot.replace("Keeper", "a") + "dry_run: no\n", name="a.yaml")
    assert diff(old, folder.load()).unchanged == ("a",)


@pytest.mark.parametrize(
    ("main", "is_changed"),
    [
        ("timezone: Europe/Berlin\n", True),
        ("log: {level: debug}\n", True),
        ("bot_defaults: {poll: {interval: 9s}}\n", True),
        ("backends: {groq: {url: 'https://example.org/v1'}}\n", True),
        ("quota: {daily_total: 5}\n", False),
        ("metrics: {port: 9000}\n", False),
        ("bot_defaults: {post: {tries: 9}}\n", False),
    ],
)
def test_diff__main_settings_restart_only_whom_they_concern(main: str, is_changed: bool, folder: Any) -> None:
    """Caps and metrics are no worker's business; servers, defaults that count and the zone are."""
    write(folder, "a")
    old = folder.load()
    folder.write_main(main)
    changes = diff(old, folder.load())
    assert (changes.changed, changes.unchanged) == ((("a",), ()) if is_changed else ((), ("a",)))


def test_diff__a_renamed_bot_is_gone_and_new(folder: Any) -> None:
    """A name is what a bot is known by."""
    write(folder, "a")
    old = folder.load()
    write(folder, "a", "name: b\n")
    assert diff(old, folder.load()) == Changes(added=("b",), removed=("a",))


def test_diff__an_invalid_main_file_changes_nothing(folder: Any) -> None:
    """The caller has to look at `main_faults` first."""
    old = folder.load()
    folder.write_main("timezone: Mars\n")
    with pytest.raises(ValueError, match="changes nothing"):
        diff(old, folder.load())

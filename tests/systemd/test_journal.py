"""What stands in a real journal: fields that can be searched, large entries, and no secret."""

from __future__ import annotations

import json

from machine import SECRETS, UNIT, Site

#: Logs as the daemon does, in a unit of its own, so that standard error leads to the journal and `auto` finds it.
SPEAK = """
from hotshotd import log
log.configure(format="auto", bot="duck")
log.get_logger().info("test.large", reason="x")
try:
    raise ValueError("a\\nb" * 3000)
except ValueError:
    log.get_logger().exception("test.crashed", data=[{str(n): "y" * 1900 for n in range(99)} for _ in range(9)])
import warnings
warnings.warn("a library's warning")
"""


def test_journal__has_fields_of_bot_event_and_thing(site: Site) -> None:
    """`journalctl -u hotshotd HOTSHOT_BOT=duck -o json` gives that bot's entries, each with its level and its code."""
    for name in ("duck", "goose"):
        site.add_bot(name)
    site.systemctl("start")
    thing = site.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    for name in ("duck", "goose"):
        site.wait("item.done", thing=thing.fullname, bot=name, outcome="replied")
    invocation = site.machine.show("InvocationID")["InvocationID"]
    shown = site.machine.run(
        "journalctl", "-u", UNIT, "HOTSHOT_BOT=duck", f"_SYSTEMD_INVOCATION_ID={invocation}", "-o", "json"
    )
    entries = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {entry["HOTSHOT_BOT"] for entry in entries} == {"duck"}
    [done] = [entry for entry in entries if entry["HOTSHOT_EVENT"] == "item.done"]
    assert (done["HOTSHOT_THING"], done["HOTSHOT_OUTCOME"], done["PRIORITY"]) == (thing.fullname, "replied", "6")
    assert (done["SYSLOG_IDENTIFIER"], done["_PID"]) == ("hotshotd", done["HOTSHOT_PID"])
    assert done["MESSAGE"].startswith("duck: item.done ")
    assert done["CODE_FILE"].startswith("/opt/hotshot/src/hotshotd/")
    assert not done["CODE_FILE"].startswith("/opt/hotshot/src/hotshotd/log/")
    assert int(done["CODE_LINE"]) > 0
    assert done["CODE_FUNC"]
    # Everything the daemon says comes with fields: nothing falls back to lines on standard error.
    ours = [entry for entry in site.journal.entries[site.mark :] if entry.get("SYSLOG_IDENTIFIER") == "hotshotd"]
    assert not [entry["MESSAGE"] for entry in ours if entry.get("_TRANSPORT") != "journal"]
    text = site.journal.read_since(site.mark)
    assert not [name for name, value in SECRETS.items() if len(value) > 6 and value in text]


def test_journal__takes_entries_that_no_datagram_holds(site: Site) -> None:
    """A traceback and a megabyte of data arrive whole, by memfd; what a library warns of arrives, too."""
    words = ["systemd-run", "--wait", "--quiet", "--unit=speak", "-p", "User=hotshot", "-p", "StandardError=journal"]
    words += ["--setenv=PYTHONPATH=/opt/hotshot/src:/opt/hotshot/site", "--setenv=LD_LIBRARY_PATH=/opt/python/lib"]
    site.machine.run(*words, "/opt/python/bin/python3", "-c", SPEAK)
    shown = site.machine.run("journalctl", "HOTSHOT_BOT=duck", "_SYSTEMD_UNIT=speak.service", "-a", "-o", "json").stdout
    entries = {entry["HOTSHOT_EVENT"]: entry for entry in map(json.loads, shown.splitlines())}
    assert set(entries) == {"test.large", "test.crashed", "library.logged"}
    crashed = entries["test.crashed"]
    assert len(crashed["HOTSHOT_DATA"]) > 1_000_000
    assert "ValueError" in crashed["HOTSHOT_EXCEPTION"]
    assert (crashed["PRIORITY"], crashed["CODE_FUNC"], crashed["CODE_FILE"]) == ("3", "<module>", "<string>")
    assert entries["library.logged"]["PRIORITY"] == "4"


def test_people__of_the_group_steer_and_others_do_not(site: Site) -> None:
    """A member of the group hotshot needs no root; another user is told what to do."""
    site.add_bot("duck")
    site.machine.run("useradd", "--groups", "hotshot", "member")
    site.machine.run("useradd", "stranger")
    site.systemctl("start")
    assert site.ctl("status", "duck", user="member").returncode == 0
    assert site.ctl("pause", "duck", "--reason", "a visit", user="member").returncode == 0
    assert site.get_bot("duck")["state"] == "paused"
    assert site.machine.show("StatusText")["StatusText"].startswith("0 running, 1 paused, 0 failed")
    refused = site.ctl("resume", "duck", user="stranger")
    assert refused.returncode != 0
    assert site.get_bot("duck")["state"] == "paused"

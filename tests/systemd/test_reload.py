"""`systemctl reload` on a real systemd: it applies, waits, and says when it could not."""

from __future__ import annotations

import pytest
from machine import SECRETS, UNIT, Site

from hotshotd.sandbox.faults import Action, Rule, When

SIGN_IN = "/api/v1/access_token"


# A worker counts as silent after 30 s.
@pytest.mark.timeout(150)
def test_reload__applies_what_changed_and_waits_for_it(site: Site) -> None:
    """An edited file, a broken one, a new bot with its secret; and meanwhile a worker that stands still is replaced."""
    for name in ("duck", "goose", "swan"):
        site.add_bot(name)
    site.systemctl("start")
    before = site.get_pids()
    site.signal("STOP", before["swan"])

    site.add_bot("duck", budget=7)
    site.systemctl("reload")
    after = site.get_pids()
    assert site.get_bot("duck")["spend"]["budget"] == 7
    assert {name for name in before if before[name] != after[name]} == {"duck"}

    mark = site.journal.mark()
    good = site.bot_file("goose").read_text()
    site.bot_file("goose").write_text(good.replace("backstory:", "backstori:"))
    assert site.systemctl("reload", check=False).returncode != 0
    entry = site.journal.wait("config.invalid", after=mark, bot="goose", key="backstori")
    line = next(number for number, text in enumerate(good.splitlines(), 1) if text.startswith("backstory:"))
    assert (entry["HOTSHOT_FILE"], entry["HOTSHOT_LINE"]) == ("/etc/hotshot/bots.d/goose.yaml", str(line))
    assert site.systemctl("is-active").stdout == "active\n"
    assert site.get_pids() == after
    site.bot_file("goose").write_text(good)

    site.add_bot("crane")
    crane = site.bot_file("crane")
    crane.write_text(crane.read_text().replace("BOT_PASSWORD", "CRANE_PASSWORD"))
    site.write_secrets({**SECRETS, "CRANE_PASSWORD": SECRETS["BOT_PASSWORD"]})
    site.systemctl("reload")
    pids = site.get_pids()
    assert site.get_bot("crane")["state"] == "running"
    assert {name: pids[name] for name in after} == after

    site.wait("worker.silent", bot="swan", seconds=40)
    swan = site.wait_bot("swan", state="running")
    assert swan["pid"] != before["swan"]
    assert swan["restarts"] == 1
    now = site.get_pids()
    assert {name for name in pids if pids[name] != now[name]} == {"swan"}


def test_hangup__is_a_reload_that_systemd_sees(site: Site) -> None:
    """RELOADING, and READY when the new worker is signed in, as Type=notify-reload waits for; also when it fails."""
    machine = site.machine
    site.drop_in("Type=notify-reload" if _knows_notify_reload(site) else "Type=notify")
    site.add_bot("duck")
    site.systemctl("start")
    site.add_bot("goose")
    site.plan.add(Rule(Action.HANG, service="reddit", path=SIGN_IN, seconds=2, count=1, when=When.AFTER))
    site.signal("HUP", site.get_pids()["daemon"])
    site.plan.wait_for_fired(timeout_seconds=20)
    machine.wait_shown(ActiveState="reloading")
    machine.wait_shown(ActiveState="active")
    assert site.get_bot("goose")["state"] == "running"
    site.write_main("polls: 3\n")
    site.signal("HUP", site.get_pids()["daemon"])
    site.wait("config.invalid", key="polls")
    machine.wait_shown(ActiveState="active")
    site.write_main()
    if _knows_notify_reload(site):
        site.add_bot("crane")
        machine.run("systemctl", "reload", UNIT)
        assert site.get_bot("crane")["state"] == "running"


def _knows_notify_reload(site: Site) -> bool:
    return int(site.machine.run("systemctl", "--version").stdout.split()[1]) >= 253

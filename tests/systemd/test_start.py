"""The unit on a real systemd: when it counts as started, what it is made of, and what it leaves behind."""

from __future__ import annotations

import stat

from harness import wait_until
from machine import SECRETS, UNIT, Machine, Site

from hotshotd.sandbox.faults import Action, Rule, When

SIGN_IN = "/api/v1/access_token"


def test_start__is_over_when_bots_run(site: Site) -> None:
    """`systemctl start` returns when each bot is signed in; they answer; `systemctl status` has a line for people."""
    for name in ("duck", "goose"):
        site.add_bot(name)
    site.systemctl("start")
    assert {bot["name"]: bot["state"] for bot in site.status()["bots"]} == {"duck": "running", "goose": "running"}
    assert site.systemctl("is-active").stdout == "active\n"
    thing = site.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    for name in ("duck", "goose"):
        site.wait("item.done", thing=thing.fullname, bot=name, outcome="replied")
    wanted = "2 running, 0 paused, 0 failed; 0 % of today's characters"
    assert site.machine.show("StatusText") == {"StatusText": wanted}
    _check_folders(site.machine)
    _check_processes(site)


def _check_folders(machine: Machine) -> None:
    """Only the group reaches the control socket; the state is the daemon's alone; nothing is for everybody."""

    def look(path: str) -> str:
        return machine.run("stat", "-c", "%A %U %G", path).stdout.strip()

    assert look("/run/hotshot") == "drwxr-x--- hotshot hotshot"
    assert look("/run/hotshot/control.sock") == "srw-rw---- hotshot hotshot"
    assert look("/run/hotshot/quota.sock") == "srw------- hotshot hotshot"
    assert look("/var/lib/hotshot") == "drwx------ hotshot hotshot"
    assert look("/etc/hotshot") == "drwxr-x--- root hotshot"
    made = [path for path in machine.path("/var/lib/hotshot").rglob("*") if path.is_file()]
    assert made
    assert not [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077]


def _check_processes(site: Site) -> None:
    """A daemon, its quota process, a worker a bot; no secret among what others can read of them; workers die first."""
    pids = site.get_pids()
    assert site.machine.list_processes() == set(pids.values())
    for pid in pids.values():
        shown = site.machine.read_process(pid, "environ") + site.machine.read_process(pid, "cmdline")
        assert not [name for name, value in SECRETS.items() if len(value) > 6 and value.encode() in shown]
        assert b"NoNewPrivs:\t1" in site.machine.read_process(pid, "status")
    scores = {name: int(site.machine.read_process(pid, "oom_score_adj")) for name, pid in pids.items()}
    assert scores["duck"] == scores["goose"] > scores["daemon"] == scores["quota"]


def test_start__takes_as_long_as_the_sign_in(site: Site) -> None:
    """While a bot signs in, the unit is activating, and says who is missing."""
    site.add_bot("duck")
    site.plan.add(Rule(Action.HANG, service="reddit", path=SIGN_IN, seconds=2, count=1, when=When.AFTER))
    site.machine.run("systemctl", "start", "--no-block", UNIT)
    site.plan.wait_for_fired(timeout_seconds=20)
    assert site.machine.show("ActiveState")["ActiveState"] == "activating"
    assert site.machine.show("StatusText")["StatusText"].startswith("0 running, 0 paused, 0 failed, 1 starting")
    site.machine.wait_shown(ActiveState="active")
    assert site.get_bot("duck")["state"] == "running"


def test_start__without_network_does_not_wait_for_it(site: Site) -> None:
    """With Reddit away the unit starts; bots say what they wait for, and run once it is there, by themselves."""
    site.add_bot("duck")
    away = site.plan.add(Rule(Action.RESET, service="reddit"))
    site.systemctl("start")
    bot = site.get_bot("duck")
    assert (bot["state"], bot["restarts"]) == ("backoff", 0)
    assert bot["reason"].startswith("signing in: ")
    wait_until(lambda: site.get_bot("duck")["last_error"], what="the cause in last_error")
    assert "1 backoff" in site.machine.show("StatusText")["StatusText"]
    site.plan.remove(away)
    running = site.wait_bot("duck", state="running", seconds=60)
    assert (running["pid"], running["restarts"]) == (bot["pid"], 0)
    wait_until(lambda: site.machine.show("StatusText")["StatusText"].startswith("1 running"), what="the status line")


def test_start__with_an_invalid_main_file_is_not_tried_again(site: Site) -> None:
    """Exit code 78: a restart does not mend the file; the journal says file, line and key."""
    site.write_main("polls: 3\n")
    assert site.systemctl("start", check=False).returncode == 1
    site.machine.wait_shown(ActiveState="failed", SubState="failed", ExecMainStatus="78", NRestarts="0")
    entry = site.wait("config.invalid")
    assert (entry["HOTSHOT_FILE"], entry["HOTSHOT_KEY"], entry["PRIORITY"]) == (
        "/etc/hotshot/hotshotd.yaml",
        "polls",
        "3",
    )
    assert int(entry["HOTSHOT_LINE"]) > 0


def test_credentials__are_what_bots_sign_in_with(site: Site) -> None:
    """LoadCredential instead of a secrets_file: a root-only file, seen by nobody else's process."""
    site.write_secrets({name: value for name, value in SECRETS.items() if name != "BOT_PASSWORD"})
    secret = site.machine.path("/etc/hotshot-password")
    secret.write_text(SECRETS["BOT_PASSWORD"])
    secret.chmod(0o600)
    site.drop_in("LoadCredential=BOT_PASSWORD:/etc/hotshot-password")
    site.add_bot("duck")
    site.systemctl("start")
    assert site.get_bot("duck")["state"] == "running"


def test_stop__leaves_no_process(site: Site) -> None:
    """Twenty bots end within 10 s, and nothing of them is left; the exit is a good one."""
    for number in range(20):
        site.add_bot(f"duck{number}")
    site.systemctl("start")
    pids = site.get_pids()
    site.systemctl("stop")
    shown = site.machine.show(
        "ActiveState", "Result", "ExecMainStatus", "InactiveEnterTimestampMonotonic", "ActiveExitTimestampMonotonic"
    )
    assert (shown["ActiveState"], shown["Result"], shown["ExecMainStatus"]) == ("inactive", "success", "0")
    took = int(shown["InactiveEnterTimestampMonotonic"]) - int(shown["ActiveExitTimestampMonotonic"])
    assert took < 10_000_000
    assert not [pid for pid in pids.values() if site.machine.is_alive(pid)]
    assert not site.machine.path("/run/hotshot").exists()

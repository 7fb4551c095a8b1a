"""Whatever is killed comes back, alone, and without doing anything twice."""

from __future__ import annotations

from pathlib import Path

from harness import wait_until
from machine import Site


def test_daemon__killed_comes_back_as_it_was(site: Site) -> None:
    """`kill -9` of the main process: no orphan, no second answer, and what was spent stays spent."""
    for name in ("duck", "goose"):
        site.add_bot(name)
    site.systemctl("start")
    thing = site.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    for name in ("duck", "goose"):
        site.wait("item.done", thing=thing.fullname, bot=name, outcome="replied")
    before, spent = site.get_pids(), site.get_bot("duck")["spend"]["characters"]
    mark = site.journal.mark()
    site.signal("KILL", before["daemon"])
    site.journal.wait("daemon.ready", after=mark)
    site.machine.wait_shown(ActiveState="active", NRestarts="1")
    after = site.get_pids()
    assert not set(before.values()) & set(after.values())
    assert site.machine.list_processes() == set(after.values())
    assert site.get_bot("duck")["spend"]["characters"] >= spent > 0
    late = site.forum.submit("ann", "pond", "And now?", "Still there?")
    for name in ("duck", "goose"):
        site.journal.wait("item.done", after=mark, thing=late.fullname, bot=name, outcome="replied")
        # They answer each other as well; nothing is answered twice.
        answered = site.comments_of(name)
        assert {thing.fullname, late.fullname} <= set(answered)
        assert len(answered) == len(set(answered))


def test_daemon__killed_ten_times_still_comes_back(site: Site) -> None:
    """No limit of starts stands in its way (the least pause between them is shortened here)."""
    site.add_bot("duck")
    site.drop_in("RestartSec=50ms")
    site.systemctl("start")
    for _ in range(10):
        pid = site.machine.show("MainPID")["MainPID"]
        site.signal("KILL", int(pid))

        def is_new(old: str = pid) -> bool:
            return site.machine.show("MainPID")["MainPID"] not in ("0", old)

        wait_until(is_new, what="a new main process")
    site.machine.wait_shown(ActiveState="active", NRestarts="10")
    site.wait_bot("duck", state="running")


def test_child__killed_is_replaced_alone(site: Site) -> None:
    """A worker that dies for memory, and the quota process: the others keep their pids, the unit stays up."""
    for name in ("duck", "goose"):
        site.add_bot(name)
    site.systemctl("start")
    before = site.get_pids()
    _run_out_of_memory(site, before["duck"])
    duck = site.wait_bot("duck", state="running", restarts=1)
    assert duck["last_error"] == "the worker was ended by signal 9"
    after = site.get_pids()
    assert {name for name in before if before[name] != after[name]} == {"duck"}
    site.signal("KILL", after["quota"])
    wait_until(lambda: site.status()["daemon"]["quota"]["state"] == "ok" and site.get_pids()["quota"] != after["quota"])
    assert {name for name, pid in site.get_pids().items() if after[name] != pid} == {"quota"}
    assert site.machine.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    assert site.machine.show("OOMPolicy") == {"OOMPolicy": "continue"}


def _run_out_of_memory(site: Site, pid: int) -> None:
    """Have the kernel kill one process for memory; where it can't be told to, do as it does."""
    group = Path("/sys/fs/cgroup/memory/hotshot-oom")
    script = (
        f"mkdir -p {group} && echo 4096 >{group}/memory.limit_in_bytes && echo {pid} >{group}/cgroup.procs"
        f" || kill -KILL {pid}"
    )
    site.machine.run("sh", "-c", script)
    wait_until(lambda: not site.machine.is_alive(pid), what="its death")
    site.machine.run("rmdir", group, check=False)


def test_daemon__standing_still_is_replaced(site: Site) -> None:
    """The watchdog is fed by the supervisor's loop: one that stops is killed with all its children, then started."""
    site.add_bot("duck")
    site.drop_in("WatchdogSec=1s")
    site.systemctl("start")
    before = site.get_pids()
    site.signal("STOP", before["daemon"])
    mark = site.journal.mark()
    site.journal.wait("daemon.ready", after=mark, seconds=30)
    site.machine.wait_shown(ActiveState="active", NRestarts="1")
    assert site.machine.list_processes() == set(site.get_pids().values())
    assert not [pid for pid in before.values() if site.machine.is_alive(pid)]
    # A healthy daemon is not killed: the interval has gone by several times.
    assert site.get_bot("duck")["state"] == "running"

"""A real systemd to install the units of this tree into, and the daemon as an operator of that machine meets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any, Self

from harness import KEY, World, wait_until

from hotshotd.control.client import ControlClient
from hotshotd.errors import ControlError

ROOT = Path(__file__).parents[2]
UNIT = "hotshotd.service"
#: What `systemd/` holds, and where its first lines say that it goes.
UNIT_FILES = {
    "hotshotd.service": "/etc/systemd/system/hotshotd.service",
    "sysusers.d/hotshot.conf": "/etc/sysusers.d/hotshot.conf",
    "tmpfiles.d/hotshot.conf": "/etc/tmpfiles.d/hotshot.conf",
}
#: Exit code of scripts/systemd-ns where namespaces are not allowed.
NOT_ALLOWED = 77

SECRETS = {"BOT_PASSWORD": "quack-marker-1", "BOT_ID": "client", "BOT_SECRET": "client-secret", "OPENAI_API_KEY": KEY}

#: The program, as the unit expects it. The interpreter of the tests may lie where no other user may look.
WRAPPER = """\
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/hotshot/src:/opt/hotshot/site PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/python{version} -s -c 'from hotshotd.cli.{module} import main; main()' "$@"
"""


class NotAllowed(Exception):
    """This machine lets nobody make namespaces, or lacks systemd."""


class Machine:
    """A systemd with journald in namespaces of its own (scripts/systemd-ns); 127.0.0.1 and /tmp are ours as well."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [ROOT / "scripts" / "systemd-ns", "--hold"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            _, errors = self._process.communicate(timeout=10)
            if self._process.returncode == NOT_ALLOWED:
                raise NotAllowed(errors.strip())
            raise AssertionError(f"systemd-ns ended with {self._process.returncode}: {errors}")
        self._pid = int(line)

    def close(self) -> None:
        """End every process in there, and forget every file."""
        assert self._process.stdin is not None
        self._process.communicate(timeout=20)

    def run(self, *words: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in there, as root."""
        done = subprocess.run(
            [*self.make_entrance(), *map(str, words)], capture_output=True, text=True, timeout=timeout,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def make_entrance(self) -> list[str]:
        return ["nsenter", "-t", str(self._pid), "-m", "-p", "-u", "-i", "--"]

    def path(self, path: object) -> Path:
        """Give the path by which we see a file of that machine."""
        return Path(f"/proc/{self._pid}/root{path}")

    def show(self, *properties: str, unit: str = UNIT) -> dict[str, str]:
        """Give properties of a unit as systemd has them."""
        text = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    def wait_shown(self, *, seconds: float = 20.0, unit: str = UNIT, **wanted: str) -> None:
        """Block until the unit's properties are these; systemd tells of changes by D-Bus only."""
        wait_until(lambda: self.show(*wanted, unit=unit) == wanted, seconds=seconds, what=f"{unit}: {wanted}")

    def read_process(self, pid: int, name: str) -> bytes:
        """Give a file of /proc/PID of that machine."""
        return self.path(f"/proc/{pid}/{name}").read_bytes()

    def is_alive(self, pid: int) -> bool:
        try:
            return self.read_process(pid, "stat").rpartition(b")")[2].split()[0] != b"Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def list_processes(self) -> set[int]:
        """Give the pids in the unit's control group."""
        group = self.show("ControlGroup")["ControlGroup"]
        if not group:
            return set()
        # The old layout of control groups has one of systemd's own.
        places = (f"/sys/fs/cgroup{top}{group}/cgroup.procs" for top in ("", "/systemd"))
        found = self.run("cat", *places, check=False).stdout
        return {int(pid) for pid in found.split()}

    def install(self) -> None:
        """Put the program and its unit files where an installation puts them."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        places = {
            sys.base_prefix: "/opt/python",
            sysconfig.get_paths()["purelib"]: "/opt/hotshot/site",
            ROOT / "hotshotd": "/opt/hotshot/src/hotshotd",
        }
        for source, target in places.items():
            self.run("mkdir", "-p", target)
            self.run("mount", "--bind", source, target)
        self.path("/opt/hotshot/bin").mkdir()
        for name, module in (("hotshotd", "daemon"), ("hotshotctl", "ctl")):
            program = self.path(f"/opt/hotshot/bin/{name}")
            program.write_text(WRAPPER.format(version=version, module=module))
            program.chmod(0o755)
        for source, target in UNIT_FILES.items():
            self.run("install", "-D", "-m", "0644", ROOT / "systemd" / source, target)
        self.run("systemd-sysusers", "hotshot.conf")
        self.run("systemd-tmpfiles", "--create", "hotshot.conf")
        self.run("systemctl", "daemon-reload")


class Journal:
    """The unit's journal, read on while it is written."""

    def __init__(self, machine: Machine) -> None:
        self.entries: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*machine.make_entrance(), "journalctl", "--follow", "--all", "--output=json", "--lines=all", "-u", UNIT],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        # nsenter has a child in there, which would read on.
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(10)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.entries.append(json.loads(line))
                self._changed.notify_all()

    def mark(self) -> int:
        """Give a place: `wait` looks at what comes after it."""
        with self._changed:
            return len(self.entries)

    def wait(self, event: str, *, after: int, seconds: float = 20.0, count: int = 1, **fields: str) -> dict[str, Any]:
        """Block until an event with these HOTSHOT_ fields stands in the journal, `count` times; give the last."""
        wanted = {"HOTSHOT_EVENT": event, **{f"HOTSHOT_{key.upper()}": value for key, value in fields.items()}}
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [entry for entry in self.entries[after:] if wanted.items() <= entry.items()]
            return len(found) >= count

        with self._changed:
            shown = "\n".join(str(entry.get("MESSAGE")) for entry in self.entries[after:][-30:]) if self.entries else ""
            assert self._changed.wait_for(is_there, seconds), f"no {event} {fields} after\n{shown}"
        return found[count - 1]

    def read_since(self, mark: int) -> str:
        """Give all text of all entries after a mark."""
        with self._changed:
            return json.dumps(self.entries[mark:])


class Site(World):
    """Local Reddit and services, and a daemon under systemd that works with them."""

    def __init__(self, machine: Machine, journal: Journal) -> None:
        super().__init__(machine.path("/etc/hotshot"))
        self.machine = machine
        self.journal = journal
        self.mark = journal.mark()

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder / "bots.d", ignore_errors=True)
        super().__enter__()
        self.write_secrets(SECRETS)
        self.machine.run("systemd-tmpfiles", "--create", "hotshot.conf")
        return self

    def __exit__(self, *exc: object) -> None:
        self.machine.run("systemctl", "stop", UNIT)
        self.machine.run("systemctl", "reset-failed", UNIT, check=False)
        shutil.rmtree(self.machine.path("/var/lib/hotshot"), ignore_errors=True)
        drop_ins = self.machine.path(f"/run/systemd/system/{UNIT}.d")
        if drop_ins.exists():
            shutil.rmtree(drop_ins)
            self.machine.run("systemctl", "daemon-reload")
        super().__exit__(*exc)

    def write_main(self, more: str = "") -> None:
        url, services = self.reddit.base_url, self.services
        self.config.write_text(
            f"secrets_file: secrets.env\nreddit: {{reddit_url: {url}, oauth_url: {url}}}\n"
            f"backends:\n  openai: {{url: {services.openai_url}}}\n{more}"
        )

    def write_secrets(self, secrets: dict[str, str]) -> None:
        (self.folder / "secrets.env").write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))

    def add_bot(self, name: str, **settings: Any) -> str:
        if self.forum.account(name) is None:
            self.forum.add_account(name, SECRETS["BOT_PASSWORD"])
        return super().add_bot(name, **settings)

    def drop_in(self, *lines: str) -> None:
        """Change the unit as `systemctl edit --runtime` does; lines of the section Service."""
        folder = self.machine.path(f"/run/systemd/system/{UNIT}.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.conf").write_text("\n".join(["[Service]", *lines, ""]))
        self.machine.run("systemctl", "daemon-reload")

    def systemctl(self, verb: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.machine.run("systemctl", verb, UNIT, check=check)

    def ctl(self, *words: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run hotshotctl as a user of that machine."""
        return self.machine.run("runuser", "-u", user, "--", "/opt/hotshot/bin/hotshotctl", *words, check=False)

    def wait(self, event: str, **facts: Any) -> dict[str, Any]:
        """Block until the journal has an event of this test."""
        return self.journal.wait(event, **{"after": self.mark, **facts})

    def status(self) -> dict[str, Any]:
        return ControlClient(self.machine.path("/run/hotshot/control.sock")).request({"op": "status", "bots": []})

    def get_bot(self, name: str) -> dict[str, Any]:
        return next(bot for bot in self.status()["bots"] if bot["name"] == name)

    def wait_bot(self, name: str, *, seconds: float = 20.0, **wanted: object) -> dict[str, Any]:
        """Block until a bot is shown like this; a daemon that is away meanwhile is waited for."""

        def look() -> dict[str, Any] | None:
            try:
                bot = self.get_bot(name)
            except (ControlError, StopIteration):
                return None
            return bot if wanted.items() <= bot.items() else None

        found: dict[str, Any] = wait_until(look, seconds=seconds, what=f"{name} {wanted}")
        return found

    def get_pids(self) -> dict[str, int]:
        """Give the pid of each bot's worker, of the quota process and of the daemon."""
        status = self.status()
        daemon = status["daemon"]
        bots = {bot["name"]: bot["pid"] for bot in status["bots"] if bot["pid"]}
        return {**bots, "quota": daemon["quota"]["pid"], "daemon": daemon["pid"]}

    def signal(self, number: str, pid: int) -> None:
        self.machine.run("kill", f"-{number}", pid)

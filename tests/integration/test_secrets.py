"""Where secrets are, and where they are not: a real daemon, its memory, its files, its words, its death."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from harness import Daemon, World, wait_until

from hotshotd.clock import SystemClock
from hotshotd.doctor.counting import find_leave
from hotshotd.sandbox.faults import Action, Rule
from hotshotd.wire import encode, read_peer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a process of ours shows its memory to nobody else")

#: Two bots, and three secrets of each: a password, a client secret, and a key.
BOTS = ("drake", "heron")
WAYS = ("secrets_file", "file", "credential")


def core(bot: str, kind: str) -> str:
    """Give what of a secret is the same in every spelling, and stands nowhere else."""
    return f"Zq7{bot}{kind}x9"


def marker(bot: str, kind: str) -> str:
    """Give a secret with characters that libraries print in different ways."""
    return f"{core(bot, kind)}/+=&%"


CORES = frozenset(core(bot, kind) for bot in BOTS for kind in ("password", "app", "key"))


def markers_of(bot: str) -> dict[str, str]:
    return {kind: marker(bot, kind) for kind in ("password", "app", "key")}


class Hiding:
    """A world with two bots whose secrets are kept in one way."""

    def __init__(self, world: World, way: str) -> None:
        self.world, self.way = world, way
        self.environ: dict[str, str] = {}
        self.lines: list[str] = []
        self.folder = world.folder / "hidden"
        self.folder.mkdir(mode=0o700)
        for bot in BOTS:
            self._add(bot)
        if way == "secrets_file":
            path = world.folder / "secrets.env"
            path.write_text("# all of them\n" + "".join(self.lines))
            path.chmod(0o600)
            world.write_main(f"secrets_file: {path}\n")
        if way == "credential":
            self.environ["CREDENTIALS_DIRECTORY"] = str(self.folder)

    def _add(self, bot: str) -> None:
        world, secrets = self.world, markers_of(bot)
        world.forum.add_client(f"app-{bot}", secrets["app"])
        world.forum.add_account(bot, secrets["password"])
        world.services.keys[secrets["key"]] = bot
        text = world.add_bot(bot, more="")
        for old, kind in (("password_env: BOT_PASSWORD", "password"), ("client_secret_env: BOT_SECRET", "app")):
            assert old in text
            text = text.replace(old, self._keep(old.partition("_env")[0], bot, kind))
        text = text.replace("client_id_env: BOT_ID", f"client_id_env: {bot.upper()}_ID")
        self.environ[f"{bot.upper()}_ID"] = f"app-{bot}"
        key = self._keep("key", bot, "key")
        text += f"backends: {{openai: {{url: {world.services.openai_url}, {key}}}}}\n"
        world.bot_file(bot).write_text(text)

    def _keep(self, key: str, bot: str, kind: str) -> str:
        """Put a secret where it belongs, and give the line of the bot's file."""
        name, secret = f"{bot}_{kind}".upper(), marker(bot, kind)
        if self.way == "secrets_file":
            self.lines.append(f"{name}={secret}\n" if kind == "password" else f"export {name} = '{secret}'\n")
            return f"{key}_env: {name}"
        path = self.folder / name
        path.write_text(secret + "\n")
        path.chmod(0o600)
        return f"{key}_env: {name}" if self.way == "credential" else f"{key}_file: {path}"


def read_memory(pid: int) -> Iterator[bytes]:
    """Give all that a process could read of itself."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found is None or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            memory.seek(int(found[1], 16))
            left = int(found[2], 16) - int(found[1], 16)
            try:
                yield memory.read(left)
            except OSError:
                # What a driver or a hole in a file maps can't be read by its own process either.
                continue


def find_in_process(pid: int) -> set[str]:
    """Give the secrets that stand in a process's memory, environment or command line, in whatever spelling."""
    found: set[str] = set()
    for data in (*(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")), *read_memory(pid)):
        found |= {secret for secret in CORES - found if secret.encode() in data}
    return found


def wait_answered(world: World, daemon: Daemon) -> None:
    """Have every bot use all its secrets."""
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    for bot in BOTS:
        daemon.wait_event("item.done", thing=thing.fullname, bot=bot, outcome="replied")


@as_root
@pytest.mark.parametrize("way", WAYS)
def test_memory__holds_a_bots_own_secrets_alone(world: World, way: str) -> None:
    """No marker of one bot in the other's process, and none of any bot's in the supervisor and the quota process.

    Also after a reload, which looks for secrets again, and in a worker that is forked after that.
    """
    hiding = Hiding(world, way)
    daemon = world.start(environ=hiding.environ)
    for bot in BOTS:
        daemon.wait_state(bot, "running")
    wait_answered(world, daemon)
    daemon.ask("reload", bot=None)
    daemon.ask("restart", bot=BOTS[0])
    daemon.wait_state(BOTS[0], "running")
    wait_answered(world, daemon)
    pids = daemon.pids()
    for bot in BOTS:
        found = find_in_process(pids[bot])
        # The search finds what is there: each worker's own key.
        assert core(bot, "key") in found
        assert found <= {core(bot, kind) for kind in markers_of(bot)}, f"{bot} knows another bot's secrets"
    status = daemon.status()["daemon"]
    for pid in (status["pid"], status["quota"]["pid"]):
        assert find_in_process(pid) == set()


# -- words -------------------------------------------------------------------------------------


def make_echo(bot: str) -> str:
    """Give the error page of a careless server: it quotes what it was sent, as headers and forms spell it."""
    secrets = markers_of(bot)
    basic = base64.b64encode(f"app-{bot}:{secrets['app']}".encode()).decode()
    headers = {"Authorization": f"Bearer {secrets['key']}", "x-api-key": secrets["key"]}
    form = urlencode({"password": secrets["password"], "client_secret": secrets["app"]})
    said = f"Incorrect API key provided: {secrets['key']}. {headers} Basic {basic} {form} {secrets['password']!r}"
    return json.dumps({"error": {"message": said, "type": "invalid_request_error"}, "message": said, "reason": said})


def find_in_text(text: str) -> set[str]:
    """Give the secrets that stand in a text, also as the middle of a Basic header."""
    found = {secret for secret in CORES if secret in text}
    for bot in BOTS:
        basic = base64.b64encode(f"app-{bot}:{marker(bot, 'app')}".encode()).decode()
        if basic[12:24] in text:
            found.add(core(bot, "app"))
    return found


def find_in_files(folder: Path) -> dict[str, set[str]]:
    """Give the files below a folder that hold secrets, but for those where the operator put them."""
    kept = {folder / "secrets.env"}
    found = {
        str(path): find_in_text(path.read_bytes().decode("latin-1"))
        for path in folder.rglob("*")
        if path.is_file() and path not in kept
    }
    return {path: secrets for path, secrets in found.items() if secrets}


def fail_everywhere(world: World) -> None:
    """Have each service and Reddit fail, in turn with each status, and quote what they were sent."""
    for bot, status in zip(BOTS, (401, 500), strict=True):
        echo = make_echo(bot)
        for service in ("openai", "hf"):
            world.plan.add(Rule(Action.STATUS, service=service, account=bot, status=status, body=echo))
        for path, code in (("/r/*", 500), ("/message/*", 401), ("/message/*", 503), ("/user/*", 500)):
            rule = Rule(Action.STATUS, service="reddit", path=path, account=bot, status=code, body=echo, count=1)
            world.plan.add(rule)


def test_words__hold_no_secret_when_everything_fails_and_quotes_them(world: World) -> None:
    """At level debug: neither the log, nor status, nor doctor and try, nor any file of the daemon's shows one."""
    hiding = Hiding(world, "secrets_file")
    world.config.write_text(world.config.read_text().replace("format: json", "format: json, level: debug"))
    for bot in BOTS:
        text = world.bot_file(bot).read_text().replace("gate_model: null", "gate_model: some/gate")
        text = text.replace("safety: {moderators: [openai]}", "safety: {moderators: [openai], check_incoming: true}")
        world.bot_file(bot).write_text(text)
    said = [make_echo(bot) for bot in BOTS]
    assert find_in_text(" ".join(said)) == CORES
    daemon = world.start(environ=hiding.environ)
    fail_everywhere(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    daemon.wait_event("item.done", thing=thing.fullname, bot=BOTS[0], outcome="failed")
    # A 500 is tried again for a quarter of an hour.
    wait_until(lambda: [f for f in world.plan.fired if (f.rule.service, f.rule.account) == ("openai", BOTS[1])])
    shown = [json.dumps(daemon.status()), json.dumps(daemon.ask("quota", bot=None))]
    shown += [_run(world, hiding, *words) for words in (["status"], ["status", "--json"], ["doctor"])]
    shown.append(_run(world, hiding, "try", BOTS[0], f"{world.reddit.base_url}/r/pond/comments/{thing.id}/x/"))
    assert "check its key" in shown[-1]
    # Something was quoted and masked, or this would prove nothing.
    assert "***" in "".join((*shown, *daemon.lines))
    assert find_in_text("".join(shown)) == set()
    daemon.stop()
    assert [line for line in daemon.lines if find_in_text(line)] == []
    assert find_in_files(world.folder) == {}


def _run(world: World, hiding: Hiding, *words: str) -> str:
    world.environ.update(hiding.environ)
    result = world.ctl(*words)
    return result.stdout + result.stderr


# -- death -------------------------------------------------------------------------------------


@as_root
def test_death__by_a_fault_leaves_no_core(world: World) -> None:
    """Neither a worker's nor the supervisor's memory gets into a file; their words hold no secret either."""
    hiding = Hiding(world, "file")
    daemon = world.start(environ=hiding.environ)
    for bot in BOTS:
        daemon.wait_state(bot, "running")
    status = daemon.status()["daemon"]
    pids = [status["pid"], status["quota"]["pid"], *daemon.pids().values()]
    for pid in pids:
        assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text())
    worker = daemon.pids()[BOTS[0]]
    os.kill(worker, signal.SIGSEGV)
    daemon.wait_event(
        "bot.state", bot=BOTS[0], new="backoff", reason=f"the worker was ended by signal {signal.SIGSEGV}"
    )
    os.kill(status["pid"], signal.SIGSEGV)
    assert os.WCOREDUMP(wait_status(daemon)) is False
    assert find_cores(world.folder) == []
    assert [line for line in daemon.lines if find_in_text(line)] == []


def wait_status(daemon: Daemon) -> int:
    """Give how the daemon ended, as wait(2) tells it."""
    _, status = os.waitpid(daemon.process.pid, 0)
    daemon.process.returncode = os.waitstatus_to_exitcode(status)
    return status


def find_cores(folder: Path) -> list[Path]:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    folders = {folder, folder / "state", folder / "run"}
    if pattern.startswith("/"):
        folders.add(Path(pattern).parent)
    return [path for place in folders if place.is_dir() for path in place.glob("*core*")]


# -- doors -------------------------------------------------------------------------------------


@as_root
def test_doors__are_closed_to_other_users_whatever_the_modes_are(world: World) -> None:
    """The control socket tells a stranger why; the quota socket, the daemon's own user's alone, says nothing."""
    world.add_bot("mallard")
    daemon = world.start()
    daemon.wait_state("mallard", "running")
    run = world.folder / "run"
    modes = {path.name: path.stat().st_mode & 0o777 for path in run.glob("*.sock")}
    assert modes == {"control.sock": 0o660, "quota.sock": 0o600}
    for path in (run, *run.glob("*.sock")):
        path.chmod(0o777)
    refused = json.loads(knock(run, "control.sock", b'{"id": 1, "op": "status", "bots": []}\n', uid=65534))
    assert (refused["ok"], refused["code"]) == (False, "forbidden")
    assert "join the group hotshot" in refused["message"]
    hello = b'{"id": 1, "op": "hello", "bot": "mallard", "client": "x"}\n'
    assert knock(run, "quota.sock", hello, uid=65534) == b""
    # The same knock from the daemon's own user is answered, and the daemon is as well as before.
    assert json.loads(knock(run, "quota.sock", hello, uid=os.geteuid()))["ok"] is True
    daemon.wait_event("control.refused", uid=65534)
    assert daemon.bot("mallard")["state"] == "running"


def knock(folder: Path, name: str, data: bytes, *, uid: int) -> bytes:
    """Connect as another user, in a process of his, send, and give the first that comes back."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # The folders above are root's alone; from here the socket is one step away.
            os.chdir(folder)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(10)
                sock.connect(name)
                with suppress(OSError):
                    sock.sendall(data)
                with suppress(ConnectionResetError):
                    os.write(theirs, sock.recv(65536))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as told:
        answer = told.read()
    os.waitpid(pid, 0)
    return answer


@as_root
def test_doctor__run_by_root_connects_as_the_daemons_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may be anybody, so it is whom the quota process serves, and its requests are counted like all others."""
    path = tmp_path / "quota.sock"
    seen: list[int] = []
    tmp_path.chmod(0o711)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        os.chown(path, 12345, 12345)
        listener.listen(4)

        def serve() -> None:
            # Once for the look whether somebody is there.
            listener.accept()[0].close()
            peer = listener.accept()[0]
            with peer, peer.makefile("rwb") as lines:
                seen.append(read_peer(peer)[1])
                for line in lines:
                    lines.write(encode({"id": json.loads(line)["id"], "ok": True, "wait": 0.0}))
                    lines.flush()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        leave = find_leave(Path("."), "mallard", client="x", clock=SystemClock())
        assert leave is not None
        leave.acquire(write=False)
        leave.close()
        server.join(10)
    assert seen == [12345]
    assert os.geteuid() == 0

"""What the daemon does where its surroundings are wrong: owners, modes, disks, sockets, a second daemon, a locale.

| situation | what happens |
|---|---|
| the main file can't be read | it does not start: 78 |
| `bots_dir` can't be read | it does not start: 78 |
| a bot's file can't be read | that bot is `invalid`, the others run |
| `secrets_file` or `X_file` can't be read, or by everybody | the bots without a secret are `invalid`; a warning |
| `state_dir` or `runtime_dir` is another user's, or mounted read-only | it does not start: 1 |
| `state_dir` can be written by everybody | it runs, with a warning |
| a lock, the ledger or the pauses in `state_dir` are another user's | not started; nothing is granted; a logged error |
| the disk is full | nothing is granted until there is room, then at once; a pause is refused and does not hold |
| the disk becomes read-only | the same |
| a stale socket | it is replaced |
| another user's socket, a file or a folder with a socket's name | it does not start, and leaves that alone |
| a second daemon on the same `state_dir` | it does not start; the first one runs on |
| a locale that is not UTF-8 | nothing changes; what can't be shown is escaped |
| a clock that jumps | `test_roll__clock_*` (unit/quota), `test_follow_clock*` and `test_find_next*` (unit/worker) |

Each message says what to do. The tests run as root in CI, whom modes do not stop: the daemon then lacks the
capabilities that make it so, and is to files what any other user is.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import PLACE, Daemon, World

#: A user who is not the daemon's.
STRANGER = 65534

#: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER leave the bounding set (PR_CAPBSET_DROP, 24), and with
#: exec the process.
WEAK = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (0, 1, 2, 3):
    if libc.prctl(24, capability, 0, 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def weak(world: World) -> World:
    """A world whose programs are subject to owners and modes, whoever runs the tests."""
    if os.geteuid() == 0:
        world.launcher = (sys.executable, "-c", WEAK)
    world.add_bot("duck")
    return world


def make_foreign(path: Path) -> None:
    """Make a file or folder another user's, and this one's not to use."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o700 if path.is_dir() else 0o600)
    else:
        path.chmod(0)


def start_refused(world: World, code: int) -> str:
    """Start a daemon that does not run; give what it says at the end, after a look that every line is an object."""
    daemon = world.start(ready=False)
    assert daemon.process.wait(20) == code
    daemon.end()
    assert daemon.count_events("NOT JSON") == 0, daemon.lines
    last = daemon.events[-1]
    assert last["level"] == "error"
    return str(last["error"])


def assert_works(world: World, daemon: Daemon, *, bot: str = "duck", place: str = PLACE) -> None:
    """See a bot answer something new."""
    thing = world.forum.submit("ann", place, "Who quacks?", "I heard something.").fullname
    daemon.wait_event("item.done", thing=thing, bot=bot, outcome="replied")


# --- files with the wrong owner or mode ---


def test_main_file__that_can_not_be_read_says_whose_it_must_be(weak: World) -> None:
    """78, for a restart mends nothing; the same words from --check."""
    make_foreign(weak.config)
    said = start_refused(weak, 78)
    assert "may not be read by this user: change its owner or mode" in said


def test_bots_dir__that_can_not_be_read_is_a_fault_of_the_main_file(weak: World) -> None:
    """Else a daemon without bots would run, and nobody would know why."""
    make_foreign(weak.folder / "bots.d")
    said = start_refused(weak, 78)
    assert "bots.d can't be read (Permission denied): give it to the daemon's user (chown)" in said


def test_files__that_can_not_be_read_stop_their_bots_alone(weak: World) -> None:
    """A bot's file and a file with its password: each bot is invalid for its own reason, the third one works."""
    secret = weak.folder / "password"
    secret.write_text("quack\n")
    text = weak.add_bot("swan")
    weak.bot_file("swan").write_text(text.replace("password_env: BOT_PASSWORD", f"password_file: {secret}"))
    weak.add_bot("goose")
    for path in (secret, weak.bot_file("goose")):
        make_foreign(path)
    daemon = weak.start()
    assert_works(weak, daemon)
    swan, goose = daemon.bot("swan"), daemon.bot("goose")
    assert (swan["state"], goose["state"]) == ("invalid", "invalid")
    assert "password may not be read by this user: change its owner or mode (chown, chmod 600)" in swan["reason"]
    assert "may not be read by this user: change its owner or mode" in goose["reason"]
    os.chown(secret, os.geteuid(), -1)
    secret.chmod(0o644)
    answer = weak.ctl("reload")
    assert daemon.wait_state("swan", "running")
    assert f"others can read {secret}: run chmod 600 on it" in answer.stdout + "".join(daemon.lines)


def test_secrets_file__of_another_user_is_named(weak: World) -> None:
    """The bots that need it are invalid; the warning says what to do, and a reload is enough afterwards."""
    path = weak.folder / "secrets.env"
    path.write_text("BOT_PASSWORD=quack\n")
    del weak.environ["BOT_PASSWORD"]
    weak.write_main(f"secrets_file: {path}\n")
    make_foreign(path)
    daemon = weak.start()
    warning = daemon.wait_event("config.warning", key="secrets_file")
    assert "may not be read by this user: change its owner or mode" in warning["error"]
    assert "BOT_PASSWORD is not set (looked in the environment and " in daemon.bot("duck")["reason"]
    os.chown(path, os.geteuid(), -1)
    path.chmod(0o600)
    assert weak.ctl("reload").returncode == 0
    assert_works(weak, daemon)


@pytest.mark.parametrize("key", ["state", "run"])
def test_folder__of_another_user_is_refused(weak: World, key: str) -> None:
    """Nothing was started, and both ways out are named."""
    (weak.folder / key).mkdir()
    make_foreign(weak.folder / key)
    said = start_refused(weak, 1)
    assert f"{weak.folder / key}: this user may not write there; set its owner right, or set another folder" in said


def test_folder__that_can_not_be_made_is_refused(weak: World) -> None:
    """As where /var/lib is root's."""
    above = weak.folder / "above"
    above.mkdir()
    make_foreign(above)
    weak.config.write_text(weak.config.read_text().replace("state_dir: state", "state_dir: above/state"))
    said = start_refused(weak, 1)
    assert "above/state: can't make this folder (Permission denied); make it, or set another in the main config" in said


def test_state_dir__open_to_everybody_is_told(weak: World) -> None:
    """A container's volume is often like this: the daemon works, and says what to do."""
    state = weak.folder / "state"
    state.mkdir()
    state.chmod(0o777)
    daemon = weak.start()
    told = daemon.wait_event("daemon.folder_open")
    assert told["level"] == "warning"
    assert f"(mode 0777): run chmod o-w {state}" in told["remedy"]
    assert_works(weak, daemon)


def test_state_files__of_another_user_are_named(weak: World) -> None:
    """As after one start as root. The lock stops the start, the ledger every grant, lost pauses are told."""
    daemon = weak.start()
    assert_works(weak, daemon)
    assert daemon.stop() == 0
    state = weak.folder / "state"
    (state / "paused.json").write_text("{}")
    make_foreign(state / "hotshotd.lock")
    said = start_refused(weak, 1)
    assert "/hotshotd.lock: can't be opened (Permission denied): give it to the daemon's user (chown)" in said
    for name in ("paused.json", "ledger.db"):
        make_foreign(state / name)
    give_back(state / "hotshotd.lock")
    daemon = weak.start()
    unreadable = daemon.wait_event("wishes.unreadable")
    assert "give it to the daemon's user (chown)" in unreadable["remedy"]
    failing = daemon.wait_event("quota.state", state="failing")
    assert failing["level"] == "error"
    assert "ledger.db: Permission denied: give it to the daemon's user (chown)" in failing["message"]
    shown = daemon.status()["daemon"]["quota"]
    assert (shown["state"], shown["message"]) == ("failing", failing["message"])
    give_back(state / "ledger.db")
    daemon.wait_event("quota.state", state="ok")


def give_back(path: Path) -> None:
    os.chown(path, os.geteuid(), -1)
    path.chmod(0o600)


# --- disks ---


@contextmanager
def refuse_writes(pid: int) -> Iterator[None]:
    """Let a process write nothing, as on a full disk (EFBIG; CPython ignores SIGXFSZ)."""
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)


def test_disk__that_is_full_keeps_no_pause_and_says_so(weak: World) -> None:
    """A pause that a restart would forget is none: exit 1, the bot goes on; with room it is taken."""
    daemon = weak.start()
    assert_works(weak, daemon)
    with refuse_writes(daemon.process.pid):
        refused = weak.ctl("pause", "duck")
    assert refused.returncode == 1
    assert "the pause can't be stored (File too large); free space or mend the state folder" in refused.stderr
    assert daemon.bot("duck")["state"] == "running"
    assert weak.ctl("pause", "duck").returncode == 0
    assert daemon.bot("duck")["state"] == "paused"


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Have a small disk of its own at a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def may_mount() -> bool:
    """Tell whether this process may mount: CAP_SYS_ADMIN, bit 21 of its effective capabilities."""
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) & (1 << 21))


def test_disk__full_and_then_read_only_under_a_running_daemon(world: World) -> None:
    """Nothing is granted, the message says which disk and what to do, and with the cause the trouble ends."""
    if not may_mount():
        pytest.skip("this process may not mount a disk: run it as root")
    world.add_bot("duck")
    with mounted(world.folder / "state", "-o", "size=512k") as state:
        daemon = world.start()
        assert_works(world, daemon)
        fill(state / "ballast")
        ask_much(world)
        full = daemon.wait_event("quota.state", state="failing")
        assert "ledger.db" in full["message"]
        assert "make room on its disk" in full["message"]
        (state / "ballast").unlink()
        daemon.wait_event("quota.state", state="ok")
        assert_works(world, daemon)
        assert daemon.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", state], check=True)
        said = start_refused(world, 1)
        assert f"{state}: is on a disk that is mounted read-only; mount it read-write, or set another folder" in said


def fill(path: Path) -> None:
    """Use up a disk's last byte."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def ask_much(world: World) -> None:
    """Ask for more characters than the ledger's mark is ahead."""
    for number in range(2):
        world.forum.submit("ann", PLACE, f"Who quacks {number}?", "And quacks. " * 200)


# --- sockets, and who else is there ---


@pytest.mark.parametrize("name", ["control.sock", "quota.sock"])
def test_socket__that_a_dead_daemon_left_is_replaced(world: World, name: str) -> None:
    """Nobody has to remove it; until then hotshotctl says that no daemon runs."""
    world.add_bot("duck")
    (world.folder / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(world.folder / "run" / name))
    assert world.ctl("status").returncode == 3
    daemon = world.start()
    assert_works(world, daemon)
    assert world.ctl("status").returncode == 0


def make_file(path: Path) -> None:
    path.write_text("not yours")


@pytest.mark.parametrize("make", [make_file, Path.mkdir])
@pytest.mark.parametrize("name", ["control.sock", "quota.sock"])
def test_socket__a_name_that_something_else_has_is_left_alone(
    world: World, name: str, make: Callable[[Path], Any]
) -> None:
    """It is somebody's: it is not deleted for a socket's sake."""
    world.add_bot("duck")
    path = world.folder / "run" / name
    path.parent.mkdir()
    make(path)
    said = start_refused(world, 1)
    assert f"{path}: is no socket, and this daemon needs the name: move it away, or set runtime_dir" in said
    assert path.exists()
    assert world.ctl("status").returncode == 3


@pytest.mark.parametrize("name", ["control.sock", "quota.sock"])
def test_socket__of_another_user_is_not_ours_to_replace(weak: World, name: str) -> None:
    """In a folder like /tmp (sticky) only its owner may; the message says who has to."""
    if os.geteuid() != 0:
        pytest.skip("nobody but root can make a file another user's")
    run = weak.folder / "run"
    run.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run / name))
    os.chown(run / name, STRANGER, STRANGER)
    os.chown(run, STRANGER, STRANGER)
    run.chmod(0o1777)
    said = start_refused(weak, 1)
    assert f"{run / name}: can't replace this stale socket (Operation not permitted): remove it as its owner" in said


def test_second_daemon__with_folders_half_of_its_own_is_refused(world: World) -> None:
    """Another runtime_dir does not make the budget another one: 1, the folder is named, and the first one runs on."""
    world.add_bot("duck")
    first = world.start()
    before = first.pids()
    world.config.write_text(world.config.read_text().replace("runtime_dir: run", "runtime_dir: run2"))
    said = start_refused(world, 1)
    assert f"{world.folder / 'state'}: another hotshotd uses this folder; stop it, or give this one folders of" in said
    assert first.pids() == before
    assert_works(world, first)
    first.end()
    shutil.rmtree(world.folder / "run2")


# --- a locale that is not UTF-8 ---


#: What makes Python take the bytes of the C locale as they are; without these two it would help itself.
ASCII_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_locale__that_is_not_utf8_changes_nothing(world: World) -> None:
    """Backstory, titles, a pause's reason and a file's name with letters that ASCII lacks: read, sent, shown, told."""
    world.environ |= ASCII_LOCALE
    code = "import locale, sys; print(locale.getpreferredencoding(), sys.getfilesystemencoding())"
    seen = subprocess.run([sys.executable, "-c", code], env=world.environ, capture_output=True, text=True, check=True)
    assert "utf" not in seen.stdout.casefold(), "the locale has to be one that lacks these letters"
    text = world.add_bot("duck")
    world.bot_file("duck").write_text(text.replace("I am a duck.", "Ich bin eine Ente, für Tschüß und 鴨."))
    daemon = world.start()
    title = "Wer schnattert so spät? Ünd warum 鴨?"
    thing = world.forum.submit("ann", PLACE, title, "Ich hörte äöü.")
    daemon.wait_event("item.done", thing=thing.fullname, outcome="replied")
    sent = str(world.services.openai.log.requests("completions")[0].json())
    assert "Tschüß und 鴨" in sent
    assert title in sent
    tried = world.ctl("try", "duck", f"{world.reddit.base_url}/comments/{thing.fullname.removeprefix('t3_')}")
    assert tried.returncode == 0, tried.stderr
    assert title in tried.stdout
    paused = world.ctl("pause", "duck", "--reason", "müde")
    assert paused.returncode == 0, paused.stderr
    assert daemon.wait_state("duck", "paused")["reason"] == "müde"
    shown = world.ctl("status")
    assert shown.returncode == 0, shown.stderr
    assert world.ctl("resume", "duck").returncode == 0
    broken = world.bot_file("gänse")
    broken.write_text("reddit: {username: gänse}\nbackstory: ähm\n")
    assert world.ctl("reload").returncode == 1
    assert daemon.wait_event("config.invalid")["file"].endswith("se.yaml")
    assert daemon.stop() == 0
    assert daemon.count_events("NOT JSON") == 0

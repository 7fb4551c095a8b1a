"""The whole examination: what is known without asking, and then every account and service at once, within a limit.

Services are asked in a few threads. What is the same for several bots (one server, one key, one model) is tried once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date

from hotshotd.admission import billing
from hotshotd.clock import Clock
from hotshotd.config.loaded import Loaded, LoadedBot
from hotshotd.config.schema import MainConfig
from hotshotd.config.secrets import Secrets, list_needs, secret_ref
from hotshotd.doctor import machine
from hotshotd.doctor.account import check_account
from hotshotd.doctor.counting import Meter
from hotshotd.doctor.findings import EVERYBODY, Finding, Verdict, fail, ok, warn
from hotshotd.doctor.patients import Patient, admit, find_leave_of
from hotshotd.doctor.services import Planner, Probe
from hotshotd.doctor.trouble import judge_error
from hotshotd.errors import HotshotError
from hotshotd.log import register_secret
from hotshotd.reddit.account import Sites
from hotshotd.reddit.skew import read_reddit_time
from hotshotd.wire import Json

#: Requests under way at once, and seconds for all of them together.
THREADS = 8
LIMIT_SECONDS = 90.0

#: Stores a refresh token that Reddit sent in place of a bot's old one; raises HotshotError or OSError.
KeepToken = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class World:
    """What the examination knows of the outside, and how it changes it.

    `status` is the daemon's answer, None where none runs. `only` names the one bot that is looked at.
    """

    environ: Mapping[str, str]
    user: int
    clock: Clock
    keep_token: KeepToken
    status: Json | None = None
    only: str | None = None
    pictures: bool = False
    limit_seconds: float = LIMIT_SECONDS


@dataclass(frozen=True, slots=True)
class _Task:
    """Something to do in a thread, which gives findings; and whom to blame if it does not end."""

    run: Callable[[], list[Finding]] = field(repr=False)
    bots: tuple[str, ...]
    what: str


class Examination:
    """One run. `prepare` asks nothing of anybody; `chars` is then what `carry_out` is going to spend."""

    def __init__(self, loaded: Loaded, main: MainConfig, world: World) -> None:
        self._main, self._world = main, world
        self._bots = [bot for bot in loaded.bots if world.only in (None, bot.name)]
        self._secrets = Secrets(world.environ, secrets_file=main.secrets_file, state_dir=main.state_dir)
        self._patients: list[Patient] = []
        self._known: list[Finding] = []
        self._probes: dict[tuple[object, ...], tuple[Patient, Probe, list[tuple[str, str]]]] = {}
        self.meter = Meter()
        self.is_over = True

    @property
    def chars(self) -> int:
        """The characters that the probes will charge, if nothing is asked twice."""
        return sum(probe.chars for _, probe, _ in self._probes.values())

    @property
    def requests(self) -> int:
        """The requests of probes; each probe is one, or two."""
        return len(self._probes)

    @property
    def is_counted(self) -> bool:
        """Whether all that is charged goes into a running daemon's ledger."""
        return all(patient.is_counted for patient in self._patients)

    def prepare(self) -> None:
        """Look at files and secrets, and plan what is to be asked."""
        self._known += self._examine_machine()
        for bot in self._bots:
            patient = self._admit(bot)
            self._patients.append(patient)
            self._known += [Finding(bot.name, *found) for found in machine.check_ends(bot.config, self._today)]
            for plan in Planner(bot.config, self._secrets, pictures=self._world.pictures).plan():
                self._take(patient, plan)

    def carry_out(self) -> list[Finding]:
        """Ask everybody, and give every finding, machine first, then bot by bot. Blocks up to the limit."""
        tasks = [self._make_clock_task(), *map(self._make_account_task, self._patients), *self._make_probe_tasks()]
        pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="doctor")
        futures = {pool.submit(task.run): task for task in tasks}
        # Who answers only because the session is closed has not answered in time.
        answered, silent = wait(futures, timeout=self._world.limit_seconds)
        self.is_over = not silent
        for patient in self._patients:
            # Whoever still waits for a service gets an error now.
            patient.session.close()
        pool.shutdown(wait=False, cancel_futures=True)
        found = [
            finding
            for future, task in futures.items()
            for finding in (future.result() if future in answered else self._tell_silent(task))
        ]
        return self._sort([*self._known, *found])

    @property
    def _today(self) -> date:
        return self._world.clock.now().date()

    # --- without asking ------------------------------------------------------------------------

    def _examine_machine(self) -> Iterable[Finding]:
        for what, verdict in machine.check_folders(self._main, user=self._world.user):
            yield Finding(EVERYBODY, what, verdict)
        names = [name for bot in self._bots for name in _list_variables(bot)]
        yield Finding(EVERYBODY, "environment", machine.check_environment(names, self._world.environ))
        if self._bots:
            yield Finding(EVERYBODY, "app label", machine.describe_app_label(self._bots))

    def _admit(self, bot: LoadedBot) -> Patient:
        leave = find_leave_of(bot.name, self._world.status, self._main.runtime_dir, clock=self._world.clock)
        patient, trouble = admit(bot, self._secrets, leave, meter=self.meter, clock=self._world.clock)
        if trouble is not None:
            self._known.append(Finding(bot.name, "reddit secrets", trouble))
        return patient

    def _take(self, patient: Patient, plan: Probe | tuple[str, Verdict]) -> None:
        if not isinstance(plan, Probe):
            self._known.append(Finding(patient.bot.name, *plan))
            return
        _, _, askers = self._probes.setdefault(plan.key, (patient, plan, []))
        askers.append((patient.bot.name, plan.what))

    # --- asking ----------------------------------------------------------------------------------

    def _make_clock_task(self) -> _Task:
        def run() -> list[Finding]:
            theirs = None
            if self._bots:
                theirs = read_reddit_time(self._sites, operator=self._bots[0].config.reddit.operator)
            return [Finding(EVERYBODY, "clock", machine.check_clock(self._world.clock.now(), theirs))]

        return _Task(run, (EVERYBODY,), "clock")

    @property
    def _sites(self) -> Sites:
        return Sites(reddit_url=self._main.reddit.reddit_url, oauth_url=self._main.reddit.oauth_url)

    def _make_account_task(self, patient: Patient) -> _Task:
        name = patient.bot.name

        def run() -> list[Finding]:
            return [Finding(name, *found) for found in self._examine_account(patient)]

        return _Task(run, (name,), "reddit")

    def _examine_account(self, patient: Patient) -> list[tuple[str, Verdict]]:
        if patient.credentials is None:
            return []
        config = patient.bot.config
        newest: list[str] = []
        try:
            client = patient.make_client(self._sites, clock=self._world.clock, on_refresh_token=newest.append)
        except HotshotError as exc:
            return [("reddit sign-in", judge_error(exc))]
        try:
            found = list(check_account(config, client))
        finally:
            client.close()
        if newest:
            found.append(("refresh token", self._keep(config.name, newest[-1])))
        return found

    def _keep(self, bot: str, token: str) -> Verdict:
        register_secret(token)
        try:
            self._world.keep_token(bot, token)
        except (HotshotError, OSError) as exc:
            return fail(
                f"Reddit sent a new one in place of the old, and it can't be stored ({exc})",
                f"run `hotshotctl auth {bot}`, for the old one is worth nothing any more",
            )
        return ok("Reddit sent a new one in place of the old; it is stored")

    def _make_probe_tasks(self) -> list[_Task]:
        return [self._make_probe_task(*entry) for entry in self._probes.values()]

    def _make_probe_task(self, patient: Patient, probe: Probe, askers: Sequence[tuple[str, str]]) -> _Task:
        first = patient.bot.name

        def run() -> list[Finding]:
            with billing():
                verdict = probe.run(patient.session)
            shared = Verdict(verdict.mark, f"{verdict.detail}; asked once, for {first}", verdict.remedy)
            return [Finding(name, what, verdict if name == first else shared) for name, what in askers]

        return _Task(run, tuple(name for name, _ in askers), probe.what)

    def _tell_silent(self, task: _Task) -> list[Finding]:
        verdict = warn(
            f"no answer within {self._world.limit_seconds:g} s", "try again; name one BOT to ask fewer at once"
        )
        return [Finding(name, task.what, verdict) for name in task.bots]

    def _sort(self, findings: Sequence[Finding]) -> list[Finding]:
        order: dict[str, int] = {str(bot.name): place for place, bot in enumerate(self._bots)}
        order[EVERYBODY] = -1
        return sorted(findings, key=lambda finding: order.get(finding.bot, len(order)))


def _list_variables(bot: LoadedBot) -> list[str]:
    """Give the names of the environment variables in which a bot's secrets may stand."""
    stems = ("client_id", "client_secret", "password", "refresh_token")
    refs = [secret_ref(bot.config.reddit, stem, path=("reddit",)) for stem in stems]
    refs += [need.ref for need in list_needs(bot.config)]
    return [ref.env for ref in refs if ref is not None and ref.env is not None]

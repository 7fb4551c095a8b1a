"""Faults to be put into a copy of the code, to see that the simulator finds them; each is a line or two."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """A text of a file of hotshotd/ that stands there once, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault."""

    name: str
    edits: tuple[Edit, ...]


def _plant(name: str, file: str, old: str, new: str) -> Planted:
    return Planted(name, (Edit(file, old, new),))


PLANTED = (
    _plant(
        "a grant is answered before the ledger's write",
        "quota/server.py",
        "        self._commit(at)\n        self._answer()\n",
        "        self._answer()\n        self._commit(at)\n",
    ),
    _plant(
        "a request that timed out is refunded",
        "quota/ledger.py",
        "        if result is Result.NOT_SENT:\n",
        "        if result in (Result.NOT_SENT, Result.FAILED):\n",
    ),
    _plant(
        "refund at a lease's end",
        "quota/ledger.py",
        "self._leases.pop(lease, ())):\n            self._doubt(number, until=at.monotonic + DOUBT_SECONDS)\n",
        "self._leases.pop(lease, ())):\n            self._give_back(number)\n",
    ),
    _plant(
        "the roll to a new day drops open grants",
        "quota/ledger.py",
        "            used=account.open,\n            high=account.open,\n",
        "            used=0,\n            high=0,\n",
    ),
    _plant(
        "the day is rolled by another zone",
        "quota/days.py",
        "    return now.astimezone(zone).date()\n",
        "    return now.astimezone(UTC).date()\n",
    ),
    _plant(
        "the day is rolled an hour late",
        "quota/days.py",
        "    return now.astimezone(zone).date()\n",
        "    return (now.astimezone(zone) - timedelta(hours=1)).date()\n",
    ),
    _plant(
        "the sequence number is not compared",
        "quota/store.py",
        "    if found.epoch < mark.sequence:\n",
        "    if False:\n",
    ),
    Planted(
        "busy loop on a full disk",
        (
            Edit(
                "quota/server.py",
                "        if ledger.state is not LedgerState.FAILING:\n            if self._counters_at is None",
                "        if True:\n            if self._counters_at is None",
            ),
            Edit(
                "quota/server.py",
                "            self._retry_at, self._counters_at = self._clock.monotonic() + RETRY_SECONDS, None\n",
                "            self._retry_at = self._clock.monotonic() + RETRY_SECONDS\n",
            ),
        ),
    ),
    _plant(
        "no look before the second try",
        "brain/writing.py",
        "            return await self._look_until_sure(look, deadline, unknown)\n",
        "            return None\n",
    ),
    _plant(
        "answers are not remembered",
        "brain/writing.py",
        "        self._answers[answered] = answer\n",
        "        pass\n",
    ),
    _plant(
        "own things are not read at the start",
        "worker/worker.py",
        "        await self._patiently(self._read_own)\n",
        "",
    ),
    _plant(
        "a moderator that is away counts as a pass",
        "brain/editor.py",
        "            raise GaveUp(Why.MODERATION_UNAVAILABLE, str(exc), passing=passing, retry_after=wish) from exc\n",
        "            return Judgement(True, moderator.name, '')\n",
    ),
    _plant(
        "a notice is marked read before it ended",
        "worker/inbox.py",
        "            self._notices[notice.item.ref] = notice.ref\n",
        "            self._done[notice.ref] = None\n",
    ),
    _plant(
        "an answer goes out after its author said stop",
        "brain/pipeline.py",
        "        elif item.author is not None and item.author.key in self._opted_out:\n"
        "            why = Why.OPTED_OUT\n",
        "",
    ),
    Planted(
        "a slot comes again after the clock was set back",
        (
            Edit(
                "worker/schedule.py",
                "    since = after if last_post is None else max(after, last_post)\n",
                "    since = after\n",
            ),
            Edit(
                "worker/schedule.py",
                "if slot.due > since and slot.key not in made)",
                "if slot.due > since)",
            ),
        ),
    ),
    _plant(
        "a slot that a clock change skips is made late",
        "worker/schedule.py",
        "    return due.replace(second=0, microsecond=0)\n",
        "    return due.replace(second=0, microsecond=0) + timedelta(minutes=30)\n",
    ),
    _plant(
        "a slot that a clock change skips is never made",
        "worker/schedule.py",
        "            if last is None or due > last:\n",
        "            if due.astimezone(zone).replace(tzinfo=None) == local and (last is None or due > last):\n",
    ),
    _plant(
        "a slot that a clock change repeats is made at its second occurrence",
        "worker/schedule.py",
        "    due = local.replace(tzinfo=zone, fold=0).astimezone(UTC)\n",
        "    due = local.replace(tzinfo=zone, fold=1).astimezone(UTC)\n",
    ),
    _plant(
        "a slot that a clock change repeats is made twice",
        "worker/schedule.py",
        '                yield Slot(local.isoformat(timespec="minutes"), due)\n',
        '                yield Slot(local.isoformat(timespec="minutes"), due)\n'
        "                if (again := local.replace(tzinfo=zone, fold=1).astimezone(UTC)) > due:\n"
        "                    yield Slot(local.isoformat(), again)\n",
    ),
    Planted(
        "a job that plans itself for at once is dropped",
        (
            Edit("worker/tasks.py", "            max_instances=3,\n", "            max_instances=1,\n"),
            Edit(
                "worker/worker.py", "self._plan_poll(max(exc.after, LEAST_POLL_SECONDS))", "self._plan_poll(exc.after)"
            ),
        ),
    ),
)

"""Whether the proof can fail: the service is broken on purpose, in a copy, and a seed has to find it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.crossing import PAIRS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("function_app.py", "host.json", "functions", "shared", "dev", "tests")
SECONDS = 300
"""For the search."""

SEEDS = ("--seeds", "200", "--stride", "0", "--crossings", "0")
"""The search where no crossing of two executions is known to find it."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One sentence, the module, what of it is replaced by what, and the crossings that find it.

    The crossings are those of `PAIRS` with this text; empty: random seeds find it.
    """

    name: str
    module: str
    old: str
    new: str
    pair: str = ""

    @property
    def search(self) -> tuple[str, ...]:
        """The arguments that search for it."""
        if not self.pair:
            return SEEDS
        return (
            "--seeds",
            "0",
            "--stride",
            "0",
            "--pair",
            str([str(pair) for pair in PAIRS].index(self.pair)),
        )


MUTATIONS = (
    Mutation(
        "whoever subscribes leaves no mark that a reading has to follow",
        "shared/sync/subscribing.py",
        "            await self.users.set_read_requested(guid, self.clock())\n",
        "",
        "subscribe (move) x replicate (rename_another)",
    ),
    Mutation(
        "presences are acknowledged before they are sent",
        "shared/sync/publishing.py",
        "        outcomes = await session.set_presences(",
        "        await self.presences.acknowledge(page, self.clock())\n"
        "        outcomes = await session.set_presences(",
        "publish (change) x replicate (rename_another)",
    ),
    Mutation(
        "the due hint is forgotten after a reading",
        "shared/sync/presenting.py",
        "        if due_at is not None and due_at != agenda.due_at:",
        "        if False:",
        "sync (change_before_boundary) x tick (pass_boundary)",
    ),
    Mutation(
        "the due hint is forgotten after a tick",
        "shared/sync/presenting.py",
        "        await self.due.schedule_all(moments)",
        "        await self.due.schedule_all([])",
    ),
    Mutation(
        "a renewed subscription is not followed by a reading",
        "shared/sync/subscribing.py",
        "        await self.queues.read(found, reason)",
        "        await self.queues.read([], reason)",
        "subscribe (move) x sync (read)",
    ),
    Mutation(
        "what is being sent is not marked",
        "shared/state/outbox.py",
        '_keys(pending.guid) | {"sending": True}',
        '_keys(pending.guid) | {"sending": False}',
        "publish (change) x sync (change_back)",
    ),
    Mutation(
        "a reading is marked as asked for before its message is sent, for ever",
        "shared/sync/notification.py",
        '        await self.queues.read([user.user.guid], "changed", COALESCE)\n'
        "        await self.users.set_read_requested(user.user.guid, now)",
        "        await self.users.set_read_requested(user.user.guid, now)\n"
        '        await self.queues.read([user.user.guid], "changed", COALESCE)',
        "notification (change) x replicate (rename_another)",
    ),
    Mutation(
        "a user's record is removed before the presence is withdrawn",
        "shared/sync/leaving.py",
        "        waits = await self.clear(guid)\n        await self.users.remove(guid)",
        "        await self.users.remove(guid)\n        waits = await self.clear(guid)",
        "replicate (leave) x sync (change)",
    ),
    Mutation(
        "the request for a reading is taken back after the reading",
        "shared/sync/reading.py",
        "            await self.users.set_read_requested(guid, None)\n"
        "        for _ in range(_ATTEMPTS):\n"
        "            before = await self.agendas.get(guid)\n"
        "            agenda = await self._fetch(user, before, rules)\n",
        "            pass\n"
        "        for _ in range(_ATTEMPTS):\n"
        "            before = await self.agendas.get(guid)\n"
        "            agenda = await self._fetch(user, before, rules)\n"
        "            await self.users.set_read_requested(guid, None)\n",
        "sync (change) x sync (change_again)",
    ),
    Mutation(
        "an agenda is stored whatever was stored meanwhile",
        "shared/state/agendas.py",
        "        if agenda.etag:\n            etag = await self._table.replace(entity, agenda.etag)",
        "        if agenda.etag:\n            await self._table.put(entity)\n            etag = agenda.etag",
        "sync (change_before_boundary) x sync (change)",
    ),
    Mutation(
        "an earlier presence wins over a later one",
        "shared/state/outbox.py",
        'entity["order"] > wish.order',
        'entity["order"] < ""',
        "sync (change) x sync (change_again)",
    ),
    Mutation(
        "users who are away from Exchange are not asked for again",
        "shared/sync/reading.py",
        "            await self.queues.read(users, reason, delay)",
        "            pass",
    ),
    Mutation(
        "who left while being presented is not cleared",
        "shared/sync/presenting.py",
        "        if (waits or agenda.version == 1) and await self.farewell.find_left([user.guid]):",
        "        if False:",
        "sync (change) x replicate (leave)",
    ),
    Mutation(
        "who left while many were presented is not cleared",
        "shared/sync/presenting.py",
        "        for guid in await self.farewell.find_left(waiting):",
        "        for guid in list[str]():",
        "tick (pass_boundary) x replicate (leave)",
    ),
    Mutation(
        "what was wanted while a publisher worked is not looked at",
        "shared/sync/publishing.py",
        "            if await self.leases.release(turn.lease):",
        "            if await self.leases.release(turn.lease) and False:",
        "publish (change) x sync (change_again)",
    ),
    Mutation(
        "nobody stands in for those who wait behind a killed publisher",
        "shared/sync/publishing.py",
        "            if lease.after is not None:",
        "            if False:",
        "publish (change) x sync (change_again)",
    ),
    Mutation(
        "a configuration saved while another is applied is not looked at",
        "shared/sync/applying.py",
        "            if await self.leases.release(turn.lease):",
        "            if await self.leases.release(turn.lease) and False:",
        "configure (translate) x configure (translate_again)",
    ),
    Mutation(
        "a reading does not look whether its configuration was replaced",
        "functions/workers.py",
        "        _count(calendar.metrics, readings.rest)\n"
        "        await calendar.applier.catch_up(configuration, work.users)\n",
        "        _count(calendar.metrics, readings.rest)\n",
        "sync (change) x configure (translate)",
    ),
    Mutation(
        "a tick does not look whether its configuration was replaced",
        "functions/timers.py",
        "        await calendar.applier.catch_up(configuration, everybody=[Effect.PRESENT])\n",
        "",
        "tick (pass_boundary) x configure (translate)",
    ),
    Mutation(
        "a presence that is wanted after the end of the service is told",
        "shared/sync/publishing.py",
        "                if ended and (",
        "                if False and (",
        "tick (pass_boundary) x configure (disable)",
    ),
    Mutation(
        "an exclusion that is broken off is not finished",
        "shared/sync/upkeep.py",
        "            if user.clearing and await",
        "            if False and await",
        "exclude (exclude) x sync (change)",
    ),
    Mutation(
        "a reading that came between boundary and tick is not presented again",
        "shared/sync/presenting.py",
        "        if due_at is not None and due_at <= self.clock():",
        "        if False:",
        "sync (change_before_boundary) x tick (pass_boundary)",
    ),
)


def run_mutations(word: str = "") -> int:
    """Try each with this word; the exit status is 1 where one was not found or does not fit the code."""
    missed = 0
    for mutation in [mutation for mutation in MUTATIONS if word in mutation.name]:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            copy = Path(folder)
            for name in COPIED:
                source = ROOT / name
                if source.is_dir():
                    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
                    shutil.copytree(source, copy / name, ignore=ignored)
                else:
                    shutil.copy(source, copy / name)
            module = copy / mutation.module
            text = module.read_text()
            if text.count(mutation.old) != 1:
                print(f"does not fit the code: {mutation.name}")
                missed += 1
                continue
            module.write_text(text.replace(mutation.old, mutation.new))
            missed += not _is_found(mutation, copy)
    return int(missed > 0)


def _is_found(mutation: Mutation, copy: Path) -> bool:
    """Search in the broken copy; what fails there must not fail here."""
    began = time.monotonic()
    done = _run(copy, "--failures=1", f"--seconds={SECONDS}", *mutation.search)
    lines = done.stdout.splitlines()
    replay = next((line.split("'")[1] for line in lines if line.startswith("replay it")), "")
    if done.returncode != 1 or not replay:
        print(f"NOT FOUND: {mutation.name}", done.stderr[-2000:], flush=True)
        return False
    if _run(ROOT, *replay.split()).returncode:
        print(f"NOT FOUND: {mutation.name}: {replay} fails without it, too", flush=True)
        return False
    problem = next((line for line in lines[::-1] if "shows" in line or "never" in line), "")
    seconds = time.monotonic() - began
    print(f"found in {seconds:.0f} s: {mutation.name}: {replay} {mutation.pair} {problem[:110]}", flush=True)
    return True


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

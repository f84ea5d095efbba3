"""Whether the proof can fail: the service is broken on purpose, in a copy, and a seed has to find it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("function_app.py", "host.json", "functions", "shared", "dev", "tests")
SEEDS = 200
SECONDS = 150
"""For each of the two parts of the search."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One sentence, the module, and what of it is replaced by what."""

    name: str
    module: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "presences are acknowledged before they are sent",
        "shared/sync/publishing.py",
        "        outcomes = await session.set_presences(",
        "        await self.presences.acknowledge(page, self.clock())\n"
        "        outcomes = await session.set_presences(",
    ),
    Mutation(
        "the due hint is forgotten after a reading",
        "shared/sync/presenting.py",
        "        if due_at is not None and due_at != agenda.due_at:",
        "        if False:",
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
    ),
    Mutation(
        "what is being sent is not marked",
        "shared/state/outbox.py",
        '_keys(pending.guid) | {"sending": True}',
        '_keys(pending.guid) | {"sending": False}',
    ),
    Mutation(
        "a reading is marked as asked for before its message is sent, for ever",
        "shared/sync/notification.py",
        '        await self.queues.read([user.user.guid], "changed", COALESCE)\n'
        "        await self.users.set_read_requested(user.user.guid, now)",
        "        await self.users.set_read_requested(user.user.guid, now)\n"
        '        await self.queues.read([user.user.guid], "changed", COALESCE)',
    ),
    Mutation(
        "a user's record is removed before the presence is withdrawn",
        "shared/sync/leaving.py",
        "        waits = await self.clear(guid)\n        await self.users.remove(guid)",
        "        await self.users.remove(guid)\n        waits = await self.clear(guid)",
    ),
    Mutation(
        "the request for a reading is taken back after the reading",
        "shared/sync/reading.py",
        "            await self.users.set_read_requested(guid, None)\n",
        "            pass\n",
    ),
    Mutation(
        "an agenda is stored whatever was stored meanwhile",
        "shared/state/agendas.py",
        "        if agenda.etag:\n            etag = await self._table.replace(entity, agenda.etag)",
        "        if agenda.etag:\n            await self._table.put(entity)\n            etag = agenda.etag",
    ),
    Mutation(
        "an earlier presence wins over a later one",
        "shared/state/outbox.py",
        'entity["order"] > wish.order',
        'entity["order"] < ""',
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
    ),
)


def run_mutations() -> int:
    """Try each; the exit status is 1 where one was not found or does not fit the code any more."""
    missed = 0
    for mutation in MUTATIONS:
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
    command = [sys.executable, "-m", "tests.faults", "--failures", "1"]
    for part in (["--seeds", str(SEEDS), "--stride", "0"], ["--seeds", "0", "--stride", "1"]):
        done = subprocess.run(
            [*command, "--seconds", str(SECONDS), *part],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 1 and "replay it" in done.stdout:
            replay = next(line for line in done.stdout.splitlines() if line.startswith("replay it"))
            problem = next(
                (line for line in done.stdout.splitlines()[::-1] if "shows" in line or "never" in line), ""
            )
            print(f"found: {mutation.name}: {replay.partition('=')[2]} {problem[:110]}", flush=True)
            return True
        if done.returncode:
            print(done.stderr[-2000:])
    print(f"NOT FOUND: {mutation.name}", flush=True)
    return False

"""Two executions that cross: one is held before each of its calls in turn, while something else happens.

What happens starts another execution, as a rule, which runs to its end. Then the first one goes on, at
once or when all that followed from the other is done, or it never does, because its worker is killed.
Whichever it is, soon afterwards every presence must be right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum

from shared.model import Appointment, User
from shared.state.queues import Work
from tests.faults.chaos import Chaos, Fault, Gate
from tests.faults.life import BEGINNINGS, MINUTE
from tests.faults.memory import MemoryTables
from tests.faults.pbx import member
from tests.faults.run import Verdict, conclude, run
from tests.faults.world import World, seed_jitter

ANNA, BERT, CARL = "a" * 32, "b" * 32, "c" * 32
SECOND = timedelta(seconds=1)

SETTLED = 3 * MINUTE
"""After which all users are replicated, subscribed to, read and presented."""

SOON, LATE = 5 * MINUTE, 90 * MINUTE
"""When an appointment of Anna's begins. One that begins soon would hide what is wrong until then."""

_LONGEST = 8 * SECOND
"""How long is waited for an execution that what happens may have started."""

_AFTERWARDS = 15 * SECOND
"""In which what follows from an execution is done."""


class Ending(IntEnum):
    """What becomes of the one that was held."""

    AT_ONCE = 0
    AFTERWARDS = 1
    NEVER = 2


_SOON = 90 * SECOND
"""After which everything must be right."""

_ALONE = 55 * SECOND
"""The same before anybody notices that the timers stand still."""

_SOON_WITHOUT = 3 * MINUTE
"""The same where the worker was killed and somebody else sees to it: see `_find_limit`."""

_IN_THE_END = 16 * MINUTE
"""The same where nobody does: the message of a worker that was killed comes again after ten minutes."""


class Stage:
    """A world with three users, and what may happen in it.

    Anna's first appointment begins at ``boundary``. Carl never has one: the PBX must not hear of him.
    """

    def __init__(self, world: World, boundary: timedelta) -> None:
        self.world = world
        self._boundary = boundary
        world.exchange.add_mailbox("anna@example.com", [self._first])
        world.exchange.add_mailbox("other@example.com", [self._appointment("of another", -30, 90)])
        world.exchange.add_mailbox("bert@example.com", [self._appointment("of Bert", -30, 90)])
        world.exchange.add_mailbox("carl@example.com", [])
        world.pbx.put(member(CARL, "carl", "carl@example.com"))
        world.pbx.put(member(ANNA, "anna", "anna@example.com"))
        world.pbx.put(member(BERT, "bert", "bert@example.com"))

    @property
    def _first(self) -> Appointment:
        return self._appointment("first", self._boundary // MINUTE, 100)

    def _appointment(self, subject: str, begin: int, end: int) -> Appointment:
        start = BEGINNINGS[0]
        return Appointment(subject, start + begin * MINUTE, start + end * MINUTE, subject)

    async def change(self) -> None:
        """Anna is in a meeting, from now on."""
        self.world.exchange.change("anna@example.com", [self._appointment("second", -5, 70)])

    async def change_again(self) -> None:
        """Anna is in another meeting."""
        self.world.exchange.change("anna@example.com", [self._appointment("third", -5, 80)])

    async def change_back(self) -> None:
        """Anna's calendar is as it was in the beginning."""
        self.world.exchange.change("anna@example.com", [self._first])

    async def change_before_boundary(self) -> None:
        """Ten seconds before Anna's appointment begins another one is entered, for later."""
        await self.world.sleep_until(BEGINNINGS[0] + self._boundary - 10 * SECOND)
        later = self._appointment("later", 200, 220)
        self.world.exchange.change("anna@example.com", [self._first, later])

    async def pass_boundary(self) -> None:
        """Anna's appointment begins, and the minute's tick comes."""
        await self.world.sleep_until(BEGINNINGS[0] + self._boundary)
        await asyncio.sleep(0.001)
        self.world.host.start_timer("tick")

    async def leave(self) -> None:
        """Anna leaves the scope."""
        self._put(replace(self._anna, groups=()))
        await self._ask("directory")

    async def come_back(self) -> None:
        """Anna is in scope again."""
        self._put(member(ANNA, "anna", *self._anna.emails))
        await self._ask("directory")

    async def move(self) -> None:
        """Anna has another mailbox."""
        self._put(replace(self._anna, emails=("other@example.com",)))
        await self._ask("directory")

    async def rename(self) -> None:
        """Anna has another user name."""
        self._put(replace(self._anna, sip="anna2"))
        await self._ask("directory")

    async def rename_another(self) -> None:
        """Bert has another user name: what concerns Anna goes on alone."""
        self._put(member(BERT, "bert2", "bert@example.com"))
        await self._ask("directory")

    async def exclude(self) -> None:
        """An administrator keeps Anna out."""
        self.world.exclude(ANNA, True)

    async def translate(self) -> None:
        """Another language is chosen."""
        self.world.save("presence", language="de")

    async def translate_again(self) -> None:
        """Yet another language is chosen."""
        self.world.save("presence", language="fr")

    async def disable(self) -> None:
        """The service is disabled."""
        self.world.save("exchange", sync_type="disabled")

    async def read(self) -> None:
        """Anna is read on demand."""
        await self._ask("sync", ANNA)

    @property
    def _anna(self) -> User:
        anna = self.world.pbx.user(ANNA)
        assert anna is not None
        return anna

    def _put(self, user: User) -> None:
        self.world.pbx.put(user)

    async def _ask(self, queue: str, *users: str) -> None:
        await self.world.host.queues.get_queue_client(queue).send_message(Work(users, "asked").text())


@dataclass(frozen=True, slots=True)
class Pair:
    """What starts the execution of ``first``, which is held, and what then happens and starts ``second``.

    ``alone``: what follows must be right without the timers, which notice in a minute what was forgotten.
    """

    first: str
    start: str
    second: str
    meanwhile: str
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.first} ({self.start}) x {self.second} ({self.meanwhile})"


PAIRS = (
    Pair("sync", "change", "sync", "change_again"),
    Pair("sync", "change", "sync", "change_back"),
    Pair("sync", "read", "notification", "change"),
    Pair("sync", "change", "replicate", "leave"),
    Pair("sync", "change", "subscribe", "move"),
    Pair("sync", "change", "replicate", "rename"),
    Pair("sync", "change_before_boundary", "tick", "pass_boundary"),
    Pair("sync", "change_before_boundary", "sync", "change"),
    Pair("sync", "change", "exclude", "exclude"),
    Pair("sync", "change", "configure", "translate"),
    Pair("sync", "change", "configure", "disable"),
    Pair("tick", "pass_boundary", "sync", "change"),
    Pair("tick", "pass_boundary", "replicate", "leave"),
    Pair("tick", "pass_boundary", "configure", "translate"),
    Pair("publish", "change", "sync", "change_back"),
    Pair("publish", "change", "sync", "change_again"),
    Pair("publish", "change", "replicate", "leave"),
    Pair("publish", "change", "replicate", "rename_another"),
    Pair("publish", "change", "configure", "disable"),
    Pair("notification", "change", "sync", "read"),
    Pair("notification", "change", "sync", "change_again"),
    Pair("notification", "change", "replicate", "leave"),
    Pair("notification", "change", "replicate", "rename_another"),
    Pair("replicate", "leave", "sync", "change"),
    Pair("replicate", "leave", "replicate", "come_back"),
    Pair("replicate", "move", "sync", "change"),
    Pair("subscribe", "move", "replicate", "leave"),
    Pair("subscribe", "move", "sync", "read"),
    Pair("subscribe", "move", "replicate", "rename_another"),
    Pair("configure", "translate", "sync", "change"),
    Pair("configure", "translate", "tick", "pass_boundary"),
    Pair("configure", "disable", "sync", "change"),
    Pair("configure", "translate", "configure", "translate_again", alone=True),
    Pair("exclude", "exclude", "sync", "change"),
    Pair("tick", "pass_boundary", "configure", "disable"),
    Pair("subscribe", "move", "configure", "disable"),
    Pair("replicate", "rename", "configure", "disable"),
)

_PAIR, _ENDING = 10_000, 1_000


def run_crossing(number: int) -> Verdict:
    """One crossing: ten thousands are the pair, thousands the ending, the rest is the call."""
    pair, rest = divmod(number, _PAIR)
    ending, call = divmod(rest, _ENDING)
    return run(lambda loop: _cross(PAIRS[pair], call, Ending(ending), number))


def crossing_of(pair: int, ending: Ending = Ending.AT_ONCE, call: int = 0) -> int:
    """The number of a crossing; where ``call`` is 0 nothing is held."""
    return pair * _PAIR + ending * _ENDING + call


def crossings(calls: Mapping[int, int]) -> Iterator[int]:
    """The numbers of all crossings of these pairs, whose first executions make so many calls."""
    for pair, count in calls.items():
        for ending in Ending:
            for call in range(1, count + 1):
                yield crossing_of(pair, ending, call)


async def _cross(pair: Pair, call: int, ending: Ending, number: int) -> Verdict:
    seed_jitter(0)
    start = BEGINNINGS[0]
    world = World(lambda clock: Chaos(0, {}, clock), start, MemoryTables())
    host = world.host
    stage = Stage(world, SOON if "boundary" in f"{pair}" else LATE)
    async with world.running():
        await world.sleep_until(start + SETTLED)
        host.timers_stopped = True
        await world.sleep_until(start + SETTLED + MINUTE / 2)
        gate = world.chaos.gate = Gate(pair.first, call or _ENDING)
        ended = host.ended[pair.first]
        await getattr(stage, pair.start)()
        await _until(lambda: gate.held.is_set() or host.ended[pair.first] > ended)
        world.chaos.say(f"! held is {pair} before call {gate.calls}" if gate.held.is_set() else "not held")
        ended = host.ended[pair.second]
        await getattr(stage, pair.meanwhile)()
        await _until(lambda: host.ended[pair.second] > ended)
        if ending is not Ending.AT_ONCE:
            await asyncio.sleep(_AFTERWARDS.total_seconds())
        if ending is Ending.NEVER:
            world.chaos.note(Fault.KILLED_BEFORE, pair.first)
            gate.kill()
        world.chaos.say("! goes on")
        gate.opened.set()
        host.timers_stopped = pair.alone
        await asyncio.sleep(_find_limit(pair, ending).total_seconds())
        now = world.clock()
        verdict = Verdict(number, [f"{now:%d %H:%M:%S} {text}" for text in world.oracle.faults(now)])
        verdict.problems += [
            f"Carl was given {t.activity, t.note}" for t in world.pbx.taken if t.guid == CARL
        ]
        conclude(world, verdict)
        verdict.number = gate.calls
        return verdict


def _find_limit(pair: Pair, ending: Ending) -> timedelta:
    """After which everything must be right."""
    if ending is not Ending.NEVER:
        return _ALONE if pair.alone else _SOON
    # Exchange tries a notification again in half a minute. A publisher's lease lasts for two, and then the
    # presence that the other one wants is told, and all that waits with it.
    soon = pair.first == "notification" or (pair.first, pair.second) == ("publish", "sync")
    return _SOON_WITHOUT if soon else _IN_THE_END


async def _until(condition: Callable[[], bool]) -> None:
    step = 0.02
    for _ in range(int(_LONGEST.total_seconds() / step)):
        if condition():
            return
        await asyncio.sleep(step)

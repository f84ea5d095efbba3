"""A changed configuration takes effect: for everybody, in steps that can be resumed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched
from typing import Protocol

from shared.errors import StateConflict
from shared.model import CalendarUser, MailboxState
from shared.presence import PresenceRules, redact
from shared.pseudonym import pseudonym
from shared.settings import Configuration
from shared.sync.changes import (
    PER_USER,
    Effect,
    Fingerprint,
    State,
    blend,
    find_effects,
    suffices,
    take_fingerprint,
)
from shared.sync.interfaces import (
    GROUP,
    PARTITIONS,
    Agendas,
    Clock,
    Health,
    Lease,
    Leases,
    Presences,
    Users,
    Wanted,
    WorkQueues,
)
from shared.sync.leaving import Farewell
from shared.sync.presenting import Presenter
from shared.sync.subscribing import is_resolved

_log = logging.getLogger(__name__)

TASK = "configure"

_LEASE = timedelta(minutes=10)
_LONGEST = timedelta(minutes=4)
"""After which a run goes on in another execution: one may take ten minutes."""

_RATE = 50
"""Users a second, lest everybody meets Exchange at once."""

_FORGETTING = frozenset({Effect.RETIRE, Effect.FORGET_MAILBOXES, Effect.END_SUBSCRIPTIONS})
"""What no reading makes good where it failed."""

_SIDE_BY_SIDE = 32
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Applied:
    """How far the configuration has been applied.

    Everybody is as after ``base``, but while there is a ``target`` those of the first ``done`` partitions
    are as after that; -1 where not even that was done which concerns nobody alone. ``extra`` is what was
    asked for besides.
    """

    base: Fingerprint
    target: Fingerprint | None = None
    extra: frozenset[Effect] = frozenset()
    done: int = 0
    etag: str = ""

    @property
    def effects(self) -> frozenset[Effect]:
        """What has to be done."""
        return (find_effects(self.base, self.target) if self.target else frozenset()) | self.extra


class AppliedRecord(Protocol):
    """Where that is kept."""

    async def get(self) -> Applied | None: ...
    async def put(self, progress: Applied) -> Applied:
        """Store it in place of the one that was read. Raises StateConflict."""


class Configurations(Protocol):
    """Where the configuration is kept."""

    async def load(self) -> Configuration: ...


class Pauses(Protocol):
    """The pause in which Exchange is left alone, over all instances."""

    async def reset(self) -> None: ...


class Searches(Protocol):
    """The pause after a search for Exchange that failed."""

    async def end_pause(self, now: datetime) -> None: ...


class _Wish(StrEnum):
    """What one user needs of Exchange."""

    NOTHING = ""
    READ = "read"
    SUBSCRIBE = "subscribe"


@dataclass(slots=True)
class _Turn:
    """The lease as it was last renewed, and when the run goes on in another execution."""

    lease: Lease
    end: datetime


@dataclass(slots=True)
class _Work:
    """What is asked for in the course of a run."""

    asked: int = 0
    users: dict[_Wish, list[str]] = field(default_factory=dict)
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class Applier:
    """Has the configuration take effect.

    ``sign`` is the keyed hash by which secrets are compared.
    """

    config: Configurations
    applied: AppliedRecord
    users: Users
    agendas: Agendas
    presences: Presences
    presenter: Presenter
    farewell: Farewell
    budget: Pauses
    searches: Searches
    health: Health
    leases: Leases
    queues: WorkQueues
    sign: Callable[[str], str]
    clock: Clock

    async def notice(self, configuration: Configuration) -> bool:
        """Ask for a run where this configuration is not the one that was applied; tell whether it is not."""
        progress = await self.applied.get()
        behind = (
            progress is None
            or progress.target is not None
            or bool(progress.extra)
            or progress.base != take_fingerprint(configuration, self.sign)
        )
        if behind:
            await self.queues.configure("noticed")
        return behind

    async def publish_rest(self) -> None:
        """While nothing is read nobody else sees to it that the PBX is told what still waits."""
        trouble = await self.health.trouble("pbx")
        if (trouble is None or trouble.retry_at <= self.clock()) and await self.presences.waits():
            await self.queues.publish("rest")

    async def ask(self, effects: Collection[Effect], reason: str) -> None:
        """Have the present configuration applied, and these effects done besides.

        What concerns no single user is done at once.
        """
        await self._begin(frozenset(effects))
        await self.queues.configure(reason)

    async def run(self) -> int:
        """Apply what has not been applied; return for how many users Exchange was asked.

        A run that was killed is resumed at the partition it had come to; while it lasts, a newer
        configuration starts it anew. Nothing is done where another run works: that asks for one after it.
        """
        lease = await self.leases.acquire_or_want(TASK, self.clock(), _LEASE)
        if isinstance(lease, Wanted):
            if lease.after is not None:
                await self.queues.configure("another run was killed", lease.after)
            return 0
        turn = _Turn(lease, self.clock() + _LONGEST)
        work = _Work()
        try:
            while (begun := await self._begin()) is not None:
                if not await self._go_on(*begun, turn, work):
                    await self.queues.configure("goes on")
                    break
        finally:
            if await self.leases.release(turn.lease):
                await self.queues.configure("wanted meanwhile")
        return work.asked

    async def catch_up(
        self, used: Configuration, guids: Sequence[str] = (), everybody: Collection[Effect] = ()
    ) -> bool:
        """After work with a configuration: if it was replaced meanwhile, bring that work up to date.

        Where the service was disabled meanwhile and that is missed, the publisher clears what it finds.
        ``guids`` are the users who were worked on; where they are not known, ``everybody`` names the effects
        that are done again for all. Tells whether anything was to be done.
        """
        present = await self.config.load()
        if present is used:
            return False
        effects = find_effects(take_fingerprint(used, self.sign), take_fingerprint(present, self.sign))
        await self._apply_at_once(effects)
        work = _Work()
        known = [user for guid in guids if (user := await self.users.get(guid)) is not None]
        failure = await self._apply_to(known, effects, present.presence.rules, work)
        await self._send(work)
        if failure is not None:
            raise failure
        if again := effects & frozenset(everybody):
            await self.ask(again, "changed meanwhile")
        return bool(effects)

    async def _begin(self, extra: frozenset[Effect] = frozenset()) -> tuple[Applied, Configuration] | None:
        """What has to be done for the present configuration, stored; None where nothing has."""
        while True:
            configuration = await self.config.load()
            target = take_fingerprint(configuration, self.sign)
            # Where nothing was ever applied, nothing was ever done.
            found = await self.applied.get() or Applied(replace(target, state=State.DISABLED))
            progress = replace(found, extra=found.extra | extra)
            if progress.target is None:
                if not progress.extra and found.etag and progress.base == target:
                    return None
                progress = replace(progress, target=target, done=-1)
            elif progress.target != target:
                mixed = blend(progress.base, progress.target)
                progress = replace(progress, base=mixed, target=target, done=-1)
            elif extra:
                progress = replace(progress, done=-1)
            try:
                if progress != found:
                    progress = await self.applied.put(progress)
                if progress.done < 0:
                    await self._apply_at_once(progress.effects)
                    progress = await self.applied.put(replace(progress, done=0))
            except StateConflict:
                continue
            return progress, configuration

    async def _go_on(self, progress: Applied, configuration: Configuration, turn: _Turn, work: _Work) -> bool:
        """Apply to all partitions that are left, or until there is a newer configuration.

        False where the time is over, or the lease lost. Where something failed that no reading mends all else
        is done, and this raised: the next run begins with that partition.
        """
        effects = progress.effects & PER_USER
        rules = configuration.presence.rules
        failure: Exception | None = None
        try:
            for number in range(progress.done, len(PARTITIONS) if effects else 0):
                partition = PARTITIONS[number]
                if Effect.TELL_ANEW in effects:
                    work.waiting = await self.presences.doubt(partition)
                members = [user async for user in self.users.in_partition(partition)]
                failure = await self._apply_to(members, effects, rules, work) or failure
                await self._send(work)
                if failure is None:
                    progress = await self.applied.put(replace(progress, done=number + 1))
                held = await self.leases.renew(turn.lease, self.clock(), _LEASE)
                if held is None:
                    return False
                turn.lease = held
                if self.clock() >= turn.end:
                    return False
                if take_fingerprint(await self.config.load(), self.sign) != progress.target:
                    return True
            if failure is not None:
                raise failure
            assert progress.target is not None
            await self.applied.put(Applied(progress.target, etag=progress.etag))
            _log.info("configuration applied", extra={"effects": sorted(progress.effects)})
        except StateConflict:
            _log.info("configuration changed meanwhile")
        return True

    async def _apply_at_once(self, effects: Collection[Effect]) -> None:
        if Effect.END_EXCHANGE_PAUSE in effects:
            await self.searches.end_pause(self.clock())
            await self.health.set_trouble("exchange", None)
            await self.budget.reset()
        if Effect.END_PBX_PAUSE in effects:
            await self.health.set_trouble("pbx", None)
            if Effect.TELL_ANEW not in effects:
                # Else what waits is first looked through: not all of it is for the other PBX.
                await self.queues.publish("configuration")
        if Effect.REPLICATE in effects:
            await self.queues.replicate("configuration")

    async def _apply_to(
        self, users: Sequence[CalendarUser], effects: Collection[Effect], rules: PresenceRules, work: _Work
    ) -> Exception | None:
        """Apply to each of these users; why it has to be repeated, if it has."""
        failures: list[Exception] = []

        async def apply(user: CalendarUser) -> _Wish:
            try:
                return await self._apply_to_one(user, effects, rules, work)
            except StateConflict:
                return _Wish.NOTHING  # who has left
            except Exception as error:
                # One user's record must not stop the others'; a fresh reading mends an agenda.
                _log.error("user failed", extra={"user": pseudonym(user.user.guid)}, exc_info=error)
                if not _FORGETTING.isdisjoint(effects):
                    failures.append(error)
                return _Wish.READ

        for group in batched(users, _SIDE_BY_SIDE, strict=False):
            wishes = await asyncio.gather(*map(apply, group))
            for user, wish in zip(group, wishes, strict=True):
                work.users.setdefault(wish, []).append(user.user.guid)
        return failures[0] if failures else None

    async def _apply_to_one(
        self, user: CalendarUser, effects: Collection[Effect], rules: PresenceRules, work: _Work
    ) -> _Wish:
        guid = user.user.guid
        if Effect.RETIRE in effects:
            # First what has Exchange's notifications answered with the end of the subscription.
            await self.users.forget_mailbox(guid)
            if await self.farewell.clear(guid):
                work.waiting = guid
            return _Wish.NOTHING
        if not user.is_active:
            return _Wish.NOTHING
        if Effect.FORGET_MAILBOXES in effects:
            await self.users.forget_mailbox(guid)
        elif Effect.END_SUBSCRIPTIONS in effects:
            await self.users.set_subscription(guid, None)
        lacking = False
        if Effect.PRESENT in effects:
            waits, lacking = await self._present(user, rules, rank=Effect.RANK in effects)
            if waits:
                work.waiting = guid
        return _find_wish(user, effects, lacking=lacking)

    async def _present(self, user: CalendarUser, rules: PresenceRules, *, rank: bool) -> tuple[bool, bool]:
        """Compose from the stored agenda; tell whether something waits now, and whether it lacks anything.

        Subjects that are not shown any more are dropped from it.
        """
        guid = user.user.guid
        for _ in range(_ATTEMPTS):
            agenda = await self.agendas.get(guid)
            if agenda is None:
                return False, False
            lacking = not suffices(agenda, rules, rank=rank)
            redacted = tuple(redact(appointment, rules) for appointment in agenda.appointments)
            if redacted == agenda.appointments:
                return await self.presenter.present_again(user.user, rules), lacking
            try:
                fresh = replace(agenda, appointments=redacted)
                return await self.presenter.present_new(user.user, fresh, rules), lacking
            except StateConflict:
                continue
        return False, True

    async def _send(self, work: _Work) -> None:
        """Ask for what has come together, spread over some time."""
        for wish, ask in ((_Wish.READ, self.queues.read), (_Wish.SUBSCRIBE, self.queues.subscribe)):
            for group in batched(work.users.get(wish, ()), GROUP, strict=False):
                await ask(group, "configuration", timedelta(seconds=work.asked // _RATE))
                work.asked += len(group)
        if work.waiting:
            await self.queues.publish("configuration", [work.waiting])
        work.users.clear()
        work.waiting = ""


def _find_wish(user: CalendarUser, effects: Collection[Effect], *, lacking: bool) -> _Wish:
    """What a user needs of Exchange after these effects on their records."""
    ended = Effect.FORGET_MAILBOXES in effects or Effect.END_SUBSCRIPTIONS in effects
    failed = (
        user.failure is not None
        or user.subscription_failure is not None
        or user.mailbox_state is not MailboxState.FOUND
    )
    if Effect.SUBSCRIBE in effects or (Effect.RETRY in effects and failed):
        # Who has a subscription would be passed over by whoever subscribes.
        subscribed = is_resolved(user) and user.subscription is not None and not ended
        return _Wish.READ if subscribed else _Wish.SUBSCRIBE
    if Effect.READ in effects:
        return _Wish.READ if is_resolved(user) else _Wish.SUBSCRIBE
    return _Wish.READ if lacking else _Wish.NOTHING

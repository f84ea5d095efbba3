"""Work against Exchange for several users at once, within the budget that all instances share."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.errors import CalendarError, ExchangeUnavailable, StateConflict
from shared.model import CalendarUser, Failure
from shared.pseudonym import pseudonym
from shared.sync.interfaces import Budget, Clock, Grant, Health, Pause, Users
from shared.sync.trouble import add_failure, find_pause

_log = logging.getLogger(__name__)

AT_ONCE = 4
"""Requests that one message may have under way."""

_LONGEST = timedelta(minutes=2)
"""After which a grant begins no further user: its slots end after five minutes, and a reading takes time."""

_CROWDED = timedelta(seconds=5)
"""After which a user whose record others keep changing is tried again."""

_BROKEN = timedelta(minutes=5)
"""After which a user is tried again whom this software fails to handle."""


@dataclass(slots=True)
class Rest:
    """The users who could not be handled now, by the time after which they are to be tried again.

    ``failed`` counts users whose own attempt failed, ``postponed`` those who had no turn; ``unavailable``
    means that Exchange failed as a whole.
    """

    users: dict[timedelta, list[str]] = field(default_factory=dict)
    failed: int = 0
    postponed: int = 0
    unavailable: bool = False

    def add(self, guid: str, delay: timedelta) -> None:
        """Have one more tried again."""
        self.users.setdefault(delay, []).append(guid)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Runs an action for each user with as many side by side as the budget grants."""

    budget: Budget
    users: Users
    health: Health
    clock: Clock

    async def each(
        self,
        guids: Sequence[str],
        act: Callable[[CalendarUser], Awaitable[None]],
        *,
        subscribing: bool = False,
    ) -> Rest:
        """Do ``act`` for each user who is still there. One who fails is recorded and never stops another.

        Reading and ``subscribing`` fail apart from each other. When Exchange as a whole fails nobody else is
        tried, and it is left alone for as long as it wants.
        """
        rest = Rest()
        trouble = await self.health.trouble("exchange")
        wanted = min(len(guids), AT_ONCE)
        # Where Exchange failed before, one goes ahead: a wrong password must not be tried by many.
        grant = await self.budget.acquire(wanted, self.clock(), probe=trouble is not None)
        if isinstance(grant, Pause):
            delay = grant.duration + timedelta(seconds=random.randint(0, 2))  # noqa: S311
            for guid in guids:
                rest.add(guid, delay)
            rest.postponed = len(guids)
            return rest
        begun = self.clock()
        waiting = list(reversed(guids))
        stopped: list[timedelta] = []  # for how long the rest must wait, once nobody begins another user
        failed: list[ExchangeUnavailable] = []

        async def work() -> None:
            while waiting and not stopped:
                # Another instance may have been told to wait.
                if (pause := await self.budget.pause(self.clock())) is not None:
                    stopped.append(pause.duration)
                elif self.clock() - begun >= _LONGEST:
                    stopped.append(timedelta(0))
                if stopped or not waiting:
                    return
                guid = waiting.pop()
                try:
                    await self._act(guid, act, rest, subscribing)
                except ExchangeUnavailable as error:
                    waiting.append(guid)
                    failed.append(error)
                    if len(failed) == 1:
                        await stop(error)

        async def stop(error: ExchangeUnavailable) -> None:
            """Tell the other instances at once; this one's last requests may take a while."""
            stopped.append(timedelta(0))
            pause = await self._note_trouble(error)
            stopped.append(pause)
            await self.budget.release(Grant(()), self.clock(), pause)

        try:
            workers = await asyncio.gather(*(work() for _ in grant.slots), return_exceptions=True)
            for failure in workers:
                if failure is not None:
                    raise failure
            for guid in waiting:
                rest.add(guid, max(stopped))
            rest.postponed = len(waiting)
            rest.unavailable = bool(failed)
            if trouble is not None and not stopped:
                await self.health.set_trouble("exchange", None)
                _log.info("exchange is back")
        finally:
            await self.budget.release(grant, self.clock(), None)
        return rest

    async def _act(
        self, guid: str, act: Callable[[CalendarUser], Awaitable[None]], rest: Rest, subscribing: bool
    ) -> None:
        store = self.users.set_subscription_failure if subscribing else self.users.set_failure
        try:
            user = await self.users.get(guid)
            if user is None or not user.is_active:
                return
            before = user.subscription_failure if subscribing else user.failure
            try:
                await act(user)
            except ExchangeUnavailable:
                raise
            except StateConflict:
                rest.add(guid, _CROWDED)
                return
            except Exception as error:
                rest.failed += 1
                failure = self._failure(user, before, error)
                await store(guid, failure)
                if failure.retry_at is not None:
                    rest.add(guid, failure.retry_at - self.clock())
                return
            if before is not None:
                await store(guid, None)
        except StateConflict:
            _log.info("user left meanwhile", extra={"user": pseudonym(guid)})

    def _failure(self, user: CalendarUser, before: Failure | None, error: Exception) -> Failure:
        now = self.clock()
        attempts = before.attempts + 1 if before else 1
        since = before.since if before else now
        if not isinstance(error, CalendarError):
            _log.error("user failed", extra={"user": pseudonym(user.user.guid)}, exc_info=error)
            return Failure(
                type(error).__name__,
                "An error in this software; see the log.",
                since,
                attempts,
                now + _BROKEN,
            )
        code = getattr(error, "code", type(error).__name__)
        _log.warning("user failed", extra={"user": pseudonym(user.user.guid), "code": code})
        retry_at = now + find_pause(error, attempts) if error.retry_after is not None else None
        return Failure(code, str(error), since, attempts, retry_at)

    async def _note_trouble(self, error: ExchangeUnavailable) -> timedelta:
        now = self.clock()
        trouble = add_failure(await self.health.trouble("exchange"), error, now)
        await self.health.set_trouble("exchange", trouble)
        _log.error("exchange unavailable", extra={"code": error.code, "reason": str(error)})
        return trouble.retry_at - now

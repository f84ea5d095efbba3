"""A model of Exchange: calendars with their history, push subscriptions, and its bad days."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from dev.exchange.notifications import (
    STATUS,
    Event,
    read_answer,
    write_error_notification,
    write_notification,
)
from dev.exchange.push import retry_times
from shared.errors import ExchangeBusy, ExchangeError, ExchangeUnavailable, MailboxError
from shared.model import Appointment
from tests.faults.chaos import Chaos, Fault
from tests.faults.process import Process

FREQUENCY = 30
"""Minutes between signs of life."""

CHANGED = Event("ModifiedEvent")

type Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Sends a body to an address and gives status and body of the answer; status 0 where there was none."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a calendar held from an instant on."""

    since: datetime
    appointments: tuple[Appointment, ...]


@dataclass(slots=True)
class Reading:
    """What was read, from which mailbox, and when it was so."""

    appointments: tuple[Appointment, ...]
    mailbox: str
    taken_at: datetime


@dataclass(slots=True)
class Subscription:
    """A push subscription."""

    id: str
    mailbox: str
    url: str
    number: int = 0
    pending: list[tuple[str, Event]] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Exchange:
    """All mailboxes. ``trouble`` makes the error that everybody gets, where there is one."""

    def __init__(self, chaos: Chaos, clock: Callable[[], datetime], post: Post) -> None:
        self.chaos = chaos
        self.clock = clock
        self.histories: dict[str, list[Version]] = {}
        self.aliases: dict[str, str] = {}
        self.trouble: Callable[[], ExchangeError] | None = None
        self.last_read: WeakKeyDictionary[asyncio.Task[Any], Reading] = WeakKeyDictionary()
        self.subscriptions: dict[str, Subscription] = {}
        self._post = post
        self._count = 0

    def add_mailbox(self, address: str, appointments: Sequence[Appointment], *aliases: str) -> None:
        """Create a mailbox."""
        self.histories[address] = [Version(self.clock(), tuple(appointments))]
        self.aliases |= dict.fromkeys((address, *aliases), address)

    def calendar(self, address: str) -> tuple[Appointment, ...]:
        """What a mailbox's calendar holds."""
        return self.histories[address][-1].appointments

    def change(self, address: str, appointments: Sequence[Appointment]) -> None:
        """Put other appointments into a calendar, and report it to the subscribers."""
        self.histories[address].append(Version(self.clock(), tuple(appointments)))
        for subscription in list(self.subscriptions.values()):
            if subscription.mailbox == address:
                self._enqueue(subscription, CHANGED)

    def lose_subscriptions(self) -> None:
        """Forget all subscriptions, as a restart does."""
        for subscription in list(self.subscriptions.values()):
            self._drop(subscription)

    def end_subscription(self, subscription: Subscription) -> None:
        """End one with an error notification."""
        self._drop(subscription)
        message = write_error_notification(subscription.id, "ErrorReadEventsFailed")
        task = asyncio.get_running_loop().create_task(self._say(subscription.url, message))
        _saying.add(task)
        task.add_done_callback(_saying.discard)

    def source(self, process: Process) -> CalendarPort:
        """The calendar source of one process."""
        return CalendarPort(self, process)

    def subscribe(self, mailbox: str, url: str) -> str:
        """Begin a subscription."""
        self._count += 1
        subscription = Subscription(f"S{self._count}", mailbox, url)
        self.subscriptions[subscription.id] = subscription
        subscription.task = asyncio.get_running_loop().create_task(self._serve(subscription))
        # Perhaps before the answer to Subscribe has come.
        self._enqueue(subscription, STATUS)
        return subscription.id

    def _drop(self, subscription: Subscription) -> None:
        if self.subscriptions.pop(subscription.id, None) and subscription.task is not None:
            subscription.task.cancel()

    def _enqueue(self, subscription: Subscription, event: Event) -> None:
        subscription.number += 1
        subscription.pending.append((str(subscription.number), event))
        subscription.wake.set()

    async def _serve(self, subscription: Subscription) -> None:
        while True:
            try:
                async with asyncio.timeout(FREQUENCY * 60):
                    await subscription.wake.wait()
            except TimeoutError:
                self._enqueue(subscription, STATUS)
            subscription.wake.clear()
            if not await self._deliver(subscription):
                break
        self.subscriptions.pop(subscription.id, None)

    async def _deliver(self, subscription: Subscription) -> bool:
        begun = self.clock()
        retries = retry_times(FREQUENCY)
        while True:
            await asyncio.sleep(self.chaos.delay(0.05, 2))
            if self.chaos.strikes(Fault.NOTIFICATION_DELAYED, subscription.mailbox):
                await asyncio.sleep(self.chaos.pick(1, 120))
            events = list(subscription.pending)
            message = write_notification(subscription.id, "0", events)
            if self.chaos.strikes(Fault.NOTIFICATION_DOUBLED, subscription.mailbox):
                await self._say(subscription.url, message)
            answer = await self._say(subscription.url, message)
            if answer == "OK":
                del subscription.pending[: len(events)]
                if not subscription.pending:
                    subscription.wake.clear()
                return True
            if answer == "Unsubscribe":
                return False
            retry = next(retries, None)
            if retry is None:
                return False
            await asyncio.sleep((begun + timedelta(minutes=retry) - self.clock()).total_seconds())

    async def _say(self, url: str, message: bytes) -> str:
        return read_answer(*await self._post(url, message))


_saying: set[asyncio.Task[str]] = set()


class CalendarPort:
    """Exchange as one worker process reaches it: shared.sync's ``CalendarSource``."""

    def __init__(self, exchange: Exchange, process: Process) -> None:
        self._exchange = exchange
        self._process = process

    async def find_mailbox(self, address: str) -> str | None:
        """The primary address, or None."""
        return await self._ask("find_mailbox", "", lambda: self._exchange.aliases.get(address))

    async def read(self, mailbox: str, start: datetime, end: datetime) -> Reading:
        """The appointments that overlap the window, as they are some time between question and answer."""

        def find() -> Reading:
            found = tuple(a for a in self._exchange.calendar(mailbox) if a.start < end and a.end > start)
            return Reading(found, mailbox, self._exchange.clock())

        reading = await self._ask("read", mailbox, find)
        task = asyncio.current_task()
        assert task is not None
        self._exchange.last_read[task] = reading
        return reading

    async def add_organizers(self, mailbox: str, reading: Reading, wanted: Sequence[str]) -> Reading:
        """The same: the model always gives organizers."""
        return await self._ask("add_organizers", mailbox, lambda: reading)

    async def subscribe(self, mailbox: str, callback_url: str) -> str:
        """Begin a subscription."""
        return await self._ask("subscribe", mailbox, lambda: self._exchange.subscribe(mailbox, callback_url))

    async def _ask[T](self, operation: str, mailbox: str, answer: Callable[[], T]) -> T:
        chaos = self._process.chaos

        async def effect() -> T:
            if self._exchange.trouble is not None:
                raise self._exchange.trouble()
            if chaos.strikes(Fault.EXCHANGE_BUSY, operation):
                raise ExchangeBusy("ErrorServerBusy", "Busy.", retry_after=_seconds(chaos.pick(1, 90)))
            if mailbox and chaos.strikes(Fault.MAILBOX_FAILED, mailbox):
                raise MailboxError(
                    "ErrorMailboxStoreUnavailable", "Away.", retry_after=_seconds(chaos.pick(10, 300))
                )
            found = answer()
            if chaos.strikes(Fault.EXCHANGE_SLOW, operation):
                await asyncio.sleep(chaos.pick(2, 60))
            if chaos.strikes(Fault.EXCHANGE_UNANSWERED, operation):
                raise ExchangeUnavailable("timeout", "No answer.", retry_after=_seconds(10))
            return found

        return await self._process.call(f"exchange.{operation}", effect, fastest=0.03, slowest=0.5)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)

"""Push subscriptions: Subscribe, Unsubscribe, and the notifications that follow.

They live in memory and are lost with it, as Exchange's are.
Published source: EWS reference, Subscribe, Unsubscribe and StatusFrequency (with the table of retries).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from lxml import etree

from dev.exchange.appointments import Occurrence
from dev.exchange.clock import Clock
from dev.exchange.folders import find_folder
from dev.exchange.mailboxes import Directory, Mailbox
from dev.exchange.notifications import (
    ACTION,
    STATUS,
    Event,
    events_of,
    read_answer,
    write_error_notification,
    write_notification,
    write_subscription_id,
    write_watermark,
)
from dev.exchange.soap import MessageError, Refusal, T, failure, success
from dev.exchange.statistics import Statistics

FIRST_RETRY = 0.5
HEADERS = {
    "Content-Type": "text/xml; charset=utf-8",
    "SOAPAction": ACTION,
    "User-Agent": "ExchangeServicesClient/15.02.1748.010",
}


@dataclass(slots=True)
class Subscription:
    """``frequency`` is its StatusFrequency in minutes; ``pending`` the events not yet acknowledged."""

    id: str
    mailbox: Mailbox
    url: str
    frequency: int
    kinds: frozenset[str]
    folders: frozenset[str]
    number: int = 1
    acknowledged: str = ""
    failures: int = 0
    pending: list[tuple[str, Event]] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.acknowledged = write_watermark(self.mailbox, self.number)

    def enqueue(self, events: list[Event]) -> None:
        for event in events:
            if event is STATUS or event.kind in self.kinds:
                self.number += 1
                self.pending.append((write_watermark(self.mailbox, self.number), event))
        if self.pending:
            self.wake.set()

    def write(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "mailbox": self.mailbox.address,
            "url": self.url,
            "status_frequency": self.frequency,
            "event_types": sorted(self.kinds),
            "watermark": self.acknowledged,
            "pending": len(self.pending),
            "failures": self.failures,
        }


def retry_times(frequency: int) -> Iterator[float]:
    """When a failed notification is tried again, in minutes after the first time.

    The published table: 0.5, 1, 2, 4, 8, 16 for a StatusFrequency of 30, because 32 would exceed it.
    """
    minutes = FIRST_RETRY
    while minutes <= frequency:
        yield minutes
        minutes *= 2


class Subscriptions:
    """All push subscriptions. ``minute`` is a minute's length in seconds, ``limit`` a mailbox's budget."""

    def __init__(self, clock: Clock, statistics: Statistics, *, minute: float, limit: int) -> None:
        self._clock = clock
        self._statistics = statistics
        self._minute = minute
        self._limit = limit
        self._by_id: dict[str, Subscription] = {}
        self._by_mailbox: dict[str, dict[str, Subscription]] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._client: aiohttp.ClientSession | None = None

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_id.values()))

    def of(self, mailbox: Mailbox) -> list[Subscription]:
        return list(self._by_mailbox.get(mailbox.address, {}).values())

    async def open(self) -> None:
        self._client = aiohttp.ClientSession(
            headers=HEADERS,
            connector=aiohttp.TCPConnector(limit=50),
            timeout=aiohttp.ClientTimeout(total=30),
        )

    async def close(self) -> None:
        """End all of them without a word."""
        tasks = [s.task for s in self if s.task] + list(self._farewells)
        self.lose()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client:
            await self._client.close()

    def subscribe(self, body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
        """The operation Subscribe. The address of a push subscription is not tried."""
        request = body[0]
        try:
            subscription = self._create(request, caller, directory)
        except Refusal as refusal:
            return [failure("Subscribe", refusal)]
        self._by_id[subscription.id] = subscription
        self._by_mailbox.setdefault(subscription.mailbox.address, {})[subscription.id] = subscription
        subscription.task = asyncio.create_task(self._serve(subscription))
        return [
            success(
                "Subscribe",
                f"<m:SubscriptionId>{subscription.id}</m:SubscriptionId>"
                f"<m:Watermark>{subscription.acknowledged}</m:Watermark>",
            )
        ]

    def _create(self, request: etree._Element, caller: Mailbox | None, directory: Directory) -> Subscription:
        folders = set()
        for element in request.iterfind(f"{T}FolderIds/*"):
            try:
                _, folder = find_folder(element, caller, directory)
            except MessageError as error:
                if error.code == "ErrorAccessDenied":
                    raise MessageError("ErrorSubscriptionDelegateAccessNotSupported") from None
                raise
            folders.add(folder.name)
        if caller is None:
            raise MessageError("ErrorMissingEmailAddress")
        if not folders and request.get("SubscribeToAllFolders") not in ("true", "1"):
            raise MessageError("ErrorInvalidSubscriptionRequest", "Folder ids are needed.")
        url = (request.findtext(f"{T}URL") or "").strip()
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise MessageError("ErrorInvalidPushSubscriptionUrl")
        if request.find(f"{T}Watermark") is not None:
            # No history of events is kept, so every watermark is as one that has expired.
            raise MessageError("ErrorInvalidWatermark")
        if len(self._by_mailbox.get(caller.address, {})) >= self._limit:
            raise MessageError("ErrorExceededSubscriptionCount")
        return Subscription(
            write_subscription_id("exchange.example.com", caller, uuid.uuid4()),
            caller,
            url,
            int(request.findtext(f"{T}StatusFrequency") or ""),
            frozenset(element.text or "" for element in request.iterfind(f"{T}EventTypes/*")),
            frozenset(folders or {"calendar"}),
        )

    def unsubscribe(self, body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
        """The operation Unsubscribe, which doesn't know push subscriptions."""
        return [failure("Unsubscribe", MessageError("ErrorInvalidSubscription"))]

    def notify(self, action: str, mailbox: Mailbox, entry: Occurrence) -> None:
        """Tell the mailbox's subscribers: ``action`` is created, modified or deleted."""
        subscribers = [s for s in self.of(mailbox) if "calendar" in s.folders]
        if subscribers:
            events = events_of(action, mailbox, entry, self._clock())
            for subscription in subscribers:
                subscription.enqueue(events)

    def send_heartbeats(self, mailbox: Mailbox | None = None) -> int:
        """A StatusEvent now, to one mailbox's subscribers or all. Returns how many."""
        subscribers = self.of(mailbox) if mailbox else list(self)
        for subscription in subscribers:
            subscription.enqueue([STATUS])
        return len(subscribers)

    def send_errors(self, code: str, mailbox: Mailbox | None = None) -> int:
        """An error notification, after which the subscription is gone. Returns how many."""
        subscribers = self.of(mailbox) if mailbox else list(self)
        for subscription in subscribers:
            self._drop(subscription)
            message = write_error_notification(subscription.id, code)
            task = asyncio.create_task(self._say_farewell(subscription, message))
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)
        return len(subscribers)

    def lose(self, mailbox: Mailbox | None = None) -> int:
        """Forget one mailbox's subscriptions or all, as a restart does. Returns how many."""
        lost = self.of(mailbox) if mailbox else list(self)
        for subscription in lost:
            self._drop(subscription)
        return len(lost)

    def _drop(self, subscription: Subscription) -> None:
        if self._by_id.pop(subscription.id, None):
            del self._by_mailbox[subscription.mailbox.address][subscription.id]
            if subscription.task and subscription.task is not asyncio.current_task():
                subscription.task.cancel()

    async def _serve(self, subscription: Subscription) -> None:
        """Send events as they come and a heartbeat where none come, until the subscription ends."""
        delivered = True
        while delivered:
            with suppress(TimeoutError):
                async with asyncio.timeout(subscription.frequency * self._minute):
                    await subscription.wake.wait()
            if not subscription.pending:
                subscription.enqueue([STATUS])
            subscription.wake.clear()
            delivered = await self._deliver(subscription)
        self._drop(subscription)

    async def _deliver(self, subscription: Subscription) -> bool:
        """Try until the client answers, or no retry is left. False ends the subscription."""
        loop = asyncio.get_running_loop()
        begun, retries = loop.time(), retry_times(subscription.frequency)
        while True:
            events = list(subscription.pending)
            message = write_notification(subscription.id, subscription.acknowledged, events)
            answer = await self._post(subscription, message)
            if answer == "OK":
                del subscription.pending[: len(events)]
                subscription.acknowledged = events[-1][0]
                if not subscription.pending:
                    subscription.wake.clear()
                return True
            if answer == "Unsubscribe":
                return False
            retry = next(retries, None)
            if retry is None:
                self._statistics.dropped_subscriptions += 1
                return False
            await asyncio.sleep(begun + retry * self._minute - loop.time())

    async def _say_farewell(self, subscription: Subscription, message: bytes) -> None:
        await self._post(subscription, message)

    async def _post(self, subscription: Subscription, message: bytes) -> str:
        """The client's answer, or an empty string where there was none that counts."""
        assert self._client is not None
        answer = ""
        with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
            async with self._client.post(subscription.url, data=message, allow_redirects=False) as response:
                answer = read_answer(response.status, await response.read())
        self._statistics.notifications += 1
        if not answer:
            self._statistics.failed_notifications += 1
            subscription.failures += 1
        return answer

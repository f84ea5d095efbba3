"""Test connection, the steps of Exchange: from its address to a notification that really arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Protocol

from shared.errors import ExchangeError, SignInRefused
from shared.ews.discovery import Found, Search
from shared.ews.envelope import parse_envelope, server_version
from shared.ews.source import ExchangeSource
from shared.ews.transport import Answer, Transport
from shared.settings import Detection, ExchangeSettings, Server, SyncType
from shared.sync.checking import (
    Checks,
    Finding,
    Planned,
    Progress,
    StepFailed,
    callback_of,
    complain_of,
)
from shared.sync.interfaces import Callbacks, Clock
from shared.sync.reading import WINDOW

PATIENCE = 90.0
"""Seconds for the notification: the check's subscription asks for a sign of life after each quiet minute."""

_POLL = 1.0

DISCOVERY = "exchange.discovery"
SIGN_IN = "exchange.sign_in"
VERSION = "exchange.version"
MAILBOX = "exchange.mailbox"
READING = "exchange.reading"
SUBSCRIPTION = "exchange.subscription"
CALLBACK = "exchange.callback"

PLAN = (
    Planned(DISCOVERY, "Find Exchange", (), "Enter the address of EWS."),
    Planned(SIGN_IN, "Sign in to Exchange", (DISCOVERY,), "Check the account and its secret."),
    Planned(VERSION, "Version of Exchange", (SIGN_IN,), "Check what answers at this address."),
    Planned(MAILBOX, "Find the mailbox", (SIGN_IN,), "Check the e-mail address."),
    Planned(READING, "Read the calendar", (MAILBOX,), "Wait, and test again."),
    Planned(SUBSCRIPTION, "Subscribe to changes", (MAILBOX,), "Wait, and test again."),
    Planned(
        CALLBACK,
        "Be told of a change",
        (SUBSCRIPTION,),
        "Let Exchange's Mailbox servers, which ignore Exchange's proxy setting, open HTTPS connections with "
        "TLS 1.2 to the callback address. Where that is impossible, set the detection to poll.",
    ),
)


def plan_for(settings: ExchangeSettings) -> tuple[Planned, ...]:
    """The steps for these settings: where mailboxes are polled, nobody is subscribed to."""
    return PLAN[:-2] if settings.detection is Detection.POLL else PLAN


_PRODUCTS = {
    "15.0": "Exchange 2013",
    "15.1": "Exchange 2016",
    "15.2": "Exchange 2019 or SE",
    "15.20": "Exchange Online",
}


class OwnedTransport(Transport, Protocol):
    """A transport that is closed at the end."""

    async def aclose(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class ExchangeWays:
    """How Exchange is reached with the settings that are tried.

    ``search`` carries autodiscover through, ``open`` makes a transport that signs in, ``connect`` a source
    at an address, which has Exchange give a sign of life after so many quiet minutes.
    """

    search: Callable[[Search], Awaitable[Found]]
    open: Callable[[], OwnedTransport]
    connect: Callable[[str, Transport, int], ExchangeSource]


@dataclass(slots=True)
class Listener:
    """A transport that remembers which version of Exchange answered."""

    transport: Transport
    version: str | None = field(default=None, init=False)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request. Raises ExchangeError where no answer came."""
        answer = await self.transport.post(url, headers, body)
        with suppress(ExchangeError):
            self.version = server_version(parse_envelope(answer.body)) or self.version
        return answer


@dataclass(slots=True)
class ExchangePart:
    """The steps of Exchange, for one mailbox."""

    settings: ExchangeSettings
    address: str
    ways: ExchangeWays
    checks: Checks
    callbacks: Callbacks
    clock: Clock
    _url: str = field(default="", init=False)
    _mailbox: str | None = field(default=None, init=False)
    _failure: ExchangeError | None = field(default=None, init=False)
    _listener: Listener = field(init=False)
    _source: ExchangeSource = field(init=False)

    async def run(self, progress: Progress) -> None:
        """Take the steps, one after the other."""
        async with AsyncExitStack() as stack:
            await progress.take(DISCOVERY, self._discover)
            await progress.take(SIGN_IN, lambda: self._sign_in(stack))
            await progress.take(VERSION, self._tell_version)
            await progress.take(MAILBOX, self._find_mailbox)
            await progress.take(READING, self._read)
            if self.settings.detection is Detection.PUSH:
                await progress.take(SUBSCRIPTION, lambda: self._subscribe(progress.id))
                await progress.take(CALLBACK, lambda: self._await_callback(progress.id))

    async def _discover(self) -> Finding:
        complain_of(self.settings.missing())
        if self.settings.ews_url:
            self._url = self.settings.ews_url
            return Finding(
                f"{'Configured' if self.settings.url else 'The address of the cloud'}: {self._url}.",
                remedy="It is plain HTTP, which nothing protects. Use https."
                if self._url.startswith("http:")
                else "",
            )
        search = Search(self.settings.user, internal=self.settings.server is Server.INTERNAL)
        failure = None
        try:
            found = await self.ways.search(search)
        except ExchangeError as error:
            failure = error
        details = tuple(f"{step.kind} {step.url}: {step.outcome}, {step.then}" for step in search.steps)
        if failure is not None:
            fact, _, remedy = str(failure).partition(". ")
            raise StepFailed(f"{fact}.", remedy, details)
        self._url = found.url
        remedies = []
        if found.other:
            remedies.append(
                f"No {self.settings.server} address is offered, the other one is used. Publish one, or set "
                "'Exchange server to use' to the other value."
            )
        if found.by_http:
            remedies.append(
                "The way to it began with a redirection over http, which nothing protects: compare the host."
            )
        return Finding(f"Found by autodiscover: {self._url}.", " ".join(remedies), details)

    async def _sign_in(self, stack: AsyncExitStack) -> Finding:
        transport = self.ways.open()
        stack.push_async_callback(transport.aclose)
        self._listener = Listener(transport)
        self._source = self.ways.connect(self._url, self._listener, 1)
        began = monotonic()
        try:
            self._mailbox = await self._source.find_mailbox(self.address or self.settings.user)
        except ExchangeError as error:
            # Only who has been let in is told one of Exchange's own codes.
            if isinstance(error, SignInRefused) or not error.code.startswith("Error"):
                raise
            self._failure = error
        return Finding(
            f"Exchange accepts {_account(self.settings)} and answered within {monotonic() - began:.1f} s."
        )

    async def _tell_version(self) -> Finding:
        version = self._listener.version
        if version is None:
            return Finding(
                "Exchange does not say.", "Check that nothing between here and Exchange alters its answers."
            )
        major, _, rest = version.partition(".")
        product = _PRODUCTS.get(f"{major}.{rest.partition('.')[0]}")
        if product is None:
            return Finding(f"{version}, which is not known here.", "Exchange 2013 SP1 or newer is needed.")
        return Finding(f"{product} ({version}).")

    async def _find_mailbox(self) -> Finding:
        if self._failure is not None:
            raise self._failure
        if self._mailbox is None:
            raise StepFailed(
                "Exchange knows no mailbox with this address.",
                "Check it; a contact or a group has no calendar that can be read.",
            )
        return Finding(f"{self._mailbox}.")

    async def _read(self) -> Finding:
        now = self.clock()
        reading = await self._source.read(self._mailbox or "", now, now + WINDOW)
        count, hours = len(reading.appointments), WINDOW // timedelta(hours=1)
        text = f"{count} appointment{'' if count == 1 else 's'} in the next {hours} hours."
        skipped = f"{reading.skipped} without a start or an end are left out." if reading.skipped else ""
        return Finding(text, details=(skipped,) if skipped else ())

    async def _subscribe(self, identity: str) -> Finding:
        url = self.callbacks.address_of(callback_of(identity))
        await self._source.subscribe(self._mailbox or "", url)
        host = url.partition("/api/")[0]
        return Finding(f"Exchange will report changes to {host}.")

    async def _await_callback(self, identity: str) -> Finding:
        began = monotonic()
        while monotonic() - began < PATIENCE:
            if await self.checks.is_confirmed(identity):
                return Finding(f"Exchange's notification arrived after {monotonic() - began:.0f} s.")
            await asyncio.sleep(_POLL)
        raise StepFailed(f"No notification of Exchange arrived within {PATIENCE:.0f} s.")


def _account(settings: ExchangeSettings) -> str:
    if settings.sync_type is SyncType.ON_PREMISES:
        return "the account"
    return "the application" if settings.sync_type is SyncType.CLOUD_APP_ONLY else "the sign-in"

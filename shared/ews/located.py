"""The calendar source at an address that has to be found first, and again when Exchange has moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.errors import ExchangeError
from shared.ews.client import Reading
from shared.ews.location import Locator, Wanted
from shared.ews.source import ExchangeSource

_KNOWN_FOR = timedelta(minutes=1)
"""For which a worker does not look where Exchange is now: another may have found it elsewhere."""


@dataclass(slots=True)
class LocatedSource:
    """Finds Exchange, and then is the source ``connect`` makes for its address.

    ``repeated`` tells whether Exchange as a whole has failed before.
    """

    locator: Locator
    wanted: Wanted
    connect: Callable[[str], ExchangeSource]
    repeated: Callable[[], Awaitable[bool]]
    clock: Callable[[], datetime]
    _source: ExchangeSource | None = field(default=None, init=False)
    _url: str = field(default="", init=False)
    _looked_at: datetime | None = field(default=None, init=False)

    async def find_mailbox(self, address: str) -> str | None:
        """The primary address of the mailbox that has this address, or None where there is none."""
        return await self._ask(lambda source: source.find_mailbox(address))

    async def read(self, mailbox: str, start: datetime, end: datetime) -> Reading:
        """The appointments that overlap the window."""
        return await self._ask(lambda source: source.read(mailbox, start, end))

    async def add_organizers(self, mailbox: str, reading: Reading, wanted: Sequence[str]) -> Reading:
        """The same reading, with the organizers' addresses of the appointments with these ids."""
        return await self._ask(lambda source: source.add_organizers(mailbox, reading, wanted))

    async def subscribe(self, mailbox: str, callback_url: str) -> str:
        """Have changes of this mailbox told to a callback; return the subscription's id."""
        return await self._ask(lambda source: source.subscribe(mailbox, callback_url))

    async def _ask[T](self, question: Callable[[ExchangeSource], Awaitable[T]]) -> T:
        source = await self._locate()
        try:
            return await question(source)
        except ExchangeError as error:
            repeated = error.code == "HTTP 503" and await self.repeated()
            if await self.locator.doubt(self.wanted, error.code, repeated=repeated):
                self._looked_at = None
            raise

    async def _locate(self) -> ExchangeSource:
        now = self.clock()
        if self._source is None or self._looked_at is None or now - self._looked_at > _KNOWN_FOR:
            location = await self.locator.locate(self.wanted)
            if self._source is None or location.url != self._url:
                self._source, self._url = self.connect(location.url), location.url
            self._looked_at = now
        return self._source

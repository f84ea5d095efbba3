"""Where Exchange is: the address that is configured, the one that was found and kept, or the cloud's own.

A search is made by one instance at a time, and not again before its failure asks for it: each one tries the
account's password. Sources: MS-OXDISCO; Microsoft, *Autodiscover for Exchange* (when to search again).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

from shared.errors import ExchangeError, ExchangeUnavailable
from shared.ews.discovery import Found, Search, Step
from shared.ews.failures import RENEWS_DISCOVERY

LASTS = timedelta(hours=1)
"""For which what was found is not doubted."""

_SEARCH_ENDS = timedelta(minutes=5)
"""After which a search is over, however slow the hosts are: then another instance may begin one."""

_SEARCHING = "Searching"
_TRY_AGAIN = timedelta(seconds=5)
_RARELY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is configured: an address of EWS or an empty text, whose mailbox, which kind of address.

    ``cloud_url`` is the address of EWS in the configured cloud, empty on-premises.
    """

    configured: str
    address: str
    internal: bool = False
    cloud_url: str = ""


@dataclass(frozen=True, slots=True)
class Location:
    """An address of EWS and where it comes from.

    ``other`` and ``by_http`` are what `Found` says; an administrator should know both.
    """

    url: str
    origin: Literal["configured", "discovered", "cloud"]
    other: bool = False
    by_http: bool = False
    server_version: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The record of the last search for ``address``: what it found at ``at``, and its steps.

    No other search begins before ``not_before``. ``code`` and ``text`` are its error, or empty.
    """

    address: str
    internal: bool
    location: Location | None
    at: datetime
    not_before: datetime
    steps: tuple[Step, ...] = ()
    code: str = ""
    text: str = ""
    etag: str = ""


class Locations(Protocol):
    """Where the record is kept."""

    async def get(self) -> Kept | None:
        """The record, or None."""

    async def put(self, kept: Kept) -> Kept | None:
        """Replace the record that was read with this etag; None where it was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Tells where Exchange is. ``find`` carries a search through, such as `discovery_client.discover`."""

    kept: Locations
    find: Callable[[Search], Awaitable[Found]]
    clock: Callable[[], datetime]

    async def locate(self, wanted: Wanted) -> Location:
        """The address to use now; searches where none is known.

        Raises ExchangeError where nothing was found, or is being searched by another instance.
        """
        if wanted.configured:
            return Location(wanted.configured, "configured")
        kept = await self.kept.get()
        if kept is None or not _fits(kept, wanted):
            return await self._search(wanted, kept, None)
        if kept.location is not None:
            return kept.location
        left = kept.not_before - self.clock()
        if left > timedelta(0):
            pause = min(left, _TRY_AGAIN) if kept.code == _SEARCHING else left
            raise ExchangeUnavailable(kept.code, kept.text, retry_after=pause)
        return await self._search(wanted, kept, None)

    async def doubt(self, wanted: Wanted, code: str, *, repeated: bool) -> bool:
        """Search again after a failure with ``code``, where that may help; tell whether Exchange moved.

        ``repeated`` says that it has failed so before: one HTTP 503 alone means nothing.
        """
        if wanted.configured or code not in RENEWS_DISCOVERY or (code == "HTTP 503" and not repeated):
            return False
        kept, now = await self.kept.get(), self.clock()
        if kept is None or not _fits(kept, wanted) or kept.location is None:
            return False
        if now - kept.at < LASTS or now < kept.not_before:
            return False
        try:
            found = await self._search(wanted, kept, kept.location)
        except ExchangeError:
            return False
        return found.url != kept.location.url

    async def _search(self, wanted: Wanted, kept: Kept | None, known: Location | None) -> Location:
        """Search, unless another instance does; ``known`` stays where nothing else is found."""
        now = self.clock()
        claim = Kept(
            wanted.address,
            wanted.internal,
            known,
            kept.at if kept and known else now,
            now + _SEARCH_ENDS,
            code=_SEARCHING,
            text="Exchange is being searched by Autodiscover. Wait.",
            etag=kept.etag if kept else "",
        )
        claimed = await self.kept.put(claim)
        if claimed is None:
            raise ExchangeUnavailable(claim.code, claim.text, retry_after=_TRY_AGAIN)
        steps: list[Step] = []
        try:
            search = Search(wanted.address, internal=wanted.internal)
            steps = search.steps
            found = await self.find(search)
            location = Location(found.url, "discovered", found.other, found.by_http, found.server_version)
        except ExchangeError as error:
            now = self.clock()
            pause = max(error.retry_after or _RARELY, _RARELY)
            failed = replace(claimed, steps=tuple(steps), code=error.code, text=str(error))
            if known is None and wanted.cloud_url:
                known = Location(wanted.cloud_url, "cloud")
                failed = replace(failed, location=known, at=now)
            await self.kept.put(replace(failed, not_before=now + pause))
            if known is None:
                raise
            return known
        now = self.clock()
        result = replace(claimed, location=location, at=now, not_before=now, steps=tuple(steps))
        await self.kept.put(replace(result, code="", text=""))
        return location


def _fits(kept: Kept, wanted: Wanted) -> bool:
    return (kept.address.casefold(), kept.internal) == (wanted.address.casefold(), wanted.internal)

"""Exchange as a calendar source: resolve an address, read and subscribe one mailbox.

Everything above knows these four methods only, so that another source can take their place. Mailboxes are
logged as hashes; subjects, addresses and bodies never are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from urllib.parse import urlsplit

from shared.errors import ExchangeError, SettingsError
from shared.ews import requests
from shared.ews.appointments import CalendarItem, agenda_of, halves, parse_found_items, parse_organizers
from shared.ews.envelope import MESSAGES_NS
from shared.ews.failures import http_failure
from shared.ews.names import Match, parse_matches
from shared.ews.notifications import Subscription, parse_subscription
from shared.ews.transport import Transport
from shared.model import Appointment
from shared.pseudonym import pseudonym

_log = logging.getLogger(__name__)

_MAX_ROUNDS = 15
_SHORTEST_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Source:
    """What Exchange calls an appointment: ``item_id`` for asking again, ``uid`` the same for a series."""

    item_id: str
    uid: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A mailbox's calendar between two instants, by start.

    ``complete`` is False where Exchange held more than it gave. ``skipped`` counts items without a start or
    an end, ``unknown`` values of enumerations nobody knows. ``sources`` has an entry an appointment id.
    """

    appointments: tuple[Appointment, ...]
    complete: bool
    skipped: int
    unknown: int
    server_version: str | None
    sources: Mapping[str, Source]


def checked_url(url: str, *, allow_plain_http: bool = False) -> str:
    """The address of EWS, if requests may go there. Raises SettingsError."""
    try:
        parts = urlsplit(url.strip())
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or parts.scheme not in ("http", "https") or parts.username or not url.strip().isprintable():
        raise SettingsError(
            "exchange.url", "it is no address of EWS", "Write https://HOST/EWS/Exchange.asmx, without a user."
        )
    if parts.scheme == "http" and not allow_plain_http:
        raise SettingsError(
            "exchange.url",
            "it begins with http://, which nothing protects",
            "Use https://, or switch 'allow plain HTTP' on (on-premises only).",
        )
    return url.strip()


class ExchangeClient:
    """One Exchange system, reached at ``url`` by way of ``transport``.

    Every method raises ExchangeError and nothing else; a wrong ``url`` is a SettingsError at once.
    """

    def __init__(self, url: str, transport: Transport, *, allow_plain_http: bool = False) -> None:
        self._url = checked_url(url, allow_plain_http=allow_plain_http)
        self._transport = transport

    async def resolve(self, address: str, impersonate: str | None) -> tuple[Match, ...]:
        """The directory objects that know ``address`` or begin with it; ``names.choose`` picks the one.

        ``impersonate`` is the mailbox that executes this, None the account itself.
        """
        body = requests.resolve_names(address, impersonate)
        return parse_matches(await self._ask("ResolveNames", body, impersonate))

    async def read(self, mailbox: str, start: datetime, end: datetime) -> Reading:
        """What the calendar holds between two aware instants, items over the edges included.

        A window with more items than Exchange gives at once is read in halves.
        """
        windows = [(start, end)]
        items: list[CalendarItem] = []
        complete, skipped, unknown, rounds = True, 0, 0, 0
        version: str | None = None
        while windows and rounds < _MAX_ROUNDS:
            window = windows.pop(0)
            rounds += 1
            body = requests.find_item(mailbox, *window)
            found = parse_found_items(await self._ask("FindItem", body, mailbox))
            items += found.items
            version = found.server_version or version
            if not found.complete and window[1] - window[0] > _SHORTEST_WINDOW:
                windows += halves(*window)
                continue
            complete = complete and found.complete
            skipped += found.skipped
            unknown += found.unknown
        agenda = agenda_of(items)
        if unknown or skipped:
            facts = {"mailbox": pseudonym(mailbox), "skipped": skipped, "unknown": unknown}
            _log.warning("items left out or with unknown values", extra=facts)
        return Reading(
            tuple(item.appointment for item in agenda),
            complete and not windows,
            skipped,
            unknown,
            version,
            MappingProxyType({item.appointment.id: Source(item.item_id, item.uid) for item in agenda}),
        )

    async def subscribe(
        self, mailbox: str, callback_url: str, status_frequency_minutes: int = 30
    ) -> Subscription:
        """Have changes told to ``callback_url``, and a heartbeat after so many quiet minutes (1 to 1440)."""
        body = requests.subscribe(mailbox, callback_url, status_frequency_minutes)
        return parse_subscription(await self._ask("Subscribe", body, mailbox))

    async def organizers(self, mailbox: str, item_ids: Sequence[str]) -> dict[str, str]:
        """The organizers' SMTP addresses by item id, of those that have one."""
        addresses: dict[str, str] = {}
        for first in range(0, len(item_ids), requests.MAX_ITEM_IDS):
            some = item_ids[first : first + requests.MAX_ITEM_IDS]
            body = requests.get_organizers(mailbox, some)
            addresses |= parse_organizers(await self._ask("GetItem", body, mailbox), some)
        return addresses

    async def _ask(self, operation: str, body: bytes, impersonate: str | None) -> bytes:
        """The body of a good answer."""
        headers = {
            "content-type": "text/xml; charset=utf-8",
            "accept": "text/xml",
            "soapaction": f'"{MESSAGES_NS}/{operation}"',
        }
        if impersonate is not None:
            headers["x-anchormailbox"] = impersonate
        facts = {"operation": operation, "mailbox": pseudonym(impersonate or "")}
        try:
            answer = await self._transport.post(self._url, headers, body)
            if answer.status != 200:
                raise http_failure(answer.status, answer.headers, answer.body, self._url)
        except ExchangeError as error:
            _log.info("no answer", extra=facts | {"code": error.code})
            raise
        _log.debug("answer", extra=facts | {"bytes": len(answer.body)})
        return answer.body

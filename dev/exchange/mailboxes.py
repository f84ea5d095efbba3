"""The mailboxes of the simulated organization and the directory that finds them."""

from __future__ import annotations

import base64
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from dev.exchange.appointments import (
    Appointment,
    Occurrence,
    change_appointment,
    make_exception,
    read_appointment,
    write_appointment,
    zone_named,
)

TYPES = ("Mailbox", "Contact", "PublicDL", "PrivateDL", "PublicFolder", "GroupMailbox")
_ID_BEGINNING = b"\x00\x03\x24"
_FIELDS = {"address", "aliases", "name", "type", "zone", "impersonation_denied", "appointments"}


@dataclass(slots=True)
class Mailbox:
    """One recipient with its calendar. ``address`` is the primary one; ``zone`` an IANA name.

    ``type`` is EWS's MailboxType; only *Mailbox* has a calendar that can be opened.
    ``impersonation_denied`` puts it outside the role scope of the account that signs in.
    """

    address: str
    aliases: tuple[str, ...] = ()
    name: str = ""
    type: str = "Mailbox"
    zone: str = "Europe/Berlin"
    impersonation_denied: bool = False
    appointments: dict[int, Appointment] = field(default_factory=dict)
    guid: uuid.UUID = field(init=False)
    last_number: int = 0

    def __post_init__(self) -> None:
        self.guid = uuid.uuid5(uuid.NAMESPACE_DNS, self.address.lower())

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.address, *self.aliases)

    @property
    def legacy_dn(self) -> str:
        """The address by which Exchange's own directory names it, routing type EX."""
        group = "/O=EXAMPLE/OU=EXCHANGE ADMINISTRATIVE GROUP (FYDIBOHF23SPDLT)/CN=RECIPIENTS"
        return f"{group}/CN={self.guid.hex.upper()}-{self.address.partition('@')[0].upper()}"

    def opaque_id(self, name: str) -> str:
        """The Id attribute of an item (its reference) or of a folder (``folder:NAME``) of this mailbox."""
        return base64.b64encode(_ID_BEGINNING + self.guid.bytes + name.encode()).decode()

    def expand(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """What a calendar view of the window holds, in no promised order."""
        for appointment in self.appointments.values():
            yield from appointment.occurrences(start, end)

    def find(self, reference: str) -> Occurrence:
        """A single appointment, a series (its first occurrence's times) or one of its occurrences.

        Raises KeyError.
        """
        number, _, day = reference.partition("@")
        try:
            appointment = self.appointments[int(number)]
            if day:
                return appointment.occurrence_on(date.fromisoformat(day))
        except ValueError as error:
            raise KeyError(reference) from error
        kind = "RecurringMaster" if appointment.repeat else "Single"
        return Occurrence(reference, kind, appointment, appointment.start, appointment.end)

    def add(self, data: Mapping[str, Any]) -> Occurrence:
        """Raises ValueError for data that is no appointment."""
        number = self.last_number + 1
        uid = f"040000008200E00074C5B7101A82E008{self.guid.hex.upper()}{number:08X}"
        self.appointments[number] = read_appointment(data, number, uid, self.zone)
        self.last_number = number
        return self.find(str(number))

    def change(self, reference: str, data: Mapping[str, Any]) -> Occurrence:
        """Change one appointment, a whole series, or (``NUMBER@DAY``) one occurrence.

        Raises KeyError for an unknown reference and ValueError for wrong data.
        """
        old = self.find(reference)
        number, _, day = reference.partition("@")
        if day:
            series = self.appointments[int(number)]
            self._except(series, date.fromisoformat(day), make_exception(series, old_day(reference), data))
        else:
            self.appointments[int(number)] = change_appointment(old.appointment, data)
        return self.find(reference)

    def cancel(self, reference: str) -> Occurrence:
        """Take it out of the calendar. Returns what it was. Raises KeyError."""
        old = self.find(reference)
        number, _, day = reference.partition("@")
        if day:
            self._except(self.appointments[int(number)], old_day(reference), None)
        else:
            del self.appointments[int(number)]
        return old

    def _except(self, series: Appointment, day: date, changed: Appointment | None) -> None:
        exceptions = MappingProxyType({**series.exceptions, day: changed})
        self.appointments[series.number] = replace(
            series, exceptions=exceptions, revision=series.revision + 1
        )


def old_day(reference: str) -> date:
    """The day in the reference of an occurrence."""
    return date.fromisoformat(reference.partition("@")[2])


def read_mailbox(data: Mapping[str, Any]) -> Mailbox:
    """A mailbox from its seed. Raises ValueError with a sentence about what is wrong."""
    address = data.get("address", "")
    if "@" not in address:
        raise ValueError(f"address: {address!r} is no e-mail address")
    if unknown := data.keys() - _FIELDS:
        raise ValueError(f"{address}: unknown {', '.join(sorted(unknown))}")
    if data.get("type", "Mailbox") not in TYPES:
        raise ValueError(f"{address}: type: {data['type']!r} is none of {', '.join(TYPES)}")
    mailbox = Mailbox(
        address,
        tuple(data.get("aliases", ())),
        data.get("name", address.partition("@")[0]),
        data.get("type", "Mailbox"),
        data.get("zone", "Europe/Berlin"),
        bool(data.get("impersonation_denied", False)),
    )
    zone_named(mailbox.zone)
    for entry in data.get("appointments", ()):
        try:
            mailbox.add(entry)
        except ValueError as error:
            raise ValueError(f"{address}: {error}") from error
    return mailbox


def write_mailbox(mailbox: Mailbox) -> dict[str, Any]:
    """The seed that read_mailbox reads."""
    return {
        "address": mailbox.address,
        "aliases": list(mailbox.aliases),
        "name": mailbox.name,
        "type": mailbox.type,
        "zone": mailbox.zone,
        "impersonation_denied": mailbox.impersonation_denied,
        "appointments": [write_appointment(entry) for entry in mailbox.appointments.values()],
    }


class Directory:
    """All mailboxes by address."""

    def __init__(self) -> None:
        self._primary: dict[str, Mailbox] = {}
        self._guids: dict[bytes, Mailbox] = {}
        self._index: list[tuple[str, Mailbox]] | None = None

    def __iter__(self) -> Iterator[Mailbox]:
        return iter(self._primary.values())

    def __len__(self) -> int:
        return len(self._primary)

    def put(self, mailbox: Mailbox) -> None:
        """Add it, or replace the one with the same primary address."""
        self._primary[mailbox.address.lower()] = mailbox
        self._guids[mailbox.guid.bytes] = mailbox
        self._index = None

    def remove(self, mailbox: Mailbox) -> None:
        del self._primary[mailbox.address.lower()]
        del self._guids[mailbox.guid.bytes]
        self._index = None

    def with_primary(self, address: str) -> Mailbox | None:
        return self._primary.get(address.lower())

    def with_prefix(self, beginning: str) -> list[Mailbox]:
        """Mailboxes one of whose addresses begins so, each once."""
        if self._index is None:
            entries = ((a.lower(), mailbox) for mailbox in self for a in mailbox.addresses)
            self._index = sorted(entries, key=lambda entry: entry[0])
        beginning = beginning.lower()
        found: dict[str, Mailbox] = {}
        for address, mailbox in self._index[bisect_left(self._index, beginning, key=lambda e: e[0]) :]:
            if not address.startswith(beginning):
                break
            found[mailbox.address] = mailbox
        return list(found.values())

    def with_name(self, beginning: str) -> list[Mailbox]:
        """Mailboxes one of whose display name's words begins so, or whose address does."""
        beginning = beginning.lower()
        found = {mailbox.address: mailbox for mailbox in self.with_prefix(beginning)}
        for mailbox in self:
            name = mailbox.name.lower()
            if name.startswith(beginning) or any(word.startswith(beginning) for word in name.split()):
                found[mailbox.address] = mailbox
        return list(found.values())

    def owner(self, opaque_id: str) -> tuple[Mailbox, str]:
        """The mailbox of an Id attribute, and the name within it.

        Raises ValueError for a malformed Id and KeyError where the mailbox is unknown.
        """
        raw = base64.b64decode(opaque_id, validate=True)
        if not raw.startswith(_ID_BEGINNING) or len(raw) < 20:
            raise ValueError(opaque_id)
        return self._guids[raw[3:19]], raw[19:].decode()

    def named(self, words: str) -> Mailbox:
        """By an address or alias, or by the local part of either where that is unique. Raises KeyError."""
        found = [
            mailbox
            for mailbox in self.with_prefix(words)
            if words.lower()
            in {part for a in mailbox.addresses for part in (a.lower(), a.lower().split("@")[0])}
        ]
        if len(found) != 1:
            raise KeyError(f"no mailbox is called {words}" if not found else f"{words} is not unique")
        return found[0]

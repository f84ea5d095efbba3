"""The PBX's user table: rows, their update sequence numbers, and who is told of changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

STRINGS = ("guid", "h323", "cn", "dn", "loc", "node", "pseudo", "e164", "config", "apps", "apps-my")
FLAGS = ("hide", "h323-email", "fax")
TABLES = {"emails": {"email": str}, "grps": {"name": str, "mode": str}, "devices": {"hw": str, "text": str}}
COLUMNS = (*STRINGS, *FLAGS, *TABLES)


@dataclass(frozen=True, slots=True)
class Row:
    """One user object: its columns, and the usn of its last change."""

    columns: dict[str, Any]
    usn: int

    @property
    def guid(self) -> str:
        return str(self.columns["guid"])

    @property
    def sip(self) -> str:
        return str(self.columns["h323"])

    @property
    def name(self) -> str:
        """The name that a phone displays."""
        return str(self.columns.get("dn") or self.columns.get("cn") or self.sip)

    def select(self, wanted: Iterable[str]) -> dict[str, Any]:
        """Give the ``wanted`` columns as the PBX writes them: what is false or empty is left out."""
        return {name: self.columns[name] for name in wanted if self.columns.get(name)}


type Listener = Callable[[Row | None, Row | None], None]
"""Called with a user's row before and after a change; None where there is none."""


class Users:
    """The user objects of one PBX, by guid."""

    def __init__(self, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.usn = 0
        self.guid = hashlib.sha256(b"user table").hexdigest()[:32]
        self.listeners: list[Listener] = []
        self._rows: dict[str, Row] = {}
        self._guids: dict[str, str] = {}
        self.replace(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def find(self, guid: str = "", sip: str = "") -> Row | None:
        """Find a user by guid or, without one, by user name. Both given must mean the same user."""
        row = self._rows.get(guid or self._guids.get(sip, ""))
        return None if row is None or (sip and row.sip != sip) else row

    def add(self, columns: dict[str, Any]) -> Row:
        """Add a user. A missing guid is made from the user name. Raises ValueError for a bad row."""
        columns = _check(columns)
        if columns["guid"] in self._rows:
            raise ValueError(f"guid: {columns['guid']} exists already")
        return self._store(columns)

    def change(self, guid: str, columns: dict[str, Any]) -> Row:
        """Change some columns of a user. Raises KeyError if unknown, ValueError for a bad column."""
        row = self._rows[guid]
        if columns.get("guid", guid) != guid:
            raise ValueError("guid: cannot be changed")
        return self._store(_check(row.columns | columns))

    def remove(self, guid: str) -> None:
        """Remove a user. Raises KeyError if unknown."""
        row = self._rows.pop(guid)
        del self._guids[row.sip]
        self.usn += 1
        self._tell(row, None)

    def replace(self, rows: Iterable[dict[str, Any]]) -> None:
        """Make the table hold exactly ``rows``; only what differs counts as changed.

        Raises ValueError for a bad row, and then nothing is changed.
        """
        wanted = {row["guid"]: row for row in map(_check, rows)}
        names = [row["h323"] for row in wanted.values()]
        if len(set(names)) != len(names):
            raise ValueError("h323: every user needs a user name of their own")
        for guid in [guid for guid in self._rows if guid not in wanted]:
            self.remove(guid)
        changed = {guid: row for guid, row in wanted.items() if self._columns(guid) != row}
        for guid in changed.keys() & self._rows.keys():  # so that two users can swap their names
            del self._guids[self._rows[guid].sip]
        for row in changed.values():
            self._store(row)

    def _columns(self, guid: str) -> dict[str, Any] | None:
        row = self._rows.get(guid)
        return None if row is None else row.columns

    def _store(self, columns: dict[str, Any]) -> Row:
        guid, sip = columns["guid"], columns["h323"]
        if self._guids.get(sip, guid) != guid:
            raise ValueError(f"h323: {sip!r} is another user's name")
        before = self._rows.get(guid)
        if before is not None and self._guids.get(before.sip) == guid:
            del self._guids[before.sip]
        self.usn += 1
        row = Row(columns, self.usn)
        self._rows[guid] = row
        self._guids[sip] = guid
        self._tell(before, row)
        return row

    def _tell(self, before: Row | None, after: Row | None) -> None:
        for listener in list(self.listeners):
            listener(before, after)


def _check(columns: dict[str, Any]) -> dict[str, Any]:
    """Give the row with its guid filled in. Raises ValueError that names the column at fault."""
    sip = columns.get("h323")
    if not isinstance(sip, str) or not sip:
        raise ValueError("h323: every user needs a user name")
    for name, value in columns.items():
        if not _fits(name, value):
            raise ValueError(f"{name}: unknown column, or {value!r} does not fit it")
    guid = columns.get("guid") or hashlib.sha256(sip.encode()).hexdigest()[:32]
    if not re.fullmatch("[0-9a-f]{32}", guid):
        raise ValueError("guid: 32 lower-case hex digits are needed")
    return {"guid": guid} | {name: value for name, value in columns.items() if name != "guid"}


def _fits(name: str, value: object) -> bool:
    if name in FLAGS:
        return isinstance(value, bool)
    if name in STRINGS:
        return isinstance(value, str)
    fields = TABLES.get(name)
    return fields is not None and isinstance(value, list) and all(_is_entry(e, fields) for e in value)


def _is_entry(entry: object, fields: Mapping[str, type]) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry[key], fields.get(key, ())) for key in entry)

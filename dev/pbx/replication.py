"""One running replication of the user table (innovaphone SDK, Replication and PbxTableUsers)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dev.pbx.users import COLUMNS, Row, Users


@dataclass(slots=True)
class Replication:
    """Which rows and columns a replicator asked for, and which rows it has still to be given."""

    columns: list[str]
    sees: Callable[[Row], bool]
    rows: Iterator[Row]
    owes_answer: bool = False

    @classmethod
    def start(cls, message: dict[str, Any], users: Users, sees: Callable[[Row], bool]) -> Replication:
        """Begin what the ReplicateStart ``message`` asks for. Raises ValueError that names its fault.

        With the guid of this table and a usn only rows changed since then come; removed ones don't.
        """
        columns = message.get("columns")
        if not isinstance(columns, dict) or not columns or any(value != {} for value in columns.values()):
            raise ValueError("columns: an object of column names, each with {}, is expected")
        unknown = [name for name in columns if name not in COLUMNS]
        if unknown:
            raise ValueError(f"columns: {', '.join(unknown)} can't be replicated")
        if any(not isinstance(message.get(name, False), bool) for name in ("add", "del")):
            raise ValueError("add, del: true or false is expected")
        pseudo = message.get("pseudo")
        if pseudo is not None and not (isinstance(pseudo, list) and all(isinstance(p, str) for p in pseudo)):
            raise ValueError("pseudo: an array of texts is expected")
        usn = message.get("usn", 0)
        if not isinstance(usn, int) or not isinstance(message.get("guid", ""), str):
            raise ValueError("guid, usn: a text and a number are expected")

        def wanted(row: Row) -> bool:
            return sees(row) and (pseudo is None or row.columns.get("pseudo", "") in pseudo)

        since = usn if message.get("guid") == users.guid else 0
        guids = [row.guid for row in users.rows() if row.usn > since]
        current = (users.find(guid) for guid in guids)
        return cls(list(columns), wanted, (row for row in current if row is not None and wanted(row)))

    def next_row(self) -> Row | None:
        """Give the next row, as it is now; None at the end."""
        return next(self.rows, None)

    def answered(self) -> None:
        """The answer to the last ReplicateNext has gone out."""
        self.owes_answer = False

    def describe_change(self, before: Row | None, after: Row | None) -> dict[str, Any] | None:
        """Give the message type and columns that tell of a changed row, or None if it is not wanted."""
        was = before is not None and self.sees(before)
        if after is not None and self.sees(after):
            return {
                "mt": "ReplicateUpdate" if was else "ReplicateAdd",
                "columns": after.select(self.columns),
            }
        if before is not None and was:
            return {"mt": "ReplicateDel", "columns": before.select(self.columns[:1])}
        return None

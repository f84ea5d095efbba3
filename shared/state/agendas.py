"""The table ``agendas``: one record a user, the appointments as JSON over as many properties as it takes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from azure.data.tables import TableEntity

from shared.model import Agenda, Appointment, Response, Sensitivity, ShowAs
from shared.state.storage import Storage, partition_of, read_instant, write_instant

_CHUNK = 32_000
"""Characters in one property: a string may have 64 KiB in UTF-16. ASCII-only JSON keeps the count exact."""

_CHUNKS = 15
"""Properties with appointments: the whole record may have 1 MiB."""

_FIELDS = tuple(field.name for field in fields(Appointment))


class AgendaStore:
    """Agendas, each written only by who has read its last state."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("agendas")

    async def get(self, guid: str) -> Agenda | None:
        """A user's agenda, or None where none was read yet."""
        entity = await self._table.get(partition_of(guid), guid)
        return None if entity is None else _read_agenda(entity)

    async def get_many(self, guids: Collection[str]) -> dict[str, Agenda]:
        """The agendas of those of these users who have one."""
        entities = await self._table.get_by_guid(guids)
        return {guid: _read_agenda(entity) for guid, entity in entities.items()}

    async def save(self, guid: str, agenda: Agenda) -> Agenda:
        """Store an agenda in place of the one that was read (``agenda.etag``) and return it as stored.

        More appointments than a record holds are cut off, the latest first.

        Raises:
            StateConflict: another one was stored or removed meanwhile.
        """
        appointments = sorted(agenda.appointments, key=lambda appointment: appointment.start)
        text = _write(appointments)
        while len(text) > _CHUNK * _CHUNKS:
            appointments = appointments[: len(appointments) * _CHUNK * _CHUNKS // len(text)]
            text = _write(appointments)
        entity: dict[str, Any] = {
            "PartitionKey": partition_of(guid),
            "RowKey": guid,
            "read_at": write_instant(agenda.read_at),
            "window_end": write_instant(agenda.window_end),
            "version": str(agenda.version),
            "due_at": write_instant(agenda.due_at),
        }
        for number, start in enumerate(range(0, len(text), _CHUNK)):
            entity[f"appointments_{number}"] = text[start : start + _CHUNK]
        if agenda.etag:
            etag = await self._table.replace(entity, agenda.etag)
        else:
            etag = await self._table.insert(entity)
        return replace(agenda, etag=etag)

    async def remove(self, guid: str) -> None:
        """Forget a user's agenda."""
        await self._table.delete(partition_of(guid), guid)


def _read_agenda(entity: TableEntity) -> Agenda:
    text = "".join(entity.get(f"appointments_{number}", "") for number in range(_CHUNKS))
    return Agenda(
        appointments=tuple(_read(values) for values in json.loads(text)),
        read_at=datetime.fromisoformat(entity["read_at"]),
        window_end=datetime.fromisoformat(entity["window_end"]),
        version=int(entity["version"]),
        due_at=read_instant(entity["due_at"]),
        etag=entity.metadata["etag"] or "",
    )


def _write(appointments: list[Appointment]) -> str:
    return json.dumps(
        [{name: _plain(getattr(appointment, name)) for name in _FIELDS} for appointment in appointments],
        separators=(",", ":"),
    )


def _plain(value: object) -> object:
    return write_instant(value) if isinstance(value, datetime) else value


def _read(values: dict[str, Any]) -> Appointment:
    return Appointment(
        **values
        | {
            "start": datetime.fromisoformat(values["start"]),
            "end": datetime.fromisoformat(values["end"]),
            "show_as": ShowAs(values["show_as"]),
            "sensitivity": Sensitivity(values["sensitivity"]),
            "response": Response(values["response"]),
        }
    )

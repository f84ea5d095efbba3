"""A company in the tables: users with a mailbox and an agenda, their presences told, as on any morning."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched, groupby

from shared.model import Agenda, Appointment, MailboxState, User
from shared.presence import PresenceRules, compose, next_composition
from shared.state.agendas import AgendaStore
from shared.state.due import DueIndex
from shared.state.limits import Entity
from shared.state.outbox import Outbox
from shared.state.storage import TRANSACTION_LIMIT, Operation, Storage, partition_of
from shared.state.users import UserStore
from shared.sync.interfaces import PARTITIONS, Wish
from shared.sync.tick import PAGE

RULES = PresenceRules(timezone="Europe/Berlin")
MEETING = datetime(2026, 11, 23, 9, tzinfo=UTC)
"""Everybody's meeting begins at ten in Berlin, on a Monday."""

NIGHT = MEETING - timedelta(hours=10)


@dataclass(frozen=True, slots=True)
class Employee:
    """Somebody with a mailbox."""

    number: int

    @property
    def user(self) -> User:
        guid = hashlib.sha256(str(self.number).encode()).hexdigest()[:32]
        sip = f"user{self.number:05}"
        return User(guid, sip, sip, sip.title(), (self.mailbox,))

    @property
    def mailbox(self) -> str:
        return f"user{self.number:05}@example.com"

    @property
    def appointments(self) -> tuple[Appointment, ...]:
        """Ten in the next 48 hours, the first of which is everybody's."""
        own = [
            Appointment(
                f"{self.number}/{nth}",
                MEETING + timedelta(hours=nth * 4, minutes=self.number % 4 * 15),
                MEETING + timedelta(hours=nth * 4 + 1, minutes=self.number % 4 * 15),
                f"Appointment {nth} of {self.number}",
            )
            for nth in range(1, 10)
        ]
        return (Appointment("all", MEETING, MEETING + timedelta(hours=1), "Everybody"), *own)


async def settle(storage: Storage, employees: Sequence[Employee]) -> None:
    """Store everybody as after the night's reading, with what the PBX was told of them."""
    users = UserStore(storage)
    await users.add_all([(employee.user, (employee.mailbox,)) for employee in employees])
    await asyncio.gather(*(_find(storage, part) for part in _by_partition(employees)))
    await asyncio.gather(*(_read(storage, part) for part in _by_partition(employees)))
    await tell(storage, employees)


def _by_partition(employees: Sequence[Employee]) -> list[list[Employee]]:
    return [[each for each in employees if partition_of(each.user.guid) == part] for part in PARTITIONS]


async def _find(storage: Storage, employees: Sequence[Employee]) -> None:
    """Note each mailbox as found; the employees are of one partition."""
    for group in batched(employees, TRANSACTION_LIMIT, strict=False):
        await storage.table("users").transact(
            [
                (
                    "update",
                    _keys(employee)
                    | {"mailbox": employee.mailbox, "mailbox_state": MailboxState.FOUND.value},
                )
                for employee in group
            ]
        )


class _Collected:
    """A table that keeps what is inserted, to be stored together."""

    def __init__(self) -> None:
        self.steps: list[Operation] = []

    async def insert(self, entity: Entity) -> str:
        """Keep a record."""
        self.steps.append(("create", entity))
        return ""


async def _read(storage: Storage, employees: Sequence[Employee]) -> None:
    """Store each agenda as the night's reading left it; the employees are of one partition."""
    agendas, collected = AgendaStore(storage), _Collected()
    agendas._table = collected  # type: ignore[assignment]
    for each in employees:
        agenda = Agenda(each.appointments, NIGHT, NIGHT + timedelta(hours=48), 1, MEETING)
        await agendas.save(each.user.guid, agenda)
    for steps in batched(collected.steps, TRANSACTION_LIMIT, strict=False):
        await storage.table("agendas").transact(steps)


def _keys(employee: Employee) -> dict[str, str]:
    guid = employee.user.guid
    return {"PartitionKey": partition_of(guid), "RowKey": guid}


async def forget(storage: Storage) -> None:
    """Remove what `tell` stored, and what became of it."""
    for name in ("outbox", "due"):
        table = storage.table(name)
        keys = [
            record async for record in table.query("PartitionKey ne ''", select=["PartitionKey", "RowKey"])
        ]
        for _, partition in groupby(keys, key=lambda record: record["PartitionKey"]):
            for group in batched(partition, TRANSACTION_LIMIT, strict=False):
                await table.transact([("delete", dict(record)) for record in group])


async def tell(storage: Storage, employees: Sequence[Employee]) -> None:
    """Store what the PBX was told of everybody at night, and that all change when the meeting begins."""
    due, outbox = DueIndex(storage), Outbox(storage)
    for page in batched(employees, PAGE, strict=False):
        wishes, moments = [], []
        for employee in page:
            presence = compose(employee.appointments, NIGHT, RULES)
            due_at = next_composition(presence, NIGHT, RULES)
            order = f"{1:012d} {NIGHT.isoformat()}"
            wishes.append(Wish(employee.user.guid, employee.user.sip, order, presence))
            if due_at is not None:
                moments.append((employee.user.guid, MEETING))
        await outbox.put_all(wishes)
        await due.schedule_all(moments)
    while told := await outbox.take(NIGHT, 1600):
        await outbox.acknowledge(told, NIGHT)

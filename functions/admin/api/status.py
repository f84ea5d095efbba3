"""The state of the whole service, and the reading of everybody."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import date, datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, problems
from functions.admin.context import Calendar, Record, Recording
from functions.admin.day import count_hour
from functions.admin.problems import Problem
from functions.services import Services
from shared.sync.applying import Applied
from shared.sync.changes import Effect
from shared.sync.interfaces import PARTITIONS, Progress
from shared.sync.status import Status

router = APIRouter(prefix=BASE, tags=["status"])


class Warned(BaseModel):
    """Something an administrator has to know."""

    code: str = Field(examples=["no_notifications"])
    text: str = Field(examples=["No notification from Exchange reaches this service."])
    link: str = Field(description="A path of the administration, or empty.", examples=["/configuration/pbx"])


class Users(BaseModel):
    """The users by their state, as they were counted some minutes ago."""

    at: datetime
    total: int = Field(examples=[1200])
    with_mailbox: int = Field(examples=[1150])
    without_mailbox: int = Field(examples=[38])
    unresolved: int = Field(description="Not looked for yet.", examples=[0])
    excluded: int = Field(examples=[12])
    failing: int = Field(examples=[3])
    subscribed: int = Field(examples=[1147])
    silent: int = Field(description="Subscribed, without a sign of life for too long.", examples=[0])
    refused: int = Field(description="Exchange does not report their changes.", examples=[1])
    oldest_sign: datetime | None
    newest_sign: datetime | None
    reading_since: datetime | None = Field(description="Since when the oldest wish for a reading waits.")
    presences_refused: int = Field(description="Whose presence the PBX refuses.", examples=[0])


class Queue(BaseModel):
    """Work that waits."""

    name: str = Field(examples=["sync"])
    waiting: int = Field(examples=[0])
    given_up: int = Field(examples=[0])
    oldest: datetime | None = Field(description="Since when the first waits that could be done now.")


class Timer(BaseModel):
    """What runs by itself."""

    name: str = Field(examples=["tick"])
    last_run: datetime | None
    seconds: float | None = Field(examples=[0.4])
    error: str = Field(examples=[""])
    overdue: bool


class Round(BaseModel):
    """A round over all users: ``parts`` of them is all."""

    key: str = Field(description="The day, or the instant, it is for.", examples=["2026-11-23"])
    users: int = Field(examples=[1138])
    done: int = Field(examples=[16])
    parts: int = Field(examples=[16])
    began: datetime | None
    ended: datetime | None = Field(description="When everybody had been asked for.")
    last_read: datetime | None = Field(description="When the last calendar was read until now.")


class Budget(BaseModel):
    """How many requests to Exchange may be under way at once, and are."""

    limit: int = Field(examples=[10])
    in_use: int = Field(examples=[2])
    paused_until: datetime | None


class SystemTrouble(BaseModel):
    """Why the PBX or Exchange can't be used."""

    system: str = Field(examples=["pbx"])
    code: str = Field(examples=["Unreachable"])
    text: str = Field(examples=["The PBX does not answer."])
    since: datetime
    attempts: int = Field(examples=[2])
    retry_at: datetime


class CountedHour(BaseModel):
    """What happened in the hour from ``begin``."""

    begin: datetime
    notifications: int = Field(examples=[240])
    reads: int = Field(examples=[180])
    presences: int = Field(examples=[95])
    errors: int = Field(examples=[0])


class Application(BaseModel):
    """A change that takes effect for everybody, part by part."""

    done: int = Field(examples=[5])
    parts: int = Field(examples=[16])
    reading: bool = Field(description="Whether everybody's calendar is read.")


class ServiceState(BaseModel):
    """The state of the whole service; ``day`` has the oldest hour first."""

    at: datetime
    missing: list[str] = Field(description="Settings without which nothing works.", examples=[[]])
    warnings: list[Warned] = Field(description="The most urgent first.")
    users: Users | None = Field(description="Null until they were counted first.")
    queues: list[Queue]
    timers: list[Timer]
    midnight: Round | None
    poll: Round | None
    budget: Budget
    troubles: list[SystemTrouble]
    secret_expires_on: date | None
    applying: Application | None = Field(description="Null while nothing is under way.")
    day: list[CountedHour]


@router.get("/status", responses=problems())
async def status(calendar: Calendar) -> ServiceState:
    """How everything is: users, work, timers, both systems, and what to know first."""
    configuration = await calendar.configuration()
    found, applied = await asyncio.gather(
        calendar.status().collect(configuration), calendar.applier.applied.get()
    )
    return _write(found, applied)


@router.post("/read-everybody", status_code=202, responses=problems(409))
async def read_everybody(calendar: Calendar, record: Recording) -> None:
    """Have all calendars read; ``applying`` of the status says how far that has come."""
    await ask_for_everybody(calendar, record)


async def ask_for_everybody(calendar: Services, record: Record) -> None:
    """Have all calendars read, and write that down. Raises Problem where nothing can be read."""
    if missing := (await calendar.configuration()).missing():
        raise Problem(409, f"Nothing can be read before these settings are filled in: {', '.join(missing)}.")
    await calendar.actions().read_everybody()
    await record("had all calendars read", "")


def reads_everybody(applied: Applied) -> bool:
    """Whether a change that takes effect is a reading of all calendars."""
    return Effect.READ in applied.effects


def _write(status: Status, applied: Applied | None) -> ServiceState:
    census = status.census
    return ServiceState(
        at=status.at,
        missing=list(status.missing),
        warnings=[Warned(**asdict(each)) for each in status.warnings],
        users=Users.model_validate(asdict(census)) if census else None,
        queues=[Queue(**asdict(each)) for each in status.queues],
        timers=[
            Timer(
                name=each.name,
                last_run=each.heartbeat.at if each.heartbeat else None,
                seconds=each.heartbeat.seconds if each.heartbeat else None,
                error=each.heartbeat.error if each.heartbeat else "",
                overdue=each.overdue,
            )
            for each in status.tasks
        ],
        midnight=_write_round(status.midnight),
        poll=_write_round(status.poll),
        budget=Budget(
            limit=status.budget.limit, in_use=status.budget.in_use, paused_until=status.budget.not_before
        ),
        troubles=[
            SystemTrouble(system=system, **asdict(each)) for system, each in sorted(status.troubles.items())
        ],
        secret_expires_on=status.expires_on,
        applying=Application(done=applied.done, parts=len(PARTITIONS), reading=reads_everybody(applied))
        if applied is not None and applied.target is not None
        else None,
        day=[CountedHour(begin=hour.begin, **count_hour(hour)) for hour in status.day],
    )


def _write_round(progress: Progress | None) -> Round | None:
    return Round(**asdict(progress), parts=len(PARTITIONS)) if progress else None

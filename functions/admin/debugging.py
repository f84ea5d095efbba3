"""The record of what is said to Exchange for administrators: hidden subjects are hidden here too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import Response

from functions.admin.context import Record as WriteDown
from functions.admin.download import send_file
from functions.admin.problems import Problem
from functions.admin.session import Administrator
from functions.services import Services
from shared.errors import StateConflict
from shared.ews.recording import Record, drop_subjects
from shared.settings import ExchangeSettings, SyncType, secret_fields
from shared.state.recordings import Heading

LONGEST = 480
"""Minutes after which it ends at the latest."""

_ATTEMPTS = 5
"""Tries against others who save the configuration."""


@dataclass(frozen=True, slots=True)
class Switch:
    """When the recording ends, or None while it is off; whether subjects are kept, and may be."""

    until: datetime | None
    subjects: bool
    subjects_allowed: bool


async def look_at_switch(calendar: Services, now: datetime) -> Switch:
    """Whether it is on."""
    settings = (await calendar.config.load_section("exchange")).section
    assert isinstance(settings, ExchangeSettings)
    until = datetime.fromisoformat(settings.debug_until) if settings.debug_until else None
    allowed = await _may_see_subjects(calendar)
    if until is None or until <= now:
        return Switch(None, subjects=False, subjects_allowed=allowed)
    return Switch(until, settings.debug_subjects and allowed, allowed)


async def start_recording(
    calendar: Services,
    who: Administrator,
    record: WriteDown,
    now: datetime,
    lasts: timedelta,
    *,
    subjects: bool,
) -> None:
    """Switch it on, and write that down. Raises Problem, InvalidSettings."""
    if subjects and not await _may_see_subjects(calendar):
        raise Problem(409, "The configuration lets no subjects show, thus they are not recorded either.")
    if (await calendar.config.load()).exchange.sync_type is SyncType.DISABLED:
        raise Problem(409, "Exchange is not configured: nothing is said to it.")
    until = (now + lasts).isoformat(timespec="seconds")
    await _save(calendar, who, {"debug_until": until, "debug_subjects": subjects})
    minutes = int(lasts.total_seconds() / 60)
    extent = "with subjects" if subjects else "without subjects"
    await record("switched the recording of Exchange on", f"{minutes} minutes, {extent}")


async def stop_recording(calendar: Services, who: Administrator, record: WriteDown) -> None:
    """Switch it off, and write that down. Raises Problem."""
    await _save(calendar, who, {"debug_until": "", "debug_subjects": False})
    await record("switched the recording of Exchange off", "")


async def delete_records(calendar: Services, record: WriteDown) -> None:
    """Delete all that was recorded, and write that down."""
    await calendar.recordings.clear()
    await record("deleted the recording of Exchange", "")


async def list_records(calendar: Services, limit: int, after: str) -> Sequence[Heading]:
    """The latest headings from behind ``after``. Raises Problem."""
    try:
        return await calendar.recordings.headings(limit, after)
    except ValueError as error:
        raise Problem(400, "There is no such place in the list.") from error


async def find_record(calendar: Services, identity: str) -> Record:
    """One record as it may be seen. Raises Problem."""
    try:
        record = await calendar.recordings.find(identity)
    except ValueError:
        record = None
    if record is None:
        raise Problem(404, "There is no such record any more.")
    return record if await _may_see_subjects(calendar) else _without_subjects(record)


async def answer_lines(calendar: Services, record: WriteDown) -> Response:
    """The file of all records as they may be seen, the oldest first: JSON lines. Who took it is on record."""
    await record("downloaded the recording of Exchange", "")
    subjects = await _may_see_subjects(calendar)

    async def write() -> AsyncIterator[str]:
        async for said in calendar.recordings.read():
            seen = said if subjects else _without_subjects(said)
            yield f"{json.dumps(asdict(seen) | {'at': seen.at.isoformat()}, ensure_ascii=False)}\n"

    return await send_file("exchange.jsonl", "application/jsonl", write())


async def _save(calendar: Services, who: Administrator, change: Mapping[str, Any]) -> None:
    """Change only that, also where somebody else saves the section at the same moment."""
    for _ in range(_ATTEMPTS):
        stored = await calendar.config.load_section("exchange")
        if stored.faults:
            fields = ", ".join(fault.field for fault in stored.faults)
            raise Problem(409, f"The stored configuration has faults. Correct and save it first: {fields}.")
        values = stored.section.model_dump(mode="json", exclude=set(secret_fields("exchange")))
        with suppress(StateConflict):
            await calendar.configurator().save("exchange", values | dict(change), stored.etag, who.name)
            return
    raise Problem(409, "The configuration is being saved again and again. Repeat it later.")


async def _may_see_subjects(calendar: Services) -> bool:
    return (await calendar.config.load()).presence.rules.show_subject


def _without_subjects(record: Record) -> Record:
    """Of the time when the configuration let subjects show."""
    return replace(record, request=drop_subjects(record.request), answer=drop_subjects(record.answer))

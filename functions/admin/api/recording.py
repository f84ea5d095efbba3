"""The record of what is said to Exchange and answered: switched on for a time, shown, taken away, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, Limit, Responses, problems, with_header
from functions.admin.context import Calendar, Now, Recording, Who
from functions.admin.debugging import (
    LONGEST,
    Switch,
    answer_lines,
    delete_records,
    find_record,
    list_records,
    look_at_switch,
    start_recording,
    stop_recording,
)
from shared.ews.recording import Record

router = APIRouter(prefix=f"{BASE}/recording", tags=["recording"])


ID = "20261122T1200000000070f3c5e6a"
"""A record's, for examples."""


class SwitchState(BaseModel):
    """Whether what is said to Exchange is recorded, and may be with subjects."""

    until: datetime | None = Field(description="When it ends by itself; null while it is off.")
    subjects: bool = Field(description="Whether subjects and places are kept, but for private ones.")
    subjects_allowed: bool = Field(description="Only where the configuration lets subjects show.")


class RecordingWish(BaseModel):
    """For how long to record, and what."""

    minutes: int = Field(60, ge=1, le=LONGEST, examples=[60])
    subjects: bool = Field(False, examples=[False])


class RecordHeading(BaseModel):
    """One request, without what was said. ``status`` is 0 where there was no answer but ``error``."""

    id: str = Field(examples=[ID])
    at: datetime
    seconds: float = Field(examples=[0.21])
    operation: str = Field(examples=["FindItem"])
    status: int = Field(examples=[200])
    error: str = Field(examples=[""])


class HeadingPage(BaseModel):
    """Some headings, and where to go on."""

    items: list[RecordHeading]
    next: str | None = Field(examples=[None])


class WholeRecord(BaseModel):
    """One request and what came of it; addresses are hashes, names and texts are left out."""

    at: datetime
    seconds: float = Field(examples=[0.21])
    place: str = Field(examples=["https://outlook.office365.com/EWS/Exchange.asmx"])
    request_headers: dict[str, str] = Field(examples=[{"content-type": "text/xml; charset=utf-8"}])
    request: str = Field(examples=['<m:FindItem Traversal="Shallow">…</m:FindItem>'])
    status: int = Field(examples=[200])
    answer_headers: dict[str, str] = Field(examples=[{"request-id": "5f0f2f51-3c9d-4a3f-9a41-6f6b5e4a3c2d"}])
    answer: str = Field(examples=["<m:FindItemResponse>…</m:FindItemResponse>"])
    error: str = Field(examples=[""])


@router.get("", responses=problems())
async def look(calendar: Calendar, now: Now) -> SwitchState:
    """Whether it is on."""
    return _write_switch(await look_at_switch(calendar, now))


@router.put("", responses=problems(409, 422))
async def start(
    wish: RecordingWish, calendar: Calendar, who: Who, now: Now, record: Recording
) -> SwitchState:
    """Record from now on; it ends by itself."""
    lasts = timedelta(minutes=wish.minutes)
    await start_recording(calendar, who, record, now, lasts, subjects=wish.subjects)
    return _write_switch(await look_at_switch(calendar, now))


@router.delete("", status_code=204, responses=problems(409))
async def stop(calendar: Calendar, who: Who, record: Recording) -> None:
    """Record no more; what was recorded stays."""
    await stop_recording(calendar, who, record)


@router.get("/records", responses=problems(400, 422))
async def headings(
    calendar: Calendar,
    limit: Limit = 50,
    after: Annotated[str, Query(max_length=200, description="`next` of the page before.")] = "",
) -> HeadingPage:
    """What was recorded, the latest first; a thousand are kept, and none for longer than a day."""
    found = await list_records(calendar, limit + 1, after)
    items = [RecordHeading.model_validate(each, from_attributes=True) for each in found[:limit]]
    return HeadingPage(items=items, next=items[-1].id if len(found) > limit else None)


_FILE: Responses = {
    200: {"content": {"application/jsonl": {"example": '{"status": 200}\n'}}}
    | with_header("Content-Disposition", "Its name.", 'attachment; filename="exchange.jsonl"')
}


@router.get(
    "/records.jsonl",
    response_class=Response,
    responses=problems() | _FILE,
)
async def download(calendar: Calendar, record: Recording) -> Response:
    """All of it, a JSON object a line, the oldest first."""
    return await answer_lines(calendar, record)


@router.get("/records/{identity}", responses=problems(404))
async def show(identity: Annotated[str, Path(examples=[ID])], calendar: Calendar) -> WholeRecord:
    """One request and what came of it."""
    return _write(await find_record(calendar, identity))


@router.delete("/records", status_code=204, responses=problems())
async def delete(calendar: Calendar, record: Recording) -> None:
    """Delete what was recorded."""
    await delete_records(calendar, record)


def _write_switch(switch: Switch) -> SwitchState:
    return SwitchState.model_validate(switch, from_attributes=True)


def _write(record: Record) -> WholeRecord:
    return WholeRecord.model_validate(record, from_attributes=True)

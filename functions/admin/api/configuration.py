"""The configuration, section by section; secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from functions.admin.api.conventions import (
    BASE,
    FieldProblem,
    IfMatch,
    Responses,
    problems,
    read_etag,
    with_header,
    write_etag,
)
from functions.admin.context import Calendar, Now, Recording, Who
from functions.admin.sample import try_rules
from shared.settings import secret_fields
from shared.sync.configuring import Stored

router = APIRouter(prefix=BASE, tags=["configuration"])


class SectionName(StrEnum):
    """The parts of the configuration."""

    PBX = "pbx"
    EXCHANGE = "exchange"
    PRESENCE = "presence"


class SectionState(BaseModel):
    """One section as it is stored."""

    values: dict[str, Any] = Field(
        description="All fields but secrets.", examples=[{"address": "pbx.example.com", "name": "master"}]
    )
    secrets_set: dict[str, datetime] = Field(
        description="Since when each secret is what it is.",
        examples=[{"password": "2026-11-23T08:20:00Z"}],
    )
    lost: list[str] = Field(description="Secrets that no key decrypts: enter them again.", examples=[[]])
    missing: list[str] = Field(description="Fields without which nothing works.", examples=[["pbx.password"]])
    faults: list[FieldProblem] = Field(description="Stored values that this version refuses.")
    saved_at: datetime | None
    saved_by: str = Field(examples=["anna@example.com"])


class SampleMoment(BaseModel):
    """What a phone shows at one time of the sample day."""

    at: str = Field(description="By the clocks of the notes' time zone.", examples=["09:05"])
    event: str = Field(description="What begins then.", examples=["Project meeting (busy)"])
    activity: str = Field(examples=["busy"])
    note: str = Field(examples=["Project meeting until 10:30 #busy #len:15:15 #until:1503304200000"])


class SampleDay(BaseModel):
    """What rules make of a day with one appointment of each kind."""

    moments: list[SampleMoment]


_VERSION: Responses = {200: with_header("ETag", "The version, for `If-Match`.", '"Vy8iMSI"')}


@router.get("/configuration/{section}", responses=problems(404, 422) | _VERSION)
async def read_section(section: SectionName, calendar: Calendar, response: Response) -> SectionState:
    """One section of the configuration and its ETag; a section that was never saved has its defaults."""
    return _answer(section, await calendar.config.load_section(section), response)


@router.put("/configuration/{section}", responses=problems(404, 412, 422, 428) | _VERSION)
async def save_section(
    section: SectionName,
    values: Annotated[
        dict[str, Any],
        Body(
            description="The whole section: an absent field gets its default. An absent or empty secret "
            "stays as it is, null deletes it.",
            examples=[{"address": "pbx.example.com", "name": "master", "password": "…"}],
        ),
    ],
    calendar: Calendar,
    who: Who,
    record: Recording,
    response: Response,
    if_match: IfMatch = None,
) -> SectionState:
    """Check and save one section, and have it take effect. Nothing is saved where a field is wrong."""
    etag = read_etag(if_match)
    former = await calendar.config.load_section(section)
    stored = await calendar.configurator().save(section, values, etag, who.name)
    await record("saved the configuration", describe_changes(section, former, stored))
    return _answer(section, stored, response)


@router.post("/configuration/presence/preview", responses=problems(422))
async def preview(
    values: Annotated[
        dict[str, Any],
        Body(
            description="The section `presence` as it would be saved: an absent field has its default.",
            examples=[{"language": "de", "timezone": "Europe/Berlin", "mapping": {"tentative": "busy"}}],
        ),
    ],
    request: Request,
    now: Now,
) -> SampleDay:
    """What rules would show on a sample day; nothing is saved."""
    request.state.recorded = True
    moments = [
        SampleMoment(
            at=each.at, event=each.event, activity=each.presence.activity.value, note=each.presence.note
        )
        for each in try_rules(values, now)
    ]
    return SampleDay(moments=moments)


def describe_changes(name: str, former: Stored, stored: Stored) -> str:
    """Which fields have changed, by name: values may be nobody's business."""
    before, after = former.section.model_dump(), stored.section.model_dump()
    changed = [field for field in after if after[field] != before[field]]
    return f"{name}: {', '.join(changed) or 'nothing changed'}"


def _answer(name: SectionName, stored: Stored, response: Response) -> SectionState:
    response.headers["ETag"] = write_etag(stored.etag)
    return SectionState(
        values=stored.section.model_dump(mode="json", exclude=set(secret_fields(name))),
        secrets_set=dict(stored.secrets_set),
        lost=list(stored.lost),
        missing=stored.section.missing() if hasattr(stored.section, "missing") else [],
        faults=[FieldProblem(field=f.field, fault=f.fault, remedy=f.remedy) for f in stored.faults],
        saved_at=stored.saved_at,
        saved_by=stored.saved_by,
    )

"""The configuration, section by section; secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
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
from functions.admin.context import Calendar, Recording, Who
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
    secrets_set: dict[str, datetime] = Field(description="Since when each secret is what it is.")
    lost: list[str] = Field(description="Secrets that no key decrypts: enter them again.")
    missing: list[str] = Field(description="Fields without which nothing works.", examples=[["pbx.password"]])
    faults: list[FieldProblem] = Field(description="Stored values that this version refuses.")
    saved_at: datetime | None
    saved_by: str = Field(examples=["anna@example.com"])


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

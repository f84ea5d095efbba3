"""One user."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, problems
from functions.admin.context import Calendar, Now, Recording
from functions.admin.pictures.timeline import IGNORED
from functions.admin.portrait import Portrait, Viewer, portray
from functions.admin.problems import FieldFault, Problem
from functions.admin.user import clear_user, exclude_user, find_user, read_user
from shared.model import CalendarUser, Failure
from shared.presence import FieldError

router = APIRouter(prefix=BASE, tags=["users"])

GUID = "0f3c5e6a7b8c9d0e1f2a3b4c5d6e7f80"
"""Somebody's, for examples."""

Guid = Annotated[str, Path(description="The user's on the PBX, 32 hexadecimal digits.", examples=[GUID])]


class Note(BaseModel):
    """A presence and the instant from which it holds."""

    at: datetime
    activity: str = Field(examples=["busy"])
    note: str = Field(examples=["Review until 10:30 #busy #len:6:6 #until:1503304200000"])
    sentence: str = Field(description="As the viewer reads it.", examples=["Review until 10:30"])


class Reason(BaseModel):
    """Why something shows for a time, or why an appointment doesn't."""

    start: datetime
    end: datetime | None
    activity: str = Field(examples=["busy"])
    sentences: list[str] = Field(
        examples=[
            [
                "Now shows ‘Review’ (9:00 to 10:30) as busy until 10:30, because Busy is mapped to busy and "
                "the other one loses.",
                "A private appointment (8:00 to 12:00) loses because it begins earlier (8:00), and what "
                "begins last shows.",
            ]
        ]
    )


class Span(BaseModel):
    """From one instant to before another."""

    start: datetime
    end: datetime


class Appointment(Span):
    """An appointment with what may be read of it: nobody sees subjects that are private or don't show."""

    title: str = Field(examples=["Review"])
    activity: str | None = Field(description="Null for one that never shows.", examples=["busy"])
    shows: list[Span] = Field(description="When it is the one that shows.")


class LastFailure(BaseModel):
    """Why something that a user needs was not done."""

    code: str = Field(examples=["ErrorAccessDenied"])
    text: str = Field(examples=["Exchange denies access to the calendar."])
    since: datetime
    attempts: int = Field(examples=[3])
    retry_at: datetime | None


class OnPbx(BaseModel):
    """What the PBX has acknowledged last, and why it refused the next."""

    activity: str = Field(examples=["busy"])
    note: str = Field(examples=["Review until 10:30 #busy #len:6:6 #until:1503304200000"])
    at: datetime | None
    error: str = Field(examples=[""])


class OneUser(BaseModel):
    """What is known of a user. ``notes`` begins with the one that holds now."""

    guid: str = Field(examples=[GUID])
    user_name: str = Field(examples=["anna"])
    common_name: str = Field(examples=["Anna Bauer"])
    display_name: str = Field(examples=["Bauer, Anna"])
    home_pbx: str = Field(examples=["branch"])
    groups: list[str] = Field(examples=[["sales"]])
    apps: list[str] = Field(examples=[["calendar"]])
    candidates: list[str] = Field(
        description="Addresses under which Exchange may know the user.", examples=[["anna@example.com"]]
    )
    excluded: bool
    leaving: bool
    mailbox: str = Field(examples=["anna@example.com"])
    mailbox_state: str = Field(examples=["found"])
    subscribed_since: datetime | None
    last_sign: datetime | None
    read_requested_at: datetime | None
    read_at: datetime | None
    read_until: datetime | None
    failure: LastFailure | None = Field(description="Why the calendar can't be read.")
    subscription_failure: LastFailure | None = Field(
        description="Why the mailbox can't be found or subscribed to."
    )
    on_pbx: OnPbx | None
    appointments: list[Appointment] = Field(description="As far as the calendar was read.")
    notes: list[Note]
    reasons: list[Reason]
    omitted: list[str] = Field(
        description="Why appointments never show.",
        examples=[["‘Maybe’ (12:00 to 13:00) does not count because Tentative is mapped to ignore."]],
    )


class Exclusion(BaseModel):
    """Whether a user is kept out."""

    excluded: bool = Field(examples=[True])


@router.get("/users/{guid}", responses=problems(404, 422))
async def show(
    guid: Guid,
    calendar: Calendar,
    now: Now,
    language: str = Query("", description="Of whoever reads the sentences; empty: that of the notes."),
    timezone: str = Query("", description="Of whoever reads the sentences, an IANA name."),
) -> OneUser:
    """What shows, what follows, and why; the mailbox, the subscription, and what is wrong."""
    user = await find_user(calendar, guid)
    rules = (await calendar.configuration()).presence.rules
    agenda = await calendar.agendas.get(guid)
    published = await calendar.outbox.published(guid)
    portrait = None
    if agenda is not None:
        viewer = Viewer(language or rules.language, timezone or rules.timezone)
        try:
            portrait = portray(agenda, now, rules, viewer, user.user.sip)
        except FieldError as error:
            faults = [FieldFault(*each) for each in error.faults]
            raise Problem(422, "The request does not fit.", errors=faults) from error
    on_pbx = published and OnPbx(
        activity=published.activity or "available",
        note=published.note,
        at=published.at,
        error=published.error,
    )
    return _write(user, portrait).model_copy(
        update={
            "read_at": agenda.read_at if agenda else None,
            "read_until": agenda.window_end if agenda else None,
            "on_pbx": on_pbx,
        }
    )


@router.post("/users/{guid}/read", status_code=202, responses=problems(404, 409))
async def read(guid: Guid, calendar: Calendar, record: Recording) -> None:
    """Have the calendar read now."""
    await read_user(calendar, record, guid)


@router.put("/users/{guid}/excluded", status_code=204, responses=problems(404, 422))
async def exclude(guid: Guid, wish: Exclusion, calendar: Calendar, record: Recording) -> None:
    """Keep the user out, or let them in again."""
    await exclude_user(calendar, record, guid, wish.excluded)


@router.post("/users/{guid}/clear", status_code=202, responses=problems(404))
async def clear(guid: Guid, calendar: Calendar, record: Recording) -> None:
    """Clear the presence until the calendar is read the next time."""
    await clear_user(calendar, record, guid)


def _write(user: CalendarUser, portrait: Portrait | None) -> OneUser:
    return OneUser(
        guid=user.user.guid,
        user_name=user.user.sip,
        common_name=user.user.common_name,
        display_name=user.user.display_name,
        home_pbx=user.user.location,
        groups=list(user.user.groups),
        apps=list(user.user.apps),
        candidates=list(user.candidates),
        excluded=user.excluded,
        leaving=user.leaving,
        mailbox=user.mailbox,
        mailbox_state=user.mailbox_state.value,
        subscribed_since=user.subscription.since if user.subscription else None,
        last_sign=user.subscription.last_sign if user.subscription else None,
        read_requested_at=user.read_requested_at,
        read_at=None,
        read_until=None,
        failure=_write_failure(user.failure),
        subscription_failure=_write_failure(user.subscription_failure),
        on_pbx=None,
        appointments=[
            Appointment(
                start=bar.start,
                end=bar.end,
                title=bar.title,
                activity=None if bar.lane == IGNORED else bar.lane,
                shows=[Span(start=start, end=end) for start, end in bar.shows],
            )
            for bar in (portrait.bars if portrait else ())
        ],
        notes=[
            Note(
                at=told.at,
                activity=told.presence.activity.value,
                note=told.presence.note,
                sentence=told.sentence,
            )
            for told in (portrait.told if portrait else ())
        ],
        reasons=[
            Reason(
                start=episode.start,
                end=episode.end,
                activity=episode.activity.value,
                sentences=[sentence.text for sentence in episode.sentences],
            )
            for episode in (portrait.explanation.episodes if portrait else ())
        ],
        omitted=[sentence.text for sentence in (portrait.explanation.omitted if portrait else ())],
    )


def _write_failure(failure: Failure | None) -> LastFailure | None:
    return LastFailure(**asdict(failure)) if failure else None

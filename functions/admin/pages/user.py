"""One user: what shows and why, the mailbox, what is wrong, and what can be done about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from functions.admin.context import Calendar, Now, Pages, Recording
from functions.admin.pages.locales import LANGUAGES, zones
from functions.admin.portrait import Viewer, portray
from functions.admin.problems import FieldFault
from functions.admin.user import clear_user, exclude_user, find_user, read_user
from shared.presence import FieldError

router = APIRouter(include_in_schema=False)

_DONE = {
    "read": "The calendar is being read, which takes a few seconds.",
    "excluded": "The user is excluded: the presence is cleared and the calendar forgotten.",
    "included": "The user is included again; the calendar is being read.",
    "cleared": "The presence is cleared until the calendar is read the next time.",
}


@router.get("/users/{guid}")
async def show(
    request: Request,
    guid: str,
    pages: Pages,
    calendar: Calendar,
    now: Now,
    language: str = "",
    timezone: str = "",
    done: str = "",
) -> Response:
    """Everything that is known. ``language`` and ``timezone`` are those of whoever looks at the note."""
    user = await find_user(calendar, guid)
    rules = (await calendar.configuration()).presence.rules
    agenda = await calendar.agendas.get(guid)
    published = await calendar.outbox.published(guid)
    viewer = reader = Viewer(language or rules.language, timezone or rules.timezone)
    faults: dict[str, FieldFault] = {}
    portrait = None
    who = user.user.display_name or user.user.common_name or user.user.sip
    if agenda is not None:
        try:
            portrait = portray(agenda, now, rules, viewer, who)
        except FieldError as error:
            faults = {each.field: FieldFault(*each) for each in error.faults}
            reader = Viewer(rules.language, rules.timezone)
            portrait = portray(agenda, now, rules, reader, who)
    return await pages.page(
        request,
        "user.html",
        status=422 if faults else 200,
        user=user,
        name=who,
        agenda=agenda,
        published=published,
        portrait=portrait,
        picture=Markup(portrait.picture) if portrait else "",  # noqa: S704 - escaped where it is drawn
        viewer=viewer,
        reader=reader,
        faults=faults,
        languages=LANGUAGES,
        timezones=zones(),
        done=_DONE.get(done, ""),
    )


@router.post("/users/{guid}/read")
async def read(guid: str, calendar: Calendar, record: Recording) -> Response:
    """Have the calendar read now."""
    await read_user(calendar, record, guid)
    return _back(guid, "read")


@router.post("/users/{guid}/excluded")
async def exclude(
    guid: str, calendar: Calendar, record: Recording, excluded: Annotated[bool, Form()]
) -> Response:
    """Keep the user out, or let them in again."""
    await exclude_user(calendar, record, guid, excluded)
    return _back(guid, "excluded" if excluded else "included")


@router.post("/users/{guid}/clear")
async def clear(guid: str, calendar: Calendar, record: Recording) -> Response:
    """Clear the presence."""
    await clear_user(calendar, record, guid)
    return _back(guid, "cleared")


def _back(guid: str, done: str) -> Response:
    return RedirectResponse(f"/users/{guid}?done={done}", 303)

"""The first page: what works, what does not, and what to do first where nothing is configured yet."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from functions.admin.api.status import ask_for_everybody
from functions.admin.context import Calendar, Pages, Recording
from functions.admin.day import draw_day
from functions.services import Services
from shared.settings import Configuration
from shared.sync.interfaces import GROUP
from shared.sync.status import Status

router = APIRouter(include_in_schema=False)

_URGENT = frozenset(
    {
        "exchange_unavailable",
        "pbx_unavailable",
        "timer_overdue",
        "no_notifications",
        "secret_expired",
        "given_up",
    }
)
_DONE = {"reading": "Everybody's calendar is being read; for many users that takes a while."}


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done before the service works, in the order of the steps."""

    title: str
    text: str
    link: str
    done: bool


@router.get("/")
async def status(request: Request, pages: Pages, calendar: Calendar, done: str = "") -> Response:
    """The whole page; its numbers follow by themselves."""
    values = await _look(calendar)
    return await pages.page(request, "status.html", done=_DONE.get(done, ""), **values)


@router.get("/status")
async def present(request: Request, pages: Pages, calendar: Calendar) -> Response:
    """The part of the page that changes."""
    return await pages.page(request, "status_now.html", **await _look(calendar))


@router.post("/read-everybody")
async def read_everybody(calendar: Calendar, record: Recording) -> Response:
    """Have all calendars read."""
    await ask_for_everybody(calendar, record)
    return RedirectResponse("/?done=reading", 303)


async def _look(calendar: Services) -> dict[str, Any]:
    """What both show."""
    configuration = await calendar.configuration()
    status, applied = await asyncio.gather(
        calendar.status().collect(configuration), calendar.applier.applied.get()
    )
    steps = await _find_steps(calendar, configuration, status)
    return {
        "found": status,
        "warnings_now": [each for each in status.warnings if each.code not in _said_elsewhere(steps)],
        "urgent": _URGENT,
        "steps": steps,
        "group": GROUP,
        "detection": configuration.exchange.detection.value,
        "applied": applied if applied is not None and applied.target is not None else None,
        "chart": Markup(draw_day(status.day, configuration.presence.rules.zone)),  # noqa: S704 - numbers
    }


def _said_elsewhere(steps: list[Step]) -> Collection[str]:
    """Every page warns of plain HTTP; the steps say that nothing is configured, thus nothing runs."""
    return ("plain_http", "not_configured", "timer_overdue") if steps else ("plain_http",)


async def _find_steps(calendar: Services, configuration: Configuration, status: Status) -> list[Step]:
    """The way to a first presence; nothing where users are known, or all is configured."""
    if not configuration.missing() or (status.census is not None and status.census.total):
        return []
    presence = await calendar.config.load_section("presence")
    return [
        Step(
            "Name the PBX",
            "Its address, its PBX name, and the password of the App object this service signs in as.",
            "/configuration/pbx",
            not configuration.pbx.missing(),
        ),
        Step(
            "Name Exchange",
            "On-premises or Exchange Online, and the account that reads the calendars.",
            "/configuration/exchange",
            not configuration.exchange.missing(),
        ),
        Step(
            "Decide what colleagues see",
            "Whether subjects show, the language and the time zone of the notes, what busy means.",
            "/configuration/presence",
            bool(presence.etag),
        ),
        Step(
            "Watch the users arrive",
            "As soon as all is filled in they are read from the PBX, and then their calendars.",
            "/users",
            False,
        ),
    ]

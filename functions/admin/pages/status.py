"""The first page: what works, and what does not."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from functions.admin.context import Calendar, Pages

router = APIRouter(include_in_schema=False)

TASKS = ("tick", "directory", "upkeep", "midnight")


@router.get("/")
async def status(request: Request, pages: Pages, calendar: Calendar) -> Response:
    """What is missing, what is wrong with the two systems, and when what ran last."""
    configuration = await calendar.configuration()
    systems = ("exchange", "pbx")
    troubles = await asyncio.gather(*map(calendar.health.trouble, systems))
    heartbeats = await asyncio.gather(*map(calendar.health.heartbeat, TASKS))
    return await pages.page(
        request,
        "status.html",
        missing=configuration.missing(),
        troubles=[(name, trouble) for name, trouble in zip(systems, troubles, strict=True) if trouble],
        heartbeats=list(zip(TASKS, heartbeats, strict=True)),
    )

"""What administrators did."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from functions.admin.context import Calendar, Pages
from functions.admin.problems import Problem

router = APIRouter(include_in_schema=False)

PAGE = 50


@router.get("/actions")
async def actions(request: Request, pages: Pages, calendar: Calendar, after: str = "") -> Response:
    """The latest first, in pages."""
    try:
        found = await calendar.audit.latest(PAGE + 1, after)
    except ValueError as error:
        raise Problem(400, "There is no such place in the list.") from error
    shown = found[:PAGE]
    following = f"/actions?after={shown[-1].id}" if len(found) > PAGE else ""
    return await pages.page(request, "actions.html", actions=shown, following=following, after=after)

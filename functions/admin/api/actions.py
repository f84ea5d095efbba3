"""What administrators did."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, After, Limit, problems
from functions.admin.context import Calendar
from functions.admin.problems import Problem

router = APIRouter(prefix=BASE, tags=["actions"])


class Done(BaseModel):
    """One action of an administrator."""

    at: datetime
    who: str = Field(examples=["anna@example.com"])
    what: str = Field(examples=["saved the configuration"])
    about: str = Field(examples=["pbx: address, name"])


class DonePage(BaseModel):
    """Some actions, and where to go on."""

    items: list[Done]
    next: str | None = Field(examples=[None])


@router.get("/actions", responses=problems(400, 422))
async def actions(calendar: Calendar, limit: Limit = 50, after: After = "") -> DonePage:
    """What administrators did in the last 90 days, the latest first."""
    try:
        found = await calendar.audit.latest(limit + 1, after)
    except ValueError as error:
        raise Problem(400, "There is no such place in the list.") from error
    shown = found[:limit]
    items = [Done(at=each.at, who=each.who, what=each.what, about=each.about) for each in shown]
    return DonePage(items=items, next=shown[-1].id if len(found) > limit else None)

"""All users, in pages and as a file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, Limit, Responses, problems, with_header
from functions.admin.api.user import GUID, LastFailure
from functions.admin.context import Calendar, Recording
from functions.admin.roster import Listed, answer_csv, find_users
from shared.state.leaves import Sort
from shared.state.users import UserState

router = APIRouter(prefix=BASE, tags=["users"])

Words = Annotated[
    str,
    Query(max_length=200, description="Words with which words of the names or addresses begin, all of them."),
]


class ListedUser(BaseModel):
    """A user in the list. ``activity`` and ``note`` are what the PBX has acknowledged last."""

    guid: str = Field(examples=[GUID])
    user_name: str = Field(examples=["anna"])
    name: str = Field(examples=["Anna Bauer"])
    mailbox: str = Field(examples=["anna@example.com"])
    mailbox_state: str = Field(description="unresolved, found, none", examples=["found"])
    excluded: bool
    activity: str | None = Field(examples=["busy"])
    note: str | None = Field(examples=["Busy until 10:30 #busy #until:1503304200000"])
    shown_since: datetime | None
    refusal: str = Field(description="Why the PBX refused what was to show next.", examples=[""])
    failure: LastFailure | None


class UserPage(BaseModel):
    """Some users, and where to go on. Fewer than asked for, even none, are not all while there is a next."""

    items: list[ListedUser]
    next: str | None = Field(examples=[None])


@router.get("/users", responses=problems(422))
async def users(
    calendar: Calendar,
    query: Words = "",
    state: UserState = UserState.ALL,
    sort: Sort = Sort.NAME,
    limit: Limit = 50,
    after: Annotated[str, Query(max_length=1000, description="`next` of the page before.")] = "",
) -> UserPage:
    """Users by name or user name, searched and filtered."""
    roster = await find_users(calendar, query, state, sort, after, limit)
    return UserPage(items=[_write(each) for each in roster.users], next=roster.next or None)


_FILE: Responses = {
    200: {"content": {"text/csv": {"example": '"guid","user name"\r\n'}}}
    | with_header("Content-Disposition", "Its name.", 'attachment; filename="users.csv"')
}


@router.get(
    "/users.csv",
    response_class=Response,
    responses=problems(422) | _FILE,
)
async def export(
    calendar: Calendar, record: Recording, query: Words = "", state: UserState = UserState.ALL
) -> Response:
    """All users who match, as comma-separated values; cells that look like a formula begin with `'`."""
    return await answer_csv(calendar, record, query, state)


def _write(listed: Listed) -> ListedUser:
    user, shown = listed.user, listed.published
    failure = user.failure or user.subscription_failure
    return ListedUser(
        guid=user.user.guid,
        user_name=user.user.sip,
        name=listed.name,
        mailbox=user.mailbox,
        mailbox_state=user.mailbox_state.value,
        excluded=user.excluded,
        activity=(shown.activity or "available") if shown and shown.at else None,
        note=shown.note if shown and shown.at else None,
        shown_since=shown.at if shown else None,
        refusal=shown.error if shown else "",
        failure=LastFailure.model_validate(failure, from_attributes=True) if failure else None,
    )

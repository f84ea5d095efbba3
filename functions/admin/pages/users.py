"""All users: searched, filtered, sorted, in pages, and as a file for a spreadsheet."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from functions.admin.context import Calendar, Now, Pages, Recording
from functions.admin.roster import Listed, answer_csv, find_users
from shared.presence import PresenceRules, view
from shared.state.leaves import Sort
from shared.state.users import UserState

router = APIRouter(include_in_schema=False)

PAGE = 50
STATES = (
    (UserState.ALL.value, "All"),
    (UserState.WITH_MAILBOX.value, "With a mailbox"),
    (UserState.WITHOUT_MAILBOX.value, "Without a mailbox"),
    (UserState.UNRESOLVED.value, "Not looked for yet"),
    (UserState.FAILING.value, "Failing"),
    (UserState.REFUSED.value, "Refused by the PBX"),
    (UserState.EXCLUDED.value, "Excluded"),
)
SORTS = ((Sort.NAME.value, "Name"), (Sort.USER.value, "User name"))


@router.get("/users")
async def users(
    request: Request,
    pages: Pages,
    calendar: Calendar,
    now: Now,
    query: str = "",
    state: str = UserState.ALL.value,
    sort: str = Sort.NAME.value,
    after: str = "",
) -> Response:
    """A page of users; a state or an order that does not exist means all, by name."""
    wanted = UserState(state) if state in UserState else UserState.ALL
    order = Sort(sort) if sort in Sort else Sort.NAME
    roster = await find_users(calendar, query, wanted, order, after, PAGE)
    rules = (await calendar.configuration()).presence.rules
    chosen = {"query": query, "state": wanted.value, "sort": order.value}
    here = urlencode({name: value for name, value in chosen.items() if value})
    return await pages.page(
        request,
        "users.html",
        users=[(each, _read(each, now, rules)) for each in roster.users],
        language=rules.language,
        query=query,
        state=wanted.value,
        sort=order.value,
        states=STATES,
        sorts=SORTS,
        first=f"/users?{here}" if after else "",
        following=f"/users?{here}&{urlencode({'after': roster.next})}" if roster.next else "",
        export=f"/users.csv?{here}",
    )


@router.get("/users.csv")
async def export(
    calendar: Calendar, record: Recording, query: str = "", state: UserState = UserState.ALL
) -> Response:
    """All users who match, for a spreadsheet."""
    return await answer_csv(calendar, record, query, state)


def _read(listed: Listed, now: datetime, rules: PresenceRules) -> str:
    """What colleagues read at present, in the language of the notes."""
    if listed.published is None:
        return ""
    return view(listed.published.note, now, rules.language, rules.timezone)

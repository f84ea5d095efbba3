"""One user as the pages and the API find them, and what they have done to them."""

from __future__ import annotations

import re

from functions.admin.context import Record
from functions.admin.problems import Problem
from functions.services import Services
from shared.errors import StateConflict
from shared.model import CalendarUser

_GUID = re.compile(r"[0-9a-f]{32}")


async def find_user(calendar: Services, guid: str) -> CalendarUser:
    """The user, or a 404. Raises Problem."""
    user = await calendar.users.get(guid) if _GUID.fullmatch(guid) else None
    if user is None:
        raise Problem(404, "There is no such user.")
    return user


async def read_user(calendar: Services, record: Record, guid: str) -> None:
    """Have the calendar read now, and write that down. Raises Problem."""
    user = await find_user(calendar, guid)
    if not await calendar.actions().read_again(guid):
        raise Problem(409, "An excluded user's calendar is not read. Include the user first.")
    await record("had a calendar read", user.user.sip)


async def exclude_user(calendar: Services, record: Record, guid: str, excluded: bool) -> None:
    """Keep the user out, or let them in again, and write that down. Raises Problem."""
    user = await find_user(calendar, guid)
    try:
        await calendar.actions().exclude(guid, excluded)
    except StateConflict:
        # The user has left meanwhile.
        await find_user(calendar, guid)
        raise
    await record("excluded a user" if excluded else "included a user", user.user.sip)


async def clear_user(calendar: Services, record: Record, guid: str) -> None:
    """Clear the presence, and write that down. Raises Problem."""
    user = await find_user(calendar, guid)
    await calendar.actions().clear(guid)
    await record("cleared a presence", user.user.sip)

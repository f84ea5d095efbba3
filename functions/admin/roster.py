"""Users as they are listed: a page of them with what shows of each, or all of them for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from fastapi import Response

from functions.admin.context import Record
from functions.admin.download import send_file
from functions.services import Services
from shared.model import CalendarUser
from shared.state.leaves import Sort
from shared.state.outbox import Published
from shared.state.users import UserState

_TURNS = 4
"""How often the listing is asked for one page: it may give up for a time where few of very many match."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for a formula (OWASP, *CSV Injection*)."""

COLUMNS = (
    "guid",
    "user name",
    "name",
    "mailbox",
    "mailbox state",
    "excluded",
    "failure",
    "failure text",
    "failing since",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A user, and what the PBX has acknowledged last, if anything."""

    user: CalendarUser
    published: Published | None

    @property
    def name(self) -> str:
        """How people call the user."""
        return name_of(self.user)


@dataclass(frozen=True, slots=True)
class Roster:
    """Some users, and the ``after`` of those who follow: empty at the end."""

    users: tuple[Listed, ...]
    next: str


async def find_users(
    calendar: Services, query: str, state: UserState, sort: Sort, after: str, limit: int
) -> Roster:
    """Users who match, from behind ``after``. Fewer than ``limit`` with a ``next`` are not all of them."""
    users: list[CalendarUser] = []
    position: str | None = after
    for _ in range(_TURNS):
        page = await calendar.listing.page(query, state, sort, position or "", limit - len(users))
        users += page.users
        position = page.next
        if position is None or len(users) == limit:
            break
    shown = await calendar.outbox.published_to([user.user.guid for user in users])
    return Roster(tuple(Listed(user, shown.get(user.user.guid)) for user in users), position or "")


async def write_csv(users: AsyncIterator[CalendarUser]) -> AsyncIterator[str]:
    """Users as comma-separated lines, the first with the names of the columns.

    A byte order mark tells spreadsheets that it is UTF-8, and nothing is left that they would execute.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    text.write("\ufeff")
    writer.writerow(COLUMNS)
    async for user in users:
        writer.writerow(_disarm(_cells(user)))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


async def answer_csv(calendar: Services, record: Record, query: str, state: UserState) -> Response:
    """The file of all users who match. Who took it is on record."""
    await record("downloaded the users", query)
    return await send_file("users.csv", "text/csv", write_csv(calendar.listing.export(state, query)))


def name_of(user: CalendarUser) -> str:
    """How people call the user."""
    return user.user.display_name or user.user.common_name or user.user.sip


def _cells(user: CalendarUser) -> tuple[str, ...]:
    failure = user.failure or user.subscription_failure
    return (
        user.user.guid,
        user.user.sip,
        name_of(user),
        user.mailbox,
        user.mailbox_state.value,
        "yes" if user.excluded else "no",
        failure.code if failure else "",
        failure.text if failure else "",
        failure.since.isoformat() if failure else "",
    )


def _disarm(cells: Iterable[str]) -> list[str]:
    return [f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell for cell in cells]

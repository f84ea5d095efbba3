"""How long the listing takes to be written, to be searched and to show a page, against the emulator."""

from __future__ import annotations

import asyncio
import random
from time import perf_counter, process_time

from dev.azurite import Azurite
from shared.model import MailboxState, User
from shared.state.listing import Listing
from shared.state.storage import Storage
from shared.state.users import UserState, UserStore
from tests.storage import environment_of

USERS = 10_000
FIRST = [
    "Anna",
    "Bernd",
    "Carla",
    "Dieter",
    "Élodie",
    "Franz",
    "Gül",
    "Hans",
    "Ines",
    "Jörg",
    "Karin",
    "Lars",
    "Mia",
    "Nils",
    "Olga",
    "Petra",
    "Ömer",
    "Zoë",
]
LAST = [
    a + b
    for a in ["Schm", "Web", "Fisch", "Mey", "Wagn", "Beck", "Hoff", "Koch", "Richt", "Klein"]
    for b in ["er", "idt", "mann", "el"]
]


def make_users(count: int) -> list[User]:
    """People as a PBX has them, always the same."""
    chance = random.Random(1)
    users = []
    for number in range(count):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        sip = f"{first[0].lower()}{last.lower()}{number}"
        email = f"{first}.{last}{number}@example.com".lower()
        users.append(
            User(f"{chance.getrandbits(128):032x}", sip, f"{first} {last}", f"{last}, {first}", (email,))
        )
    return users


async def measure(connection: str) -> None:
    """Print each step with its seconds."""
    async with Storage.open(environment_of(connection)) as storage:
        await storage.create()
        store = UserStore(storage)
        listing = Listing(storage, store)
        users = make_users(USERS)

        async def timed(name: str, work: object) -> object:
            began, cpu = perf_counter(), process_time()
            result = await work  # type: ignore[misc]
            print(
                f"{name:<42} {perf_counter() - began:7.3f} s, {process_time() - cpu:7.3f} s of this process"
            )
            return result

        await timed(f"store {USERS} users", store.add_all([(user, user.emails) for user in users]))
        await timed("list them", listing.store(users))
        await timed("list them again, nothing changed", listing.store(users))
        await timed("list them without one", listing.store(users[1:]))
        await listing.store(users)
        for user in users[:100]:
            await store.set_mailbox(user.guid, MailboxState.NONE)
        await listing.page()
        for name, arguments in {
            "first page": {},
            "page in the middle": {"after": "koch"},
            "search: two hits": {"query": "schmidt4711"},
            "search: a common word": {"query": "ann"},
            "search: two words": {"query": "elodie meyer"},
            "search: nobody": {"query": "xyz"},
            "a rare state": {"state": UserState.WITHOUT_MAILBOX},
            "a common state": {"state": UserState.UNRESOLVED},
        }.items():
            page = await timed(name, listing.page(**arguments))  # type: ignore[arg-type]
            print(f"{'':<42} {len(page.users)} users")  # type: ignore[attr-defined]


if __name__ == "__main__":
    with Azurite() as emulator:
        asyncio.run(measure(emulator.connection_string))

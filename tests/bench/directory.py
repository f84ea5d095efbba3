"""How long it takes to replicate a PBX's users: the protocol, one row a round trip, and what follows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import perf_counter, process_time

from dev.azurite import Azurite
from dev.pbx import PbxSimulator
from shared.pbx.session import PbxLink, open_session
from shared.state.storage import Storage
from tests.bench.listing import make_users
from tests.integration.sync.world import World
from tests.storage import environment_of

USERS = 10_000


async def measure(connection: str) -> None:
    """Print each step with its seconds; the simulated PBX runs in this process too."""
    users = make_users(USERS)
    rows = [
        {"guid": u.guid, "h323": u.sip, "cn": u.common_name, "dn": u.display_name}
        | {"emails": [{"email": address} for address in u.emails]}
        for u in users
    ]
    async with Storage.open(environment_of(connection)) as storage, PbxSimulator(users=rows) as pbx:
        await storage.create()
        world = World(storage)
        link = PbxLink(pbx.url, "master", "calendarsync", "secret", pbx.ca_pem)
        began = perf_counter()
        async with open_session(link) as session:
            count = len([row async for row in session.users()])
        each = (perf_counter() - began) / count * 1000
        print(f"{count} rows of the PBX's table: {perf_counter() - began:.2f} s, {each:.3f} ms a row")
        world.pbx.list_users(*users)
        for name, people in {
            "all are new": users,
            "nothing changed": users,
            "all moved": [replace(user, location="elsewhere") for user in users],
            "one left": users[1:],
        }.items():
            world.pbx.list_users(*people)
            began, cpu = perf_counter(), process_time()
            changes = await world.directory.run()
            print(f"{name:<16} {perf_counter() - began:6.2f} s, {process_time() - cpu:6.2f} s CPU  {changes}")


if __name__ == "__main__":
    with Azurite() as emulator:
        asyncio.run(measure(emulator.connection_string))

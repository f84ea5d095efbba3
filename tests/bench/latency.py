"""How long a change in a calendar takes to the phones, beside the least that the queues and Exchange allow.

Starts the whole stack with 25 users, changes one calendar after the other, and waits for each at the
simulated PBX. The baseline is the time that the same reading and the same SetPresence take without queues: a
FindItem and a PBX session of its own, measured in the same run. The host's log says how long each function
worked; the rest is waiting: on purpose for more of the same, and for a queue to be looked into.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import httpx

from dev.run.observer import Observer
from dev.run.stack import Ports, Stack, start_stack
from dev.seed import create_seed
from shared.auth.ntlm import NtlmLanes
from shared.cipher import Cipher
from shared.ews.client import ExchangeClient
from shared.ews.transport import tls_context
from shared.pbx.session import Assignment, PbxLink, open_session
from shared.state.config import ConfigStore
from shared.state.storage import Storage
from shared.sync.notification import COALESCE

CHANGES = 12
PORT = 18_071
LIMIT = 1.0
WAY = ("notification", "sync", "publish")


async def main() -> None:
    """Print the seconds from change to phone: median, longest, and the baseline."""
    seed = create_seed(25, now=datetime.now(UTC), at_work=True)
    addresses = [mailbox["address"] for mailbox in seed.exchange["mailboxes"]][:CHANGES]
    with tempfile.TemporaryDirectory() as directory:
        async with start_stack(Path(directory), Ports(PORT), seed, lambda step, result: None) as stack:
            async with Observer(stack) as observer:
                await stack.replicate()
                with contextlib.redirect_stdout(io.StringIO()):
                    right = await observer.await_first_table(lambda step, result: None)
                if not right:
                    raise SystemExit("the first synchronisation went wrong")
            await asyncio.sleep(5)
            seconds = [await change(stack, address) for address in addresses]
            work = read_work(Path(directory))
            bare = [await do_without_queues(stack, address) for address in addresses]
    median = statistics.median(seconds)
    on_purpose = COALESCE.total_seconds()
    print(
        f"change to phone: median {median:.2f} s, longest {max(seconds):.2f} s, of {len(seconds)} changes; "
        f"without the {on_purpose:g} s on purpose: median {median - on_purpose:.2f} s (at most {LIMIT:g})"
    )
    print(
        f"of these {sum(work.values()):.2f} s are work ("
        + ", ".join(f"{name} {taken:.2f} s" for name, taken in work.items())
        + f"), {median - sum(work.values()) - on_purpose:.2f} s pass until two queues are looked into and "
        "until Exchange reports"
    )
    print(f"without queues: median {statistics.median(bare):.2f} s")


def read_work(directory: Path) -> dict[str, float]:
    """The median seconds that each function on the way worked, of the last changes, as the host logged it."""
    taken: dict[str, list[float]] = {name: [] for name in WAY}
    for log in directory.glob("*.log"):
        for line in log.read_text("utf-8", "replace").splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            if record.get("outcome") == "succeeded" and record["function"] in taken:
                taken[record["function"]].append(record["duration_ms"] / 1000)
    return {name: statistics.median(seconds[-CHANGES:]) for name, seconds in taken.items()}


async def change(stack: Stack, address: str) -> float:
    """Add an appointment that shows in the note at once; the seconds until the PBX is told."""
    start = datetime.now(UTC) + timedelta(minutes=1)
    appointment = {
        "subject": "Bench",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=5)).isoformat(),
        "show_as": "out_of_office",
    }
    async with httpx.AsyncClient(timeout=None) as client, watch(client, stack) as lines:
        began = perf_counter()
        answer = await client.post(
            f"{stack.exchange_control}/mailboxes/{address}/appointments", json=appointment
        )
        answer.raise_for_status()
        async for line in lines:
            if "until" in json.loads(line)["note"]:
                return perf_counter() - began
    raise SystemExit("the PBX ended its stream")


@asynccontextmanager
async def watch(client: httpx.AsyncClient, stack: Stack) -> AsyncIterator[AsyncIterator[str]]:
    """The presences that the PBX is told, a line each."""
    async with client.stream("GET", f"{stack.pbx_control}/changes") as answer:
        yield answer.aiter_lines()


async def do_without_queues(stack: Stack, address: str) -> float:
    """The seconds for one FindItem on a warm connection and one SetPresence in a session of its own."""
    async with Storage.open(stack.environment) as storage:
        configuration = await ConfigStore(storage, Cipher(stack.environment.encryption_keys)).load()
    exchange, pbx = configuration.exchange, configuration.pbx
    lanes = NtlmLanes(
        exchange.user, exchange.password.get_secret_value(), tls_context(exchange.certificate), lanes=1
    )
    client = ExchangeClient(exchange.ews_url, lanes)
    async with httpx.AsyncClient() as control:
        users = (await control.get(f"{stack.pbx_control}/users")).json()
    user = users[0]
    link = PbxLink(pbx.url, pbx.name, pbx.app, pbx.password.get_secret_value(), pbx.certificate)
    now = datetime.now(UTC)
    await client.read(address, now, now + timedelta(hours=48))
    began = perf_counter()
    await client.read(address, now, now + timedelta(hours=48))
    async with open_session(link) as session:
        await session.set_presences([Assignment(user["guid"], user["h323"], "", f"bench {began}")])
    ended = perf_counter()
    await lanes.aclose()
    return ended - began


if __name__ == "__main__":
    asyncio.run(main())

"""Tables with ETags, transactions within their limits, and where the account is found."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.data.tables import TableTransactionError

from shared.environment import Environment
from shared.errors import StateConflict
from shared.state.storage import (
    QUEUES,
    TABLES,
    TRANSACTION_LIMIT,
    Operation,
    Storage,
    Table,
    partition_of,
    read_instant,
    write_instant,
)
from tests.storage import environment_of

pytestmark = pytest.mark.integration

ACCEPTED = """<QueueMessagesList><QueueMessage>
    <MessageId>1</MessageId><PopReceipt>1</PopReceipt>
    <InsertionTime>Fri, 27 Nov 2026 20:00:00 GMT</InsertionTime>
    <ExpirationTime>Fri, 04 Dec 2026 20:00:00 GMT</ExpirationTime>
    <TimeNextVisible>Fri, 27 Nov 2026 20:00:00 GMT</TimeNextVisible>
</QueueMessage></QueueMessagesList>"""
KEYS = {"PartitionKey": "p", "RowKey": "r"}


@pytest.fixture
def table(storage: Storage) -> Table:
    return storage.table("health")


async def read(table: Table) -> dict[str, object] | None:
    entity = await table.get("p", "r")
    return {name: value for name, value in entity.items() if name not in KEYS} if entity else None


async def test_a_record_is_added_once(table: Table) -> None:
    assert await table.get("p", "r") is None
    etag = await table.insert(KEYS | {"value": 1})
    entity = await table.get("p", "r")
    assert entity is not None
    assert entity.metadata["etag"] == etag
    with pytest.raises(StateConflict):
        await table.insert(KEYS | {"value": 2})
    assert await read(table) == {"value": 1}


async def test_of_many_who_replace_what_they_read_one_does(table: Table) -> None:
    etag = await table.insert(KEYS | {"value": 0})
    results = await asyncio.gather(
        *(table.replace(KEYS | {"value": number}, etag) for number in range(1, 9)), return_exceptions=True
    )
    (done,) = [number for number, result in enumerate(results, 1) if isinstance(result, str)]
    assert len([result for result in results if isinstance(result, StateConflict)]) == 7
    assert await read(table) == {"value": done}
    assert await table.replace(KEYS | {"other": 1}, str(results[done - 1]))
    assert await read(table) == {"other": 1}


async def test_a_record_that_is_gone_is_not_replaced(table: Table) -> None:
    etag = await table.insert(KEYS)
    await table.delete("p", "r")
    with pytest.raises(StateConflict):
        await table.replace(KEYS, etag)
    assert await read(table) is None


async def test_put_adds_or_sets_some_properties(table: Table) -> None:
    await table.put(KEYS | {"one": 1, "two": 2})
    await table.put(KEYS | {"two": 3})
    assert await read(table) == {"one": 1, "two": 3}


async def test_merge_sets_some_properties_of_what_is_there(table: Table) -> None:
    with pytest.raises(StateConflict):
        await table.merge(KEYS | {"one": 1})
    etag = await table.insert(KEYS | {"one": 1})
    await table.merge(KEYS | {"two": 2}, etag)
    with pytest.raises(StateConflict):
        await table.merge(KEYS | {"two": 3}, etag)
    await table.merge(KEYS | {"three": 3})
    assert await read(table) == {"one": 1, "two": 2, "three": 3}


async def test_delete_removes_what_is_there_and_unchanged(table: Table) -> None:
    await table.delete("p", "r")
    await table.delete("p", "r", "W/\"datetime'2026-11-22T12%3A00%3A00.0000000Z'\"")
    etag = await table.insert(KEYS)
    await table.merge(KEYS | {"changed": True})
    with pytest.raises(StateConflict):
        await table.delete("p", "r", etag)
    await table.delete("p", "r")
    assert await read(table) is None


async def test_a_query_gives_no_more_than_asked_for(table: Table) -> None:
    for number in range(5):
        await table.put({"PartitionKey": "p", "RowKey": f"r{number}", "value": number})
    everything = [entity["value"] async for entity in table.query("PartitionKey eq 'p'")]
    assert everything == [0, 1, 2, 3, 4]
    some = [entity async for entity in table.query("PartitionKey eq 'p'", select=["value"], limit=2)]
    assert [dict(entity) for entity in some] == [{"value": 0}, {"value": 1}]


class TestTransaction:
    async def test_is_all_or_nothing(self, table: Table) -> None:
        await table.insert(KEYS | {"value": 1})
        steps: list[Operation] = [
            ("upsert", {"PartitionKey": "p", "RowKey": "other"}),
            ("create", KEYS | {"value": 2}),
        ]
        with pytest.raises(StateConflict):
            await table.transact(steps)
        assert await table.get("p", "other") is None
        assert await read(table) == {"value": 1}

    async def test_of_what_is_gone_is_a_conflict(self, table: Table) -> None:
        with pytest.raises(StateConflict):
            await table.transact([("update", KEYS | {"value": 1})])
        with pytest.raises(StateConflict):
            await table.transact([("delete", KEYS)])

    async def test_tells_the_new_etags(self, table: Table) -> None:
        (answer,) = await table.transact([("create", KEYS | {"value": 1})])
        await table.replace(KEYS | {"value": 2}, answer["etag"])
        assert await read(table) == {"value": 2}

    async def test_takes_no_more_than_the_service_does(self, table: Table) -> None:
        steps: list[Operation] = [
            ("upsert", {"PartitionKey": "p", "RowKey": str(number)})
            for number in range(TRANSACTION_LIMIT + 1)
        ]
        with pytest.raises(ValueError, match="101 operations"):
            await table.transact(steps)
        await table.transact(steps[:-1])
        assert len([entity async for entity in table.query("PartitionKey eq 'p'")]) == TRANSACTION_LIMIT

    async def test_of_nonsense_is_no_conflict(self, table: Table) -> None:
        with pytest.raises(TableTransactionError):
            await table.transact([("upsert", KEYS), ("upsert", KEYS)])


async def test_tables_and_queues_are_created_once(storage: Storage) -> None:
    await storage.create()
    for queue in QUEUES:
        assert await storage.waiting(queue) == 0


async def test_what_is_created_is_created_although_connections_are_lost() -> None:
    tables: Counter[str] = Counter()

    async def create_table(request: web.Request) -> web.Response:
        name = (await request.json())["TableName"]
        tables[name] += 1
        if tables[name] == 1 and request.transport:
            request.transport.close()
        return web.Response(status=204)

    async def create_queue(_: web.Request) -> web.Response:
        return web.Response(status=201)

    application = web.Application()
    application.router.add_post("/account/Tables", create_table)
    application.router.add_put("/account/{queue}", create_queue)
    async with TestServer(application) as server:
        address = f"http://127.0.0.1:{server.port}/account"
        account = f"AccountName=account;AccountKey=a2V5;TableEndpoint={address};QueueEndpoint={address}"
        async with Storage.open(environment_of(account)) as storage:
            await storage.create()
    assert tables == dict.fromkeys(TABLES, 2)


async def test_a_message_whose_connection_is_lost_is_sent_again_at_once() -> None:
    sent: list[str] = []

    async def send(request: web.Request) -> web.Response:
        sent.append(await request.text())
        if len(sent) == 1 and request.transport:
            request.transport.close()
        return web.Response(status=201, text=ACCEPTED, content_type="application/xml")

    application = web.Application()
    application.router.add_post("/account/sync/messages", send)
    async with TestServer(application) as server:
        address = f"http://127.0.0.1:{server.port}/account"
        account = f"AccountName=account;AccountKey=a2V5;TableEndpoint={address};QueueEndpoint={address}"
        # The SDK by itself would wait at least 15 seconds.
        async with Storage.open(environment_of(account)) as storage, asyncio.timeout(10):
            await storage.send("sync", "message")
    assert len(sent) == 2
    assert sent[0] == sent[1]


async def test_without_a_connection_string_the_identity_signs_in() -> None:
    environment = Environment(
        storage="",
        table_uri="https://account.table.core.windows.net",
        queue_uri="https://account.queue.core.windows.net",
        client_id="11111111-1111-1111-1111-111111111111",
        encryption_keys=(),
        callback_url="",
    )
    async with Storage.open(environment) as storage:
        assert type(storage._tables.credential).__name__ == "ManagedIdentityCredential"
        assert storage._tables.url == environment.table_uri
        assert storage._queues.url.rstrip("/") == environment.queue_uri


def test_instants_are_written_in_utc_so_that_they_sort() -> None:
    tokyo = datetime(2026, 11, 22, 21, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
    utc = datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)
    assert write_instant(tokyo) == "2026-11-22T12:00:00.000000+00:00"
    assert write_instant(tokyo) < write_instant(utc)
    assert read_instant(write_instant(tokyo)) == tokyo
    assert write_instant(None) == ""
    assert read_instant("") is read_instant(None) is None


def test_a_users_partition_is_the_first_digit() -> None:
    assert partition_of("f" + "0" * 31) == "f"


class TestMany:
    @pytest.fixture
    async def rows(self, table: Table) -> list[str]:
        rows = [f"{number:04}" for number in range(1000)]
        for first in range(0, 1000, TRANSACTION_LIMIT):
            some = rows[first : first + TRANSACTION_LIMIT]
            await table.transact([("create", {"PartitionKey": "p", "RowKey": row}) for row in some])
        return rows

    @pytest.mark.parametrize("step", [1, 3, 20, 333])
    async def test_those_that_are_there_come_however_far_apart_they_lie(
        self, table: Table, rows: list[str], step: int
    ) -> None:
        wanted = rows[5::step]
        missing = [f"{row}x" for row in wanted[::2]] + ["none", "!"]
        found = await table.get_many("p", [*missing, *reversed(wanted)])
        assert sorted(found) == wanted
        assert all(entity["RowKey"] == row for row, entity in found.items())

    async def test_none_are_asked_for(self, table: Table) -> None:
        assert await table.get_many("p", []) == {}

    async def test_neighbours_come_in_a_few_requests(
        self, table: Table, rows: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0
        get = Table.get

        async def count(table: Table, partition: str, row: str) -> object:
            nonlocal asked
            asked += 1
            return await get(table, partition, row)

        monkeypatch.setattr(Table, "get", count)
        assert len(await table.get_many("p", rows[100:900])) == 800
        assert asked == 0
        assert len(await table.get_many("p", rows[::50])) == 20
        assert 0 < asked < 20

    async def test_records_of_users_come_from_their_partitions(self, table: Table) -> None:
        guids = [f"{first}{number:031}" for first in "0a" for number in range(7)]
        for guid in guids:
            await table.insert({"PartitionKey": partition_of(guid), "RowKey": guid})
        found = await table.get_by_guid([*guids, "b" * 32])
        assert sorted(found) == guids

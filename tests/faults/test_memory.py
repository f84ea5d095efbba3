"""The storage account in memory does what the emulator does: one test for both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from tests.faults.filters import parse_filter
from tests.faults.memory import MemoryQueues, MemoryTables

pytestmark = pytest.mark.integration

KEYS = {"PartitionKey": "p", "RowKey": "r"}
SAME = MatchConditions.IfNotModified


@pytest.fixture(params=["memory", "emulator"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An empty table of either."""
    if request.param == "memory":
        service: Any = MemoryTables(lambda: 2)
    else:
        service = TableServiceClient.from_connection_string(request.getfixturevalue("azurite"))
    await service.create_table_if_not_exists("contract")
    found = service.get_table_client("contract")
    for entity in [entity async for entity in found.query_entities("PartitionKey ne ''")]:
        await found.delete_entity(entity["PartitionKey"], entity["RowKey"])
    yield found
    await service.close()


@pytest.fixture(params=["memory", "emulator"])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An empty queue of either."""
    if request.param == "memory":
        service: Any = MemoryQueues(time.monotonic)
    else:
        service = QueueServiceClient.from_connection_string(request.getfixturevalue("azurite"))
    found = service.get_queue_client("contract")
    try:
        await found.create_queue()
    except ResourceExistsError:
        await found.clear_messages()
    yield found
    await found.close()
    await service.close()


async def _etag(table: Any) -> str:
    return str((await table.get_entity("p", "r")).metadata["etag"])


async def _keys(table: Any, matches: str, **options: Any) -> list[str]:
    return [entity["RowKey"] async for entity in table.query_entities(matches, **options)]


async def test_a_record_is_added_once(table: Any) -> None:
    answer = await table.create_entity(KEYS | {"a": "1"})
    assert answer["etag"] == await _etag(table)
    with pytest.raises(ResourceExistsError):
        await table.create_entity(KEYS)


async def test_merging_keeps_and_replacing_drops_what_is_not_named(table: Any) -> None:
    await table.upsert_entity(KEYS | {"a": "1", "b": 2, "c": True})
    await table.update_entity(KEYS | {"a": "3", "b": None}, mode=UpdateMode.MERGE)
    assert dict(await table.get_entity("p", "r")) == KEYS | {"a": "3", "b": 2, "c": True}
    await table.upsert_entity(KEYS | {"d": 1.5}, mode=UpdateMode.REPLACE)
    assert dict(await table.get_entity("p", "r")) == KEYS | {"d": 1.5}


async def test_every_write_changes_the_etag_and_an_old_one_is_refused(table: Any) -> None:
    first = str((await table.create_entity(KEYS))["etag"])
    await table.update_entity(KEYS | {"a": "1"}, etag=first, match_condition=SAME)
    assert await _etag(table) != first
    with pytest.raises(ResourceModifiedError):
        await table.update_entity(KEYS | {"a": "2"}, etag=first, match_condition=SAME)
    with pytest.raises(ResourceModifiedError):
        await table.delete_entity("p", "r", etag=first, match_condition=SAME)
    await table.delete_entity("p", "r", etag=await _etag(table), match_condition=SAME)


async def test_what_is_not_there_is_not_found_but_can_be_deleted(table: Any) -> None:
    with pytest.raises(ResourceNotFoundError):
        await table.get_entity("p", "r")
    with pytest.raises(ResourceNotFoundError):
        await table.update_entity(KEYS)
    with pytest.raises(ResourceNotFoundError):
        await table.update_entity(KEYS, etag='W/"1"', match_condition=SAME)
    await table.delete_entity("p", "r")


@pytest.mark.parametrize(
    ("spoiler", "status"),
    [
        (("create", {"PartitionKey": "p", "RowKey": "r"}), 409),
        (("update", {"PartitionKey": "p", "RowKey": "none"}), 404),
        (("delete", {"PartitionKey": "p", "RowKey": "none"}), 404),
        (("update", KEYS, {"etag": 'W/"1"', "match_condition": SAME}), 412),
    ],
)
async def test_a_transaction_happens_wholly_or_not_at_all(
    table: Any, spoiler: tuple[Any, ...], status: int
) -> None:
    await table.create_entity(KEYS | {"a": "1"})
    before = await _etag(table)
    other = {"PartitionKey": "p", "RowKey": "other"}
    with pytest.raises(TableTransactionError) as refused:
        await table.submit_transaction([("upsert", other), spoiler])
    assert refused.value.status_code == status
    assert await _etag(table) == before
    assert await _keys(table, "PartitionKey eq 'p'") == ["r"]
    answers = await table.submit_transaction(
        [("create", other), ("update", KEYS | {"b": "2"}, {"etag": before, "match_condition": SAME})]
    )
    assert answers[1]["etag"] == await _etag(table)
    assert dict(await table.get_entity("p", "r")) == KEYS | {"a": "1", "b": "2"}
    await table.submit_transaction([("delete", other), ("delete", KEYS)])
    assert await _keys(table, "PartitionKey eq 'p'") == []


async def test_queries_give_what_matches_in_the_order_of_the_keys(table: Any) -> None:
    for row, properties in {
        "c": {"a": "2", "n": 1, "f": True},
        "!a": {"a": "1", "n": 5, "f": False},
        "a": {"a": "it's", "n": 7},
    }.items():
        await table.create_entity({"PartitionKey": "p", "RowKey": row} | properties)
    await table.create_entity({"PartitionKey": "o", "RowKey": "z"})
    assert await _keys(table, "PartitionKey ne ''") == ["z", "!a", "a", "c"]
    assert await _keys(table, "PartitionKey eq 'p' and RowKey ge '!' and RowKey lt '\"'") == ["!a"]
    assert await _keys(table, "a eq 'it''s' or (a eq '1' and n gt 4)") == ["!a", "a"]
    assert await _keys(table, "PartitionKey eq 'p' and not (a eq '1')") == ["a", "c"]
    assert await _keys(table, "f eq true") == ["c"]
    assert await _keys(table, "PartitionKey le 'o'") == ["z"]
    assert await _keys(table, "a lt '2'") == ["!a"]
    assert await _keys(table, "PartitionKey eq 'p'", results_per_page=1) == ["!a", "a", "c"]
    found = [entity async for entity in table.query_entities("RowKey eq 'c'", select=["a"])]
    assert [dict(entity) for entity in found] == [{"a": "2"}]


@pytest.mark.parametrize("text", ["a", "a eq", "a is 'b'", "(a eq 'b'", "a eq 'b' c", "a eq 'b"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_filter(text)


async def test_messages_are_hidden_while_they_wait_and_counted(queue: Any) -> None:
    await queue.send_message("later", visibility_timeout=1)
    await queue.send_message("now")
    assert (await queue.get_queue_properties()).approximate_message_count == 2
    assert len(await queue.peek_messages()) == 1
    await asyncio.sleep(1.1)
    assert len(await queue.peek_messages(max_messages=5)) == 2
    await queue.clear_messages()
    assert (await queue.get_queue_properties()).approximate_message_count == 0
    with pytest.raises(ResourceExistsError):
        await queue.create_queue()

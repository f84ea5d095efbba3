"""What the queues between the functions hold."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue.aio import QueueServiceClient

from shared.state.queues import QueueWatch, Work, WorkQueues
from shared.state.storage import QUEUES, Storage
from shared.sync.interfaces import GROUP

pytestmark = pytest.mark.integration

GUIDS = [f"{number:032x}" for number in range(45)]


@pytest.fixture
async def account(azurite: str, storage: Storage) -> AsyncIterator[QueueServiceClient]:
    """The same queues, without the project's code."""
    async with QueueServiceClient.from_connection_string(azurite) as account:
        yield account


@pytest.fixture
def queues(storage: Storage) -> WorkQueues:
    return WorkQueues(storage)


async def texts(account: QueueServiceClient, queue: str) -> list[str]:
    return [message.content async for message in account.get_queue_client(queue).receive_messages()]


async def works(account: QueueServiceClient, queue: str) -> list[Work]:
    return [Work.parse(base64.b64decode(text).decode()) for text in await texts(account, queue)]


async def test_a_message_is_json_in_base64_as_the_functions_host_expects(
    queues: WorkQueues, account: QueueServiceClient
) -> None:
    await queues.read(GUIDS[:2], "größer")
    (text,) = await texts(account, "sync")
    assert json.loads(base64.b64decode(text, validate=True)) == {"users": GUIDS[:2], "reason": "größer"}


@pytest.mark.parametrize("queue", ["sync", "subscribe"])
async def test_users_come_in_groups(queues: WorkQueues, account: QueueServiceClient, queue: str) -> None:
    ask = queues.read if queue == "sync" else queues.subscribe
    await ask(iter(GUIDS), "midnight")
    found = await works(account, queue)
    assert [len(work.users) for work in found] == [GROUP, GROUP, len(GUIDS) - 2 * GROUP]
    assert [guid for work in found for guid in work.users] == GUIDS
    assert {work.reason for work in found} == {"midnight"}


async def test_nobody_is_no_message(queues: WorkQueues, account: QueueServiceClient) -> None:
    await queues.read([], "midnight")
    await queues.subscribe([], "midnight")
    assert await works(account, "sync") == await works(account, "subscribe") == []


async def test_publish_names_those_for_whom_something_waits_or_nobody(
    queues: WorkQueues, account: QueueServiceClient
) -> None:
    await queues.publish("retry")
    await queues.publish("due", GUIDS)
    assert await works(account, "publish") == [Work((), "retry"), Work(tuple(GUIDS), "due")]


async def test_replicate_names_nobody(queues: WorkQueues, account: QueueServiceClient) -> None:
    await queues.replicate("hourly")
    assert await works(account, "directory") == [Work((), "hourly")]


async def test_a_delayed_message_counts_and_is_not_seen(
    queues: WorkQueues, storage: Storage, account: QueueServiceClient
) -> None:
    await queues.read(GUIDS[:1], "later", timedelta(seconds=30))
    await queues.subscribe(GUIDS[:1], "later", timedelta(days=30))
    await queues.publish("later", GUIDS[:1], timedelta(seconds=30))
    for queue in ("sync", "subscribe", "publish"):
        assert await works(account, queue) == []
        assert await storage.waiting(queue) == 1


async def test_a_delay_is_rounded_up(queues: WorkQueues, account: QueueServiceClient) -> None:
    await queues.read(GUIDS[:1], "later", timedelta(milliseconds=1))
    assert await works(account, "sync") == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "[]", "1", "{}", '{"users": 1}', '{"users": [1]}', '{"users": [""]}', '{"users": null}'),
        *(f'{{"users": [], "delay": {delay}}}' for delay in ('"1"', "null", "-1", "NaN", "1e99")),
    ],
)
def test_a_message_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"users: is no list of guids|delay: is no|Expecting value"):
        Work.parse(text)


def test_a_message_without_a_reason_is_understood() -> None:
    assert Work.parse('{"users": ["a"]}') == Work(("a",), "")


async def test_the_queues_lengths_are_told_side_by_side(storage: Storage) -> None:
    queues = WorkQueues(storage)
    begin = datetime.now(UTC) - timedelta(seconds=2)
    await queues.publish("now")
    await queues.publish("later", delay=timedelta(hours=1))
    await queues.read(["a" * 32], "later", timedelta(hours=1))
    lengths = {length.name: length for length in await QueueWatch(storage).lengths()}
    assert set(lengths) == set(QUEUES)
    assert {name: length.waiting for name, length in lengths.items() if length.waiting} == {
        "publish": 2,
        "sync": 1,
    }
    assert {length.given_up for length in lengths.values()} == {0}, "there is no poison queue yet"
    oldest = lengths["publish"].oldest
    assert oldest is not None
    assert begin <= oldest <= datetime.now(UTC) + timedelta(seconds=2)
    assert lengths["sync"].oldest is None, "it can't be worked on yet"
    assert await QueueWatch(storage).waiting("publish") == 2


async def test_what_was_delayed_on_purpose_has_not_waited_for_that_long(storage: Storage) -> None:
    await WorkQueues(storage).read(["a" * 32], "midnight", timedelta(seconds=1))
    await storage.send("checks", "not one of these")
    async with asyncio.timeout(60):
        while (found := await storage.oldest("sync")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    sent, text = found
    lengths = {length.name: length.oldest for length in await QueueWatch(storage).lengths()}
    assert lengths["sync"] == sent + timedelta(seconds=1)
    assert Work.parse(text).delay == 1
    assert lengths["checks"] is not None


async def test_a_timers_work_is_asked_for_by_its_name(storage: Storage) -> None:
    await WorkQueues(storage).catch_up("tick")
    (message,) = [message async for message in storage._queue("overdue").receive_messages()]
    assert Work.parse(message.content) == Work((), "tick")

"""Messages in the emulator and the functions of an app in the local host."""

import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.apps.running import HOST, App, MakeApp

pytest_plugins = ("tests.azurite",)
pytestmark = pytest.mark.integration


@pytest.fixture
def app(azurite: str) -> MakeApp:
    return partial(App, azurite)


async def test_a_message_brings_what_the_queue_knows_of_it(app: MakeApp) -> None:
    async with app() as running:
        await running.send("hello")
        (record,) = await running.record("work")
        assert record["body"] == "hello"
        assert record["dequeue_count"] == 1
        assert uuid.UUID(record["id"])
        assert record["pop_receipt"]
        inserted, expires, visible = map(datetime.fromisoformat, record["times"])
        assert abs(inserted - datetime.now(UTC)) < timedelta(minutes=1)
        assert timedelta(days=6) < expires - inserted < timedelta(days=8)
        assert timedelta(minutes=9) < visible - inserted < timedelta(minutes=11)


async def test_a_message_is_deleted_after_success_and_outputs_are_written(app: MakeApp) -> None:
    async with app() as running:
        await running.send("hello")
        assert await running.messages("-out") == ["out:hello"]
        assert await running.messages("-returned") == ["returned:hello"]
    async with running.queue() as queue:
        assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_a_failing_message_is_retried_then_poisoned_and_its_outputs_dropped(app: MakeApp) -> None:
    async with app() as running:
        await running.send("fail")
        assert await running.messages("-poison") == ["fail"]
        attempts = await running.records("work")
        assert [attempt["dequeue_count"] for attempt in attempts] == [1, 2, 3]
        assert await running.messages("-out", count=0) == []
        async with running.queue() as queue:
            assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_max_dequeue_count_and_visibility_timeout_are_those_of_host_json(app: MakeApp) -> None:
    settings = {HOST + "queues__maxDequeueCount": "2", HOST + "queues__visibilityTimeout": "00:00:01"}
    async with app(**settings) as running:
        await running.send("fail")
        assert await running.messages("-poison") == ["fail"]
        attempts = await running.records("work")
        assert [attempt["dequeue_count"] for attempt in attempts] == [1, 2]
        assert attempts[1]["began"] - attempts[0]["began"] > 0.9


async def test_a_function_that_runs_too_long_has_failed(app: MakeApp) -> None:
    settings = {
        "AzureFunctionsJobHost__functionTimeout": "00:00:00.200",
        HOST + "queues__maxDequeueCount": "1",
    }
    async with app(**settings) as running:
        await running.send("sleep60")
        assert await running.messages("-poison") == ["sleep60"]
        (record,) = await running.records("work")
        assert "ended" not in record
        assert await running.messages("-out", count=0) == []


async def test_the_last_failure_poisons_without_waiting(app: MakeApp) -> None:
    settings = {HOST + "queues__maxDequeueCount": "1", HOST + "queues__visibilityTimeout": "01:00:00"}
    async with app(**settings) as running:
        await running.send("fail")
        assert await running.messages("-poison") == ["fail"]
        assert len(await running.records("work")) == 1


async def test_a_message_that_was_never_settled_is_not_tried_for_ever(app: MakeApp) -> None:
    running = app()
    async with running.queue() as queue:
        await queue.create_queue()
        await running.send("kills its host")
        for _ in range(3):
            taken = await queue.receive_message(visibility_timeout=1)
            assert taken is not None
            await queue.update_message(taken, visibility_timeout=0)
    async with running:
        assert await running.messages("-poison") == ["kills its host"]
        assert await running.records("work") == []


@pytest.mark.parametrize("batch_size", [1, 3])
async def test_as_many_messages_run_at_once_as_host_json_allows(app: MakeApp, batch_size: int) -> None:
    running = app(**{HOST + "queues__batchSize": str(batch_size), HOST + "queues__newBatchThreshold": "0"})
    async with running.queue() as queue:
        await queue.create_queue()
    await running.send(*["sleep0.2"] * 4)
    async with running:
        await running.messages("-out", count=4)
        records = await running.records("work")
    at_once = [
        sum(other["began"] <= record["began"] < other["ended"] for other in records) for record in records
    ]
    assert max(at_once) == batch_size


async def test_a_plain_message_is_poisoned_unseen_where_base64_is_expected(app: MakeApp) -> None:
    async with app() as running:
        async with running.queue() as queue:
            await queue.send_message("not base64!")
        assert await running.raw_messages("-poison") == ["not base64!"]
        assert await running.records("work") == []


async def test_lists_and_queue_messages_can_be_sent(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send", "POST", json=["a", "b"]) == 202
        assert await running.status("/api/send-message", "POST", data=b"c") == 202
        assert await running.messages("-sent", count=3) == ["a", "b", "c"]


async def test_nothing_is_sent_by_a_function_that_fails(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send?fail=1", "POST", json=["a"]) == 500
        assert await running.messages("-sent", count=0) == []


async def test_an_output_that_cannot_be_written_fails_the_function(app: MakeApp) -> None:
    async with app() as running:
        assert await running.status("/api/send", "POST", json=["x" * 100_000]) == 500

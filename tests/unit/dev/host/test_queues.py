import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue.aio import QueueClient

from dev.host.configuration import QueueOptions
from dev.host.queues import QueueListener, message_bodies
from dev.host.worker import Outputs, TypedData


@pytest.mark.parametrize(
    ("data", "bodies"),
    [
        (TypedData(string="a"), [b"a"]),
        (TypedData(bytes=b"\x00"), [b"\x00"]),
        (TypedData(json='["a", "b"]'), [b"a", b"b"]),
        (TypedData(json='{"id": null, "body": "a"}'), [b"a"]),
        (TypedData(json='[{"id": null, "body": "a"}, "b"]'), [b"a", b"b"]),
        (TypedData(json="[]"), []),
    ],
)
def test_outputs_become_messages(data: TypedData, bodies: list[bytes]) -> None:
    assert message_bodies(data) == bodies


class Queue:
    """A queue of given answers: each poll takes one, an exception or a list of messages; then it is empty."""

    queue_name = "q"

    def __init__(self, *answers: Exception | list[object]) -> None:
        self.polls: list[float] = []
        self.sizes: list[int] = []
        self.deleted: list[object] = []
        self._answers = list(answers)

    async def receive_messages(
        self, *, max_messages: int, messages_per_page: int, visibility_timeout: int
    ) -> AsyncIterator[object]:
        assert (max_messages, visibility_timeout) == (messages_per_page, 60)
        self.polls.append(asyncio.get_running_loop().time())
        self.sizes.append(max_messages)
        answer = self._answers.pop(0) if self._answers else []
        if isinstance(answer, Exception):
            raise answer
        for message in answer:
            yield message

    async def delete_message(self, message: object) -> None:
        self.deleted.append(message)


def message(text: str) -> object:
    names = ("id", "inserted_on", "expires_on", "next_visible_on", "pop_receipt")
    return SimpleNamespace(
        content=base64.b64encode(text.encode()).decode(), dequeue_count=1, **dict.fromkeys(names)
    )


async def poll(queue: Queue, options: QueueOptions, polls: int) -> list[str]:
    """The messages seen until the queue was asked so many times."""
    seen: list[str] = []

    async def invoke(data: TypedData, _metadata: object) -> Outputs:
        seen.append(data.value.decode())
        return {}

    client = cast(QueueClient, queue)
    stop = asyncio.Event()
    task = asyncio.create_task(
        QueueListener(client, client, options, timedelta(minutes=1), invoke).listen(stop)
    )
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.01)
            if len(queue.polls) >= polls:
                break
    stop.set()
    await task
    return seen


def assert_gaps(queue: Queue, expected: list[float]) -> None:
    gaps = [after - before for before, after in pairwise(queue.polls)][: len(expected)]
    assert all(least - 0.02 < gap < least + 0.25 for gap, least in zip(gaps, expected, strict=True)), gaps


async def test_an_empty_queue_is_polled_ever_more_slowly_up_to_the_maximum() -> None:
    queue = Queue()
    await poll(queue, QueueOptions(max_polling_interval=timedelta(seconds=0.3), batch_size=7), 5)
    assert_gaps(queue, [0.1, 0.2, 0.3, 0.3])
    assert set(queue.sizes) == {7}


async def test_a_message_makes_polling_quick_again() -> None:
    queue = Queue([], [], [message("x")])
    assert await poll(queue, QueueOptions(max_polling_interval=timedelta(seconds=9)), 5) == ["x"]
    assert_gaps(queue, [0.1, 0.2, 0.0, 0.1])
    assert len(queue.deleted) == 1


async def test_a_storage_that_is_away_for_a_moment_does_not_end_the_listener() -> None:
    queue = Queue(ServiceRequestError("gone"), [message("x")])
    assert await poll(queue, QueueOptions(), 3) == ["x"]

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue.aio import QueueClient

from dev.host.configuration import QueueOptions
from dev.host.protos import TypedData
from dev.host.queues import QueueListener, decode, encode, message_bodies, trigger_value
from dev.host.worker import Result


def test_both_encodings() -> None:
    assert encode("é".encode(), "base64") == "w6k="
    assert decode("w6k=", "base64") == "é".encode()
    assert encode("é".encode(), "none") == "é"
    assert decode("é", "none") == "é".encode()


@pytest.mark.parametrize("text", ["hello!", '{"a": 1}', "abc"])
def test_a_message_that_is_not_base64_cannot_be_decoded(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode(text, "base64")


def test_bytes_that_are_no_text_need_base64() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        encode(b"\xff", "none")
    assert trigger_value(b"\xff").kind == "bytes"
    assert trigger_value(b"x").value == "x"


@pytest.mark.parametrize(
    ("data", "bodies"),
    [
        (TypedData(string="a"), [b"a"]),
        (TypedData(bytes=b"\x00"), [b"\x00"]),
        (TypedData(json='["a", "b"]'), [b"a", b"b"]),
        (TypedData(json='{"id": null, "body": "a"}'), [b"a"]),
        (TypedData(json='[{"id": null, "body": "a"}, "b"]'), [b"a", b"b"]),
        (TypedData(json='{"key": 1}'), [b'{"key": 1}']),
        (TypedData(json="[]"), []),
    ],
)
def test_outputs_become_messages(data: TypedData, bodies: list[bytes]) -> None:
    assert message_bodies(data) == bodies


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="double"):
        message_bodies(TypedData(double=1.5))


class Queue:
    """A queue of given answers: each poll takes one, an exception or a list of messages; then it is empty."""

    queue_name = "q"

    def __init__(self, *answers: Exception | list[object]) -> None:
        self.polls: list[float] = []
        self.sizes: list[int] = []
        self.deleted: list[object] = []
        self._answers = list(answers)

    def receive_messages(self, *, messages_per_page: int, visibility_timeout: int) -> Any:
        self.polls.append(asyncio.get_running_loop().time())
        self.sizes.append(messages_per_page)
        answer = self._answers.pop(0) if self._answers else []
        return SimpleNamespace(by_page=lambda: self._pages(answer))

    async def _pages(self, answer: Exception | list[object]) -> AsyncIterator[AsyncIterator[object]]:
        if isinstance(answer, Exception):
            raise answer
        yield self._page(answer)

    async def _page(self, messages: list[object]) -> AsyncIterator[object]:
        for message in messages:
            yield message

    async def delete_message(self, message: object) -> None:
        self.deleted.append(message)


def message(text: str) -> object:
    names = ("id", "inserted_on", "expires_on", "next_visible_on", "pop_receipt")
    return SimpleNamespace(content=encode(text.encode(), "base64"), dequeue_count=1, **dict.fromkeys(names))


async def poll(queue: Queue, options: QueueOptions, polls: int) -> list[str]:
    """The messages seen until the queue was asked so many times."""
    seen: list[str] = []

    async def invoke(data: TypedData, _metadata: object) -> Result:
        seen.append(data.value)
        return Result({})

    client = cast(QueueClient, queue)
    stop = asyncio.Event()
    task = asyncio.create_task(QueueListener(client, client, options, invoke).listen(stop))
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

"""A worker process that may be killed at every call it makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from tests.faults.chaos import Chaos, Fault


class Killed(BaseException):
    """The process is gone: nothing it still tries has any effect."""


class Process:
    """One worker process. Its calls go through `call`; once it is dead none of them leads anywhere."""

    def __init__(self, number: int, chaos: Chaos) -> None:
        self.name = f"worker {number}"
        self.chaos = chaos
        self.dead = False
        # In their order: a set's would be that of their places in memory, another one in every run.
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.on_death: list[Callable[[], None]] = []

    def kill(self) -> None:
        """End it as the operating system does: at once, and whatever is under way with it."""
        if self.dead:
            return
        self.dead = True
        self.chaos.say(f"{self.name} is dead")
        for task in list(self.tasks):
            if task is not asyncio.current_task():
                task.cancel()
        for callback in self.on_death:
            callback()

    async def call[T](
        self, name: str, effect: Callable[[], Awaitable[T]], *, fastest: float, slowest: float
    ) -> T:
        """Carry out one call to the outside, which takes some seconds there and some back.

        What is on its way when the process dies may still arrive.
        """
        if self.chaos.gate is not None:
            await self.chaos.gate.pass_through(function.get(), execution.get(), self.kill)
        if self.dead:
            raise Killed
        fault = self.chaos.find_kill(f"{function.get()}: {name}")
        if fault is Fault.KILLED_BEFORE:
            self.kill()
            raise Killed
        try:
            await asyncio.sleep(self.chaos.delay(fastest, slowest))
        except asyncio.CancelledError:
            if self.dead and self.chaos.chance(0.5):
                with suppress(Exception):
                    await effect()
            raise
        answer = await effect()
        if fault is Fault.KILLED_AFTER:
            self.kill()
            raise Killed
        await asyncio.sleep(self.chaos.delay(fastest, slowest))
        if self.dead:
            raise Killed
        return answer


current: ContextVar[Process] = ContextVar("current")
"""The process in which a task runs."""

function: ContextVar[str] = ContextVar("function", default="")
"""The function that a task runs."""

execution: ContextVar[object] = ContextVar("execution", default=None)
"""What all tasks of one execution have in common."""


class StoragePort:
    """One process's way to one client of the storage account, of which every method is a call.

    ``down`` tells whether the account is away; ``seen`` is told of every call that took effect.
    """

    def __init__(
        self,
        process: Process,
        client: Any,
        name: str,
        down: Callable[[], bool],
        seen: Callable[[str, str, tuple[Any, ...]], None],
    ) -> None:
        self._process = process
        self._client = client
        self._name = name
        self._down = down
        self._seen = seen

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._client, operation)

        async def ask(*values: Any, **options: Any) -> Any:
            return await self._ask(operation, lambda: method(*values, **options), values)

        return ask

    def query_entities(self, *values: Any, **options: Any) -> PagesPort:
        """The pages of a query, a call each."""
        return PagesPort(self._client.query_entities(*values, **options).by_page(), self._ask)

    async def close(self) -> None:
        """The client is everybody's."""

    async def _ask(
        self, operation: str, request: Callable[[], Awaitable[Any]], values: tuple[Any, ...] = ()
    ) -> Any:
        chaos = self._process.chaos
        name = f"{self._name}.{operation}"

        async def effect() -> Any:
            if self._down() or chaos.strikes(Fault.STORAGE_REFUSED, name):
                raise ServiceRequestError("The storage account can't be reached.")
            repeated = not operation.startswith(("get_", "query")) and chaos.strikes(
                Fault.STORAGE_REPEATED, name
            )
            answer = await request()
            self._seen(self._name, operation, values)
            if repeated:
                # The first answer got lost and the library asked again by itself.
                answer = await request()
            if chaos.strikes(Fault.STORAGE_UNANSWERED, name):
                raise ServiceResponseError("The storage account did not answer.")
            return answer

        return await self._process.call(name, effect, fastest=0.001, slowest=0.02)


class PagesPort:
    """The pages of a query's answer."""

    def __init__(self, pages: AsyncIterator[Any], ask: Callable[..., Awaitable[Any]]) -> None:
        self._pages = aiter(pages)
        self._ask = ask

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items()

    async def _items(self) -> AsyncIterator[Any]:
        async for page in self.by_page():
            async for entity in page:
                yield entity

    async def by_page(self) -> AsyncIterator[Any]:
        """Page by page."""

        async def read() -> Any:
            return await anext(self._pages, None)

        while (page := await self._ask("query_entities", read)) is not None:
            yield page

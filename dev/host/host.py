"""A local Azure Functions host: one app, one process, one event loop."""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from aiohttp import web

from dev.host.configuration import HostError, HostOptions, read_host_json, resolve
from dev.host.http import HttpFrontend
from dev.host.logs import logger
from dev.host.queues import QueueListener, Queues, trigger_value
from dev.host.timers import Schedule, TimerListener
from dev.host.worker import Function, Invoker, importable, load_functions

GRACE = 10.0
"""Seconds that running invocations have to end after the host was asked to."""


class FunctionsHost:
    """Runs the app at ``root`` while the context is open; ``url`` says where.

    ``settings`` are environment variables for that time. Port 0 takes a free one. Leaving waits for running
    invocations. Entering raises HostError with one sentence.

    One app at a time in a process: Microsoft's worker library keeps its functions in module variables.
    """

    _active = False

    def __init__(self, *, root: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        self.root = root.resolve()
        self.url = ""
        self._port = port
        self._settings = settings or {}
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: dict[str, TimerListener] = {}

    async def __aenter__(self) -> Self:
        if FunctionsHost._active:
            raise HostError("Another Functions app is running in this process.")
        async with AsyncExitStack() as stack:
            FunctionsHost._active = True
            stack.callback(setattr, FunctionsHost, "_active", False)
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        stack.enter_context(patch.dict(os.environ, self._settings))
        options = read_host_json(self.root / "host.json", os.environ)
        stack.enter_context(importable(self.root))
        functions = await load_functions(self.root)
        queues = Queues(os.environ, stack)
        self._invoker = Invoker(queues.write, options.function_timeout)
        frontend = HttpFrontend(
            functions,
            options.extensions.http.route_prefix,
            os.environ,
            self._invoker.invoke,
            self._start_function,
        )
        listeners = [await self._listener(function, queues, options) for function in functions]
        # The runner waits that long for handlers, and then once more.
        runner = web.AppRunner(frontend.application(), access_log=None, shutdown_timeout=GRACE / 2)
        await runner.setup()
        stack.push_async_callback(self._drain, runner)
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as error:
            said = f"Port {self._port} cannot be used: {os.strerror(error.errno or 0)}."
            raise HostError(said) from error
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        for listener in listeners:
            if listener is not None:
                self._spawn(listener.listen(self._stop))
        logger.info("%d functions are running at %s", len(functions), self.url)

    async def _listener(
        self, function: Function, queues: Queues, options: HostOptions
    ) -> TimerListener | QueueListener | None:
        """What listens for a trigger other than HTTP; its queues exist then, those of outputs too."""
        trigger = function.trigger
        for binding in (trigger, *function.outputs):
            if binding["type"] == "queue":
                await queues.create(binding)
            elif binding["type"] not in ("httpTrigger", "http", "timerTrigger", "queueTrigger"):
                said = f"{function.name} has a {binding['type']} binding, which this host does not know."
                raise HostError(said)
        invoke = partial(self._invoker.invoke, function)
        if function.kind == "timerTrigger":
            try:
                schedule = Schedule(resolve(str(trigger["schedule"]), os.environ))
            except ValueError as error:
                raise HostError(f"The schedule of {function.name} is wrong: {error}.") from error
            self._timers[function.name] = TimerListener(schedule, invoke)
            return self._timers[function.name]
        if function.kind == "queueTrigger":
            lease = options.function_timeout + timedelta(minutes=1)
            queue, poison = await queues.create(trigger), await queues.create(trigger, "-poison")
            return QueueListener(queue, poison, options.extensions.queues, lease, invoke)
        return None

    def _start_function(self, function: Function, text: str) -> None:
        timer = self._timers.get(function.name)
        self._spawn(timer.run() if timer else self._invoker.invoke(function, trigger_value(text.encode())))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, runner: web.AppRunner) -> None:
        self._stop.set()
        closing = asyncio.create_task(runner.cleanup())
        _, late = await asyncio.wait({closing, *self._tasks}, timeout=GRACE)
        for task in late - {closing}:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

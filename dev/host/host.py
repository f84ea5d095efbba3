"""A local Azure Functions host: one app, one process, one event loop."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from aiohttp import web

from dev.host.configuration import HostError, read_host_json, resolve
from dev.host.http import add_routes, is_authorized
from dev.host.queues import QueueListener, Queues
from dev.host.timers import Schedule, run_when_due, timer_request
from dev.host.worker import Function, Outputs, TypedData, importable, load_functions

GRACE = 10.0
"""Seconds that running invocations have to end after the host was asked to."""

BINDINGS = ("httpTrigger", "http", "timerTrigger", "queueTrigger", "queue")

current_invocation: ContextVar[Mapping[str, str] | None] = ContextVar("current_invocation", default=None)
"""What the log says of the function that the running code belongs to."""

_log = logging.getLogger(__name__)


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
        self._timers: dict[str, Function] = {}

    async def __aenter__(self) -> Self:
        if FunctionsHost._active:
            raise HostError("Another Functions app is running in this process.")
        async with AsyncExitStack() as stack:
            FunctionsHost._active = True
            stack.callback(setattr, FunctionsHost, "_active", False)
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        stack.enter_context(patch.dict(os.environ, self._settings))
        self._options = read_host_json(self.root / "host.json")
        stack.enter_context(importable(self.root))
        functions = await load_functions(self.root)
        self._queues = Queues(stack)
        listeners = [await self._listener(function) for function in functions]
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_get("/admin/host/status", self._tell_status)
        app.router.add_post("/admin/functions/{name}", self._start_timer)
        add_routes(app, functions, self._options.route_prefix, self._invoke)
        # The runner waits that long for handlers, and then once more.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE / 2)
        await runner.setup()
        stack.push_async_callback(self._drain, runner)
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as error:
            said = f"Port {self._port} cannot be used: {os.strerror(error.errno or 0)}."
            raise HostError(said) from error
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        for function, listen in zip(functions, listeners, strict=True):
            disabled = os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "")
            if listen and disabled.lower() not in ("true", "1"):
                self._spawn(listen(self._stop))
        _log.info("%d functions are running at %s", len(functions), self.url)

    async def _listener(
        self, function: Function
    ) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]] | None:
        """What waits for a trigger other than HTTP; its queues exist then, those of outputs too."""
        for binding in (function.trigger, *function.outputs):
            if binding["type"] not in BINDINGS:
                said = f"{function.name} has a {binding['type']} binding, which this host does not know."
                raise HostError(said)
            if binding["type"] == "queue":
                await self._queues.open(binding)
        invoke = partial(self._invoke, function)
        if function.trigger["type"] == "timerTrigger":
            self._timers[function.name] = function
            return partial(run_when_due, Schedule(resolve(function.trigger["schedule"])), invoke)
        if function.trigger["type"] == "queueTrigger":
            queue = await self._queues.open(function.trigger)
            poison = await self._queues.open(function.trigger, "-poison")
            lease = self._options.function_timeout + timedelta(minutes=1)
            return QueueListener(queue, poison, self._options.queues, lease, invoke).listen
        return None

    async def _invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Outputs | None:
        """Run a function once and write its outputs, or None and in the log why that failed."""
        invocation = {"function": function.name, "invocation_id": str(uuid.uuid4())}
        token = current_invocation.set(invocation)
        started = time.perf_counter()
        failure: str | None = "The host stopped before the function ended."
        try:
            async with asyncio.timeout(self._options.function_timeout.total_seconds()):
                outputs = await function.run(invocation["invocation_id"], data, metadata or {})
            await self._queues.write(function, outputs)
            failure = None
            return outputs
        except TimeoutError:
            failure = "The function ran longer than functionTimeout."
        except Exception as error:
            failure = str(error)
        finally:
            current_invocation.reset(token)
            duration = round((time.perf_counter() - started) * 1000, 1)
            level, outcome = (logging.INFO, "succeeded") if failure is None else (logging.ERROR, "failed")
            told = {**invocation, "duration_ms": duration, "outcome": outcome, "detail": failure}
            _log.log(level, "%s %s", function.name, outcome, extra=told)
        return None

    async def _tell_status(self, _request: web.Request) -> web.Response:
        return web.json_response({"state": "Running"})

    async def _start_timer(self, request: web.Request) -> web.Response:
        if not is_authorized(request, "admin"):
            return web.Response(status=401)
        if (function := self._timers.get(request.match_info["name"])) is None:
            return web.Response(status=404)
        self._spawn(self._invoke(function, timer_request()))
        return web.Response(status=202)

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

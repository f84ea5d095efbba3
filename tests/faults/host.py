"""The Functions host in simulated time: it runs this app's own functions in worker processes that may die."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import azure.functions as func

import functions.services
from dev.host.timers import Schedule
from function_app import app
from tests.faults.chaos import Chaos, Fault
from tests.faults.memory import MemoryQueue, MemoryQueues, Message
from tests.faults.process import Killed, Process, current, execution, function

LEASE = 600.0
"""Seconds after which a message comes again whose worker was killed."""

AGAIN = 30.0
"""Seconds after which a message comes again whose function failed."""

ATTEMPTS = 5
AT_ONCE = 4
"""Messages of one queue that one process works on."""

OLD = 120.0
"""Seconds after which nothing should wait any more when all is well."""

CROWD = 12
"""Messages that wait, from which on the queues are crowded."""

WORKERS = 2
URL = "https://calendar.example.com"

type Run = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Timer:
    """A function that the clock starts."""

    name: str
    schedule: Schedule
    run: Run


class Host:
    """Runs every function of the app that a queue, a timer or Exchange triggers.

    ``build`` makes the services of a new process. ``timers_stopped`` and ``callback_away`` are faults.
    """

    def __init__(
        self,
        chaos: Chaos,
        clock: Callable[[], datetime],
        queues: MemoryQueues,
        build: Callable[[Process], functions.services.Services],
    ) -> None:
        self.chaos = chaos
        self.clock = clock
        self.queues = queues
        self.timers_stopped = False
        self.callback_away = False
        self.runs: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._build = build
        self._services: dict[Process, functions.services.Services] = {}
        self._processes: list[Process] = []
        self._busy: Counter[tuple[Process, str]] = Counter()
        self._started = 0
        self._background: set[asyncio.Task[None]] = set()
        self._functions: dict[str, tuple[str, Run]] = {}
        self._timers: list[Timer] = []
        self._notification: Run | None = None
        self._names: set[str] = set()
        for registered in _registered():
            self._register(registered)
        queues.on_send = self._sent
        chaos.crowded = self._is_crowded

    def _register(self, registered: Any) -> None:
        name, run = registered.get_function_name(), registered.get_user_function()
        self._names.add(name)
        trigger = registered.get_trigger().get_dict_repr()
        if trigger["type"] == "queueTrigger":
            self._functions[trigger["queueName"]] = (name, run)
        elif trigger["type"] == "timerTrigger":
            self._timers.append(Timer(name, Schedule(trigger["schedule"]), run))
        elif name == "notification":
            self._notification = run

    async def start(self) -> None:
        """Start the worker processes and the timers."""
        for name in self._functions:
            with suppress(Exception):
                await self.queues.get_queue_client(name).create_queue()
        for _ in range(WORKERS):
            self._start_process()
        for timer in self._timers:
            self._spawn(self._tick(timer))

    @property
    def processes(self) -> list[Process]:
        """The processes that live."""
        return [process for process in self._processes if not process.dead]

    def left(self) -> Iterator[str]:
        """Messages that wait for longer than any work should."""
        for name, queue in self.queues.queues.items():
            for message in queue.messages:
                age = queue.time() - message.sent_at
                if name in self._functions and age > OLD:
                    yield f"{name} {message.id} waits for {age:.0f} s: {message.content}"

    def waits(self) -> int:
        """How many messages there are, hidden ones included."""
        return sum(len(queue.messages) for queue in self.queues.queues.values())

    def _is_crowded(self) -> bool:
        return self.waits() > CROWD

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Call the app over HTTP, as Exchange does; status 0 where no answer came."""
        living = self.processes
        if self.callback_away or not living or self.chaos.strikes(Fault.NOTIFICATION_LOST):
            return 0, b""
        _, _, guid, secret = urlsplit(url).path.removeprefix("/api").rsplit("/", 3)
        request = func.HttpRequest(
            method="POST", url=url, body=body, route_params={"guid": guid, "secret": secret}
        )
        assert self._notification is not None
        process = self.chaos.latency.choice(living)
        task = self._run(process, "notification", self._notification, request)
        answer = await task
        if not isinstance(answer, func.HttpResponse):
            return 0, b""
        return answer.status_code, answer.get_body()

    # ---- processes

    def _start_process(self) -> None:
        self._started += 1
        process = Process(self._started, self.chaos)
        process.on_death.append(lambda: self._spawn(self._replace(process)))
        self._processes = [*self.processes, process]
        for name in self._functions:
            self._poke(name)

    async def _replace(self, process: Process) -> None:
        await asyncio.sleep(self.chaos.delay(1, 15))
        self._services.pop(process, None)
        self._start_process()

    def services_of(self, process: Process) -> functions.services.Services:
        """The services of a process, built when they are first asked for."""
        if process not in self._services:
            self._services[process] = self._build(process)
        return self._services[process]

    def _run(self, process: Process, name: str, run: Run, trigger: Any) -> asyncio.Task[Any]:
        """Run a function; the task's result is its answer, or the exception with which it failed."""

        async def invoke() -> Any:
            current.set(process)
            function.set(name)
            execution.set(object())
            self.runs[name] += 1
            try:
                return await run(trigger)
            except (Killed, asyncio.CancelledError) as end:
                if not process.dead:
                    raise
                return Killed(repr(end))
            except Exception as error:
                told = ": administrator" if name not in self._names else ""
                self.errors[f"{name}: {type(error).__name__}{told}"] += 1
                self.chaos.say(f"{name} failed: {error!r}")
                return error
            finally:
                self.ended[name] += 1

        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(invoke(), context=copy_context())
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
        return task

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    # ---- queues

    def _sent(self, queue: MemoryQueue, message: Message) -> None:
        if self.chaos.strikes(Fault.MESSAGE_DELAYED, queue.name):
            message.visible_at += self.chaos.pick(1, 240)
        self._poke_at(queue.name, message.visible_at)
        if self.chaos.strikes(Fault.MESSAGE_DOUBLED, queue.name):
            delay = message.visible_at - queue.time() + self.chaos.pick(0, 60)
            self._poke_at(queue.name, queue.add(message.content, delay).visible_at)

    def _poke_at(self, name: str, at: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(max(at, loop.time()) + self.chaos.delay(0.01, 1.0), self._poke, name)

    def _poke(self, name: str) -> None:
        """Hand out the messages of a queue that can be seen, in no particular order."""
        if name not in self._functions:
            return
        queue = self.queues.get_queue_client(name)
        for process in self.processes:
            now = queue.time()
            seen = [message for message in queue.messages if message.visible_at <= now]
            room = AT_ONCE - self._busy[process, name]
            for message in self.chaos.latency.sample(seen, min(room, len(seen))):
                queue.take(message, LEASE)
                self._busy[process, name] += 1
                self._spawn(self._handle(process, queue, message, message.pop_receipt))

    async def _handle(self, process: Process, queue: MemoryQueue, message: Message, receipt: str) -> None:
        name, run = self._functions[queue.name]
        self.chaos.say(f"{process.name} {name} {message.id}x{message.dequeue_count} {message.content}")
        self._poke_at(queue.name, queue.time() + LEASE)
        answer: object
        if message.dequeue_count > ATTEMPTS:
            # Its worker was killed each time.
            answer = RuntimeError("tried often enough")
        else:
            answer = await self._run(process, name, run, func.QueueMessage(body=message.content.encode()))
        self._busy[process, queue.name] -= 1
        self._poke_at(queue.name, queue.time())
        with suppress(Exception):  # somebody else may have received it meanwhile
            if isinstance(answer, Killed) or process.dead:
                return
            if isinstance(answer, Exception):
                if message.dequeue_count >= ATTEMPTS:
                    await queue.delete_message(message.id, receipt)
                    await self.queues.get_queue_client(f"{queue.name}-poison").send_message(message.content)
                else:
                    await queue.update_message(message.id, receipt, AGAIN)
                    self._poke_at(queue.name, message.visible_at)
            elif self.chaos.strikes(Fault.MESSAGE_AGAIN, queue.name):
                await queue.update_message(message.id, receipt, self.chaos.pick(0, 300))
                self._poke_at(queue.name, message.visible_at)
            else:
                await queue.delete_message(message.id, receipt)

    # ---- timers

    async def _tick(self, timer: Timer) -> None:
        while True:
            at = timer.schedule.next_after(self.clock())
            await asyncio.sleep((at - self.clock()).total_seconds())
            if self.clock() < at:  # rounded to microseconds
                await asyncio.sleep(1e-6)
            if self.timers_stopped:
                continue
            running = [self._start_timer(timer)]
            if self.chaos.strikes(Fault.TIMER_DOUBLED, timer.name):
                await asyncio.sleep(self.chaos.pick(0, 5))
                running.append(self._start_timer(timer))
            await asyncio.gather(*(task for task in running if task is not None))

    def _start_timer(self, timer: Timer) -> asyncio.Task[Any] | None:
        living = self.processes
        if not living:
            return None
        return self._run(self.chaos.latency.choice(living), timer.name, timer.run, None)

    def start_timer(self, name: str) -> None:
        """Start a timer's function now."""
        for timer in self._timers:
            if timer.name == name:
                self._start_timer(timer)

    def act(self, name: str, action: Callable[[functions.services.Services], Awaitable[object]]) -> None:
        """Have an administrator do something, in one of the processes."""
        process = self.chaos.latency.choice(self.processes)
        self._run(process, name, action, self.services_of(process))


@functools.cache
def _registered() -> tuple[Any, ...]:
    return tuple(app.get_functions())  # may be asked once


@contextmanager
def hosted(
    host: Host, clock: Callable[[], datetime], seconds: Callable[[], float], connect: Callable[[Process], Any]
) -> Iterator[None]:
    """Have the functions find the services of the process that runs them, the simulated time and PBX."""

    async def services() -> functions.services.Services:
        return host.services_of(current.get())

    def open_session(settings: object) -> Any:
        return connect(current.get())

    replaced = {"services": services, "now": clock, "monotonic": seconds}
    originals = {name: getattr(functions.services, name) for name in replaced}
    with ExitStack() as stack:
        for module in [module for name, module in sys.modules.items() if name.startswith("functions.")]:
            for name, replacement in replaced.items():
                if getattr(module, name, None) is originals[name]:
                    stack.enter_context(patch.object(module, name, replacement))
        stack.enter_context(patch.object(functions.services, "_open_session", open_session))
        yield

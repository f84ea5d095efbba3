"""An event loop whose clock jumps to the next timer as soon as nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Hours pass in the time that their work takes.

    While something real is waited for (`outside`), its clock runs like any other.
    """

    def __init__(self) -> None:
        self._passed = 0.0
        self._outside = 0
        self._jumping = _JumpingSelector(self)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._passed

    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it here: what threads do has no place in simulated time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Wait for something that takes real time, such as an answer of the storage emulator."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds

    @property
    def waits_outside(self) -> bool:
        """Whether something real is waited for."""
        return self._outside > 0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if self._loop.waits_outside:
            began = time.monotonic()
            events = super().select(timeout)
            self._loop.pass_time(time.monotonic() - began)
            return events
        if timeout is None:
            raise RuntimeError("Everybody waits and nothing will ever happen.")
        self._loop.pass_time(max(timeout, 0.0))
        return []

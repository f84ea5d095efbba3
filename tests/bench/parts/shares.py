"""Where the time of asynchronous work goes.

Each instant is divided evenly among the activities that are under way in it, so that the shares add up to the
whole. What is under way outside of all counts as ``the rest``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from time import perf_counter
from typing import Any

from shared.state.storage import Table

READS = ("get",)
WRITES = ("insert", "replace", "put", "merge", "delete", "transact")


class Shares:
    """Seconds by activity, and how often each was begun."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._since = perf_counter()

    def start(self) -> None:
        """Forget what was counted before."""
        self.seconds.clear()
        self.calls.clear()
        self._since = perf_counter()

    @contextmanager
    def during(self, activity: str, *, calls: int = 1) -> Iterator[None]:
        """Count what is done inside as this activity."""
        self._divide()
        self._under_way[activity] += 1
        self.calls[activity] += calls
        try:
            yield
        finally:
            self._divide()
            self._under_way[activity] -= 1

    def stop(self) -> dict[str, float]:
        """Seconds by activity up to now, the rest included."""
        self._divide()
        return dict(self.seconds)

    def _divide(self) -> None:
        now = perf_counter()
        elapsed, self._since = now - self._since, now
        active = +self._under_way
        if not active:
            self.seconds["the rest"] += elapsed
        for activity, count in active.items():
            self.seconds[activity] += elapsed * count / active.total()

    def awaited(self, activity: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A coroutine function whose time is counted."""

        @wraps(call)
        async def counted(*arguments: Any, **named: Any) -> Any:
            with self.during(activity):
                return await call(*arguments, **named)

        return counted

    def called(self, activity: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is counted."""

        @wraps(call)
        def counted(*arguments: Any, **named: Any) -> Any:
            with self.during(activity):
                return call(*arguments, **named)

        return counted

    def watch_tables(self) -> None:
        """Count every request to a table of this process from now on; a query counts by its pages of 200."""
        for name in READS:
            setattr(Table, name, self.awaited("table reads", getattr(Table, name)))
        for name in WRITES:
            setattr(Table, name, self.awaited("table writes", getattr(Table, name)))
        query = Table.query

        @wraps(query)
        async def counted(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            records = query(*arguments, **named)
            number = 0
            while True:
                with self.during("table reads", calls=int(number % 200 == 0)):
                    try:
                        record = await anext(records)
                    except StopAsyncIteration:
                        return
                number += 1
                yield record

        Table.query = counted  # type: ignore[method-assign]

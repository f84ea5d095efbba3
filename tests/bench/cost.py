"""What an installation costs a month, by the number of users: operations and executions times list prices.

The operations are those that ``tests.bench.operations`` counts. ``docs/scaling.md`` holds the tables that
``python -m tests.bench.cost`` prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

USERS = (100, 1_000, 10_000, 100_000)
DAYS = 30
DAY = 24 * 3600

OPERATIONS: Mapping[str, tuple[float, float]] = {
    "read": (211, 26_800),
    "write": (106, 4_300),
    "transaction": (28, 610),
    "queue": (21, 4_200),
}
"""Operations of the storage account a day, by kind: each user's, and the installation's besides."""


@dataclass(frozen=True, slots=True)
class Group:
    """Functions that share instances: executions a day of each user and of the installation, seconds of one.

    ``at_once`` is how many an instance works on at a time.
    """

    user: float
    installation: float
    seconds: float
    at_once: int

    def executions(self, users: int) -> float:
        """In a day."""
        return self.user * users + self.installation

    def active(self, users: int) -> float:
        """Instance seconds of a day in which at least one execution is billed, each for a second at least.

        They come by chance: the first instance is idle where none happens to run. More instances are
        needed where more run at a time than one takes.
        """
        rate = self.executions(users) / DAY
        billed = max(1.0, self.seconds)
        return DAY * max(1 - math.exp(-rate * billed), rate * self.seconds / self.at_once)


GROUPS: Mapping[str, Group] = {
    "notification": Group(51.7, 0, 0.05, 16),
    "sync": Group(6.5, 5, 0.5, 4),
    "publish": Group(0.5, 43, 0.5, 1),
    "tick": Group(0, 1_440, 1, 1),
    "upkeep": Group(0, 288, 1, 1),
    "midnight, directory, replicate": Group(0, 145, 1, 1),
}
"""On Flex Consumption HTTP functions share instances, every other function has instances of its own."""

POLLED = ("sync", "publish")
"""Groups that look into a queue while an instance of them lives."""

LOOKS = 2
"""Looks a second into an empty queue: `maxPollingInterval` in host.json."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars, as of a date, of a region."""

    date: str = "November 2026"
    region: str = "East US"
    table: float = 0.00036 / 10_000
    queue: float = 0.004 / 10_000
    executions: float = 0.40 / 1_000_000
    free_executions: int = 250_000
    gb_seconds: float = 0.000026
    free_gb_seconds: int = 100_000
    gb_of_logs: float = 2.30
    free_gb_of_logs: int = 5
    gb_of_memory: float = 2.0
    bytes_of_logs: float = 1_000.0


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars a month."""

    tables: float
    queues: float
    executions: float
    compute: float
    logs: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.tables + self.queues + self.executions + self.compute + self.logs


def find_cost(users: int, prices: Prices) -> Cost:
    """The formula: what so many users cost a month."""
    operations = {kind: user * users + besides for kind, (user, besides) in OPERATIONS.items()}
    executions = DAYS * sum(group.executions(users) for group in GROUPS.values())
    active = DAYS * sum(group.active(users) for group in GROUPS.values())
    polls = LOOKS * sum(GROUPS[name].active(users) for name in POLLED)
    tables = sum(number for kind, number in operations.items() if kind != "queue")
    logs = executions * prices.bytes_of_logs / 1e9
    return Cost(
        tables=DAYS * tables * prices.table,
        queues=DAYS * (operations["queue"] + polls) * prices.queue,
        executions=max(0, executions - prices.free_executions) * prices.executions,
        compute=max(0, active * prices.gb_of_memory - prices.free_gb_seconds) * prices.gb_seconds,
        logs=max(0, logs - prices.free_gb_of_logs) * prices.gb_of_logs,
    )


def write_operations() -> Iterator[str]:
    """The lines of the table of operations."""
    yield "| a day | reads | writes | transactions | queue operations | executions |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for title, place in (("each user", 0), ("the installation besides", 1)):
        numbers = [f"{OPERATIONS[kind][place]:,.0f}" for kind in OPERATIONS]
        executions = sum((group.user, group.installation)[place] for group in GROUPS.values())
        yield f"| {title} | {' | '.join(numbers)} | {executions:,.0f} |"


def write_costs(prices: Prices) -> Iterator[str]:
    """The lines of the table of costs."""
    yield "| users | tables | queues | executions | GB-s | logs | a month | a user |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for users in USERS:
        cost = find_cost(users, prices)
        parts = (cost.tables, cost.queues, cost.executions, cost.compute, cost.logs, cost.total)
        amounts = " | ".join(f"${part:,.2f}" for part in parts)
        yield f"| {users:,} | {amounts} | ${cost.total / users:.3f} |"


def main() -> None:
    """Print both tables."""
    print("\n".join([*write_operations(), "", *write_costs(Prices())]))


if __name__ == "__main__":
    main()

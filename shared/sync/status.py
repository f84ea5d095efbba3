"""The state of the whole service, as data: for the page, the API and alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Protocol

from shared.auth.expiry import expiry_warning
from shared.metrics import Hour
from shared.settings import Configuration, Detection
from shared.sync.directory import TASK as DIRECTORY
from shared.sync.interfaces import (
    PARTITIONS,
    BudgetUse,
    Census,
    Clock,
    Health,
    Heartbeat,
    Progress,
    QueueLength,
    QueueWatch,
    Trouble,
)
from shared.sync.overdue import LONGEST_SILENCE, is_late
from shared.sync.subscribing import SILENCE

BACKLOG = timedelta(minutes=15)
"""Work that could be done and has waited for longer is warned of."""

EWS_ENDS = date(2027, 4, 1)
"""Microsoft ends Exchange Web Services in Exchange Online on that day (Exchange team, 2025 and 2026)."""

_WARN_OF_END = timedelta(days=365)
_DAY_BEGINS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Task:
    """A timer, its last run if it ever ran, and whether it is overdue."""

    name: str
    heartbeat: Heartbeat | None
    overdue: bool


@dataclass(frozen=True, slots=True)
class StatusWarning:
    """Something an administrator has to know: a code for alerts, a sentence with the remedy, and where to go.

    ``link`` is a path of the administration.
    """

    code: str
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Status:
    """The service at the instant ``at``.

    ``missing`` are the settings that keep it from working. ``census`` counts the users by state, some
    minutes ago, and is None until it was taken first; ``midnight`` and ``poll`` are the last rounds over all
    users (``parts`` of them is all). ``day`` has the counters of the last 24 hours. ``expires_on`` is the
    last day of Exchange Online's secret.
    """

    at: datetime
    missing: tuple[str, ...]
    census: Census | None
    queues: tuple[QueueLength, ...]
    tasks: tuple[Task, ...]
    midnight: Progress | None
    poll: Progress | None
    parts: int
    budget: BudgetUse
    troubles: Mapping[str, Trouble]
    day: tuple[Hour, ...]
    expires_on: date | None
    warnings: tuple[StatusWarning, ...]

    @property
    def oldest_waiting(self) -> datetime | None:
        """Since when the oldest work has waited that could be done now.

        Work that had to be put off is a new message each time: for how long readings have been wanted is
        known from the census.
        """
        beginnings = [queue.oldest for queue in self.queues if queue.oldest]
        if self.census is not None and self.census.reading_since is not None:
            beginnings.append(self.at - (self.census.at - self.census.reading_since))
        return min(beginnings, default=None)

    def count(self, name: str) -> int:
        """One of `shared.metrics.COUNTERS` over the last 24 hours."""
        return sum(hour.counts.get(name, 0) for hour in self.day)


class Counters(Protocol):
    """What was counted."""

    async def last_day(self, now: datetime) -> list[Hour]: ...


class BudgetState(Protocol):
    """How much of the budget is used."""

    async def use(self, now: datetime) -> BudgetUse: ...


@dataclass(frozen=True, slots=True)
class StatusCollector:
    """Collects the status in one round trip to the storage: requests side by side, none of them for users."""

    health: Health
    budget: BudgetState
    queues: QueueWatch
    counters: Counters
    clock: Clock

    async def collect(self, configuration: Configuration) -> Status:
        """The present status."""
        now = self.clock()
        overview, budget, queues, day = await asyncio.gather(
            self.health.overview(), self.budget.use(now), self.queues.lengths(), self.counters.last_day(now)
        )
        # Users are not replicated while the service is disabled or anything is missing.
        idle = (DIRECTORY,) if configuration.missing() else ()
        tasks = tuple(
            Task(
                name, last := overview.heartbeats.get(name), name not in idle and is_late(last, longest, now)
            )
            for name, longest in LONGEST_SILENCE.items()
        )
        status = Status(
            at=now,
            missing=tuple(configuration.missing()),
            census=overview.census,
            queues=tuple(queues),
            tasks=tasks,
            midnight=overview.rounds.get("midnight"),
            poll=overview.rounds.get("poll"),
            parts=len(PARTITIONS),
            budget=budget,
            troubles=overview.troubles,
            day=tuple(day),
            expires_on=configuration.exchange.expires_on,
            warnings=(),
        )
        return replace(status, warnings=tuple(find_warnings(status, configuration)))


def find_warnings(status: Status, configuration: Configuration) -> Iterator[StatusWarning]:
    """What an administrator has to know of this status, the most urgent first."""
    if status.missing:
        yield StatusWarning(
            "not_configured",
            f"Nothing is synchronised before these settings are filled in: {', '.join(status.missing)}.",
            f"/configuration/{status.missing[0].partition('.')[0]}",
        )
    for system, trouble in sorted(status.troubles.items()):
        text = f"{trouble.text} Nothing is lost: the work waits and is tried again by itself."
        yield StatusWarning(f"{system}_unavailable", text, f"/configuration/{system}")
    yield from _of_timers(status)
    yield from _of_users(status, configuration.exchange.detection)
    if status.oldest_waiting is not None and status.at - status.oldest_waiting > BACKLOG:
        minutes = int((status.at - status.oldest_waiting).total_seconds() / 60)
        text = f"Work has waited for {minutes} minutes: more comes in than is done."
        yield StatusWarning("backlog", text, "/debugging")
    if given_up := status.count("given_up") + sum(queue.given_up for queue in status.queues):
        text = f"{given_up} pieces of work were given up in the last 24 hours; the log says why."
        yield StatusWarning("given_up", text, "/debugging")
    yield from _of_safety(status, configuration)


def _of_timers(status: Status) -> Iterator[StatusWarning]:
    late = [task.name for task in status.tasks if task.overdue]
    if late:
        text = f"These timers have not run when they should: {', '.join(late)}. Restart the function app."
        yield StatusWarning("timer_overdue", text, "/debugging")
    failing = [task.heartbeat for task in status.tasks if task.heartbeat is not None and task.heartbeat.error]
    for last in failing:
        if last.name != DIRECTORY:
            text = f"The last run of {last.name} failed; the log says why."
            yield StatusWarning("timer_failed", text, "/debugging")
        elif "pbx" not in status.troubles:  # which would say the same
            text = f"The PBX's users were not replicated: {last.error} It is tried again by itself."
            yield StatusWarning("directory_failed", text, "/configuration/pbx")
    begun = status.midnight is not None and status.midnight.ended is None and status.midnight.began
    if begun and status.at - begun > _DAY_BEGINS:
        text = "The day's reading of all calendars has begun and not come to its end."
        yield StatusWarning("midnight_unfinished", text, "/debugging")


def _of_users(status: Status, detection: Detection) -> Iterator[StatusWarning]:
    census = status.census
    if census is None:
        return
    if census.failing:
        text = f"{census.failing} users can't be synchronised as they should; each user's page says why."
        yield StatusWarning("users_failing", text, "/users?state=failing")
    if census.presences_refused:
        text = (
            f"The PBX refuses the presences of {census.presences_refused} users; each user's page says why."
        )
        yield StatusWarning("presences_refused", text, "/users?state=refused")
    if detection is Detection.POLL:
        return
    newest = census.newest_sign
    if census.subscribed and newest is not None and status.at - newest > SILENCE:
        text = (
            "No notification from Exchange reaches this service. Its mailbox servers must reach the "
            "callback address over https; where they can't, set the detection to poll."
        )
        yield StatusWarning("no_notifications", text, "/configuration/exchange")
    elif census.refused:
        text = (
            f"Exchange refuses to report the changes of {census.refused} users' calendars; they are read "
            "at midnight and on demand."
        )
        yield StatusWarning("subscriptions_refused", text, "/users?state=failing")


def _of_safety(status: Status, configuration: Configuration) -> Iterator[StatusWarning]:
    exchange = configuration.exchange
    if exchange.allow_plain_http:
        text = "Plain HTTP is allowed: calendars may travel in the clear. Use https and switch it off."
        yield StatusWarning("plain_http", text, "/configuration/exchange")
    if not exchange.sync_type.is_cloud:
        return
    today = status.at.date()
    if warning := expiry_warning(status.expires_on, today):
        code = "secret_expired" if warning.days < 0 else "secret_expires"
        yield StatusWarning(code, str(warning), "/configuration/exchange")
    if EWS_ENDS - today <= _WARN_OF_END:
        text = f"Microsoft ends Exchange Web Services in Exchange Online on {EWS_ENDS}."
        yield StatusWarning("ews_ends", text, "/configuration/exchange")

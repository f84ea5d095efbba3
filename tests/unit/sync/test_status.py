"""The status as data, and what it warns of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.metrics import Hour
from shared.settings import Configuration, Detection, ExchangeSettings, PbxSettings
from shared.sync.interfaces import (
    BudgetUse,
    Census,
    Heartbeat,
    Overview,
    Progress,
    QueueLength,
    Trouble,
)
from shared.sync.overdue import LONGEST_SILENCE
from shared.sync.status import BACKLOG, EWS_ENDS, Status, StatusCollector, Task, find_warnings
from shared.sync.subscribing import SILENCE

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

PBX = PbxSettings(address="pbx.example.com", name="master", app="calendar", password="secret")  # type: ignore[arg-type]
ON_PREMISES = ExchangeSettings(sync_type="on-premises", user="sync@example.com", password="secret")  # type: ignore[arg-type]
CLOUD = ExchangeSettings(
    sync_type="cloud-app-only",  # type: ignore[arg-type]
    user="sync@example.com",
    client_id="11111111-1111-1111-1111-111111111111",
    tenant_id="22222222-2222-2222-2222-222222222222",
    client_secret="secret",  # type: ignore[arg-type]
    secret_expires_on="2026-12-01",
)
HEALTHY = Status(
    at=NOW,
    missing=(),
    census=Census(NOW, 0.2, 3, 3, subscribed=3, oldest_sign=NOW - 40 * MINUTE, newest_sign=NOW - 30 * MINUTE),
    queues=(QueueLength("sync", 5, 0, NOW - MINUTE), QueueLength("publish", 0, 0, None)),
    tasks=(Task("tick", Heartbeat("tick", NOW, 0.1, ""), overdue=False),),
    midnight=Progress("2026-11-23", 16, 3, NOW - 600 * MINUTE, NOW - 599 * MINUTE),
    poll=None,
    parts=16,
    budget=BudgetUse(8, 0, None),
    troubles={},
    day=(Hour(NOW, {"reads": 2}, {}), Hour(NOW, {"reads": 3}, {})),
    expires_on=None,
    warnings=(),
)
CONFIGURATION = Configuration(pbx=PBX, exchange=ON_PREMISES)


def codes(status: Status, exchange: ExchangeSettings = ON_PREMISES) -> list[str]:
    return [found.code for found in find_warnings(status, Configuration(pbx=PBX, exchange=exchange))]


def test_work_that_is_put_off_again_and_again_has_waited_since_it_was_wanted() -> None:
    """As of the last census: five minutes ago a reading had been wanted for twenty."""
    since = NOW - 25 * MINUTE
    behind = replace(HEALTHY, census=census(at=NOW - 5 * MINUTE, reading_since=since))
    assert behind.oldest_waiting == NOW - 20 * MINUTE
    assert codes(behind) == ["backlog"]


def census(**values: object) -> Census:
    assert HEALTHY.census is not None
    return replace(HEALTHY.census, **values)  # type: ignore[arg-type]


def test_where_all_is_well_nothing_is_said() -> None:
    assert codes(HEALTHY) == []
    assert HEALTHY.oldest_waiting == NOW - MINUTE
    assert HEALTHY.count("reads") == 5
    assert HEALTHY.count("presences") == 0


TROUBLE = Trouble("SignInRefused", "The password is wrong.", NOW, 3, NOW + MINUTE)
NOT_REPLICATED = Task("directory", Heartbeat("directory", NOW, 0.1, "Nobody was listed."), overdue=False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"missing": ("exchange.user", "exchange.password")}, "not_configured"),
        ({"troubles": {"exchange": TROUBLE}}, "exchange_unavailable"),
        ({"troubles": {"pbx": TROUBLE}}, "pbx_unavailable"),
        ({"tasks": (Task("upkeep", None, overdue=True),)}, "timer_overdue"),
        ({"tasks": (Task("tick", Heartbeat("tick", NOW, 0.1, "TypeError"), overdue=False),)}, "timer_failed"),
        ({"tasks": (NOT_REPLICATED,)}, "directory_failed"),
        ({"tasks": (NOT_REPLICATED,), "troubles": {"pbx": TROUBLE}}, "pbx_unavailable"),
        ({"midnight": Progress("2026-11-23", 3, 9, NOW - 61 * MINUTE)}, "midnight_unfinished"),
        ({"census": census(failing=2)}, "users_failing"),
        ({"census": census(presences_refused=1)}, "presences_refused"),
        ({"census": census(refused=1)}, "subscriptions_refused"),
        ({"census": census(newest_sign=NOW - SILENCE - MINUTE)}, "no_notifications"),
        ({"queues": (QueueLength("sync", 5, 0, NOW - BACKLOG - MINUTE),)}, "backlog"),
        ({"queues": (QueueLength("sync", 5, 1, None),)}, "given_up"),
        ({"day": (Hour(NOW, {"given_up": 1}, {}),)}, "given_up"),
    ],
)
def test_what_is_wrong_is_said_with_a_way_to_mend_it(changes: dict[str, object], code: str) -> None:
    (warning,) = find_warnings(replace(HEALTHY, **changes), CONFIGURATION)  # type: ignore[arg-type]
    assert warning.code == code
    assert warning.text.endswith(".")
    assert warning.link.startswith("/")


@pytest.mark.parametrize(
    "changes",
    [
        {"census": None},
        {"midnight": None},
        {"midnight": Progress("2026-11-23", 3, 9, NOW - 60 * MINUTE)},
        {"census": census(subscribed=0, newest_sign=None)},
        {"census": census(newest_sign=NOW - SILENCE)},
        {"queues": (QueueLength("sync", 5, 0, NOW - BACKLOG),)},
    ],
)
def test_what_is_normal_is_not_warned_of(changes: dict[str, object]) -> None:
    assert codes(replace(HEALTHY, **changes)) == []  # type: ignore[arg-type]


def test_a_warning_of_the_configuration_leads_to_its_first_missing_section() -> None:
    (warning,) = find_warnings(replace(HEALTHY, missing=("exchange.user",)), CONFIGURATION)
    assert warning.link == "/configuration/exchange"
    assert "exchange.user" in warning.text


def test_where_exchange_is_polled_notifications_are_not_missed() -> None:
    polled = ON_PREMISES.model_copy(update={"detection": Detection.POLL})
    silent = replace(HEALTHY, census=census(newest_sign=NOW - 2 * SILENCE, refused=3))
    assert codes(silent) == ["no_notifications"]
    assert codes(silent, polled) == []


def test_plain_http_is_warned_of_as_long_as_it_is_allowed() -> None:
    assert codes(HEALTHY, ON_PREMISES.model_copy(update={"allow_plain_http": True})) == ["plain_http"]


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 10, 31), ["ews_ends"]),
        (date(2026, 11, 1), ["secret_expires", "ews_ends"]),
        (date(2026, 12, 1), ["secret_expires", "ews_ends"]),
        (date(2026, 12, 2), ["secret_expired", "ews_ends"]),
        (EWS_ENDS - timedelta(days=366), []),
    ],
)
def test_the_ends_of_the_secret_and_of_ews_are_warned_of_in_time(today: date, expected: list[str]) -> None:
    at = datetime.combine(today, datetime.min.time(), UTC)
    status = replace(HEALTHY, at=at, census=None, queues=(), midnight=None, expires_on=CLOUD.expires_on)
    assert codes(status, CLOUD) == expected
    assert codes(status, ON_PREMISES) == []


class Stores:
    """All that the status is collected from; counts the requests that are under way together."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def overview(self) -> Overview:
        self.asked.append("health")
        beats = {"tick": Heartbeat("tick", NOW - 3 * MINUTE, 0.1, "")}
        beats |= {name: Heartbeat(name, NOW, 0.1, "") for name in LONGEST_SILENCE if name != "tick"}
        rounds = {"midnight": HEALTHY.midnight} if HEALTHY.midnight else {}
        return Overview({"pbx": TROUBLE}, beats, rounds, HEALTHY.census)

    async def use(self, now: datetime) -> BudgetUse:
        self.asked.append("budget")
        return HEALTHY.budget

    async def lengths(self) -> list[QueueLength]:
        self.asked.append("queues")
        return list(HEALTHY.queues)

    async def last_day(self, now: datetime) -> list[Hour]:
        self.asked.append("counters")
        return list(HEALTHY.day)


async def test_it_is_collected_from_the_stores_each_asked_once() -> None:
    stores = Stores()
    collector = StatusCollector(stores, stores, stores, stores, lambda: NOW)  # type: ignore[arg-type]
    status = await collector.collect(CONFIGURATION)
    assert sorted(stores.asked) == ["budget", "counters", "health", "queues"]
    assert status.census == HEALTHY.census
    assert status.queues == HEALTHY.queues
    assert status.midnight == HEALTHY.midnight
    assert status.troubles == {"pbx": TROUBLE}
    assert [task.name for task in status.tasks if task.overdue] == ["tick"]
    assert [warning.code for warning in status.warnings] == ["pbx_unavailable", "timer_overdue"]


async def test_that_nobody_is_replicated_while_the_service_is_disabled_is_no_delay() -> None:
    stores = Stores()
    collector = StatusCollector(stores, stores, stores, stores, lambda: NOW + timedelta(hours=2))  # type: ignore[arg-type]
    for configuration, idle in ((CONFIGURATION, set()), (Configuration(), {"directory"})):
        status = await collector.collect(configuration)
        late = {task.name for task in status.tasks if task.overdue}
        assert late == {"tick", "midnight", "upkeep", "directory"} - idle

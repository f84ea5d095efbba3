"""The edge: what the functions host reads of the app, and that it agrees with queues, times and host.json."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from cronsim import CronSim
from cryptography.fernet import Fernet

import function_app
from functions.notifications import BODY_LIMIT
from functions.services import Callbacks, Services, services
from shared.cipher import Cipher
from shared.environment import Environment
from shared.errors import InvalidSettings
from shared.state.storage import QUEUES

HOST = json.loads((Path(__file__).parents[2] / "host.json").read_text())
KEY = Fernet.generate_key().decode()
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "CALENDAR_ENCRYPTION_KEYS": KEY,
    "CALENDAR_CALLBACK_URL": "https://calendar.example.com/",
}


FUNCTIONS: dict[str, Any] = {
    str(found.get_function_name()): found for found in function_app.app.get_functions()
}
TRIGGERS: dict[str, dict[str, Any]] = {
    name: found.get_trigger().get_dict_repr() for name, found in FUNCTIONS.items()
}
"""The trigger of each function as the host gets it."""


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: trigger for name, trigger in TRIGGERS.items() if trigger["type"] == kind}


def test_garbage_is_collected_once_all_is_imported() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_every_function_is_triggered_by_a_timer_a_queue_or_http() -> None:
    assert len(of_type("timerTrigger") | of_type("queueTrigger") | of_type("httpTrigger")) == len(TRIGGERS)


def test_every_queue_is_worked_off_and_so_is_its_poison_queue() -> None:
    queues = sorted(trigger["queueName"] for trigger in of_type("queueTrigger").values())
    assert queues == sorted([*QUEUES, *(f"{name}-poison" for name in QUEUES)])
    assert {trigger["connection"] for trigger in of_type("queueTrigger").values()} == {"AzureWebJobsStorage"}


def test_timers_are_monitored_and_never_run_on_startup() -> None:
    for trigger in of_type("timerTrigger").values():
        assert trigger["useMonitor"] is True
        assert not trigger.get("runOnStartup")


@pytest.mark.parametrize(
    ("name", "minutes"),
    [("tick", 1), ("midnight", 15), ("upkeep", 5), ("directory", 60)],
)
def test_timers_run_as_often_as_they_say(name: str, minutes: int) -> None:
    seconds, expression = TRIGGERS[name]["schedule"].split(" ", 1)
    assert 0 <= int(seconds) < 60
    times = CronSim(expression, datetime(2026, 11, 22, tzinfo=UTC))
    runs = [next(times) for _ in range(50)]
    assert {later - earlier for earlier, later in pairwise(runs)} == {timedelta(minutes=minutes)}


def test_all_timers_are_known_here() -> None:
    assert set(of_type("timerTrigger")) == {"tick", "midnight", "upkeep", "directory"}


def test_the_tick_and_midnight_run_at_the_whole_minute() -> None:
    """A presence changes at a whole minute, a day at a whole quarter of an hour, in every zone."""
    assert TRIGGERS["tick"]["schedule"].startswith("0 ")
    assert TRIGGERS["midnight"]["schedule"].startswith("0 */15 ")


def test_notifications_come_without_a_key_of_the_platform() -> None:
    """Exchange can't send one; the address holds the secret."""
    trigger = TRIGGERS["notification"]
    assert trigger["route"] == "api/notifications/{guid}/{secret}"
    assert [str(getattr(method, "value", method)) for method in trigger["methods"]] == ["POST"]
    assert str(getattr(trigger["authLevel"], "value", trigger["authLevel"])).lower() == "anonymous"


def test_callback_addresses_lead_to_the_notifications() -> None:
    callbacks = Callbacks("https://calendar.example.com", Cipher([KEY]))
    guid = "a" * 32
    assert HOST["extensions"]["http"]["routePrefix"] == ""
    route = re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9a-f]+)", TRIGGERS["notification"]["route"])
    match = re.fullmatch(f"https://calendar.example.com/{route}", callbacks.address_of(guid))
    assert match is not None
    assert match["guid"] == guid
    assert callbacks.verify(guid, match["secret"])
    assert not callbacks.verify("b" * 32, match["secret"])


def test_the_queues_options_bound_what_a_killed_worker_costs() -> None:
    options = HOST["extensions"]["queues"]
    assert options["messageEncoding"] == "base64"
    assert 1 <= options["batchSize"] <= 4
    assert options["newBatchThreshold"] == 0
    assert options["visibilityTimeout"] == "00:00:30"
    assert options["maxPollingInterval"] <= "00:00:02"
    assert options["maxDequeueCount"] == 5


def test_a_replication_of_a_hundred_thousand_users_is_not_killed() -> None:
    """One row a round trip, and a PBX may be 50 ms away."""
    hours, minutes, seconds = (int(part) for part in HOST["functionTimeout"].split(":"))
    timeout = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert timeout >= 100_000 * timedelta(milliseconds=50)


def test_libraries_log_no_addresses() -> None:
    for library in ("azure", "httpx", "httpcore", "websockets"):
        assert not logging.getLogger(library).isEnabledFor(logging.INFO)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


async def test_a_loop_has_its_services_once(configured: None) -> None:
    first, second = await asyncio.gather(services(), services())
    assert first is await services()
    assert isinstance(second, Services)
    assert second is first


async def test_missing_app_settings_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*SETTINGS, "WEBSITE_HOSTNAME", "AzureWebJobsStorage__tableServiceUri"]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidSettings) as caught:
        await services()
    assert {error.field for error in caught.value.errors} == set(SETTINGS)


@pytest.mark.parametrize(
    ("secret", "body", "status"),
    [(None, b"<x/>", 404), ("right", b"no XML", 400), ("right", b" " * (BODY_LIMIT + 1), 413)],
)
async def test_what_is_no_notification_gets_an_empty_answer(
    configured: None, secret: str | None, body: bytes, status: int
) -> None:
    guid = "a" * 32
    right = Cipher(Environment.read(SETTINGS).encryption_keys).sign(guid)
    request = func.HttpRequest(
        "POST",
        "https://calendar.example.com/",
        route_params={"guid": guid, "secret": right if secret else "0" * 40},
        body=body,
    )
    answer = await FUNCTIONS["notification"].get_user_function()(request)
    assert (answer.status_code, answer.get_body()) == (status, b"")

"""Timers that have stopped are done by whatever else runs, over the functions themselves."""

from __future__ import annotations

import json
from datetime import timedelta

import azure.functions as func
import pytest

from functions.services import now, services
from shared.ews.recording import Record
from shared.state.audit import Action
from shared.state.storage import Storage
from tests.unit.test_functions import FUNCTIONS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("app_settings")]


async def take(storage: Storage) -> list[str]:
    """The timers for which messages wait."""
    return [
        json.loads(message.content)["reason"]
        async for message in storage._queue("overdue").receive_messages()
    ]


async def run(task: str) -> None:
    body = json.dumps({"users": [], "reason": task}).encode()
    await FUNCTIONS["overdue"].get_user_function()(func.QueueMessage(id="1", body=body))


async def notify(secret: str = "") -> int:
    guid = "a" * 32
    calendar = await services()
    secret = secret or calendar.callbacks.address_of(guid).rpartition("/")[2]
    request = func.HttpRequest(
        "POST", "https://calendar.example.com/", route_params={"guid": guid, "secret": secret}, body=STATUS
    )
    status: int = (await FUNCTIONS["notification"].get_user_function()(request)).status_code
    return status


STATUS = b"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"
 xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Body><m:SendNotification>
 <m:ResponseMessages><m:SendNotificationResponseMessage ResponseClass="Success">
 <m:ResponseCode>NoError</m:ResponseCode><m:Notification><t:SubscriptionId>S</t:SubscriptionId>
 <t:PreviousWatermark>W</t:PreviousWatermark><t:MoreEvents>false</t:MoreEvents>
 <t:StatusEvent><t:Watermark>W</t:Watermark></t:StatusEvent></m:Notification>
 </m:SendNotificationResponseMessage></m:ResponseMessages></m:SendNotification></s:Body></s:Envelope>"""


async def test_a_notification_starts_the_tick_and_the_tick_all_else(storage: Storage) -> None:
    assert await notify() == 200
    assert await take(storage) == ["tick"]
    await run("tick")
    assert sorted(await take(storage)) == ["midnight", "upkeep"]
    calendar = await services()
    assert (await calendar.health.heartbeat("tick")) is not None


@pytest.mark.parametrize("task", ["tick", "midnight", "upkeep"])
async def test_every_timer_can_be_done_by_a_message(task: str) -> None:
    calendar = await services()
    await run(task)
    heartbeat = await calendar.health.heartbeat(task)
    assert heartbeat is not None
    assert heartbeat.error == ""


async def test_the_upkeep_forgets_what_is_kept_for_a_time() -> None:
    calendar = await services()
    for age in (timedelta(hours=23), timedelta(hours=25)):
        await calendar.recordings.add(Record(now() - age, 0.1, "https://x", {}, "", 200, {}, "", ""))
    for days in (89, 91):
        await calendar.audit.record(Action(now() - timedelta(days=days), "Anna", f"{days} days ago"))
    await run("upkeep")
    assert [now() - record.at < timedelta(days=1) async for record in calendar.recordings.read()] == [True]
    assert [action.what for action in await calendar.audit.latest(5)] == ["89 days ago"]


async def test_a_stranger_makes_no_work_for_the_storage(storage: Storage) -> None:
    for _ in range(3):
        assert await notify("0" * 40) == 404
    assert await take(storage) == []
    assert [entity async for entity in storage.table("counters").query("PartitionKey ne ''")] == []
    assert await notify() == 200
    (counted,) = [entity async for entity in storage.table("counters").query("PartitionKey ne ''")]
    assert json.loads(counted["counts"]) == {
        "notifications_refused": 3,
        "notifications": 1,
        "unsubscribed": 1,
        "overdue": 1,
    }


async def test_a_storage_that_is_away_fails_no_work_that_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = await services()

    async def away(*_: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(calendar.health, "heartbeat", away)
    monkeypatch.setattr(calendar.counters, "put", away)
    assert await notify() == 200

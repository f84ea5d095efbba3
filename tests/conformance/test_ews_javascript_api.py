"""The simulated Exchange as ews-javascript-api sees it, a client in another language that nobody changed.

It signs in with NTLM by way of @ewsjs/xhr, and its Autodiscover asks the SOAP endpoint.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import T
from tests.unit.dev.exchange.conftest import SEED, Listener, events, listener

__all__ = ["listener"]

SCRIPT = Path(__file__).with_name("ews_javascript_client.js")
MODULES = Path(__file__).resolve().parents[2] / "dev" / "node_modules"
NODE = shutil.which("node") or ""


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    if not (MODULES / "ews-javascript-api").is_dir() or not NODE:
        pytest.skip("ews-javascript-api is not installed; `make setup` brings it")
    async with ExchangeSimulator(seed=SEED) as simulator:
        yield simulator


async def run(exchange: ExchangeSimulator, folder: Path, **wanted: Any) -> dict[str, Any]:
    """What the client found."""
    authority = folder / "ca.pem"
    authority.write_bytes(exchange.ca_pem)
    wanted = {
        "modules": str(MODULES),
        "url": exchange.ews_url,
        "user": exchange.user,
        "password": exchange.password,
        "mailbox": "anna@example.com",
        "start": "2026-11-22T00:00:00Z",
        "end": "2026-11-24T00:00:00Z",
    } | wanted
    process = await asyncio.create_subprocess_exec(
        NODE,
        str(SCRIPT),
        json.dumps(wanted),
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(authority)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result


async def test_it_reads_a_calendar_and_resolves_names(exchange: ExchangeSimulator, tmp_path: Path) -> None:
    exchange.add_appointment(
        "anna", start="2026-11-22T14:00", subject="Review & more", show_as="tentative", sensitivity="private"
    )
    exchange.add_appointment(
        "anna", start="2026-11-20T09:00", end="2026-11-20T09:15", repeat={"every": "day", "count": 10}
    )
    exchange.add_appointment("anna", start="2026-11-25T09:00")
    found = await run(
        exchange,
        tmp_path,
        names=["smtp:a.miller@example.com", "smtp:bob", "smtp:nobody@example.com"],
    )
    assert sorted(found["items"], key=lambda item: str(item["start"])) == [
        {
            "subject": None,
            "start": "2026-11-22T08:00:00.000Z",
            "end": "2026-11-22T08:15:00.000Z",
            "shown": "Busy",
            "sensitivity": "Normal",
        },
        {
            "subject": "Review & more",
            "start": "2026-11-22T13:00:00.000Z",
            "end": "2026-11-22T13:30:00.000Z",
            "shown": "Tentative",
            "sensitivity": "Private",
        },
        {
            "subject": None,
            "start": "2026-11-23T08:00:00.000Z",
            "end": "2026-11-23T08:15:00.000Z",
            "shown": "Busy",
            "sensitivity": "Normal",
        },
    ]
    assert found["names"] == [["anna@example.com"], ["bob@example.com", "bobby@example.com"], []]
    assert found["version"] == [15, 2]
    assert exchange.statistics.missing_anchors == 0
    assert exchange.statistics.sign_ins > 0


async def test_it_subscribes_to_notifications(
    exchange: ExchangeSimulator, listener: Listener, tmp_path: Path
) -> None:
    found = await run(exchange, tmp_path, callback=listener.url)
    (subscription,) = exchange.subscriptions
    assert found["subscription"]["id"] == subscription.write()["id"]
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    (notification,) = await listener.wait_for(1)
    assert events(notification) == ["CreatedEvent item", "ModifiedEvent folder"]
    assert notification.findtext(f".//{T}SubscriptionId") == found["subscription"]["id"]
    assert notification.findtext(f".//{T}PreviousWatermark") == found["subscription"]["watermark"]
    assert etree.QName(notification).localname == "Envelope"


@pytest.mark.parametrize(
    ("mailbox", "code"),
    [
        ("ceo@example.com", "ErrorImpersonateUserDenied"),
        ("nobody@example.com", "ErrorNonExistentMailbox"),
    ],
)
async def test_it_understands_a_refusal(
    exchange: ExchangeSimulator, tmp_path: Path, mailbox: str, code: str
) -> None:
    assert (await run(exchange, tmp_path, mailbox=mailbox))["code"] == code


async def test_it_is_turned_away_with_a_wrong_password(exchange: ExchangeSimulator, tmp_path: Path) -> None:
    refused = await run(exchange, tmp_path, password="wrong")
    assert "401" in refused["error"]
    assert exchange.statistics.operations == {}


def publish(exchange: ExchangeSimulator, **soap: str) -> str:
    """Publish this machine's name with autodiscover; the domain that leads there."""
    exchange.autodiscover.publish([{"host": "localhost", "pox": {"kind": "settings"}, "soap": soap}])
    return exchange.ews_url.split("/")[2]


async def test_its_autodiscover_finds_the_service(exchange: ExchangeSimulator, tmp_path: Path) -> None:
    internal = "https://mail.example.com/EWS/Exchange.asmx?a=1&b=2"
    domain = publish(exchange, kind="settings", internal=internal, external=exchange.ews_url)
    found = await run(exchange, tmp_path, domain=domain)
    assert found["error"] == "NoError"
    assert found["url"] == f"https://{domain}/autodiscover/autodiscover.svc"
    assert found["settings"]["InternalEwsUrl"] == internal
    assert found["settings"]["ExternalEwsUrl"] == exchange.ews_url
    assert "Exchange2013" in found["settings"]["EwsSupportedSchemas"]


async def test_its_autodiscover_hears_of_a_setting_that_is_missing(
    exchange: ExchangeSimulator, tmp_path: Path
) -> None:
    domain = publish(exchange, kind="settings", internal=exchange.ews_url)
    settings = (await run(exchange, tmp_path, domain=domain))["settings"]
    assert settings["InternalEwsUrl"] == exchange.ews_url
    assert "ExternalEwsUrl" not in settings


async def test_its_autodiscover_hears_that_somebody_is_unknown(
    exchange: ExchangeSimulator, tmp_path: Path
) -> None:
    domain = publish(exchange, kind="settings", internal=exchange.ews_url)
    found = await run(exchange, tmp_path, domain=domain, mailbox="nobody@example.com")
    assert found["error"] == "InvalidUser"


async def test_its_autodiscover_asks_again_where_it_is_sent(
    exchange: ExchangeSimulator, tmp_path: Path
) -> None:
    domain = exchange.ews_url.split("/")[2]
    publish(exchange, kind="redirect_url", url=f"https://{domain}/autodiscover/autodiscover.svc?hop=2")
    found = await run(exchange, tmp_path, domain=domain)
    assert found["error"]
    assert any(asked.path.endswith("?hop=2") for asked in exchange.autodiscover.asked)

"""The simulated server's throttling."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import ANNA, Client, M, T, envelope, find_item

FIND = find_item("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")
BOB = "bob@example.com"


async def ask_together(exchange: ExchangeSimulator, *mailboxes: str) -> list[httpx.Response]:
    """One request for each at the same time, on connections of their own, the first a moment ahead."""
    exchange.add_fault("delay", seconds=0.3)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(exchange)) for _ in mailboxes]
        asking = []
        for client, mailbox in zip(clients, mailboxes, strict=True):
            asking.append(asyncio.create_task(client.post(envelope(FIND, who=mailbox))))
            await asyncio.sleep(0.02)
        return await asyncio.gather(*asking)


async def test_so_many_at_a_time_in_all(exchange: ExchangeSimulator) -> None:
    exchange.set_limits(total=2)
    answers = await ask_together(exchange, ANNA, BOB, "bobby@example.com")
    assert [answer.status_code for answer in answers] == [200, 200, 500]
    assert "<e:ResponseCode" in answers[2].text
    assert "ErrorExceededConnectionCount" in answers[2].text


async def test_so_many_at_a_time_for_a_mailbox(exchange: ExchangeSimulator) -> None:
    exchange.set_limits(per_mailbox=1)
    answers = await ask_together(exchange, ANNA, BOB, ANNA)
    assert [answer.status_code for answer in answers] == [200, 200, 500]


@pytest.mark.parametrize(
    ("signal", "status", "words"),
    [
        ({"kind": "status", "status": 503}, 503, ["HTTP Error 503"]),
        ({"kind": "status", "status": 503, "retry_after": 7}, 503, ["HTTP Error 503"]),
        (
            {"kind": "soap", "code": "ErrorServerBusy", "back_off": 5000},
            500,
            ["ErrorServerBusy", f'<t:MessageXml xmlns:t="{T[1:-1]}"', '"BackOffMilliseconds">5000<'],
        ),
        ({"kind": "response", "code": "ErrorServerBusy"}, 200, ["<m:ResponseCode>ErrorServerBusy<"]),
        (
            {"kind": "response", "code": "ErrorInternalServerError", "inner_code": "ErrorServerBusy"},
            200,
            ["<m:ResponseCode>ErrorInternalServerError<", '"InnerErrorResponseCode">ErrorServerBusy<'],
        ),
        *(
            ({"kind": kind, "code": code}, status, [code])
            for code in (
                "ErrorExceededConnectionCount",
                "ErrorTooManyObjectsOpened",
                "ErrorExceededSubscriptionCount",
            )
            for kind, status in (("soap", 500), ("response", 200))
        ),
    ],
)
async def test_every_busy_signal(
    exchange: ExchangeSimulator, signal: dict[str, Any], status: int, words: list[str]
) -> None:
    async with httpx.AsyncClient() as control:
        answer = await control.put(f"{exchange.control_url}/limits", json={"total": 1, "signal": signal})
        assert answer.json()["total"] == 1
    async with Client(exchange) as client:
        assert M[1:-1] in (await client.post(envelope(FIND))).text
    (_, refused) = await ask_together(exchange, ANNA, BOB)
    assert refused.status_code == status
    assert [word for word in words if word not in refused.text] == []
    retry_after = signal.get("retry_after")
    assert refused.headers.get("Retry-After") == (str(retry_after) if retry_after else None)


@pytest.mark.parametrize(
    "signal",
    [
        {"kind": "status", "status": 503, "retry_after": 2},
        {"kind": "soap", "code": "ErrorServerBusy", "back_off": 1500},
    ],
)
async def test_counts_who_comes_before_the_time_that_was_named(
    exchange: ExchangeSimulator, signal: dict[str, Any]
) -> None:
    counts = []
    async with Client(exchange) as client:
        exchange.add_fault(times=1, **signal)
        for pause in (0.0, 0.2, 0.6, 1.5):
            await asyncio.sleep(pause)
            await client.post(envelope(FIND, who=BOB))
            counts.append(exchange.statistics.premature)
    assert counts == [0, 0, 1, 1], "the one that was told, one on its way, one too early, one after the pause"


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"signal": {"kind": "hang"}}, "signal: 'hang'"),
        ({"signal": {"kind": "meteor"}}, "kind: 'meteor'"),
        ({"total": "many"}, "total: 'many'"),
        ({"per_mailbox": 0}, "per_mailbox: 0"),
        ({"colour": 1}, "limits: "),
    ],
)
def test_unknown_limits_are_named(limits: dict[str, Any], fault: str) -> None:
    exchange = ExchangeSimulator()
    with pytest.raises(ValueError, match=fault):
        exchange.set_limits(**limits)

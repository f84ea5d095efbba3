"""Faults by the script."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from lxml import etree

from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import ANNA, Client, M, T, code, envelope, find_item, get_item

FIND = find_item("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")
BOB = "bob@example.com"


@pytest.fixture
async def client(exchange: ExchangeSimulator) -> AsyncIterator[Client]:
    async with Client(exchange) as connected:
        yield connected


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_status(exchange: ExchangeSimulator, client: Client, status: int) -> None:
    exchange.add_fault("status", status=status, retry_after=7)
    response = await client.post(envelope(FIND))
    assert response.status_code == status
    assert response.headers["Retry-After"] == "7"
    assert response.headers["Content-Type"].startswith("text/html")


async def test_a_scripted_401_offers_no_challenge(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("status", status=401)
    response = await client.negotiate()
    assert response.status_code == 401
    assert response.headers.get_list("WWW-Authenticate") == ["NTLM", "Negotiate"]


async def test_a_login_page(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("login_page")
    response = await client.post(envelope(FIND))
    assert response.status_code == 200
    assert response.text.startswith("<!DOCTYPE html>")


async def test_a_closed_connection(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("close", times=1)
    with pytest.raises(httpx.TransportError):
        await client.post(envelope(FIND))


async def test_no_answer(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("hang", mailbox=ANNA)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.post(envelope(FIND))


async def test_a_soap_fault_with_a_pause(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("soap", code="ErrorServerBusy", back_off=5000)
    response = await client.post(envelope(FIND))
    assert response.status_code == 500
    answer = etree.fromstring(response.content)
    assert code(answer) == "ErrorServerBusy"
    value = answer.find(f".//detail/{T}MessageXml/{T}Value")
    assert value is not None
    assert (value.get("Name"), value.text) == ("BackOffMilliseconds", "5000")


async def test_a_response_message_with_an_inner_code(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("response", code="ErrorInternalServerError", inner_code="ErrorServerBusy")
    response = await client.post(envelope(FIND))
    assert response.status_code == 200
    answer = etree.fromstring(response.content)
    assert code(answer) == "ErrorInternalServerError"
    value = answer.find(f".//{M}MessageXml/{T}Value")
    assert value is not None
    assert (value.get("Name"), value.text) == ("InnerErrorResponseCode", "ErrorServerBusy")


async def test_half_an_envelope(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("broken")
    response = await client.post(envelope(FIND))
    assert response.status_code == 200
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(response.content)


async def test_forbidden_characters(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_appointment("anna", start="2026-11-23T10:00", subject="Review")
    exchange.add_fault("illegal")
    response = await client.post(envelope(FIND))
    assert "Review&#x1F;&#x0B;</t:Subject>" in response.text


async def test_a_delay_gives_the_right_answer_late(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("delay", seconds=0.2)
    begun = asyncio.get_running_loop().time()
    assert code(await client.ask(FIND)) == "NoError"
    assert asyncio.get_running_loop().time() - begun > 0.19


async def test_a_fault_of_a_mailbox_or_operation_spares_the_others(
    exchange: ExchangeSimulator, client: Client
) -> None:
    exchange.add_fault(
        "response", mailbox="Anna@example.com", operation="FindItem", code="ErrorMailboxMoveInProgress"
    )
    assert code(await client.ask(FIND)) == "ErrorMailboxMoveInProgress"
    assert code(await client.ask(FIND, who=BOB)) == "NoError"
    assert code(await client.ask(get_item("AAMk"))) == "ErrorInvalidIdMalformed"


async def test_a_fault_lasts_so_many_times_or_until_it_is_removed(
    exchange: ExchangeSimulator, client: Client
) -> None:
    exchange.add_fault("soap", code="ErrorServerBusy", times=2)
    assert [code(await client.ask(FIND)) for _ in range(3)] == ["ErrorServerBusy"] * 2 + ["NoError"]
    exchange.add_fault("soap", code="ErrorServerBusy")
    assert [code(await client.ask(FIND)) for _ in range(3)] == ["ErrorServerBusy"] * 3
    exchange.remove_faults()
    assert code(await client.ask(FIND)) == "NoError"
    assert exchange.statistics.faults == {"soap": 5}
    assert exchange.statistics.codes == {"ErrorServerBusy": 5}


async def test_faults_strike_one_after_the_other(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_fault("soap", code="ErrorServerBusy", times=1)
    exchange.add_fault("response", code="ErrorMailboxFailover", times=1)
    codes = [code(await client.ask(FIND)) for _ in range(3)]
    assert codes == ["ErrorServerBusy", "ErrorMailboxFailover", "NoError"]


async def test_too_many_requests_for_one_mailbox_exceed_its_budget(exchange: ExchangeSimulator) -> None:
    exchange.add_fault("delay", seconds=1)
    clients = [Client(exchange) for _ in range(29)]
    for client in clients:
        await client.__aenter__()
    answers = await asyncio.gather(*(client.ask(FIND) for client in clients))
    for client in clients:
        await client.__aexit__(None, None, None)
    assert Counter(map(code, answers)) == {"ErrorExceededConnectionCount": 2, "NoError": 27}
    assert exchange.statistics.max_concurrent_of_one_mailbox == exchange.statistics.max_concurrent > 27


@pytest.mark.parametrize(
    ("fault", "complaint"), [({"kind": "meteor"}, "meteor"), ({"kind": "soap", "colour": 1}, "colour")]
)
def test_unknown_faults_are_named(fault: dict[str, object], complaint: str) -> None:
    exchange = ExchangeSimulator()
    with pytest.raises(ValueError, match=complaint):
        exchange.add_fault(**fault)  # type: ignore[arg-type]

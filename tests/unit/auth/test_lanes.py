"""Connections that are replaced after so many requests."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from shared.auth.bearer import BearerTransport
from shared.auth.clouds import Cloud
from shared.auth.lanes import Lanes
from shared.ews.transport import tls_context
from tests.unit.auth.test_bearer import Exchange, Tokens


class Connections:
    """Those that were made."""

    def __init__(self) -> None:
        self.made: list[httpx.AsyncClient] = []

    def __call__(self) -> httpx.AsyncClient:
        self.made.append(httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))))
        return self.made[-1]

    @property
    def open(self) -> int:
        return sum(not client.is_closed for client in self.made)


async def test_a_connection_is_replaced_after_so_many_requests() -> None:
    connections = Connections()
    lanes = Lanes(connections, 1, most=3)
    used = []
    for _ in range(7):
        async with lanes.take() as lane:
            used.append(connections.made.index(lane.client))
    assert used == [0, 0, 0, 1, 1, 1, 2]
    assert connections.open == 1
    await lanes.aclose()
    assert connections.open == 0


async def test_a_new_connection_is_not_signed_in() -> None:
    lanes = Lanes(Connections(), 1, most=1)
    async with lanes.take() as lane:
        lane.warm = True
    async with lanes.take() as lane:
        assert not lane.warm
    await lanes.aclose()


async def test_each_connection_has_one_request_at_a_time_and_the_last_is_taken_first() -> None:
    connections = Connections()
    lanes = Lanes(connections, 2)
    async with lanes.take() as first, lanes.take() as second:
        assert first is not second
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), lanes.take():
                pass
    async with lanes.take() as again:
        assert again is first, "given back last"
    await lanes.aclose()


async def test_a_request_that_failed_counts_and_gives_its_lane_back() -> None:
    connections = Connections()
    lanes = Lanes(connections, 1, most=1)
    with pytest.raises(ValueError, match="broken"):
        async with lanes.take():
            raise ValueError("broken")
    async with lanes.take() as lane:
        assert lane.client is connections.made[1]
    await lanes.aclose()


async def test_the_token_goes_over_connections_that_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[httpx.AsyncClient] = []
    connect = httpx.AsyncClient.__init__

    def count(self: httpx.AsyncClient, **options: object) -> None:
        made.append(self)
        connect(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx.AsyncClient, "__init__", count)
    exchange, url = Exchange(), Cloud.WORLDWIDE.ews_url
    transport = BearerTransport(
        Tokens(),
        tls_context(),
        [url],
        connections=1,
        most_requests=2,
        transport=httpx.MockTransport(exchange),
    )
    for _ in range(5):
        assert (await transport.post(url, {}, b"<q/>")).status == 200
    assert (len(exchange.requests), len(made)) == (5, 3)
    await transport.aclose()
    assert all(client.is_closed for client in made)

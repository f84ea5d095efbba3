"""The simulator's host names: real names and TLS for the client, all served by one process on free ports."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx

from dev.exchange import ExchangeSimulator


class Names(httpcore.AsyncNetworkBackend):
    """Leads the published names to the simulator, and no other name anywhere.

    ``connected`` remembers them.
    """

    def __init__(self, exchange: ExchangeSimulator) -> None:
        self._exchange = exchange
        self._real = httpcore.AnyIOBackend()
        self.connected: list[tuple[str, str]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        scheme = {443: "https", 80: "http"}[port]
        if self._exchange.autodiscover.find(scheme, host) is None:
            raise httpcore.ConnectError("no such host")
        self.connected.append((scheme, host))
        return await self._real.connect_tcp(
            "127.0.0.1", self._exchange.ports[scheme], timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)


def connect(exchange: ExchangeSimulator, names: Names | None = None) -> httpx.AsyncHTTPTransport:
    """A transport with one connection, for which the simulator's sites are the whole net."""
    context = ssl.create_default_context(cadata=exchange.ca_pem.decode())
    transport = httpx.AsyncHTTPTransport(verify=False)  # this pool is not used
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=context, max_connections=1, network_backend=names or Names(exchange)
    )
    return transport


def settings(**reply: str) -> Mapping[str, str]:
    """A POX reply with settings."""
    return {"kind": "settings", **reply}

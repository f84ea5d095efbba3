"""The I/O of the search for a mailbox's Exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from shared.auth.ntlm import NtlmLanes
from shared.errors import ExchangeError, SignInRefused
from shared.ews.discovery import Found, Kind, Search
from shared.ews.transport import Answer, Transport, open_client, send, tls_context

type Connect = Callable[[], httpx.AsyncBaseTransport | None]
"""Makes an httpx transport: a test double, or None for the real one."""

_POX_HEADERS = {
    "content-type": "text/xml; charset=utf-8",
    "x-clientcanhandle": "ExHttpInfo",  # else the protocol EXHTTP is kept back
}


async def discover(search: Search, transport: Transport, client: httpx.AsyncClient) -> Found:
    """Carry the search through: POX by way of ``transport``, which signs in, the rest with ``client``.

    Raises the search's error where nothing was found; ``search.steps`` then tells why.
    """
    while (ask := search.next()) is not None:
        try:
            if ask.kind is Kind.POX:
                answer = await transport.post(ask.url, _POX_HEADERS, ask.body)
            else:
                answer = await send(client, ask.url, {}, b"", method="GET")
        except ExchangeError as error:
            search.fail(error)
        else:
            search.answer(answer.status, answer.headers, answer.body)
    if search.error is not None:
        raise search.error
    assert search.found is not None
    return search.found


class Nobody:
    """A transport for who has no account: nothing is sent."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Refuse."""
        raise SignInRefused("NoPassword", "Without a password this is not asked.")

    async def aclose(self) -> None:
        """Nothing is open."""


async def explore(
    user: str, password: str, *, authority: str, internal: bool, connect: Connect = lambda: None
) -> Search:
    """Search the Exchange of the address ``user``, who signs in with NTLM; without a password nobody does.

    ``authority`` is one to trust besides the well-known ones (PEM). Raises SettingsError for one that is
    none, MailboxError for an impossible address; whether anything was found is in the search.
    """
    search = Search(user, internal=internal)
    tls = tls_context(authority)
    transport = NtlmLanes(user, password, tls, lanes=1, connect=connect) if password else Nobody()
    try:
        async with open_client(tls, connections=1, transport=connect()) as client:
            await discover(search, transport, client)
    except ExchangeError:
        return search
    finally:
        await transport.aclose()
    return search

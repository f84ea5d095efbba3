"""The I/O of the search for a mailbox's Exchange."""

from __future__ import annotations

import httpx

from shared.errors import ExchangeError
from shared.ews.discovery import Found, Kind, Search
from shared.ews.transport import Transport, send

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

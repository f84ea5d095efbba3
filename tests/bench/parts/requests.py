"""The requests of this process to the storage account: counted, or kept and sent again by a bare client."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from yarl import URL

_CONDITION = re.compile(rb"If-Match: W/[^\r\n]+")


def kind_of(method: str, url: str) -> str:
    """What a request is: a transaction, a read or a write of a table, or an operation of a queue."""
    if "/$batch" in url:
        return "transaction"
    if "/messages" in url or "comp=metadata" in url:
        return "queue"
    return "read" if method == "GET" else "write"


class Requests:
    """Counts what is sent while it is asked to, and keeps what is said to tables."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: list[tuple[str, str, dict[str, str], bytes]] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the requests that are sent inside."""
        send = AioHttpTransport.send

        async def counting(transport: AioHttpTransport, request: Any, **options: Any) -> Any:
            kind = kind_of(request.method, request.url)
            self.counts[kind] += 1
            if kind != "queue":
                content = request.content or b""
                body = content if isinstance(content, bytes) else str(content).encode()
                self._kept.append((request.method, request.url, dict(request.headers), body))
            return await send(transport, request, **options)

        AioHttpTransport.send = counting
        try:
            yield
        finally:
            AioHttpTransport.send = send

    async def send_bare(self) -> float:
        """Say to the tables what was kept, one after the other; the seconds that takes.

        The same signatures hold for a quarter of an hour. No record is what it was, so that conditions are
        left out: the emulator does the same work without them.
        """
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            began = perf_counter()
            for method, url, headers, body in self._kept:
                sent = {name: value for name, value in headers.items() if name != "Content-Length"}
                if "If-Match" in sent:
                    sent["If-Match"] = "*"
                unconditional = _CONDITION.sub(rb"If-Match: *", body)
                async with session.request(
                    method, URL(url, encoded=True), headers=sent, data=unconditional or None
                ) as answer:
                    said = await answer.read()
                    # That a record is not there, or there already, was the first answer too.
                    if (answer.status >= 400 and answer.status not in (404, 409)) or b"HTTP/1.1 4" in said:
                        raise SystemExit(f"the storage refused a repeated request: {answer.status}")
            return perf_counter() - began

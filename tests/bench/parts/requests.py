"""The requests of this process to the storage account, by kind, as they go over the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport


def kind_of(method: str, url: str) -> str:
    """What a request is: a transaction, a read or a write of a table, or an operation of a queue."""
    if "/$batch" in url:
        return "transaction"
    if "/messages" in url or "comp=metadata" in url:
        return "queue"
    return "read" if method == "GET" else "write"


class Requests:
    """Counts what is sent while it is asked to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the requests that are sent inside."""
        send = AioHttpTransport.send

        async def counting(transport: AioHttpTransport, request: Any, **options: Any) -> Any:
            self.counts[kind_of(request.method, request.url)] += 1
            return await send(transport, request, **options)

        AioHttpTransport.send = counting
        try:
            yield
        finally:
            AioHttpTransport.send = send

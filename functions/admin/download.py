"""A file to be taken away, sent while its lines are made (docs/adr/0012-streams.md)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse

_PART = 64 * 1024
"""Characters after which a part of the file is sent."""


async def send_file(name: str, media_type: str, lines: AsyncIterator[str]) -> Response:
    """The file of these lines. Raises what they raise before the first part is full."""
    parts = _gather(lines)
    # Where the storage fails at once, that can still be said instead.
    first = await anext(parts)

    async def send() -> AsyncIterator[str]:
        yield first
        async for part in parts:
            yield part

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(send(), media_type=media_type, headers=headers)


async def _gather(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    text = io.StringIO()
    async for line in lines:
        text.write(line)
        if text.tell() >= _PART:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()

"""A transport that has what passes through it recorded, for as long as that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.errors import ExchangeError
from shared.ews.recording import Record, redact_body, redact_headers, redact_url
from shared.ews.transport import Answer, Transport

_log = logging.getLogger(__name__)

LASTS = timedelta(hours=1)
"""How long recording goes on where nobody chose another time."""


class Recordings(Protocol):
    """Where records are kept."""

    async def add(self, record: Record) -> None:
        """Keep one more."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Passes requests on, and until ``until`` keeps a redacted record of each in ``kept``.

    With ``subjects`` those are kept too. A record that can't be kept disturbs nobody.
    """

    transport: Transport
    kept: Recordings
    clock: Callable[[], datetime]
    until: datetime
    subjects: bool = False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request. Raises what the transport raises."""
        begun = self.clock()
        if begun >= self.until:
            return await self.transport.post(url, headers, body)
        try:
            answer = await self.transport.post(url, headers, body)
        except ExchangeError as error:
            await self._keep(begun, url, headers, body, None, error.code)
            raise
        await self._keep(begun, url, headers, body, answer, "")
        return answer

    async def _keep(
        self,
        begun: datetime,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        answer: Answer | None,
        error: str,
    ) -> None:
        try:
            await self.kept.add(
                Record(
                    begun,
                    (self.clock() - begun).total_seconds(),
                    redact_url(url),
                    redact_headers(headers),
                    redact_body(body, subjects=self.subjects),
                    answer.status if answer else 0,
                    redact_headers(answer.headers) if answer else {},
                    redact_body(answer.body, subjects=self.subjects) if answer else "",
                    error,
                )
            )
        except Exception as failure:
            _log.warning("not recorded", extra={"reason": type(failure).__name__})

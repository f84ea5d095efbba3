"""Refusals as Entra ID writes them.

Source: *Microsoft Entra authentication and authorization error codes*.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from aiohttp import web


class Refused(Exception):
    """A request is refused with OAuth's word and the number of Entra ID's own code."""

    def __init__(
        self, error: str, code: int, text: str, *, status: int = 400, suberror: str = "", retry_after: int = 0
    ) -> None:
        super().__init__(text)
        self.error = error
        self.code = code
        self.text = text
        self.status = status
        self.suberror = suberror
        self.retry_after = retry_after

    @property
    def description(self) -> str:
        return f"AADSTS{self.code}: {self.text}"

    def response(self) -> web.Response:
        """The answer of the token endpoint."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        timestamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        body = {
            "error": self.error,
            "error_description": f"{self.description} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {timestamp}",
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }
        if self.suberror:
            body["suberror"] = self.suberror
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return web.json_response(body, status=self.status, headers=headers)


def unknown_tenant(name: str) -> Refused:
    return Refused(
        "invalid_tenant",
        90002,
        f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into "
        "the correct cloud.",
    )


def unknown_application(client_id: str) -> Refused:
    return Refused(
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory.",
    )


def invalid_client(code: int, text: str) -> Refused:
    return Refused("invalid_client", code, text, status=401)


def invalid_grant(code: int, text: str, suberror: str = "") -> Refused:
    return Refused("invalid_grant", code, text, suberror=suberror)

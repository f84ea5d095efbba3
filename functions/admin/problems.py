"""What goes wrong, said to a script as problem details and to a person as a page.

Source: RFC 9457, *Problem Details for HTTP APIs*.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from functions.admin.rendering import Renderer
from shared.errors import (
    CalendarError,
    ExchangeError,
    InvalidSettings,
    OutdatedSettings,
    PbxError,
    SettingsError,
    StateConflict,
)

_log = logging.getLogger(__name__)

API = "/api/"

_TEXTS = {
    401: "Sign in first. Scripts send an access token: Authorization: Bearer …",
    403: "You may not do this.",
    404: "There is nothing at this address.",
    405: "This cannot be done at this address.",
    413: "That is too much at once.",
    500: "This should not have happened. It is in the log.",
}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault of the input: the field's name, what is wrong with it, and what to do."""

    field: str
    fault: str
    remedy: str

    @classmethod
    def of(cls, error: SettingsError) -> FieldFault:
        return cls(error.field, error.fault, error.remedy)


class Problem(Exception):
    """What to answer in place of what was asked for."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        errors: Iterable[FieldFault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail or _TEXTS.get(status, "")
        self.errors = tuple(errors)
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The problem details."""
        errors = [{"field": e.field, "fault": e.fault, "remedy": e.remedy} for e in self.errors]
        details = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return {**details, **({"errors": errors} if errors else {})}


def problem_of(error: Exception) -> Problem:
    """What to say about an error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OutdatedSettings):
        detail = "Stored settings are not acceptable to this version, and nothing works. Enter them again."
        return Problem(503, detail, errors=map(FieldFault.of, error.errors))
    if isinstance(error, InvalidSettings):
        return Problem(422, "Nothing was saved.", errors=map(FieldFault.of, error.errors))
    if isinstance(error, SettingsError):
        return Problem(422, "Nothing was saved.", errors=[FieldFault.of(error)])
    if isinstance(error, StateConflict):
        return Problem(412, "Somebody else changed it meanwhile. Read it again.")
    if isinstance(error, ExchangeError | PbxError):
        return Problem(502, str(error))
    if isinstance(error, CalendarError):
        return Problem(500, str(error))
    if isinstance(error, RequestValidationError):
        return Problem(422, "The request does not fit.", errors=map(_field_fault, error.errors()))
    if isinstance(error, HTTPException):
        return Problem(error.status_code, headers=dict(error.headers or {}))
    return Problem(500)


def _field_fault(found: dict[str, Any]) -> FieldFault:
    path = [str(part) for part in found["loc"]]
    # The first part says where it stood: in the address, the body, a header.
    name = ".".join(path[1:]) or path[0]
    return FieldFault(name, str(found["msg"]), "Correct the value.")


async def answer(request: Request, problem: Problem) -> Response:
    """A problem as the caller reads it."""
    if request.url.path.startswith(API):
        return JSONResponse(
            problem.body(), problem.status, problem.headers, media_type="application/problem+json"
        )
    renderer: Renderer = request.app.state.renderer
    return await renderer.page(
        request, "problem.html", status=problem.status, headers=problem.headers, problem=problem
    )


def register(app: FastAPI) -> None:
    """Answer every error of the application."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status >= 500:
            _log.error("request failed", extra={"code": type(error).__name__}, exc_info=error)
        return await answer(request, problem)

    for kind in (Problem, CalendarError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)

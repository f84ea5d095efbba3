"""What routes ask for: who acts, the service, pages, and the list of what was done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from functions.admin.rendering import Renderer
from functions.admin.session import Administrator
from functions.services import Services
from shared.state.audit import Action

type Record = Callable[[str, str], Awaitable[None]]
"""Writes down what the administrator did, in a word or two, and what it concerned."""


def _calendar(request: Request) -> Services:
    calendar: Services = request.app.state.calendar
    return calendar


def _renderer(request: Request) -> Renderer:
    renderer: Renderer = request.app.state.renderer
    return renderer


def _who(request: Request) -> Administrator:
    who: Administrator = request.state.administrator
    return who


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.now()
    return now


def _record(request: Request) -> Record:
    async def record(what: str, about: str) -> None:
        action = Action(_now(request), _who(request).name, what, about)
        await _calendar(request).audit.record(action)
        request.state.recorded = True

    return record


Calendar = Annotated[Services, Depends(_calendar)]
Pages = Annotated[Renderer, Depends(_renderer)]
Who = Annotated[Administrator, Depends(_who)]
Now = Annotated[datetime, Depends(_now)]
Recording = Annotated[Record, Depends(_record)]

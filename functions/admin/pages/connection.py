"""Test connection: begin a test with saved or unsaved settings, and follow its steps."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from functions.admin.context import Calendar, Now, Pages, Recording
from functions.admin.pages.configuration import TABS
from functions.admin.pages.forms import QUESTIONS, read_form
from functions.admin.problems import FieldFault
from functions.admin.rendering import Renderer
from functions.admin.trial import System, begin_trial, describe_trial, find_trial
from shared.errors import InvalidSettings
from shared.sync.checking import Check, Outcome

router = APIRouter(include_in_schema=False)

_HERE = "/configuration/test"
_BOTH = (System.EXCHANGE, System.PBX)
_OVER = frozenset(Outcome) - {Outcome.WAITING, Outcome.RUNNING}


@router.get(_HERE)
async def ask(request: Request, pages: Pages) -> Response:
    """What to test, with the saved settings."""
    return await _form(request, pages, "", "")


@router.post(_HERE)
async def begin(request: Request, pages: Pages, calendar: Calendar, record: Recording) -> Response:
    """Test with the saved settings."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    mailbox, wish = form.get("mailbox", ""), form.get("systems", "")
    systems = (System(wish),) if wish in set(System) else _BOTH
    try:
        identity = await begin_trial(calendar, systems, {}, mailbox)
    except InvalidSettings as error:
        return await _form(request, pages, mailbox, wish, error)
    await record("tested the connection", describe_trial(systems, {}, mailbox))
    return RedirectResponse(f"{_HERE}/{identity}", 303)


@router.post("/configuration/{system}/test")
async def begin_unsaved(
    request: Request, system: System, pages: Pages, calendar: Calendar, record: Recording, now: Now
) -> Response:
    """Test what stands in a form of the configuration; with script the steps come into its page."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    mailbox = form.get("mailbox", "")
    in_page = "hx-request" in request.headers
    try:
        section = (await calendar.config.load_section(system)).section
        unsaved = {system: read_form(system, form, section)}
        identity = await begin_trial(calendar, [system], unsaved, mailbox)
    except InvalidSettings as error:
        if not in_page:
            return await _form(request, pages, mailbox, system, error)
        names = _names(system)
        return await pages.page(request, "trial_refused.html", status=422, faults=_faults(error), names=names)
    await record("tested the connection", describe_trial([system], unsaved, mailbox))
    if in_page:
        check = await find_trial(calendar, identity, now)
        return await pages.page(request, "trial_part.html", **_describe(check))
    return RedirectResponse(f"{_HERE}/{identity}", 303)


@router.get(_HERE + "/{identity}")
async def show(request: Request, identity: str, pages: Pages, calendar: Calendar, now: Now) -> Response:
    """The steps as far as they have come."""
    check = await find_trial(calendar, identity, now)
    return await pages.page(request, "trial.html", tabs=TABS, **_describe(check))


@router.get(_HERE + "/{identity}/steps")
async def follow(
    request: Request, identity: str, pages: Pages, calendar: Calendar, now: Now, seen: str = ""
) -> Response:
    """The steps for a page that shows them already, or nothing while it shows how they are."""
    described = _describe(await find_trial(calendar, identity, now))
    if described["mark"] == seen:
        return Response(status_code=204)
    return await pages.page(request, "trial_part.html", **described)


async def _form(
    request: Request, pages: Renderer, mailbox: str, wish: str, error: InvalidSettings | None = None
) -> Response:
    return await pages.page(
        request,
        "test.html",
        status=422 if error else 200,
        tabs=TABS,
        mailbox=mailbox,
        wish=wish,
        faults=_faults(error) if error else [],
        names=_names(System(wish)) if wish in set(System) else {"mailbox": "Mailbox to try"},
    )


def _faults(error: InvalidSettings) -> list[FieldFault]:
    """With the names that fields have in the forms, which are those of the sections without its name."""
    return [FieldFault(each.field.rpartition(".")[2], each.fault, each.remedy) for each in error.errors]


def _names(system: System) -> Mapping[str, str]:
    return {question.name: question.label for question in QUESTIONS[system]} | {"mailbox": "Mailbox to try"}


def _describe(check: Check) -> dict[str, Any]:
    """What the templates need; ``mark`` differs where anything does."""
    titles = {"exchange": "Exchange", "pbx": "PBX"}
    groups = {
        title: steps
        for name, title in titles.items()
        if (steps := [step for step in check.steps if step.name.startswith(f"{name}.")])
    }
    return {
        "check": check,
        "groups": groups,
        "ended": sum(step.outcome in _OVER for step in check.steps),
        "failed": sum(step.outcome is Outcome.FAILED for step in check.steps),
        "warned": sum(step.outcome is Outcome.WARNING for step in check.steps),
        "mark": sha256(repr((check.steps, check.done)).encode()).hexdigest()[:16],
    }

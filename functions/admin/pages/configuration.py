"""The configuration: three forms, and what a note looks like under the rules as they are being entered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from functions.admin.api.configuration import SectionName, describe_changes
from functions.admin.api.conventions import decode_etag, write_etag
from functions.admin.context import Calendar, Now, Pages, Recording, Who
from functions.admin.delegation import Delegation, describe_delegation
from functions.admin.pages.forms import QUESTIONS, fill, read_form
from functions.admin.pages.locales import zones
from functions.admin.problems import FieldFault
from functions.admin.rendering import Renderer
from functions.admin.sample import Moment, try_rules
from functions.services import Services
from shared.errors import InvalidSettings, SettingsError, StateConflict
from shared.settings import ExchangeSettings, PresenceSettings, SyncType, parse_section, secret_fields
from shared.sync.configuring import Stored

router = APIRouter(include_in_schema=False)

TITLES = {"pbx": "PBX", "exchange": "Exchange", "presence": "Presence and mapping"}
TABS = TITLES | {"test": "Test connection"}

_UNDECIDED = SettingsError(
    "presence.show_subject", "is not decided yet", "Choose whether subjects show to everybody."
)


@router.get("/configuration")
async def begin() -> Response:
    """The first part."""
    return RedirectResponse("/configuration/pbx", 303)


@router.get("/configuration/{section}")
async def show(
    request: Request,
    section: SectionName,
    pages: Pages,
    calendar: Calendar,
    now: Now,
    saved: bool = False,
    sign_in: str = "",
) -> Response:
    """One part as it is stored."""
    stored = await calendar.config.load_section(section)
    answers = fill(section, stored.section)
    if section is SectionName.PRESENCE and not stored.etag:
        answers["show_subject"] = ""
    delegation = await _delegation(section, calendar)
    return await _form(
        request,
        pages,
        section,
        stored,
        answers,
        now,
        delegation,
        faults=stored.faults,
        saved=saved,
        sign_in=sign_in,
    )


@router.post("/configuration/{section}")
async def save(
    request: Request,
    section: SectionName,
    pages: Pages,
    calendar: Calendar,
    record: Recording,
    who: Who,
    now: Now,
) -> Response:
    """Check and save; or say beside each field what is wrong, with everything that was entered."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    former = await calendar.config.load_section(section)
    values = read_form(section, form, former.section)
    delegation = await _delegation(section, calendar)
    try:
        if section is SectionName.PRESENCE and not form.get("show_subject"):
            raise InvalidSettings([_UNDECIDED, *_find_faults(section, values)])
        version = decode_etag(form.get("version", ""))
        stored = await calendar.configurator().save(section, values, version, who.name)
    except InvalidSettings as error:
        return await _form(
            request, pages, section, former, form, now, delegation, faults=error.errors, refused=True
        )
    except StateConflict:
        return await _form(request, pages, section, former, form, now, delegation, conflict=True)
    await record("saved the configuration", describe_changes(section, former, stored))
    return RedirectResponse(f"/configuration/{section}?saved=true", 303)


@router.post("/configuration/presence/preview")
async def preview(request: Request, pages: Pages, now: Now) -> Response:
    """A sample day under the rules that the form holds at this moment; nothing is saved."""
    request.state.recorded = True
    form = {name: str(value) for name, value in (await request.form()).items()}
    return await pages.page(request, "preview.html", sample=_try_sample(form, now))


def _find_faults(section: str, values: Mapping[str, Any]) -> Sequence[SettingsError]:
    try:
        parse_section(section, values)
    except InvalidSettings as error:
        return error.errors
    return ()


async def _form(
    request: Request,
    pages: Renderer,
    section: SectionName,
    stored: Stored,
    answers: Mapping[str, str],
    now: datetime,
    delegation: Delegation | None,
    *,
    faults: Sequence[SettingsError] = (),
    refused: bool = False,
    conflict: bool = False,
    saved: bool = False,
    sign_in: str = "",
) -> Response:
    errors = {
        error.field.removeprefix(f"{section}."): FieldFault(
            error.field.removeprefix(f"{section}."), error.fault, error.remedy
        )
        for error in faults
    }
    # Secrets are not sent back: who enters one that is not saved has to do so again, and is told until then.
    dropped = {name for name in secret_fields(section) if answers.get(name) or answers.get(f"{name}.dropped")}
    for name in dropped:
        errors.setdefault(name, FieldFault(name, "was not kept, as nothing was saved", "Enter it again."))
    return await pages.page(
        request,
        "configuration.html",
        status=422 if refused else 409 if conflict else 200,
        section=str(section),
        titles=TITLES,
        tabs=TABS,
        delegation=delegation,
        sign_in_done=sign_in,
        questions=QUESTIONS[section],
        answers=answers,
        errors=errors,
        dropped=dropped,
        names={question.name: question.label for question in QUESTIONS[section]},
        stored=stored,
        version=write_etag(stored.etag).strip('"'),
        choices=_choices(stored),
        zones=zones() if section is SectionName.PRESENCE else (),
        sample=_try_sample(answers, now) if section is SectionName.PRESENCE else None,
        refused=refused,
        conflict=conflict,
        saved=saved,
    )


async def _delegation(section: SectionName, calendar: Services) -> Delegation | None:
    return await describe_delegation(calendar) if section is SectionName.EXCHANGE else None


def _choices(stored: Stored) -> dict[str, Any]:
    """Choices that depend on what is stored: a sync type leads to *disabled* only, and from there to any."""
    section = stored.section
    if isinstance(section, PresenceSettings) and not stored.etag:
        return {"show_subject": [("", "Please choose")]}
    if isinstance(section, ExchangeSettings) and section.sync_type is not SyncType.DISABLED:
        return {"sync_type": {SyncType.DISABLED, section.sync_type}}
    return {}


def _try_sample(answers: Mapping[str, str], now: datetime) -> list[Moment] | None:
    """The sample day, or None while the rules are not acceptable."""
    try:
        return try_rules(read_form("presence", answers, PresenceSettings()), now)
    except InvalidSettings:
        return None

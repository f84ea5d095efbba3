"""A test of the connection as the pages and the API begin it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from functions.admin.problems import Problem
from functions.services import Services
from shared.checks import check_mail_address
from shared.errors import InvalidSettings, SettingsError
from shared.presence import FieldError
from shared.settings import ExchangeSettings, PbxSettings
from shared.sync.checking import Check, Given


class System(StrEnum):
    """What can be tested."""

    EXCHANGE = "exchange"
    PBX = "pbx"


async def begin_trial(
    calendar: Services,
    systems: Collection[System],
    unsaved: Mapping[System, Mapping[str, Any]],
    mailbox: str,
) -> str:
    """Have systems tried, and return the id by which the check is found.

    ``unsaved`` are whole sections, tried in place of the saved ones; a secret that is absent or empty is the
    saved one. ``mailbox`` is the address to try, empty for that of the account.

    Raises:
        InvalidSettings: with every fault; nothing is tried.
    """
    faults: list[SettingsError] = []
    sections: dict[System, Any] = {}
    mailbox = mailbox.strip()
    try:
        check_mail_address(mailbox)
    except FieldError as error:
        faults += [SettingsError("mailbox", each.fault, each.remedy) for each in error.faults]
    for system in systems:
        try:
            sections[system] = await _section(calendar, system, unsaved.get(system))
        except InvalidSettings as error:
            faults += error.errors
    if faults:
        raise InvalidSettings(faults)
    pbx: PbxSettings | None = sections.get(System.PBX)
    exchange: ExchangeSettings | None = sections.get(System.EXCHANGE)
    try:
        return await calendar.checker().begin(Given(pbx, exchange, mailbox))
    except SettingsError as error:
        raise InvalidSettings([error]) from error


async def find_trial(calendar: Services, identity: str, now: datetime) -> Check:
    """The check as far as it has come. Raises Problem."""
    sound = len(identity) == 32 and identity.isalnum() and identity.isascii()
    check = await calendar.checks.get(identity, now) if sound else None
    if check is None:
        raise Problem(404, "There is no such test. Tests are forgotten after a day.")
    return check


def describe_trial(
    systems: Collection[System], unsaved: Mapping[System, Mapping[str, Any]], mailbox: str
) -> str:
    """For the list of what was done: which systems, with which settings."""
    names = ", ".join(f"{each} ({'unsaved' if each in unsaved else 'saved'} settings)" for each in systems)
    return f"{names}{f'; mailbox {mailbox.strip()}' if mailbox.strip() else ''}"


async def _section(calendar: Services, system: System, values: Mapping[str, Any] | None) -> Any:
    if values is None:
        return (await calendar.config.load_section(system)).section
    return await calendar.configurator().complete(system, values)

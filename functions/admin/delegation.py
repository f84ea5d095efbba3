"""The sign-in in whose name Exchange is asked, as the pages and the API show, begin and revoke it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from functions.admin.problems import Problem
from functions.services import Services
from shared.auth.delegated import ended
from shared.auth.sign_in import SignIn
from shared.errors import SettingsError
from shared.settings import ExchangeSettings, SyncType
from shared.sync.changes import Effect

PATH = "/authenticated"
"""Where Entra ID has the browser post its answer."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What is known of the sign-in.

    ``sign_in`` is None where nobody has signed in, or where no key decrypts it: ``fault`` says so then.
    ``refusal`` says why Entra ID has ended it, ``other`` that it is not the configured account's. It is
    ``wanted`` where the saved settings need one; what they lack first stands in ``missing``.
    """

    redirect_uri: str
    wanted: bool
    missing: tuple[str, ...]
    sign_in: SignIn | None = None
    refusal: str = ""
    fault: str = ""
    other: bool = False


def redirect_uri_of(calendar: Services) -> str:
    """What the app registration has to name."""
    return f"{calendar.environment.callback_url}{PATH}"


async def describe_delegation(calendar: Services) -> Delegation:
    """The sign-in, and whether the saved settings need one."""
    settings = await _settings(calendar)
    wanted = settings.sync_type is SyncType.CLOUD_DELEGATED
    delegation = Delegation(redirect_uri_of(calendar), wanted, tuple(settings.missing()) if wanted else ())
    try:
        held = await calendar.tokens.load()
    except SettingsError as error:
        return replace(delegation, fault=str(error))
    if held is None:
        return delegation
    sign_in = held.sign_in
    refusal = str(ended(sign_in.refused)).removeprefix("exchange.user: ") if sign_in.refused else ""
    other = wanted and sign_in.account.casefold() != settings.user.casefold()
    return replace(delegation, sign_in=sign_in, refusal=refusal, other=other)


async def begin_delegation(calendar: Services) -> str:
    """Begin the sign-in with the saved settings; return the address to send the browser to.

    Raises:
        Problem: they need none, or are incomplete.
        SettingsError: the application's secret or certificate can't be used.
        ExchangeError: Entra ID does not answer, or knows no such tenant.
    """
    settings = await _wanted(calendar)
    tokens = calendar.sign_in(settings)
    try:
        return await tokens.begin(redirect_uri_of(calendar), settings.user)
    finally:
        await tokens.aclose()


async def complete_delegation(calendar: Services, answer: Mapping[str, str]) -> SignIn:
    """Complete the sign-in with Entra ID's answer, and have Exchange tried at once. Raises the same."""
    tokens = calendar.sign_in(await _wanted(calendar))
    try:
        sign_in = await tokens.complete(answer)
    finally:
        await tokens.aclose()
    await calendar.applier.ask((Effect.END_EXCHANGE_PAUSE, Effect.RETRY), "signed in")
    return sign_in


async def revoke_delegation(calendar: Services) -> None:
    """Forget the sign-in, whatever the settings say; what runs follows within a minute."""
    await calendar.tokens.delete()


async def _wanted(calendar: Services) -> ExchangeSettings:
    settings = await _settings(calendar)
    if settings.sync_type is not SyncType.CLOUD_DELEGATED or settings.missing():
        raise Problem(
            409, "The saved settings of Exchange ask for no sign-in, or are incomplete. Save them first."
        )
    return settings


async def _settings(calendar: Services) -> ExchangeSettings:
    """As they are saved at this moment: `Services.configuration` may be some seconds old."""
    section = (await calendar.config.load_section("exchange")).section
    assert isinstance(section, ExchangeSettings)
    return section

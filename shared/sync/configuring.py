"""The administrator saves a section of the configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from shared.errors import InvalidSettings, SettingsError, StateConflict
from shared.settings import ExchangeSettings, PbxSettings, Section, SyncType, parse_section, secret_fields
from shared.sync.changes import Effect
from shared.sync.interfaces import Clock


@dataclass(frozen=True, slots=True)
class Stored:
    """A section of the configuration as it is stored; one that was never saved has no ``etag``.

    ``secrets_set`` says of each secret since when it is what it is; ``lost`` names those that no key
    decrypts, which ``section`` lacks. ``faults`` are of stored fields that this version refuses: ``section``
    has their defaults.
    """

    section: Section
    etag: str = ""
    saved_at: datetime | None = None
    saved_by: str = ""
    secrets_set: Mapping[str, datetime] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    faults: tuple[SettingsError, ...] = ()


class ConfigurationStore(Protocol):
    """Where the sections are kept."""

    async def load_section(self, name: str) -> Stored: ...
    async def save(
        self,
        name: str,
        section: Section,
        etag: str | None,
        actor: str,
        now: datetime,
        kept: Collection[str] = (),
    ) -> str: ...


class Application(Protocol):
    """Has what was saved take effect."""

    async def ask(self, effects: Collection[Effect], reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Configurator:
    """Checks, stores and applies what an administrator enters."""

    store: ConfigurationStore
    application: Application
    clock: Clock

    async def complete(self, name: str, values: Mapping[str, Any]) -> Section:
        """The section as `save` would store it, with the secrets that stay as they are; nothing is stored.

        A secret stays for the server it was entered for only.

        Raises:
            InvalidSettings: with every fault.
        """
        former = await self.store.load_section(name)
        section = parse_section(name, _complete(name, values, former.section))
        _check_destination(name, values, former, section)
        return section

    async def save(self, name: str, values: Mapping[str, Any], etag: str, actor: str) -> Stored:
        """Save the section ``name`` (``pbx``, ``exchange``, ``presence``) in place of the one with ``etag``.

        ``values`` is the whole section: a field that is absent gets its default. Secrets are write-only: one
        that is absent or empty stays as it is, one that is None is deleted. ``actor`` is who saves. Returns
        the section as it is stored now.

        Saving ends the pause that Exchange, or the PBX, is left in after failures: what was entered is tried
        at once.

        Raises:
            InvalidSettings: with every fault; nothing is saved.
            StateConflict: somebody else saved the section meanwhile.
        """
        former = await self.store.load_section(name)
        if etag != former.etag:
            raise StateConflict("The section was saved meanwhile.")
        try:
            section = parse_section(name, _complete(name, values, former.section))
            _check_sync_type(former.section, section)
            _check_destination(name, values, former, section)
            kept = [secret for secret in former.lost if values.get(secret, "") == ""]
            await self.store.save(name, section, etag, actor, self.clock(), kept)
        except SettingsError as error:
            raise InvalidSettings([error]) from error
        await self.application.ask(_TRIED_AT_ONCE.get(name, ()), "saved")
        return await self.store.load_section(name)


_TRIED_AT_ONCE = {"pbx": (Effect.END_PBX_PAUSE,), "exchange": (Effect.END_EXCHANGE_PAUSE,)}


def _complete(name: str, values: Mapping[str, Any], former: Section) -> dict[str, Any]:
    """The values with the secrets that stay as they are."""
    complete = dict(values)
    for secret in secret_fields(name):
        if values.get(secret, "") in ("", None):
            complete.pop(secret, None)
        if values.get(secret, "") == "":
            complete[secret] = getattr(former, secret).get_secret_value()
    return complete


def _check_sync_type(former: Section, section: Section) -> None:
    if not isinstance(former, ExchangeSettings) or not isinstance(section, ExchangeSettings):
        return
    types = (former.sync_type, section.sync_type)
    if types[0] is not types[1] and SyncType.DISABLED not in types:
        raise SettingsError(
            "exchange.sync_type",
            f"can't be changed from {former.sync_type} to {section.sync_type} directly",
            "Save disabled first, which clears all presences and ends all subscriptions.",
        )


def _check_destination(name: str, values: Mapping[str, Any], former: Stored, section: Section) -> None:
    """Refuse to send a secret that is kept to a server it was not entered for.

    Raises:
        InvalidSettings: with every secret that has to be entered again.
    """
    faults = [
        SettingsError(
            f"{name}.{secret}",
            "has to be entered again, because it would go to another server than it was entered for",
            "Enter it, or leave the address as it was.",
        )
        for secret in secret_fields(name)
        if values.get(secret, "") == ""
        and (getattr(former.section, secret) or secret in former.lost)
        and _find_destination(section, secret) not in ("", _find_destination(former.section, secret))
    ]
    if faults:
        raise InvalidSettings(faults)


def _find_destination(section: Section, secret: str) -> str:
    """The server that gets to see the secret, or tokens for it; where it is searched for, the domain."""
    if isinstance(section, PbxSettings):
        return urlsplit(section.url).netloc.lower()
    if not isinstance(section, ExchangeSettings):
        return ""
    if section.url:
        return urlsplit(section.ews_url).netloc.lower()
    searched = secret == "password"  # noqa: S105 - the field's name
    return section.user.rpartition("@")[2].lower() if searched else section.cloud

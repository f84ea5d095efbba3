"""Saving a section of the configuration."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from shared.errors import InvalidSettings, SettingsError, StateConflict
from shared.settings import (
    ExchangeSettings,
    PbxSettings,
    PresenceSettings,
    Section,
    parse_section,
    secret_fields,
)
from shared.sync.changes import Effect
from shared.sync.configuring import Configurator, Stored

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)

ON_PREMISES = {"sync_type": "on-premises", "user": "calendar@example.com"}


@dataclass
class Store:
    """One section, in memory."""

    stored: Stored
    kept: Collection[str] = ()
    saves: int = 0
    refusal: SettingsError | None = None

    async def load_section(self, name: str) -> Stored:
        return self.stored

    async def save(
        self,
        name: str,
        section: Section,
        etag: str | None,
        actor: str,
        now: datetime,
        kept: Collection[str] = (),
    ) -> str:
        if etag != self.stored.etag:
            raise StateConflict("meanwhile")
        if self.refusal:
            raise self.refusal
        self.saves += 1
        self.kept = kept
        self.stored = replace(
            self.stored, section=section, etag=f"{etag}+", saved_by=actor, saved_at=now, lost=tuple(kept)
        )
        return self.stored.etag


@dataclass
class Application:
    asked: list[tuple[Effect, ...]] = field(default_factory=list)

    async def ask(self, effects: Collection[Effect], reason: str) -> None:
        self.asked.append(tuple(effects))


def office(section: Section, **others: Any) -> tuple[Configurator, Store, Application]:
    store, application = Store(Stored(section, "1", **others)), Application()
    return Configurator(store, application, lambda: NOW), store, application


FORMER = ExchangeSettings(
    sync_type="on-premises",  # type: ignore[arg-type]
    user="calendar@example.com",
    password=SecretStr("former"),
    client_secret=SecretStr("client"),
)


@pytest.mark.parametrize(
    ("given", "password"),
    [
        ({}, "former"),
        ({"password": ""}, "former"),
        ({"password": "new"}, "new"),
        ({"password": " "}, " "),
        ({"password": None}, ""),
    ],
)
async def test_a_secret_stays_unless_another_is_given_or_it_is_deleted(
    given: dict[str, Any], password: str
) -> None:
    configurator, _, _ = office(FORMER)
    stored = await configurator.save("exchange", ON_PREMISES | given, "1", "anna")
    assert isinstance(stored.section, ExchangeSettings)
    assert stored.section.password.get_secret_value() == password
    assert stored.section.client_secret.get_secret_value() == "client"
    assert (stored.saved_by, stored.saved_at, stored.etag) == ("anna", NOW, "1+")


async def test_another_field_that_is_absent_gets_its_default() -> None:
    configurator, store, _ = office(FORMER)
    await configurator.save("exchange", {"sync_type": "disabled"}, "1", "anna")
    assert store.stored.section == ExchangeSettings(
        password=FORMER.password, client_secret=FORMER.client_secret
    )


PBX = {"address": "pbx.example.com", "name": "master"}
MAIL = ON_PREMISES | {"url": "mail.example.com"}
BOTH = ["exchange.password", "exchange.client_secret"]


@pytest.mark.parametrize(
    ("name", "former", "given", "faults"),
    [
        ("pbx", PBX, PBX | {"name": "other", "domain": "example.com"}, []),
        ("pbx", PBX, PBX | {"address": "WSS://PBX.example.com/PBX0/APPS/websocket"}, []),
        ("pbx", PBX, PBX | {"address": "pbx.example.org"}, ["pbx.password"]),
        ("pbx", PBX, PBX | {"address": "pbx.example.com:8443"}, ["pbx.password"]),
        ("pbx", {}, PBX, ["pbx.password"]),
        ("pbx", PBX, {}, []),
        ("exchange", MAIL, MAIL | {"user": "other@example.com"}, []),
        ("exchange", MAIL, MAIL | {"url": "https://mail.example.com/EWS/Other.asmx"}, []),
        ("exchange", MAIL, MAIL | {"sync_type": "disabled"}, []),
        (
            "exchange",
            MAIL,
            MAIL | {"url": "mail.example.org"},
            ["exchange.password", "exchange.client_secret"],
        ),
        ("exchange", MAIL, ON_PREMISES, ["exchange.password", "exchange.client_secret"]),
        ("exchange", ON_PREMISES, ON_PREMISES | {"user": "calendar@example.org"}, ["exchange.password"]),
        ("exchange", ON_PREMISES, ON_PREMISES | {"cloud": "china"}, ["exchange.client_secret"]),
    ],
)
async def test_a_secret_stays_for_the_server_only_that_it_was_entered_for(
    name: str, former: dict[str, Any], given: dict[str, Any], faults: list[str]
) -> None:
    secrets = {secret: "former" for secret in secret_fields(name) if "certificate" not in secret}
    configurator, store, _ = office(parse_section(name, former | secrets))
    for attempt in (configurator.complete(name, given), configurator.save(name, given, "1", "anna")):
        if not faults:
            await attempt
            continue
        with pytest.raises(InvalidSettings, match="entered again") as refused:
            await attempt
        assert [error.field for error in refused.value.errors] == faults
    assert store.saves == (0 if faults else 1)
    await configurator.save(name, given | dict.fromkeys(secrets, "new"), store.stored.etag, "anna")


async def test_a_secret_that_no_key_decrypts_goes_nowhere_else_when_its_key_is_back() -> None:
    configurator, store, _ = office(parse_section("pbx", PBX), lost=("password",))
    with pytest.raises(InvalidSettings, match="entered again"):
        await configurator.save("pbx", PBX | {"address": "pbx.example.org"}, "1", "anna")
    assert store.saves == 0


async def test_who_is_late_hears_that_first() -> None:
    configurator, _, _ = office(parse_section("pbx", PBX | {"password": "former"}))
    with pytest.raises(StateConflict):
        await configurator.save("pbx", PBX | {"address": "pbx.example.org"}, "0", "anna")


@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, ["password"]), ({"password": ""}, ["password"]), ({"password": "x"}, []), ({"password": None}, [])],
)
async def test_a_secret_that_no_key_decrypts_stays_stored(given: dict[str, Any], kept: list[str]) -> None:
    configurator, store, _ = office(PbxSettings(), lost=("password",))
    await configurator.save("pbx", {"name": "master"} | given, "1", "anna")
    assert store.kept == kept


SYNC_TYPES = ["disabled", "on-premises", "cloud-app-only", "cloud-delegated"]


@pytest.mark.parametrize("new", SYNC_TYPES)
@pytest.mark.parametrize("former", SYNC_TYPES)
async def test_the_sync_type_only_changes_from_or_to_disabled(former: str, new: str) -> None:
    configurator, store, application = office(ExchangeSettings(sync_type=former))  # type: ignore[arg-type]
    if former == new or "disabled" in (former, new):
        await configurator.save("exchange", {"sync_type": new}, "1", "anna")
        assert store.saves == 1
        return
    with pytest.raises(InvalidSettings) as caught:
        await configurator.save("exchange", {"sync_type": new}, "1", "anna")
    (fault,) = caught.value.errors
    assert fault.field == "exchange.sync_type"
    assert fault.fault == f"can't be changed from {former} to {new} directly"
    assert (store.saves, application.asked) == (0, [])


async def test_with_any_fault_nothing_is_saved_and_nothing_asked_for() -> None:
    configurator, store, application = office(FORMER)
    with pytest.raises(InvalidSettings) as caught:
        await configurator.save("exchange", {"user": "x", "url": "//", "password": "p"}, "1", "anna")
    assert [fault.field for fault in caught.value.errors] == ["exchange.user", "exchange.url"]
    store.refusal = SettingsError("exchange.certificate", "is too long to be stored", "Shorten it.")
    with pytest.raises(InvalidSettings, match="too long"):
        await configurator.save("exchange", ON_PREMISES, "1", "anna")
    assert (store.saves, application.asked) == (0, [])


async def test_who_saves_what_somebody_else_changed_meanwhile_is_told() -> None:
    configurator, store, application = office(FORMER)
    with pytest.raises(StateConflict):
        await configurator.save("exchange", ON_PREMISES, "0", "anna")
    assert (store.saves, application.asked) == (0, [])


@pytest.mark.parametrize(
    ("section", "effects"),
    [
        (PbxSettings(), (Effect.END_PBX_PAUSE,)),
        (ExchangeSettings(), (Effect.END_EXCHANGE_PAUSE,)),
        (PresenceSettings(), ()),
    ],
)
async def test_what_is_saved_is_tried_at_once(section: Section, effects: tuple[Effect, ...]) -> None:
    configurator, _, application = office(section)
    name = {PbxSettings: "pbx", ExchangeSettings: "exchange", PresenceSettings: "presence"}[type(section)]
    await configurator.save(name, {}, "1", "anna")
    assert application.asked == [effects]


def test_the_secrets_are_known() -> None:
    assert secret_fields("pbx") == ("password",)
    assert secret_fields("exchange") == ("password", "client_secret", "client_certificate")
    assert secret_fields("presence") == ()

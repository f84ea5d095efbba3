"""The administrator's configuration in the table ``config``."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from azure.data.tables.aio import TableServiceClient
from cryptography.fernet import Fernet
from pydantic import SecretStr

from shared.auth.clouds import Cloud
from shared.cipher import Cipher
from shared.errors import InvalidSettings, SettingsError, StateConflict
from shared.settings import (
    SECTIONS,
    Configuration,
    Detection,
    ExchangeSettings,
    NameResolving,
    PbxSettings,
    PresenceSettings,
    Scope,
    Section,
    Server,
    SupportedAccounts,
    SyncType,
)
from shared.state.config import ConfigStore
from shared.state.storage import CONTENTS, Storage
from shared.sync.configuring import Stored
from tests.unit.auth.pairs import make_pair

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

KEY, NEW_KEY = (Fernet.generate_key().decode() for _ in range(2))
CERTIFICATE = trustme.CA().cert_pem.bytes().decode().strip()
SECTIONS_IN_FULL = Configuration(
    PbxSettings(
        address="pbx.example.com",
        name="master",
        domain="pbx.example.com",
        app="calendar-app",
        password=SecretStr(" PBX sëcret 😀 "),
        certificate=CERTIFICATE,
        scope=Scope.GROUPS,
        scope_app="calendar",
        scope_groups=("sales", "büro"),
    ),
    ExchangeSettings(
        sync_type=SyncType.ON_PREMISES,
        user="calendar@example.com",
        password=SecretStr("EWS secret"),
        url="http://mail.example.com",
        allow_plain_http=True,
        certificate=CERTIFICATE,
        name_resolving=NameResolving.CANDIDATE_USERS,
        server=Server.INTERNAL,
        channel_binding="off",
        client_id="1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        tenant_id="example.com",
        client_secret=SecretStr(" client sëcret "),
        client_certificate=SecretStr(make_pair().pem),
        supported_accounts=SupportedAccounts.SEVERAL,
        cloud=Cloud.CHINA,
        scope=Cloud.CHINA.scope,
        secret_expires_on="2027-05-31",
        detection=Detection.POLL,
        poll_minutes=30,
        max_subscriptions=50,
        debug_until="2026-11-22T13:00:00+00:00",
        debug_subjects=True,
    ),
    PresenceSettings(
        language="de",
        timezone="Europe/Berlin",
        show_subject=False,
        until_unit="s",
        mapping={"busy": "dnd", "tentative": "ignore"},
        tentative_exception_organizers=("hr@example.com",),
        prioritized=("!", "wichtig"),
        not_prioritized=("lunch",),
    ),
)


@pytest.fixture
def store(storage: Storage) -> ConfigStore:
    return ConfigStore(storage, Cipher([KEY]))


async def save(store: ConfigStore, name: str, section: Section) -> str:
    """Whatever is there."""
    return await store.save(name, section, None, "test", NOW)


async def save_all(store: ConfigStore, configuration: Configuration) -> None:
    for name in SECTIONS:
        await save(store, name, getattr(configuration, name))


async def stored(storage: Storage, section: str) -> str:
    """Everything that the table holds of a section."""
    entity = await storage.table("config").get("config", section)
    assert entity is not None
    return json.dumps(dict(entity))


async def put(storage: Storage, section: str, values: dict[str, Any]) -> None:
    entity = {"PartitionKey": "config", "RowKey": section, "values": json.dumps(values)}
    await storage.table("config").put(entity)


async def test_what_was_never_saved_has_its_defaults(store: ConfigStore) -> None:
    assert await store.load() == Configuration()


async def test_every_field_comes_back_as_it_was_saved(store: ConfigStore) -> None:
    for name, section in SECTIONS.items():
        full = getattr(SECTIONS_IN_FULL, name)
        same = [field for field in section.model_fields if getattr(full, field) == getattr(section(), field)]
        assert not same, "the test has to deviate from the default in every field"
    await save_all(store, SECTIONS_IN_FULL)
    loaded = await store.load()
    assert loaded == SECTIONS_IN_FULL
    assert loaded.pbx.password.get_secret_value() == " PBX sëcret 😀 "
    assert loaded.presence.rules == SECTIONS_IN_FULL.presence.rules


async def test_the_defaults_come_back_too(store: ConfigStore) -> None:
    await save_all(store, SECTIONS_IN_FULL)
    await save_all(store, Configuration())
    assert await store.load() == Configuration()


async def test_a_section_is_saved_without_touching_the_others(store: ConfigStore) -> None:
    await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    await save(store, "presence", SECTIONS_IN_FULL.presence)
    assert await store.load() == Configuration(pbx=SECTIONS_IN_FULL.pbx, presence=SECTIONS_IN_FULL.presence)


async def test_secrets_are_encrypted_at_rest(store: ConfigStore, storage: Storage) -> None:
    await save_all(store, SECTIONS_IN_FULL)
    pbx, exchange = await stored(storage, "pbx"), await stored(storage, "exchange")
    assert "pbx.example.com" in pbx
    assert "mail.example.com" in exchange
    assert "cret" not in pbx
    assert "EWS" not in exchange
    values = json.loads(json.loads(exchange)["values"])
    assert Fernet(KEY).decrypt(values["password"]["encrypted"]) == b"EWS secret"


async def test_after_a_rotation_secrets_are_read_and_saved_with_the_new_key(
    store: ConfigStore, storage: Storage
) -> None:
    await save_all(store, SECTIONS_IN_FULL)
    rotated = ConfigStore(storage, Cipher([NEW_KEY, KEY]))
    assert await rotated.load() == SECTIONS_IN_FULL
    await save_all(rotated, await rotated.load())
    assert await ConfigStore(storage, Cipher([NEW_KEY])).load() == SECTIONS_IN_FULL


async def test_what_no_key_decrypts_is_left_out_and_missed(store: ConfigStore, storage: Storage) -> None:
    await save_all(store, SECTIONS_IN_FULL)
    other = ConfigStore(storage, Cipher([NEW_KEY]))
    loaded = await other.load()
    assert loaded.missing() == ["pbx.password", "exchange.password"]
    assert loaded.pbx == SECTIONS_IN_FULL.pbx.model_copy(update={"password": SecretStr("")})
    assert loaded.presence == SECTIONS_IN_FULL.presence
    stored = await other.load_section("exchange")
    assert stored.lost == ("password", "client_secret", "client_certificate")
    assert stored.secrets_set.keys() == {"password", "client_secret", "client_certificate"}


async def test_a_lost_secret_may_stay_as_it_is_until_its_key_is_back(
    store: ConfigStore, storage: Storage
) -> None:
    await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    other = ConfigStore(storage, Cipher([NEW_KEY]))
    renamed = (await other.load()).pbx.model_copy(update={"name": "other"})
    await other.save("pbx", renamed, None, "anna", LATER, kept=["password"])
    assert (await other.load_section("pbx")).lost == ("password",)
    back = ConfigStore(storage, Cipher([NEW_KEY, KEY]))
    assert (await back.load()).pbx == SECTIONS_IN_FULL.pbx.model_copy(update={"name": "other"})
    assert (await back.load_section("pbx")).secrets_set == {"password": NOW}
    await other.save("pbx", renamed, None, "anna", LATER)
    assert (await back.load_section("pbx")).secrets_set == {}
    assert not (await back.load()).pbx.password


async def test_a_lost_key_is_mended_by_entering_the_secret_again(
    store: ConfigStore, storage: Storage
) -> None:
    await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    other = ConfigStore(storage, Cipher([NEW_KEY]))
    await save(other, "pbx", SECTIONS_IN_FULL.pbx)
    assert (await other.load()).pbx == SECTIONS_IN_FULL.pbx


async def test_without_a_secret_no_key_is_needed(store: ConfigStore, storage: Storage) -> None:
    await save(store, "pbx", PbxSettings(name="master"))
    assert (await ConfigStore(storage, Cipher([NEW_KEY])).load()).pbx.name == "master"


async def test_a_stored_section_that_this_version_refuses_names_its_fields(
    store: ConfigStore, storage: Storage
) -> None:
    await put(storage, "exchange", {"url": "//", "former": 1})
    with pytest.raises(InvalidSettings) as caught:
        await store.load()
    assert [error.field for error in caught.value.errors] == ["exchange.url", "exchange.former"]


async def test_a_section_of_another_version_is_passed_over(store: ConfigStore, storage: Storage) -> None:
    await put(storage, "entra", {"tenant": "x"})
    assert await store.load() == Configuration()


async def test_of_a_section_that_is_refused_what_is_sound_is_left_to_be_saved_again(
    store: ConfigStore, storage: Storage
) -> None:
    await save(store, "exchange", SECTIONS_IN_FULL.exchange)
    values = json.loads(json.loads(await stored(storage, "exchange"))["values"])
    await put(storage, "exchange", values | {"max_subscriptions": 0, "former": 1})
    found = await store.load_section("exchange")
    expected = SECTIONS_IN_FULL.exchange.model_copy(update={"max_subscriptions": 200})
    assert found.section == expected
    assert [fault.field for fault in found.faults] == ["exchange.max_subscriptions", "exchange.former"]
    await store.save("exchange", found.section, found.etag, "anna", LATER)
    assert (await store.load()).exchange == expected
    assert (await store.load_section("exchange")).faults == ()


async def test_of_a_section_whose_rest_is_refused_too_the_defaults_are_left(
    store: ConfigStore, storage: Storage
) -> None:
    # Without the flag the address is refused as well.
    await put(storage, "exchange", {"url": "http://mail.example.com", "allow_plain_http": "x"})
    found = await store.load_section("exchange")
    assert found.section == ExchangeSettings()
    assert [fault.field for fault in found.faults] == ["exchange.allow_plain_http"]


async def test_a_section_tells_who_saved_it_when_and_since_when_each_secret_is_what_it_is(
    store: ConfigStore,
) -> None:
    assert await store.load_section("exchange") == Stored(ExchangeSettings())
    first = ExchangeSettings(password=SecretStr("one"), client_secret=SecretStr("two"))
    etag = await store.save("exchange", first, "", "anna", NOW)
    found = await store.load_section("exchange")
    assert found == Stored(first, etag, NOW, "anna", {"password": NOW, "client_secret": NOW})
    second = ExchangeSettings(password=SecretStr("one"), client_certificate=SecretStr(make_pair().pem))
    await store.save("exchange", second, etag, "berta", LATER)
    found = await store.load_section("exchange")
    assert (found.saved_at, found.saved_by) == (LATER, "berta")
    assert found.secrets_set == {"password": NOW, "client_certificate": LATER}
    await save(store, "exchange", ExchangeSettings(password=SecretStr("three")))
    assert (await store.load_section("exchange")).secrets_set == {"password": NOW}


async def test_what_somebody_else_saved_meanwhile_is_not_overwritten(store: ConfigStore) -> None:
    first = await store.save("pbx", SECTIONS_IN_FULL.pbx, "", "anna", NOW)
    with pytest.raises(StateConflict):
        await store.save("pbx", PbxSettings(), "", "berta", NOW)
    second = await store.save("pbx", SECTIONS_IN_FULL.pbx, first, "anna", NOW)
    with pytest.raises(StateConflict):
        await store.save("pbx", PbxSettings(), first, "berta", NOW)
    assert (await store.load()).pbx == SECTIONS_IN_FULL.pbx
    await store.save("pbx", PbxSettings(), second, "berta", NOW)
    assert (await store.load()).pbx == PbxSettings()


async def test_of_two_who_save_at_the_same_time_one_wins(store: ConfigStore) -> None:
    etag = await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    sections = [PbxSettings(name=name) for name in ("one", "two")]
    outcomes = await asyncio.gather(
        *(store.save("pbx", section, etag, "test", NOW) for section in sections), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StateConflict, str}
    winner = sections[[isinstance(outcome, str) for outcome in outcomes].index(True)]
    assert (await store.load()).pbx == winner


async def test_the_same_object_comes_back_until_somebody_saves(store: ConfigStore, storage: Storage) -> None:
    await save_all(store, SECTIONS_IN_FULL)
    loaded = await store.load()
    assert await store.load() is loaded
    await save(ConfigStore(storage, Cipher([KEY])), "pbx", PbxSettings())
    assert (await store.load()).pbx == PbxSettings()


async def test_what_a_newer_version_needs_is_made_when_it_first_loads(
    azurite: str, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    async def create(self: Storage) -> None:
        made.append("all")

    monkeypatch.setattr(Storage, "create", create)
    older, newer = ConfigStore(storage, Cipher([KEY])), ConfigStore(storage, Cipher([KEY]))
    for _ in range(2):
        await older.load()
    assert made == ["all"], "once for all instances"
    monkeypatch.setattr("shared.state.config.CONTENTS", CONTENTS | {"table added"})
    for _ in range(2):
        await newer.load()
    assert made == ["all", "all"]
    monkeypatch.undo()
    monkeypatch.setattr(Storage, "create", create)
    await older.load()
    await newer.load()
    assert made == ["all", "all"], "the older one beside it does not take it back"


async def test_where_the_tables_are_missing_they_are_made(azurite: str, store: ConfigStore) -> None:
    async with TableServiceClient.from_connection_string(azurite) as tables:
        await tables.delete_table("config")
    assert await store.load() == Configuration()
    await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    assert (await store.load()).pbx == SECTIONS_IN_FULL.pbx


async def test_a_section_that_is_too_long_to_store_is_refused_and_the_former_one_stays(
    store: ConfigStore,
) -> None:
    await save(store, "pbx", SECTIONS_IN_FULL.pbx)
    long = SECTIONS_IN_FULL.pbx.model_copy(update={"certificate": "x" * 33_000})
    with pytest.raises(SettingsError) as caught:
        await save(store, "pbx", long)
    assert str(caught.value) == "pbx.certificate: is too long to be stored. Shorten it."
    assert (await store.load()).pbx == SECTIONS_IN_FULL.pbx

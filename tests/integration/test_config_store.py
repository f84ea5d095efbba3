"""The administrator's configuration in the table ``config``."""

import json
from typing import Any

import pytest
import trustme
from azure.data.tables.aio import TableServiceClient
from cryptography.fernet import Fernet
from pydantic import SecretStr

from shared.auth.clouds import Cloud
from shared.cipher import Cipher
from shared.errors import InvalidSettings, SettingsError
from shared.settings import (
    SECTIONS,
    Configuration,
    ExchangeSettings,
    NameResolving,
    PbxSettings,
    PresenceSettings,
    Scope,
    Server,
    SupportedAccounts,
    SyncType,
)
from shared.state.config import ConfigStore
from shared.state.storage import Storage
from tests.unit.auth.pairs import make_pair

pytestmark = pytest.mark.integration

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


async def save_all(store: ConfigStore, configuration: Configuration) -> None:
    for name in SECTIONS:
        await store.save(name, getattr(configuration, name))


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
    await store.save("pbx", SECTIONS_IN_FULL.pbx)
    await store.save("presence", SECTIONS_IN_FULL.presence)
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


async def test_a_lost_key_is_a_setting_to_mend(store: ConfigStore, storage: Storage) -> None:
    await store.save("pbx", SECTIONS_IN_FULL.pbx)
    with pytest.raises(SettingsError) as caught:
        await ConfigStore(storage, Cipher([NEW_KEY])).load()
    assert caught.value.field == "CALENDAR_ENCRYPTION_KEYS"


async def test_a_lost_key_is_mended_by_entering_the_secret_again(
    store: ConfigStore, storage: Storage
) -> None:
    await store.save("pbx", SECTIONS_IN_FULL.pbx)
    other = ConfigStore(storage, Cipher([NEW_KEY]))
    await other.save("pbx", SECTIONS_IN_FULL.pbx)
    assert (await other.load()).pbx == SECTIONS_IN_FULL.pbx


async def test_without_a_secret_no_key_is_needed(store: ConfigStore, storage: Storage) -> None:
    await store.save("pbx", PbxSettings(name="master"))
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


async def test_where_the_tables_are_missing_they_are_made(azurite: str, store: ConfigStore) -> None:
    async with TableServiceClient.from_connection_string(azurite) as tables:
        await tables.delete_table("config")
    assert await store.load() == Configuration()
    await store.save("pbx", SECTIONS_IN_FULL.pbx)
    assert (await store.load()).pbx == SECTIONS_IN_FULL.pbx


async def test_a_section_that_is_too_long_to_store_is_refused_and_the_former_one_stays(
    store: ConfigStore,
) -> None:
    await store.save("pbx", SECTIONS_IN_FULL.pbx)
    long = SECTIONS_IN_FULL.pbx.model_copy(update={"certificate": "x" * 33_000})
    with pytest.raises(SettingsError) as caught:
        await store.save("pbx", long)
    assert str(caught.value) == "pbx.certificate: is too long to be stored. Shorten it."
    assert (await store.load()).pbx == SECTIONS_IN_FULL.pbx

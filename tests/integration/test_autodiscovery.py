"""An on-premises Exchange without a configured address, as the functions look for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from dev.exchange import ExchangeSimulator
from functions.exchange import find_exchange
from functions.services import Services, now
from shared.environment import Environment
from shared.errors import ExchangeError
from shared.ews.discovery import Search
from shared.ews.location import Kept, Location
from shared.model import MailboxState, User
from shared.settings import ExchangeSettings, parse_section
from shared.state.storage import Storage

GUID = "c9ebcc5914bd5e01c8020090334106ee"
USER = "calendar@nowhere.invalid"


def settings_of(exchange: ExchangeSimulator) -> ExchangeSettings:
    section = parse_section(
        "exchange",
        {
            "sync_type": "on-premises",
            "user": USER,
            "password": exchange.password,
            "certificate": exchange.ca_pem,
        },
    )
    assert isinstance(section, ExchangeSettings)
    return section


@pytest.fixture
async def exchange() -> ExchangeSimulator:
    return ExchangeSimulator(user=USER, seed=[{"address": "anna@example.com"}])


async def test_a_domain_that_does_not_exist_has_no_exchange(exchange: ExchangeSimulator) -> None:
    async with exchange:
        search = Search(USER)
        with pytest.raises(ExchangeError) as caught:
            await find_exchange(search, settings_of(exchange))
    assert caught.value.code == "NotDiscovered"
    assert len(search.steps) >= 4


async def test_users_wait_until_exchange_is_found_and_are_read_then(
    azurite: str, storage: Storage, exchange: ExchangeSimulator
) -> None:
    environment = Environment.read(
        {
            "AzureWebJobsStorage": azurite,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
        }
    )
    async with exchange:
        services = Services(environment)
        try:
            settings = settings_of(exchange)
            configuration = await services.configuration()
            rules = configuration.presence.rules
            await services.users.add(User(GUID, "anna"), ("anna@example.com",))
            await services.users.set_mailbox(GUID, MailboxState.FOUND, "anna@example.com")

            await services.reader(settings).read([GUID], "test", rules)
            trouble = await services.health.trouble("exchange")
            assert trouble is not None
            assert trouble.code == "NotDiscovered"
            assert await services.agendas.get(GUID) is None
            assert await storage.waiting("sync") == 1

            kept = await services.locations.get()
            assert isinstance(kept, Kept)
            found = replace(kept, location=Location(exchange.ews_url, "discovered"), code="", text="")
            await services.locations.put(found)
            await services.budget.reset()
            await services.reader(settings).read([GUID], "test", rules)
            agenda = await services.agendas.get(GUID)
            assert agenda is not None
            assert now() - agenda.read_at < timedelta(minutes=1)
            assert await services.health.trouble("exchange") is None
        finally:
            await services.close()

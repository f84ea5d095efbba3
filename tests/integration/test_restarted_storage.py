"""The storage account is away for a while and comes back with what it held."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.fernet import Fernet

from dev.azurite import Azurite
from dev.exchange import ExchangeSimulator
from dev.host import FunctionsHost
from dev.pbx import PbxSimulator
from shared.environment import Environment
from shared.state.storage import Storage
from tests.integration.test_end_to_end import ACCOUNT, ROOT, Company, until
from tests.ports import find_ports

pytestmark = pytest.mark.integration

ANNA = "anna@example.com"


def ports(connection_string: str) -> list[int]:
    """Those of its blobs, queues and tables."""
    ends = dict(part.split("=", 1) for part in connection_string.split(";") if part)
    return [urlsplit(ends[f"{name}Endpoint"]).port or 0 for name in ("Blob", "Queue", "Table")]


async def test_a_change_while_the_storage_restarts_comes_to_the_phone(tmp_path: Path) -> None:
    port = find_ports()
    mailboxes = [{"address": ACCOUNT}, {"address": ANNA}]
    users = [{"h323": "anna", "cn": "Anna", "emails": [{"email": ANNA}]}]
    async with AsyncExitStack() as stack:
        with Azurite(location=tmp_path) as before:
            settings = {
                "AzureWebJobsStorage": before.connection_string,
                "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
                "CALENDAR_CALLBACK_URL": f"http://127.0.0.1:{port}",
            }
            environment = Environment.read(settings)
            storage = await stack.enter_async_context(Storage.open(environment))
            await storage.create()
            company = Company(
                await stack.enter_async_context(ExchangeSimulator(user=ACCOUNT, seed=mailboxes, minute=6)),
                await stack.enter_async_context(PbxSimulator(users=users)),
                FunctionsHost(root=ROOT, port=port, settings=settings),
                environment,
                storage,
            )
            for section in ("exchange", "presence", "pbx"):
                await company.configure(section)
            await stack.enter_async_context(company.host)
            anna = await company.employ("anna")
        company.meet(ANNA, "Review")
        await until(lambda: company.exchange.statistics.failed_notifications > 0)
        with Azurite(*ports(before.connection_string), location=tmp_path):
            await until(lambda: company.note(anna).startswith("Review"), 60)
            await stack.aclose()

"""The administration page as the functions host serves it, with a simulated Entra ID."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.fernet import Fernet

from dev.entra import EntraSimulator
from dev.entra.directory import Account, Application, Directory, Secret, Tenant
from dev.host import FunctionsHost
from shared.state.storage import Storage
from tests.ports import find_ports
from tests.storage import empty, environment_of

ROOT = Path(__file__).resolve().parents[3]
ROLE = "Calendar.Admin"
ADMINISTRATOR, VISITOR = "admin@example.com", "visitor@example.com"
API = "/api/admin/v1"


@dataclass
class Running:
    """The function app, and the Entra ID that its administrators sign in at."""

    url: str
    entra: EntraSimulator
    session_key: str
    storage: str
    encryption_key: str

    @property
    def client_id(self) -> str:
        return self.entra.application.client_id

    @property
    def tenant(self) -> str:
        return self.entra.directory.tenants[0].id

    def browser(self, **options: Any) -> httpx.AsyncClient:
        """A browser without sessions, which follows no redirection by itself."""
        trust = ssl.create_default_context(cadata=self.entra.ca_pem)
        return httpx.AsyncClient(base_url=self.url, verify=trust, **{"timeout": 60} | options)

    async def sign_in(
        self, browser: httpx.AsyncClient, account: str = ADMINISTRATOR, path: str = "/sign-in"
    ) -> httpx.Response:
        """Go to the sign-in, choose the account, come back; the answer to that."""
        begun = await browser.get(path)
        assert begun.status_code == 303, begun.text
        return await self.post_back(browser, await self.choose(browser, begun, account))

    async def choose(
        self, browser: httpx.AsyncClient, begun: httpx.Response, account: str = ADMINISTRATOR
    ) -> dict[str, str]:
        """What Entra ID has the browser post to us when the account is chosen."""
        chosen = await browser.get(f"{begun.headers['location']}&login_hint={account}")
        assert chosen.status_code == 200, chosen.text
        assert f'action="{self.url}/signed-in"' in chosen.text
        return {
            name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', chosen.text)
        }

    async def post_back(self, browser: httpx.AsyncClient, fields: dict[str, str]) -> httpx.Response:
        """Post that as browsers do from another site: without cookies. Then go where the answer leads."""
        async with self.browser(headers={"Origin": self.entra.url, "Sec-Fetch-Site": "cross-site"}) as bare:
            posted = await bare.post("/signed-in", data=fields)
        assert posted.status_code == 303, posted.text
        assert "code=" not in posted.headers["location"]
        return await browser.get(posted.headers["location"])

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good access token; None leaves one out."""
        now = int(self.entra._now())
        good = {
            "iss": f"{self.entra.url}/{self.tenant}/v2.0",
            "aud": self.client_id,
            "azp": self.client_id,
            "oid": "00000000-0000-0000-0000-00000000000a",
            "preferred_username": "script@example.com",
            "roles": [ROLE],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, **changes: Any) -> str:
        """An access token, signed by this Entra ID."""
        return self.entra.key.sign(self.claims(**changes))


def directory_of(redirect_uri: str) -> Directory:
    """One tenant with the page's application, an administrator and somebody who is none."""
    tenant = Tenant()
    page = Application(
        tenant.id, name="Calendar administration", secrets=[Secret("secret")], redirect_uris=[redirect_uri]
    )
    script = Application(tenant.id, name="Script", secrets=[Secret("secret")])
    stranger = Application(tenant.id, name="Stranger", secrets=[Secret("secret")])
    script.app_roles[page.client_id] = [ROLE]
    accounts = [
        Account(tenant.id, ADMINISTRATOR, "Anna Admin", app_roles={page.client_id: [ROLE]}),
        Account(tenant.id, VISITOR, "Vera Visitor", app_roles={page.client_id: ["Calendar.Reader"]}),
    ]
    return Directory([tenant], [page, script, stranger], accounts)


async def empty_storage(connection: str) -> None:
    """Forget what other tests configured."""
    async with Storage.open(environment_of(connection)) as storage:
        await storage.create()
        await empty(storage)


@asynccontextmanager
async def serve(azurite: str, port: int, **settings: str) -> AsyncIterator[FunctionsHost]:
    """The function app on this port."""
    values = {
        "AzureWebJobsStorage": azurite,
        "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "CALENDAR_CALLBACK_URL": f"http://127.0.0.1:{port}",
        # Timers would work on storage that other tests use.
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in ("tick", "midnight", "upkeep", "directory")},
    }
    await empty_storage(azurite)
    async with FunctionsHost(root=ROOT, port=port, settings=values | settings) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """With sign-in at Entra ID."""
    port = find_ports()
    directory = directory_of(f"http://127.0.0.1:{port}/signed-in")
    authority = tmp_path_factory.mktemp("entra") / "ca.pem"
    key, encryption_key = (Fernet.generate_key().decode() for _ in range(2))
    async with EntraSimulator(directory) as entra:
        authority.write_text(entra.ca_pem)
        async with serve(
            azurite,
            port,
            CALENDAR_AUTHORITY=entra.url,
            CALENDAR_ADMIN_CLIENT_ID=entra.application.client_id,
            CALENDAR_ADMIN_TENANT_ID=directory.tenants[0].id,
            CALENDAR_ADMIN_CLIENT_SECRET="secret",
            CALENDAR_SESSION_KEY=key,
            CALENDAR_ENCRYPTION_KEYS=encryption_key,
            SSL_CERT_FILE=str(authority),
        ) as host:
            yield Running(host.url, entra, key, azurite, encryption_key)

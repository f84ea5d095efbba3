"""A simulated Entra ID that listens on loopback.

It shares no code with the project's own sign-in, or it would agree with that code's mistakes.

Sources: *OpenID Connect on the Microsoft identity platform*, OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web

from dev.entra.authorization import authorize, resolve_tenant
from dev.entra.clients import authenticate, find_application
from dev.entra.control import create_control
from dev.entra.directory import EVERY_ORGANIZATION, Account, Application, Directory
from dev.entra.faults import Faults
from dev.entra.grants import Grants
from dev.entra.keys import SigningKey, claims_of
from dev.entra.refusals import Refused
from dev.entra.statistics import Statistics

HOST = "127.0.0.1"


class EntraSimulator:
    """Entra ID as an asynchronous context manager::

        async with EntraSimulator() as entra:
            …sign in at entra.authority, trusting entra.ca_pem, as entra.application…
            assert entra.statistics.tokens["client_credentials"] == 1

    ``port`` and ``control_port`` 0 take free ones. ``directory`` may be changed while it runs, as may
    ``grants.token_life`` (seconds) and ``faults``. ``key`` signs the tokens, a new one if none is
    given. ``now`` is the time in seconds since 1970.
    """

    def __init__(
        self,
        directory: Directory | None = None,
        *,
        port: int = 0,
        control_port: int = 0,
        key: SigningKey | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.directory = directory or Directory.small()
        self.faults = Faults()
        self.statistics = Statistics()
        self.port = port
        self.control_port = control_port
        self.key = key or SigningKey()
        self._now = now
        self.grants = Grants(self.directory, self.key, self.statistics, "", now)
        self._authority = trustme.CA()
        self._runners: list[web.AppRunner] = []
        self._site: web.TCPSite | None = None

    async def __aenter__(self) -> Self:
        self._server = await self._prepare(self._create_server())
        control = await self._prepare(create_control(self))
        await self.come_back()
        site = web.TCPSite(control, HOST, self.control_port)
        await site.start()
        self.control_port = int(control.addresses[0][1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens: what https://login.microsoftonline.com is in the world."""
        return f"https://{HOST}:{self.port}"

    @property
    def application(self) -> Application:
        """The first application."""
        return self.directory.applications[0]

    @property
    def account(self) -> Account:
        """The first account."""
        return self.directory.accounts[0]

    @property
    def authority(self) -> str:
        """The first tenant's address."""
        return f"{self.url}/{self.directory.tenants[0].id}"

    @property
    def control_url(self) -> str:
        return f"http://{HOST}:{self.control_port}"

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed Entra ID's own."""
        return self._authority.cert_pem.bytes().decode()

    def replace_directory(self, directory: Directory) -> None:
        """Put others in the place of all that is known."""
        self.directory = self.grants.directory = directory

    def reset_statistics(self) -> None:
        """Begin all counters anew."""
        fresh = Statistics()
        for name in fresh.describe():
            setattr(self.statistics, name, getattr(fresh, name))

    def verify(self, token: str, audience: str = "https://outlook.office365.com") -> dict[str, Any]:
        """The claims of an access token for ``audience``. Raises InvalidToken."""
        return claims_of(token, self.key.jwks, audience)

    async def go_away(self) -> None:
        """Stop listening."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()

    async def come_back(self) -> None:
        """Listen (again), on the same port."""
        if self._site is None:
            self._site = web.TCPSite(
                self._server, HOST, self.port, ssl_context=self._tls(), reuse_address=True
            )
            await self._site.start()
            self.port = int(self._server.addresses[0][1])
            self.grants.base = self.url

    async def _prepare(self, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        return runner

    def _create_server(self) -> web.Application:
        application = web.Application(middlewares=[_refuse])
        application.add_routes(
            [
                web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._discover),
                web.get("/common/discovery/instance", self._discover_instance),
                web.get("/{tenant}/discovery/v2.0/keys", self._show_keys),
                web.get("/{tenant}/oauth2/v2.0/authorize", self._authorize),
                web.post("/{tenant}/oauth2/v2.0/token", self._give_token),
            ]
        )
        return application

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(HOST, "localhost").configure_cert(context)
        return context

    async def _misbehave(self, endpoint: str) -> web.Response | None:
        fault = self.faults.take(endpoint)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.code:
            refused = Refused(fault.error, fault.code, "On demand.", status=fault.status or 400)
            refused.retry_after = fault.retry_after or 0
            raise refused
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.status:
            return web.Response(status=fault.status, text="<html>", content_type="text/html", headers=headers)
        return None

    async def _discover(self, request: web.Request) -> web.Response:
        self.statistics.discoveries += 1
        if (answer := await self._misbehave("discovery")) is not None:
            return answer
        tenant = resolve_tenant(self.directory, request.match_info["tenant"])
        issuer = "{tenantid}" if tenant in EVERY_ORGANIZATION else tenant
        base = f"{self.url}/{tenant}"
        return web.json_response(
            {
                "issuer": f"{self.url}/{issuer}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "form_post"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
            }
        )

    async def _discover_instance(self, request: web.Request) -> web.Response:
        parts = request.query.get("authorization_endpoint", "").split("/")
        tenant = parts[3] if len(parts) > 3 else "common"
        host = f"{HOST}:{self.port}"
        return web.json_response(
            {
                "tenant_discovery_endpoint": f"{self.url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def _show_keys(self, request: web.Request) -> web.Response:
        return web.json_response(self.key.jwks)

    async def _authorize(self, request: web.Request) -> web.Response:
        try:
            if (answer := await self._misbehave("authorize")) is not None:
                return answer
            tenant = resolve_tenant(self.directory, request.match_info["tenant"])
            return authorize(self.directory, self.grants, tenant, request.query, self.statistics)
        except Refused as refused:
            self.statistics.refusals[str(refused.code)] += 1
            return web.Response(status=400, text=refused.description)

    async def _give_token(self, request: web.Request) -> web.Response:
        statistics = self.statistics
        statistics.at_once += 1
        statistics.most_at_once = max(statistics.most_at_once, statistics.at_once)
        try:
            return await self._answer_token_request(request)
        except Refused as refused:
            statistics.refusals[str(refused.code)] += 1
            raise
        finally:
            statistics.at_once -= 1

    async def _answer_token_request(self, request: web.Request) -> web.Response:
        if (answer := await self._misbehave("token")) is not None:
            return answer
        tenant = resolve_tenant(self.directory, request.match_info["tenant"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        application = find_application(self.directory, form.get("client_id", ""), tenant)
        endpoint = f"{self.url}{request.path}"
        authenticate(application, form, endpoint, self._now())
        kinds = {
            "client_credentials": self.grants.for_client,
            "authorization_code": self.grants.for_code,
            "refresh_token": self.grants.for_refresh_token,
        }
        grant = form.get("grant_type", "")
        if grant not in kinds:
            raise Refused("unsupported_grant_type", 70003, f"The grant type {grant!r} is not simulated.")
        tokens = kinds[grant](application, tenant, form)
        self.statistics.tokens[grant] += 1
        return web.json_response(tokens, headers={"Cache-Control": "no-store"})


@web.middleware
async def _refuse(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()

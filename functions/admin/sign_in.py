"""Sign-in of administrators at Entra ID: OpenID Connect, authorization code with PKCE, by MSAL.

Source: *Authorization code flow on the Microsoft identity platform*, *MSAL Python*.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import msal  # type: ignore[import-untyped]
from azure.identity import ManagedIdentityCredential

from functions.admin.bearer import ROLE
from functions.admin.session import Administrator
from shared.auth.entra import Wire
from shared.environment import Administration
from shared.errors import CalendarError

_FEDERATED = "api://AzureADTokenExchange/.default"
"""What the managed identity asks for to vouch for an application."""


class SignInFailed(Exception):
    """Nobody is signed in. ``status`` is the HTTP status; the text is for the person at the browser.

    ``who`` is the account that is no administrator, or empty where none is known.
    """

    def __init__(self, status: int, title: str, text: str, who: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.who = who


class SignIn:
    """Begins and completes sign-ins. ``base`` is Entra ID's address, ``identity`` the managed identity's."""

    def __init__(
        self, administration: Administration, base: str, redirect_uri: str, tls: ssl.SSLContext, identity: str
    ) -> None:
        self._administration = administration
        self._authority = f"{base}/{administration.tenant_id}"
        self._redirect_uri = redirect_uri
        self._base = base
        self._tls = tls
        self._identity = identity

    async def begin(self, *, choose: bool = False) -> dict[str, Any]:
        """A flow to be kept by the browser; its ``auth_uri`` is where to send it. Raises SignInFailed.

        With ``choose`` Entra ID asks which account, even if only one is signed in.
        """
        return await _in_thread(lambda: self._begin("select_account" if choose else None))

    async def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str]) -> Administrator:
        """Who has signed in. Raises SignInFailed, also for somebody who is no administrator."""
        result = await _in_thread(lambda: self._redeem(dict(flow), dict(answer)))
        if "id_token_claims" not in result:
            code = next(iter(result.get("error_codes") or []), "")
            reason = f"AADSTS{code}" if code else str(result.get("error", ""))[:80]
            raise SignInFailed(
                403, "You are not signed in", f"Entra ID refused the sign-in ({reason}). Try again."
            )
        claims = result["id_token_claims"]
        name = str(claims.get("preferred_username") or claims.get("name") or claims["oid"])
        if ROLE not in claims.get("roles", []):
            raise SignInFailed(
                403,
                "You are no administrator of this service",
                f"{name} lacks the app role {ROLE}. Have it assigned in Entra ID under Enterprise "
                "applications, or sign in with another account.",
                name,
            )
        return Administrator(str(claims["oid"]), name)

    def _begin(self, prompt: str | None) -> dict[str, Any]:
        with self._application() as application:
            flow: dict[str, Any] = application.initiate_auth_code_flow(
                [],
                redirect_uri=self._redirect_uri,
                prompt=prompt,
                # Keeps the code out of addresses, and with them out of logs.
                response_mode="form_post",
            )
        return flow

    def _redeem(self, flow: dict[str, Any], answer: dict[str, str]) -> dict[str, Any]:
        with self._application() as application:
            try:
                result: dict[str, Any] = application.acquire_token_by_auth_code_flow(flow, answer)
            except (ValueError, RuntimeError):
                # MSAL's word for a wrong state or nonce; it quotes them.
                raise SignInFailed(
                    400, "You are not signed in", "The answer is not for this sign-in. Begin it again."
                ) from None
        return result

    @contextmanager
    def _application(self) -> Iterator[Any]:
        """For one sign-in only: whoever it is, their tokens are forgotten with it."""
        with closing(Wire(self._base, self._tls)) as wire:
            yield msal.ConfidentialClientApplication(
                self._administration.client_id,
                client_credential=credential(self._administration.client_secret, self._identity),
                authority=self._authority,
                # The authority is known; MSAL would ask the worldwide cloud about it.
                instance_discovery=False,
                http_client=wire,
                exclude_scopes=["offline_access"],
            )


def credential(secret: str, identity: str) -> str | dict[str, Callable[[], str]]:
    """The client secret, else an assertion of the managed identity, as MSAL wants it."""
    if secret:
        return secret
    source = ManagedIdentityCredential(client_id=identity or None)
    return {"client_assertion": lambda: source.get_token(_FEDERATED).token}


async def _in_thread[T](work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except CalendarError as error:
        raise SignInFailed(503, "Entra ID does not answer", str(error)) from error
    except (ValueError, KeyError) as error:
        # MSAL's word for metadata that makes no sense; it may quote the credential.
        raise SignInFailed(
            503, "Nobody can sign in", "Entra ID does not know the tenant in CALENDAR_ADMIN_TENANT_ID."
        ) from error

"""The way to Exchange that the configuration asks for."""

from __future__ import annotations

from shared.auth.application import ApplicationTokens
from shared.auth.bearer import BearerTransport
from shared.auth.delegated import DelegatedTokens
from shared.auth.entra import ANY_ORGANIZATION, Registration
from shared.auth.ntlm import NtlmLanes
from shared.auth.sign_in import SignInStore
from shared.ews.client import ExchangeClient
from shared.ews.discovery import Found, Search
from shared.ews.discovery_client import discover
from shared.ews.source import ExchangeSource
from shared.ews.transport import Transport, open_client, tls_context
from shared.settings import ExchangeSettings, NameResolving, SupportedAccounts, SyncType

type ExchangeTransport = NtlmLanes | BearerTransport


def registration_of(settings: ExchangeSettings, authority: str = "") -> Registration:
    """The application as it is registered; ``authority`` takes the place of the cloud's own."""
    several = settings.supported_accounts is SupportedAccounts.SEVERAL
    return Registration(
        settings.client_id,
        ANY_ORGANIZATION
        if several and settings.sync_type is SyncType.CLOUD_DELEGATED
        else settings.tenant_id,
        settings.client_secret.get_secret_value(),
        settings.client_certificate.get_secret_value(),
        settings.cloud,
        settings.scope,
        authority,
    )


def delegated_tokens(settings: ExchangeSettings, store: SignInStore, authority: str = "") -> DelegatedTokens:
    """Begins, completes, shows and revokes the sign-in. Raises SettingsError."""
    return DelegatedTokens(registration_of(settings, authority), tls_context(settings.certificate), store)


def open_transport(
    settings: ExchangeSettings, store: SignInStore, *, connections: int, authority: str = ""
) -> ExchangeTransport:
    """Signs in as the sync type says, on so many connections at most. Raises SettingsError."""
    most = settings.max_subscriptions
    connections = min(connections, most)
    tls = tls_context(settings.certificate)
    if settings.sync_type is SyncType.CLOUD_APP_ONLY:
        tokens: ApplicationTokens | DelegatedTokens = ApplicationTokens(
            registration_of(settings, authority), tls
        )
    elif settings.sync_type is SyncType.CLOUD_DELEGATED:
        tokens = delegated_tokens(settings, store, authority)
    else:
        return NtlmLanes(
            settings.user,
            settings.password.get_secret_value(),
            tls,
            lanes=connections,
            most_requests=most,
            channel_binding=settings.channel_binding,
            allow_plain_http=settings.allow_plain_http,
        )
    urls = [settings.cloud.ews_url, settings.ews_url]
    return BearerTransport(tokens, tls, urls, connections=connections, most_requests=most)


def source_at(
    url: str, transport: Transport, settings: ExchangeSettings, status_frequency: int
) -> ExchangeSource:
    """Exchange at an address, with a sign of life after so many quiet minutes. Raises SettingsError."""
    return ExchangeSource(
        ExchangeClient(url, transport, allow_plain_http=settings.allow_plain_http),
        settings.name_resolving is NameResolving.CANDIDATE_USERS,
        status_frequency,
        # An application has no mailbox of its own.
        settings.user if settings.sync_type is SyncType.CLOUD_APP_ONLY else None,
    )


async def find_exchange(search: Search, settings: ExchangeSettings) -> Found:
    """Carry a search by autodiscover through, signed in with NTLM. Raises ExchangeError."""
    tls = tls_context(settings.certificate)
    lanes = NtlmLanes(
        settings.user,
        settings.password.get_secret_value(),
        tls,
        lanes=1,
        channel_binding=settings.channel_binding,
    )
    try:
        async with open_client(tls, connections=1) as client:
            return await discover(search, lanes, client)
    finally:
        await lanes.aclose()

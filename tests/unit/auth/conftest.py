"""A running Entra ID, certificates, a clock, and a place for sign-ins."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from dev.entra import EntraSimulator, SigningKey
from tests.unit.auth.pairs import KeyPair, make_pair


@pytest.fixture(scope="session")
def key() -> SigningKey:
    """Making one takes a while."""
    return SigningKey()


@pytest.fixture
async def entra(key: SigningKey) -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator(key=key) as entra:
        yield entra


@pytest.fixture
def tls(entra: EntraSimulator) -> ssl.SSLContext:
    """Trusts the simulated Entra ID."""
    return ssl.create_default_context(cadata=entra.ca_pem)


@pytest.fixture(scope="session")
def pair() -> KeyPair:
    """A certificate and its key."""
    return make_pair()


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    """Another one."""
    return make_pair()


class Clock:
    """The present, which can be put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        self._ahead += by


@pytest.fixture
def clock() -> Clock:
    return Clock()

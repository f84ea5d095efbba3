"""A running Entra ID and a client by hand."""

from collections.abc import AsyncIterator

import pytest

from dev.entra import EntraSimulator, SigningKey
from tests.unit.auth.pairs import KeyPair, make_pair
from tests.unit.dev.entra.client import OauthClient


@pytest.fixture(scope="session")
def key() -> SigningKey:
    """Making one takes a while."""
    return SigningKey()


@pytest.fixture
async def entra(key: SigningKey) -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator(key=key) as entra:
        yield entra


@pytest.fixture
async def client(entra: EntraSimulator) -> AsyncIterator[OauthClient]:
    client = OauthClient(entra)
    async with client.http:
        yield client


@pytest.fixture(scope="session")
def pair() -> KeyPair:
    """A certificate and its key."""
    return make_pair()


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    """Another one."""
    return make_pair()

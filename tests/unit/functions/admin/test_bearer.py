"""Where the keys come from that access tokens are verified with."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dev.entra import EntraSimulator, SigningKey
from functions.admin.bearer import ROLE, BearerTokens, KeysUnavailable, TokenRefused


@pytest.fixture
async def entra() -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator() as entra:
        yield entra


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def tokens(entra: EntraSimulator, clock: Clock | None = None) -> BearerTokens:
    return BearerTokens(
        entra.url,
        entra.directory.tenants[0].id,
        entra.application.client_id,
        ssl.create_default_context(cadata=entra.ca_pem),
        clock or Clock(),
    )


def sign(entra: EntraSimulator, key: SigningKey) -> str:
    now = int(entra._now())
    claims: dict[str, Any] = {
        "iss": f"{entra.authority}/v2.0",
        "aud": entra.application.client_id,
        "azp": "script",
        "roles": [ROLE],
        "nbf": now,
        "exp": now + 60,
    }
    return key.sign(claims)


async def test_keys_are_read_once(entra: EntraSimulator) -> None:
    bearer = tokens(entra)
    for _ in range(3):
        assert (await bearer.verify(sign(entra, entra.key))).name == "application script"
    assert entra.statistics.discoveries == 1


async def test_a_new_key_is_found_but_not_asked_for_with_every_forged_token(entra: EntraSimulator) -> None:
    clock = Clock()
    bearer = tokens(entra, clock)
    await bearer.verify(sign(entra, entra.key))
    former, entra.key = entra.key, SigningKey()
    for _ in range(5):
        with pytest.raises(TokenRefused):
            await bearer.verify(sign(entra, entra.key))
    assert entra.statistics.discoveries == 1
    clock.seconds += 61
    await bearer.verify(sign(entra, entra.key))
    assert entra.statistics.discoveries == 2
    with pytest.raises(TokenRefused):
        await bearer.verify(sign(entra, former))


async def test_keys_are_read_again_after_a_day(entra: EntraSimulator) -> None:
    clock = Clock()
    bearer = tokens(entra, clock)
    await bearer.verify(sign(entra, entra.key))
    clock.seconds += 24 * 3600
    await bearer.verify(sign(entra, entra.key))
    assert entra.statistics.discoveries == 2


async def test_nobody_is_let_in_while_the_keys_cannot_be_read(entra: EntraSimulator) -> None:
    await entra.go_away()
    with pytest.raises(KeysUnavailable):
        await tokens(entra).verify(sign(entra, entra.key))
    await entra.come_back()
    bearer = BearerTokens(entra.url, "another", "client", ssl.create_default_context(cadata=entra.ca_pem))
    with pytest.raises(KeysUnavailable):
        await bearer.verify(sign(entra, entra.key))

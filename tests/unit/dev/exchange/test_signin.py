"""NTLM: who gets in, and on which connection."""

from __future__ import annotations

import pytest

from dev.exchange import ExchangeSimulator
from dev.exchange.signin import ExtendedProtection
from tests.unit.dev.exchange.client import Client, envelope, resolve_names, server_end_point

REQUEST = envelope(resolve_names("smtp:anna"), who=None)


async def test_without_sign_in_both_schemes_are_offered(exchange: ExchangeSimulator) -> None:
    async with Client(exchange, sign_in=False) as client:
        response = await client.post(REQUEST)
    assert response.status_code == 401
    assert response.headers.get_list("WWW-Authenticate") == ["NTLM", "Negotiate"]


async def test_a_connection_is_signed_in_once(exchange: ExchangeSimulator) -> None:
    async with Client(exchange) as client:
        for _ in range(3):
            assert (await client.post(REQUEST)).status_code == 200
    assert exchange.statistics.sign_ins == exchange.statistics.challenges == 1


async def test_another_connection_must_sign_in_itself(exchange: ExchangeSimulator) -> None:
    async with Client(exchange) as first, Client(exchange, sign_in=False) as second:
        assert (await first.post(REQUEST)).status_code == 200
        assert (await second.post(REQUEST)).status_code == 401
        assert (await first.post(REQUEST)).status_code == 200
    assert exchange.statistics.connections == 2


async def test_the_token_of_one_connection_is_worthless_on_another(exchange: ExchangeSimulator) -> None:
    async with Client(exchange, sign_in=False) as first, Client(exchange, sign_in=False) as second:
        await first.negotiate()
        assert (await second.post(REQUEST)).status_code == 401


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("EXAMPLE\\calendar", "wrong"),
        ("EXAMPLE\\somebody", "correct horse"),
        ("OTHER\\calendar", "correct horse"),
    ],
)
async def test_a_wrong_account_gets_no_further_challenge(
    exchange: ExchangeSimulator, user: str, password: str
) -> None:
    async with Client(exchange, user=user, password=password, sign_in=False) as client:
        response = await client.negotiate()
        assert response.status_code == 401
        assert response.headers.get_list("WWW-Authenticate") == ["NTLM", "Negotiate"]
        assert (await client.post(REQUEST)).status_code == 401
    assert exchange.statistics.refused_sign_ins == 1
    assert exchange.statistics.sign_ins == 0


async def test_negotiate_carries_ntlm_too(exchange: ExchangeSimulator) -> None:
    async with Client(exchange, sign_in=False) as client:
        assert (await client.negotiate("Negotiate")).status_code != 401
        assert (await client.post(REQUEST)).status_code == 200


@pytest.mark.parametrize("token", ["!", "TlRMTVNTUAA=", "AAAA", "TlRMTVNTUAADAAAA"])
async def test_broken_tokens_are_refused(exchange: ExchangeSimulator, token: str) -> None:
    async with Client(exchange, sign_in=False) as client:
        response = await client.post(REQUEST, Authorization=f"NTLM {token}")
    assert response.status_code == 401
    assert exchange.statistics.refused_sign_ins == 1


def test_an_account_with_a_colon_is_refused() -> None:
    with pytest.raises(ValueError, match="colon"):
        ExchangeSimulator(password="a:b")


async def test_a_changed_password_locks_new_connections_out(exchange: ExchangeSimulator) -> None:
    async with Client(exchange) as before:
        exchange.sign_in.set_account(exchange.user, "new")
        assert (await before.post(REQUEST)).status_code == 200
    async with Client(exchange, sign_in=False) as old:
        assert (await old.negotiate()).status_code == 401
    async with Client(exchange, password="new") as new:
        assert (await new.post(REQUEST)).status_code == 200


@pytest.mark.parametrize(
    ("protection", "right", "none", "wrong"),
    [("off", True, True, True), ("allow", True, True, False), ("require", True, False, False)],
)
async def test_extended_protection_wants_the_binding_of_this_tls_connection(
    protection: ExtendedProtection, right: bool, none: bool, wrong: bool
) -> None:
    async with ExchangeSimulator(extended_protection=protection) as exchange:
        bindings = {
            server_end_point(exchange): right,
            None: none,
            b"tls-server-end-point:" + bytes(32): wrong,
        }
        for binding, accepted in bindings.items():
            async with Client(exchange, binding=binding, sign_in=False) as client:
                await client.negotiate()
                assert ((await client.post(REQUEST)).status_code == 200) is accepted

"""A certificate that takes the place of a secret."""

from __future__ import annotations

import traceback

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from shared.auth.certificate import read_certificate
from shared.errors import SettingsError
from tests.unit.auth.pairs import EXPIRES, KeyPair, make_pair


def fault_of(pem: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_certificate(pem)
    assert caught.value.field == "exchange.client_certificate"
    assert caught.value.remedy
    for block in pem.split("\n")[1:2]:
        assert not block or block not in "".join(traceback.format_exception(caught.value))
    return caught.value.fault


def test_certificate_and_key_are_found_in_any_order(pair: KeyPair) -> None:
    for pem in (pair.key + pair.certificate, pair.certificate + pair.key, f"Bag Attributes\n{pair.pem}\n"):
        found = read_certificate(pem)
        assert (found.certificate, found.key) == (pair.certificate, pair.key)
        assert found.expires == EXPIRES


def test_line_ends_do_not_matter(pair: KeyPair) -> None:
    assert read_certificate(pair.pem.replace("\n", "\r\n")).certificate == pair.certificate


def test_a_chain_may_come_with_it_in_any_order(pair: KeyPair, other_pair: KeyPair) -> None:
    pem = other_pair.certificate + pair.certificate + pair.key
    assert read_certificate(pem).certificate == pair.certificate


def test_the_key_is_not_shown(pair: KeyPair) -> None:
    assert pair.key.split("\n")[1] not in repr(read_certificate(pair.pem))


def test_each_fault_has_a_sentence_of_its_own(pair: KeyPair, other_pair: KeyPair) -> None:
    key = load_pem_private_key(pair.key.encode(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    lines = pair.key.split("\n")
    faults = [
        fault_of("hello"),
        fault_of(pair.certificate),
        fault_of(pair.key),
        fault_of(locked + pair.certificate),
        fault_of("\n".join([*lines[:3], *lines[8:]]) + pair.certificate),
        fault_of(make_pair(elliptic=True).pem),
        fault_of(pair.key + other_pair.certificate),
    ]
    assert faults[1] == "has no private key"
    assert "password" in faults[3]
    assert faults[4] == "is damaged"
    assert len(set(faults)) == len(faults)


def test_a_damaged_certificate_is_refused(pair: KeyPair) -> None:
    lines = pair.certificate.split("\n")
    assert fault_of("\n".join([*lines[:2], *lines[5:]]) + pair.key) == "is damaged"

"""Secrets at rest, and the secret part of callback addresses."""

import base64
import hmac

import pytest
from cryptography.fernet import Fernet

from shared.cipher import Cipher
from shared.errors import SettingsError

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.mark.parametrize("secret", ["secret", "", " blanks ", "geheimnis-ä€😀", "x" * 5000])
def test_a_secret_comes_back_as_it_was(secret: str) -> None:
    cipher = Cipher([NEW])
    token = cipher.encrypt(secret)
    assert cipher.decrypt(token) == secret
    assert token != secret
    assert not secret or secret not in token


def test_the_same_secret_never_looks_the_same() -> None:
    cipher = Cipher([NEW])
    assert cipher.encrypt("secret") != cipher.encrypt("secret")


def test_after_a_rotation_former_secrets_are_still_read_and_new_ones_need_the_new_key() -> None:
    token = Cipher([OLD]).encrypt("secret")
    rotated = Cipher([NEW, OLD])
    assert rotated.decrypt(token) == "secret"
    assert Cipher([NEW]).decrypt(rotated.encrypt("secret")) == "secret"


@pytest.mark.parametrize("damaged", ["", "secret", "ä", "gAAAAA"])
def test_what_no_key_fits_is_a_setting_to_mend(damaged: str) -> None:
    for token in (damaged, Cipher([OLD]).encrypt("secret")):
        with pytest.raises(SettingsError) as caught:
            Cipher([NEW, OTHER]).decrypt(token)
        assert caught.value.field == "CALENDAR_ENCRYPTION_KEYS"
        assert caught.value.fault == "a stored secret was encrypted with another key"
        assert caught.value.remedy == "Add the former key behind the new one, or enter the secret again."


def test_a_signature_is_40_hex_digits_and_always_the_same() -> None:
    signature = Cipher([NEW]).sign("a" * 32)
    assert len(signature) == 40
    assert set(signature) <= set("0123456789abcdef")
    assert signature == Cipher([NEW]).sign("a" * 32)


def test_a_signature_fits_only_its_own_text_and_key() -> None:
    cipher = Cipher([NEW])
    signature = cipher.sign("a" * 32)
    assert cipher.verify("a" * 32, signature)
    assert not cipher.verify("b" * 32, signature)
    assert not Cipher([OTHER]).verify("a" * 32, signature)
    assert cipher.sign("a" * 32) != Cipher([OTHER]).sign("a" * 32)


def test_after_a_rotation_addresses_given_to_exchange_before_are_still_good() -> None:
    former = Cipher([OLD]).sign("a" * 32)
    rotated = Cipher([NEW, OLD])
    assert rotated.verify("a" * 32, former)
    assert rotated.sign("a" * 32) == Cipher([NEW]).sign("a" * 32)


@pytest.mark.parametrize("forged", ["", "0" * 40, "ä" * 40, "\ud800"])
def test_a_made_up_signature_is_refused_whatever_it_holds(forged: str) -> None:
    assert not Cipher([NEW]).verify("a" * 32, forged)
    assert not Cipher([NEW]).verify("\ud800", forged)


def test_neither_keys_nor_secrets_are_in_what_is_printed_or_said() -> None:
    cipher = Cipher([NEW])
    with pytest.raises(SettingsError) as caught:
        cipher.decrypt(Cipher([OLD]).encrypt("topsecret"))
    for text in (repr(cipher), str(cipher), str(caught.value), repr(caught.value)):
        assert NEW not in text
        assert "topsecret" not in text


def test_a_signature_does_not_betray_the_key_of_the_encryption() -> None:
    """The signing key is derived: whoever knows it can't decrypt."""
    plain = hmac.digest(base64.urlsafe_b64decode(NEW), b"text", "sha256").hex()[:40]
    assert Cipher([NEW]).sign("text") != plain


def test_a_fingerprint_tells_secrets_apart_and_needs_the_newest_key_only() -> None:
    first = Cipher([NEW]).fingerprint("secret")
    assert first == Cipher([NEW, OLD]).fingerprint("secret")
    assert len({first, Cipher([NEW]).fingerprint("other"), Cipher([OLD]).fingerprint("secret")}) == 3
    assert len(first) == 40
    assert first != Cipher([NEW]).sign("secret"), "it gives no callback address away"

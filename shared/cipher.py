"""Encryption of the configuration's secrets, their fingerprints, and the secret in callback addresses."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shared.errors import SettingsError


class Cipher:
    """Encrypts the configuration's secrets and signs callback addresses.

    Several keys allow rotation: the first encrypts and signs, all decrypt and verify.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        keys = tuple(keys)
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._fingerprinting = _derive(keys[0], b"fingerprint")
        self._signing = tuple(_derive(key, b"callback") for key in keys)

    def encrypt(self, secret: str) -> str:
        """Encrypt a secret for storage."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Read a stored secret.

        Raises:
            SettingsError: none of the keys fits.
        """
        try:
            return self._fernet.decrypt(token).decode()
        except (InvalidToken, ValueError) as error:
            raise SettingsError(
                "CALENDAR_ENCRYPTION_KEYS",
                "a stored secret was encrypted with another key",
                "Add the former key behind the new one, or enter the secret again.",
            ) from error

    def fingerprint(self, secret: str) -> str:
        """40 hex digits by which a change of a secret is noticed, but the secret not guessed."""
        return _signature(self._fingerprinting, secret)

    def sign(self, text: str) -> str:
        """The secret part of a callback address for ``text``: 40 hex digits."""
        return _signature(self._signing[0], text)

    def verify(self, text: str, signature: str) -> bool:
        """Whether ``signature`` was made for ``text`` with one of the keys, compared in constant time."""
        results = [
            hmac.compare_digest(_signature(key, text).encode(), _bytes(signature)) for key in self._signing
        ]
        return any(results)


def _derive(key: str, purpose: bytes) -> bytes:
    return hmac.digest(base64.urlsafe_b64decode(key), purpose, "sha256")


def _signature(key: bytes, text: str) -> str:
    return hmac.digest(key, _bytes(text), "sha256").hex()[:40]


def _bytes(text: str) -> bytes:
    # An address that somebody made up may hold what is no Unicode.
    return text.encode("utf-8", "surrogatepass")

"""The key that signs tokens, and how anybody verifies them.

Source: RFC 7517 (JWKS), *Access tokens in the Microsoft identity platform*.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


class InvalidToken(Exception):
    """A token is no token, is not signed by this Entra ID, is for somebody else, or is out of its time."""


class SigningKey:
    """A new RSA key."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._private.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        exponent = numbers.e.to_bytes(3, "big")
        self._id = _base64url(hashlib.sha256(modulus).digest())[:27]
        self._public = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self._id,
            "n": _base64url(modulus),
            "e": _base64url(exponent),
        }

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key as the JSON Web Key Set that the simulator serves."""
        return {"keys": [self._public]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self._private, "RS256", {"kid": self._id})


def claims_of(token: str, jwks: Mapping[str, Any], audience: str) -> dict[str, Any]:
    """The claims of a token, verified: RS256 by a key of ``jwks``, for ``audience``, within its time.

    Raises InvalidToken.
    """
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next(jwt.PyJWK(row) for row in jwks["keys"] if row["kid"] == kid)
        claims: dict[str, Any] = jwt.decode(
            token, key, ["RS256"], audience=audience, options={"require": ["exp", "iss", "aud"]}
        )
    except (jwt.PyJWTError, StopIteration) as error:
        raise InvalidToken(str(error) or "signed with an unknown key") from error
    return claims


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

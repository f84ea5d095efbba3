"""The certificate with which an application signs in, in place of a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import SettingsError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate and its private key, both PEM; ``expires`` in UTC."""

    certificate: str
    key: str = field(repr=False)
    expires: datetime


def read_certificate(pem: str) -> ClientCertificate:
    """Read a PEM that holds a certificate and its unencrypted RSA key, in any order, perhaps with a chain.

    Raises SettingsError.
    """
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(pem)]
    keys = [text for label, text in blocks if label.endswith("PRIVATE KEY")]
    certificates = [text for label, text in blocks if label == "CERTIFICATE"]
    if not keys and not certificates:
        raise _wrong(
            "is not in PEM form", "Paste the certificate and its private key, both with their BEGIN lines."
        )
    if not keys:
        raise _wrong("has no private key", "Paste the private key (BEGIN PRIVATE KEY) below the certificate.")
    if not certificates:
        raise _wrong("has a private key only", "Paste the certificate (BEGIN CERTIFICATE) as well.")
    if "ENCRYPTED" in keys[0]:
        raise _wrong(
            "has a private key that is protected by a password",
            "Export the key without one; it is stored encrypted here.",
        )
    try:
        key = load_pem_private_key(keys[0].encode(), None)
        chain = [x509.load_pem_x509_certificate(text.encode()) for text in certificates]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # without its cause, which may quote the key
        raise _wrong("is damaged", "Export it again and paste all of it.") from None
    if not isinstance(key, RSAPrivateKey):
        raise _wrong("has a key that is not RSA", "Make a certificate with an RSA key of 2048 bits or more.")
    own = next((certificate for certificate in chain if certificate.public_key() == key.public_key()), None)
    if own is None:
        raise _wrong(
            "has a key that belongs to another certificate", "Paste the key and the certificate of one pair."
        )
    return ClientCertificate(
        own.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        own.not_valid_after_utc,
    )


def _wrong(fault: str, remedy: str) -> SettingsError:
    return SettingsError("exchange.client_certificate", fault, remedy)

"""Certificates with their keys, as an administrator makes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

EXPIRES = datetime(2027, 11, 22, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both in PEM."""

    certificate: str
    key: str

    @property
    def pem(self) -> str:
        return self.key + self.certificate

    @property
    def thumbprint(self) -> str:
        """SHA-256, as RFC 7515 writes it in x5t#S256."""
        digest = x509.load_pem_x509_certificate(self.certificate.encode()).fingerprint(hashes.SHA256())
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_pair(*, elliptic: bool = False) -> KeyPair:
    """A self-signed certificate and its key."""
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "calendar")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EXPIRES - timedelta(days=730))
        .not_valid_after(EXPIRES)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )

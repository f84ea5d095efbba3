from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from shared.auth.channel_binding import binding_of, end_point_binding

type Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
type Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


def certificate(key: Key, algorithm: Hash | None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=9))
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_hashes_as_the_certificate_is_signed(algorithm: Hash) -> None:
    der = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    digest = hashlib.new(algorithm.name, der).digest()
    assert end_point_binding(der) == b"tls-server-end-point:" + digest


def test_hashes_with_sha256_where_the_signature_has_no_hash() -> None:
    der = certificate(ed25519.Ed25519PrivateKey.generate(), None)
    assert end_point_binding(der) == b"tls-server-end-point:" + hashlib.sha256(der).digest()


class _Signed:
    """A certificate with a signature that is no longer made, or unknown."""

    def __init__(self, algorithm: hashes.HashAlgorithm | None) -> None:
        self._algorithm = algorithm

    @property
    def signature_hash_algorithm(self) -> hashes.HashAlgorithm:
        if self._algorithm is None:
            raise UnsupportedAlgorithm("unknown")
        return self._algorithm

    def fingerprint(self, algorithm: hashes.HashAlgorithm) -> bytes:
        return algorithm.name.encode()


@pytest.mark.parametrize("algorithm", [hashes.MD5(), hashes.SHA1(), None])
def test_hashes_with_sha256_where_the_signature_is_weak_or_unknown(
    monkeypatch: pytest.MonkeyPatch, algorithm: hashes.HashAlgorithm | None
) -> None:
    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _: _Signed(algorithm))
    assert end_point_binding(b"") == b"tls-server-end-point:sha256"


class _Connection:
    def __init__(self, tls: object) -> None:
        self._tls = tls

    def get_extra_info(self, name: str) -> object:
        return {"ssl_object": self._tls}.get(name)


def connect(authority: trustme.CA, *, finish: bool) -> ssl.SSLObject:
    """The client's end of a TLS connection in memory."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mail.example.com").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="mail.example.com")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4 if finish else 0):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client


def test_binds_to_the_server_of_a_live_connection() -> None:
    client = connect(trustme.CA(), finish=True)
    der = client.getpeercert(binary_form=True)
    assert der is not None
    assert binding_of(_Connection(client)) == end_point_binding(der)


def test_binds_to_nothing_without_tls() -> None:
    assert binding_of(_Connection(None)) is None
    assert binding_of(object()) is None
    assert binding_of(None) is None


def test_binds_to_nothing_without_a_certificate() -> None:
    class Anonymous(ssl.SSLObject):
        def getpeercert(self, binary_form: bool = False) -> None:
            return None

    assert binding_of(_Connection(Anonymous.__new__(Anonymous))) is None

"""The servers' certificates: one authority, a certificate for each host name, and the bad ones on demand."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import trustme
from cryptography import x509

Certificate = Literal["good", "foreign", "untrusted", "expired"]
"""*foreign* is for another name, *untrusted* by an authority that nobody knows."""

CERTIFICATES = get_args(Certificate)


class Certificates:
    """Makes certificates and chooses among them by the name that a client asks for (SNI).

    ``pem`` is the one for ``host``, which is shown to clients that ask for a name nobody published.
    """

    def __init__(self, host: str) -> None:
        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.known: list[x509.Certificate] = []
        self.ca_pem = self._authority.cert_pem.bytes()
        own = self._authority.issue_cert(host, "127.0.0.1", "::1")
        self.pem = own.cert_chain_pems[0].bytes()
        self.context = self._make_context(own)
        self.context.set_servername_callback(self._choose)

    def publish(self, host: str, kind: Certificate) -> None:
        """Show this certificate to clients that ask for ``host``."""
        authority = trustme.CA() if kind == "untrusted" else self._authority
        yesterday = datetime.now(UTC) - timedelta(days=1) if kind == "expired" else None
        name = "elsewhere.invalid" if kind == "foreign" else host
        self._contexts[host.lower()] = self._make_context(authority.issue_cert(name, not_after=yesterday))

    def withdraw(self, host: str) -> None:
        """Have no certificate for ``host`` any more."""
        self._contexts.pop(host.lower(), None)

    def _make_context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        self.known.append(x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()))
        return context

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: object) -> None:
        tls.context = self._contexts.get((host or "").lower(), self.context)

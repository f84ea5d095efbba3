"""Extended Protection: what ties a sign-in to the TLS connection that carries it.

Exchange 2019 CU14 and later ask for it by default. Sources: RFC 5929 section 4 (tls-server-end-point);
Microsoft, *Configure Windows Extended Protection in Exchange Server*.
"""

from __future__ import annotations

import ssl
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

type ChannelBinding = Literal["auto", "on", "off"]
"""Whether a sign-in is bound to its TLS connection; *auto* tries once without after a refusal."""


def end_point_binding(certificate: bytes) -> bytes:
    """The application data of a channel binding to the server that showed ``certificate`` (DER).

    The hash is that of the certificate's signature; SHA-256 in place of MD5, SHA-1 and what is unknown.
    """
    parsed = x509.load_der_x509_certificate(certificate)
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is None or isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        algorithm = hashes.SHA256()
    return b"tls-server-end-point:" + parsed.fingerprint(algorithm)


def binding_of(connection: object | None) -> bytes | None:
    """The binding to the server at the other end of a live connection; None for one without TLS."""
    look_up = getattr(connection, "get_extra_info", None)
    tls = look_up("ssl_object") if look_up is not None else None
    if not isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)):
        return None
    certificate = tls.getpeercert(binary_form=True)
    return None if certificate is None else end_point_binding(certificate)

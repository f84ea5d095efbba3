"""How an application proves who it is: a client secret, or an assertion signed with its certificate.

Source: *Microsoft identity platform application authentication certificate credentials*, RFC 7523.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from dev.entra.directory import EVERY_ORGANIZATION, Application, Directory
from dev.entra.refusals import Refused, invalid_client, unknown_application

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def find_application(directory: Directory, client_id: str, tenant: str) -> Application:
    """The application that a tenant (or a word for all of them) knows by this id. Raises Refused."""
    application = directory.application(client_id)
    if application is None:
        raise unknown_application(client_id)
    if tenant in EVERY_ORGANIZATION:
        if not application.multi_tenant:
            raise Refused(
                "invalid_request", 50194, "The application is not configured as a multi-tenant application."
            )
    elif application.tenant != tenant and not application.multi_tenant:
        raise unknown_application(client_id)
    if not application.enabled:
        raise Refused("unauthorized_client", 7000112, "The application is disabled.")
    return application


def authenticate(application: Application, form: Mapping[str, str], endpoint: str, now: float) -> None:
    """Check the secret or the assertion of a token request to ``endpoint``. Raises Refused."""
    if form.get("client_assertion_type") == _ASSERTION_TYPE:
        _check_assertion(application, form.get("client_assertion", ""), endpoint)
    elif secret := form.get("client_secret"):
        _check_secret(application, secret, now)
    else:
        raise invalid_client(7000218, "The request body must contain: 'client_assertion' or 'client_secret'.")


def _check_secret(application: Application, value: str, now: float) -> None:
    secret = next((known for known in application.secrets if known.value == value), None)
    if secret is None:
        raise invalid_client(7000215, "Invalid client secret provided.")
    if secret.has_expired(now):
        raise invalid_client(7000222, "The provided client secret keys for the app are expired.")


def _check_assertion(application: Application, assertion: str, endpoint: str) -> None:
    try:
        header = jwt.get_unverified_header(assertion)
        certificate = _certificate(application, header)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise invalid_client(700027, "The key of the certificate is no RSA key.")
        claims = jwt.decode(
            assertion,
            key,
            ["PS256", "RS256"],
            audience=endpoint,
            issuer=application.client_id,
            options={"require": ["exp", "jti", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise invalid_client(700027, f"Client assertion failed signature validation: {error}.") from error
    if claims["sub"] != application.client_id:
        raise invalid_client(700027, "Client assertion contains a wrong subject.")


def _certificate(application: Application, header: Mapping[str, str]) -> x509.Certificate:
    """The registered certificate whose thumbprint the assertion names."""
    for pem in application.certificates:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        thumbprints = {
            "x5t": certificate.fingerprint(hashes.SHA1()),
            "x5t#S256": certificate.fingerprint(hashes.SHA256()),
        }
        if any(_decoded(header.get(name, "")) == value for name, value in thumbprints.items()):
            return certificate
    raise invalid_client(700027, "The certificate with this identifier is not registered on the application.")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

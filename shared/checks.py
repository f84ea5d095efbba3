"""Checks of what an administrator enters: addresses, certificates, passwords."""

from __future__ import annotations

import re
import ssl
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.presence import Fault, FieldError

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(:\d{{1,5}})?")
_MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def wrong(fault: str, remedy: str, field: str = "") -> FieldError:
    """What to raise for a fault of the field that is being checked, or of the one that is named."""
    return FieldError(Fault(field, fault, remedy))


def complete_url(address: str, schemes: tuple[str, ...], path: str = "") -> str:
    """The address of a service that is named by its host or its URL, or empty where it is neither.

    A host gets the first of ``schemes``, an address without a path gets ``path``. Passwords in addresses
    are not accepted.
    """
    if _HOST.fullmatch(address):
        address = f"{schemes[0]}://{address}"
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in schemes or not _HOST.fullmatch(parts.netloc):
        return ""
    return (parts if parts.path.strip("/") else parts._replace(path=path)).geturl()


def check_pem(value: str) -> str:
    """Accept certificates in PEM form, or nothing. Raises FieldError."""
    if value:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
        except (ssl.SSLError, TypeError, ValueError) as error:
            raise wrong(
                "is no certificate in PEM form",
                "Paste from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
            ) from error
    return value


def check_instant(value: str) -> str:
    """Accept an instant with its offset, or nothing. Raises FieldError."""
    if value:
        try:
            sound = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            sound = False
        if not sound:
            raise wrong("is no instant with an offset", "Write it like 2026-11-22T15:00:00Z.")
    return value


def check_mail_address(value: str) -> str:
    """Accept a complete e-mail address, or nothing. Raises FieldError."""
    if value and not _MAIL_ADDRESS.fullmatch(value):
        raise wrong(
            "is not a complete e-mail address", "Write it with its domain, such as calendar@example.com."
        )
    return value


def check_secret(value: SecretStr) -> SecretStr:
    """Accept a secret that can be encrypted and digested. Raises FieldError."""
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise wrong("holds half a character", "Enter it again.") from None
    return value

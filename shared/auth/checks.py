"""Checks of what an administrator enters about the registration in Entra ID."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.auth.certificate import read_certificate
from shared.auth.clouds import Cloud
from shared.checks import wrong
from shared.errors import SettingsError

_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_SCOPE = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/[A-Za-z0-9._-]+")


def check_client_id(value: str) -> str:
    """Accept an application's id in lower case, or nothing. Raises FieldError."""
    if value and not _GUID.fullmatch(value):
        raise wrong(
            "is no application (client) ID",
            "Copy it from the app registration's overview: 32 hexadecimal digits in five groups.",
        )
    return value.lower()


def check_tenant_id(value: str) -> str:
    """Accept a tenant's id or domain, or nothing. Raises FieldError."""
    if value and not (_GUID.fullmatch(value) or _DOMAIN.fullmatch(value)):
        raise wrong(
            "is neither a directory (tenant) ID nor a domain",
            "Copy the ID from the app registration's overview, or write a domain such as example.com.",
        )
    return value.lower()


def check_certificate(value: SecretStr) -> SecretStr:
    """Accept a certificate with its key, or nothing. Raises FieldError."""
    if value:
        try:
            read_certificate(value.get_secret_value())
        except SettingsError as error:
            raise wrong(error.fault, error.remedy) from None
    return value


def check_scope(value: str) -> str:
    """Accept one scope of a resource, or nothing. Raises FieldError."""
    if value and not _SCOPE.fullmatch(value):
        raise wrong("is no scope", "Leave it empty, or write it like https://outlook.office365.com/.default.")
    return value


def check_date(value: str) -> str:
    """Accept a date as ISO 8601 writes it, or nothing. Raises FieldError."""
    try:
        return date.fromisoformat(value).isoformat() if value else value
    except ValueError:
        raise wrong("is no date", "Write it like 2027-05-31.") from None


def other_cloud(address: str, cloud: Cloud) -> Cloud | None:
    """The cloud whose Exchange Online the address leads to, where that is not ``cloud``."""
    host = urlsplit(address).hostname
    found = next((other for other in Cloud if urlsplit(other.resource).hostname == host), None)
    return found if found is not cloud else None

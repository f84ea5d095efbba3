"""What a refusal by Entra ID means for the administrator: which setting is wrong, and what to do.

Codes only, never texts: Entra ID localizes them.

Source: *Microsoft Entra authentication and authorization error codes*; RFC 6749, section 5.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from shared.errors import ExchangeError, ExchangeUnavailable, SignInRefused

RARELY = timedelta(minutes=15)
SOON = timedelta(seconds=30)


class Meaning(Enum):
    """What has to happen: a setting changed, somebody signed in, or nothing but time."""

    SETTING = auto()
    SIGN_IN = auto()
    LATER = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal. ``code`` is AADSTS with a number, or OAuth's word."""

    code: str
    meaning: Meaning
    text: str

    def error(self) -> ExchangeError:
        """What to raise."""
        if self.meaning is Meaning.LATER:
            return ExchangeUnavailable(self.code, self.text, retry_after=SOON)
        return SignInRefused(self.code, self.text, retry_after=RARELY)


type _Row = tuple[Meaning, str]


def _setting(field: str, text: str) -> _Row:
    return Meaning.SETTING, f"exchange.{field}: {text}"


def _sign_in(text: str) -> _Row:
    return Meaning.SIGN_IN, f"exchange.user: {text} Sign in again with Authenticate."


_TENANT = _setting(
    "tenant_id",
    "there is no such tenant in this cloud. Enter the directory (tenant) ID of the app registration's "
    "overview, and check exchange.cloud.",
)
_APPLICATION = _setting(
    "client_id",
    "the tenant knows no such application. Enter the application (client) ID of the app registration's "
    "overview, and check exchange.tenant_id.",
)
_SECRET = _setting(
    "client_secret",
    "it is wrong. Enter the secret's value, not its ID; if that is lost, make a new one in the app "
    "registration.",
)
_CERTIFICATE = _setting(
    "client_certificate",
    "Entra ID does not accept it. Upload this very certificate under Certificates & secrets of the app "
    "registration.",
)
_CLOUD = _setting("cloud", "the tenant lives in another cloud. Choose that one.")
_SCOPE = _setting("scope", "the tenant knows no such resource. Leave it empty for the cloud's own.")
_CONSENT = _setting(
    "client_id",
    "nobody has consented to the application's permissions. An administrator grants consent under API "
    "permissions of the app registration.",
)
_INTERACTION = _sign_in("Entra ID wants the account to prove itself anew (multi-factor, Conditional Access).")
_ENDED = _sign_in("the sign-in has expired or was revoked.")
_ACCOUNT = _sign_in("the account is unknown, disabled, or its password has expired. Repair the account.")
_BUSY: _Row = (Meaning.LATER, "Entra ID is not available at present. Nothing is lost; wait.")

_CODES: dict[int, _Row] = {
    7000215: _SECRET,
    7000222: _setting(
        "client_secret", "it has expired. Make a new one in the app registration and enter it."
    ),
    700027: _CERTIFICATE,
    1000502: _setting(
        "client_certificate",
        "it has expired or is not valid yet. Make a new one and upload it to the app registration.",
    ),
    90002: _TENANT,
    900023: _TENANT,
    700016: _APPLICATION,
    7000229: _APPLICATION,
    7000112: _setting(
        "client_id", "the application is disabled in the tenant. Enable it under Enterprise applications."
    ),
    50194: _setting(
        "supported_accounts",
        "the app registration is for one organization only. Choose 'my organization only', or change the "
        "registration.",
    ),
    90038: _CLOUD,
    90051: _CLOUD,
    900432: _CLOUD,
    500011: _SCOPE,
    70011: _SCOPE,
    1002012: _SCOPE,
    650057: _SCOPE,
    65001: _CONSENT,
    65004: _CONSENT,
    90094: _CONSENT,
    50011: _setting(
        "client_id",
        "the app registration lacks the redirect URI. Add it there as a web platform, as it is shown here.",
    ),
    50105: _setting(
        "client_id",
        "the account is not assigned to the application. Assign it under Enterprise applications.",
    ),
    **dict.fromkeys((50072, 50074, 50076, 50078, 50079, 50158, 53000, 53001, 53003, 53004), _INTERACTION),
    **dict.fromkeys((70000, 70008, 70043, 50089, 50132, 50133, 50173, 54005, 700082, 700084), _ENDED),
    **dict.fromkeys((50034, 50053, 50055, 50057, 50126), _ACCOUNT),
    **dict.fromkeys((50196, 90012, 90024, 90033, 90055), _BUSY),
}

_WORDS: dict[str, _Row] = {
    "invalid_client": _SECRET,
    "unauthorized_client": _APPLICATION,
    "invalid_tenant": _TENANT,
    "invalid_scope": _SCOPE,
    "invalid_resource": _SCOPE,
    "consent_required": _CONSENT,
    "invalid_grant": _ENDED,
    "login_required": _INTERACTION,
    "interaction_required": _INTERACTION,
    "access_denied": _sign_in("the sign-in was broken off."),
    "server_error": _BUSY,
    "temporarily_unavailable": _BUSY,
}

_CODE = re.compile(r"\bAADSTS(\d{5,8})\b", re.ASCII)
_WORD = re.compile(r"[a-z_]{1,40}")


def refusal_of(answer: Mapping[str, Any]) -> Refusal:
    """What an OAuth error answer means: ``error``, and ``error_codes`` or AADSTS in ``error_description``."""
    listed = answer.get("error_codes")
    codes = [code for code in listed if type(code) is int and code > 0] if isinstance(listed, list) else []
    codes += [int(code) for code in _CODE.findall(str(answer.get("error_description", "")))]
    known = next((code for code in codes if code in _CODES), None)
    if known is not None:
        return Refusal(f"AADSTS{known}", *_CODES[known])
    word = str(answer.get("error", ""))
    code = f"AADSTS{codes[0]}" if codes else word if _WORD.fullmatch(word) else "SignIn"
    if word in _WORDS:
        return Refusal(code, *_WORDS[word])
    return Refusal(
        code,
        Meaning.SETTING,
        f"Entra ID refused the sign-in with the code {code}. Look it up at https://login.microsoftonline.com/error.",
    )

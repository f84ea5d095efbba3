"""The digest by which an app proves its password (innovaphone SDK, AppWebsocket)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any


def digest_login(login: dict[str, Any], challenge: str, password: str) -> str:
    """Give the hex SHA-256 that the AppLogin message ``login`` must carry.

    ``login`` has app, domain, sip, guid, dn (absent ones count as empty) and perhaps ``info``, whose
    minified JSON stands between dn and the challenge.
    """
    parts = [str(login.get(name, "")) for name in ("app", "domain", "sip", "guid", "dn")]
    if "info" in login:
        parts.append(json.dumps(login["info"], separators=(",", ":"), ensure_ascii=False))
    return hashlib.sha256(":".join([*parts, challenge, password]).encode(errors="surrogatepass")).hexdigest()


def is_same(left: str, right: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(left.encode(errors="surrogatepass"), right.encode())

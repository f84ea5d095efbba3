"""exchangelib, as it comes, against a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import exchangelib  # type: ignore[import-untyped]
import pytest
import requests.adapters
from exchangelib.protocol import BaseProtocol  # type: ignore[import-untyped]

from dev.exchange import ExchangeSimulator


def connect(
    exchange: ExchangeSimulator,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    address: str = "anna@example.com",
    password: str | None = None,
) -> exchangelib.Account:
    """An account that impersonates ``address``; exchangelib trusts the simulator's authority."""
    authority = folder / "ca.pem"
    authority.write_bytes(exchange.ca_pem)

    class Adapter(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, str(authority), cert)

    monkeypatch.setattr(BaseProtocol, "HTTP_ADAPTER_CLS", Adapter)
    configuration = exchangelib.Configuration(
        service_endpoint=exchange.ews_url,
        credentials=exchangelib.Credentials(exchange.user, password or exchange.password),
        auth_type=exchangelib.NTLM,
        max_connections=1,
    )
    return exchangelib.Account(
        address, config=configuration, autodiscover=False, access_type=exchangelib.IMPERSONATION
    )

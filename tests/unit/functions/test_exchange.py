"""The way to Exchange is as wide as the administrator allows."""

from typing import Any

import pytest

from functions.exchange import open_transport
from shared.settings import ExchangeSettings, parse_section
from tests.unit.auth.memory import MemoryStore

ON_PREMISES = {"sync_type": "on-premises", "user": "calendar@example.com", "password": "secret"}
CLOUD = {
    "sync_type": "cloud-app-only",
    "user": "calendar@example.com",
    "client_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "tenant_id": "example.com",
    "client_secret": "secret",
}


@pytest.mark.parametrize("way", [ON_PREMISES, CLOUD])
@pytest.mark.parametrize(("most", "connections"), [(3, 3), (1000, 20)])
async def test_no_more_connections_and_no_more_mailboxes_on_each_than_configured(
    way: dict[str, Any], most: int, connections: int
) -> None:
    settings = parse_section("exchange", way | {"max_subscriptions": most})
    assert isinstance(settings, ExchangeSettings)
    transport = open_transport(settings, MemoryStore(), connections=20)
    assert (len(transport._lanes._lanes), transport._lanes._most) == (connections, most)
    await transport.aclose()

"""Where each cloud signs in, and where its Exchange is."""

import pytest

from shared.auth.clouds import Cloud
from shared.ews.failures import ONLINE_HOSTS


@pytest.mark.parametrize(
    ("cloud", "authority", "host"),
    [
        ("worldwide", "login.microsoftonline.com", "outlook.office365.com"),
        ("us-government-l4", "login.microsoftonline.us", "outlook.office365.us"),
        ("us-government-l5", "login.microsoftonline.us", "outlook-dod.office365.us"),
        ("china", "login.partner.microsoftonline.cn", "partner.outlook.cn"),
    ],
)
def test_each_cloud_has_its_own_addresses(cloud: str, authority: str, host: str) -> None:
    found = Cloud(cloud)
    assert found.authority == f"https://{authority}"
    assert found.ews_url == f"https://{host}/EWS/Exchange.asmx"
    assert found.scope == f"https://{host}/.default"
    assert host in ONLINE_HOSTS


def test_there_are_four() -> None:
    assert len(Cloud) == 4

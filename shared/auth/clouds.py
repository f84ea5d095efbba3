"""Microsoft's clouds: where each signs in and where its Exchange Online is.

Source: *National clouds* (Microsoft identity platform), *Office 365 URLs* of the US Government and China.
"""

from __future__ import annotations

from enum import StrEnum


class Cloud(StrEnum):
    """The cloud that a tenant lives in."""

    WORLDWIDE = "worldwide"
    US_L4 = "us-government-l4"
    US_L5 = "us-government-l5"
    CHINA = "china"

    @property
    def authority(self) -> str:
        """Where it signs in: an https address without a path."""
        return f"https://{_HOSTS[self][0]}"

    @property
    def resource(self) -> str:
        """Its Exchange Online: an https address without a path."""
        return f"https://{_HOSTS[self][1]}"

    @property
    def ews_url(self) -> str:
        """The address of Exchange Web Services."""
        return f"{self.resource}/EWS/Exchange.asmx"

    @property
    def scope(self) -> str:
        """What a token for Exchange is asked for with."""
        return f"{self.resource}/.default"


_HOSTS = {
    Cloud.WORLDWIDE: ("login.microsoftonline.com", "outlook.office365.com"),
    Cloud.US_L4: ("login.microsoftonline.us", "outlook.office365.us"),
    Cloud.US_L5: ("login.microsoftonline.us", "outlook-dod.office365.us"),
    Cloud.CHINA: ("login.partner.microsoftonline.cn", "partner.outlook.cn"),
}

"""When the secret or the certificate ends, and when to warn of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

WARNINGS = (3, 14, 30)
"""Days before the end on which the administrator is warned."""


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """``days`` are left, none on the last one and less than none after it.

    ``stage`` is which of `WARNINGS` has come, 0 after the end: one warning a stage is enough.
    """

    expires: date
    days: int
    stage: int

    def __str__(self) -> str:
        remedy = "Make a new one in the app registration and enter it."
        if self.days < 0:
            return (
                f"exchange.secret_expires_on: the secret or certificate expired on {self.expires}. {remedy}"
            )
        return (
            f"exchange.secret_expires_on: the secret or certificate expires on {self.expires}, "
            f"in {self.days} days. {remedy}"
        )


def expiry_warning(expires: date | None, today: date) -> ExpiryWarning | None:
    """What to say ``today`` of a secret that ends after the day ``expires``, if anything."""
    if expires is None:
        return None
    days = (expires - today).days
    if days < 0:
        return ExpiryWarning(expires, days, 0)
    return next((ExpiryWarning(expires, days, stage) for stage in WARNINGS if days <= stage), None)

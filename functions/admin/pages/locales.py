"""The languages and the time zones that the pages offer, each to be found by its English name."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from shared.presence import languages

_ENGLISH = {
    "de": "German",
    "fr": "French",
    "it": "Italian",
    "es": "Spanish",
    "nl": "Dutch",
    "pt": "Portuguese",
    "pl": "Polish",
    "cs": "Czech",
    "ru": "Russian",
    "sl": "Slovenian",
    "sv": "Swedish",
    "ca": "Catalan",
    "eu": "Basque",
}

LANGUAGES = tuple(
    sorted(
        (
            (code, each.name if code.startswith("en") else f"{_ENGLISH[code]} ({each.name})")
            for code, each in languages.items()
        ),
        key=lambda choice: choice[1],
    )
)
"""Code and text; a list is searched by typing how a text begins, and the pages are English."""


@cache
def zones() -> list[str]:
    """The IANA names of places, and UTC. They are read from the disk once."""
    return sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")

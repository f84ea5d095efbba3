"""Microsoft's EWS schemas, for the tests that judge messages by them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from dev.exchange.xsd import load_schema

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "ews" / "xsd"
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"


@cache
def _load() -> etree.XMLSchema:
    return load_schema(FOLDER)


def microsofts_schema() -> etree.XMLSchema:
    """The schema, or the test is skipped where nobody has put it."""
    if not (FOLDER / "Messages.xsd").exists():
        pytest.skip("Microsoft's EWS schemas are not in ../shared/ews/xsd beside the checkout")
    return _load()


def response_codes() -> set[str]:
    """Every code that ResponseCodeType knows."""
    microsofts_schema()
    tree = etree.parse(str(FOLDER / "Messages.xsd"))
    name = "{http://www.w3.org/2001/XMLSchema}"
    path = f".//{name}simpleType[@name='ResponseCodeType']//{name}enumeration"
    return {str(entry.get("value")) for entry in tree.getroot().iterfind(path)}


def complaints(envelope: etree._Element, schema: etree.XMLSchema) -> list[str]:
    """What the schema says against the headers and the body of an envelope; SOAP's own elements aside."""
    found = []
    for part in [*envelope.iterfind(f"{SOAP}Header/*"), *envelope.iterfind(f"{SOAP}Body/*")]:
        if not part.tag.startswith(SOAP) and not schema.validate(part):
            found += str(schema.error_log).splitlines()
    return found

"""Microsoft's own schemas, where somebody has them: the judge of what the simulator accepts and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree

_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_XML_SCHEMA = (
    f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_XML_NAMESPACE}">'
    '<xs:attribute name="lang" type="xs:language"/></xs:schema>'
)


class _Neighbours(etree.Resolver):
    """Finds Types.xsd, which Messages.xsd imports as types.xsd, and what that imports without an address."""

    def __init__(self, types: str) -> None:
        self._types = types

    def resolve(self, system_url: str, public_id: str, context: Any = None) -> Any:
        texts = {"xml.xsd": _XML_SCHEMA, "types.xsd": self._types}
        text = texts.get(system_url.rpartition("/")[2])
        return self.resolve_string(text, context, base_url=system_url) if text else None


def load_schema(folder: Path) -> etree.XMLSchema:
    """Messages.xsd and Types.xsd from a folder, as one schema."""
    anonymous = f'<xs:import namespace="{_XML_NAMESPACE}"'
    types = (folder / "Types.xsd").read_text("utf-8-sig").split("?>", 1)[-1].lstrip()
    types = types.replace(anonymous, f'{anonymous} schemaLocation="xml.xsd"')
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Neighbours(types))
    return etree.XMLSchema(etree.parse(str(folder / "Messages.xsd"), parser))

"""The Bicep files as data: what they declare, parsed by a library that knows the language."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, cast

from pycep import BicepParser

ROOT = Path(__file__).resolve().parents[3]
INFRA = ROOT / "infra"
FILES = sorted(INFRA.glob("*.bicep"))
PARAMETER_FILES = sorted(INFRA.glob("*.bicepparam"))

_parser = BicepParser()


@cache
def parse(name: str) -> dict[str, Any]:
    """A file of infra/. Raises lark's errors where it is no Bicep."""
    return parse_text((INFRA / name).read_text())


def parse_text(text: str) -> dict[str, Any]:
    """Bicep as data. Raises lark's errors where it is none.

    The parser knows no parameter files; but for their first word they consist of variables.
    """
    if re.search(r"^using ", text, re.MULTILINE):
        text = re.sub(
            r"^param ", "var ", re.sub(r"^using '.*'$", "", text, flags=re.MULTILINE), flags=re.MULTILINE
        )
    parsed: Any = _parser.parse(text=text)
    return cast("dict[str, Any]", parsed)


def config_of(declared: dict[str, Any]) -> dict[str, Any]:
    """What a resource or a module is, whatever condition or loop it stands in."""
    config: dict[str, Any] = declared["config"]
    while "condition" in config or "loop_type" in config:
        config = config["config"]
    return config


def resources(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """The resources of one type that a file declares, by their symbols."""
    declared = parse(name).get("resources", {})
    return {
        symbol: config_of(resource)
        for symbol, resource in declared.items()
        if resource["type"] == kind and not resource.get("existing")
    }


def strings_of(name: str, variable: str) -> list[str]:
    """A variable that is a list of strings."""
    values: list[str] = parse(name)["variables"][variable]["value"]
    return values


def app_settings() -> dict[str, str]:
    """The app settings that the deployment makes, as they are written."""
    block = (INFRA / "function.bicep").read_text().split("name: 'appsettings'\n", 1)[1]
    block = block.split("properties: {\n", 1)[1].split("\n  }\n", 1)[0]
    return dict(re.findall(r"^    (\w+): (.+)$", block, re.MULTILINE))

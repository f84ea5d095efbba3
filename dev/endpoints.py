"""The lists of addresses in the documentation: ``python -m dev.endpoints`` makes them anew from the code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi.routing import APIRoute

from functions.admin.api.conventions import BASE
from functions.admin.app import ROUTERS
from functions.admin.assets import PREFIX
from functions.admin.gate import OPEN

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {"endpoints": DOCS / "api.md", "addresses": DOCS / "security.md"}
"""The lists, each with the page that has it between two comments of its name."""

NOTIFICATION = "/api/notifications/{guid}/{secret}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the administration: what may be done there, and the first sentence about it."""

    method: str
    path: str
    meaning: str

    @property
    def who(self) -> str:
        """Who is let in by `functions.admin.gate`."""
        if self.path in OPEN or self.path.startswith(PREFIX):
            return "everybody"
        return "session or access token" if self.path.startswith(BASE) else "session"


def find_endpoints() -> Iterator[Endpoint]:
    """All addresses of the administration, in the order in which they are registered."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            first = (route.endpoint.__doc__ or "").split("\n", 1)[0].split(". ")[0].rstrip(".").rstrip(";")
            for method in sorted(route.methods or ()):
                yield Endpoint(method, route.path, first.replace("``", "`").replace("|", "\\|"))


def write_endpoints() -> str:
    """The table of the API's endpoints."""
    rows = [
        f"| `{each.method} {each.path.removeprefix(BASE)}` | {each.meaning} |"
        for each in find_endpoints()
        if each.path.startswith(BASE)
    ]
    return "\n".join(["| endpoint | |", "| --- | --- |", *rows])


def write_addresses() -> str:
    """The table of everything that answers, by who may ask."""
    found: dict[str, list[str]] = {"whoever knows the secret in it": [NOTIFICATION]}
    for each in find_endpoints():
        addresses = found.setdefault(each.who, [])
        if each.path not in addresses:
            addresses.append(each.path)
    rows = [f"| {who} | {', '.join(f'`{path}`' for path in paths)} |" for who, paths in found.items()]
    return "\n".join(["| who gets in | addresses |", "| --- | --- |", *rows])


TABLES = {"endpoints": write_endpoints, "addresses": write_addresses}


def renew(text: str, name: str) -> str:
    """The page with the list as it is now. Raises ValueError where it has no place for it."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    parts = re.fullmatch(rf"(.*{begin}\n).*?({end}.*)", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"no place for {name}")
    return f"{parts[1]}\n{TABLES[name]()}\n\n{parts[2]}"


def main() -> int:
    """Renew all lists."""
    for name, page in PAGES.items():
        page.write_text(renew(page.read_text(), name))
    return 0


if __name__ == "__main__":
    sys.exit(main())

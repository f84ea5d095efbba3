"""Route templates of HTTP triggers: ``users/{guid}``, ``files/{*rest}``.

Follows Microsoft Learn, "Routing in ASP.NET Core: route templates", which the Functions host uses: literal
parts match without regard to case, a value spans slashes only in a catch-all, the most specific route wins.
Optional parameters, constraints and parts of segments are not known here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)\}")


@dataclass(frozen=True)
class Route:
    """A template ready to match, for the methods (upper case; empty: all) of one function."""

    name: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    precedence: tuple[int, ...]


def parse_route(name: str, template: str, methods: Sequence[str] = ()) -> Route:
    """The route of the function ``name``; raises ValueError for a template this host cannot match."""
    pattern, precedence = "", []
    for segment in template.strip("/").split("/"):
        if parameter := _PARAMETER.fullmatch(segment):
            rest, key = parameter.groups()
            pattern += f"(?:/(?P<{key}>.*))?" if rest else f"/(?P<{key}>[^/]+)"
            precedence.append(2 if rest else 1)
        elif "{" in segment or "}" in segment:
            raise ValueError(f"the route segment '{segment}' is not understood")
        else:
            pattern += "/" + re.escape(segment)
            precedence.append(0)
    allowed = frozenset(method.upper() for method in methods)
    return Route(name, allowed, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL), tuple(precedence))


def match_route(routes: Sequence[Route], method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
    """The most specific route for a request, and its parameters.

    None is a 404; the host in Azure gives that for a wrong method too. ``raw_path`` is percent-encoded; the
    values are decoded, except that an encoded slash stays as it is.
    """
    path = unquote(re.sub("%2f", "%252F", raw_path, flags=re.IGNORECASE))
    found = [
        (route, {key: value for key, value in match.groupdict().items() if value})
        for route in routes
        if (not route.methods or method in route.methods) and (match := route.pattern.fullmatch(path))
    ]
    return min(found, key=lambda item: item[0].precedence, default=None)

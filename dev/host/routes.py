"""Route templates of HTTP triggers: ``devices/{id:int}``, ``files/{*rest}``, ``reports/{day?}``.

Follows Microsoft Learn, "Routing in ASP.NET Core: route templates", which the Functions host uses: literal
parts match without regard to case, a value spans slashes only in a catch-all, the most specific route wins.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_CONSTRAINTS = {
    "alpha": "[A-Za-z]+",
    "bool": "true|false",
    "guid": r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?",
    "int": r"-?\d{1,10}",
    "long": r"-?\d{1,19}",
}
_PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[^{}]+)?)(?P<optional>\??)\}")


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
        part, rank = _segment(segment)
        pattern += part
        precedence.append(rank)
    return Route(
        name,
        frozenset(method.upper() for method in methods),
        re.compile(pattern + "/?", re.IGNORECASE),
        tuple(precedence),
    )


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


def _segment(segment: str) -> tuple[str, int]:
    parameters = list(_PARAMETER.finditer(segment))
    rest = _PARAMETER.sub("", segment)
    if "{" in rest or "}" in rest:
        raise ValueError(f"the route segment '{segment}' is not understood")
    if not parameters:
        return "/" + re.escape(segment), 1
    first = parameters[0]
    if len(parameters) == 1 and not rest and (first["all"] or first["optional"]):
        value = ".*" if first["all"] else _value(first)
        return f"(?:/(?P<{first['name']}>{value}))?", 5 if first["all"] else 3
    pattern, end = "/", 0
    for parameter in parameters:
        pattern += (
            re.escape(segment[end : parameter.start()]) + f"(?P<{parameter['name']}>{_value(parameter)})"
        )
        end = parameter.end()
    return pattern + re.escape(segment[end:]), 2 if rest or first["constraints"] else 3


def _value(parameter: re.Match[str]) -> str:
    value = "[^/]+"
    for constraint in filter(None, parameter["constraints"].split(":")):
        if constraint not in _CONSTRAINTS:
            raise ValueError(f"the route constraint '{constraint}' is not known")
        value = _CONSTRAINTS[constraint]
    return value

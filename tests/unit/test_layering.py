"""The rules that keep the structure: what may import what, and what never asks the time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOES_IO = {"httpx", "websockets", "azure", "aiohttp", "msal", "asyncio", "socket", "ssl", "requests"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}
EDGE = re.compile(r"(.*client|transport|session|__main__)\.py")
"""The modules of otherwise pure packages that do the I/O."""

PURE = [
    ROOT / "shared" / "model.py",
    ROOT / "shared" / "errors.py",
    *(
        path
        for package in ("presence", "ews", "pbx")
        for path in sorted((ROOT / "shared" / package).glob("*.py"))
        if not EDGE.fullmatch(path.name)
    ),
]
SOURCES = [
    path for folder in ("functions", "shared", "dev") for path in sorted((ROOT / folder).rglob("*.py"))
] + [ROOT / "function_app.py"]


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def belongs_to(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_do_no_io_and_never_ask_the_time(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in DOES_IO}
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    asked = {
        f"{call.value.id}.{call.attr}"
        for call in calls
        if isinstance(call, ast.Attribute)
        and isinstance(call.value, ast.Name)
        and call.value.id in ("datetime", "date", "time")
        and call.attr in CLOCKS
    }
    assert not asked


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("azure.functions", "functions"),
        ("azure.data.tables", "shared/state"),
        ("azure.storage.queue", "shared/state"),
    ],
)
def test_a_library_of_the_platform_is_known_in_one_place_only(library: str, home: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if any(belongs_to(name, library) for name in imports(path))
    }
    allowed = (f"{home}/", "dev/host/", "function_app.py")
    assert {user for user in users if not user.startswith(allowed)} == set()
    assert any(user.startswith(home) for user in users)


def test_the_shared_package_knows_neither_its_edge_nor_its_tools() -> None:
    for path in (ROOT / "shared").rglob("*.py"):
        assert not [n for n in imports(path) if belongs_to(n, "functions") or belongs_to(n, "dev")], path


def test_use_cases_know_interfaces_and_not_the_storage() -> None:
    for path in (ROOT / "shared" / "sync").glob("*.py"):
        assert not [name for name in imports(path) if belongs_to(name, "shared.state")], path


@pytest.mark.parametrize("simulator", ["exchange", "pbx", "entra", "host", "seed"])
def test_simulators_share_no_code_with_what_they_check(simulator: str) -> None:
    for path in (ROOT / "dev" / simulator).rglob("*.py"):
        assert not [name for name in imports(path) if belongs_to(name, "shared")], path


def test_no_module_grows_past_what_can_be_read_at_once() -> None:
    for path in SOURCES:
        assert path.read_text().count("\n") <= 500, path

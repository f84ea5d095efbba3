"""The threat model names tests that exist, and forgets no address and no secret."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from dev.endpoints import NOTIFICATION, find_endpoints
from shared.environment import Administration, Environment
from shared.settings import SECTIONS, secret_fields
from shared.state.storage import TABLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)

APP_SETTINGS = {
    "storage": "AzureWebJobsStorage",
    "encryption_keys": "CALENDAR_ENCRYPTION_KEYS",
    "client_secret": "CALENDAR_ADMIN_CLIENT_SECRET",
    "session_keys": "CALENDAR_SESSION_KEY",
}
"""The app settings that are kept out of what is printed."""


@cache
def find_tests(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in find_tests(file)


def test_whatever_looks_like_a_test_is_looked_for() -> None:
    assert len(NAMED) >= 60
    assert PAGE.count("::") == len(NAMED)


def test_every_threat_has_a_test_or_says_that_it_stays() -> None:
    rows = re.findall(r"^\| (?!---|threat|what remains)(.+?) \|$", PAGE.split("# Threats\n")[1], re.MULTILINE)
    threats = [cells for row in rows if len(cells := row.split(" | ")) == 3]
    assert len(threats) >= 40
    for threat, _, tests in threats:
        assert re.search(r"`[\w/]+\.py::\w+`|\]\(#what-remains\)", tests), threat


def test_every_address_is_mentioned() -> None:
    for path in {NOTIFICATION, *(each.path for each in find_endpoints())}:
        assert f"`{path}`" in PAGE


def secret_settings() -> list[str]:
    return [f"{section}.{name}" for section in SECTIONS for name in secret_fields(section)]


@pytest.mark.parametrize("name", [*APP_SETTINGS.values(), *secret_settings()])
def test_every_secret_is_mentioned_in_the_table(name: str) -> None:
    table = PAGE.split("# Secrets\n")[1].split("\n## ")[0]
    assert re.search(rf"^\| [^|]*`{re.escape(name)}`", table, re.MULTILINE)


def test_the_secret_app_settings_are_all_known_here() -> None:
    hidden = {each.name for kind in (Environment, Administration) for each in fields(kind) if not each.repr}
    assert hidden == set(APP_SETTINGS)


@pytest.mark.parametrize("table", ["tokens", "checks", "config", "recordings", "audit"])
def test_every_table_with_something_secret_is_mentioned(table: str) -> None:
    assert table in TABLES
    assert f"`{table}`" in PAGE

"""What an administrator or a developer may look up is written down."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.environment import Environment
from shared.presence import languages
from shared.settings import SECTIONS
from shared.state.storage import QUEUES, TABLES

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
README = (ROOT / "README.md").read_text()
HOMEPAGE = "AzureWebJobsDisableHomepage"
"""Read by the host in Azure, which else shows a page of its own."""

SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]


class Recorder(dict[str, str]):
    """A mapping that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(AzureWebJobsStorage="x", CALENDAR_ENCRYPTION_KEYS="A" * 43 + "=")
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> str:
        self.asked.add(key)
        return super().get(key, "https://example.com" if "CALLBACK" in key else "")


def read_app_settings() -> set[str]:
    values = Recorder()
    Environment.read(values)
    return values.asked


def rows(text: str, heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_app_setting_that_is_read_is_documented_and_no_other() -> None:
    assert rows(SETTINGS, "App settings") == read_app_settings() | {HOMEPAGE}


def test_the_sample_of_local_settings_names_only_what_is_read() -> None:
    assert set(SAMPLE) - {"FUNCTIONS_WORKER_RUNTIME", HOMEPAGE} <= read_app_settings()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_the_configuration_is_documented_and_no_other(section: str) -> None:
    assert rows(SETTINGS, section) == set(SECTIONS[section].model_fields)


def test_every_language_is_documented() -> None:
    row = next(line for line in SETTINGS.splitlines() if line.startswith("| `language`"))
    assert set(re.findall(r"`([^`]+)`", row)) - {"language"} == set(languages)


def test_every_table_and_queue_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", ARCHITECTURE.split("# State\n")[1]))
    assert {*TABLES, *QUEUES} <= documented


def test_every_function_is_documented_and_no_other() -> None:
    sources = [path.read_text() for path in (ROOT / "functions").glob("*.py")]
    functions = {name for text in sources for name in re.findall(r"@blueprint[^\0]*?\nasync def (\w+)", text)}
    table = ARCHITECTURE.split("| function |")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == functions


def test_every_command_of_the_makefile_is_documented() -> None:
    commands = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documented = set(
        re.findall(r"^\| `make (\w+)`", (ROOT / "docs" / "development.md").read_text(), re.MULTILINE)
    )
    assert commands - {"help"} == documented


def test_links_between_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_decision_is_listed() -> None:
    records = {path.name for path in (ROOT / "docs" / "adr").glob("0*.md")}
    assert set(re.findall(r"\((0.*?\.md)\)", (ROOT / "docs" / "adr" / "README.md").read_text())) == records

"""What an administrator or a developer may look up is written down."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dev import endpoints
from shared.environment import Environment
from shared.presence import languages
from shared.settings import SECTIONS
from shared.state.storage import QUEUES, TABLES

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text()
PAGES = sorted(
    path
    for folder in (".", "docs", "dev", "tests", "functions", "infra", "shared")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
    if "node_modules" not in path.parts
)
"""Every page of the project."""

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


def test_every_table_is_documented_and_no_other() -> None:
    assert rows(ARCHITECTURE, "State") == set(TABLES)


def test_every_queue_is_documented_and_no_other() -> None:
    line = next(line for line in ARCHITECTURE.splitlines() if line.startswith("Queues: "))
    assert sorted(re.findall(r"`(\w+)`", line)) == sorted(QUEUES)


@pytest.mark.parametrize("name", endpoints.PAGES)
def test_every_address_is_documented_and_no_other(name: str) -> None:
    """`python -m dev.endpoints` renews the lists."""
    text = endpoints.PAGES[name].read_text()
    assert endpoints.renew(text, name) == text


def test_addresses_in_examples_exist() -> None:
    paths = {each.path for each in endpoints.find_endpoints()}
    used = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"/api/admin/v1/[\w{}/.-]+", page.read_text())
    }
    assert len(used) >= 3
    for page, path in used:
        assert any(re.fullmatch(re.sub(r"\{\w+\}", r"[\\w{}]+", known), path) for known in paths), (
            page,
            path,
        )


def warning_codes() -> Iterator[str]:
    """The codes of `shared.sync.status`, read from its source."""
    tree = ast.parse((ROOT / "shared" / "sync" / "status.py").read_text())
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "StatusWarning":
            code = node.args[0]
            if isinstance(code, ast.JoinedStr):
                yield from (f"{system}_unavailable" for system in ("exchange", "pbx"))
                continue
            source = assigned[code.id] if isinstance(code, ast.Name) else code
            choices = [source.body, source.orelse] if isinstance(source, ast.IfExp) else [source]
            yield from (ast.literal_eval(choice) for choice in choices)


def test_every_warning_is_documented_and_no_other() -> None:
    codes = list(warning_codes())
    assert len(codes) >= 10
    assert rows(OPERATIONS, "Warnings of the status page") == set(codes)


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


@cache
def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def commands_in(page: Path) -> list[tuple[str, str]]:
    """Command lines of the project's own, each with the program and its arguments."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    made = re.findall(
        r"make (\w+)(?: ARGS=('[^']*'|\S+))?", " ".join(re.findall(r"`[^`\n]+`|^    .+$", text, re.MULTILINE))
    )
    run = re.findall(
        r"(?:python3? -m |\b)((?:dev|shared|tests)\.[\w.]+|infra/scripts/[\w.-]+)([^`\n]*)", text
    )
    return [(f"make {name}", arguments) for name, arguments in made] + run


def sources_of(program: str) -> str:
    """What parses the options of a command."""
    if program.startswith("make "):
        recipe = re.search(
            rf"^{program[5:]}:.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        assert recipe is not None, program
        modules = re.findall(r"-m ((?:dev|tests)\.[\w.]*\w)(?![\w.])", recipe[1])
        return "".join(sources_of(module) for module in modules)
    if "/" in program:
        return (ROOT / program).read_text()
    path = ROOT / program.replace(".", "/")
    files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return "".join(file.read_text() for file in files) + "--help"


def test_commands_and_their_options_exist() -> None:
    found = [(page, *command) for page in PAGES for command in commands_in(page)]
    assert len(found) >= 20
    for page, program, arguments in found:
        source = sources_of(program)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", arguments):
            assert option in source, f"{page.name}: {program} {option}"


def test_options_in_the_table_of_the_proof_by_faults_exist() -> None:
    text = (ROOT / "docs" / "development.md").read_text().split("# The proof by faults\n")[1]
    options = {
        option for row in re.findall(r"^\| `(--.*?)` \|", text, re.M) for option in re.findall(r"--\w+", row)
    }
    assert {option for option in options if f'"{option}"' not in sources_of("tests.faults")} == set()
    assert options


def test_every_decision_is_listed() -> None:
    records = {path.name for path in (ROOT / "docs" / "adr").glob("0*.md")}
    assert set(re.findall(r"\((0.*?\.md)\)", (ROOT / "docs" / "adr" / "README.md").read_text())) == records


def test_every_measurement_is_documented_and_no_other() -> None:
    names = {path.stem for path in (ROOT / "tests" / "bench").glob("*.py")}
    assert rows(DEVELOPMENT, "Measurements") - {"ARGS="} == names

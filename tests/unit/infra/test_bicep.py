"""What is deployed fits the code: settings, tables, queues, roles, the version of Python."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from lark.exceptions import LarkError

from shared.state.storage import QUEUES, TABLES
from tests.unit.infra.bicep import (
    FILES,
    INFRA,
    PARAMETER_FILES,
    ROOT,
    app_settings,
    config_of,
    parse,
    parse_text,
    resources,
    strings_of,
)
from tests.unit.test_documentation import read_app_settings

READ_BY_THE_PLATFORM = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsDisableHomepage",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_ENABLE_OPENTELEMETRY",
}
"""By the Functions host, the Python worker and Azure Monitor's exporter."""

NOT_SET_IN_AZURE = {
    "AzureWebJobsStorage": "a connection string holds a key; the identity signs in",
    "CALENDAR_AUTHORITY": "names a simulated Entra ID",
    "CALENDAR_ADMIN_CLIENT_SECRET": "the managed identity is the federated credential",
    "WEBSITE_HOSTNAME": "set by Azure",
    "WEBSITE_INSTANCE_ID": "set by Azure",
}

ROLES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": ("monitoring.bicep", "insights"),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": ("storage.bicep", "account"),
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": ("storage.bicep", "account"),
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": ("storage.bicep", "account"),
    "4633458b-17de-408a-b874-0445c86b69e6": ("key.bicep", "secret"),
}
"""What the identity needs, and on what: send telemetry; blobs for the host, queues, tables; read a key."""


@pytest.mark.parametrize("path", [*FILES, *PARAMETER_FILES], ids=lambda path: path.name)
def test_every_file_is_bicep(path: Any) -> None:
    assert parse_text(path.read_text())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("kind: 'functionapp,linux'", "kind 'functionapp,linux'"),
        ("@description('Makes the names unique.')", "@description('Makes the names unique."),
        ("output name string = app.name", "output name string app.name"),
        ("param tags object", "parm tags object"),
    ],
)
def test_the_parser_refuses_what_is_no_bicep(right: str, wrong: str) -> None:
    text = (INFRA / "function.bicep").read_text()
    assert right in text
    with pytest.raises((LarkError, KeyError)):
        parse_text(text.replace(right, wrong, 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_module_gets_the_parameters_it_declares_and_no_other(path: Any) -> None:
    for name, module in parse(path.name).get("modules", {}).items():
        declared = parse(module["detail"]["path"])["parameters"]
        given = set(config_of(module)["params"])
        needed = {key for key, parameter in declared.items() if parameter["default"] is None}
        assert needed <= given <= set(declared), name


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda path: path.name)
def test_a_parameter_file_sets_what_has_no_default_and_only_what_there_is(path: Any) -> None:
    declared = parse("main.bicep")["parameters"]
    given = set(re.findall(r"^param (\w+) =", path.read_text(), re.MULTILINE))
    assert {key for key, parameter in declared.items() if parameter["default"] is None} <= given
    assert given <= set(declared)


def test_every_parameter_of_the_deployment_is_described() -> None:
    for name, parameter in parse("main.bicep")["parameters"].items():
        kinds = {decorator["type"] for decorator in parameter["decorators"]}
        assert "description" in kinds, name


def test_the_values_of_the_parameter_files_are_allowed() -> None:
    declared = parse("main.bicep")["parameters"]
    for path in PARAMETER_FILES:
        for name, value in re.findall(r"^param (\w+) = (\d+|'[^']*')$", path.read_text(), re.MULTILINE):
            given = int(value) if value.isdigit() else value.strip("'")
            for decorator in declared[name]["decorators"]:
                limit = decorator.get("argument")
                if decorator["type"] == "allowed":
                    assert given in limit, name
                elif decorator["type"] == "minValue":
                    assert given >= limit, name
                elif decorator["type"] == "maxValue":
                    assert given <= limit, name


def test_every_setting_that_the_code_reads_is_set() -> None:
    assert read_app_settings() - set(NOT_SET_IN_AZURE) <= set(app_settings())


def test_every_setting_that_is_set_is_read() -> None:
    assert set(app_settings()) - READ_BY_THE_PLATFORM <= read_app_settings()


def test_no_setting_is_left_out_that_is_read_no_more() -> None:
    assert set(NOT_SET_IN_AZURE) <= read_app_settings()
    assert not set(NOT_SET_IN_AZURE) & set(app_settings())


def test_no_setting_holds_a_secret() -> None:
    for name, value in app_settings().items():
        if name.endswith(("_KEY", "_KEYS", "_SECRET")):
            assert value.startswith("'@Microsoft.KeyVault(SecretUri="), name
    assert "listKeys" not in "".join(path.read_text() for path in FILES)


def test_flex_consumption_gets_no_setting_that_it_refuses() -> None:
    refused = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "SCM_DO_BUILD_DURING_DEPLOYMENT"}
    assert not [name for name in app_settings() if name in refused or name.startswith("WEBSITE_")]


def test_every_table_and_queue_is_made_and_no_other() -> None:
    assert set(strings_of("storage.bicep", "tables")) == set(TABLES)
    assert set(strings_of("storage.bicep", "queues")) == set(QUEUES)


def test_the_function_app_runs_the_version_of_python_that_the_project_is_written_for() -> None:
    project = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    app = resources("function.bicep", "Microsoft.Web/sites")["app"]["properties"]
    assert project is not None
    assert app["functionAppConfig"]["runtime"] == {"name": "python", "version": project[1]}


def test_the_storage_opens_to_no_key() -> None:
    account = resources("storage.bicep", "Microsoft.Storage/storageAccounts")["account"]
    assert account["properties"]["allowSharedKeyAccess"] is False
    assert account["properties"]["allowBlobPublicAccess"] is False
    assert account["properties"]["minimumTlsVersion"] == "TLS1_2"


def test_telemetry_is_taken_from_the_identity_alone() -> None:
    insights = resources("monitoring.bicep", "Microsoft.Insights/components")["insights"]
    assert insights["properties"]["DisableLocalAuth"] is True
    assert "Authorization=AAD" in app_settings()["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]


def test_every_role_is_needed_and_every_need_has_a_role() -> None:
    named: dict[str, tuple[str, str]] = {}
    for path in FILES:
        ids = re.findall(r"'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'", path.read_text())
        scopes = {
            resource["scope"]
            for resource in resources(path.name, "Microsoft.Authorization/roleAssignments").values()
        }
        assert bool(ids) == bool(scopes), path.name
        named |= {role: (path.name, scope) for role in ids for scope in scopes}
    assert named == ROLES


def test_the_host_and_the_sample_agree_with_the_deployment() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert host["telemetryMode"] == "OpenTelemetry"
    assert app_settings()["PYTHON_ENABLE_OPENTELEMETRY"] == "'true'"
    local_only = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
    assert set(sample) - local_only <= set(app_settings())

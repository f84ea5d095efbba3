"""The registrations: what they make, that a second run changes nothing, and a dry run nothing at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functions.admin.bearer import ROLE
from tests.unit.infra import azure_cli
from tests.unit.infra.bicep import INFRA, ROOT, parse

SCRIPTS = INFRA / "scripts"
BASH = shutil.which("bash")
PAGE = "https://func-calendar-x.azurewebsites.net"
PRINCIPAL = "33333333-3333-4333-8333-333333333333"
AZD = {"AZURE_ENV_NAME": "test", "PAGE_URL": PAGE, "IDENTITY_PRINCIPAL_ID": PRINCIPAL}

RUNS: dict[str, tuple[str, ...]] = {
    "administrators": ("register-administrators.sh", "--url", PAGE, "--principal-id", PRINCIPAL),
    "administrators by azd": ("register-administrators.sh", "--azd"),
    "others as administrators": ("register-administrators.sh", "--assign", "anna@example.com"),
    "application-only": ("register-exchange-app-only.sh",),
    "all mailboxes": ("register-exchange-app-only.sh", "--all-mailboxes"),
    "delegated": ("register-exchange-delegated.sh", "--redirect-uri", f"{PAGE}/exchange-signed-in"),
}

pytestmark = pytest.mark.skipif(BASH is None, reason="the scripts are written for bash, which is not here")


class Directory:
    """An Entra ID that the scripts work on."""

    def __init__(self, path: Path) -> None:
        self._state = path / "state.json"
        self._commands = path / "commands"
        self._commands.mkdir()
        for name in ("az", "azd"):
            command = self._commands / name
            program = Path(azure_cli.__file__)
            command.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -I -S "{program}" "{self._state}" {name} "$@"\n'
            )
            command.chmod(0o755)

    def run(self, script: str, *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self._commands}:{os.environ['PATH']}"} | AZD
        ended = subprocess.run(
            [str(BASH), str(SCRIPTS / script), *arguments], env=environment, capture_output=True, text=True
        )
        assert (ended.returncode != 0) == fails, ended.stderr
        return ended

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    @property
    def writes(self) -> list[list[str]]:
        return [call["words"] for call in self.state["calls"] if call["writes"]]

    @property
    def application(self) -> dict[str, Any]:
        """The only application."""
        (application,) = self.state["applications"].values()
        return dict(application)

    def change(self, **values: Any) -> None:
        """Change the only application by hand."""
        state = self.state
        state["applications"][self.application["appId"]].update(values)
        self._state.write_text(json.dumps(state))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_second_run_changes_nothing(run: tuple[str, ...], directory: Directory) -> None:
    directory.run(*run)
    first = directory.state
    directory.run(*run)
    second = directory.state
    assert not [call for call in second["calls"] if call["refused"]]
    written = [call["words"] for call in second["calls"][len(first["calls"]) :] if call["writes"]]
    assert [words for words in written if words[0] != "azd"] == []
    assert {**first, "calls": []} == {**second, "calls": []}
    assert "would run: az " not in directory.run(*run, "--dry-run").stderr


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_dry_run_changes_nothing_and_shows_everything(run: tuple[str, ...], directory: Directory) -> None:
    shown = directory.run(*run, "--dry-run").stderr
    assert directory.writes == []
    assert not [call for call in directory.state["calls"] if call["refused"]]
    directory.run(*run)
    for words in directory.writes:
        # A secret and IDs of what is not there yet aside, the same commands.
        if words[0] == "az":
            command = " ".join(words[: next(n for n, word in enumerate(words) if word.startswith("--"))])
            assert f"would run: {command} " in shown


def test_administrators_sign_in_by_role_without_a_secret(directory: Directory) -> None:
    output = directory.run(*RUNS["administrators"]).stdout
    application = directory.application
    assert [role["value"] for role in application["appRoles"]] == [ROLE]
    assert application["audience"] == "AzureADMyOrg"
    assert application["redirectUris"] == [f"{PAGE}/signed-in"]
    assert application["credentials"] == []
    (credential,) = application["federated"]
    assert credential["subject"] == PRINCIPAL
    assert credential["issuer"] == f"https://login.microsoftonline.com/{azure_cli.TENANT}/v2.0"
    assert credential["audiences"] == ["api://AzureADTokenExchange"]
    (principal,) = directory.state["principals"].values()
    assert principal["appRoleAssignmentRequired"] is True
    (assignment,) = directory.state["assignments"][azure_cli.ME]
    assert assignment["appRoleId"] == application["appRoles"][0]["id"]
    assert f"administratorsClientId={application['appId']}\n" in output


def test_the_redirect_uri_and_the_federated_credential_are_those_that_the_page_uses() -> None:
    page = (ROOT / "functions" / "admin" / "app.py").read_text()
    sign_in = (ROOT / "functions" / "admin" / "sign_in.py").read_text()
    script = (SCRIPTS / "register-administrators.sh").read_text()
    assert "/signed-in" in script
    assert '}/signed-in"' in page
    assert "api://AzureADTokenExchange" in script
    assert "api://AzureADTokenExchange" in sign_in


def test_azd_learns_the_ids_and_the_deployment_asks_for_them(directory: Directory) -> None:
    directory.run(*RUNS["administrators by azd"])
    stored = directory.state["environment"]
    assert stored == {
        "CALENDAR_ADMIN_CLIENT_ID": directory.application["appId"],
        "CALENDAR_ADMIN_TENANT_ID": azure_cli.TENANT,
    }
    asked = re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / "main.bicepparam").read_text())
    assert set(stored) <= set(asked)
    assert {"PAGE_URL", "IDENTITY_PRINCIPAL_ID"} <= set(parse("main.bicep")["outputs"])
    assert "infra/scripts/register-administrators.sh --azd" in (ROOT / "azure.yaml").read_text()


def test_what_an_application_has_besides_is_kept(directory: Directory) -> None:
    directory.run("register-administrators.sh")
    other = {"id": "1", "value": "Other.Role"}
    directory.change(appRoles=[other], redirectUris=["https://other.example.com/signed-in"])
    directory.run(*RUNS["administrators"])
    assert [role["value"] for role in directory.application["appRoles"]] == ["Other.Role", ROLE]
    assert directory.application["redirectUris"] == [
        "https://other.example.com/signed-in",
        f"{PAGE}/signed-in",
    ]


def test_two_applications_of_one_name_stop_the_script(directory: Directory) -> None:
    directory.run("register-exchange-app-only.sh")
    state = directory.state
    again = dict(directory.application, appId="another")
    state["applications"]["another"] = again
    directory._state.write_text(json.dumps(state))
    before = len(directory.writes)
    assert "--name" in directory.run("register-exchange-app-only.sh", fails=True).stderr
    assert len(directory.writes) == before


def test_without_a_wish_for_all_mailboxes_no_permission_is_asked_for(directory: Directory) -> None:
    ended = directory.run("register-exchange-app-only.sh", "--group", "CN=Sales,DC=example,DC=com")
    assert directory.application["permissions"] == []
    assert "Application EWS.AccessAsApp" in ended.stderr
    assert "MemberOfGroup -eq 'CN=Sales,DC=example,DC=com'" in ended.stderr
    assert directory.application["appId"] in ended.stderr


@pytest.mark.parametrize(
    ("run", "permission", "kind"),
    [
        ("all mailboxes", "dc890d15-9560-4a4c-9b7f-a736ec74ec40", "Role"),
        ("delegated", "3b5f3d61-589b-4a3c-a359-5dd4b5ee5bd5", "Scope"),
    ],
)
def test_the_permission_is_exchanges_and_consented_to(
    run: str, permission: str, kind: str, directory: Directory
) -> None:
    directory.run(*RUNS[run])
    exchange = "00000002-0000-0ff1-ce00-000000000000"
    assert directory.application["permissions"] == [{"id": permission, "kind": kind, "api": exchange}]
    assert directory.application["consented"] == [permission]


def test_a_secret_is_printed_once_and_not_replaced(directory: Directory) -> None:
    assert "client secret=secret 1\n" in directory.run("register-exchange-app-only.sh").stdout
    assert "client secret" not in directory.run("register-exchange-app-only.sh").stdout
    assert len(directory.application["credentials"]) == 1


def test_a_secret_that_is_there_under_another_name_stays(directory: Directory) -> None:
    directory.run("register-exchange-app-only.sh")
    directory.change(credentials=[{"keyId": "1", "displayName": "by hand"}])
    directory.run("register-exchange-app-only.sh")
    assert [each["displayName"] for each in directory.application["credentials"]] == ["by hand", "calendar"]


@pytest.mark.parametrize("script", ["register-administrators.sh", "register-exchange-app-only.sh"])
def test_an_unknown_option_is_refused_before_anything_is_done(script: str, directory: Directory) -> None:
    ended = directory.run(script, "--unknown", fails=True)
    assert ended.stderr.startswith(f"usage: {script} [--name NAME]")
    assert not directory._state.exists()


def test_a_delegated_registration_needs_its_redirect_uri(directory: Directory) -> None:
    assert "--redirect-uri URI" in directory.run("register-exchange-delegated.sh", fails=True).stderr
    assert not directory._state.exists()


def test_a_command_that_az_does_not_know_fails(directory: Directory) -> None:
    az = directory._commands / "az"
    for words in (
        ["ad", "app", "remove"],
        ["ad", "app", "list", "--nam", "x"],
        ["account", "show", "--query", "a.b"],
    ):
        assert subprocess.run([str(az), *words], capture_output=True).returncode == 2


def test_ews_is_allowed_by_reading_appending_and_writing_and_the_list_comes_first() -> None:
    lines = (SCRIPTS / "allow-ews.ps1").read_text()
    # Without the switch the list reads as empty.
    read = lines.index("$policy = Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy\n")
    assert "$allowed = @($policy.EwsAllowedAppIDs" in lines
    write = lines.index("Set-OrganizationConfig -EwsAllowedAppIDs (($allowed + \"$ClientId\") -join ',')")
    switch = lines.index("Set-OrganizationConfig -EwsEnabled $true")
    assert read < write < switch
    assert lines.count("$PSCmdlet.ShouldProcess(") == lines.count("Set-OrganizationConfig") == 2
    assert "SupportsShouldProcess" in lines


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_has_no_fault_that_shellcheck_knows(path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck is not None, "install dev/requirements.txt"
    ended = subprocess.run([shellcheck, "-x", path.name], cwd=SCRIPTS, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout

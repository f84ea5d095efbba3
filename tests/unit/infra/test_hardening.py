"""What the deployment closes, beyond what the storage and the settings have tests of their own for."""

from __future__ import annotations

import re

from tests.unit.infra.bicep import ROOT, resources


def test_the_function_app_is_reached_over_https_alone() -> None:
    app = resources("function.bicep", "Microsoft.Web/sites")["app"]["properties"]
    assert app["httpsOnly"] is True
    assert app["siteConfig"]["minTlsVersion"] == "1.2"
    assert app["siteConfig"]["ftpsState"] == "Disabled"
    assert app["siteConfig"]["remoteDebuggingEnabled"] is False


def test_nobody_publishes_code_with_a_password() -> None:
    policies = resources("function.bicep", "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [each["properties"]["allow"] for each in policies.values()] == [False]
    assert "for way in ['ftp', 'scm']" in (ROOT / "infra" / "function.bicep").read_text()


def test_the_vault_asks_for_roles_and_logs_who_reads() -> None:
    vault = resources("keys.bicep", "Microsoft.KeyVault/vaults")["vault"]["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    logs = resources("keys.bicep", "Microsoft.Insights/diagnosticSettings")["log"]["properties"]["logs"]
    assert [(each["categoryGroup"], each["enabled"]) for each in logs] == [("audit", True)]


def test_every_library_has_one_version() -> None:
    for name in ("requirements.txt", "dev/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[\w.\[\]-]+==[\w.]+(?: *[;#].*)?", line), line

"""Schemathesis asks the running API whatever its description allows, and a good deal that it forbids."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from functions.admin.api.conventions import BASE
from tests.integration.admin.conftest import Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))


async def test_no_answer_is_undocumented_or_a_fault_of_the_server(running: Running, tmp_path: Path) -> None:
    asked = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "run", f"{running.url}{BASE}/openapi.json"),
        *("--header", f"Authorization: Bearer {running.token()}"),
        *("--checks", ",".join(CHECKS)),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
        *("--suppress-health-check", "all"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "160"},
    )
    output, _ = await asked.communicate()
    assert asked.returncode == 0, output.decode()

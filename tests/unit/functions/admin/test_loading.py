"""The page costs those nothing who never ask for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def test_the_functions_start_without_the_libraries_of_the_page() -> None:
    """A notification that wakes an instance does not wait for them."""
    question = "import sys, function_app; print({'fastapi', 'starlette', 'jinja2', 'jwt'} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "set()"

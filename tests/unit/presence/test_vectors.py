"""Worked cases, each with its settings, appointments and the note that must come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.presence.command import compose_line

VECTORS = Path(__file__).with_name("vectors.jsonl")
CASES: list[dict[str, Any]] = [json.loads(line) for line in VECTORS.read_bytes().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_worked_case_comes_out_as_written(case: dict[str, Any]) -> None:
    answer, good = compose_line(json.dumps(case).encode())

    assert good
    assert answer == case["expect"]

"""A worker that finds its configuration replaced does the effects of that once, over the functions."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

from functions.services import Services, services
from shared.settings import parse_section
from shared.state.storage import Storage
from tests.integration.admin.pages import now
from tests.integration.sync.office import SECTIONS
from tests.unit.test_functions import FUNCTIONS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("app_settings")]


async def save(calendar: Services, **pbx: str) -> None:
    """Store all sections; that alone tells no worker anything."""
    for name, values in SECTIONS.items():
        section = parse_section(name, dict(values) | (pbx if name == "pbx" else {}))
        await calendar.config.save(name, section, None, "admin", now())


async def test_work_that_follows_goes_on_with_the_newer_one(storage: Storage) -> None:
    calendar = await services()
    await save(calendar)
    former = await calendar.configuration()
    await save(calendar, password="another")
    body = json.dumps({"users": [], "reason": "test"}).encode()
    for _ in range(3):
        await FUNCTIONS["publish"].get_user_function()(func.QueueMessage(id="1", body=body))
    assert await storage.waiting("directory") == 1
    assert (await calendar.configuration()).pbx.password != former.pbx.password

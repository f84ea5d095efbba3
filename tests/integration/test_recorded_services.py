"""The debug record of the real services over the simulated Exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dev.exchange import ExchangeSimulator
from functions.services import Services, now
from shared.settings import ExchangeSettings, SyncType
from shared.state.storage import Storage
from tests.storage import environment_of

pytestmark = pytest.mark.integration

ANNA = "anna@example.com"
START = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "subjects", "count"), [(60, False, 1), (60, True, 1), (-1, True, 0), (None, True, 0)]
)
async def test_records_until_the_chosen_time_and_subjects_only_if_asked_for(
    storage: Storage, azurite: str, minutes: int | None, subjects: bool, count: int
) -> None:
    seed = [{"address": ANNA, "appointments": [{"start": "2026-11-22T14:00", "subject": "Salary of Bob"}]}]
    user = "calendar@example.com"
    async with ExchangeSimulator(seed=seed, user=user) as exchange:
        until = "" if minutes is None else (now() + timedelta(minutes=minutes)).isoformat()
        settings = ExchangeSettings.model_validate(
            {
                "sync_type": SyncType.ON_PREMISES,
                "user": user,
                "password": exchange.password,
                "url": exchange.ews_url,
                "certificate": exchange.ca_pem.decode(),
                "debug_until": until,
                "debug_subjects": subjects,
            }
        )
        services = Services(environment_of(azurite))
        reading = await services._source(settings).read(ANNA, START, START + timedelta(hours=48))
        assert [appointment.subject for appointment in reading.appointments] == ["Salary of Bob"]
        records = [each async for each in services.recordings.read()]
        await services.close()
    assert len(records) == count
    for record in records:
        text = repr(record)
        assert (record.place, record.status) == (exchange.ews_url, 200)
        assert "FindItem" in record.request
        assert "Start>2026-11-22T13:00:00Z<" in record.answer
        assert ("Salary of Bob" in text) is subjects
        assert [
            secret for secret in (ANNA, exchange.password, "NTLM", "X-BackEndCookie") if secret in text
        ] == []

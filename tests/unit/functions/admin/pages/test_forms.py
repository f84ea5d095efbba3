"""What the forms' answers become."""

from __future__ import annotations

import pytest

from functions.admin.pages.forms import fill, read_form
from shared.errors import InvalidSettings
from shared.settings import ExchangeSettings, parse_section

ANSWERS = fill("exchange", ExchangeSettings())


def test_an_untouched_form_changes_nothing() -> None:
    values = read_form("exchange", ANSWERS, ExchangeSettings())
    assert parse_section("exchange", values) == ExchangeSettings()


@pytest.mark.parametrize("given", ["", "x", "4", "1.5", "-20", "9" * 5000, "٢٠x"])
def test_what_is_no_such_number_is_a_fault_of_its_field(given: str) -> None:
    values = read_form("exchange", ANSWERS | {"poll_minutes": given}, ExchangeSettings())
    with pytest.raises(InvalidSettings) as refused:
        parse_section("exchange", values)
    assert [each.field for each in refused.value.errors] == ["exchange.poll_minutes"]

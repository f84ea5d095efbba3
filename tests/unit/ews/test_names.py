from __future__ import annotations

import pytest

from shared.errors import MailboxError
from shared.ews.names import Match, choose, parse_matches
from tests.unit.ews import messages
from tests.unit.ews.messages import resolution, resolved

ANNA = Match("anna@example.com", ("a.smith@example.com",), "Mailbox")
ANNABEL = Match("anna@example.com.au", (), "Mailbox")


def test_reads_primary_and_aliases() -> None:
    body = resolved(
        resolution(
            "anna@example.com",
            "smtp:a.smith@example.com",
            "SMTP:Anna@example.com",
            "X500:/o=First/cn=anna",
            "sip:anna@example.com",
            "no prefix",
        )
    )
    assert parse_matches(body) == (Match("Anna@example.com", ("a.smith@example.com",), "Mailbox"),)


def test_reads_a_match_without_contact_data() -> None:
    bare = resolved(resolution("anna@example.com", routing=""), resolution("x", routing=""))
    assert [match.primary for match in parse_matches(bare)] == ["anna@example.com", "x"]
    legacy = resolution("/o=First/cn=anna", routing="<t:RoutingType>EX</t:RoutingType>")
    assert parse_matches(resolved(legacy)) == (Match("", (), "Mailbox"),)


def test_reads_several_matches() -> None:
    body = resolved(resolution("anna@example.com"), resolution("anna@example.com.au", kind="Contact"))
    assert [match.type for match in parse_matches(body)] == ["Mailbox", "Contact"]


def test_an_unknown_address_has_no_match() -> None:
    assert parse_matches(messages.refusal("ResolveNames", "ErrorNameResolutionNoResults")) == ()


@pytest.mark.parametrize("code", ["ErrorNameResolutionNoMailbox", "ErrorNonExistentMailbox"])
def test_raises_what_exchange_reports(code: str) -> None:
    for body in (messages.refusal("ResolveNames", code), messages.fault(code)):
        with pytest.raises(MailboxError) as caught:
            parse_matches(body)
        assert caught.value.code == code


@pytest.mark.parametrize("address", ["anna@example.com", " ANNA@Example.com ", "A.Smith@example.com"])
def test_chooses_the_exact_match_by_primary_or_alias(address: str) -> None:
    assert choose([ANNABEL, ANNA], address) == ANNA


@pytest.mark.parametrize("address", ["anna@example.co", "nn@example.com", ""])
def test_chooses_none_that_merely_begins_alike(address: str) -> None:
    assert choose([ANNABEL, ANNA], address) is None


@pytest.mark.parametrize("kind", ["Contact", "PublicDL", "PrivateDL", "GroupMailbox", "PublicFolder", ""])
def test_refuses_contacts_and_groups(kind: str) -> None:
    assert choose([Match("anna@example.com", (), kind)], "anna@example.com") is None


def test_a_primary_address_outweighs_an_alias() -> None:
    other = Match("other@example.com", ("anna@example.com",), "Mailbox")
    assert choose([other, ANNA], "anna@example.com") == ANNA
    assert choose([other], "anna@example.com") == other


def test_a_match_without_an_address_is_of_no_use() -> None:
    assert choose([Match("", ("anna@example.com",), "Mailbox")], "anna@example.com") is None

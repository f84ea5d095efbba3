"""What is configured: what is accepted, and how each fault is named."""

import traceback
from typing import Any

import pytest
import trustme
from pydantic import SecretStr, ValidationError

from shared.errors import InvalidSettings
from shared.model import Activity
from shared.presence import PresenceRules
from shared.settings import (
    SECTIONS,
    Configuration,
    ExchangeSettings,
    NameResolving,
    PbxSettings,
    PresenceSettings,
    Scope,
    Section,
    SyncType,
    parse_section,
)

PEM = trustme.CA().cert_pem.bytes().decode()


def faults_of(error: InvalidSettings) -> dict[str, str]:
    """Fault and remedy by field; every field once."""
    faults = {fault.field: f"{fault.fault}. {fault.remedy}" for fault in error.errors}
    assert len(faults) == len(error.errors)
    return faults


def refusal(section: str, **values: Any) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        parse_section(section, values)
    return faults_of(caught.value)


def pbx(**values: Any) -> PbxSettings:
    section = parse_section("pbx", values)
    assert isinstance(section, PbxSettings)
    return section


def exchange(**values: Any) -> ExchangeSettings:
    section = parse_section("exchange", values)
    assert isinstance(section, ExchangeSettings)
    return section


def presence(**values: Any) -> PresenceSettings:
    section = parse_section("presence", values)
    assert isinstance(section, PresenceSettings)
    return section


# ---- all sections


def test_nothing_given_is_the_default() -> None:
    assert Configuration() == Configuration(pbx(), exchange(), presence())
    assert set(SECTIONS) == {"pbx", "exchange", "presence"}


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_field_is_refused_and_the_known_ones_are_named(section: str) -> None:
    assert refusal(section, pasword="x") == {
        f"{section}.pasword": f"unknown. Use one of: {', '.join(SECTIONS[section].model_fields)}."
    }


@pytest.mark.parametrize("section", [PbxSettings(), ExchangeSettings(), PresenceSettings()])
def test_a_section_cannot_be_changed(section: Section) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        section.language = "de"  # type: ignore[attr-defined]


@pytest.mark.parametrize("section", ["pbx", "exchange"])
def test_a_password_is_kept_to_the_letter_and_never_printed(section: str) -> None:
    values = parse_section(section, {"password": " top secret "})
    assert isinstance(values, PbxSettings | ExchangeSettings)
    assert values.password.get_secret_value() == " top secret "
    for printed in (repr(values), str(values), repr(values.model_dump())):
        assert "top secret" not in printed


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("pbx", {"address": "//", "password": "topsecret"}),
        ("pbx", {"password": ["topsecret"]}),
        ("pbx", {"password": "topsecret\ud800"}),
        ("exchange", {"url": "//", "password": "topsecret"}),
        ("exchange", {"url": "http://mail.example.com", "password": "topsecret"}),
        ("exchange", {"url": "https://user:topsecret@mail.example.com"}),
        ("pbx", {"address": "wss://user:topsecret@pbx.example.com/PBX0/APPS/websocket"}),
        ("pbx", {"certificate": "topsecret"}),
        ("pbx", {"passwort": "topsecret"}),
        ("presence", {"password": "topsecret"}),
    ],
)
def test_a_refused_secret_is_not_repeated_not_even_in_a_traceback(
    section: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_section(section, values)
    # Without the lines of source, which here hold the values themselves.
    logged = "".join(line for line in traceback.format_exception(caught.value) if "topsecret" in line)
    assert logged == ""


# ---- the PBX


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("", ""),
        ("pbx.example.com", "wss://pbx.example.com/PBX0/APPS/websocket"),
        (" pbx.example.com ", "wss://pbx.example.com/PBX0/APPS/websocket"),
        ("pbx:8443", "wss://pbx:8443/PBX0/APPS/websocket"),
        ("192.0.2.1", "wss://192.0.2.1/PBX0/APPS/websocket"),
        ("[2001:db8::1]:443", "wss://[2001:db8::1]:443/PBX0/APPS/websocket"),
        ("wss://pbx.example.com", "wss://pbx.example.com/PBX0/APPS/websocket"),
        ("wss://pbx.example.com/", "wss://pbx.example.com/PBX0/APPS/websocket"),
        ("WSS://pbx.example.com/dyn/APPS/websocket", "wss://pbx.example.com/dyn/APPS/websocket"),
    ],
)
def test_the_pbx_is_named_by_its_host_or_its_complete_address(address: str, url: str) -> None:
    assert pbx(address=address).url == url


@pytest.mark.parametrize(
    "address",
    [
        "https://pbx.example.com",
        "ws://pbx.example.com/PBX0/APPS/websocket",
        "pbx example",
        "pbx..example.com",
        f"{'a' * 64}.example.com",
        "-pbx",
        "pbx.example.com/PBX0",
        "pbx:99999",
        "wss://",
        "wss://[",
        "wss://[::zz]/x",
        "wss:///PBX0/APPS/websocket",
        "wss://user:password@pbx.example.com/x",
    ],
)
def test_another_address_is_refused(address: str) -> None:
    assert refusal("pbx", address=address) == {
        "pbx.address": "is neither a host name nor a wss:// address. Write it like pbx.example.com."
    }


def test_the_name_of_the_app_does_not_begin_with_a_digit() -> None:
    assert pbx(app="c4").app == "c4"
    assert list(refusal("pbx", app="4c")) == ["pbx.app"]


@pytest.mark.parametrize("section", ["pbx", "exchange"])
@pytest.mark.parametrize(
    "pem",
    ["x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", f"# für den PBX\n{PEM}"],
)
def test_what_tls_cannot_load_is_no_certificate(section: str, pem: str) -> None:
    assert refusal(section, certificate=pem) == {
        f"{section}.certificate": "is no certificate in PEM form. Paste from -----BEGIN CERTIFICATE----- "
        "to -----END CERTIFICATE-----."
    }


@pytest.mark.parametrize("pem", [PEM, PEM + PEM, f"# the PBX\n{PEM}", ""])
def test_certificates_are_accepted(pem: str) -> None:
    assert pbx(certificate=pem).certificate == exchange(certificate=pem).certificate == pem.strip()


def test_a_scope_needs_its_app_or_groups() -> None:
    remedy = "is empty. Fill it in, or choose the scope all."
    assert refusal("pbx", scope="app", scope_groups=["sales"]) == {"pbx.scope_app": remedy}
    assert refusal("pbx", scope="app", scope_app=" ") == {"pbx.scope_app": remedy}
    assert refusal("pbx", scope="groups", scope_app="calendar") == {"pbx.scope_groups": remedy}
    assert pbx(scope="app", scope_app="calendar").scope is Scope.APP
    assert pbx(scope="groups", scope_groups=["sales"]).scope_groups == ("sales",)
    assert pbx(scope="all").scope is Scope.ALL


def test_every_fault_of_the_pbx_is_named_at_once() -> None:
    assert list(
        refusal(
            "pbx", address="//", app="1", password=5, certificate="x", scope="groups", zone="UTC", name=[]
        )
    ) == [
        "pbx.address",
        "pbx.name",
        "pbx.app",
        "pbx.password",
        "pbx.certificate",
        "pbx.scope_groups",
        "pbx.zone",
    ]


def test_an_unknown_scope_is_refused_with_the_known_ones() -> None:
    assert refusal("pbx", scope="some") == {
        "pbx.scope": "Input should be 'all', 'app' or 'groups'. Correct the value."
    }


def test_a_wrong_entry_of_a_list_is_named_by_its_place() -> None:
    assert list(refusal("pbx", scope="groups", scope_groups=["a", 5])) == ["pbx.scope_groups.1"]


# ---- Exchange


@pytest.mark.parametrize(
    ("url", "ews_url"),
    [
        ("", ""),
        ("mail.example.com", "https://mail.example.com/EWS/Exchange.asmx"),
        ("mail.example.com:8443", "https://mail.example.com:8443/EWS/Exchange.asmx"),
        ("https://mail.example.com/", "https://mail.example.com/EWS/Exchange.asmx"),
        ("https://mail.example.com/ews/e.asmx", "https://mail.example.com/ews/e.asmx"),
        ("https://mail.exa\nmple.com/x", "https://mail.example.com/x"),
    ],
)
def test_exchange_is_named_by_its_host_or_its_complete_address(url: str, ews_url: str) -> None:
    assert exchange(url=url).ews_url == ews_url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://mail.example.com",
        "mail example",
        "https://",
        "https://[",
        "https://:p@x/",
        "https://x:70000/",
        "//x",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    assert refusal("exchange", url=url) == {
        "exchange.url": "is neither a host name nor an https:// address. Write it like mail.example.com."
    }


@pytest.mark.parametrize("end", ["svc", "xml", "json/v1.0/calendar@example.com?Protocol=Ews"])
def test_the_url_is_not_where_exchange_is_asked_for_its_address(end: str) -> None:
    assert refusal("exchange", url=f"https://autodiscover.example.com/Autodiscover/autodiscover.{end}") == {
        "exchange.url": "is an address of Autodiscover, where no calendar is read. Leave it empty to have "
        "Exchange found by Autodiscover, or write it like mail.example.com."
    }
    assert exchange(url="autodiscover.example.com").ews_url


@pytest.mark.parametrize("url", ["http://mail.example.com", "HTTP://mail.example.com/EWS/Exchange.asmx"])
def test_plain_http_must_be_allowed(url: str) -> None:
    expected = {"exchange.url": "is http. Use https, or switch on allow_plain_http knowing what it means."}
    assert refusal("exchange", url=url) == expected
    assert refusal("exchange", url=url, allow_plain_http=False) == expected
    allowed = exchange(url=url, allow_plain_http=True)
    assert allowed.ews_url == "http://mail.example.com/EWS/Exchange.asmx"


@pytest.mark.parametrize(
    "user", ["calendar", "calendar@", "@example.com", "calendar@example", "a b@example.com"]
)
def test_the_account_is_a_complete_address(user: str) -> None:
    assert refusal("exchange", user=user) == {
        "exchange.user": "is not a complete e-mail address. Write it with its domain, such as "
        "calendar@example.com."
    }


@pytest.mark.parametrize("until", ["2026-11-22T15:00:00Z", "2026-11-22T16:00+01:00", ""])
def test_recording_ends_at_an_instant(until: str) -> None:
    assert ExchangeSettings.model_validate({"debug_until": until}).debug_until == until


@pytest.mark.parametrize("until", ["2026-11-22T15:00:00", "2026-11-22", "soon"])
def test_another_end_of_recording_is_refused(until: str) -> None:
    with pytest.raises(InvalidSettings, match=r"exchange\.debug_until: is no instant with an offset"):
        parse_section("exchange", {"debug_until": until})


def test_every_fault_of_exchange_is_named_at_once() -> None:
    assert list(
        refusal(
            "exchange",
            sync_type="cloud",
            user="x",
            password=None,
            url="http://mail.example.com",
            certificate="x",
            name_resolving="nobody",
        )
    ) == [
        "exchange.sync_type",
        "exchange.user",
        "exchange.password",
        "exchange.url",
        "exchange.certificate",
        "exchange.name_resolving",
    ]


def test_the_choices_are_named_as_the_administrator_writes_them() -> None:
    section = exchange(sync_type="on-premises", name_resolving="candidate users")
    assert (section.sync_type, section.name_resolving) == (
        SyncType.ON_PREMISES,
        NameResolving.CANDIDATE_USERS,
    )


# ---- presence


def test_the_rules_are_those_of_the_settings() -> None:
    section = presence(
        language="de",
        timezone="Europe/Berlin",
        show_subject=False,
        until_unit="s",
        mapping={"tentative": "busy", "busy": "dnd", "no_data": "ignore"},
        tentative_exception_organizers=["hr@example.com"],
        prioritized=["!"],
        not_prioritized=["lunch"],
    )
    rules = section.rules
    assert (rules.language, rules.timezone, rules.show_subject, rules.until_unit) == (
        "de",
        "Europe/Berlin",
        False,
        "s",
    )
    assert (rules.mapping.tentative, rules.mapping.busy) == (Activity.BUSY, Activity.DND)
    assert rules.mapping.no_data is None
    assert (rules.tentative_exception_organizers, rules.prioritized, rules.not_prioritized) == (
        ("hr@example.com",),
        ("!",),
        ("lunch",),
    )
    assert section.rules is rules


def test_presence_has_the_fields_and_defaults_of_the_rules() -> None:
    assert presence().rules == PresenceRules()
    assert "mapping" in PresenceSettings.model_fields
    assert PresenceRules.from_mapping(PresenceSettings().model_dump()) == PresenceRules()


def test_every_fault_of_the_rules_is_carried_over_to_its_field() -> None:
    faults = refusal(
        "presence",
        language="xx",
        timezone="Mars/Olympus",
        until_unit="h",
        show_subject="maybe",
        mapping={"busy": "gone", "holiday": "away"},
        prioritized="!",
        not_prioritized=[5],
        colour="red",
    )
    assert set(faults) == {
        f"presence.{field}"
        for field in (
            "language",
            "timezone",
            "until_unit",
            "show_subject",
            "mapping.busy",
            "mapping.holiday",
            "prioritized",
            "not_prioritized",
            "colour",
        )
    }
    assert faults["presence.timezone"] == (
        "'Mars/Olympus' is not a time zone. Give an IANA name such as Europe/Berlin or UTC."
    )
    assert faults["presence.mapping.busy"] == (
        "'gone' is not known. Use one of: available, busy, away, dnd, ignore."
    )


@pytest.mark.parametrize(
    ("section", "field"),
    [("pbx", "name"), ("pbx", "password"), ("exchange", "url"), ("presence", "timezone")],
)
def test_a_text_that_nobody_can_store_is_refused(section: str, field: str) -> None:
    assert list(refusal(section, **{field: "a\ud800"})) == [f"{section}.{field}"]


def test_a_list_entry_that_nobody_can_store_is_refused() -> None:
    assert list(refusal("presence", prioritized=["a", "\ud800"])) == ["presence.prioritized.1"]


def test_a_section_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValidationError, match="valid dictionary"):
        PresenceSettings.model_validate(["language"])


# ---- what is missing


def test_an_empty_configuration_names_what_must_be_filled_in() -> None:
    assert Configuration().missing() == ["pbx.address", "pbx.name", "pbx.password", "exchange.sync_type"]
    assert pbx(app="").missing() == ["pbx.address", "pbx.name", "pbx.app", "pbx.password"]
    assert exchange(sync_type="on-premises").missing() == [
        "exchange.user",
        "exchange.password",
    ]


def test_a_complete_configuration_misses_nothing() -> None:
    complete = Configuration(
        PbxSettings(address="pbx.example.com", name="master", password=SecretStr("secret")),
        ExchangeSettings(
            sync_type=SyncType.ON_PREMISES,
            user="calendar@example.com",
            password=SecretStr("secret"),
            url="mail.example.com",
        ),
    )
    assert complete.missing() == []


@pytest.mark.parametrize(
    ("field", "lowest", "highest"), [("poll_minutes", 5, 60), ("max_subscriptions", 1, 1000)]
)
def test_numbers_have_bounds(field: str, lowest: int, highest: int) -> None:
    for sound in (lowest, highest):
        assert getattr(exchange(**{field: sound}), field) == sound
    for wrong in (lowest - 1, highest + 1, "x"):
        assert list(refusal("exchange", **{field: wrong})) == [f"exchange.{field}"]


def test_changes_are_noticed_by_push_unless_poll_is_chosen() -> None:
    assert exchange().detection == "push"
    assert exchange(detection="poll").detection == "poll"
    assert list(refusal("exchange", detection="streaming")) == ["exchange.detection"]

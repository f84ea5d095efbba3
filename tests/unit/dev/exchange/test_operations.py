"""Reading calendars and resolving names, over HTTPS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from lxml import etree

from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import (
    ANNA,
    Client,
    E,
    M,
    T,
    code,
    envelope,
    find_item,
    get_item,
    resolve_names,
    subscribe,
)

WINDOW = ("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")


@pytest.fixture
async def client(exchange: ExchangeSimulator) -> AsyncIterator[Client]:
    async with Client(exchange) as connected:
        yield connected


def items(answer: etree._Element) -> list[etree._Element]:
    return list(answer.iter(f"{T}CalendarItem"))


def fields(item: etree._Element) -> list[str]:
    return [etree.QName(part).localname for part in item]


async def test_a_view_returns_the_items_that_overlap_it(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_appointment(
        "anna",
        subject="Müller & <Söhne>",
        start="2026-11-23T10:00",
        end="2026-11-23T11:30",
        show_as="out_of_office",
        sensitivity="private",
        response="tentative",
        organizer="visitor@example.org",
    )
    answer = await client.ask(find_item(*WINDOW))
    (item,) = items(answer)
    values: dict[str, str | None] = {name: item.findtext(f"{T}{name}") for name in fields(item)}
    assert values["Subject"] == "Müller & <Söhne>"
    assert (values["Start"], values["End"]) == ("2026-11-23T09:00:00Z", "2026-11-23T10:30:00Z")
    assert (values["LegacyFreeBusyStatus"], values["Sensitivity"]) == ("OOF", "Private")
    assert (values["MyResponseType"], values["CalendarItemType"]) == ("Tentative", "Single")
    assert (values["IsAllDayEvent"], values["IsCancelled"]) == ("false", "false")
    root = answer.find(f".//{M}RootFolder")
    assert root is not None
    assert (root.get("TotalItemsInView"), root.get("IncludesLastItemInRange")) == ("1", "true")


async def test_only_what_was_asked_for_is_returned(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_appointment("anna", subject="Secret", start="2026-11-23T10:00")
    wanted = '<t:FieldURI FieldURI="calendar:End"/><t:FieldURI FieldURI="calendar:UID"/>'
    (item,) = items(await client.ask(find_item(*WINDOW, properties=wanted)))
    assert fields(item) == ["ItemId", "UID", "End"]


async def test_masters_never_come_and_occurrences_share_a_uid(
    exchange: ExchangeSimulator, client: Client
) -> None:
    exchange.add_appointment("anna", start="2026-11-01T10:00", repeat={"every": "day"})
    exchange.change_appointment("anna", "1@2026-11-23", start="2026-11-23T16:00")
    found = items(await client.ask(find_item(*WINDOW)))
    assert sorted(str(item.findtext(f"{T}CalendarItemType")) for item in found) == ["Exception", "Occurrence"]
    assert len({item.findtext(f"{T}UID") for item in found}) == 1
    assert len({item.find(f"{T}ItemId").get("Id") for item in found}) == 2  # type: ignore[union-attr]


async def test_a_view_that_is_too_full_is_cut_off(exchange: ExchangeSimulator, client: Client) -> None:
    for hour in (12, 9, 15):
        exchange.add_appointment("anna", start=f"2026-11-23T{hour:02}:00", subject=str(hour))
    answer = await client.ask(find_item(*WINDOW, most=2))
    assert [item.findtext(f"{T}Subject") for item in items(answer)] == ["9", "12"]
    root = answer.find(f".//{M}RootFolder")
    assert root is not None
    assert root.get("IncludesLastItemInRange") == "false"
    whole = await client.ask(find_item(*WINDOW, most=3))
    assert len(items(whole)) == 3
    assert 'IncludesLastItemInRange="true"' in etree.tostring(whole).decode()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "NoError"),
        ("2026-01-01T00:00:00Z", "2028-01-03T00:00:00Z", "ErrorCalendarViewRangeTooBig"),
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "ErrorCalendarEndDateIsEarlierThanStartDate"),
    ],
)
async def test_a_view_has_limits(client: Client, start: str, end: str, expected: str) -> None:
    assert code(await client.ask(find_item(start, end))) == expected


@pytest.mark.parametrize("most", [0, -1])
async def test_a_view_of_nothing_is_refused(client: Client, most: int) -> None:
    assert code(await client.ask(find_item(*WINDOW, most=most))) == "ErrorInvalidPagingMaxRows"


async def test_the_views_dates_may_have_an_offset_or_none(
    exchange: ExchangeSimulator, client: Client
) -> None:
    exchange.add_appointment("anna", start="2026-11-22T00:10Z", end="2026-11-22T00:20Z", subject="early")
    assert await client.read_subjects("2026-11-22T01:05:00+01:00", "2026-11-22T01:30:00+01:00") == ["early"]
    assert await client.read_subjects("2026-11-22T00:05:00", "2026-11-22T00:30:00") == ["early"]
    assert await client.read_subjects("2026-11-22T01:05:00Z", "2026-11-22T01:30:00Z") == []


async def test_characters_that_xml_forbids_come_as_references(
    exchange: ExchangeSimulator, client: Client
) -> None:
    exchange.add_appointment("anna", start="2026-11-23T10:00", subject="a\x1fb\x0bc")
    response = await client.post(envelope(find_item(*WINDOW)))
    assert "<t:Subject>a&#x1F;b&#xB;c</t:Subject>" in response.text


async def test_properties_may_be_missing_altogether(exchange: ExchangeSimulator, client: Client) -> None:
    omit = ["subject", "organizer", "uid", "start", "end"]
    exchange.add_appointment("anna", start="2026-11-23T10:00", omit=omit)
    (item,) = items(await client.ask(find_item(*WINDOW)))
    assert not {"Subject", "Organizer", "UID", "Start", "End"} & set(fields(item))


@pytest.mark.parametrize(
    ("organizer", "name", "routing", "address"),
    [
        ("bob@example.com", "", "EX", "/O=EXAMPLE/"),
        ("visitor@example.org", "Visitor", "SMTP", "visitor@example.org"),
        ("", "Somebody", None, None),
        ("", "", "EX", "/O=EXAMPLE/"),
    ],
)
async def test_organizers_are_known_by_name_and_directory_address(
    exchange: ExchangeSimulator,
    client: Client,
    organizer: str,
    name: str,
    routing: str | None,
    address: str | None,
) -> None:
    exchange.add_appointment("anna", start="2026-11-23T10:00", organizer=organizer, organizer_name=name)
    (item,) = items(await client.ask(find_item(*WINDOW)))
    mailbox = item.find(f"{T}Organizer/{T}Mailbox")
    assert mailbox is not None
    assert mailbox.findtext(f"{T}Name")
    assert mailbox.findtext(f"{T}RoutingType") == routing
    assert (mailbox.findtext(f"{T}EmailAddress") or "").startswith(address or "")


async def test_getting_an_item_gives_the_organizers_smtp_address(
    exchange: ExchangeSimulator, client: Client
) -> None:
    added = [
        exchange.add_appointment("anna", start="2026-11-23T10:00", organizer="bob@example.com")["item_id"],
        exchange.add_appointment("anna", start="2026-11-01T10:00", repeat={"every": "day"})["item_id"],
    ]
    answer = await client.ask(get_item(*added))
    addresses = [item.findtext(f".//{T}EmailAddress") for item in items(answer)]
    assert addresses == ["bob@example.com", ANNA]


async def test_unknown_foreign_and_malformed_ids_are_told_apart(
    exchange: ExchangeSimulator, client: Client
) -> None:
    own = exchange.add_appointment("anna", start="2026-11-23T10:00")["item_id"]
    foreign = exchange.add_appointment("bob", start="2026-11-23T10:00")["item_id"]
    exchange.cancel_appointment("anna", "1")
    answer = await client.ask(get_item(own, foreign, "AAMk", "!"))
    codes = [message.text for message in answer.iter(f"{M}ResponseCode")]
    assert codes == ["ErrorItemNotFound"] * 2 + ["ErrorInvalidIdMalformed"] * 2


async def test_ids_stay_the_same_from_reading_to_reading(exchange: ExchangeSimulator, client: Client) -> None:
    exchange.add_appointment("anna", start="2026-11-01T10:00", repeat={"every": "day"})

    async def read() -> list[str | None]:
        return [item.find(f"{T}ItemId").get("Id") for item in items(await client.ask(find_item(*WINDOW)))]  # type: ignore[union-attr]

    assert await read() == await read()


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("a.miller@example.com", "ErrorNonExistentMailbox"),
        ("nobody@example.com", "ErrorNonExistentMailbox"),
        ("team@example.com", "ErrorNonExistentMailbox"),
        ("ceo@example.com", "ErrorImpersonateUserDenied"),
    ],
)
async def test_who_cannot_be_impersonated_gets_a_fault(client: Client, who: str, expected: str) -> None:
    response = await client.post(envelope(find_item(*WINDOW), who=who))
    assert response.status_code == 500
    answer = etree.fromstring(response.content)
    assert answer.findtext(f".//detail/{E}ResponseCode") == expected
    assert (answer.findtext(".//faultcode") or "").endswith(f":{expected}")


async def test_the_case_of_an_address_does_not_matter(client: Client) -> None:
    assert code(await client.ask(find_item(*WINDOW), who="Anna@Example.com")) == "NoError"


async def test_anothers_folder_is_denied(exchange: ExchangeSimulator, client: Client) -> None:
    by_address = (
        '<t:DistinguishedFolderId Id="calendar"><t:Mailbox><t:EmailAddress>bob@example.com</t:EmailAddress>'
        "</t:Mailbox></t:DistinguishedFolderId>"
    )
    bob = exchange.directory.named("bob")
    by_id = f'<t:FolderId Id="{bob.opaque_id("folder:calendar")}"/>'
    for folder in (by_address, by_id):
        assert code(await client.ask(find_item(*WINDOW, folder=folder))) == "ErrorAccessDenied"


async def test_an_account_without_a_mailbox_has_no_calendar(client: Client) -> None:
    assert code(await client.ask(find_item(*WINDOW), who=None)) == "ErrorMissingEmailAddress"


async def test_only_a_calendar_has_a_calendar_view(client: Client) -> None:
    inbox = '<t:DistinguishedFolderId Id="inbox"/>'
    answer = await client.ask(find_item(*WINDOW, folder=inbox))
    assert code(answer) == "ErrorCalendarFolderIsInvalidForCalendarView"


async def test_an_account_with_a_mailbox_reads_its_own_calendar() -> None:
    async with ExchangeSimulator(
        seed=[{"address": "svc@example.com"}], account_mailbox="svc@example.com"
    ) as x:
        x.add_appointment("svc", start="2026-11-23T10:00", subject="own")
        async with Client(x) as client:
            answer = await client.ask(find_item(*WINDOW), who=None)
            assert [item.findtext(f"{T}Subject") for item in items(answer)] == ["own"]
            assert x.statistics.missing_anchors == 0


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("smtp:anna@example.com", ["anna@example.com"]),
        ("SMTP:Anna@Example.com", ["anna@example.com"]),
        ("smtp:a.miller@example.com", ["anna@example.com"]),
        ("smtp:bob", ["bob@example.com", "bobby@example.com"]),
        ("Anna", ["anna@example.com"]),
        ("tables", ["bobby@example.com"]),
        ("smtp:miller", []),
        ("smtp:bob@example.co", ["bob@example.com"]),
    ],
)
async def test_names_resolve_by_the_beginning_of_any_address(
    client: Client, entry: str, found: list[str]
) -> None:
    answer = await client.ask(resolve_names(entry), who=None)
    addresses = [node.text for node in answer.iterfind(f".//{T}Resolution/{T}Mailbox/{T}EmailAddress")]
    assert addresses == found
    assert (
        code(answer)
        == {
            0: "ErrorNameResolutionNoResults",
            1: "NoError",
            2: "ErrorNameResolutionMultipleResults",
        }[len(found)]
    )
    message = answer.find(f".//{M}ResolveNamesResponseMessage")
    assert message is not None
    assert message.get("ResponseClass") == {0: "Error", 1: "Success", 2: "Warning"}[len(found)]


async def test_contact_data_marks_the_primary_address(client: Client) -> None:
    answer = await client.ask(resolve_names("smtp:a.miller"), who=None)
    entries = [entry.text for entry in answer.iter(f"{T}Entry")]
    assert entries == ["SMTP:anna@example.com", "smtp:a.miller@example.com"]


async def test_the_kind_of_recipient_is_told(client: Client) -> None:
    answer = await client.ask(resolve_names("smtp:team"), who=None)
    assert answer.findtext(f".//{T}MailboxType") == "PublicDL"


async def test_contacts_can_only_be_searched_by_someone_with_a_mailbox(client: Client) -> None:
    request = resolve_names("smtp:anna", scope="ContactsActiveDirectory")
    assert code(await client.ask(request, who=None)) == "ErrorNameResolutionNoMailbox"
    assert code(await client.ask(request)) == "NoError"


async def test_the_header_tells_the_version() -> None:
    async with ExchangeSimulator(version="15.0.1497.2") as exchange, Client(exchange) as client:
        answer = await client.ask(resolve_names("smtp:anna"), who=None)
        info = answer.find(f".//{T}ServerVersionInfo")
        assert info is not None
        assert [
            info.get(f"{part}Number" if "Build" in part else part)
            for part in ("MajorVersion", "MinorVersion", "MajorBuild", "MinorBuild")
        ] == ["15", "0", "1497", "2"]


async def test_a_missing_anchor_is_counted(exchange: ExchangeSimulator, client: Client) -> None:
    await client.post(envelope(find_item(*WINDOW)))
    assert exchange.statistics.missing_anchors == 0
    await client.post(envelope(find_item(*WINDOW)), X_AnchorMailbox="")
    assert exchange.statistics.missing_anchors == 1
    await client.post(envelope(resolve_names("smtp:a"), who=None), X_AnchorMailbox="")
    assert exchange.statistics.missing_anchors == 1


async def test_a_cookie_of_another_mailbox_is_counted(exchange: ExchangeSimulator, client: Client) -> None:
    await client.ask(find_item(*WINDOW))
    await client.ask(find_item(*WINDOW))
    assert exchange.statistics.foreign_cookies == 0
    await client.ask(find_item(*WINDOW), who="bob@example.com")
    assert exchange.statistics.foreign_cookies == 1


async def test_requests_are_counted_by_operation_and_mailbox(
    exchange: ExchangeSimulator, client: Client
) -> None:
    await client.ask(find_item(*WINDOW))
    await client.ask(find_item(*WINDOW), who="bob@example.com")
    await client.ask(subscribe("https://func.example.com/"))
    assert exchange.statistics.operations == {"FindItem": 2, "Subscribe": 1}
    assert exchange.statistics.mailboxes == {ANNA: 2, "bob@example.com": 1}


async def test_another_content_type_is_refused(client: Client) -> None:
    response = await client.post(envelope(find_item(*WINDOW)), Content_Type="application/xml")
    assert response.status_code == 415


async def test_push_subscriptions_cannot_be_unsubscribed(client: Client) -> None:
    answer = await client.ask(subscribe("https://func.example.com/"))
    identifier = answer.findtext(f".//{M}SubscriptionId")
    request = f"<m:Unsubscribe><m:SubscriptionId>{identifier}</m:SubscriptionId></m:Unsubscribe>"
    assert code(await client.ask(request)) == "ErrorInvalidSubscription"

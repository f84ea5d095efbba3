from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ExchangeError, ExchangeUnavailable, MailboxError, SignInRefused
from shared.ews.autodiscover import Discovery
from shared.ews.discovery import Ask, Found, Kind, Search, choose
from shared.ews.discovery_client import discover
from shared.ews.failures import http_failure
from shared.ews.transport import Answer, open_client, tls_context
from tests.unit.ews.test_autodiscover import BASE, INSIDE, OUTSIDE, pox, pox_settings, protocol

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ADDRESS = "anna@example.com"
JSON = json.dumps({"Protocol": "Ews", "Url": OUTSIDE}).encode()
PAGE = b"<html>It works!</html>"
PLAIN_XML = "https://{}/autodiscover/autodiscover.xml"


def redirect_to(url: str) -> bytes:
    return pox(f"<Account><Action>redirectUrl</Action><RedirectUrl>{url}</RedirectUrl></Account>")


def redirect_address(address: str) -> bytes:
    return pox(f"<Account><Action>redirectAddr</Action><RedirectAddr>{address}</RedirectAddr></Account>")


def ask_next(search: Search) -> Ask:
    ask = search.next()
    assert ask is not None
    return ask


def run(search: Search, world: Callable[[Ask], tuple[int, Mapping[str, str], bytes]]) -> list[Ask]:
    """Let the search ask a world that is a function; return what was asked."""
    asked: list[Ask] = []
    while (ask := search.next()) is not None:
        asked.append(ask)
        assert len(asked) < 200
        search.answer(*world(ask))
    assert (search.found is None) is (search.error is not None)
    return asked


def nothing(_: Ask) -> tuple[int, Mapping[str, str], bytes]:
    return 404, {}, PAGE


def test_asks_in_the_published_order() -> None:
    search = Search(ADDRESS)
    asked = run(search, nothing)
    assert [(ask.kind.value, ask.url) for ask in asked] == [
        (
            "json",
            "https://autodiscover.example.com/autodiscover/autodiscover.json/v1.0/anna@example.com?Protocol=Ews",
        ),
        ("pox", "https://autodiscover.example.com/autodiscover/autodiscover.xml"),
        ("json", "https://example.com/autodiscover/autodiscover.json/v1.0/anna@example.com?Protocol=Ews"),
        ("pox", "https://example.com/autodiscover/autodiscover.xml"),
        ("redirection", "http://autodiscover.example.com/autodiscover/autodiscover.xml"),
        ("redirection", "http://example.com/autodiscover/autodiscover.xml"),
    ]
    assert [(step.outcome, step.then) for step in search.steps] == [
        *[("HTTP 404", "passed over")] * 4,
        *[("HTTP 404", "passed over: http only counts as a redirection to https")] * 2,
    ]
    assert [(step.kind, step.url) for step in search.steps] == [(ask.kind, ask.url) for ask in asked]
    assert search.error is not None
    assert (type(search.error), search.error.code) == (ExchangeUnavailable, "NotDiscovered")


def test_the_first_address_ends_the_search() -> None:
    search = Search(ADDRESS)
    assert len(run(search, lambda _: (200, {}, JSON))) == 1
    assert search.found == Found(OUTSIDE, other=False, server_version=None)
    assert search.error is None
    assert [(step.outcome, step.then) for step in search.steps] == [(f"EWS at {OUTSIDE}", "taken")]


def test_asks_pox_first_for_the_internal_address() -> None:
    search = Search(ADDRESS, internal=True)
    body = pox_settings(
        protocol("EXCH", ServerVersion="73C2869B", EwsUrl=INSIDE), protocol("EXPR", EwsUrl=OUTSIDE)
    )
    (ask,) = run(search, lambda _: (200, {}, body))
    assert ask.kind is Kind.POX
    assert b"<EMailAddress>anna@example.com</EMailAddress>" in ask.body
    assert search.found == Found(INSIDE, other=False, server_version="15.2.1691")


@pytest.mark.parametrize(
    ("discovery", "internal", "found"),
    [
        (Discovery(INSIDE, OUTSIDE), False, Found(OUTSIDE, False, None)),
        (Discovery(INSIDE, OUTSIDE), True, Found(INSIDE, False, None)),
        (Discovery(INSIDE, None), False, Found(INSIDE, True, None)),
        (Discovery(None, OUTSIDE), True, Found(OUTSIDE, True, None)),
        (Discovery(INSIDE, "http://out/EWS"), False, Found(INSIDE, True, None)),
        (Discovery("ftp://x", "https://user:pw@out/EWS"), False, None),
        (Discovery("https://[::1", "https://a\r\nb"), False, None),
        (Discovery(), True, None),
    ],
)
def test_takes_the_other_address_where_only_that_is_offered(
    discovery: Discovery, internal: bool, found: Found | None
) -> None:
    assert choose(discovery, internal=internal) == found


@pytest.mark.parametrize(
    "useless",
    [
        (200, PAGE),
        (200, b""),
        (200, b'{"ErrorCode": "InvalidProtocol"}'),
        (200, pox("<Error><ErrorCode>600</ErrorCode></Error>", BASE)),
        (200, pox_settings(protocol("EXPR", EwsUrl="http://plain.example.com/"))),
        (200, redirect_to("http://plain.example.com/autodiscover.xml")),
        (200, redirect_address("no domain")),
        (200, redirect_address("anna@localhost")),
        (302, b""),
        (404, b""),
        (503, b""),
    ],
)
def test_goes_on_after_what_is_of_no_use(useless: tuple[int, bytes]) -> None:
    search = Search(ADDRESS)

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, JSON) if "https://example.com" in ask.url else (useless[0], {}, useless[1])

    assert len(run(search, world)) == 3
    assert search.found is not None


def test_goes_on_without_an_answer() -> None:
    search = Search(ADDRESS)
    ask_next(search)
    search.fail(ExchangeUnavailable("Certificate", "x"))
    assert ask_next(search).kind is Kind.POX
    assert search.steps[0].outcome == "Certificate"


def test_a_refused_account_is_not_tried_on_the_next_host() -> None:
    search = Search(ADDRESS)
    asked = run(search, lambda _: (401, {}, b""))
    assert [ask.kind for ask in asked] == [Kind.JSON, Kind.POX]
    assert type(search.error) is SignInRefused


def test_a_host_without_ntlm_is_passed_by() -> None:
    search = Search(ADDRESS)
    for _ in range(2):
        ask_next(search)
        search.fail(SignInRefused("NtlmNotOffered", "x"))
    assert search.next() is not None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_http_to_https_only_by_a_redirection(status: int) -> None:
    search = Search(ADDRESS)
    target = "https://mail.example.org/autodiscover/autodiscover.xml"

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        if ask.url == target:
            assert ask.kind is Kind.POX
            return 200, {}, pox_settings(protocol("EXPR", EwsUrl=OUTSIDE))
        if ask.url.startswith("http:"):
            return status, {"location": target}, b""
        return 404, {}, b""

    assert len(run(search, world)) == 6
    assert search.found == Found(OUTSIDE, other=False, server_version=None, by_http=True)
    assert search.steps[-2].outcome == f"HTTP {status} to {target}"
    assert search.steps[-2].then == "followed"


def test_says_after_an_unprotected_redirection_that_it_was_one_and_else_not() -> None:
    by_http = Search(ADDRESS)

    def detour(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        if ask.kind is Kind.REDIRECTION:
            return 302, {"location": "https://first.example.org/"}, b""
        if ask.url == "https://first.example.org/":
            return 200, {}, redirect_address("anna@second.example")
        return (200, {}, JSON) if "second.example" in ask.url else (404, {}, b"")

    run(by_http, detour)
    assert by_http.found is not None
    assert by_http.found.by_http
    lost = Search(ADDRESS)

    def dead_end(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        if ask.url == "https://autodiscover.example.com/autodiscover/autodiscover.xml":
            return 302, {"location": "https://first.example.org/"}, b""
        return (200, {}, JSON) if "//example.com" in ask.url else (404, {}, b"")

    run(lost, dead_end)
    assert lost.found is not None
    assert not lost.found.by_http


def test_says_that_the_other_address_was_taken() -> None:
    search = Search(ADDRESS, internal=True)
    run(search, lambda _: (200, {}, pox_settings(protocol("EXPR", EwsUrl=OUTSIDE))))
    assert search.steps[-1].then == "taken, though external: no internal address is offered"
    search = Search(ADDRESS)
    run(search, lambda _: (200, {}, pox_settings(protocol("EXCH", EwsUrl=INSIDE))))
    assert search.steps[-1].then == "taken, though internal: no external address is offered"


def test_one_place_has_one_spelling() -> None:
    search = Search(ADDRESS)
    here = "HTTPS://AutoDiscover.Example.com:443/autodiscover/autodiscover.xml#x"
    run(search, lambda ask: (302, {"location": here}, b"") if ask.kind is Kind.POX else (404, {}, b""))
    assert all(
        step.then == "not followed: it was asked before" for step in search.steps if step.kind == "pox"
    )
    search = Search(ADDRESS)
    ask_next(search)
    search.answer(302, {"location": "https://[2001:db8::1]:8443/x?y"}, b"")
    assert ask_next(search).url == "https://[2001:db8::1]:8443/x?y"


def test_a_trace_holds_no_control_characters_and_has_bounds() -> None:
    search = Search(ADDRESS)
    run(search, lambda _: (200, {}, json.dumps({"ErrorCode": "\x1b[2J" + 1000 * "x"}).encode()))
    assert all(step.outcome.isprintable() and len(step.outcome) < 400 for step in search.steps)


@pytest.mark.parametrize(
    "location",
    [
        "http://mail.example.org/",
        "/autodiscover",
        "https://u:p@mail.example.org/",
        "https://[::1",
        "javascript:x",
        " ",
    ],
)
def test_follows_to_no_other_place(location: str) -> None:
    search = Search(ADDRESS)

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        assert ask.url.startswith("https://") or ask.kind is Kind.REDIRECTION
        assert "mail.example.org" not in ask.url
        if ask.kind is Kind.REDIRECTION:
            return 302, {"location": location}, pox_settings(protocol("EXPR", EwsUrl=OUTSIDE))
        return 404, {}, b""

    assert len(run(search, world)) == 6
    assert search.found is None


def test_what_http_answers_is_never_believed() -> None:
    search = Search(ADDRESS)

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, JSON) if ask.url.startswith("http:") else (404, {}, b"")

    run(search, world)
    assert search.found is None


def test_a_json_redirection_stays_json() -> None:
    search = Search(ADDRESS)
    ask_next(search)
    search.answer(302, {"location": "/v2"}, b"")
    follow = ask_next(search)
    assert (follow.kind, follow.url) == (Kind.JSON, "https://autodiscover.example.com/v2")


def test_redirections_end_after_ten() -> None:
    search = Search(ADDRESS)
    count = 0

    def world(_: Ask) -> tuple[int, Mapping[str, str], bytes]:
        nonlocal count
        count += 1
        return 302, {"location": f"https://hop{count}.example.org/"}, b""

    assert len(run(search, world)) == 16
    assert sum("10 redirections are enough" in step.then for step in search.steps) == 6


def test_a_loop_ends() -> None:
    search = Search(ADDRESS)
    loop = PLAIN_XML.format("autodiscover.example.com")
    run(search, lambda _: (200, {}, redirect_to(loop)))
    assert any("asked before" in step.then for step in search.steps)
    assert len(search.steps) <= 16


def test_starts_again_with_another_address() -> None:
    search = Search(ADDRESS)

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        if ask.address == "anna@other.example":
            assert "other.example" in ask.url
            return 200, {}, JSON
        return 200, {}, redirect_address("anna@other.example")

    assert len(run(search, world)) == 2
    assert search.found is not None


def test_two_addresses_that_point_at_each_other_end() -> None:
    search = Search(ADDRESS)

    def world(ask: Ask) -> tuple[int, Mapping[str, str], bytes]:
        other = "b@two.example" if ask.address == ADDRESS else ADDRESS
        return 200, {}, redirect_address(other)

    assert len(run(search, world)) <= 16
    endless = Search(ADDRESS)
    count = 0

    def further(_: Ask) -> tuple[int, Mapping[str, str], bytes]:
        nonlocal count
        count += 1
        return 200, {}, redirect_address(f"x@d{count}.example")

    assert len(run(endless, further)) <= 17
    assert "redirections are enough" in endless.steps[-3].then


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "anna@",
        "anna@localhost",
        "anna@exa mple.com",
        "a@-x.com",
        "a@x.com/y",
        "a@x.com:8",
        "a@[1.2.3.4]",
    ],
)
def test_searches_for_no_impossible_domain(address: str) -> None:
    with pytest.raises(MailboxError):
        Search(address)


def test_the_address_cannot_leave_its_place_in_the_url() -> None:
    ask = ask_next(Search("a/../?b#c d@example.com"))
    assert "/v1.0/a%2F..%2F%3Fb%23c%20d@example.com?Protocol=Ews" in ask.url


def test_nothing_can_be_answered_before_it_was_asked() -> None:
    with pytest.raises(RuntimeError):
        Search(ADDRESS).answer(200, {}, b"")


answers = st.tuples(
    st.sampled_from([200, 302, 401, 404, 500]),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"location": st.sampled_from(["https://a.b/", "http://c/", "//x"])}),
    ),
    st.sampled_from([b"", PAGE, JSON, redirect_to("https://q.example/"), redirect_address("x@y.example")]),
)


@CALM
@given(st.data())
def test_every_search_ends_and_credentials_stay_on_https(data: st.DataObject) -> None:
    search = Search(ADDRESS)
    for ask in run(search, lambda _: data.draw(answers)):
        assert ask.url.startswith("https://") or ask.kind is Kind.REDIRECTION
    assert len(search.steps) <= 60


class Account:
    """A transport that signs in: it keeps what was posted."""

    def __init__(self, answer: Answer | ExchangeError) -> None:
        self.answer = answer
        self.posted: list[tuple[str, bytes]] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.posted.append((url, body))
        assert headers["content-type"].startswith("text/xml")
        assert headers["x-clientcanhandle"] == "ExHttpInfo"
        if isinstance(self.answer, ExchangeError):
            raise self.answer
        return self.answer


async def test_carries_the_search_through() -> None:
    got: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        assert "authorization" not in request.headers
        got.append(str(request.url))
        return httpx.Response(404)

    account = Account(Answer(200, {}, pox_settings(protocol("EXPR", EwsUrl=OUTSIDE))))
    async with open_client(tls_context(), connections=1, transport=httpx.MockTransport(handle)) as client:
        assert (await discover(Search(ADDRESS), account, client)).url == OUTSIDE
        assert len(got) == len(account.posted) == 1
        refused = Account(http_failure(401, {}, b"", OUTSIDE))
        search = Search(ADDRESS)
        with pytest.raises(SignInRefused):
            await discover(search, refused, client)
        assert [step.outcome for step in search.steps] == ["HTTP 404", "HTTP 401"]

"""The search for Exchange against the simulated one: real names, TLS and NTLM, and what stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dev.exchange import ExchangeSimulator
from shared.auth.ntlm import NtlmLanes
from shared.ews.__main__ import main
from shared.ews.client import ExchangeClient
from shared.ews.discovery import Search
from shared.ews.discovery_client import explore
from shared.ews.transport import tls_context
from shared.settings import ExchangeSettings
from tests.named_hosts import Names, connect, settings

USER = "calendar@example.com"
SECOND = "calendar@second.example"
AUTO, DOMAIN = "autodiscover.example.com", "example.com"
INSIDE, OUTSIDE = "https://in.example.com/EWS/Exchange.asmx", "https://mail.example.com/EWS/Exchange.asmx"
BOTH = settings(internal=INSIDE, external=OUTSIDE)
XML = "/autodiscover/autodiscover.xml"


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    seed: list[dict[str, Any]] = [{"address": USER, "aliases": [SECOND]}, {"address": "anna@example.com"}]
    async with ExchangeSimulator(user=USER, seed=seed) as simulator:
        yield simulator


async def search(
    exchange: ExchangeSimulator,
    *sites: Mapping[str, Any],
    internal: bool = False,
    password: str | None = None,
    names: Names | None = None,
) -> Search:
    """What a search finds where these are all the sites in the world."""
    exchange.autodiscover.publish(sites)
    return await explore(
        USER,
        exchange.password if password is None else password,
        authority=exchange.ca_pem.decode(),
        internal=internal,
        connect=lambda: connect(exchange, names),
    )


def where(found: Search) -> str | None:
    return found.found.url if found.found else None


def told(exchange: ExchangeSimulator) -> set[tuple[str, str]]:
    """The scheme and host of every site that was sent any part of a sign-in."""
    return {(asked.scheme, asked.host) for asked in exchange.autodiscover.asked if asked.credentials}


async def test_json_finds_it_without_credentials(exchange: ExchangeSimulator) -> None:
    done = await search(exchange, {"host": AUTO, "json": {"kind": "url", "url": OUTSIDE}, "pox": BOTH})
    assert where(done) == OUTSIDE
    assert told(exchange) == set()
    assert len(done.steps) == 1


async def test_pox_signs_in_and_tells_the_version(exchange: ExchangeSimulator) -> None:
    done = await search(exchange, {"host": AUTO, "pox": BOTH})
    assert done.found is not None
    assert (done.found.url, done.found.other, done.found.server_version) == (OUTSIDE, False, "15.2.1748")
    assert [(step.outcome, step.then) for step in done.steps] == [
        ("HTTP 404", "passed over"),
        (f"EWS at {OUTSIDE}", "taken"),
    ]
    assert told(exchange) == {("https", AUTO)}


@pytest.mark.parametrize(
    ("offered", "internal", "url", "other"),
    [
        (BOTH, True, INSIDE, False),
        (BOTH, False, OUTSIDE, False),
        (settings(internal=INSIDE), False, INSIDE, True),
        (settings(external=OUTSIDE), True, OUTSIDE, True),
        (settings(internal=INSIDE, exhttp=OUTSIDE), False, OUTSIDE, False),
        (settings(internal=INSIDE, external=OUTSIDE, element="ASUrl"), False, OUTSIDE, False),
    ],
    ids=["internal", "external", "internal only", "external only", "EXHTTP", "ASUrl"],
)
async def test_takes_the_kind_asked_for_else_the_other_and_says_so(
    exchange: ExchangeSimulator, offered: Mapping[str, str], internal: bool, url: str, other: bool
) -> None:
    done = await search(exchange, {"host": AUTO, "pox": offered}, internal=internal)
    assert done.found is not None
    assert (done.found.url, done.found.other) == (url, other)
    assert ("though" in done.steps[-1].then) is other


@pytest.mark.parametrize(
    "autodiscover",
    [
        {"json": {"kind": "page"}, "pox": {"kind": "page"}},
        {},
        {"certificate": "foreign", "pox": BOTH, "json": {"kind": "url", "url": INSIDE}},
        {"certificate": "untrusted", "pox": BOTH, "json": {"kind": "url", "url": INSIDE}},
        {"certificate": "expired", "pox": BOTH, "json": {"kind": "url", "url": INSIDE}},
        {"json": {"kind": "json_error"}, "pox": {"kind": "error", "code": "500"}},
        {"json": {"kind": "page", "status": 503}, "pox": {"kind": "error", "code": "600"}},
        {"json": {"kind": "close"}, "pox": {"kind": "close"}},
        {"json": {"kind": "url", "url": "http://plain.example.com/"}, "pox": settings()},
        {"pox": {"kind": "location", "url": f"http://{DOMAIN}{XML}"}},
    ],
    ids=["web site", "404", "foreign", "untrusted", "expired", "500", "600", "closed", "http", "to http"],
)
async def test_goes_on_to_the_next_host(exchange: ExchangeSimulator, autodiscover: Mapping[str, Any]) -> None:
    done = await search(exchange, {"host": AUTO, **autodiscover}, {"host": DOMAIN, "pox": BOTH})
    assert where(done) == OUTSIDE
    assert [step.then for step in done.steps[:2]] != ["taken", "taken"]
    assert len(done.steps) == 4
    assert ("http", AUTO) not in told(exchange)


async def test_a_host_with_a_bad_certificate_learns_nothing(exchange: ExchangeSimulator) -> None:
    bad = [{"host": host, "certificate": "foreign", "pox": BOTH} for host in (AUTO, DOMAIN)]
    done = await search(exchange, *bad)
    assert exchange.autodiscover.asked == []
    assert [step.outcome for step in done.steps] == ["Certificate"] * 4 + ["NoConnection"] * 2
    assert done.error is not None
    assert done.error.code == "NotDiscovered"


async def test_http_is_asked_last_without_credentials_and_only_for_its_redirection(
    exchange: ExchangeSimulator,
) -> None:
    there = "https://hosted.example.org" + XML
    done = await search(
        exchange,
        {"host": DOMAIN, "json": {"kind": "page"}, "pox": {"kind": "page"}},
        {"host": AUTO, "scheme": "http", "pox": {"kind": "location", "url": there}},
        {"host": "hosted.example.org", "pox": BOTH},
    )
    assert done.found is not None
    assert (done.found.url, done.found.by_http) == (OUTSIDE, True)
    assert [(step.url.removesuffix(XML), step.then) for step in done.steps[-2:]] == [
        (f"http://{AUTO}", "followed"),
        ("https://hosted.example.org", "taken"),
    ]
    assert told(exchange) == {("https", DOMAIN), ("https", "hosted.example.org")}
    by_http = [asked for asked in exchange.autodiscover.asked if asked.scheme == "http"]
    assert [(asked.method, asked.host, asked.credentials) for asked in by_http] == [("GET", AUTO, "")]


@pytest.mark.parametrize(
    "answer", [BOTH, {"kind": "page"}, {"kind": "location", "url": f"http://hosted.example.org{XML}"}]
)
async def test_what_http_answers_else_is_not_believed(
    exchange: ExchangeSimulator, answer: Mapping[str, str]
) -> None:
    names = Names(exchange)
    plain = [{"host": host, "scheme": "http", "pox": answer, "sign_in": False} for host in (AUTO, DOMAIN)]
    done = await search(
        exchange, *plain, {"host": "hosted.example.org", "scheme": "http", "pox": BOTH}, names=names
    )
    assert where(done) is None
    assert told(exchange) == set()
    assert names.connected == [("http", AUTO), ("http", DOMAIN)]


async def test_a_bad_certificate_behind_a_redirection_ends_that_way(exchange: ExchangeSimulator) -> None:
    done = await search(
        exchange,
        {"host": AUTO, "scheme": "http", "pox": {"kind": "location", "url": f"https://evil.example{XML}"}},
        {"host": "evil.example", "certificate": "foreign", "pox": BOTH},
    )
    assert where(done) is None
    assert told(exchange) == set()
    assert "Certificate" in [step.outcome for step in done.steps]


async def test_follows_pox_to_another_url_and_another_address(exchange: ExchangeSimulator) -> None:
    done = await search(
        exchange,
        {"host": AUTO, "pox": {"kind": "redirect_url", "url": f"https://{DOMAIN}{XML}"}},
        {"host": DOMAIN, "pox": {"kind": "redirect_address", "address": SECOND}},
        {"host": "autodiscover.second.example", "pox": BOTH},
    )
    assert where(done) == OUTSIDE
    assert [step.then for step in done.steps][1:3] == ["followed", "begun again with it"]


async def test_loops_end(exchange: ExchangeSimulator) -> None:
    to_domain = {"kind": "location", "url": f"https://{DOMAIN}{XML}"}
    to_auto = {"kind": "redirect_url", "url": f"https://{AUTO}{XML}"}
    done = await search(exchange, {"host": AUTO, "pox": to_domain}, {"host": DOMAIN, "pox": to_auto})
    assert where(done) is None
    assert "not followed: it was asked before" in [step.then for step in done.steps]
    hops = [
        {
            "host": f"hop{n}.example.com",
            "pox": {
                "kind": "redirect_url",
                "url": f"https://hop{n + 1}.example.com/autodiscover/autodiscover.xml",
            },
        }
        for n in range(20)
    ]
    first = {"host": AUTO, "pox": {"kind": "redirect_url", "url": f"https://hop0.example.com{XML}"}}
    done = await search(exchange, first, *hops)
    assert where(done) is None
    assert {asked.host for asked in exchange.autodiscover.asked if "hop" in asked.host} == {
        f"hop{n}.example.com" for n in range(10)
    }


async def test_a_refused_password_is_not_given_to_the_next_host(exchange: ExchangeSimulator) -> None:
    sites = [{"host": host, "pox": BOTH} for host in (AUTO, DOMAIN)]
    done = await search(exchange, *sites, password="wrong")
    assert done.error is not None
    assert done.error.code == "HTTP 401"
    assert told(exchange) == {("https", AUTO)}
    assert done.steps[-1].then.startswith("ended")


async def test_without_a_password_nobody_signs_in(exchange: ExchangeSimulator) -> None:
    done = await search(
        exchange,
        {"host": AUTO, "pox": BOTH},
        {"host": DOMAIN, "json": {"kind": "url", "url": OUTSIDE}},
        password="",
    )
    assert where(done) == OUTSIDE
    assert [step.outcome for step in done.steps][:2] == ["HTTP 404", "NoPassword"]
    assert told(exchange) == set()


async def test_what_was_found_can_be_used(exchange: ExchangeSimulator) -> None:
    done = await search(exchange, {"host": AUTO, "pox": BOTH}, {"host": "mail.example.com"})
    url = where(done)
    assert url is not None
    tls = tls_context(exchange.ca_pem.decode())
    lanes = NtlmLanes(USER, exchange.password, tls, lanes=1, connect=lambda: connect(exchange))
    (match,) = await ExchangeClient(url, lanes).resolve("anna@example.com", "anna@example.com")
    await lanes.aclose()
    assert match.primary == "anna@example.com"


def test_the_host_is_enough_for_a_configured_address() -> None:
    configured = ExchangeSettings.model_validate({"url": "mail.example.com"})
    assert configured.ews_url == OUTSIDE


async def run(exchange: ExchangeSimulator, *arguments: str) -> int:
    return await asyncio.to_thread(
        main, ["discover", "--user", USER, *arguments], connect=lambda: connect(exchange)
    )


async def test_the_command_prints_a_line_a_step(
    exchange: ExchangeSimulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    exchange.autodiscover.publish([{"host": AUTO, "pox": settings(external=OUTSIDE)}])
    monkeypatch.setenv("PASSWORD_OF_CALENDAR", exchange.password)
    authority = tmp_path / "ca.pem"
    authority.write_bytes(exchange.ca_pem)
    arguments = ["--internal", "--ca", str(authority), "--password-env", "PASSWORD_OF_CALENDAR"]
    assert await run(exchange, *arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f" 1 POST https://{AUTO}{XML} -> EWS at {OUTSIDE}: "
        "taken, though external: no internal address is offered",
        f"found: {OUTSIDE}, Exchange 15.2.1748",
        "note: no internal address is offered",
    ]


async def test_the_command_fails_where_nothing_is_found(
    exchange: ExchangeSimulator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await run(exchange) == 1
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 6
    assert output.err.startswith("not found: Autodiscover found no Exchange")
    for arguments, message in (
        (["--password-env", "NO_SUCH_PASSWORD"], "NO_SUCH_PASSWORD: no such environment variable"),
        (["--ca", str(tmp_path / "none")], "No such file"),
        (["--ca", __file__], "exchange.certificate"),
        (["--user", "calendar"], "not valid"),
    ):
        assert await run(exchange, *arguments) == 1
        assert message in capsys.readouterr().err

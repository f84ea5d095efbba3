"""What is sent to the PBX, to the letter."""

import json

import pytest

from shared.pbx import protocol


@pytest.mark.parametrize(
    ("app", "challenge", "password", "digest"),
    [
        (
            "calendarsync",
            "1234567890123456",
            "secret",
            "4ad5b86392ba9ce5e419bee69474d33d225d40d2f1e21819349b6f191edd83f4",
        ),
        (
            "pbxadminapi",
            "0123456789abcdef",
            "pwd",
            "a205299ed2ef2786c311e0be1b14db343f2cadd906a6ae7b564eee34bda5e9a1",
        ),
    ],
)
def test_the_digest_is_the_published_one(app: str, challenge: str, password: str, digest: str) -> None:
    assert protocol.login_digest(app, password, challenge) == digest


def test_a_password_that_is_not_ascii_is_digested_as_utf_8() -> None:
    assert (
        protocol.login_digest("calendarsync", "geheimnis-ä€", "1")
        # printf 'calendarsync:::::1:geheimnis-ä€' | sha256sum
        == "eee14b58d74191329399e78fbd55dae9a855a7e7de5f7cb73e5f20d395e3b556"
    )


def test_the_challenge_is_asked_for() -> None:
    assert protocol.challenge_request() == '{"mt":"AppChallenge"}'


def test_the_login_names_the_app_and_leaves_the_user_empty() -> None:
    assert protocol.login_request("calendarsync", "secret", "1234567890123456") == (
        '{"mt":"AppLogin","app":"calendarsync","domain":"","sip":"","guid":"","dn":"",'
        '"digest":"4ad5b86392ba9ce5e419bee69474d33d225d40d2f1e21819349b6f191edd83f4"}'
    )


def test_the_identity_is_asked_of_the_admin_api() -> None:
    assert protocol.identity_request("i") == '{"api":"PbxAdminApi","mt":"MonitorConfig","src":"i"}'


def test_the_replication_names_its_columns_the_guid_first() -> None:
    assert protocol.replicate_start("u") == (
        '{"api":"PbxTableUsers","mt":"ReplicateStart","src":"u","add":false,"del":false,'
        '"columns":{"guid":{},"h323":{},"cn":{},"dn":{},"loc":{},"h323-email":{},"pseudo":{},"apps":{},'
        '"emails":{},"grps":{}},"pseudo":["","executive"]}'
    )


def test_the_next_row_is_asked_for_under_the_same_source() -> None:
    assert protocol.replicate_next("u") == '{"api":"PbxTableUsers","mt":"ReplicateNext","src":"u"}'


def test_a_presence_is_set_under_the_calendar_contact() -> None:
    guid = "c9ebcc5914bd5e01c8020090334106ee"
    assert protocol.presence_request("p1", "user0", guid, "busy", 'Büro ✓ "a"') == (
        '{"api":"PbxApi","mt":"SetPresence","src":"p1","sip":"user0",'
        '"guid":"c9ebcc5914bd5e01c8020090334106ee","contact":"calendar:","activity":"busy",'
        '"note":"Büro ✓ \\"a\\""}'
    )


def test_a_presence_is_cleared_with_empty_texts() -> None:
    message = json.loads(protocol.presence_request("p1", "user0", "0" * 32, "", ""))
    assert (message["activity"], message["note"]) == ("", "")

"""The digest, by the two published vectors."""

import pytest

from dev.pbx.digest import digest_login


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
def test_the_published_digests_come_out(app: str, challenge: str, password: str, digest: str) -> None:
    assert digest_login({"app": app, "domain": "", "sip": ""}, challenge, password) == digest


def test_info_counts_in_its_minified_form() -> None:
    with_info = digest_login({"app": "a", "info": {"x": [1, 2]}}, "c", "p")
    assert with_info == digest_login({"app": "a", "dn": ':{"x":[1,2]}'}, "c", "p")

"""The keys that the deployment makes are Fernet keys, and made once."""

from __future__ import annotations

import base64
import re
from functools import reduce
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.infra.bicep import INFRA, resources

TEXT = (INFRA / "key.bicep").read_text()
FUNCTIONS = {
    "range": lambda start, count: list(range(start, start + count)),
    "filter": lambda items, wanted: [item for item in items if wanted(item)],
    "map": lambda items, change: [change(item) for item in items],
    "take": lambda items, count: items[:count],
    "contains": lambda items, item: item in items,
    "indexOf": lambda text, part: text.find(part),
    "substring": lambda text, start, length: text[start : start + length],
    "toLower": lambda text: text.lower(),
    "join": lambda items, between: between.join(items),
    "reduce": lambda items, start, step: reduce(step, items, start),
}
"""Bicep's functions, as far as they are used; strings that are too short are an error there, and here."""


def evaluate(chance: str) -> str:
    """Compute the variables of key.bicep as Azure would: its expressions are nearly Python's."""
    values: dict[str, Any] = {**FUNCTIONS, "chance": chance}
    declarations = re.findall(
        r"^var (\w+) = (.*?)(?=\n(?:\n|var |//|resource ))", TEXT, re.MULTILINE | re.DOTALL
    )
    for name, expression in declarations:
        python = re.sub(r"(\w+) => ", r"lambda \1: ", expression)
        python = python.replace("!contains", "not contains").replace(" / ", " // ").replace("${", "{")
        values[name] = eval(re.sub(r"'(?=[{])", "f'", python), values)
    key: str = values["key"]
    return key


def guids() -> st.SearchStrategy[str]:
    return st.lists(st.uuids(version=4), min_size=3, max_size=3).map(lambda drawn: "".join(map(str, drawn)))


@given(guids())
def test_a_key_is_32_bytes_in_base64(chance: str) -> None:
    key = evaluate(chance)
    assert len(base64.urlsafe_b64decode(key)) == 32
    assert base64.urlsafe_b64encode(base64.urlsafe_b64decode(key)).decode() == key
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"secret")) == b"secret"


def test_a_key_consists_of_the_random_digits_of_the_guids_and_of_all_their_bits() -> None:
    drawn = [UUID("00112233-4455-4677-8899-aabbccddeeff"), uuid4(), uuid4()]
    digits = "".join(
        text[:8] + text[9:13] + text[15:18] + text[20:23] + text[24:] for text in map(str, drawn)
    )
    assert base64.urlsafe_b64decode(evaluate("".join(map(str, drawn)))) == bytes.fromhex(digits[:64])


def test_a_key_that_is_there_is_not_replaced() -> None:
    secret = resources("key.bicep", "Microsoft.KeyVault/vaults/secrets")["secret"]
    assert secret["name"] == "name"
    assert "@onlyIfNotExists()\nresource secret " in TEXT


def test_no_key_leaves_the_module() -> None:
    outputs = TEXT.split("\noutput ", 1)[1]
    assert outputs == "uri string = '${vault.properties.vaultUri}secrets/${name}'\n"
    assert "@secure()\nparam chance string" in TEXT

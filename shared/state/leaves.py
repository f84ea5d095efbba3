"""The listing's pure half: what of a user is searched and sorted, and how it is packed into records.

An *entry* is a line of text: the sort key, which ends in the guid, and the words that are searched. A *leaf*
is a record with the entries of some dozens of users in the order of their keys. Which entries share a leaf
depends on their keys alone: whoever comes or goes changes one leaf, and the same users always give the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from shared.model import User

_ONE_IN = 64
"""A leaf ends after about every so manieth user."""

_LARGEST = 24_000
"""Characters in a leaf, below the 32 K that one property of a record holds."""

_LONGEST_NAME = 100
_LONGEST_WORDS = 1_000

LAST = "~~"
"""Sorts behind every key: the name of the last leaf."""

_WORD = re.compile(r"[^\W_]+")


class Sort(StrEnum):
    """By what users are sorted: the name that is displayed, or the user name."""

    NAME = "name"
    USER = "user"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A user in the listing. ``words`` begins with a space, and one stands between two."""

    key: str
    words: str

    @property
    def guid(self) -> str:
        """Whom it stands for."""
        return self.key.rpartition("!")[2]

    def matches(self, terms: Iterable[str]) -> bool:
        """Whether each term begins one of the words."""
        return all(f" {term}" in self.words for term in terms)


def find_words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case and without accents, each once: runs of letters and digits."""
    return tuple(dict.fromkeys(_WORD.findall(_strip(_strip(text).casefold()))))


def _strip(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def find_user_words(user: User) -> str:
    """All that a user is found by: display name, common name, user name and addresses."""
    words = find_words(" ".join((user.display_name, user.common_name, user.sip, *user.emails)))
    return "".join(f" {word}" for word in words)[:_LONGEST_WORDS]


def make_entry(user: User, sort: Sort) -> Entry:
    """What the listing in this order holds of a user."""
    name = user.sip if sort is Sort.USER else user.display_name or user.common_name or user.sip
    text = "-".join(find_words(name))[:_LONGEST_NAME]
    # Keys of records: only ASCII, in the order of the characters.
    encoded = "".join(c if c.isascii() else f"~{ord(c):06x}" for c in text)
    return Entry(f"{encoded}!{user.guid}", find_user_words(user))


def make_leaves(entries: Iterable[Entry]) -> dict[str, str]:
    """The text of each leaf by its name, which is the key of its last entry, in the order of the names."""
    leaves: dict[str, str] = {}
    lines: list[str] = []
    size = 0
    for entry in sorted(entries):
        line = entry.key + entry.words
        if size + len(line) >= _LARGEST:
            leaves[lines[-1].partition(" ")[0]] = "\n".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
        if crc32(entry.key.encode()) % _ONE_IN == 0:
            leaves[entry.key] = "\n".join(lines)
            lines, size = [], 0
    if lines:
        leaves[LAST] = "\n".join(lines)
    return leaves


def read_leaf(text: str) -> Iterator[Entry]:
    """The entries of a leaf."""
    for line in text.split("\n"):
        key, space, words = line.partition(" ")
        yield Entry(key, space + words)


def find_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The leaves to be written, in the order of their names, and those to be deleted after that."""
    written = {name: text for name, text in after.items() if before.get(name) != text}
    return written, [name for name in before if name not in after]

"""The people of an invented company, as the PBX and as Exchange know them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

FIRST_NAMES = (
    "Anna Jörg Zoë Günter Mia Søren Käthe Łukasz Chloé Bjørn Nguyễn Renée Özlem Małgorzata Wolfgang Íñigo "
    "Paul Lea Emil Clara Jonas Ayşe Tomáš Ivana Henri Sophie Karl Elif Mateo Johanna Felix Nora Andrés Ida "
    "Björn Lena Max Greta Oskar Frieda Anton Luise Hugo Marie Theo Emma Leon Hanna Moritz Charlotte Rüdiger "
    "Ümit Françoise Jürgen Bärbel Sinéad Zdeněk Ágnes Åsa Mehmet Yusuf Priya Kenji Olena Dmytro Fatima Noah"
)
LAST_NAMES = (
    "Bauer Weiß Müller Schröder König Ångström Straßer Wójcik Lefèvre Østergaard Trần Dupré Yılmaz Żak Böhm "
    "Ibáñez Fischer Weber Schmidt Wagner Becker Hoffmann Koch Richter Klein Wolf Neumann Schwarz Krüger "
    "Zimmermann Hartmann Lange Werner Krause Meier Lehmann Köhler Jäger Vogel Keller Günther Frank Berger "
    "Winkler Roth Beck Lorenz Baumann Albrecht Schäfer Novák Horváth O'Neill Öztürk Tanaka Kovalenko Sørensen"
)
TEAMS = ("sales", "support", "development", "purchasing", "management")
LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "ł": "l", "ı": "i", "đ": "d", "'": ""}
)


@dataclass(frozen=True, slots=True)
class Person:
    """One employee. ``emails`` are the PBX's entries as they are typed in there, ``mailbox`` is Exchange's
    primary address, empty where there is none, ``aliases`` its further addresses."""

    sip: str
    first: str
    last: str
    team: str
    emails: tuple[str, ...]
    mailbox: str
    aliases: tuple[str, ...] = ()
    h323_email: bool = False

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def guid(self) -> str:
        return hashlib.sha256(self.sip.encode()).hexdigest()[:32]


def create_people(count: int, random: Random, domain: str) -> list[Person]:
    """Invent ``count`` people, the first seven each with another way to their mailbox."""
    firsts, lasts = FIRST_NAMES.split(), LAST_NAMES.split()
    people: list[Person] = []
    taken: Counter[str] = Counter()
    for number in range(count):
        first = firsts[number] if number < len(firsts) else random.choice(firsts)
        last = lasts[number] if number < len(lasts) else random.choice(lasts)
        sip = _name_uniquely(taken, _spell(first), f"{_spell(first)}.{_spell(last)}")
        local = _name_uniquely(taken, f"{_spell(first)}.{_spell(last)}@")[:-1]
        team = TEAMS[number % len(TEAMS)]
        people.append(_give_addresses(number, sip, first, last, team, f"{local}@{domain}", domain))
    return people


def describe_users(people: list[Person]) -> dict[str, Any]:
    """Give the seed of the simulated PBX."""
    return {"users": [_describe_user(number, person) for number, person in enumerate(people)]}


def _describe_user(number: int, person: Person) -> dict[str, Any]:
    return {
        "guid": person.guid,
        "h323": person.sip,
        "cn": person.name,
        "dn": f"{person.first} {person.last[0]}." if number % 3 == 0 else "",
        "loc": "hamburg" if number % 7 == 6 else "master",
        "node": "root",
        "hide": number % 11 == 10,
        "h323-email": person.h323_email,
        "apps": "users,softphone" if number % 6 == 5 else "users,softphone,calendar",
        "emails": [{"email": email} for email in person.emails],
        "grps": [{"name": person.team, "mode": "active"}],
    }


def _give_addresses(
    number: int, sip: str, first: str, last: str, team: str, address: str, domain: str
) -> Person:
    by_name, alias = f"{sip}@{domain}", address.replace("@", ".alias@")
    # A user name like first.last would be somebody else's address.
    others = (by_name,) if "." not in sip else ()
    match number:
        case 1:  # several addresses, of which Exchange does not know the first
            return Person(sip, first, last, team, (f"{sip}@fax.{domain}", address), address, others)
        case 2:  # several in one field
            return Person(sip, first, last, team, (f"{address}; {alias}",), address, (alias, *others))
        case 3:  # without a mailbox
            return Person(sip, first, last, team, (address,), "")
        case 4:  # found by username@domain only
            return Person(sip, first, last, team, (), by_name)
        case 5:
            return Person(sip, first, last, team, (), by_name, h323_email=True)
        case 6:  # the PBX knows an alias only
            return Person(sip, first, last, team, (alias,), address, (alias, *others))
    return Person(sip, first, last, team, (address,), address, others)


def _name_uniquely(taken: Counter[str], *wishes: str) -> str:
    """Give the first wish that nobody has, or the last one with a number."""
    wish = next((wish for wish in wishes if not taken[wish]), wishes[-1])
    taken[wish] += 1
    if taken[wish] == 1:
        return wish
    head, at, _ = wish.partition("@")
    return f"{head}{taken[wish]}{at}"


def _spell(name: str) -> str:
    """Spell a name in the letters of an address: Jörg becomes joerg, Zoë zoe."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(LETTERS))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())

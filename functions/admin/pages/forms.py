"""What the forms of the configuration ask for, and how their answers become settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from functions.admin.pages.locales import LANGUAGES
from shared.settings import Section, secret_fields

Kind = Literal[
    "text", "email", "secret", "pem", "secret pem", "choice", "flag", "number", "date", "list", "words"
]
Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One field. ``only`` names the sync types that need it; ``advanced`` ones are folded away."""

    name: str
    label: str
    help: str = ""
    kind: Kind = "text"
    choices: Choices = ()
    only: tuple[str, ...] = ()
    advanced: bool = False
    required: bool = False
    suggestions: str = ""


ON_PREMISES = ("on-premises",)
DELEGATED = ("cloud-delegated",)
CLOUD = ("cloud-delegated", "cloud-app-only")

SYNC_TYPES: Choices = (
    ("disabled", "Disabled"),
    ("on-premises", "On-premises: NTLM"),
    ("cloud-app-only", "Exchange Online: the application signs in as itself"),
    ("cloud-delegated", "Entra ID: somebody signs in once"),
)

PBX = (
    Question(
        "address",
        "PBX address",
        "Host name of the master PBX, or its complete wss:// address.",
        required=True,
    ),
    Question(
        "name",
        "PBX name",
        "The PBX name of the master PBX (not a DNS name), even if there is only one. Another PBX is refused.",
        required=True,
    ),
    Question(
        "app",
        "App object",
        "Name of the App object on the PBX; it must not begin with a digit.",
        required=True,
    ),
    Question("password", "Password", "Password of the App object.", "secret", required=True),
    Question(
        "scope",
        "Users",
        "Who leaves the scope gets their calendar presence cleared and their stored data deleted.",
        "choice",
        (("all", "All users"), ("app", "Only users who have an app"), ("groups", "Only members of groups")),
    ),
    Question("scope_app", "App of these users", "Name of the app that they have assigned."),
    Question("scope_groups", "Groups of these users", "One name a line.", "list"),
    Question(
        "domain",
        "PBX domain",
        "System name of the PBX, to build username@domain. Only needed where the App object has no right to "
        "the Admin API.",
        advanced=True,
    ),
    Question(
        "certificate",
        "Certificate",
        "Of the PBX or of the authority that signed it, where that is no public one. PEM.",
        "pem",
        advanced=True,
    ),
)

EXCHANGE = (
    Question(
        "sync_type",
        "Sync type",
        "It can only be changed from or to Disabled. Disabling clears every calendar presence and ends all "
        "subscriptions.",
        "choice",
        SYNC_TYPES,
    ),
    Question(
        "user",
        "User",
        "Complete e-mail address of the account that reads the calendars, also used for autodiscover.",
        "email",
        only=(*ON_PREMISES, *CLOUD),
        required=True,
    ),
    Question("password", "Password", "Password of that account.", "secret", only=ON_PREMISES, required=True),
    Question(
        "client_id",
        "Client ID",
        "Application (client) ID of the app registration.",
        only=CLOUD,
        required=True,
    ),
    Question(
        "tenant_id",
        "Tenant ID",
        "Directory (tenant) ID, or a domain of the tenant.",
        only=CLOUD,
        required=True,
    ),
    Question(
        "client_secret", "Client secret", "The value of a client secret, not its ID.", "secret", only=CLOUD
    ),
    Question(
        "client_certificate",
        "Client certificate",
        "In place of the secret: a certificate with its unencrypted RSA key. PEM.",
        "secret pem",
        only=CLOUD,
    ),
    Question(
        "secret_expires_on",
        "Secret expires on",
        "You are warned 30, 14 and 3 days before. Empty: the certificate's own last day.",
        "date",
        only=CLOUD,
    ),
    Question(
        "supported_accounts",
        "Supported accounts",
        "As in the app registration.",
        "choice",
        (
            ("my organization only", "My organization only"),
            ("multiple organizations", "Multiple organizations"),
        ),
        only=CLOUD,
    ),
    Question(
        "url",
        "Exchange address",
        "Of Exchange Web Services, or its host alone. Empty: found by autodiscover; in the cloud its own.",
    ),
    Question(
        "server",
        "Exchange server to use",
        "Where autodiscover offers only the other one, that one is used and said so.",
        "choice",
        (("external", "External URL"), ("internal", "Internal URL")),
        advanced=True,
    ),
    Question(
        "name_resolving",
        "User for name resolving",
        "Who executes ResolveNames.",
        "choice",
        (("impersonation user", "Impersonation user"), ("candidate users", "Candidate users")),
        advanced=True,
    ),
    Question(
        "cloud",
        "Cloud",
        "Host, authority and scope follow.",
        "choice",
        (
            ("worldwide", "Worldwide"),
            ("us-government-l4", "US Government L4"),
            ("us-government-l5", "US Government L5"),
            ("china", "China"),
        ),
        only=CLOUD,
        advanced=True,
    ),
    Question("scope", "Scope", "Empty: the cloud's own.", only=CLOUD, advanced=True),
    Question(
        "detection",
        "Changes are found by",
        "Choose regular reading where Exchange cannot reach this service.",
        "choice",
        (("push", "Exchange's notifications"), ("poll", "Regular reading")),
        advanced=True,
    ),
    Question(
        "poll_minutes", "Minutes between readings", "5 to 60, for regular reading.", "number", advanced=True
    ),
    Question(
        "max_subscriptions",
        "Max subscriptions per connection",
        "How many mailboxes one connection subscribes or reads at most before it is replaced.",
        "number",
        advanced=True,
    ),
    Question(
        "certificate",
        "Certificate authority",
        "That signed Exchange's certificate, where it is no public one. PEM.",
        "pem",
        only=ON_PREMISES,
        advanced=True,
    ),
    Question(
        "channel_binding",
        "Extended Protection",
        "Whether the sign-in is bound to the TLS connection. Automatic tries once without after a refusal, "
        "as a proxy that ends TLS needs it.",
        "choice",
        (("auto", "Automatic"), ("on", "On"), ("off", "Off")),
        only=ON_PREMISES,
        advanced=True,
    ),
    Question(
        "allow_plain_http",
        "Allow plain HTTP",
        "Accept an http:// address. Calendars and the sign-in then travel in the clear, as every page warns.",
        "flag",
        only=ON_PREMISES,
        advanced=True,
    ),
)

TARGETS: Choices = (
    ("available", "Available"),
    ("busy", "Busy"),
    ("away", "Away"),
    ("dnd", "Do not disturb"),
    ("ignore", "Ignore"),
)

PRESENCE = (
    Question(
        "language",
        "Language",
        "Of the notes.",
        "choice",
        LANGUAGES,
    ),
    Question(
        "timezone",
        "Time zone",
        "Whose midnight counts and whose times the notes show. Type a city to search.",
        suggestions="zones",
        required=True,
    ),
    Question(
        "show_subject",
        "Subjects",
        "Whether everybody who sees a presence reads the subject of the appointment. Private appointments "
        "never show theirs. Subjects that do not show are not stored.",
        "choice",
        (("true", "Show subjects"), ("false", "Do not show subjects")),
    ),
    Question("mapping.busy", "Busy", "Default: Busy.", "choice", TARGETS),
    Question("mapping.tentative", "Tentative", "Default: Ignore.", "choice", TARGETS),
    Question(
        "mapping.tentative_exception",
        "Tentative exceptions",
        "Of the organizers above. Default: Away.",
        "choice",
        TARGETS,
    ),
    Question("mapping.out_of_office", "Out of office", "Default: Away.", "choice", TARGETS),
    Question("mapping.working_elsewhere", "Working elsewhere", "Default: Available.", "choice", TARGETS),
    Question("mapping.no_data", "No data", "Default: Ignore.", "choice", TARGETS),
    Question(
        "tentative_exception_organizers",
        "Organizers of tentative exceptions",
        "E-mail addresses, such as the personnel department's, separated by commas or lines.",
        "words",
    ),
    Question("prioritized", "Prioritized: title contains", "Words, separated by commas or lines.", "words"),
    Question(
        "not_prioritized",
        "Prioritized: title must not contain",
        "Words, separated by commas or lines.",
        "words",
    ),
    Question(
        "until_unit",
        "Unit of #until",
        "Of the hash tag at the end of notes, for clients of another make.",
        "choice",
        (("ms", "Milliseconds"), ("s", "Seconds")),
        advanced=True,
    ),
)

QUESTIONS: Mapping[str, tuple[Question, ...]] = {"pbx": PBX, "exchange": EXCHANGE, "presence": PRESENCE}


def fill(name: str, section: Section) -> dict[str, str]:
    """The answers as the form shows them; secrets are not among them."""
    values = section.model_dump(mode="json", exclude=set(secret_fields(name)))
    if name == "presence":
        values |= {f"mapping.{key}": value or "ignore" for key, value in _mapping(section).items()}
    shown = {}
    for question in QUESTIONS[name]:
        value = values.get(question.name, "")
        if isinstance(value, bool):
            value = str(value).lower()
        shown[question.name] = "\n".join(value) if question.kind in ("list", "words") else str(value)
    return shown


def read_form(name: str, form: Mapping[str, str], section: Section) -> dict[str, Any]:
    """The section's values as the form answers them; what it does not ask for stays as it is."""
    values = section.model_dump(mode="json", exclude=set(secret_fields(name)))
    for question in QUESTIONS[name]:
        given = form.get(question.name, "")
        if question.name.startswith("mapping."):
            values["mapping"] = {**values["mapping"], question.name.removeprefix("mapping."): given}
        elif question.kind in ("secret", "secret pem"):
            values[question.name] = None if form.get(f"{question.name}.delete") else given
        elif question.kind == "list":
            values[question.name] = [line.strip() for line in given.splitlines() if line.strip()]
        elif question.kind == "words":
            values[question.name] = [word.strip() for word in re.split(r"[\n,]", given) if word.strip()]
        elif question.kind == "flag" or question.name == "show_subject":
            values[question.name] = given == "true"
        else:
            values[question.name] = given
    return values


def _mapping(section: Section) -> dict[str, str | None]:
    rules = section.rules.mapping  # type: ignore[attr-defined]
    return {name: getattr(rules, name) for name in rules.__dataclass_fields__}

"""ResolveNames against the simulated directory."""

from __future__ import annotations

from lxml import etree

from dev.exchange.mailboxes import Directory, Mailbox
from dev.exchange.soap import M, MessageError, escape, failure, success

MOST_RESULTS = 100
# The schema has three keys for e-mail addresses, so a recipient's further proxy addresses stay unseen.
KEYS = ("EmailAddress1", "EmailAddress2", "EmailAddress3")


def resolve_names(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """``smtp:ADDRESS`` finds by the beginning of any address, other words by name too."""
    if caller is None and body.get("SearchScope", "ActiveDirectoryContacts") != "ActiveDirectory":
        return [failure("ResolveNames", MessageError("ErrorNameResolutionNoMailbox"))]
    entry = (body.findtext(f"{M}UnresolvedEntry") or "").strip()
    kind, _, address = entry.partition(":")
    found = directory.with_prefix(address) if kind.lower() == "smtp" else directory.with_name(entry)
    if not found:
        return [failure("ResolveNames", MessageError("ErrorNameResolutionNoResults"))]
    full = body.get("ReturnFullContactData") in ("true", "1")
    resolutions = "".join(_write_resolution(mailbox, full=full) for mailbox in found[:MOST_RESULTS])
    content = (
        f'<m:ResolutionSet TotalItemsInView="{min(len(found), MOST_RESULTS)}" '
        f'IncludesLastItemInRange="{"true" if len(found) <= MOST_RESULTS else "false"}">'
        f"{resolutions}</m:ResolutionSet>"
    )
    if len(found) == 1:
        return [success("ResolveNames", content)]
    warning = MessageError("ErrorNameResolutionMultipleResults")
    return [failure("ResolveNames", warning, response_class="Warning", content=content)]


def _write_resolution(mailbox: Mailbox, *, full: bool) -> str:
    address, name = escape(mailbox.address), escape(mailbox.name)
    contact = ""
    if full:
        # Active Directory marks the primary address among all by writing its prefix in capitals.
        marked = [f"SMTP:{mailbox.address}", *(f"smtp:{alias}" for alias in mailbox.aliases)]
        entries = "".join(
            f'<t:Entry Key="{key}">{escape(value)}</t:Entry>'
            for key, value in zip(KEYS, marked, strict=False)
        )
        contact = (
            f"<t:Contact><t:DisplayName>{name}</t:DisplayName><t:EmailAddresses>{entries}</t:EmailAddresses>"
            "<t:ContactSource>ActiveDirectory</t:ContactSource></t:Contact>"
        )
    return (
        f"<t:Resolution><t:Mailbox><t:Name>{name}</t:Name><t:EmailAddress>{address}</t:EmailAddress>"
        f"<t:RoutingType>SMTP</t:RoutingType><t:MailboxType>{mailbox.type}</t:MailboxType></t:Mailbox>"
        f"{contact}</t:Resolution>"
    )

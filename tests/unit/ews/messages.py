"""Exchange's side of the conversation, written as text: what the tests feed to the code."""

from __future__ import annotations

from html import escape

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"

VERSION = (
    '<s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1544" '
    f'MinorBuildNumber="4" xmlns:h="{TYPES}"/></s:Header>'
)


def envelope(body: str, header: str = VERSION) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}">{header}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def response(operation: str, *answers: str, header: str = VERSION) -> bytes:
    return envelope(
        f'<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
        f"{''.join(answers)}</m:ResponseMessages></m:{operation}Response>",
        header,
    )


def answer(operation: str, content: str = "", *, code: str = "NoError", kind: str = "Success") -> str:
    return (
        f'<m:{operation}ResponseMessage ResponseClass="{kind}"><m:ResponseCode>{code}</m:ResponseCode>'
        f"{content}</m:{operation}ResponseMessage>"
    )


def message_xml(prefix: str = "m", **values: str) -> str:
    inner = "".join(f'<t:Value Name="{name}">{value}</t:Value>' for name, value in values.items())
    return f'<{prefix}:MessageXml xmlns:t="{TYPES}">{inner}</{prefix}:MessageXml>'


def refusal(operation: str, code: str, xml: str = "") -> bytes:
    return response(operation, answer(operation, xml, code=code, kind="Error"))


def fault(code: str, **values: str) -> bytes:
    xml = message_xml("t", **values).replace("<t:MessageXml", f'<t:MessageXml xmlns:t="{TYPES}"', 1)
    xml = xml.replace(f' xmlns:t="{TYPES}" xmlns:t="{TYPES}"', f' xmlns:t="{TYPES}"')
    return envelope(
        f'<s:Fault><faultcode xmlns:a="{TYPES}">a:{code}</faultcode><faultstring>Leider nein</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}"> {code} </e:ResponseCode>{xml}</detail></s:Fault>',
        header="",
    )


def organizer(name: str = "", address: str = "", routing: str = "") -> str:
    parts = (("Name", name), ("EmailAddress", address), ("RoutingType", routing))
    inner = "".join(f"<t:{tag}>{text}</t:{tag}>" for tag, text in parts if text)
    return f"<t:Organizer><t:Mailbox>{inner}</t:Mailbox></t:Organizer>"


def item(
    start: str = "2017-08-21T08:30:00Z",
    end: str = "2017-08-21T09:30:00Z",
    *,
    subject: str = "Meeting",
    uid: str = "uid-1",
    item_id: str = "item-1",
    more: str = "",
) -> str:
    def element(name: str, text: str) -> str:
        return f"<t:{name}>{text}</t:{name}>" if text else ""

    found = f'<t:ItemId Id="{item_id}" ChangeKey="c"/>' if item_id else ""
    return (
        f"<t:CalendarItem>{found}{element('Subject', escape(subject))}{element('UID', uid)}"
        f"{element('Start', start)}{element('End', end)}{more}</t:CalendarItem>"
    )


def found_items(*items: str, complete: bool | None = True) -> bytes:
    last = "" if complete is None else f' IncludesLastItemInRange="{str(complete).lower()}"'
    folder = f"<m:RootFolder{last}><t:Items>{''.join(items)}</t:Items></m:RootFolder>"
    return response("FindItem", answer("FindItem", folder))


def resolution(
    address: str, *entries: str, kind: str = "Mailbox", routing: str = "<t:RoutingType>SMTP</t:RoutingType>"
) -> str:
    dictionary = "".join(f'<t:Entry Key="EmailAddress{i}">{e}</t:Entry>' for i, e in enumerate(entries, 1))
    contact = f"<t:Contact><t:EmailAddresses>{dictionary}</t:EmailAddresses></t:Contact>" if entries else ""
    mailbox = f"<t:EmailAddress>{address}</t:EmailAddress>{routing}<t:MailboxType>{kind}</t:MailboxType>"
    return f"<t:Resolution><t:Mailbox>{mailbox}</t:Mailbox>{contact}</t:Resolution>"


def resolved(*resolutions: str) -> bytes:
    several = len(resolutions) > 1
    content = (
        f'<m:ResolutionSet TotalItemsInView="{len(resolutions)}">{"".join(resolutions)}</m:ResolutionSet>'
    )
    code = "ErrorNameResolutionMultipleResults" if several else "NoError"
    kind = "Warning" if several else "Success"
    return response("ResolveNames", answer("ResolveNames", content, code=code, kind=kind))


def subscribed(subscription_id: str = "sub-1", watermark: str = "mark-1") -> bytes:
    content = f"<m:SubscriptionId>{subscription_id}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark>"
    return response("Subscribe", answer("Subscribe", content))


def organizers(*contents: str) -> bytes:
    """A GetItem answer: an organizer element a message, or a message of its own."""
    return response(
        "GetItem",
        *(
            content
            if content.startswith("<m:")
            else answer("GetItem", f"<m:Items><t:CalendarItem>{content}</t:CalendarItem></m:Items>")
            for content in contents
        ),
    )


def event(name: str, watermark: str = "mark-2") -> str:
    return f"<t:{name}><t:Watermark>{watermark}</t:Watermark></t:{name}>"


def notification(
    *events: str, subscription_id: str = "sub-1", previous: str = "mark-1", more: str = "false"
) -> str:
    return answer(
        "SendNotification",
        f"<m:Notification><t:SubscriptionId>{subscription_id}</t:SubscriptionId>"
        f"<t:PreviousWatermark>{previous}</t:PreviousWatermark><t:MoreEvents>{more}</t:MoreEvents>"
        f"{''.join(events)}</m:Notification>",
    )


def send_notification(*messages: str) -> bytes:
    body = response("X", *messages).decode()
    return body.replace("m:XResponse", "m:SendNotification").encode()

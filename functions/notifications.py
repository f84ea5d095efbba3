"""What Exchange triggers: push notifications."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.services import now, services
from shared.errors import ExchangeError
from shared.ews.notifications import parse_notifications
from shared.ews.requests import notification_result
from shared.pseudonym import pseudonym
from shared.sync.checking import check_of

_log = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
"""Bytes of a notification; Exchange's have a few thousand."""

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route(
    "api/notifications/{guid}/{secret}",
    trigger_arg_name="request",
    methods=["POST"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def notification(request: func.HttpRequest) -> func.HttpResponse:
    """Take a SendNotification and answer it at once.

    The address is the only proof of the caller: a wrong secret gets an empty 404.
    """
    calendar = await services()
    guid, secret = request.route_params["guid"], request.route_params["secret"]
    if not calendar.callbacks.verify(guid, secret):
        calendar.metrics.count("notifications_refused")
        return func.HttpResponse(status_code=404)
    body = request.get_body()
    if len(body) > BODY_LIMIT:
        calendar.metrics.count("notifications_refused")
        return func.HttpResponse(status_code=413)
    try:
        notifications = parse_notifications(body)
    except ExchangeError as error:
        _log.warning("unreadable notification", extra={"user": pseudonym(guid), "code": error.code})
        calendar.metrics.count("notifications_refused")
        return func.HttpResponse(status_code=400)
    if (check := check_of(guid)) is not None:
        await calendar.checks.confirm(check, now())
        return _answer(keep=False)
    # Who is refused above is only counted in memory: a stranger makes no work for the storage.
    async with calendar.execution("notification"):
        keep = await calendar.receiver().receive(guid, notifications)
        changes = sum(any(event != "StatusEvent" for event in each.events) for each in notifications)
        calendar.metrics.count("notifications", len(notifications))
        calendar.metrics.count("changes", changes)
        calendar.metrics.count("unsubscribed", not keep)
    return _answer(keep=keep)


def _answer(*, keep: bool) -> func.HttpResponse:
    return func.HttpResponse(
        notification_result(keep=keep), status_code=200, mimetype="text/xml", charset="utf-8"
    )

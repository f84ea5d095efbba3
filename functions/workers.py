"""What the queues trigger. A message holds users' guids and a reason; it may come twice."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.services import services
from shared.state.queues import Work

_log = logging.getLogger(__name__)

_STORAGE = "AzureWebJobsStorage"

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.queue_trigger("message", "sync", _STORAGE)
async def sync(message: func.QueueMessage) -> None:
    """Read these users' calendars."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if not configuration.missing():
        reader = calendar.reader(configuration.exchange)
        await reader.read(work.users, work.reason, configuration.presence.rules)


@blueprint.queue_trigger("message", "subscribe", _STORAGE)
async def subscribe(message: func.QueueMessage) -> None:
    """Find these users' mailboxes and subscribe to them."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if not configuration.missing():
        await calendar.subscriber(configuration.exchange).subscribe(work.users, work.reason)


@blueprint.queue_trigger("message", "publish", _STORAGE)
async def publish(message: func.QueueMessage) -> None:
    """Tell the PBX what waits in the outbox."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if not configuration.missing():
        told = await calendar.publisher(configuration.pbx).publish(work.users)
        _log.info("published", extra={"presences": told})


@blueprint.queue_trigger("message", "directory", _STORAGE)
async def replicate(message: func.QueueMessage) -> None:
    """Replicate the PBX's users."""
    calendar = await services()
    configuration = await calendar.configuration()
    if not configuration.missing():
        await calendar.directory(configuration.pbx).run()


@blueprint.queue_trigger("message", "sync-poison", _STORAGE)
async def sync_given_up(message: func.QueueMessage) -> None:
    """Readings that failed five times."""
    await _record(message, "sync")


@blueprint.queue_trigger("message", "subscribe-poison", _STORAGE)
async def subscribe_given_up(message: func.QueueMessage) -> None:
    """Subscriptions that failed five times."""
    await _record(message, "subscribe")


@blueprint.queue_trigger("message", "publish-poison", _STORAGE)
async def publish_given_up(message: func.QueueMessage) -> None:
    """Publishing that failed five times; the upkeep asks again."""
    await _record(message, "publish")


@blueprint.queue_trigger("message", "directory-poison", _STORAGE)
async def replicate_given_up(message: func.QueueMessage) -> None:
    """Replications that failed five times; the next hour asks again."""
    await _record(message, "directory")


async def _record(message: func.QueueMessage, queue: str) -> None:
    try:
        users = Work.parse(message.get_body().decode()).users
    except ValueError:
        # Not one of ours: that is why it was given up.
        users = ()
    # Publishing names users only to be quicker; nothing is wrong with them.
    await (await services()).poison().take(users if queue in ("sync", "subscribe") else (), queue)

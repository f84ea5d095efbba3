"""What the queues trigger. A message holds users' guids and a reason; it may come twice."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import azure.functions as func

from functions.services import now, services
from shared.metrics import Metrics
from shared.settings import Detection, SyncType
from shared.state.queues import Work
from shared.sync.changes import Effect
from shared.sync.throttling import Rest

_log = logging.getLogger(__name__)

_STORAGE = "AzureWebJobsStorage"

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.queue_trigger("message", "sync", _STORAGE)
async def sync(message: func.QueueMessage) -> None:
    """Read these users' calendars."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if configuration.missing():
        return
    async with calendar.execution("sync", work):
        reader = calendar.reader(configuration.exchange)
        readings = await reader.read(work.users, work.reason, configuration.presence.rules)
        calendar.metrics.count("reads", readings.calendars)
        _count(calendar.metrics, readings.rest)
        await calendar.applier.catch_up(configuration, work.users)


@blueprint.queue_trigger("message", "subscribe", _STORAGE)
async def subscribe(message: func.QueueMessage) -> None:
    """Find these users' mailboxes and subscribe to them."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if configuration.missing():
        return
    async with calendar.execution("subscribe", work):
        subscriber = calendar.subscriber(configuration.exchange)
        polls = configuration.exchange.detection is Detection.POLL
        subscribed = await subscriber.subscribe(work.users, work.reason, poll=polls)
        calendar.metrics.count("subscriptions", subscribed.subscriptions)
        _count(calendar.metrics, subscribed.rest)
        await calendar.applier.catch_up(configuration, work.users)


@blueprint.queue_trigger("message", "publish", _STORAGE)
async def publish(message: func.QueueMessage) -> None:
    """Tell the PBX what waits in the outbox, also when nothing more is read."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if configuration.pbx.missing():
        return
    async with calendar.execution("publish", work):
        ended = configuration.exchange.sync_type is SyncType.DISABLED
        told = await calendar.publisher(configuration.pbx).publish(work.users, ended=ended)
        calendar.metrics.count("presences", told.presences)
        calendar.metrics.count("presences_refused", told.refused)
        calendar.metrics.count("errors_pbx", told.failed)
        _log.info("published", extra={"presences": told.presences})
        await calendar.applier.catch_up(configuration, everybody=[Effect.TELL_ANEW, Effect.RETIRE])


@blueprint.queue_trigger("message", "directory", _STORAGE)
async def replicate(message: func.QueueMessage) -> None:
    """Replicate the PBX's users."""
    calendar = await services()
    configuration = await calendar.configuration()
    work = Work.parse(message.get_body().decode())
    if configuration.missing():
        return
    async with calendar.execution("replicate"):
        changes = await calendar.directory(configuration.pbx).run(work.reason, _asked_at(message))
        if changes is not None:
            calendar.metrics.count("users_added", changes.added)
            calendar.metrics.count("users_changed", changes.changed)
            calendar.metrics.count("users_removed", changes.removed)
        await calendar.applier.catch_up(configuration)


@blueprint.queue_trigger("message", "configure", _STORAGE)
async def configure(message: func.QueueMessage) -> None:
    """Have the configuration take effect."""
    calendar = await services()
    async with calendar.execution("configure"):
        asked = await calendar.applier.run()
        _log.info("configured", extra={"users": asked})


@blueprint.queue_trigger("message", "checks", _STORAGE)
async def check(message: func.QueueMessage) -> None:
    """Test the connection, once."""
    await (await services()).checker().run(message.get_body().decode())


@blueprint.queue_trigger("message", "checks-poison", _STORAGE)
async def check_given_up(message: func.QueueMessage) -> None:
    """Tests of the connection that were broken off."""
    await (await services()).checker().give_up(message.get_body().decode())


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


@blueprint.queue_trigger("message", "configure-poison", _STORAGE)
async def configure_given_up(message: func.QueueMessage) -> None:
    """Applying that failed five times; the tick asks again."""
    await _record(message, "configure")


@blueprint.queue_trigger("message", "overdue-poison", _STORAGE)
async def overdue_given_up(message: func.QueueMessage) -> None:
    """Work of a stopped timer that failed five times; a minute later it is asked for again."""
    await _record(message, "overdue")


def _asked_at(message: func.QueueMessage) -> datetime | None:
    """When the message was sent, where the host says so, and in UTC where it names no zone."""
    sent = message.insertion_time
    return sent.replace(tzinfo=sent.tzinfo or UTC) if sent else None


def _count(metrics: Metrics, rest: Rest) -> None:
    """Count what became of the users whose work did not succeed."""
    metrics.count("errors_user", rest.failed)
    metrics.count("errors_exchange", rest.unavailable)
    metrics.count("postponed", rest.postponed)


async def _record(message: func.QueueMessage, queue: str) -> None:
    try:
        users = Work.parse(message.get_body().decode()).users
    except ValueError:
        # Not one of ours: that is why it was given up.
        users = ()
    # Publishing names users only to be quicker; nothing is wrong with them.
    calendar = await services()
    await calendar.poison().take(users if queue in ("sync", "subscribe") else (), queue)
    calendar.metrics.count("given_up")
    await calendar.metrics.flush(now())

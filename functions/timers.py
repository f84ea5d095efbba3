"""What the clock triggers. Schedules are in UTC; each timer leaves a heartbeat."""

from __future__ import annotations

import logging
from datetime import timedelta

import azure.functions as func

from functions import telemetry
from functions.services import now, services
from shared.settings import Detection
from shared.state.queues import Work
from shared.sync.changes import Effect

_log = logging.getLogger(__name__)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.timer_trigger("timer", schedule="0 * * * * *", use_monitor=True)
async def tick(timer: func.TimerRequest) -> None:
    """Every minute: presences that change by themselves, and whatever is overdue."""
    await _tick()


async def _tick() -> None:
    calendar = await services()
    configuration = await calendar.configuration()
    async with calendar.execution("tick"), calendar.heartbeat("tick"):
        calendar.metrics.count("overdue", await calendar.overdue.start_others())
        await calendar.applier.notice(configuration)
        if missing := configuration.missing():
            _log.warning("not configured", extra={"missing": missing})
            if not configuration.pbx.missing():
                await calendar.applier.publish_rest()
            return
        calendar.metrics.count("due", await calendar.ticker().tick(configuration.presence.rules))
        await calendar.applier.catch_up(configuration, everybody=[Effect.PRESENT])


@blueprint.timer_trigger("timer", schedule="0 */15 * * * *", use_monitor=True)
async def midnight(timer: func.TimerRequest) -> None:
    """Every quarter of an hour: when the local date has changed, everybody is read again."""
    await _midnight()


async def _midnight() -> None:
    calendar = await services()
    configuration = await calendar.configuration()
    async with calendar.execution("midnight"), calendar.heartbeat("midnight"):
        if not configuration.missing():
            asked = await calendar.midnight().run(configuration.presence.rules.zone)
            calendar.metrics.count("midnight", asked)


@blueprint.timer_trigger("timer", schedule="30 2-59/5 * * * *", use_monitor=True)
async def upkeep(timer: func.TimerRequest) -> None:
    """Every five minutes: silent subscriptions, and work that got lost."""
    await _upkeep()


async def _upkeep() -> None:
    calendar = await services()
    configuration = await calendar.configuration()
    async with calendar.execution("upkeep"), calendar.heartbeat("upkeep"):
        await calendar.counters.prune(now())
        await calendar.checks.prune(now())
        await calendar.recordings.prune(now())
        await calendar.audit.prune(now())
        if configuration.missing():
            return
        exchange = configuration.exchange
        polls = exchange.detection is Detection.POLL
        calendar.metrics.count("neglected", await calendar.upkeep().run(poll=polls))
        if polls:
            every = timedelta(minutes=exchange.poll_minutes)
            calendar.metrics.count("polled", await calendar.polling().run(every))
        telemetry.report(await calendar.status().collect(configuration), calendar.instruments)


@blueprint.timer_trigger("timer", schedule="0 7 * * * *", use_monitor=True)
async def directory(timer: func.TimerRequest) -> None:
    """Every hour: have the PBX's users replicated."""
    calendar = await services()
    configuration = await calendar.configuration()
    if not configuration.missing():
        await calendar.queues.replicate("hourly")


@blueprint.queue_trigger("message", "overdue", "AzureWebJobsStorage")
async def overdue(message: func.QueueMessage) -> None:
    """Do the work of a timer that has stopped."""
    work = {"tick": _tick, "midnight": _midnight, "upkeep": _upkeep}
    await work[Work.parse(message.get_body().decode()).reason]()

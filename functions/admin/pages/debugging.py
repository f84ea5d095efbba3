"""For whoever searches for a fault: timers, queues, and what was said to Exchange."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from lxml import etree

from functions.admin.context import Calendar, Now, Pages, Recording, Who
from functions.admin.debugging import (
    LONGEST,
    answer_lines,
    delete_records,
    find_record,
    list_records,
    look_at_switch,
    start_recording,
    stop_recording,
)

router = APIRouter(include_in_schema=False, prefix="/debugging")

PAGE = 50
TIMES = (("15", "15 minutes"), ("60", "1 hour"), ("480", "8 hours"))
_DONE = {
    "started": "What is said to Exchange is recorded from now on. That takes a few seconds to begin.",
    "stopped": "Nothing more is recorded.",
    "deleted": "What was recorded is deleted.",
}


@router.get("")
async def debugging(
    request: Request, pages: Pages, calendar: Calendar, now: Now, after: str = "", done: str = ""
) -> Response:
    """Timers and queues, the recording and its latest records."""
    found = await list_records(calendar, PAGE + 1, after)
    shown = found[:PAGE]
    more = f"/debugging?{urlencode({'after': shown[-1].id})}#records" if len(found) > PAGE else ""
    return await pages.page(
        request,
        "debugging.html",
        found=await calendar.status().collect(await calendar.configuration()),
        switch=await look_at_switch(calendar, now),
        times=TIMES,
        records=shown,
        first="/debugging#records" if after else "",
        following=more,
        done=_DONE.get(done, ""),
    )


@router.post("/start")
async def start(
    calendar: Calendar,
    who: Who,
    now: Now,
    record: Recording,
    minutes: Annotated[int, Form(ge=1, le=LONGEST)],
    subjects: Annotated[bool, Form()] = False,
) -> Response:
    """Record for some time."""
    await start_recording(calendar, who, record, now, timedelta(minutes=minutes), subjects=subjects)
    return _back("started")


@router.post("/stop")
async def stop(calendar: Calendar, who: Who, record: Recording) -> Response:
    """Record no more."""
    await stop_recording(calendar, who, record)
    return _back("stopped")


@router.post("/delete")
async def delete(calendar: Calendar, record: Recording) -> Response:
    """Delete all records."""
    await delete_records(calendar, record)
    return _back("deleted")


@router.get("/records.jsonl")
async def download(calendar: Calendar, record: Recording) -> Response:
    """All records as a file."""
    return await answer_lines(calendar, record)


@router.get("/records/{identity}")
async def show(request: Request, identity: str, pages: Pages, calendar: Calendar) -> Response:
    """What was said, and answered."""
    record = await find_record(calendar, identity)
    return await pages.page(
        request,
        "record.html",
        record=record,
        sides=(
            ("Request", record.request_headers, lay_out(record.request)),
            ("Answer", record.answer_headers, lay_out(record.answer)),
        ),
    )


def lay_out(text: str) -> str:
    """XML with an element a line; anything else as it is."""
    try:
        root = etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return text
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


def _back(done: str) -> Response:
    return RedirectResponse(f"/debugging?done={done}", 303)

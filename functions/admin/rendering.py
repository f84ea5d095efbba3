"""Pages from templates: who looks at them, what is warned of, and where else to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup

from functions.admin.assets import Assets
from functions.admin.session import Sessions
from functions.services import Services
from shared.errors import CalendarError
from shared.settings import Configuration

FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Destination:
    """An entry of the navigation."""

    path: str
    title: str


class Renderer:
    """Renders templates. What every template knows is in `page`."""

    def __init__(
        self, calendar: Services, sessions: Sessions, assets: Assets, navigation: Sequence[Destination]
    ) -> None:
        self._calendar = calendar
        self._sessions = sessions
        self._navigation = navigation
        self._jinja = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals |= {"asset": assets.url, "moment": moment, "ago": ago, "span": span}

    async def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page, or a part of one for htmx, from a template and its values."""
        who = request.state.administrator
        configuration, warnings = await self._configuration() if who else (Configuration(), [])
        text = self._jinja.get_template(template).render(
            who=who,
            local=self._calendar.environment.administration.local,
            csrf=self._sessions.csrf_token(who.session) if who else "",
            path=request.url.path,
            navigation=self._navigation if who else (),
            warnings=warnings,
            zone=configuration.presence.rules.zone,
            **values,
        )
        return HTMLResponse(text, status, dict(headers or {}))

    async def _configuration(self) -> tuple[Configuration, list[str]]:
        """What is configured, and what of it is warned of on every page."""
        try:
            configuration = await self._calendar.configuration()
        except CalendarError as error:
            return Configuration(), [str(error)]
        warnings = []
        if configuration.exchange.allow_plain_http:
            warnings.append(
                "Plain HTTP to Exchange is allowed: calendars and the sign-in travel in the clear. "
                "Use https, and switch it off in the configuration."
            )
        return configuration, warnings


@pass_context
def moment(context: Context, instant: datetime | None, missing: str = "never") -> Markup | str:
    """An instant in the time zone of the notes, for reading; machines find UTC in it."""
    if instant is None:
        return missing
    zone: ZoneInfo = context["zone"]
    local = instant.astimezone(zone)
    text = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    return Markup('<time datetime="{}">{}</time>').format(instant.astimezone(UTC).isoformat(), text)


def ago(instant: datetime | None, now: datetime, missing: str = "never") -> Markup | str:
    """How long ago an instant was, for reading; machines find UTC in it."""
    if instant is None:
        return missing
    text = f"{span(max(now - instant, timedelta()))} ago"
    return Markup('<time datetime="{}">{}</time>').format(instant.astimezone(UTC).isoformat(), text)


def span(duration: timedelta) -> str:
    """A duration in the unit that fits."""
    seconds = duration.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""Style sheet, scripts and icon, served under names that change with their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parent / "static"
PREFIX = "/static/"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file and the name it has for browsers."""

    name: str
    body: bytes
    media_type: str


class Assets:
    """All files of the folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._by_file = {path.name: _read(path) for path in folder.iterdir() if path.suffix in _TYPES}
        self._by_name = {asset.name: asset for asset in self._by_file.values()}

    def url(self, file: str) -> str:
        """The address of a file. Raises KeyError."""
        return PREFIX + self._by_file[file].name

    def find(self, name: str) -> Asset | None:
        """What has this name, with the hash of its content."""
        return self._by_name.get(name)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"{path.stem}.{digest}{path.suffix}", body, _TYPES[path.suffix])


router = APIRouter(include_in_schema=False)


@router.get(PREFIX + "{name}")
async def asset(request: Request, name: str) -> Response:
    """One file, for ever: another content has another name."""
    found: Asset | None = request.app.state.assets.find(name)
    if found is None:
        raise HTTPException(404)
    return Response(
        found.body,
        media_type=found.media_type,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )

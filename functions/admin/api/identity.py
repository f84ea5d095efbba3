"""Who is signed in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, problems
from functions.admin.context import Who

router = APIRouter(prefix=BASE, tags=["identity"])


class Me(BaseModel):
    """Who is signed in."""

    id: str = Field(description="Object ID in Entra ID.", examples=["5f0f2f51-3c9d-4a3f-9a41-6f6b5e4a3c2d"])
    name: str = Field(examples=["anna@example.com"])
    csrf_token: str | None = Field(
        description="What changes bring along as X-CSRF-Token where a cookie says who it is, else null.",
        examples=[None],
    )


@router.get("/me", responses=problems())
async def me(request: Request, who: Who) -> Me:
    """Who is signed in."""
    token = request.app.state.sessions.csrf_token(who.session) if who.session else None
    return Me(id=who.id, name=who.name, csrf_token=token)

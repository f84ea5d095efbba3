"""The sign-in in whose name Exchange is asked, where its sync type is ``cloud-delegated``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from fastapi import APIRouter
from pydantic import BaseModel, Field

from functions.admin.api.conventions import BASE, problems
from functions.admin.context import Calendar, Recording
from functions.admin.delegation import describe_delegation, revoke_delegation

router = APIRouter(prefix=BASE, tags=["configuration"])


class SignInState(StrEnum):
    """What has become of the sign-in."""

    NONE = "none"
    SIGNED_IN = "signed in"
    ENDED = "ended"
    UNREADABLE = "unreadable"


class ExchangeSignIn(BaseModel):
    """The sign-in; its tokens stay where they are."""

    state: SignInState = Field(examples=["ended"])
    needed: bool = Field(description="Whether the saved settings of Exchange need it.", examples=[True])
    missing: list[str] = Field(description="What these settings lack before it can begin.", examples=[[]])
    redirect_uri: str = Field(
        description="To be entered in the app registration, platform Web.",
        examples=["https://calendar.example.com/authenticated"],
    )
    account: str = Field(examples=["calendar@example.com"])
    other_account: bool = Field(
        description="Whether the account is not the configured user.", examples=[False]
    )
    signed_in_at: datetime | None
    renewed_at: datetime | None
    refused: str = Field(description="The code with which Entra ID ended it.", examples=["AADSTS50173"])
    refusal: str = Field(
        description="What that means, and what to do.",
        examples=["the sign-in has expired or was revoked. Sign in again with Authenticate."],
    )


@router.get("/exchange-sign-in", responses=problems())
async def show(calendar: Calendar) -> ExchangeSignIn:
    """Who has signed in, since when, and whether it still holds. To sign in takes a browser."""
    found = await describe_delegation(calendar)
    sign_in = found.sign_in
    state = SignInState.UNREADABLE if found.fault else SignInState.NONE
    if sign_in is not None:
        state = SignInState.SIGNED_IN if sign_in.valid else SignInState.ENDED
    return ExchangeSignIn(
        state=state,
        needed=found.wanted,
        missing=list(found.missing),
        redirect_uri=found.redirect_uri,
        account=sign_in.account if sign_in else "",
        other_account=found.other,
        signed_in_at=sign_in.signed_in_at if sign_in else None,
        renewed_at=sign_in.renewed_at if sign_in else None,
        refused=sign_in.refused if sign_in else "",
        refusal=found.refusal,
    )


@router.delete("/exchange-sign-in", status_code=204, responses=problems())
async def revoke(calendar: Calendar, record: Recording) -> None:
    """Forget the sign-in; what runs stops using it within a minute. Not having one is no error."""
    found = await describe_delegation(calendar)
    await revoke_delegation(calendar)
    await record("revoked the sign-in to Exchange", found.sign_in.account if found.sign_in else "")

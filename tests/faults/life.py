"""What people and the weather do: calendars and users change, systems go away. All of it seeded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.errors import ExchangeUnavailable
from shared.model import Appointment, Sensitivity, ShowAs, User
from tests.faults.chaos import Chaos, Fault
from tests.faults.pbx import member
from tests.faults.world import RULES, World

MINUTE = timedelta(minutes=1)

BEGINNINGS = (
    datetime(2026, 11, 23, 8, 10, tzinfo=UTC),
    datetime(2026, 11, 23, 21, 50, tzinfo=UTC),
    datetime(2026, 11, 23, 22, 30, tzinfo=UTC),
    # The clocks go back at 01:00 UTC, and forward at 01:00 UTC; midnight is at 22:00 and at 23:00.
    datetime(2026, 10, 24, 21, 40, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 10, tzinfo=UTC),
    datetime(2027, 3, 28, 0, 5, tzinfo=UTC),
    datetime(2027, 3, 27, 22, 20, tzinfo=UTC),
)
"""When runs begin: on a working day, around midnight, and where the day has 25 or 23 hours."""

_SHOW_AS = (
    *[ShowAs.BUSY] * 6,
    *(ShowAs.OUT_OF_OFFICE, ShowAs.WORKING_ELSEWHERE, ShowAs.TENTATIVE, ShowAs.FREE),
)
_SPARE = ("spare1@example.com", "spare2@example.com")


class Life:
    """Changes calendars and users of a world until it is stopped."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.chaos.life
        self._count = 0
        self._gone: list[User] = []
        self._disabled = False

    def populate(self, users: int) -> None:
        """The mailboxes and users that are there from the beginning."""
        for address in _SPARE:
            self.world.exchange.add_mailbox(address, self._appointments(4))
        for _ in range(users):
            self._arrive()

    async def live(self, until: datetime) -> None:
        """Something every minute or two."""
        while self.world.clock() < until:
            await asyncio.sleep(self.random.expovariate(1 / 80))
            kinds = (self._change_calendar, self._change_user, self._administer)
            self.random.choices(kinds, (30, 6, 2))[0]()

    # ---- calendars

    def _change_calendar(self) -> None:
        address = self.random.choice(sorted(self.world.exchange.histories))
        items = list(self.world.exchange.calendar(address))
        action = self.random.random()
        if action < 0.5 or not items:
            items.append(self._appointment())
        elif action < 0.7:
            items.remove(self.random.choice(items))
        elif action < 0.95:
            old = self.random.choice(items)
            moved = self._appointment()
            items[items.index(old)] = replace(moved, id=old.id, subject=f"{old.subject}.")
        else:
            items = self._appointments(3)
        if self.random.random() < 0.15:
            # Two actions at once, as of a client that saves and saves again.
            self.world.exchange.change(address, items[:-1])
        self.world.exchange.change(address, items)
        self.world.chaos.say(f"calendar of {address} changed")

    def _appointments(self, count: int) -> list[Appointment]:
        return [self._appointment() for _ in range(self.random.randint(0, count))]

    def _appointment(self) -> Appointment:
        self._count += 1
        day = self.world.clock().replace(second=0, microsecond=0)
        start = day + MINUTE * self.random.choice(
            (self.random.randint(-60, 30), self.random.randint(-30, 300), 60 * self.random.randint(-3, 60))
        )
        end = start + MINUTE * self.random.choice((5, 15, 30, 30, 60, 60, 90, 240))
        all_day = self.random.random() < 0.08
        if all_day:
            local = start.astimezone(RULES.zone).replace(hour=0, minute=0, fold=0)
            start, end = local.astimezone(UTC), (local + timedelta(days=1)).astimezone(UTC)
        return Appointment(
            id=f"a{self._count}",
            start=start,
            end=end,
            subject=f"Meeting {self._count}",
            all_day=all_day,
            show_as=self.random.choice(_SHOW_AS),
            sensitivity=self.random.choice((Sensitivity.NORMAL,) * 6 + (Sensitivity.PRIVATE,)),
        )

    # ---- users

    def _arrive(self) -> None:
        if self._gone and self.random.random() < 0.6:
            back = self._gone.pop()
            self.world.pbx.put(back)
            self.world.chaos.say(f"{back.guid[:4]} is back")
            return
        self._count += 1
        name = f"user{self._count}"
        address = f"{name}@example.com"
        if self.random.random() < 0.9:
            self.world.exchange.add_mailbox(address, self._appointments(6), f"{name}@alias.example.com")
        shown = self.random.choice((address, f"{name}@alias.example.com"))
        guid = f"{self.random.getrandbits(128):032x}"
        self.world.pbx.put(member(guid, name, shown))
        self.world.chaos.say(f"{guid[:4]} arrives with {shown}")

    def _change_user(self) -> None:
        pbx = self.world.pbx
        present = [user for guid in sorted(pbx.rows) if (user := pbx.user(guid)) is not None]
        action = self.random.random()
        if action < 0.2 or not present:
            self._arrive()
            return
        user = self.random.choice(present)
        # A PBX without users is taken for one that fails, and everybody is kept.
        if action < 0.4 and len(present) > 1:
            pbx.remove(user.guid)
            self._gone.append(user)
            self.world.chaos.say(f"{user.guid[:4]} leaves")
        elif action < 0.85:
            emails = self.random.choice(
                [(address,) for address in sorted(self.world.exchange.aliases)]
                + [("nobody@elsewhere.example",), ("nobody@elsewhere.example", *user.emails)]
            )
            pbx.put(replace(user, emails=emails))
            self.world.chaos.say(f"{user.guid[:4]} has {emails} now")
        else:
            pbx.put(replace(user, sip=f"{user.sip}x"))
            self.world.chaos.say(f"{user.guid[:4]} is {user.sip}x now")

    # ---- what administrators do

    def _administer(self) -> None:
        """Settings change, also back; users are excluded and let in; everybody is read."""
        world = self.world
        if not world.host.processes:
            return
        action = self.random.random()
        if action < 0.3:
            world.save("presence", language=self.random.choice(("en", "de", "fr")))
        elif action < 0.45:
            world.save("presence", show_subject=self.random.random() < 0.5)
        elif action < 0.6:
            detection = self.random.choice(("push", "poll"))
            world.save("exchange", detection=detection, poll_minutes=5)
        elif action < 0.7:
            self._disabled = not self._disabled
            world.save("exchange", sync_type="disabled" if self._disabled else "on-premises")
        elif action < 0.9:
            present = [guid for guid in sorted(world.pbx.rows) if world.pbx.user(guid) is not None]
            if present:
                world.exclude(self.random.choice(present), self.random.random() < 0.4)
        else:
            world.host.act("read everybody", lambda services: services.actions().read_everybody())


class Weather:
    """Systems that are away for a while."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chaos: Chaos = world.chaos

    async def rage(self, until: datetime) -> None:
        """One thing after the other, sometimes two at a time."""
        storms: list[asyncio.Task[None]] = []
        while self.world.clock() < until:
            await asyncio.sleep(self.chaos.pick(60, 900))
            storms.append(asyncio.create_task(self._strike()))
        await asyncio.gather(*storms)

    async def _strike(self) -> None:
        world = self.world
        minutes = self.chaos.pick(0.2, 12)
        kind = int(self.chaos.pick(0, 8))
        if kind == 0:
            self.chaos.note(Fault.EXCHANGE_DOWN)
            world.exchange.trouble = lambda: ExchangeUnavailable(
                "HTTP 503", "Away.", retry_after=timedelta(seconds=30)
            )
            await asyncio.sleep(minutes * 60)
            world.exchange.trouble = None
        elif kind == 1:
            self.chaos.note(Fault.PBX_DOWN)
            world.pbx.down = True
            await asyncio.sleep(minutes * 60)
            world.pbx.down = False
        elif kind == 2:
            self.chaos.note(Fault.STORAGE_DOWN)
            world.storage_down = True
            await asyncio.sleep(minutes * 20)
            world.storage_down = False
        elif kind == 3:
            self.chaos.note(Fault.TIMERS_STOPPED)
            world.host.timers_stopped = True
            await asyncio.sleep(minutes * 180)
            world.host.timers_stopped = False
        elif kind == 4:
            self.chaos.note(Fault.CALLBACK_AWAY)
            world.host.callback_away = True
            await asyncio.sleep(minutes * 240)
            world.host.callback_away = False
        elif kind == 5:
            self.chaos.note(Fault.SUBSCRIPTIONS_LOST)
            world.exchange.lose_subscriptions()
        elif kind == 6:
            for subscription in list(world.exchange.subscriptions.values()):
                if self.chaos.chance(0.5):
                    self.chaos.note(Fault.SUBSCRIPTIONS_ENDED, subscription.mailbox)
                    world.exchange.end_subscription(subscription)
        else:
            for process in world.host.processes:
                self.chaos.note(Fault.KILLED_IN_PEACE, process.name)
                process.kill()

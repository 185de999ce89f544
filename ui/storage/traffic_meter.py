"""Counts the bytes exchanged with each remote engine, by month, in the library's database.

``engine.wire.transport`` defines which bytes are counted.
"""

import threading
import time

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ui.storage.tables import MonthlyTraffic

TUNNEL_BYTES_PER_MONTH = 1_000_000_000  # that free tunnels allow, approximately
WARNING_SHARE = 0.8  # share of that limit at which users are warned


class TrafficMeter:
    """Counts bytes; safe to use from any thread."""

    def __init__(self, engine: sa.Engine, owner: str = "") -> None:
        self._engine = engine
        self._owner = owner
        self._write_lock = threading.Lock()

    def add(self, engine: str, received: int, sent: int) -> None:
        """Count bytes received from an engine and sent to it."""
        month = this_month()
        with self._write_lock, Session(self._engine) as session, session.begin():
            key = {"owner": self._owner, "engine": engine, "month": month}
            row = session.get(MonthlyTraffic, key) or MonthlyTraffic(**key)
            row.received = (row.received or 0) + received
            row.sent = (row.sent or 0) + sent
            session.add(row)

    def month(self) -> dict[str, int]:
        """Return this month's bytes in both directions, by engine."""
        query = sa.select(MonthlyTraffic).where(
            MonthlyTraffic.owner == self._owner, MonthlyTraffic.month == this_month()
        )
        with Session(self._engine) as session:
            return {row.engine: row.received + row.sent for row in session.scalars(query)}

    def whole_month(self) -> int:
        """Return this month's bytes of all engines."""
        return sum(self.month().values())


def this_month() -> str:
    """Return the month on this computer's clock, such as ``2026-11``."""
    return time.strftime("%Y-%m")

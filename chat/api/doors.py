"""The ways to Redis that handlers share, while the application runs.

Rules. Opened and closed with the application, all on one Store. What is answered by them is the
handlers'.
"""

import time

from chat.api.metrics import Metrics
from chat.api.publishing import Publishing
from chat.bus.audit import Audit
from chat.bus.crowds import Crowds
from chat.bus.inquiry import Inquiry
from chat.bus.nodes import Nodes
from chat.bus.reports import Reports
from chat.bus.store import Store, open_store, retain
from chat.bus.tracing import Tracer
from chat.config.sections import Config
from chat.policy.moderation import Moderation


class Doors:
    """None of them is there before `open`."""

    store: Store
    crowds: Crowds
    publishing: Publishing
    audit: Audit
    moderation: Moderation
    inquiry: Inquiry
    reports: Reports
    nodes: Nodes

    def __init__(
        self, config: Config, url: str, metrics: Metrics, tracer: Tracer | None = None
    ) -> None:
        self._config = config
        self._url = url
        self._metrics = metrics
        self._opened = False
        self._tracer = tracer

    def open(self) -> None:
        """In the loop that will use them."""
        bus = self._config.bus
        self.store = store = open_store(self._config, self._url)
        store.servers.on_round_trip = self._metrics.asked
        self.crowds = Crowds(store, self._config.rooms.online_interval_s)
        self.publishing = Publishing(
            *(store, bus.timeout_ms / 1000, self._metrics.published),
            self._config.rooms.messages_per_s,
            self._tracer,
        )
        self.audit = Audit(store, bus.audit_entries)
        self.moderation = Moderation(store, self._config.limits, self.audit, time.time)
        self.inquiry = Inquiry(store, bus.flush_interval_ms / 1000)
        self.reports = Reports(store)
        self.nodes = Nodes(store)
        self._opened = True

    def apply(self) -> None:
        """Live keys of the configuration have changed."""
        if not self._opened:
            return  # it will be read then
        retain(self.store, self._config)
        self.publishing.messages_per_s = self._config.rooms.messages_per_s

    async def close(self) -> None:
        """When nothing is asked for any more."""
        await self.publishing.close()
        await self.store.close()

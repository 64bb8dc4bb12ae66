"""Clusters and Sentinels, as the bus' own tests have them."""

from tests.chat.bus.conftest import all_sentinels, cluster, sentinels, whole_cluster

__all__ = ["all_sentinels", "cluster", "sentinels", "whole_cluster"]

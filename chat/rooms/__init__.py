"""Rooms on one shard: who is in them, how far their messages have come, what was missed."""

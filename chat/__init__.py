"""Rooms, messages, rules, the streams between nodes, the API. Knows viewers, not epoll."""

__version__ = "0.1.0"
"""This release, and the one place where it is written; what else says it takes it from here."""

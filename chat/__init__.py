"""Rooms, messages, rules, the streams between nodes, the API. Knows viewers, not epoll."""

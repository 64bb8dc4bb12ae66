"""Redis: keys, entries and scripts; messages on their way in and on their way out.

Knows no viewers and no connections.
"""

"""The Python client; and in the terminal a room, and a moderator's commands."""

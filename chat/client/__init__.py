"""The Python client: follow rooms, send until acknowledged; and a room in the terminal."""

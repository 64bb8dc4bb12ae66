"""Load scenarios, one per file: `locust -f locustfiles/hot_room.py --host ws://127.0.0.1:8000`."""

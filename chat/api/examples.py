"""An example of every operation, for the OpenAPI document and docs/api.md.

Rules. They are run in the order of the page, one after the other, on a node that is just there; a
test does. What an answer has in it that is another one every time (epochs, times) is an example,
too: the test compares what fields there are, and the rest.
"""

from typing import Any, Final

from msgspec import Struct


class Example(Struct, frozen=True):
    """What is sent beside the parameters' examples, and what is answered.

    query   the parameters of the query that are named
    stream  the name of the first event of a stream, whose data is `answer`
    """

    answer: Any = None
    body: Any = None
    query: tuple[str, ...] = ()
    stream: str = ""


MESSAGE: Final = {
    "t": "msg",
    "room": "live:42",
    "seq": 1,
    "id": "k3f9x2-1",
    "uid": "system",
    "name": "system",
    "text": "前方高能",
    "color": 16711680,
    "mode": "scroll",
    "size": 25,
    "ts": 1764000000123,
}
ROOM: Final = {
    "room": "live:42",
    "online": 0,
    "peak": 0,
    "peak_at": None,
    "unique": 0,
}
SANCTION: Final = {"seconds": 600, "reason": "spam"}
UNTIL: Final = 1764000600123
LISTED: Final = {"uid": "u7", "until": UNTIL, "reason": "spam", "by": "api"}
SETTINGS: Final = {
    "room": "live:42",
    "slow_s": 5,
    "silence": "none",
    "no_repeats_s": 0,
    "min_role": "guest",
    "pinned": None,
    "announcement": "Be nice",
    "messages_per_s": 0,
    "shown_per_s": 0,
    "merge_duplicates": False,
    "join_notices": False,
    "owners": ["u1"],
    "words": {"refuse": [], "mask": [], "shadow": []},
}
WORDS: Final = {"refuse": ["傻逼"], "mask": ["damn", "crap*"], "shadow": ["buy followers"]}
OK: Final = "ok\n"
SCOPES: Final = ["metrics", "moderate", "publish", "read"]
SHARD: Final = {
    "shard": 0,
    "serving": True,
    "starts": 1,
    "connections": 0,
    "rooms": 0,
    "slow_readers": 0,
    "backlog_bytes": 0,
    "loop_lag_ms": 0.5,
    "bus_connected": True,
}
RATES: Final = {
    "received": 0.0,
    "published": 0.0,
    "delivered": 0.0,
    "writes": 0.0,
    "sent_bytes": 0.0,
    "joins": 0.0,
    "shed": 0.0,
    "dropped": {},
    "refused": {},
    "turned_away": {},
    "closed": {},
}
NODE: Final = {
    "node": "chat-1:8000",
    "version": "1.0.0",
    "streams": 0,
    "most_streams": 64,
    "shards": [SHARD, {**SHARD, "shard": 1}],
    "rates": RATES,
}
LINES: Final = [{"t": "removed", "seq": 1, "removed": True}]

EXAMPLES: Final[dict[str, Example]] = {
    # --- rooms ----------------------------------------------------------------------------------
    "publish": Example(
        {"accepted": 1, "duplicates": 0, "epoch": "k3f9x2", "first": 1, "last": 1},
        {"text": "前方高能", "color": 16711680, "id": "order-7"},
    ),
    "getHistory": Example(
        {"room": "live:42", "epoch": "k3f9x2", "seq": 1, "messages": [MESSAGE], "next": None},
        query=("limit",),
    ),
    "getRoom": Example({**ROOM, "epoch": "k3f9x2", "seq": 1, "likes": {}}),
    "listRooms": Example({"rooms": []}, query=("top",)),
    "broadcast": Example(
        {"accepted": 2},
        {"rooms": ["live:42", "live:43"], "message": {"text": "in five minutes", "kind": "system"}},
    ),
    # --- moderation -----------------------------------------------------------------------------
    "listRoomMutes": Example({"mutes": [LISTED], "next": None}, query=("limit",)),
    "muteInRoom": Example(
        {"uid": "u7", "muted": True, "room": "live:42", "until": UNTIL}, SANCTION
    ),
    "unmuteInRoom": Example({"uid": "u7", "muted": False, "room": "live:42"}, query=("reason",)),
    "listMutes": Example({"mutes": [LISTED], "next": None}),
    "mute": Example({"uid": "u7", "muted": True, "until": UNTIL}, SANCTION),
    "unmute": Example({"uid": "u7", "muted": False}),
    "listRoomBans": Example({"bans": [LISTED], "next": None}),
    "banFromRoom": Example(
        {"uid": "u7", "banned": True, "room": "live:42", "until": UNTIL}, SANCTION
    ),
    "unbanInRoom": Example({"uid": "u7", "banned": False, "room": "live:42"}),
    "listBans": Example({"bans": [LISTED], "next": None}),
    "ban": Example({"uid": "u7", "banned": True, "until": UNTIL}, SANCTION),
    "unban": Example({"uid": "u7", "banned": False}),
    "listAddressBans": Example(
        {
            "bans": [{"address": "192.0.2.0/24", "until": UNTIL, "reason": "spam", "by": "api"}],
            "next": None,
        }
    ),
    "banAddress": Example({"address": "192.0.2.0/24", "banned": True, "until": UNTIL}, SANCTION),
    "unbanAddress": Example({"address": "192.0.2.0/24", "banned": False}),
    "kick": Example(
        {"room": "live:42", "uid": "u7", "kicked": True}, {"uid": "u7", "reason": "spam"}
    ),
    "changeSettings": Example(SETTINGS, {"slow_s": 5, "announcement": "Be nice", "owners": ["u1"]}),
    "getSettings": Example(SETTINGS),
    "removeMessage": Example({"room": "live:42", "seq": 1, "removed": True}, query=("reason",)),
    "clearRoom": Example(
        {"room": "live:42", "cleared": True, "uid": "u7"}, query=("uid", "reason")
    ),
    "getUser": Example(
        {
            "uid": "u7",
            "count": 0,
            "connections": [],
            "rooms": [],
            "mutes": [],
            "bans": [],
            "complete": True,
            "answered": 2,
            "known": 2,
        }
    ),
    "disconnectUser": Example(
        {"uid": "u7", "count": 0, "complete": True, "answered": 2, "known": 2}, query=("reason",)
    ),
    "getAudit": Example(
        {
            "entries": [
                {
                    "id": "1764000000123-0",
                    "ts": 1764000000123,
                    "action": "clear",
                    "actor": "api",
                    "name": "api",
                    "role": "backend",
                    "via": "api",
                    "request": "3f1c0a9be27d4456",
                    "room": "live:42",
                    "uid": "u7",
                    "reason": "spam",
                }
            ],
            "next": "1764000000123-0",
        },
        query=("limit",),
    ),
    "listReports": Example({"reports": [], "next": None}),
    "dealWithReport": Example({"id": "1764000000123-0", "found": False}),
    # --- words ----------------------------------------------------------------------------------
    "setWords": Example(WORDS, WORDS),
    "getWords": Example(WORDS),
    "setRoomWords": Example({**WORDS, "room": "live:42"}, WORDS),
    "getRoomWords": Example({**WORDS, "room": "live:42"}),
    "checkText": Example(
        {
            "outcome": "mask",
            "text": "well, **** it",
            "hits": [{"word": "damn", "kind": "mask", "list": "everywhere"}],
        },
        {"text": "well, damn it"},
    ),
    # --- live -----------------------------------------------------------------------------------
    "getKey": Example({"key": "default", "scopes": SCOPES}),
    "listNodes": Example({"nodes": [NODE], "bus": True}),
    "searchUsers": Example(
        {"users": [], "more": False, "complete": True, "answered": 2, "known": 2},
        query=("q", "limit"),
    ),
    "follow": Example(
        {
            "key": "default",
            "scopes": SCOPES,
            "node": "chat-1:8000",
            "version": "1.0.0",
            "every_s": 2.0,
        },
        stream="hello",
    ),
    "followRoom": Example(
        {"room": "live:42", "epoch": "k3f9x2", "seq": 4, "anew": True, "lines": LINES},
        stream="lines",
    ),
    # --- the node -------------------------------------------------------------------------------
    "getHealth": Example(OK),
    "getReadiness": Example(OK),
    "getMetrics": Example(),
    # --- Centrifugo's calls ---------------------------------------------------------------------
    "call_publish": Example(
        {"result": {"offset": 4, "epoch": "k3f9x2"}},
        {"channel": "live:42", "data": {"text": "hi", "name": "server"}},
    ),
    "call_broadcast": Example(
        {"result": {"responses": [{"result": {"offset": 5, "epoch": "k3f9x2"}}]}},
        {"channels": ["live:42"], "data": "hi"},
    ),
    "call_disconnect": Example({"result": {}}, {"user": "u7"}),
    "call_presence_stats": Example(
        {"result": {"num_clients": 0, "num_users": 0}}, {"channel": "live:42"}
    ),
    "call_history": Example(
        {"result": {"publications": [], "epoch": "k3f9x2", "offset": 5}}, {"channel": "live:42"}
    ),
    "call_channels": Example({"result": {"channels": {}}}, {"pattern": "live:*"}),
    "call_info": Example(
        {
            "result": {
                "nodes": [
                    {
                        "uid": "9f86d081884c7d65",
                        "name": "chat-1",
                        "version": "danmaku",
                        "num_clients": 0,
                        "num_channels": 0,
                        "uptime": 12,
                    }
                ]
            }
        },
        {},
    ),
}

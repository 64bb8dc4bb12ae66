"""A client against a node that a test plays: following, coming back, sending until acknowledged."""

import asyncio
from typing import Any

import pytest
from msgspec import convert

from chat.client import client as module
from chat.client.client import Client, SendRefused
from chat.client.follower import RESYNC_SPACING_S, News
from chat.client.link import ClientError, TurnedAway
from chat.client.questions import Unanswered
from chat.wire.schema import (
    Ack,
    Bye,
    Clear,
    Delete,
    Gap,
    Joined,
    Joins,
    Likes,
    Msg,
    Notice,
    Online,
    State,
    Welcome,
)
from tests.chat.fakenode import (
    GUEST,
    Event,
    FakeNode,
    World,
    ack,
    batch,
    error,
    joined,
    msg,
)
from tests.patience import PATIENCE_S


def client_of(node: FakeNode, *rooms: str, world: World | None = None, **more: Any) -> Client:
    return Client(node.url, *(rooms or ("lobby",)), env=(world or World()).env, **more)


async def read(client: Client, kind: type[News], count: int = 1) -> list[News]:
    """Everything up to and with the `count`th event of a kind."""
    events: list[News] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in client:
            events.append(event)
            if sum(isinstance(each, kind) for each in events) == count:
                break
    return events


def seqs(events: list[News]) -> list[int]:
    assert not any(event.history for event in events if isinstance(event, Joined))
    return [event.seq for event in events if isinstance(event, Msg)]


def kinds(events: list[News]) -> list[type]:
    return [type(event) for event in events]


class TestFollowing:
    async def test_the_events_come_in_order_history_first(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(msg(1), msg(2), seq=2)
            notice = {"id": "n", "scope": "all", "name": "system", "text": "x", "color": 0, "ts": 1}
            online = {"t": "online", "room": "lobby", "count": 3}
            likes = {"t": "likes", "room": "lobby", "counts": {"like": 3}}
            joins = {"t": "joins", "room": "lobby", "kind": "join", "count": 1, "names": ["a"]}
            await peer.say(msg(3), {"t": "notice", **notice}, online, likes, joins, msg(4))
            events = await read(client, Msg, 4)
            told = [Notice, Online, Likes, Joins]
            assert kinds(events) == [Welcome, Joined, Msg, Msg, Msg, *told, Msg]
            assert seqs(events) == [1, 2, 3, 4]

    async def test_a_batch_comes_as_its_messages(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(seq=1)
            told = [msg(2), msg(3, uid=GUEST, name="guest-4e5f"), msg(6, color=1, kind="gift")]
            await peer.say(batch(*told, to=7))
            await peer.say(msg(8))
            *_, second, third, sixth, eighth = await read(client, Msg, 4)
            assert [second, third, sixth] == [convert(each, Msg) for each in told]
            assert seqs([eighth]) == [8]

    async def test_what_is_taken_back_and_the_rules_are_told_in_their_place(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(seq=1)
            deletion = {"t": "delete", "room": "lobby", "seq": 3, "target": 2, "ts": 5}
            rules = {"t": "state", "room": "lobby", "seq": 4, "ts": 5, "state": {"slow_s": 2}}
            clearing = {"t": "clear", "room": "lobby", "seq": 5, "ts": 5, "uid": "u9"}
            await peer.say(msg(2), deletion, deletion, rules, clearing, msg(6))
            found = await read(client, Msg, 2)
            assert kinds(found) == [Welcome, Joined, Msg, Delete, State, Clear, Msg]
            assert found[3:6] == [
                *(Delete("lobby", 3, 2, 5), State("lobby", 4, 5, {"slow_s": 2})),
                Clear("lobby", 5, 5, "u9"),
            ]

    async def test_a_batch_of_an_epoch_nobody_told_of_is_asked_about(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(seq=5)
            await peer.say(msg(6), msg(2, id="e2-2"))
            join = await peer.let_in(2, "e2", msg(1), msg(2))
            assert join["since"] == {"epoch": "e1", "seq": 6, "ts": msg(6)["ts"]}
            *_, gap, _, first, second = await read(client, Msg, 3)
            assert gap == Gap("lobby", "e2", 0, 0)
            assert seqs([first, second]) == [1, 2]

    async def test_duplicates_are_dropped(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(msg(1), seq=1)
            await peer.say(msg(1), msg(2), msg(2), msg(3))
            assert seqs(await read(client, Msg, 3)) == [1, 2, 3]

    async def test_a_jump_is_filled_by_joining_again(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            peer = await node.greet(seq=5)
            await peer.say(msg(6), msg(9))
            join = await peer.let_in(9, "e1", msg(7), msg(8), msg(9), recovered=True)
            assert join["since"] == {"epoch": "e1", "seq": 6, "ts": msg(6)["ts"]}
            await peer.say(msg(10))
            assert seqs(await read(client, Msg, 5)) == [6, 7, 8, 9, 10]
            assert world.slept == [RESYNC_SPACING_S]

    async def test_leaving_closes_the_connection(self) -> None:
        async with FakeNode() as node:
            async with client_of(node) as client:
                peer = await node.greet()
                await read(client, Joined)
            assert await peer.closed() == 1000
            with pytest.raises(ClientError, match="closed"):
                await anext(client)

    async def test_leaving_before_anything_came_of_it_is_quiet(self) -> None:
        async with FakeNode() as node, client_of(node):
            pass


class TestComingBack:
    async def test_it_resumes_where_it_was(self) -> None:
        away: list[tuple[str, float]] = []
        async with FakeNode() as node:
            client = client_of(node, on_away=lambda *told: away.append(told))
            async with client:
                peer = await node.greet(seq=5)
                await peer.say(msg(6))
                await read(client, Msg)
                await peer.drop()
                peer = await node.accept()
                await peer.welcome("u2")
                join = await peer.let_in(8, "e1", msg(7), msg(8), recovered=True)
                assert join["since"] == {"epoch": "e1", "seq": 6, "ts": msg(6)["ts"]}
                await peer.say(msg(9))
                events = await read(client, Msg, 3)
                assert kinds(events) == [Welcome, Joined, Msg, Msg, Msg]
                assert seqs(events) == [7, 8, 9]
        assert away == [("the connection was lost", 0.5)]

    async def test_what_is_lost_is_said(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet(seq=5)
            await read(client, Joined)
            await peer.drop()
            await node.greet(msg(19), msg(20), seq=20)
            [_, gap, back, *missed] = await read(client, Msg, 2)
            assert gap == Gap("lobby", "e1", 18, 13)
            assert isinstance(back, Joined)
            assert seqs(missed) == [19, 20]

    async def test_a_bye_is_an_event_and_its_moment_is_kept(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            peer = await node.greet()
            await peer.say({"t": "bye", "reason": "restart", "reconnect_in": 2.5})
            await peer.close(4000)
            assert kinds(await read(client, Bye)) == [Welcome, Joined, Bye]
            await node.greet()
            assert world.slept == [2.5]

    async def test_being_turned_away_ends_the_events(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet()
            await peer.close(4501, "the token has expired")
            assert len(await read(client, Joined)) == 2
            for _ in range(2):
                with pytest.raises(TurnedAway, match="expired"):
                    await anext(client)


class TestSending:
    async def test_the_ack_is_returned_and_not_an_event(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(
                client.send("lobby", "hi", color=0xFF0000, mode="top", size=30)
            )
            peer = await node.greet(seq=5)
            send = await peer.hear()
            assert send["t"] == "send"
            wanted = {"room": "lobby", "text": "hi", "color": 0xFF0000, "mode": "top", "size": 30}
            assert wanted.items() <= send.items()
            await peer.say(ack(send, 6), msg(6, uid=GUEST))
            done = await sending
            assert (done.seq, done.id) == (6, "e1-6")
            assert kinds(await read(client, Msg)) == [Welcome, Joined, Msg]

    async def test_a_kind_is_said_where_there_is_one(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet()
            assert "kind" not in await say(client, peer, "a")
            assert (await say(client, peer, "b", kind="gift"))["kind"] == "gift"

    async def test_ids_are_made_and_differ_or_are_given(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet()
            sends = await say(client, peer, "a"), await say(client, peer, "a")
            assert sends[0]["id"] != sends[1]["id"]
            assert (await say(client, peer, "b", message_id="mine"))["id"] == "mine"

    async def test_answers_find_their_messages_in_any_order(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet()
            first, second = (asyncio.create_task(client.send("lobby", text)) for text in "ab")
            sends = {send["text"]: send for send in [await peer.hear(), await peer.hear()]}
            await peer.say(ack(sends["b"], 1), error(sends["a"], "read_only"))
            assert (await second).seq == 1
            with pytest.raises(SendRefused, match="read_only"):
                await first

    async def test_one_refused_for_now_is_sent_again_under_its_id(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet()
            first = await peer.hear()
            await peer.say(error(first, "rate_limited", retry_after=2.5))
            again = await peer.hear()
            assert again["id"] == first["id"]
            assert again["ref"] != first["ref"]
            await peer.say(ack(again, 6))
            assert (await sending).seq == 6
            assert world.slept == [2.5 + 0.5]

    async def test_one_refused_for_now_again_and_again_is_refused(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(client.send("lobby", "hi", attempts=2))
            peer = await node.greet()
            for _ in range(2):
                await peer.say(error(await peer.hear(), retry_after=1))
            with pytest.raises(SendRefused) as raised:
                await sending
            assert raised.value.error.retry_after == 1

    async def test_nobody_waits_by_itself_for_what_takes_long(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet()
            await peer.say(error(await peer.hear(), "slow_mode", retry_after=3600))
            with pytest.raises(SendRefused) as raised:
                await sending
            assert raised.value.error.retry_after == 3600
            assert world.slept == []

    async def test_one_without_an_answer_is_sent_again_then_given_up(self) -> None:
        async with FakeNode() as node, client_of(node, answer_s=0.01) as client:
            sending = asyncio.create_task(client.send("lobby", "hi", attempts=3))
            peer = await node.greet()
            ids = {(await peer.hear())["id"] for _ in range(3)}
            assert len(ids) == 1
            with pytest.raises(Unanswered):
                await sending

    async def test_it_survives_a_lost_connection(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet(seq=5)
            first = await peer.hear()
            await peer.drop()
            peer = await node.greet(seq=5, recovered=True)
            again = await peer.hear()
            assert again["id"] == first["id"]
            await peer.say(ack(again, 6))
            assert (await sending).seq == 6

    async def test_a_guests_message_found_after_a_lost_connection_is_not_repeated(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet(seq=5, uid="guest:1")
            await peer.hear()
            await peer.drop()
            found = msg(6, uid="guest:1")
            await node.greet(found, seq=6, uid="guest:2", recovered=True)
            assert await sending == Ack("lobby", 6, "e1-6", found["ts"])

    async def test_one_that_is_not_found_is_not_sent_by_another_guest(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet(seq=5, uid="guest:1")
            await peer.hear()
            await peer.drop()
            peer = await node.greet(msg(6), seq=6, uid="guest:2", recovered=True)
            with pytest.raises(Unanswered, match="may have been published"):
                await sending
            assert (await say(client, peer, "next"))["text"] == "next"

    async def test_it_waits_for_its_room(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b") as client:
            sending = asyncio.create_task(client.send("b", "hi"))
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(1)
            second = await peer.hear()
            assert second["room"] == "b"
            await peer.say(joined("b", 1, ref=second["ref"]))
            send = await peer.hear()
            await peer.say(ack(send, 2))
            assert (await sending).room == "b"

    async def test_being_turned_away_fails_what_is_under_way(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            peer = await node.greet()
            await peer.hear()
            await peer.close(4503, "far too many commands")
            with pytest.raises(TurnedAway, match="too many"):
                await sending


class TestASlowReader:
    async def test_who_only_sends_keeps_nothing(self) -> None:
        async with FakeNode() as node, client_of(node, listen=False) as client:
            peer = await node.greet()
            await peer.say(*(msg(seq) for seq in range(1, 50)))
            await say(client, peer, "hi")
            waiting = asyncio.ensure_future(anext(client))
            await say(client, peer, "hi")
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])

    async def test_a_full_mailbox_stops_the_reading_but_not_an_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_UNREAD", 10)
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.greet()
            await peer.say(*(msg(seq) for seq in range(1, 21)))
            await peer.say(msg(21))
            await say(client, peer, "hi", 22)
            await peer.say(*(msg(seq) for seq in range(22, 61)))
            assert seqs(await read(client, Msg, 60)) == list(range(1, 61))


async def say(client: Client, peer: Any, text: str, seq: int = 1, **more: Any) -> Event:
    """Send, and acknowledge it; the command as it arrived."""
    sending = asyncio.create_task(client.send("lobby", text, **more))
    command: Event = await peer.hear()
    await peer.say(ack(command, seq))
    assert (await sending).seq == seq
    return command

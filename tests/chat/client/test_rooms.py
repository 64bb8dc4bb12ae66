"""The rooms of a client: each is joined when it is due, again where that helps, and left."""

import asyncio

import pytest

from chat.client import client as module
from chat.client.client import Client, SendRefused
from chat.client.follower import JoinRefused
from chat.client.link import ClientError, Env
from chat.wire.commands import Since
from chat.wire.schema import Joined, Left, Msg, Welcome
from tests.chat.client.test_client import client_of, kinds, read, seqs
from tests.chat.fakenode import FakeNode, World, error, joined, msg


class TestJoining:
    async def test_every_room_is_joined(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b") as client:
            peer = await node.accept()
            await peer.welcome()
            joins = [await peer.let_in(7), await peer.let_in(3)]
            assert [join["room"] for join in joins] == ["a", "b"]
            await peer.say(msg(4, room="b"), msg(8, room="a"), msg(1, room="elsewhere"))
            await peer.say(msg(9, room="a"))
            assert seqs(await read(client, Msg, 3)) == [4, 8, 9]

    async def test_a_name_that_no_server_takes_is_refused_before_it_is_sent(self) -> None:
        """It would be a message too large, which closes the connection and all rooms with it."""
        for name in ("x" * 17_000, "\n" * 9_000, "幕" * 6_000):
            with pytest.raises(ClientError, match="a room's name"):
                Client("ws://127.0.0.1:1/ws", name)
            async with FakeNode() as node, client_of(node, "a") as client:
                peer = await node.accept()
                await peer.welcome()
                await peer.let_in(1)
                with pytest.raises(ClientError, match="a room's name"):
                    await client.join(name)
                await client.join("b")
                assert (await peer.hear())["room"] == "b"

    async def test_one_refused_for_now_is_repeated_when_told_with_full_jitter(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.say(error(await peer.hear(), retry_after=1.5))
            await peer.say(error(await peer.hear(), retry_after=1.5))
            await peer.let_in(3)
            events = await read(client, Joined)
            assert kinds(events) == [Welcome, JoinRefused, JoinRefused, Joined]
            assert world.slept == [1.5 + 0.5, 1.5 + 1.0]

    async def test_without_jitter_it_is_repeated_when_told_and_not_sooner(self) -> None:
        world = World(chance=0.0)
        async with FakeNode() as node, client_of(node, world=world):
            peer = await node.accept()
            await peer.welcome()
            await peer.say(error(await peer.hear(), retry_after=1.5))
            await peer.let_in(3)
            assert world.slept == [1.5]

    async def test_where_none_is_answered_the_connection_is_given_up_for_another(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b", answer_s=1.5) as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(7)
            assert (await peer.hear())["room"] == "b"
            assert await peer.closed() == 1000
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(7)
            await peer.let_in(3)
            await peer.say(msg(4, room="b"))
            assert seqs(await read(client, Msg)) == [4]

    async def test_where_some_are_answered_it_is_not(self) -> None:
        names = [f"r{n}" for n in range(8)]
        async with FakeNode() as node, client_of(node, *names, answer_s=3) as client:
            peer = await node.accept()
            await peer.welcome()
            for _ in names:
                await asyncio.sleep(0.5)  # in all longer than one may take
                await peer.let_in(1)
            await peer.say(msg(2, room="r7"))
            assert seqs(await read(client, Msg)) == [2]

    async def test_nor_where_it_is_we_who_do_not_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_UNREAD", 3)
        async with FakeNode() as node, client_of(node, "a", answer_s=0.05) as client:
            peer = await node.greet(seq=7)
            for seq in (8, 9, 10, 11):
                await peer.say(msg(seq, room="a"))
            await client.join("b")
            join = await peer.hear()
            await asyncio.sleep(0.3)
            await peer.say(joined("b", 1, ref=join["ref"]))
            assert seqs(await read(client, Msg, 4)) == [8, 9, 10, 11]
            [answer] = await read(client, Joined)
            assert isinstance(answer, Joined)
            assert answer.room == "b"

    async def test_one_refused_for_good_refuses_its_messages(self) -> None:
        async with FakeNode() as node, client_of(node, "a room") as client:
            sending = asyncio.create_task(client.send("a room", "hi"))
            peer = await node.accept()
            await peer.welcome()
            await peer.say(error(await peer.hear(), "bad_room"))
            with pytest.raises(SendRefused, match="bad_room"):
                await sending
            [_, refused] = await read(client, JoinRefused)
            assert isinstance(refused, JoinRefused)
            assert (refused.room, refused.code, refused.message) == ("a room", "bad_room", "no")

    async def test_one_refused_for_long_refuses_what_is_said_there_meanwhile(self) -> None:
        async def for_ever(seconds: float) -> None:
            await asyncio.Event().wait()

        env = Env(sleep=for_ever)
        async with FakeNode() as node, Client(node.url, "lobby", env=env) as client:
            sending = asyncio.create_task(client.send("lobby", "hi"))
            reading = asyncio.create_task(client.history("lobby"))
            peer = await node.accept()
            await peer.welcome()
            await peer.say(error(await peer.hear(), "forbidden", retry_after=3600))
            with pytest.raises(SendRefused, match="forbidden") as refused:
                await sending
            assert refused.value.error.retry_after == 3600
            assert (await peer.hear())["t"] == "history"
            reading.cancel()

    async def test_one_more_is_joined_on_the_connection_there_is(self) -> None:
        async with FakeNode() as node, client_of(node, "a") as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(7)
            await client.join("b")
            assert (await peer.let_in(3))["room"] == "b"
            await client.join("b")  # is there already: nothing is asked
            await peer.say(msg(8, room="a"), msg(4, room="b"))
            assert seqs(await read(client, Msg, 2)) == [8, 4]

    async def test_one_is_joined_behind_a_position_that_was_kept(self) -> None:
        kept = Since("e1", 3, 1_764_000_000_003)
        async with FakeNode() as node, client_of(node, "lobby") as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(0)
            await client.join("annex", kept)
            join = await peer.let_in(4, "e1", msg(4, room="annex"), recovered=True)
            assert join["since"] == {"epoch": "e1", "seq": 3, "ts": 1_764_000_000_003}
            assert seqs(await read(client, Msg)) == [4]
            with pytest.raises(ClientError, match="followed already"):
                await client.join("annex", kept)

    async def test_one_that_was_sent_out_of_can_be_joined_again(self) -> None:
        world = World()
        async with FakeNode() as node, Client(node.url, "lobby", env=world.env) as client:
            peer = await node.greet(seq=7)
            await peer.say({"t": "left", "room": "lobby", "reason": "kicked"})
            await read(client, Left)
            await client.join("lobby")
            assert (await peer.let_in(7))["since"]["seq"] == 7

    async def test_and_is_not_with_the_next_connection(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b") as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(7)
            await peer.let_in(7)
            await peer.say({"t": "left", "room": "a", "reason": "kicked"})
            await read(client, Left)
            await peer.drop()
            peer = await node.accept()
            await peer.welcome()
            assert (await peer.let_in(7))["room"] == "b"
            await client.join("a")
            assert (await peer.let_in(7))["room"] == "a"


class TestLeaving:
    async def test_what_still_comes_of_it_is_no_news_and_it_is_not_joined_again(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b") as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(7)
            await peer.let_in(3)
            leaving = asyncio.create_task(client.leave("a"))
            asked = await peer.hear()
            assert asked["t"] == "leave"
            left = {"t": "left", "room": "a", "ref": asked["ref"]}
            await peer.say(msg(8, room="a"), left, msg(4, room="b"))
            await leaving
            assert seqs(await read(client, Msg)) == [4]
            await peer.drop()
            peer = await node.accept()
            await peer.welcome()
            join = await peer.hear()
            await peer.say(joined("b", 4, ref=join["ref"], recovered=True))
            assert join["room"] == "b"
            await peer.say(msg(5, room="b"))
            assert seqs(await read(client, Msg)) == [5]

    async def test_a_join_that_waits_is_given_up(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, "a", world=world) as client:
            peer = await node.accept()
            await peer.welcome()
            first = await peer.hear()
            leaving = asyncio.create_task(client.leave("a"))
            asked = await peer.hear()
            await peer.say(error(first, retry_after=1), error(asked, "not_joined"))
            await leaving
            await client.join("b")
            assert (await peer.let_in(1))["room"] == "b"

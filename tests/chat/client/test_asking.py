"""What a client asks: each command as the wire has it, and what comes of its answer."""

import asyncio
import threading
from typing import get_type_hints

import pytest
from msgspec import convert
from msgspec.structs import fields

from chat.client.asking import Order
from chat.client.link import TurnedAway
from chat.client.questions import CommandRefused, Unanswered
from chat.wire.commands import Moderate
from chat.wire.schema import Gap, Joined, Msg, Online
from tests.chat.client.test_questions import client_of, done, news
from tests.chat.fakenode import GUEST, Event, FakeNode, World, error, joined, msg, welcome


def line(seq: int) -> Event:
    return {"seq": seq, "uid": "u9", "text": "hi", "ts": 1_764_000_000_000 + seq}


class TestCommands:
    async def test_a_moderators_action_is_done_when_it_returns(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            doing = asyncio.create_task(client.moderate("a", "mute", uid="u7", seconds=60))
            asked = await peer.hear()
            assert asked == {
                "t": "moderate",
                "room": "a",
                "action": "mute",
                "ref": asked["ref"],
            } | {
                "uid": "u7",
                "seconds": 60,
            }
            assert not doing.done()
            await peer.say(done(asked))
            assert (await doing).action == "mute"

    async def test_what_is_no_action_is_not_sent(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            with pytest.raises(ValueError, match="secnds"):
                await client.moderate("a", "mute", uid="u", secnds=5)  # type: ignore[call-arg]

    async def test_likes_are_counted_when_it_returns(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            peer = await node.accept()
            await peer.welcome()
            liking = asyncio.create_task(client.like("a", 7, "rose"))
            first = await peer.hear()
            wanted = {"t": "like", "room": "a", "kind": "rose", "count": 7, "ref": first["ref"]}
            assert first == wanted
            await peer.say(error(first, "rate_limited", retry_after=1.5))  # none was counted
            again = await peer.hear()
            await peer.say({"t": "done", "room": "a", "action": "like", "ref": again["ref"]})
            assert (await liking).action == "like"

    async def test_likes_that_may_have_been_counted_are_not_sent_again(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            liking = asyncio.create_task(client.like("a"))
            assert (await peer.hear())["t"] == "like"
            await peer.drop()
            with pytest.raises(Unanswered, match="may have been done"):
                await liking
            peer = await node.accept()
            await peer.welcome()
            reporting = asyncio.create_task(client.report("a", 1))
            asked = await peer.hear()
            assert asked["t"] == "report"
            await peer.say({"t": "done", "room": "a", "action": "report", "ref": asked["ref"]})
            await reporting

    async def test_a_page_of_history_comes_as_messages(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            reading = asyncio.create_task(client.history("lobby", before=9, limit=2))
            asked = await peer.hear()
            assert (asked["before"], asked["limit"]) == (9, 2)
            seventh = {"seq": 7, "uid": "u9", "name": "阿花", "text": "hi", "ts": 1_764_000_000_007}
            page = {"t": "history", "room": "lobby", "epoch": "e1", "history": [seventh]}
            await peer.say({**page, "more": True, "ref": asked["ref"]})
            assert await reading == ([convert(msg(7), Msg)], True)

    async def test_what_was_missed_comes_page_by_page_until_there_is_no_more(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            reading = asyncio.create_task(client.missed(Gap("lobby", "e1", 300, 250)))
            pages = [[*range(201, 301)], [], [45, 61, 62]]
            asked = []
            for seqs in pages:
                asked.append(command := await peer.hear())
                history = [line(seq) for seq in seqs]
                page = {"t": "history", "room": "lobby", "epoch": "e1", "history": history}
                await peer.say({**page, "more": seqs != pages[-1], "ref": command["ref"]})
            assert [(one["before"], one["limit"]) for one in asked] == [
                (301, 100),
                (201, 100),
                (101, 50),
            ]
            places, gone = await reading
            assert [place.seq for place in places] == [61, 62, *range(201, 301)]
            assert gone == 0
            reading = asyncio.create_task(client.missed(Gap("lobby", "e1", 300, 250)))
            command = await peer.hear()
            page = {"t": "history", "room": "lobby", "epoch": "e1", "history": [line(281)]}
            await peer.say({**page, "more": False, "ref": command["ref"]})
            places, gone = await reading
            assert ([place.seq for place in places], gone) == ([281], 230)

    async def test_nothing_of_what_was_missed_is_had_of_other_numbers(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            assert await client.missed(Gap("lobby", "e2", 0, 0)) == ([], 0)
            reading = asyncio.create_task(client.missed(Gap("lobby", "e1", 300, 250)))
            command = await peer.hear()
            page = {"t": "history", "room": "lobby", "epoch": "e2", "history": [line(281)]}
            await peer.say({**page, "more": True, "ref": command["ref"]})
            assert await reading == ([], 250)

    async def test_what_takes_being_in_a_room_waits_until_one_is(self) -> None:
        async with FakeNode() as node, client_of(node, "lobby") as client:
            peer = await node.accept()
            reading = asyncio.create_task(client.history("lobby"))
            await peer.welcome()
            join = await peer.hear()
            await peer.say({"t": "online", "room": "lobby", "count": 1})
            await news(client, Online)
            await (await peer.socket.ping())  # what was said before that has come by now
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await peer.socket.recv()
            await peer.say(joined("lobby", 3, ref=join["ref"]))
            assert (await peer.hear())["t"] == "history"
            await peer.drop()
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(3)
            asked = await peer.hear()
            page = {"t": "history", "room": "lobby", "epoch": "e1", "history": [], "more": False}
            await peer.say({**page, "ref": asked["ref"]})
            assert await reading == ([], False)

    async def test_in_a_room_that_is_refused_the_server_says_so(self) -> None:
        async with FakeNode() as node, client_of(node, "lobby") as client:
            peer = await node.accept()
            reading = asyncio.create_task(client.history("lobby"))
            await peer.welcome()
            await peer.say(error(await peer.hear(), "banned"))
            await peer.say(error(await peer.hear(), "not_joined"))
            with pytest.raises(CommandRefused, match="not_joined"):
                await reading

    async def test_a_report_may_name_its_epoch(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            reporting = asyncio.create_task(client.report("a", 7, epoch="e1"))
            asked = await peer.hear()
            assert (asked["seq"], asked["epoch"]) == (7, "e1")
            assert "reason" not in asked
            await peer.say({"t": "done", "room": "a", "action": "report", "ref": asked["ref"]})
            await reporting

    def test_an_order_has_the_fields_of_the_command(self) -> None:
        wire = {field.name for field in fields(Moderate)} - {"room", "action", "ref"}
        assert get_type_hints(Order).keys() == wire


class TestWho:
    async def test_a_token_is_shown_and_holds_for_later_connections(self) -> None:
        async with FakeNode() as node, client_of(node, token="first") as client:
            peer = await node.accept()
            assert peer.path.endswith("?token=first")
            await peer.welcome("u1", "user")
            await news(client, object)
            assert client.me is not None
            assert client.me.uid == "u1"
            showing = asyncio.create_task(client.authenticate("second"))
            shown = await peer.hear()
            assert (shown["t"], shown["token"]) == ("auth", "second")
            who = {"uid": "u2", "name": "Two", "role": "vip", "expires": 9}
            await peer.say({"t": "authed", **who, "ref": shown["ref"]})
            assert (await showing).role == "vip"
            assert client.me.uid == "u2"
            await peer.drop()
            assert (await node.accept()).path.endswith("?token=second")

    async def test_a_source_is_asked_for_each_connection_and_when_a_token_ends(self) -> None:
        given: list[str] = []

        async def source() -> str:
            given.append(f"t{len(given)}")
            return given[-1]

        async with FakeNode() as node, client_of(node, token=source):
            peer = await node.accept()
            assert peer.path.endswith("?token=t0")
            await peer.say(welcome("u1", "user"), {"t": "expiring", "in_s": 60})
            assert (await peer.hear())["token"] == "t1"
            await peer.drop()
            assert (await node.accept()).path.endswith("?token=t2")

    @pytest.mark.parametrize("code", [4500, 4501, 4502])
    async def test_who_is_turned_away_comes_back_with_another_and_not_with_the_same(
        self, code: int
    ) -> None:
        tokens = ["one", "two", "two", "never"]
        async with FakeNode() as node, client_of(node, token=lambda: tokens.pop(0)) as client:
            for shown in ("one", "two"):
                peer = await node.accept()
                assert f"token={shown}" in peer.path
                await peer.welcome("u1", "user")
                await peer.close(code)
            with pytest.raises(TurnedAway) as turned_away:
                await news(client, Joined)
        assert (turned_away.value.code, tokens) == (code, ["never"])

    async def test_a_source_that_fails_is_asked_again_later(self) -> None:
        away: list[str] = []
        tries = 0

        async def source() -> str:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise OSError("the login service is down")
            return "good"

        async with (
            FakeNode() as node,
            client_of(node, token=source, on_away=lambda why, s: away.append(why)),
        ):
            assert (await node.accept()).path.endswith("?token=good")
            assert away == ["there is no token to connect with"]

    async def test_a_guest_is_told_who_it_is(self) -> None:
        async with FakeNode() as node, client_of(node, "lobby") as client:
            assert client.me is None
            await node.greet()
            await news(client, Joined)
            assert client.me is not None
            assert client.me.uid == GUEST

    async def test_a_source_may_be_a_function_that_takes_its_time(self) -> None:
        threads: list[threading.Thread] = []

        def source() -> str:
            threads.append(threading.current_thread())
            return "good"

        async with FakeNode() as node, client_of(node, token=source):
            assert (await node.accept()).path.endswith("?token=good")
            assert threads != [threading.current_thread()]

    async def test_a_source_may_be_a_function_that_calls_an_async_one(self) -> None:
        async def fetch(name: str) -> str:
            return f"{name}-token"

        async with FakeNode() as node, client_of(node, token=lambda: fetch("good")):
            assert (await node.accept()).path.endswith("?token=good-token")

    async def test_a_source_that_fails_when_it_is_shown_leaves_the_old_one(self) -> None:
        async def source() -> str:
            raise OSError("the login service is down")

        async with FakeNode() as node, client_of(node, token="good") as client:
            peer = await node.accept()
            await peer.welcome("u1", "user")
            with pytest.raises(OSError, match="down"):
                await client.authenticate(source)
            await peer.drop()
            assert (await node.accept()).path.endswith("?token=good")


class TestNames:
    async def test_a_guest_chooses_one_and_another_later(self) -> None:
        async with FakeNode() as node, client_of(node, name="Flower Power") as client:
            peer = await node.accept()
            assert peer.path.endswith("?name=Flower+Power")
            await peer.welcome()
            renaming = asyncio.create_task(client.rename("Tree"))
            asked = await peer.hear()
            assert asked == {"t": "auth", "name": "Tree", "ref": asked["ref"]}
            who = {"uid": GUEST, "name": "Tree (guest-4e5f)", "role": "guest", "expires": 0}
            await peer.say({"t": "authed", **who, "ref": asked["ref"]})
            assert (await renaming).name == "Tree (guest-4e5f)"
            await peer.drop()
            assert (await node.accept()).path.endswith("?name=Tree")

    async def test_one_that_is_refused_is_not_kept(self) -> None:
        async with FakeNode() as node, client_of(node, name="Flower") as client:
            peer = await node.accept()
            await peer.welcome()
            renaming = asyncio.create_task(client.rename("damn"))
            await peer.say(error(await peer.hear(), "word_refused"))
            with pytest.raises(CommandRefused, match="word_refused"):
                await renaming
            await peer.drop()
            assert (await node.accept()).path.endswith("?name=Flower")

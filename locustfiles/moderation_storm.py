"""A moderation storm: a raid is on, and the backend takes messages back, mutes, bans and clears as
fast as it can while everybody types and newcomers come in.

Shows that what moderators do is so for all who watch: a message that was taken back is told to
those who have it and shown to nobody who comes later; a muted one is told, and not one of its words
appears until it is unmuted; a banned one is sent out, kept out, and misses nothing once it is let
in again. Nobody else's messages suffer.
"""

import random
from itertools import cycle
from urllib.parse import quote

from locust import between, task

from chat.wire.schema import Ack, Error
from locustfiles.connection import OK
from locustfiles.users import WORDS, Backend, Typist, Viewer, Watcher
from locustfiles.verdict import BOOKS, must_happen
from locustfiles.watch import PLACEHOLDER, TAKEN

ROOMS = [f"load:storm:{n}" for n in range(3)]
FOR_LONG = {"seconds": 3600, "reason": "raid"}

must_happen("refused: muted", "refused: banned", "told: muted", "told: unmuted", "told: banned")
must_happen("told: deleted", "told: cleared", TAKEN, PLACEHOLDER)


class Bystander(Typist):
    """Types, and is left in peace."""

    fixed_count = 4

    def rooms(self) -> list[str]:
        return ROOMS


class Witness(Watcher):
    """Sees it all."""

    weight = 2

    def rooms(self) -> list[str]:
        return ROOMS


class Passerby(Viewer):
    """Comes in as somebody new, is shown the history, and goes."""

    wait_time = between(0.5, 2)

    def rooms(self) -> list[str]:
        return [random.choice(ROOMS)]

    @task
    def come_again(self) -> None:
        self.connection.close()
        self.connection = self.somebody_new()
        self.enter()


class Raider(Viewer, Backend):
    """Spams, and has the backend do to it what is done to spammers, one thing after the other: so
    it knows what has to be true by then."""

    weight = 2
    wait_time = between(0.2, 1)

    def on_start(self) -> None:
        self.room = random.choice(ROOMS)
        self.path = f"/rooms/{self.room}"
        self.measures = cycle((self.be_taken_back, self.be_muted, self.be_cleared, self.be_banned))
        super().on_start()
        self.whose = quote(self.connection.uid, safe="")

    def rooms(self) -> list[str]:
        return [self.room]

    @task
    def be_moderated(self) -> None:
        """By the next of the measures."""
        next(self.measures)()

    def be_taken_back(self) -> None:
        said = self.connection.try_to_say(self.room, "spam")
        assert isinstance(said, Ack)
        self.call("DELETE", f"{self.path}/messages/{said.seq}", "DELETE message")
        self.connection.wait_for(lambda: self.gone(said), "told: deleted")

    def be_muted(self) -> None:
        self.call("PUT", f"{self.path}/mutes/{self.whose}", "PUT mute", FOR_LONG)
        self.connection.wait_for(lambda: self.room in self.connection.muted, "told: muted")
        for _ in range(2):
            self.connection.try_to_say(self.room, "spam", right=("muted",))
        self.call("DELETE", f"{self.path}/mutes/{self.whose}", "DELETE mute")
        self.connection.wait_for(lambda: self.room not in self.connection.muted, "told: unmuted")
        self.connection.try_to_say(self.room, random.choice(WORDS))

    def be_banned(self) -> None:
        self.call("PUT", f"{self.path}/bans/{self.whose}", "PUT ban", FOR_LONG)
        out = self.connection.watch.out
        self.connection.wait_for(lambda: self.room in out, "told: banned")
        self.connection.join(self.room, right=("banned",), name="refused: banned")
        self.connection.try_to_say(self.room, "spam", right=("banned", "not_joined"))
        self.call("DELETE", f"{self.path}/bans/{self.whose}", "DELETE ban")
        self.connection.wait_for(self.let_in, "told: unbanned")

    def let_in(self) -> bool:
        """Whether the room is open again; all shards know within a flush."""
        return not isinstance(self.connection.join(self.room, right=(OK, "banned")), Error)

    def be_cleared(self) -> None:
        said = [self.connection.try_to_say(self.room, "spam") for _ in range(3)][-1]
        assert isinstance(said, Ack)
        self.call("DELETE", f"{self.path}/messages?uid={self.whose}", "DELETE messages of one")
        self.connection.wait_for(lambda: self.gone(said), "told: cleared")

    def gone(self, said: Ack) -> bool:
        """Whether the viewer was told that what it said is taken back."""
        at = self.connection.watch.positions[self.room]
        return BOOKS.taken.covers(self.room, at.epoch, said.seq, self.connection.uid, at.seq)


class Janitor(Backend):
    """Clears a whole room now and then."""

    fixed_count = 1
    wait_time = between(3, 5)

    @task
    def clear_a_room(self) -> None:
        room = random.choice(ROOMS)
        self.call("DELETE", f"/rooms/{room}/messages", "DELETE messages")

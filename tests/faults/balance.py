"""What a run came to: every viewer's logs laid beside the producers' books.

Rules. Pure: what was written down in, a Result out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.audits import audit_book, audited
from tests.faults.books import Place
from tests.faults.followers import Follower, wrong
from tests.faults.foreign import named
from tests.faults.ledger import Reading
from tests.faults.leftout import disagreements
from tests.faults.producers import Desk
from tests.faults.verdict import Breach, Verdict
from tests.faults.viewers import Viewer
from tests.faults.watchers import audit_watcher, lost_to


@dataclass
class Result:
    """What a run came to.

    refused     refusals that producers were given; busy: those because too much was said
    taken       how often messages were taken back
    reconnects  connections of viewers that ended before they left
    losers      who was told that how many messages are lost
    longest     the longest time a viewer saw nothing new, seconds
    """

    verdict: Verdict = field(default_factory=Verdict)
    acknowledged: int = 0
    refused: int = 0
    busy: int = 0
    taken: int = 0
    reconnects: int = 0
    losers: list[str] = field(default_factory=list)
    longest: float = 0.0
    seconds: float = 0.0


def balance(
    desk: Desk,
    viewers: Sequence[Viewer],
    followers: Sequence[Follower],
    held: Sequence[tuple[float, float]],
    alike: bool,
) -> Result:
    """The audit of a run; `alike`: all shards have to choose the same."""
    result = Result(refused=desk.refusals, busy=desk.busy, taken=desk.taken)
    for room, book in desk.books.items():
        result.verdict.add(audit_book(book), room)
        result.acknowledged += len({ack.number for ack in book.acks})
    choices: dict[str, dict[str, dict[Place, bool]]] = defaultdict(dict)
    lost: dict[str, set[Place]] = defaultdict(set)
    positioned = [viewer for viewer in viewers if viewer.way.kind != "goim"]
    for viewer in positioned:
        for room, log in viewer.logs.items():
            controls = {place for one in viewers for place in one.controls.get(room, ())}
            reading = Reading(
                *(desk.books[room], viewer.way.resumes, viewer.way.once, viewer.uid, controls)
            )
            log = named(desk.books[room], log)
            reading.read(log)
            choices[room][viewer.name] = reading.frames.choices
            verdict = audited(desk.books[room], log, reading, held, viewer.way.timed)
            lost[room] |= lost_to(desk.books[room], reading)
            _add(result, viewer, room, verdict)
    for viewer in viewers:
        result.reconnects += viewer.ends - 1
        if not any(viewer.logs.values()):
            result.verdict.breach(Breach.WRONG, f"{viewer.name} {viewer.way} was never let in")
        if viewer not in positioned:
            [(room, log)] = viewer.logs.items()
            _add(result, viewer, room, audit_watcher(desk.books[room], log, lost[room]))
    for follower in followers:
        for room in follower.rooms:
            for what in wrong(desk.books[room], follower.told[room]):
                note = f"{type(follower).__name__} in {room}: {what}"
                result.verdict.breach(Breach.WRONG, note)
    for what in (one for room in choices for one in disagreements(choices[room])):
        if alike:
            result.verdict.breach(Breach.WRONG, what)
    return result


def _add(result: Result, viewer: Viewer, room: str, verdict: Verdict) -> None:
    result.verdict.add(verdict, f"{viewer.name} {viewer.way} {room}:")
    if verdict.said:
        result.losers.append(f"{viewer.name} {viewer.way} {room}: {verdict.said}")

"""The faults: what the world does to a node, a bus, a network or a viewer.

Rules. A fault is a coroutine that does it, at times that `chance` alone decides, and a record of
what it needs and what may be lost by it. Where nothing may be lost, a server that says it has lost
something is out of balance, too.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.faults.books import Hole
from tests.faults.bus import Embedded, OneServer, Single
from tests.faults.many import Many
from tests.faults.scene import Scene, send
from tests.faults.skewed import set_clock

Do = Callable[[Scene, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One kind.

    needs     powers of the bus
    loses     the server may have to say that messages are lost
    ends_nodes  whole nodes end, and what they keep in memory with them
    durable, proxied, skewed, settings, padding, buffer  how the scene is built
    crowd     more is said than is shown; alike: it leaves all shards choosing the same
    quick     it is in the quick half
    """

    name: str
    do: Do
    needs: frozenset[str] = frozenset()
    loses: bool = False
    ends_nodes: bool = False
    durable: bool = False
    proxied: bool = False
    skewed: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    padding: int = 0
    buffer: int = 0
    crowd: bool = False
    alike: bool = False
    quick: bool = False


# --- processes -----------------------------------------------------------------------------------


async def kill_shards(scene: Scene, chance: random.Random) -> None:
    for _ in range(4):
        await scene.wait(chance.uniform(0.5, 3))
        send(scene.worker("shard", chance), signal.SIGKILL)


async def stop_shards(scene: Scene, chance: random.Random) -> None:
    for _ in range(3):
        await scene.wait(chance.uniform(0.5, 1.5))
        await scene.stop_for(scene.worker("shard", chance), chance.uniform(0.5, 4))


async def kill_api(scene: Scene, chance: random.Random) -> None:
    for _ in range(4):
        await scene.wait(chance.uniform(0.5, 2.5))
        send(scene.worker("api", chance), signal.SIGKILL)


async def stop_api(scene: Scene, chance: random.Random) -> None:
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 1.5))
        await scene.stop_for(scene.worker("api", chance), chance.uniform(1, 8))


async def kill_node(scene: Scene, chance: random.Random) -> None:
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        node = chance.choice(scene.nodes)
        node.kill()
        await scene.wait(chance.uniform(0, 1))
        await scene.bring_up(node)


async def stop_supervisor(scene: Scene, chance: random.Random) -> None:
    """A shard dies while nobody looks."""
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 1.5))
        node = chance.choice(scene.nodes)
        send(node.pid, signal.SIGSTOP)
        send(scene.worker("shard", chance), signal.SIGKILL)
        await scene.wait(chance.uniform(1, 4))
        send(node.pid, signal.SIGCONT)


async def deploy(scene: Scene, chance: random.Random) -> None:
    """Every node in turn is told to end and is started again."""
    for node in scene.nodes:
        await scene.wait(chance.uniform(0.5, 2))
        await asyncio.to_thread(node.stop)
        await scene.bring_up(node)


# --- the bus, where it is one server --------------------------------------------------------------


def one_server(scene: Scene) -> OneServer:
    assert isinstance(scene.bus, Single | Embedded)
    return scene.bus


async def restart_empty(scene: Scene, chance: random.Random) -> None:
    for _ in range(2):
        await scene.wait(chance.uniform(1, 4))
        one_server(scene).restart(empty=True)


async def restart_from_file(scene: Scene, chance: random.Random) -> None:
    for _ in range(3):
        await scene.wait(chance.uniform(1, 3))
        one_server(scene).restart(empty=False)


async def stop_bus(scene: Scene, chance: random.Random) -> None:
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        one_server(scene).signal(signal.SIGSTOP)
        await scene.hold(chance.uniform(0.3, 5))
        one_server(scene).signal(signal.SIGCONT)


async def pause_bus(scene: Scene, chance: random.Random) -> None:
    """CLIENT PAUSE, of everything and of writes."""
    for mode in ("all", "write", "all"):
        await scene.wait(chance.uniform(0.5, 2))
        milliseconds = int(1000 * chance.uniform(0.5, 4))
        await one_server(scene).do("client", "pause", milliseconds, mode)
        await scene.hold(milliseconds / 1000 - 0.05)


async def sleep_bus(scene: Scene, chance: random.Random) -> None:
    """DEBUG SLEEP, around the nodes' patience of a second."""
    for low, high in ((0.5, 1.2), (0.9, 1.1), (1.2, 2.5)):
        await scene.wait(chance.uniform(0.5, 2))
        await one_server(scene).do("debug", "sleep", f"{chance.uniform(low, high):.3f}")


async def fill_bus(scene: Scene, chance: random.Random) -> None:
    """No memory is left, in the middle of things."""
    for _ in range(3):
        await scene.wait(chance.uniform(0.5, 2))
        await one_server(scene).do("config", "set", "maxmemory", "1mb")
        await scene.hold(chance.uniform(0.3, 3))
        await one_server(scene).do("config", "set", "maxmemory", "0")


async def demote_bus(scene: Scene, chance: random.Random) -> None:
    """It is made the replica of a server that is not there: reads are answered, writes refused."""
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        await one_server(scene).do("replicaof", "127.0.0.1", 1)
        await scene.hold(chance.uniform(0.3, 4))
        await one_server(scene).do("replicaof", "no", "one")


async def want_replicas(scene: Scene, chance: random.Random) -> None:
    """min-replicas-to-write, and there is none."""
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        await one_server(scene).do("config", "set", "min-replicas-to-write", 1)
        await scene.hold(chance.uniform(0.3, 4))
        await one_server(scene).do("config", "set", "min-replicas-to-write", 0)


async def cut_replies(scene: Scene, chance: random.Random) -> None:
    """Connections end in the middle of a reply, after any number of bytes."""
    assert isinstance(scene.bus, Single)
    for _ in range(16):
        await scene.wait(chance.uniform(0.05, 0.9))
        scene.bus.proxy.cut_after(chance.choice((1, 5, chance.randrange(4000))))


async def promote_without_tail(scene: Scene, chance: random.Random) -> None:
    """The replica stops following; later the master dies and the replica takes its place."""
    bus = scene.bus
    assert isinstance(bus, Single)
    for _ in range(2):
        await bus.follow()
        while not await bus.in_step():
            await scene.wait(0.1)
        await scene.wait(chance.uniform(0.5, 1.5))
        assert bus.replica is not None
        await bus.replica.do("replicaof", "no", "one")
        await scene.wait(chance.uniform(0.2, 1.5))
        await bus.promote()
        await scene.wait(chance.uniform(1, 2))


async def forget_tail(scene: Scene, chance: random.Random) -> None:
    """The same while every node ends: nobody is left who knows how far the rooms had come."""
    bus = scene.bus
    assert isinstance(bus, Single)
    await bus.follow()
    while not await bus.in_step():
        await scene.wait(0.1)
    await scene.wait(chance.uniform(0.5, 1.5))
    assert bus.replica is not None
    await bus.replica.do("replicaof", "no", "one")
    await scene.wait(chance.uniform(0.5, 1.5))
    for node in scene.nodes:
        node.kill()
    await bus.promote()
    for node in scene.nodes:
        await scene.bring_up(node)


# --- the bus, where it is several ----------------------------------------------------------------


async def kill_masters(scene: Scene, chance: random.Random) -> None:
    """A master dies, its replica takes over, and later it is back as that one's replica."""
    assert isinstance(scene.bus, Many)
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        (await scene.bus.a_master(chance)).kill()
        await scene.wait(chance.uniform(2, 6))
        await scene.bus.mend()


async def freeze_masters(scene: Scene, chance: random.Random) -> None:
    """A master stands still until it is deposed, and goes on without knowing of that."""
    assert isinstance(scene.bus, Many)
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 2))
        master = await scene.bus.a_master(chance)
        master.freeze()
        await scene.wait(chance.uniform(0.5, 6))
        master.thaw()
        await scene.wait(chance.uniform(1, 2))
        await scene.bus.mend()


# --- several at once -----------------------------------------------------------------------------


async def at_once(scene: Scene, chance: random.Random, *faults: Do) -> None:
    """Faults beside each other, each at its own times."""
    each = [(fault, random.Random(chance.random())) for fault in faults]
    await asyncio.gather(*(fault(scene, own) for fault, own in each))


async def lose_nothing(scene: Scene, chance: random.Random) -> None:
    await at_once(scene, chance, kill_shards, stop_shards, kill_api, stop_bus, vanish)


async def lose_everything(scene: Scene, chance: random.Random) -> None:
    await at_once(scene, chance, kill_shards, restart_empty, stop_bus, vanish)


# --- viewers, and clocks -------------------------------------------------------------------------


async def vanish(scene: Scene, chance: random.Random) -> None:
    """A third of the viewers loses the connection, again and again; then all at once."""
    for share in (0.3, 0.3, 0.3, 1.0, 0.3, 1.0):
        await scene.wait(chance.uniform(0.5, 2))
        for viewer in scene.viewers:
            if chance.random() < share:
                viewer.vanish()


async def crowd(scene: Scene, chance: random.Random) -> None:
    """More is said than is shown. A third of the viewers loses the connection, now and then."""
    for share in (0.0, 0.3, 0.3):
        for viewer in scene.viewers:
            if chance.random() < share:
                viewer.vanish()
        await scene.wait(chance.uniform(1, 2))


async def stall(scene: Scene, chance: random.Random) -> None:
    """A quarter of the viewers reads nothing for seconds, twice."""
    for _ in range(2):
        await scene.wait(chance.uniform(0.5, 1.5))
        slow = [viewer for viewer in scene.viewers if chance.random() < 0.25]
        await asyncio.gather(*(viewer.stall(chance.uniform(4, 10)) for viewer in slow))
    await scene.wait(1)
    logs = [log for viewer in scene.viewers for log in viewer.logs.values()]
    assert any(isinstance(item, Hole) for log in logs for item in log), "nobody was too slow"
    if scene.desk.crowded:
        assert scene.counted("dropped_slow_low"), "counts are what is left out first"


async def set_clocks(scene: Scene, chance: random.Random) -> None:
    """The nodes' wall clocks jump, each by itself; the bus' does not."""
    for _ in range(5):
        await scene.wait(chance.uniform(0.5, 2))
        clock = chance.choice(scene.clocks)
        set_clock(clock, chance.choice((-3600, -30, -2, 0, 2, 30, 3600, 86_400)))


SMALL_BUFFERS: Final[dict[str, object]] = {
    "limits_send_buffer_bytes": 4096,
    "limits_backlog_soft_bytes": 1 << 16,
    "limits_backlog_hard_bytes": 1 << 18,
    "limits_stall_s": 8,
}
"""A bulk fits; what is published in six seconds does not."""

VERY_SMALL_BUFFERS: Final = SMALL_BUFFERS | {
    "limits_backlog_soft_bytes": 1 << 13,
    "limits_backlog_hard_bytes": 1 << 17,
}
"""Of a room that shows little, what is published in six seconds does not fit either."""

FEW_SHOWN: Final[dict[str, object]] = {"rooms_history_on_join": 5}
"""Who cannot be recovered has not all there is in its answer."""

SIGNAL, COMMANDS, RESTART = (frozenset({one}) for one in ("signal", "commands", "restart"))

FAULTS: Final = (
    Fault("shard killed", kill_shards, quick=True),
    Fault("shard stopped", stop_shards),
    Fault("API killed", kill_api),
    Fault("API stopped", stop_api),
    Fault("node killed", kill_node, ends_nodes=True, quick=True),
    Fault("supervisor stopped", stop_supervisor),
    Fault("nodes restarted", deploy, ends_nodes=True),
    Fault("bus restarted empty", restart_empty, RESTART, loses=True, quick=True),
    Fault(
        "bus restarted from its file",
        restart_from_file,
        frozenset({"restart", "durable"}),
        durable=True,
    ),
    Fault("bus stopped", stop_bus, SIGNAL, quick=True),
    Fault("bus paused", pause_bus, COMMANDS),
    Fault("bus asleep", sleep_bus, frozenset({"debug"})),
    Fault("bus out of memory", fill_bus, COMMANDS),
    Fault("bus made a replica", demote_bus, COMMANDS),
    Fault("bus without replicas", want_replicas, COMMANDS),
    Fault("bus cut in a reply", cut_replies, frozenset({"proxy"}), proxied=True, quick=True),
    Fault(
        "replica promoted without the tail",
        promote_without_tail,
        frozenset({"replica", "proxy"}),
        loses=True,
        proxied=True,
    ),
    Fault(
        "nodes killed as a replica is promoted",
        forget_tail,
        frozenset({"replica", "proxy"}),
        loses=True,
        proxied=True,
        settings=FEW_SHOWN,
    ),
    Fault("masters killed", kill_masters, frozenset({"masters"}), loses=True),
    Fault("masters frozen", freeze_masters, frozenset({"masters"}), loses=True),
    Fault("viewers vanish", vanish, quick=True),
    Fault("viewers stall", stall, settings=SMALL_BUFFERS, padding=280, buffer=4096),
    Fault("a crowd", crowd, crowd=True, alike=True, quick=True),
    Fault("a crowd, and shards killed", kill_shards, crowd=True, alike=True),
    Fault("a crowd, and the bus stopped", stop_bus, SIGNAL, crowd=True),
    Fault(
        *("a crowd, and viewers stall", stall),
        settings=VERY_SMALL_BUFFERS,
        padding=280,
        buffer=4096,
        crowd=True,
    ),
    Fault("clocks are set", set_clocks, skewed=True),
    Fault("shards, API, bus and viewers at once", lose_nothing, SIGNAL),
    Fault("the same, and the bus restarted empty", lose_everything, SIGNAL | RESTART, loses=True),
)

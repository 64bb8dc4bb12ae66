"""The Centrifugal client protocol, version 2, as a dialect: Protobuf in binary messages.

Rules. Each command and each reply stands behind its length, a varint. Commands are read by the
protobuf library, by descriptors made of the schema's numbers; replies are written here, fields of
one in any order, as Protobuf lets them be: what makes a fan-out is three lengths around the data.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from msgspec import Raw, Struct, structs

from chat.wire.batch import Shown
from chat.wire.commands import Since
from chat.wire.dialects import centrifugal_schema as schema
from chat.wire.dialects.centrifugal import Centrifugal
from chat.wire.dialects.centrifugal_commands import asked, broken
from chat.wire.dialects.centrifugal_replies import data, for_viewers, subscribed
from chat.wire.dialects.centrifugal_schema import NUMBERS, Command, Publication, Push, Reply
from chat.wire.dialects.dialect import Dialect
from chat.wire.foreign import Asked
from chat.wire.schema import Joined, Message, Msg, Ref, Removed
from shard import frames
from shard.handshake import Request

PACKAGE: Final = "danmaku.centrifugal"
VARINT, LENGTH = 0, 2
"""Types of fields on the wire."""
MOST_LENGTH: Final = 5
"""Bytes of a length: a message of ours is never larger than 32 bits say."""


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


_VARINTS: Final = tuple(map(_varint, range(4096)))
"""Nearly every length there is."""


def varint(number: int) -> bytes:  # hot: some times a message
    """A number as Protobuf writes it, seven bits a byte, the least first."""
    return _VARINTS[number] if number < 4096 else _varint(number)


def lengths(payload: bytes) -> Iterator[bytes]:
    """The messages of a payload, each behind its length. Raises BadCommand."""
    at = 0
    while at < len(payload):
        size = shift = 0
        for byte in payload[at : at + MOST_LENGTH]:
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            broken("a length has no end")
        if size > len(payload) - at:
            broken("a command is longer than its message")
        yield payload[at : at + size]
        at += size


# --- commands, read by the library ---------------------------------------------------------------


def _descriptors() -> FileDescriptorProto:
    file = FileDescriptorProto(name="centrifugal.proto", package=PACKAGE, syntax="proto3")
    for kind, fields in NUMBERS.items():
        message = file.message_type.add(name=kind.__name__)
        for name, (number, of) in fields.items():
            field = message.field.add(name=name, number=number)
            field.label = FieldDescriptorProto.LABEL_OPTIONAL
            if hasattr(schema, of):
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{of}"
            else:
                field.type = getattr(FieldDescriptorProto, f"TYPE_{of.upper()}")
    return file


_pool: Final = DescriptorPool()
_pool.AddSerializedFile(_descriptors().SerializeToString())
_Command: Final = GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.Command"))


def _struct(message: Any, kind: type[Struct]) -> Any:
    """A message of the library as what it is in the schema."""
    fields: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None:
            value = _struct(value, getattr(schema, field.message_type.name))
        elif isinstance(value, bytes):
            value = Raw(value)
        fields[field.name] = value
    return kind(**fields)


def _command(written: bytes) -> Command:
    try:
        found: Command = _struct(_Command.FromString(written), Command)
    except DecodeError:
        broken()
    return found


# --- replies -------------------------------------------------------------------------------------


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return b"%b%b%b" % (varint(number << 3 | LENGTH), varint(len(value)), value)


def write(one: Struct) -> bytes:
    """The fields of a struct of the schema, but for those that are default."""
    written = []
    for name, (number, _) in NUMBERS[type(one)].items():
        value = getattr(one, name)
        match value:
            case Struct():
                written.append(field(number, write(value)))
            case list():
                written += [field(number, write(item)) for item in value]
            case str() if value:
                written.append(field(number, value.encode()))
            case Raw():
                written.append(field(number, bytes(value)))
            case int() if value:  # a bool, too
                written.append(varint(number << 3 | VARINT) + varint(value))
    return b"".join(written)


def tag(name: str, of: type[Struct]) -> int:
    """The number of a field of the schema."""
    return NUMBERS[of][name][0]


def head(name: str, of: type[Struct], kind: int = LENGTH) -> bytes:
    """What stands before the value of a field of the schema."""
    return varint(tag(name, of) << 3 | kind)


EPOCH: Final = tag("epoch", Publication)
CHANNEL: Final = tag("channel", Push)
ID: Final = tag("id", Reply)
SUBSCRIBE: Final = tag("subscribe", Reply)
PUBLICATIONS: Final = tag("publications", schema.SubscribeResult)
DATA: Final = head("data", Publication)
INFO: Final = head("info", Publication)
USER: Final = head("user", schema.ClientInfo)
OFFSET: Final = head("offset", Publication, VARINT)
PUB: Final = head("pub", Push)
PUSH: Final = head("push", Reply)
"""What every message has, written out: some microseconds less for each."""


class CentrifugalProtobuf(Centrifugal):
    """`centrifuge-protobuf`; or `?format=protobuf`."""

    name = "centrifuge-protobuf"
    binary = True
    between = b""

    def asked_by(self, request: Request) -> Dialect:
        return self

    def decode(self, payload: bytes) -> Sequence[Asked]:
        if not payload:
            broken()
        return asked(_command(one) for one in lengths(payload))

    def write(self, told: Reply) -> bytes:
        return _measured(write(told))

    def publication(self, place: Shown, epoch: str = "") -> bytes:  # hot: once per message
        written = data(place)
        user = of = b""
        if type(place) is Msg:
            uid = place.uid.encode()
            size = varint(len(uid))
            user = INFO + varint(1 + len(size) + len(uid)) + USER + size + uid
        if epoch:
            of = field(EPOCH, epoch.encode())
        size = varint(len(written))
        return b"%b%b%b%b%b%b%b" % (DATA, size, written, user, OFFSET, varint(place.seq), of)

    def pushes(self, room: str, written: list[bytes]) -> bytes:  # hot: once per batch
        before = field(CHANNEL, room.encode()) + PUB
        found: list[bytes] = []
        for one in written:
            size = varint(len(one))
            pushed = varint(len(before) + len(size) + len(one))
            whole = varint(1 + len(pushed) + len(before) + len(size) + len(one))
            found += (whole, PUSH, pushed, before, size, one)
        return b"".join(found)

    def replies(self, event: bytes) -> Iterable[bytes]:
        return map(_measured, lengths(event))

    def place(self, written: Message, place: Shown) -> bytes:
        if isinstance(place, Removed):
            return b""
        return field(PUBLICATIONS, self.publication(for_viewers(place)))

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        told = subscribed(structs.replace(event, history=[]), since)
        assert told.subscribe is not None
        fields = write(told.subscribe)
        head = varint(SUBSCRIBE << 3 | LENGTH) + varint(len(fields) + size)
        before = _identified(told.id) + head + fields
        return varint(len(before) + size) + before, b""

    def answering(self, event: bytes, ref: Ref) -> bytes:
        [written] = lengths(event)
        return _measured(_identified(ref) + written)

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return b"".join(events)


def _measured(written: bytes) -> bytes:
    return varint(len(written)) + written


def _identified(ref: Ref) -> bytes:
    return varint(ID << 3 | VARINT) + varint(int(ref)) if ref else b""


PING: Final = frames.encode(frames.BINARY, _measured(b""))
"""What asks a client whether it lives."""

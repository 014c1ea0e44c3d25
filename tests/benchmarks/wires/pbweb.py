"""pbweb's own wire, `pb.json.1`, with the acknowledgements that every client owes."""

from __future__ import annotations

import re

from .base import BINARY, Options, WebSocketWire, masked

ACK_FRAMES = 32
ACK_BYTES = 65_536
MESSAGE_BYTES = 1_048_576
VERSION = b'["version",1,{"binary":true}]'

RING = re.compile(rb'\["message",(\d+),1,"echo",')
HANDED_OUT = re.compile(rb'\{"\$":"remote","id":(\d+)\}')


class PBWeb(WebSocketWire):
    """Calls a method of the root, or of what `target` names."""

    subprotocol = "pb.json.1"
    first: tuple[bytes, ...] = ()
    """Frames behind the version, which are calls that are answered before anything is counted."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.request = 0
        self.sent = 0
        self.received = 0
        self.owed_frames = 0
        self.owed_bytes = 0
        self.tail = b',"root","%b",[%b]]' % (options.method.encode(), options.payload)

    def greet(self) -> None:
        frames = self.first_frames()
        self.request = self.sent = len(frames)
        self.reply.append(self.write([VERSION, *frames]))
        self.ready = not frames

    def first_frames(self) -> list[bytes]:
        """Calls that are made at once, and make the connection ready when they are answered."""
        return []

    def frame(self) -> bytes:
        """The next call."""
        self.request += 1
        return b'["message",%d%b' % (self.request, self.tail)

    def calls(self, number: int) -> bytes:
        frames = [self.frame() for _ in range(number)]
        self.sent += number
        return self.write(self.acknowledged(frames))

    def acknowledged(self, frames: list[bytes]) -> list[bytes]:
        """*frames*, with an ``ack`` at their end when one is owed."""
        if self.owed_frames >= ACK_FRAMES or self.owed_bytes >= ACK_BYTES:
            self.owed_frames = self.owed_bytes = 0
            frames.append(b'["ack",%d,%d]' % (self.received, self.sent))
        return frames

    def write(self, frames: list[bytes]) -> bytes:
        """As one message, if the server takes it, or as one each."""
        if self.options.batches and len(frames) > 1:
            batch = b"[" + b",".join(frames) + b"]"
            if len(batch) <= MESSAGE_BYTES:
                return masked(batch)
        return b"".join(map(masked, frames))

    def message(self, data: bytes, start: int, end: int) -> int:
        counted = data.count(b'"answer",', start, end)
        if not counted or not self.ready:
            self.look(data, start, end)
            counted = 0
        return self.owe(counted, end - start)

    def owe(self, frames: int, size: int) -> int:
        """*frames* more came, in *size* bytes."""
        self.received += frames
        self.owed_frames += frames
        self.owed_bytes += size if frames else 0
        return frames

    def look(self, data: bytes, start: int, end: int) -> None:
        """A message without answers, or one of before we were ready."""
        text = data[start:end]
        if b'"ping",' in text:
            self.reply.append(masked(b'["pong",%d,%d]' % (self.received, self.sent)))
        if b'["error",' in text or b'["close",' in text:
            self.fault = f"the server sent {text[:300]!r}"
        if not self.ready:
            self.received += text.count(b'["answer",')
            self.ready = self.received >= self.request


class PBWebBytes(PBWeb):
    """The argument is bytes, which go beside the JSON of their frame (protocol section 8)."""

    def calls(self, number: int) -> bytes:
        blob = self.options.payload
        beside = len(blob).to_bytes(4, "little") + blob
        messages = []
        for _ in range(number):
            self.request += 1
            head = b'["message",%d,"root","echo",[{"$":"bytes","at":0}]]' % self.request
            messages.append(masked(len(head).to_bytes(4, "little") + head + beside, BINARY))
        self.sent += number
        return b"".join([*messages, *map(masked, self.acknowledged([]))])


class PBWebHeld(PBWeb):
    """As PBWeb, while references are held, which are called in turn, or while calls wait."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.targets: list[int] = []
        self.waiting = options.method == "wait"
        self.tail = b',"root","echo",[%b]]' % options.payload

    def first_frames(self) -> list[bytes]:
        method = b"wait" if self.waiting else b"make"
        frames = [
            b'["message",%d,"root","%b"]' % (number, method)
            for number in range(1, self.options.held + 1)
        ]
        return [*frames, b'["message",%d,"root","echo",[0]]' % (len(frames) + 1)]

    def look(self, data: bytes, start: int, end: int) -> None:
        text = data[start:end]
        self.targets += map(int, HANDED_OUT.findall(text))
        super().look(data, start, end)
        if self.waiting:
            self.ready = self.ready or self.received >= 1

    def frame(self) -> bytes:
        if not self.targets:
            return super().frame()
        self.request += 1
        target = self.targets[self.request % len(self.targets)]
        return b'["message",%d,%d,"echo",[%b]]' % (self.request, target, self.options.payload)


class PBWebHandOut(PBWeb):
    """A call is: get an object, call it through the promise of it, release it."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.handed: list[bytes] = []

    def calls(self, number: int) -> bytes:
        frames = []
        for _ in range(number):
            make = self.request + 1
            self.request += 2
            frames.append(b'["message",%d,"root","make"]' % make)
            frames.append(
                b'["message",%d,%d,"echo",[%b]]' % (make + 1, -make, self.options.payload)
            )
        if self.handed:
            frames.append(b'["decref",%b,1]' % b",1,".join(self.handed))
            self.handed = []
        self.sent += len(frames)
        return self.write(self.acknowledged(frames))

    def message(self, data: bytes, start: int, end: int) -> int:
        handed = HANDED_OUT.findall(data, start, end)
        self.handed += handed
        return super().message(data, start, end) - len(handed)


class PBWebRing(PBWeb):
    """Hands an object of its own to the server, and answers the calls on it."""

    def greet(self) -> None:
        ring = b'["message",1,"root","ring",[{"$":"remote","id":1},%d]]' % self.options.in_flight
        self.request = self.sent = 1
        self.reply.append(self.write([VERSION, ring]))
        self.ready = True

    def calls(self, number: int) -> bytes:
        return b""

    def message(self, data: bytes, start: int, end: int) -> int:
        requests = RING.findall(data, start, end)
        if not requests:
            self.look(data, start, end)
            return 0
        self.owe(len(requests), end - start)
        answers = [b'["answer",%b,%b]' % (each, self.options.payload) for each in requests]
        self.sent += len(answers)
        self.reply.append(self.write(self.acknowledged(answers)))
        return len(requests)


class PBWebListener(PBWeb):
    """Joins, and gets what the server sends to all; a call lets it send once more."""

    tell = b"publish"
    join = b'["message",1,"root","join",[{"$":"remote","id":1}]]'
    delivery = b'"deliver",'

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.tail = b',"root","%b",[%b]]' % (self.tell, options.payload)

    def first_frames(self) -> list[bytes]:
        return [self.join]

    def message(self, data: bytes, start: int, end: int) -> int:
        delivered = data.count(self.delivery, start, end)
        answered = data.count(b'"answer",', start, end) if self.ready else 0
        if not delivered and not answered:
            self.look(data, start, end)
        self.owe(delivered + answered, end - start)
        self.reply += map(masked, self.acknowledged([]))
        return delivered


class PBWebObserver(PBWebListener):
    """Has a copy of a live object, and gets its updates; a call changes it once more."""

    tell = b"change"
    join = b'["message",1,"root","observe"]'
    delivery = b'"cachemessage",'

"""What workers print, brought to the streams that this process has now.

Laws
1. Two pipes for a pool, shared by its workers. `pump(fd)` takes all that was in the pipe when it was called: one read
   of its capacity. So a driver that pumps before it answers results and deaths has shown what a task printed before
   its future resolves, and loses nothing of a worker that died.
2. The text goes to `sys.stdout` or `sys.stderr` as they are at that moment: pytest's capture, a notebook's cell,
   contextlib.redirect_stdout. A stream that is None, closed or broken is passed over for sys.__stdout__ (__stderr__);
   if that is no better, the text is dropped. Printing never fails a task.
3. The driver does not wait for a slow reader. A terminal, pipe or socket gets pieces that it can take without
   blocking; if it can take none, the rest waits here, the workers' pipe is not read (they wait, as they would have
   waited themselves), and an epoll, watched like the pipes, tells when there is room. Streams that are no descriptor
   are Python code and run in the driver's thread, as long as they take. A terminal is seen to have no room when it
   has been stopped (Ctrl-S), but one whose program has ceased to read can hold the driver up, since the kernel
   calls it writable for one byte.
4. Text is UTF-8 from our workers; bytes of C code and subprocesses that are not become U+FFFD, and so does what the
   stream's own encoding cannot say become "?". A character split between two reads is put together again.

Without epoll (not Linux) law 3 is lost: writing may block the driver. The zygote, which alone uses these pipes, is
not there either.
"""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
import time
from typing import Any

from procession.backends import forksafe
from procession.backends.launch import Watch

_CAPACITY = 1 << 16
_PIECE = 4096 // 4  # characters; at most PIPE_BUF bytes, for which a writable pipe has room
_LAST_ROUNDS = 64  # a grandchild that prints for ever must not keep a pool from closing


class _Room:
    """Its `fd` is readable when a descriptor has room. Holds a copy, so that closing the stream hides nothing."""

    def __init__(self, fd: int) -> None:
        self._copy = forksafe.duplicate(fd)
        self._epoll = select.epoll()
        self.fd = forksafe.own(self._epoll.fileno())
        self._epoll.register(self._copy, select.EPOLLOUT)

    def close(self) -> None:
        forksafe.disown(self.fd)
        self._epoll.close()
        forksafe.close(self._copy)


class _Channel:
    """One of the two: its pipe, and the text that its stream could not take yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read, self.write = forksafe.pipe()
        os.set_blocking(self.read, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._backlog = ""
        self.room: _Room | None = None

    def take(self, final: bool = False) -> bool:
        """Move what is in the pipe to the backlog; was there anything? `final`: half a character is a lost one."""
        try:
            data = os.read(self.read, _CAPACITY)
        except BlockingIOError:
            data = b""
        self.add(data, final and not data)
        return bool(data)

    def add(self, data: bytes, final: bool = False) -> None:
        """To the backlog."""
        self._backlog += self._decoder.decode(data, final)

    def deliver(self) -> int | None:
        """Write the backlog; the descriptor to wait for if its stream has no room, None when all is written."""
        tried = None
        for stream in (getattr(sys, self.name), getattr(sys, f"__{self.name}__")):
            if stream is None or stream is tried:
                continue
            tried = stream
            try:
                return self._deliver_to(stream)
            except Exception:
                pass  # closed or broken, or a program's own stream with a fault: not the task's affair
        self._backlog = ""
        return None

    def _deliver_to(self, stream: Any) -> int | None:
        fd = _may_block(stream)
        while self._backlog:
            piece = self._backlog
            if fd is not None:
                if not _has_room(fd, 0):
                    return fd
                piece = piece[:_PIECE]
            _write(stream, piece)
            self._backlog = self._backlog[len(piece) :]
        return None


class OutputPump:
    """Both channels of one pool. One thread, the driver's; `child_ends` are for the launcher.

    `watch(fd)` and `unwatch(fd)` tell the driver which descriptors to watch for reading; `pump(fd)` is for those.
    Raises OSError when there are no descriptors left.
    """

    def __init__(self, watch: Watch, unwatch: Watch) -> None:
        self._watch, self._unwatch = watch, unwatch
        out = _Channel("stdout")
        try:
            err = _Channel("stderr")
        except OSError:
            forksafe.close(out.read)
            forksafe.close(out.write)
            raise
        self.child_ends = out.write, err.write
        """The write ends, for stdout and stderr; open until `close`."""
        self._by_fd = {out.read: out, err.read: err}
        self._channels: tuple[_Channel, ...] = (out, err)
        for channel in self._channels:
            watch(channel.read)

    def fds(self) -> tuple[int, ...]:
        """What is being watched now."""
        return tuple(channel.room.fd if channel.room else channel.read for channel in self._channels)

    def pump(self, fd: int) -> None:
        """`fd` is readable: show what has come. A descriptor of the past is no error."""
        channel = self._by_fd.get(fd)
        if channel is None:
            return
        if channel.room is None:
            channel.take()
        elif channel.room.fd == fd:
            self._unstall(channel)
            self._watch(channel.read)
        else:
            return
        without_room = channel.deliver()
        if without_room is not None:
            self._stall(channel, without_room)

    def show(self, name: int, data: bytes) -> None:
        """Show what a worker elsewhere has printed: to stdout (1) or stderr (2)."""
        if not self._channels:
            return
        channel = self._channels[name - 1]
        channel.add(data)
        if channel.room is None and (without_room := channel.deliver()) is not None:
            self._stall(channel, without_room)

    def drain(self) -> None:
        """Show all that is in the pipes now, as far as the streams have room."""
        for channel in self._channels:
            self.pump(channel.read)

    def close(self, patience: float = 1.0) -> None:
        """Show the rest, waiting at most `patience` seconds for streams without room; idempotent.

        What a stream has not taken by then is lost, and so is what a process that outlives its worker still prints.
        """
        until = time.monotonic() + patience
        for channel in self._channels:
            if channel.room is not None:
                self._unstall(channel)
            else:
                self._unwatch(channel.read)
            for _ in range(_LAST_ROUNDS):
                more = channel.take(final=True)
                while (fd := channel.deliver()) is not None:
                    if not _has_room(fd, max(0.0, until - time.monotonic())):
                        more = False
                        break
                if not more:
                    break
            forksafe.close(channel.read)
            forksafe.close(channel.write)
        self._channels, self._by_fd = (), {}

    def _stall(self, channel: _Channel, fd: int) -> None:
        try:
            channel.room = _Room(fd)
        except OSError:
            return  # no descriptors left: it is tried again with the next output
        self._unwatch(channel.read)
        self._by_fd[channel.room.fd] = channel
        self._watch(channel.room.fd)

    def _unstall(self, channel: _Channel) -> None:
        assert channel.room is not None
        self._unwatch(channel.room.fd)
        del self._by_fd[channel.room.fd]
        channel.room.close()
        channel.room = None


def _may_block(stream: Any) -> int | None:
    """The descriptor behind `stream` if writing there can block: a terminal, a pipe, a socket."""
    try:
        fd: int = stream.fileno()
        return None if stat.S_ISREG(os.fstat(fd).st_mode) else fd
    except (AttributeError, OSError, ValueError):
        return None


def _has_room(fd: int, seconds: float) -> bool:
    """Can `fd` be written to, or does it say at once that it is broken?"""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _write(stream: Any, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
    if (flush := getattr(stream, "flush", None)) is not None:
        flush()

"""A process that dies ends all the others, with one sentence, instead of leaving them to wait for it.

::

    process 1 --connection--+
    process 2 --connection--+-- process 0: a connection that closes without a word is a process that has died
    process 3 --connection--+

The operating system closes the connections of a process that is killed, at once; of a machine that is gone, keep-alive
packets find out within half a minute. No beats are exchanged, so a process that computes for long is not suspected.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import sys
import threading
import time

import lightning as L

from lightning_twosome.errors import UserError
from lightning_twosome.last_words import LastWords, sentence_for

DONE, FAILED, END = b"d", b"f", b"e"
GRACE = 20.0  # seconds in which a process may fail of itself, after another one has told that it did
PATIENCE = 3.0  # seconds in which the cause of a broken exchange shows
TOKEN = 16  # bytes


class ProcessWatch(L.Callback):
    """Ends this process when another one of the run has died; where there is one only, leaves last words.

    Every algorithm of this package brings it along.
    """

    def __init__(self) -> None:
        self._line: _Line | None = None
        self._last_words: LastWords | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Connect to the other processes, if there are any."""
        if trainer.world_size == 1 and self._last_words is None:
            self._last_words = LastWords(sentence_for(trainer))
        if trainer.world_size > 1 and self._line is None:
            self._line = _Line(trainer.global_rank, trainer.world_size)
            host = os.environ.get("MASTER_ADDR", "127.0.0.1")
            self._line.connect(host, *trainer.strategy.broadcast(self._line.address))

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave in order."""
        self._leave(DONE)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Tell the others, unless it is the death of another process that shows here."""
        broken_exchange = isinstance(exception, RuntimeError) and not isinstance(exception, UserError)
        if self._line is not None and broken_exchange and self._line.trouble.wait(PATIENCE):
            self._line.end_without_grace()
        self._leave(FAILED)

    def _leave(self, word: bytes) -> None:
        if self._last_words is not None:
            self._last_words.unneeded()
            self._last_words = None
        if self._line is not None:
            self._line.leave(word)
            self._line = None


class _Line(threading.Thread):
    """The connections of one process: the first one's to all others, any other's to the first.

    Args:
        rank: Number of this process.
        processes: How many there are.
    """

    def __init__(self, rank: int, processes: int) -> None:
        super().__init__(daemon=True, name="process-watch")
        self.rank, self.processes = rank, processes
        self.trouble = threading.Event()
        self._left = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._peers: dict[int, socket.socket] = {}
        self._deadline: tuple[float, int] | None = None
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._server = socket.create_server(("", 0), backlog=processes) if rank == 0 else None
        self._password = secrets.token_bytes(TOKEN)

    @property
    def address(self) -> tuple[int, bytes]:
        """Port and password for the others; of use in the first process only."""
        return self._server.getsockname()[1] if self._server is not None else 0, self._password

    def connect(self, host: str, port: int, password: bytes) -> None:
        """Connect, and watch from now on.

        Args:
            host: Where the first process runs.
            port: Its port.
            password: What it lets in.

        Raises:
            UserError: The first process cannot be reached.
        """
        if self._server is not None:
            self._selector.register(self._server, selectors.EVENT_READ)
        else:
            try:
                peer = socket.create_connection((host, port), timeout=30)
            except OSError as error:
                raise UserError(
                    f"Process {self.rank} cannot reach process 0 at {host}:{port} ({error}): let the machines of a run "
                    "open connections among one another on any port."
                ) from error
            peer.sendall(password + self.rank.to_bytes(4, "big"))
            self._add(0, peer)
        self.start()

    def _add(self, rank: int, peer: socket.socket) -> None:
        peer.settimeout(10)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):  # by another name, or for the whole machine, on systems other than Linux
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._peers[rank] = peer
        self._selector.register(peer, selectors.EVENT_READ, rank)

    def _accept(self) -> None:
        assert self._server is not None
        peer, _ = self._server.accept()
        peer.settimeout(10)
        try:
            hello = peer.recv(TOKEN + 4, socket.MSG_WAITALL)
        except OSError:
            hello = b""
        if len(hello) == TOKEN + 4 and secrets.compare_digest(hello[:TOKEN], self._password):
            self._add(int.from_bytes(hello[TOKEN:], "big"), peer)
        else:
            peer.close()

    def run(self) -> None:
        """Listen until this process leaves or another one is missing."""
        while not self._left.is_set():
            left = None if self._deadline is None else max(0.0, self._deadline[0] - time.monotonic())
            for key, _ in self._selector.select(timeout=left):
                if self._left.is_set():
                    return
                if key.fileobj is self._woken:
                    self._woken.recv(1)
                elif key.fileobj is self._server:
                    self._accept()
                else:
                    self._hear(key.data)
            if self._deadline is not None and time.monotonic() >= self._deadline[0]:
                self._end(self._deadline[1], "has ended by an error that it tells of itself")

    def _hear(self, rank: int) -> None:
        try:
            word = self._peers[rank].recv(1)
        except OSError:
            word = b""
        if word == DONE or word == FAILED:
            self._selector.unregister(self._peers[rank])
            if word == FAILED:
                self.trouble.set()
                self._deadline = (time.monotonic() + GRACE, rank)
        elif word == END:  # the first process has said why
            self._exit()
        else:
            self._end(rank, "has died (killed, out of memory or crashed)")

    def _end(self, rank: int, what: str) -> None:
        self.trouble.set()
        if self.rank == 0 or self.rank == 1 and rank == 0:
            print(
                f"error: process {rank} of {self.processes} (counted from 0) {what}, and the others cannot go on "
                "without it: all end; fit --ckpt_path last goes on from the last checkpoint.",
                file=sys.stderr,
            )
        self._say(END)
        self._exit()

    def _exit(self) -> None:
        """The main thread may wait for ever in an exchange, so that no exception would end it."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    def _say(self, word: bytes) -> None:
        for peer in self._peers.values():
            try:
                peer.sendall(word)
            except OSError:
                pass  # it has left

    def end_without_grace(self) -> None:
        """End this process, whose exchange broke because another one is missing."""
        if self._deadline is not None:
            self._deadline = (time.monotonic(), self._deadline[1])
        self._wake.send(b"w")
        self.join()

    def leave(self, word: bytes) -> None:
        """Say goodbye and stop watching."""
        self._left.set()
        self._say(word)
        self._wake.send(b"w")
        self.join()
        for connection in (*self._peers.values(), self._wake, self._woken, *filter(None, [self._server])):
            connection.close()
        self._selector.close()

"""One bound SMPP connection: units go out as a window allows, answers come back by their sequence, receipts are handed
on before they are acknowledged."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.errors import CdpError
from services.channel.senders import smpp_pdu
from services.channel.senders.smpp_pdu import OK, RESPONSE, Command, Deliver, Pdu, Status, Submit
from services.runtime.addresses import pin
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_CONNECT_S = 10.0
_ANSWER_S = 30.0
_UNBIND_S = 2.0
#: deliver_sm units that are looked at at a time; what comes beyond it is told to come again.
_DELIVERIES = 1_000

#: Takes a deliver_sm; False: not now, so that the provider brings it again.
TakeDeliver = Callable[[Deliver], Awaitable[bool]]


class NotSentError(Exception):
    """The provider surely has nothing of the unit."""


class LostError(Exception):
    """The connection ended, or time ran out, after the unit was written."""


@dataclass(frozen=True, slots=True)
class SmppServer:
    """Where a provider listens and as whom we bind. Hosts in private address space are called only if they are among
    `private_hosts`. `window`: submitted units without an answer; `enquire_s`: silence before we ask."""

    host: str
    port: int
    tls: bool
    private_hosts: frozenset[str]
    system_id: str
    password: str = field(repr=False)
    system_type: str
    window: int
    enquire_s: float


class SmppSession:
    """A bound transceiver. Made by `open`; `submit` from any task; over once `ended` is done."""

    def __init__(
        self,
        server: SmppServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        take: TakeDeliver,
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._take = take
        self._sequence = 0
        self._bound = False
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._window = asyncio.Semaphore(server.window)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._heard_s = asyncio.get_running_loop().time()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @staticmethod
    async def open(server: SmppServer, take: TakeDeliver) -> SmppSession:
        """Connect and bind. Raises NotSentError for whatever comes between."""
        tls = ssl.create_default_context() if server.tls else None
        try:
            async with asyncio.timeout(_CONNECT_S):
                address = await pin(server.host, server.port, server.private_hosts, "allowed_private_hosts")
                reader, writer = await asyncio.open_connection(
                    address, server.port, ssl=tls, server_hostname=server.host if server.tls else None
                )
        except (OSError, TimeoutError, CdpError) as error:
            raise NotSentError(f"not connected: {error or 'no answer in time'}") from error
        session = SmppSession(server, reader, writer, take)
        session._tasks = (asyncio.create_task(session._read()), asyncio.create_task(session._keep()))
        try:
            body = smpp_pdu.bind_body(server.system_id, server.password, server.system_type)
            answer = await session._ask(Command.BIND_TRANSCEIVER, body, _CONNECT_S)
        except LostError as error:
            await session.close()
            raise NotSentError(f"not bound: {error}") from error
        except BaseException:
            await session.close()
            raise
        if answer.status != OK:
            await session.close()
            raise NotSentError(f"not bound: status 0x{answer.status:08X}")
        session._bound = True
        return session

    async def submit(self, submit: Submit) -> Pdu:
        """The answer to one submit_sm, whatever its status. Raises NotSentError or LostError."""
        body = smpp_pdu.submit_body(submit)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._window.acquire()
        except TimeoutError as error:
            raise NotSentError("the window stayed full") from error
        try:
            if self.ended.done():
                raise NotSentError(f"the connection is over: {self.ended.result()}")
            return await self._ask(Command.SUBMIT_SM, body, _ANSWER_S)
        finally:
            self._window.release()

    async def close(self) -> None:
        """Unbind, as far as the provider still listens, and let the connection go. Idempotent."""
        if self._bound and not self.ended.done():
            try:
                await self._ask(Command.UNBIND, b"", _UNBIND_S)
            except LostError as error:
                _LOG.debug("smpp not unbound", reason=str(error))
        self._end("closed")
        tasks = [*self._tasks, *self._deliveries]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _ask(self, command: Command, body: bytes, wait_s: float) -> Pdu:
        """The answer to a unit. LostError: it was written, or may have been, and none came."""
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        sequence = self._sequence
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        try:
            self._write(Pdu(command, OK, sequence, body))
            async with asyncio.timeout(wait_s):
                await self._drain()
                return await answer
        except TimeoutError as error:
            raise LostError("no answer in time") from error
        except OSError as error:
            self._end(str(error))
            raise LostError(str(error)) from error
        finally:
            self._waiting.pop(sequence, None)
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, even where another error came first

    def _write(self, pdu: Pdu) -> None:
        self._writer.write(smpp_pdu.encode(pdu))

    async def _drain(self) -> None:
        await self._writer.drain()

    async def _read(self) -> None:
        """Hand on what comes, until the connection ends."""
        try:
            while True:
                length, head = smpp_pdu.decode_head(await self._reader.readexactly(smpp_pdu.HEAD_BYTES))
                body = await self._reader.readexactly(length)
                self._heard_s = asyncio.get_running_loop().time()
                if not await self._handle(Pdu(head.command, head.status, head.sequence, body)):
                    self._end("the provider unbound")
                    return
        except asyncio.IncompleteReadError:
            self._end("the provider hung up")
        except (OSError, ValueError) as error:
            self._end(str(error) or type(error).__name__)

    async def _handle(self, pdu: Pdu) -> bool:
        """False: the session is over."""
        if pdu.is_response:
            waiting = self._waiting.get(pdu.sequence)
            if waiting is not None and not waiting.done():
                waiting.set_result(pdu)
            return True
        if pdu.command == Command.ENQUIRE_LINK:
            self._answer(pdu, OK)
        elif pdu.command == Command.DELIVER_SM:
            self._receive(pdu)
        elif pdu.command == Command.UNBIND:
            self._answer(pdu, OK)
            await self._drain()
            return False
        else:
            self._write(Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND, pdu.sequence))
        return True

    def _receive(self, pdu: Pdu) -> None:
        """Never waits: behind a receipt that cannot be kept now, answers to our own units must still be read."""
        if len(self._deliveries) >= _DELIVERIES:
            self._answer(pdu, Status.TEMPORARY_APPLICATION_ERROR)
            return
        task = asyncio.create_task(self._deliver(pdu))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, pdu: Pdu) -> None:
        """Acknowledge only what was taken: what is refused for now comes again."""
        try:
            taken = await self._take(smpp_pdu.read_deliver(pdu.body))
        except ValueError as error:
            _LOG.warning("smpp receipt not readable, acknowledged all the same", reason=str(error))
            taken = True
        except Exception:  # noqa: BLE001 - the provider keeps what was not taken, and brings it again
            _LOG.exception("smpp receipt not taken")
            taken = False
        if not self.ended.done():
            self._answer(pdu, OK if taken else Status.TEMPORARY_APPLICATION_ERROR)

    def _answer(self, pdu: Pdu, status: int) -> None:
        body = b"\0" if pdu.command == Command.DELIVER_SM else b""
        self._write(Pdu(pdu.command | RESPONSE, status, pdu.sequence, body))

    async def _keep(self) -> None:
        """Ask whether the provider is still there whenever nothing was heard of it for a while."""
        while not self.ended.done():
            silent_s = asyncio.get_running_loop().time() - self._heard_s
            if silent_s < self._server.enquire_s:
                await asyncio.sleep(self._server.enquire_s - silent_s)
                continue
            try:
                await self._ask(Command.ENQUIRE_LINK, b"", self._server.enquire_s)
            except LostError as error:
                self._end(f"enquire_link: {error}")

    def _end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LostError(reason))

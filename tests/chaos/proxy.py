"""A TCP proxy that misbehaves when told: between a program and a server, one for each link that is to be broken.

    proxy = Proxy(target_port)      listens on a free port of 127.0.0.1, proxy.port
    proxy.set("latency")            from now on; see FAULTS
    proxy.set("none")               heals; connections that were half-open stay so, as those of a host that is gone

It has one thread and an event loop of its own, which ends with close().
"""
import asyncio
import contextlib
import random
import socket
import struct
import threading
import time

FAULTS = ("latency", "slow", "reset", "half_open", "down")
LATENCY = 2.0
SLOW_BYTES = 1000  # in a second
CHUNK = 65536


class Connection:
    """Two sockets and what goes between them."""

    def __init__(self, proxy, reader, writer):
        self.proxy, self.client = proxy, (reader, writer)
        self.server = None
        self.frozen = False
        self.budget = random.randrange(0, 4000) if proxy.fault == "reset" else None
        self.tasks = []

    async def run(self):
        try:
            if self.budget != 0:
                self.server = await asyncio.open_connection("127.0.0.1", self.proxy.target)
                self.tasks = [asyncio.ensure_future(self.pump(self.client[0], self.server[1])),
                              asyncio.ensure_future(self.pump(self.server[0], self.client[1]))]
                from_client = self.tasks[0]
                await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
                if self.frozen:
                    await asyncio.wait([from_client])  # what the server does is not seen
        except OSError:
            pass
        finally:
            self.end(reset=self.budget is not None)
            self.proxy.connections.discard(self)

    async def pump(self, reader, writer):
        """Reads as fast as it comes, so that latency delays and does not throttle; a second task writes."""
        queue = asyncio.Queue(maxsize=64)
        pump = asyncio.ensure_future(self.write(queue, writer))
        self.tasks.append(pump)
        try:
            while True:
                data = await reader.read(CHUNK)
                if not data:
                    await queue.put((0, b""))
                    await pump
                    return
                if not self.frozen:
                    await queue.put((time.monotonic(), data))
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def write(self, queue, writer):
        try:
            while True:
                came, data = await queue.get()
                if not data:
                    return
                if self.frozen:
                    continue
                if self.budget is not None:
                    data = data[:self.budget]
                    self.budget -= len(data)
                await self.send(writer, came, data)
                if self.budget == 0:
                    self.end(reset=True)
                    return
        except OSError:
            self.end(reset=False)

    async def send(self, writer, came, data):
        if self.proxy.fault == "latency":
            await asyncio.sleep(max(0.0, came + LATENCY - time.monotonic()))
        while data:
            piece = data[:SLOW_BYTES // 10] if self.proxy.fault == "slow" else data
            if self.frozen:
                return
            writer.write(piece)
            await writer.drain()
            data = data[len(piece):]
            if self.proxy.fault == "slow":
                await asyncio.sleep(0.1)

    def end(self, reset):
        for side in (self.client, self.server):
            if side is None:
                continue
            sock = side[1].get_extra_info("socket")
            if reset and sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side[1].transport.abort()
            else:
                side[1].close()
        for task in self.tasks:
            task.cancel()


class Proxy:
    def __init__(self, target, port=0):
        self.target, self.port = target, port
        self.fault = "none"
        self.connections = set()
        self.accepted = 0
        self.listener = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.call(self.listen())

    def serve(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def listen(self):
        self.listener = await asyncio.start_server(self.accept, "127.0.0.1", self.port, backlog=512)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        self.accepted += 1
        if self.fault == "half_open":
            connection.frozen = True
        await connection.run()

    def set(self, fault):
        """One of FAULTS, or "none"."""
        if fault != "none" and fault not in FAULTS:
            raise ValueError(fault)
        self.call(self.change(fault))

    async def change(self, fault):
        before, self.fault = self.fault, fault
        if fault == "down":
            self.listener.close()
        elif before == "down":
            await self.listen()
        for connection in list(self.connections):
            if fault in ("down", "reset"):
                connection.end(reset=fault == "reset")
            elif fault == "half_open":
                connection.frozen = True

    def close(self):
        self.call(self.shut())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()

    async def shut(self):
        self.listener.close()
        for connection in list(self.connections):
            connection.end(reset=False)
        await asyncio.sleep(0)

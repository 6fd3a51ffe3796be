"""The floor: read a request, send its body back. asyncio.Protocol, httptools and uvloop, nothing else.

python bench/peers/echo.py PORT
"""

import asyncio
import gc
import sys

import httptools
import uvloop

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.write = transport.write
        self.feed = httptools.HttpRequestParser(self).feed_data

    def data_received(self, data):
        self.feed(data)

    def on_message_begin(self):
        self.body = b""

    def on_body(self, piece):
        self.body = self.body + piece if self.body else piece

    def on_message_complete(self):
        self.write(REPLY % (len(self.body), self.body))


async def main(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=1024)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

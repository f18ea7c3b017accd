"""A client that sees what is on the wire: one request a connection, everything until its end."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Seen(NamedTuple):
    """What came back."""

    status: int | None
    """None: nothing came."""
    headers: dict[str, str]
    body: bytes
    reset: bool
    """Whether the connection ended in a reset."""

    @property
    def text(self) -> str:
        """The reply of a completion."""
        return str(json.loads(self.body)["choices"][0]["message"]["content"])


def request(
    body: bytes, *, key: str = "", extra: str = "", path: str = "/v1/chat/completions", method: str = "POST"
) -> bytes:
    """The bytes of one request that asks for the connection's end."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chat(content: str, model: str = "a", **fields: Any) -> bytes:
    """The body of a request with one user turn."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **fields}).encode()


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the server of a URL."""
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port)


async def send(url: str, data: bytes) -> Seen:
    """Send bytes on a fresh connection and read to its end."""
    reader, writer = await connect(url)
    writer.write(data)
    raw, reset = b"", False
    try:
        while chunk := await reader.read(65_536):
            raw += chunk
    except ConnectionResetError:
        reset = True
    writer.transport.abort()
    if not raw:
        return Seen(None, {}, b"", reset)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Seen(int(first.split(" ")[1]), headers, body, reset)


async def ask(url: str, content: str, model: str = "a", *, key: str = "", **fields: Any) -> Seen:
    """One request for a completion."""
    return await send(url, request(chat(content, model, **fields), key=key))

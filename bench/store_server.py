"""An S3 server that answers from memory, after a delay if asked: GET with ranges, HEAD, and lists.

    python bench/store_server.py FOLDER [--delay MILLISECONDS] [--keys COUNT]

Serves the files of FOLDER as /bucket/photos/NAME, and lists COUNT made-up keys in 100 folders as those of /many.
Prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_DATE = formatdate(0, usegmt=True)
_PAGE = 1000


class Server(asyncio.Protocol):
    """One connection."""

    files: dict[str, bytes]
    keys: list[str]
    delay: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._data = transport, b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            answer = self._answer(head.decode())
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self._transport.writelines, answer)
            else:
                self._transport.writelines(answer)

    def _answer(self, head: str) -> list[bytes]:
        request, *lines = head.split("\r\n")
        method, target, _ = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        url = urlsplit(target)
        if url.query:
            return _response("200 OK", self._list(parse_qs(url.query, keep_blank_values=True)), "application/xml")
        body = self.files.get(url.path)
        if body is None:
            return _response("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")
        if method == "HEAD":
            return _response("200 OK", body)[:1]
        if "range" not in headers:
            return _response("200 OK", body)
        first, last = (int(number) for number in headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, len(body) - 1)
        more = f"Content-Range: bytes {first}-{last}/{len(body)}\r\n"
        return _response("206 Partial Content", body[first : last + 1], more=more)

    def _list(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        if "delimiter" in query:
            names = sorted({key[len(prefix) :].partition("/")[0] for key in self.keys})
            found = "".join(f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in names)
            return f"<ListBucketResult>{found}<KeyCount>{len(names)}</KeyCount></ListBucketResult>".encode()
        keys = self.keys[slice(*self.folders[prefix])]
        begin = int(query.get("continuation-token", ["0"])[0])
        page = keys[begin : begin + _PAGE]
        more = begin + _PAGE < len(keys)
        token = f"<NextContinuationToken>{begin + _PAGE}</NextContinuationToken>" if more else ""
        items = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{number:032x}"
            f"&quot;</ETag><Size>110000</Size></Contents>"
            for number, key in enumerate(page, begin)
        )
        flag = "true" if more else "false"
        return f"<ListBucketResult><IsTruncated>{flag}</IsTruncated>{token}{items}</ListBucketResult>".encode()

    folders: dict[str, tuple[int, int]]


def _response(status: str, body: bytes, kind: str = "image/jpeg", more: str = "") -> list[bytes]:
    head = (
        f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\nETag: "{len(body):032x}"\r\n'
        f"Last-Modified: {_DATE}\r\n{more}\r\n"
    )
    return [head.encode(), body]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--keys", type=int, default=0)
    options = parser.parse_args()
    Server.files = {f"/bucket/photos/{path.name}": path.read_bytes() for path in options.folder.iterdir()}
    Server.keys = [f"photos/{number * 100 // options.keys:02d}/{number:08d}.jpg" for number in range(options.keys)]
    Server.folders = {"": (0, options.keys), "photos/": (0, options.keys)}
    for folder in range(100):
        first, end = (-(-edge * options.keys // 100) for edge in (folder, folder + 1))
        Server.folders[f"photos/{folder:02d}/"] = first, end
    Server.delay = options.delay / 1000
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

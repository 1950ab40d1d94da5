"""A crawler: the runtime without the server, fetching many pages at once with plain blocking code.

`python -m apps.crawler http://host/ ...` fetches these pages and every page that they link to on their own
host, and prints a row for each. With no URL it starts a small site of its own, 51 pages that each take 0.2 s.
"""

from __future__ import annotations

import http.client
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

import greenserve
from greenserve import GreenPile, GreenPool, Timeout, connect, sleep

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

AT_ONCE = 100
SECONDS = 10.0
MOST_BYTES = 10_000_000


class Row(NamedTuple):
    """What became of one page. `status` is a number, or what went wrong."""

    url: str
    status: int | str
    body: bytes
    seconds: float


def fetch(url: str) -> Row:
    """GETs one http:// page over a green socket: while it waits, the other fetches go on."""
    began, parts = time.monotonic(), urlsplit(url)
    try:
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("not an http:// URL")
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80)
        with Timeout(SECONDS), closing(connection):
            # http.client asks for no more than a socket that is connected already; ours happens to be green.
            connection.sock = connect((connection.host, connection.port))
            connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
            with connection.getresponse() as answer:
                body = answer.read(MOST_BYTES)
        return Row(url, answer.status, body, time.monotonic() - began)
    except (Timeout, OSError, ValueError, http.client.HTTPException) as error:
        return Row(url, f"{type(error).__name__}: {error}", b"", time.monotonic() - began)


def crawl(urls: Iterable[str]) -> Iterator[Row]:
    """Yields the rows of `urls`, then those of the pages that they link to, each once, in order."""
    pool = GreenPool(AT_ONCE)
    seeds = GreenPile(pool)
    seen = dict.fromkeys(urls)
    for url in seen:
        seeds.spawn(fetch, url)
    found: list[str] = []
    for row in seeds:
        yield row
        for href in re.findall(r'href="([^"#]+)', row.body.decode("utf-8", "replace")):
            url = urljoin(row.url, href)
            if url not in seen and urlsplit(url).netloc == urlsplit(row.url).netloc:
                seen[url] = None
                found.append(url)
    yield from pool.imap(fetch, found)


def site(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The site to practise on: an index of 50 links, and the 50 pages, each after 0.2 s."""
    sleep(0.2)
    start_response("200 OK", [("Content-Type", "text/html")])
    if environ["PATH_INFO"] == "/":
        return ["".join(f'<a href="/page/{n}">page {n}</a>\n' for n in range(50)).encode()]
    return [b"<p>" + environ["PATH_INFO"].encode("latin-1") + b"</p>"]


def report(urls: Iterable[str]) -> None:
    """Prints the table and, under it, what the same fetches would have taken one after another."""
    began, waited, count = time.monotonic(), 0.0, 0
    print(f"{'status':>6} {'bytes':>9} {'ms':>6}  url")
    for row in crawl(urls):
        count, waited = count + 1, waited + row.seconds
        print(f"{row.status:>6} {len(row.body):>9} {row.seconds * 1000:>6.0f}  {row.url}")
    print(f"{count} pages in {time.monotonic() - began:.1f} s; one after another {waited:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        report(sys.argv[1:])
    else:
        with greenserve.serve(site, bind="127.0.0.1:0") as server:
            report([server.url])

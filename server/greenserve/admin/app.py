"""The WSGI app of the admin pages. Every response is small, says no-store, and comes without asking a worker, but for
/requests and /threads, which say of a worker that does not answer that it does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from webob import Request, Response

from greenserve.admin.access import Access, Refused
from greenserve.admin.asking import Asking
from greenserve.admin.exposition import OPEN_METRICS, TEXT, exposition
from greenserve.admin.history import History
from greenserve.admin.master import Master
from greenserve.admin.page import Page
from greenserve.admin.summaries import health, live, summary
from greenserve.errors import ConfigError

__all__ = ["AdminApp"]

# The better first: with equal weights, and for `*/*`, a person gets what is easier to read.
_OFFERS: Final = (
    "text/plain",
    "text/plain;version=0.0.4",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=0.0.1",
    "application/openmetrics-text",
)
_FIELDS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_NO_PAGE: Final = "default-src 'none'; frame-ancestors 'none'"

Answer = Callable[[Request], Response]


class AdminApp:
    """The app."""

    def __init__(self, master: Master, history: History, access: Access, has_open_metrics: bool) -> None:
        """`has_open_metrics`: /metrics is for everybody."""
        self._master = master
        self._history = history
        self._access = access
        self._asking = Asking(master)
        self._page = Page()
        self._open = {"/healthz", "/readyz"}
        self._has_open_metrics = has_open_metrics
        self._gets: Mapping[str, Answer] = {
            "/": lambda _: self._page.response(),
            "/healthz": lambda _: self._health(is_readiness=False),
            "/readyz": lambda _: self._health(is_readiness=True),
            "/metrics": self._metrics,
            "/stats.json": lambda _: _json(summary(master)),
            "/live.json": self._live,
            "/requests": self._requests,
            "/threads": self._threads,
        }
        self._posts: Mapping[str, Answer] = {"/reload": self._reload}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        try:
            response = self._answer(request)
        except Refused as refused:
            response = _text(refused.status, refused.reason)
            response.headers.extend(refused.fields)
        response.headers.setdefault("Content-Security-Policy", _NO_PAGE)
        response.headers.extend(_FIELDS)
        body: Iterable[bytes] = response(environ, start_response)
        return body

    def _answer(self, request: Request) -> Response:
        path = request.environ.get("PATH_INFO", "")
        is_get = request.method in ("GET", "HEAD")
        answer = (
            self._gets.get(path) if is_get else self._posts.get(path) if request.method == "POST" else None
        )
        if answer is None:
            if path not in self._gets and path not in self._posts:
                raise Refused(
                    404, f"There is no such page; there are {', '.join([*self._gets, *self._posts])}."
                )
            allowed = "GET, HEAD" if path in self._gets else "POST"
            raise Refused(405, f"{path} is asked with {allowed}.", [("Allow", allowed)])
        if path == "/metrics" and self._has_open_metrics:
            self._access.check_host(request)
        elif path not in self._open:
            self._access.check(request)
        return answer(request)

    def _health(self, is_readiness: bool) -> Response:
        is_well, told = health(self._master.workers(), is_readiness)
        return _text(200 if is_well else 503, told)

    def _metrics(self, request: Request) -> Response:
        accepted = request.accept.acceptable_offers(_OFFERS)
        is_open = bool(accepted) and accepted[0][0].startswith("application/")
        text = exposition(self._master.workers(), self._master.totals(), is_open)
        response = Response(_encoded(text), headerlist=[("Content-Type", OPEN_METRICS if is_open else TEXT)])
        response.content_length = len(response.body)
        return response

    def _live(self, request: Request) -> Response:
        points = self._history.since(_number(request, "fine"), _number(request, "coarse"))
        return _json_text(f'{{"now":{json.dumps(live(self._master))},"history":{points}}}')

    def _requests(self, request: Request) -> Response:
        return _json(self._asking.ask("routes" if _parameter(request, "stacks") == "no" else "requests"))

    def _threads(self, request: Request) -> Response:
        return _text(200, "\n".join(_section(one) for one in self._asking.ask("threads")["workers"]))

    def _reload(self, request: Request) -> Response:
        try:
            return _text(202, self._master.reload())
        except ConfigError as error:
            return _text(409, f"Not reloaded: {error}")


def _section(worker: Mapping[str, Any]) -> str:
    told = worker.get("text", worker.get("error", ""))
    return f"worker {worker['number']}, process {worker['pid']}\n{told}"


def _parameter(request: Request, name: str) -> str | None:
    try:
        value: str | None = request.GET.get(name)
    except UnicodeDecodeError:
        raise Refused(400, "The query is no text in UTF-8.") from None
    return value


def _number(request: Request, name: str) -> int | None:
    value = _parameter(request, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise Refused(400, f"{name} is the number of a point, or 0.")
    return int(value)


def _text(status: int, text: str) -> Response:
    return Response(_encoded(f"{text}\n"), status=status, content_type="text/plain", charset="utf-8")


def _json(value: object) -> Response:
    return _json_text(json.dumps(value))


def _json_text(text: str) -> Response:
    return Response(_encoded(text), content_type="application/json")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # names of threads may hold what no UTF-8 can

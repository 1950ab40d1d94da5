"""The hooks around each request, pre_request and post_request, and what they get of it.

Around is a WSGI app around the app: a server without such hooks has none, and pays nothing. It runs in the request's
own green thread. The invariants: an error of a hook is logged and changes no response; a request for which
pre_request was called gets its post_request, unless its green thread is ended in between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from greenserve.config.hooks import Hook
from greenserve.logs.throttled import ThrottledLog
from greenserve.wsgi import WSGIApplication
from greenserve.wsgi.response import Response

__all__ = ["Around", "HookRequest", "HookResponse"]


class HookRequest:
    """A request for hooks: `req`. The same object in pre_request and post_request, which may set attributes of it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        """Of its `environ`."""
        self.environ = environ

    @property
    def method(self) -> str:
        """The method: `GET`."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def uri(self) -> str:
        """The target as it was sent: `/a%20b?c=d`."""
        return str(self.environ["RAW_URI"])

    @property
    def path(self) -> str:
        """The path, still encoded: `/a%20b`."""
        return self.uri.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, or ""."""
        return str(self.environ["QUERY_STRING"])

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields, their names in capitals: `[("USER-AGENT", "curl/8.5"), …]`. Repeated ones are joined."""
        fields = [
            (key[5:].replace("_", "-"), value)
            for key, value in self.environ.items()
            if key.startswith("HTTP_")
        ]
        own = (("CONTENT-TYPE", "CONTENT_TYPE"), ("CONTENT-LENGTH", "CONTENT_LENGTH"))
        return fields + [(name, self.environ[key]) for name, key in own if self.environ.get(key)]


class HookResponse:
    """A response for post_request: `resp`."""

    def __init__(self, response: Response) -> None:
        """The server's own."""
        self._response = response

    @property
    def status_code(self) -> int:
        """The status that was sent: 200; 101 after an upgrade, 0 if the client was gone before."""
        return self._response.status

    @property
    def sent(self) -> int:
        """The bytes of content that were sent."""
        return self._response.bytes_sent


class Around:
    """A WSGI app that calls hooks before and after the app inside it."""

    def __init__(
        self, app: WSGIApplication, worker: object, before: Sequence[Hook], after: Sequence[Hook]
    ) -> None:
        """`worker` is the first argument of each hook."""
        self.app = app  # under a name by which loading/ finds the framework inside
        self._worker = worker
        self._before = before
        self._after = after
        # An error of each request must not become a flood.
        self._log = ThrottledLog(time.monotonic, logging.ERROR)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Call pre_request, then the app; post_request is called after the response was sent."""
        request = HookRequest(environ)
        if self._after:
            # Nothing stands between the server and this app, so start_response is the method of the server's Response.
            response = cast(Response, cast(Any, start_response).__self__)
            environ["greenserve.posthooks"].append((self._end, (request, HookResponse(response)), {}))
        for hook in self._before:
            try:
                hook.call(self._worker, request)
            except (Exception, SystemExit) as error:
                self._tell(hook, request, error)
        return self.app(environ, start_response)

    def _end(self, environ: dict[str, Any], request: HookRequest, response: HookResponse) -> None:
        for hook in self._after:
            try:
                hook.call(self._worker, request, environ, response)
            except (Exception, SystemExit) as error:
                self._tell(hook, request, error)

    def _tell(self, hook: Hook, request: HookRequest, error: BaseException) -> None:
        self._log.log(
            "the hook %s (%s) failed at %s %s; the request goes on: mend the hook, or take it out: %s",
            hook.name,
            hook.origin,
            request.method,
            request.uri,
            _place_of(error),
        )


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {error}{where}"

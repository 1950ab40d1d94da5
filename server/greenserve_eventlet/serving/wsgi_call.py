"""One request of wsgi.server: calls the app as eventlet does, and gives greenserve what it answers.

Facts: programs written for eventlet give str, numbers as field values, fields of any spelling; they set post-hooks by
replacing the list, and rely on a 500 when their iterable fails in its first 4096 bytes. Consequence: what the app
gives is kept until it fills a chunk or ends, and is put right before greenserve checks it. Invariant: greenserve sees
one start_response() for each request, and only bytes.
"""

from __future__ import annotations

import contextvars
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent, greenlet

from greenserve.caches import remember
from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import RequestHead
from greenserve.wsgi.environ.file_wrapper import FileWrapper
from greenserve.wsgi.exchange import Exchange
from greenserve_eventlet.serving.wsgi_input import ChunkReadError, Input
from greenserve_hub import GreenletExit, Timeout

if TYPE_CHECKING:
    from greenserve_eventlet.serving.wsgi_protocol import Serves

__all__ = ["WSGI_LOCAL", "Call"]

# Only the server sends these (PEP 3333); apps that pass on what another server has answered have them.
_OF_THE_SERVER: Final = frozenset(
    {"keep-alive", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding"}
)
_CONNECTION_OPTIONS: Final = ("close", "keep-alive")
_names: dict[str, str] = {}
_LONGEST_KEPT: Final = 1024  # characters of fields that are remembered; longer ones rarely repeat


class _Local:
    """What an app tells the server besides its answer, of each green thread."""

    def __init__(self) -> None:
        self.handled: set[greenlet] = set()  # the green threads that have set it

    @property
    def already_handled(self) -> bool:
        """True: the app has answered on the socket itself."""
        return getcurrent() in self.handled

    @already_handled.setter
    def already_handled(self, value: bool) -> None:
        (self.handled.add if value else self.handled.discard)(getcurrent())


WSGI_LOCAL: Final = _Local()
_handled: Final = WSGI_LOCAL.handled


class RawFields(Sequence[tuple[str, str]]):
    """environ["headers_raw"]: the fields as they were sent, equal to the tuple that eventlet has there.

    They are taken out of the head when they are asked for: the compiled core has not done so, and few apps ask.
    """

    def __init__(self, head: RequestHead) -> None:
        """Of this request."""
        self._head = head

    def __getitem__(self, index: Any) -> Any:
        """As of the tuple."""
        return tuple(self._head.fields)[index]

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self._head.fields)

    def __eq__(self, other: object) -> bool:
        """As of the tuple."""
        return tuple(self) == other

    def __hash__(self) -> int:
        """As of the tuple."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """As of the tuple."""
        return repr(tuple(self))


class Call:
    """What greenserve calls for one request, in place of the app."""

    # As the class has them until they change: most requests change only the first.
    _given: tuple[str, Any] | None = None  # by the app, through start_response
    _begun = False  # greenserve has the head
    _streams = False  # the iterable goes on when greenserve has it
    _write: Callable[[bytes], None] | None = None

    def __init__(self, server: Serves, exchange: Exchange) -> None:
        """Nothing is called yet."""
        self._server = server
        self._exchange = exchange

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Put in what eventlet's environ has, and run the app. Switches: as the app does."""
        self._start = start
        server, exchange = self._server, self._exchange
        head = exchange.response.request
        environ["wsgi.input"] = environ["eventlet.input"] = Input(exchange)
        environ["eventlet.posthooks"] = []
        # An upgrade takes the fields from the head.
        environ["headers_raw"] = tuple(head.fields) if "HTTP_UPGRADE" in environ else RawFields(head)
        environ["RAW_PATH_INFO"] = head.target.partition("?")[0]
        if "CONTENT_TYPE" not in environ:
            environ["CONTENT_TYPE"] = "text/plain"
        if not environ["REMOTE_ADDR"]:
            environ["REMOTE_ADDR"] = "unix"
        if head.chunked:
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        if "HTTP_CONNECTION" in environ and environ["HTTP_CONNECTION"].lower() == "keep-alive":
            exchange.response.kept_lines = server.kept_lines(head.http11)
        if server.has_own_protocol:
            environ = server.environ_of(exchange, environ)
        return self._run(environ) if server.pool is None else self._run_in(server.pool, environ)

    def _run_in(self, pool: Any, environ: dict[str, Any]) -> Iterable[bytes]:
        """The pool is the program's own: it counts what runs, and waits until it is sent."""
        green = pool.spawn(contextvars.copy_context().run, self._run_and_send, environ)
        try:
            error = green.wait()
        except BaseException:
            green.kill()
            raise
        if error is not None:
            raise error
        return ()

    def _run_and_send(self, environ: dict[str, Any]) -> BaseException | None:
        """Do all of it; return what is to be raised where greenserve looks for it."""
        response = self._exchange.response
        try:
            result = self._run(environ)
            if response.is_upgraded:
                pass
            elif type(result) is list:
                response.send_whole(result[0], True)
            elif type(result) is FileWrapper:
                response.send_file(result)
            else:
                for piece in result:
                    response.write(piece)
        except GreenletExit:
            raise
        except BaseException as error:
            return error
        return None

    def _run(self, environ: dict[str, Any]) -> Iterable[bytes]:
        try:
            answer: Iterable[bytes] = self._server.app(environ, self.start_response)
            if (  # most answers are of this kind
                type(answer) is list
                and len(answer) == 1
                and type(answer[0]) is bytes
                and not self._begun
                and not _handled
            ):
                self._begin()
            else:
                answer = self._answer(environ, answer)
            if self._streams:
                self._exchange.posthooks.append((_run_hooks, (environ,), {}))
            elif hooks := environ.get("eventlet.posthooks"):
                self._exchange.posthooks.extend(hooks)
            return answer
        except ChunkReadError as error:
            raise ProtocolError(400, str(error)) from error
        except (ProtocolError, PeerGone):
            raise  # the client's doing: greenserve answers it
        except (Exception, Timeout):
            self._exchange.posthooks.extend(environ.get("eventlet.posthooks") or ())
            return self._failed()

    # What the app calls ----------------------------------------------------------------------------------

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[Any], None]:
        """PEP 3333. Switches: never."""
        if exc_info:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame
        self._given = status, headers
        return self.write

    def write(self, data: Any) -> None:
        """PEP 3333. Even b"" sends the head. Switches: if the client reads slowly."""
        self._begin()
        if data:
            assert self._write is not None
            self._write(_as_bytes(data))
        else:
            self._exchange.response.flush()

    # What it returns -------------------------------------------------------------------------------------

    def _answer(self, environ: dict[str, Any], result: Any) -> Iterable[bytes]:
        if type(result) is FileWrapper:
            self._begin()
            return result
        if hasattr(result, "__len__") and not self._begun:
            try:
                content = b"".join(map(_as_bytes, result))
            finally:
                _close(result)
            if self._was_handled():
                return ()
            self._begin()
            return [content]
        return self._begin_stream(environ, result)

    def _begin_stream(self, environ: dict[str, Any], result: Any) -> Iterable[bytes]:
        """Gather the first chunk here, where an error can still be answered."""
        least = int(environ.get("eventlet.minimum_write_chunk_size", self._server.minimum_chunk_size))
        pieces = iter(result)
        is_over = False
        try:
            first, is_over = self._gather(pieces, least)
            if self._was_handled():
                is_over = True
                return ()
            if not self._begun:
                self._begin()
                if not first:
                    self._exchange.response.flush()  # of unknown length, which is now known to be none
        except BaseException:
            is_over = True
            raise
        finally:
            if is_over:
                _close(result)
        if is_over:
            # In a tuple, whose length greenserve does not take for that of the content
            return iter((first,)) if first else ()
        self._streams = True
        return self._stream(result, pieces, first, least)

    def _stream(self, result: Any, pieces: Iterator[Any], chunk: bytes, least: int) -> Iterator[bytes]:
        is_over = False
        try:
            yield chunk
            while not is_over:
                chunk, is_over = self._gather(pieces, least)
                if chunk:
                    yield chunk
        except (ProtocolError, PeerGone):
            raise
        except (Exception, Timeout):
            self._failed()
        finally:
            _close(result)

    def _gather(self, pieces: Iterator[Any], least: int) -> tuple[bytes, bool]:
        """Return at least so many bytes, and True if these are the last."""
        found: list[bytes] = []
        size = 0
        for piece in pieces:
            if not piece:
                continue
            found.append(_as_bytes(piece))
            size += len(found[-1])
            if size >= least or self._is_event_stream():
                return b"".join(found), False
        return b"".join(found), True

    def _is_event_stream(self) -> bool:
        """Return True for server-sent events: each has to go out when it happens."""
        if self._given is None:
            return False
        return any(
            name.lower() == "content-type" and str(value).startswith("text/event-stream")
            for name, value in _pairs(self._given[1])
        )

    def _was_handled(self) -> bool:
        """Return True if the app has answered on the socket itself. Raises PeerGone if it is a request still."""
        if not _handled or not WSGI_LOCAL.already_handled:
            return False
        WSGI_LOCAL.already_handled = False
        if not self._exchange.response.is_upgraded:
            raise PeerGone("the app says that it has handled the request itself: the connection closes")
        return True

    # Below -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._begun:
            return
        if self._given is None:
            raise AssertionError("write() before start_response()")
        status, headers = self._given
        fields = None
        if type(headers) is list:  # most apps repeat theirs
            try:
                fields = self._server.known_fields[tuple(headers)]
            except KeyError:
                fields = self._learn(headers)
            except TypeError:
                pass  # not hashable
        self._write = self._start(status, self._made(headers) if fields is None else fields)
        self._begun = True

    def _learn(self, headers: list[Any]) -> list[tuple[str, str]]:
        fields = self._made(headers)
        # Other objects than str may be equal and have another text, or another one the next time.
        is_text = all(type(name) is type(value) is str for name, value in headers)
        if is_text and sum(len(name) + len(value) for name, value in fields) <= _LONGEST_KEPT:
            remember(self._server.known_fields, tuple(headers), fields)
        return fields

    def _made(self, headers: Any) -> list[tuple[str, str]]:
        """Return the fields as greenserve takes them."""
        capitalize = self._server.capitalize_response_headers
        fields = []
        for name, value in _pairs(headers):
            text = value if type(value) is str else str(value)
            lowered = name.lower()
            if lowered in _OF_THE_SERVER or (
                lowered == "connection" and text.lower() not in _CONNECTION_OPTIONS
            ):
                continue
            fields.append((_capitalized(name) if capitalize else name, text))
        return fields

    def _failed(self) -> list[bytes]:
        """Log the exception being handled, and answer 500. Raises PeerGone if the response has begun: it is cut."""
        text = traceback.format_exc()
        self._server.log.info(text)
        if self._exchange.response.is_upgraded:
            raise PeerGone("the app has failed after the upgrade, see its log") from None
        if self._begun:
            raise PeerGone("the app has failed in the middle of its response, see its log") from None
        self._given = "500 Internal Server Error", [("Content-Type", "text/plain"), ("Connection", "close")]
        self._begin()
        return [text.encode() if self._server.debug else b""]


def _pairs(headers: Any) -> Iterable[tuple[str, Any]]:
    return headers.items() if hasattr(headers, "items") else headers  # type: ignore[no-any-return]


def _capitalized(name: str) -> str:
    found = _names.get(name)
    if found is None:
        found = "-".join(part.capitalize() for part in name.split("-"))
        if len(name) <= _LONGEST_KEPT:
            remember(_names, name, found)
    return found


def _as_bytes(piece: Any) -> bytes:
    """Return the piece as bytes; greenserve refuses what is neither bytes nor str."""
    return piece.encode("ascii") if isinstance(piece, str) else piece


def _close(result: Any) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()


def _run_hooks(_: object, environ: dict[str, Any]) -> None:
    """Run the post-hooks of a stream, which may have added some while it was sent."""
    for hook, args, kwargs in environ.get("eventlet.posthooks") or ():
        hook(environ, *args, **kwargs)

"""The parts of a server that follow from its settings alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from greenserve.config import Config
from greenserve.errors import ProtocolError
from greenserve.http1 import HeadLimits
from greenserve.logs.record import Finished
from greenserve.logs.request_ids import RequestIds
from greenserve.net.http.ending_early import Departures
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.timeouts import Timeouts
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.proxies import RequestStarts, Trust
from greenserve.wsgi import Forwarding, Service, WSGIApplication
from greenserve.wsgi.service import DateLine
from greenserve_hub.deadlines import NEVER
from greenserve_hub.loop.hub import Hub


@dataclass(frozen=True)
class Manners:
    """What a program changes that stands in for another server. Nothing of it is a setting: the program decides.

    `environ`: keys of every request. `app_of(exchange)` and `refusal_of(error)`: see Service. `log_access(finished,
    began)` takes the place of access_logfile; see Services. `lenient` and `only_http10`: see HeadLimits. `passes_all`:
    see Forwarding. Without `prefetches` the app begins when the head is here, before anything of the body.
    """

    environ: Mapping[str, Any] = field(default_factory=dict)
    app_of: Callable[[Any], WSGIApplication] | None = None
    log_access: Callable[[Finished, float], None] | None = None
    refusal_of: Callable[[ProtocolError], bytes | None] | None = None
    lenient: bool = False
    only_http10: bool = False
    passes_all: bool = False
    prefetches: bool = True


ORDINARY = Manners()


def make_service(config: Config, app: WSGIApplication, has_tls: bool, manners: Manners) -> Service:
    """What all its exchanges share."""
    return Service(
        app,
        DateLine().line,
        "Server: greenserve\r\n" if config.server_header else "",
        config.sendfile and not has_tls,
        bool(config.keep_alive),
        config.limit_request_discard,
        WebSocketOptions.of(config),
        RequestIds(config.request_id_header, config.request_id_response)
        if config.request_id_header
        else None,
        manners.app_of,
        manners.refusal_of,
    )


def make_timeouts(config: Config) -> Timeouts:
    """The deadlines of a connection's states."""
    return Timeouts(
        tls_handshake=config.tls_handshake_timeout,
        head=config.head_timeout,
        queue=config.queue_timeout,
        request=config.request_timeout,
        keep_alive=config.keep_alive,
        body=(config.body_timeout, config.body_min_rate),
        send=(config.send_timeout, config.send_min_rate),
        grace=config.min_rate_grace,
    )


def make_head_limits(config: Config, manners: Manners) -> HeadLimits:
    """The limits of a request's head."""
    return HeadLimits(
        config.limit_request_line,
        config.limit_request_field_size,
        config.limit_request_fields,
        config.limit_request_head,
        config.header_map == "refuse",
        lenient=manners.lenient,
        only_http10=manners.only_http10,
    )


def make_forwarding(config: Config, manners: Manners) -> Forwarding:
    """Which proxies are trusted with what."""
    return Forwarding(
        Trust(config.forwarded_allow_ips),
        config.forwarded_headers,
        config.forwarded_hops,
        config.request_id_header,
        passes_all=manners.passes_all,
    )


def make_request_starts(config: Config) -> RequestStarts:
    """How long proxies have kept requests."""
    return RequestStarts(Trust(config.forwarded_allow_ips), config.queue_timeout or NEVER)


def make_departures(config: Config, hub: Hub, counts: Counts) -> Departures | None:
    """The watch over clients that leave while the app runs; None if it runs on."""
    how = config.cancel_on_disconnect
    return None if how == "off" else Departures(hub, counts, guesses=how == "close")

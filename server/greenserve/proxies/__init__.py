"""What proxies tell about their clients: trusted addresses, the PROXY protocol, X-Forwarded-* and Forwarded.

Sans-IO: no socket, clock, hub or os. net/ feeds it the first bytes of a connection, wsgi/ the fields of a request,
config/ the texts of settings.
"""

from greenserve.proxies.addresses import parse_address
from greenserve.proxies.forwarded import FORWARDED, X_FIELDS, Claims, read_claims
from greenserve.proxies.proxy_protocol import ProxyHeader, ProxyReader
from greenserve.proxies.request_start import RequestStarts
from greenserve.proxies.tracing import TRACEPARENT, is_request_id, parse_traceparent
from greenserve.proxies.trust import Trust, canonical_peer

__all__ = [
    "FORWARDED",
    "TRACEPARENT",
    "X_FIELDS",
    "Claims",
    "ProxyHeader",
    "ProxyReader",
    "RequestStarts",
    "Trust",
    "canonical_peer",
    "is_request_id",
    "parse_address",
    "parse_traceparent",
    "read_claims",
]

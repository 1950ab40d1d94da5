"""socket and ssl for a patched program.

The functions of socket.py (create_connection, socketpair, create_server, …) look up `socket` and `getaddrinfo` in their
module, so replacing these two makes all of them green. ssl makes its sockets by SSLContext.sslsocket_class, so existing
contexts also make green ones from then on. The names in ssl stay the same, so nothing can recurse into itself.
"""

from __future__ import annotations

import ssl

from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenio.tls_sockets import GreenSSLSocket
from greenserve_hub.osthreads import dns

REPLACED = {
    "socket": {
        "socket": GreenSocket,
        "getaddrinfo": dns.getaddrinfo,
        "gethostbyaddr": dns.gethostbyaddr,
        "gethostbyname": dns.gethostbyname,
        "gethostbyname_ex": dns.gethostbyname_ex,
        "getnameinfo": dns.getnameinfo,
    }
}
ON_CLASSES = [(ssl.SSLContext, "sslsocket_class", GreenSSLSocket)]

#!/usr/bin/env bash
# With OpenSSL 3.5 a client's first TLS message no longer fits into one TCP segment.
#
# Seen with CPython 3.15.2 on OpenSSL 3.5 and later (Debian sid): the key share that withstands quantum computers (X25519MLKEM768) is sent by default, so
# a ClientHello has more than 1,460 bytes, which is what one segment over Ethernet carries; with OpenSSL 3.0 it had 517. Who reads the server's name
# (SNI) from the first packet, or from one recv(), finds half of the message.
# Users of greenserve: the name is read from as many reads and records as the message takes.
PYTHON=${PYTHON:-python3.15}
. "$(dirname "$0")/lib.sh"
venv

cat >"$work/hello.py" <<'PY'
import ssl
import sys

if ssl.OPENSSL_VERSION_INFO < (3, 5):
    print(f"needs OpenSSL 3.5, this is {ssl.OPENSSL_VERSION}", file=sys.stderr)
    sys.exit(2)
sent = ssl.MemoryBIO()
try:
    ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="some.example").do_handshake()
except ssl.SSLWantReadError:
    pass
size = len(sent.read())
print(f"{ssl.OPENSSL_VERSION}: {size} bytes")
sys.exit(size <= 1460)
PY
timeout 20 "$work/venv/bin/python" "$work/hello.py"

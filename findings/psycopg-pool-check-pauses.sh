#!/usr/bin/env bash
# psycopg_pool 3.3.3, psycopg 3.3.9: a pool with check=ConnectionPool.check_connection, as Django sets it with
# CONN_HEALTH_CHECKS, whose ten connections PostgreSQL has closed (by a restart, say):
#
#   with check: PoolTimeout after 10 s, PoolTimeout after 10 s, ok
#   without check: 10 errors within a second, then ok
#
# Behind each connection that fails its check getconn() pauses, for about 1, 2, 4, 8 s, though the next connection is
# there already: in the default of Django's timeout it meets three or four dead ones, and gives up.
# Needs PostgreSQL (Debian: postgresql).
source "$(dirname "$0")/lib.sh"
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
command -v initdb >/dev/null || { echo "needs PostgreSQL" >&2; exit 2; }
venv psycopg[binary]==3.3.9 psycopg_pool==3.3.3

as_user=()
if [[ $(id -u) == 0 ]]; then # PostgreSQL refuses root
  as_user=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups)
  chmod 711 "$work"
fi
install -d ${as_user:+-o nobody} "$work/db"
(
  cd "$work/db"
  "${as_user[@]}" initdb -D data -U tester -A trust -N --no-locale >/dev/null
  exec "${as_user[@]}" postgres -D data -k "$work/db" -c listen_addresses= -c fsync=off 2>log
) &
trap 'kill "$!" 2>/dev/null; wait "$!" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..100}; do
  if pg_isready -q -h "$work/db"; then break; fi
  sleep 0.2
done

cat >"$work/program.py" <<'PY'
import logging
import sys
import threading
import time

import psycopg
from psycopg_pool import ConnectionPool

logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)

def outcomes(count, **options):
    with ConnectionPool(sys.argv[1], min_size=0, max_size=10, timeout=10, **options) as pool:
        def use(seconds):
            with pool.connection() as connection:
                connection.execute(f"SELECT pg_sleep({seconds})")
        users = [threading.Thread(target=use, args=(0.5,)) for _ in range(20)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert pool.get_stats()["pool_size"] == 10
        with psycopg.connect(sys.argv[1], autocommit=True) as own:
            own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
        for _ in range(count):
            began = time.monotonic()
            try:
                use(0)
                yield "ok", 0
            except psycopg.OperationalError as error:  # PoolTimeout too
                yield type(error).__name__, round(time.monotonic() - began)

checked = list(outcomes(3, check=ConnectionPool.check_connection))
plain = list(outcomes(11))
print("with check:", checked)
print("without:", plain)
errors = [kind for kind, seconds in plain[:10] if kind != "ok" and seconds == 0]
raise SystemExit(not (checked[0] == ("PoolTimeout", 10) and len(errors) == 10 and plain[10] == ("ok", 0)))
PY
timeout 120 "$work/venv/bin/python" "$work/program.py" "host=$work/db user=tester dbname=postgres"

"""The scenarios by name, in the order in which they run and are printed."""

from tests.bench.scenarios import (
    fairness,
    idle_load,
    idle_memory,
    latency,
    rps,
    runtime,
    sleepers,
    slow_clients,
    tls,
    ws_broadcast,
    ws_echo,
    ws_echo_64k,
    ws_idle,
    ws_idle_http,
)

SCENARIOS = {
    one.NAME: one
    for one in (
        *(rps, tls, latency, idle_memory, sleepers, idle_load, runtime, fairness, slow_clients),
        *(ws_echo, ws_echo_64k, ws_idle, ws_idle_http, ws_broadcast),
    )
}

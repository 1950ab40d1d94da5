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
)

SCENARIOS = {
    one.NAME: one
    for one in (rps, tls, latency, idle_memory, sleepers, idle_load, runtime, fairness, slow_clients)
}

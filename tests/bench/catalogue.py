"""The scenarios by name, in the order in which they run and are printed."""

from tests.bench.scenarios import fairness, idle_load, idle_memory, latency, rps, runtime, sleepers

SCENARIOS = {one.NAME: one for one in (rps, latency, idle_memory, sleepers, idle_load, runtime, fairness)}

"""What greenserve has to reach, and whether the saved results say that it does.

Ratios are medians of the rounds' ratios. A target without its measurement is "not measured", never passed
over.
"""

from dataclasses import dataclass

from tests.bench.samples import OURS
from tests.bench.scenarios import slow_clients as slow
from tests.bench.scenarios import ws_broadcast as broadcast

PASS, MISS, UNKNOWN = "pass", "**miss**", "not measured"
FLAT_MIB = 4.0  # from 5 % of the tasks to the end; a kept result of each task would be over 20 MiB

UNSENT_MIB = 512  # the default of limit_unsent
SLOW_MIB = 125  # 64 KiB for each of 2,000: what a head may take
STALLED_MIB = 16  # 16 KiB for each of 1,000, and 1.25 MiB that they share; a copy for each would be 1,000 MiB


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    measured: str
    verdict: str


def at_least(text, value, floor, unit=""):
    return verdict(text, value, value is not None and value >= floor, unit)


def at_most(text, value, ceiling, unit=""):
    return verdict(text, value, value is not None and value <= ceiling, unit)


def verdict(text, value, reached, unit):
    if value is None:
        return Verdict(text, "", UNKNOWN)
    return Verdict(
        text, f"{value:.2f}{unit}" if value < 10 else f"{value:.1f}{unit}", PASS if reached else MISS
    )


def rps(results):
    for peer, floor in (("bjoern", 0.55), ("granian", 0.85), ("eventlet", 6), ("gunicorn", 5)):
        value = results.ratio(OURS, peer, "rps@64")
        yield at_least(f"requests/s at 64 connections ≥ {floor} x {peer}", value, floor, "x")


def tls(results):
    value = results.ratio(OURS, "eventlet", "rps@64")
    yield at_least("requests/s over TLS at 64 connections ≥ 3 x eventlet", value, 3, "x")


def idle_memory(results):
    value = results.median(OURS, "kib")
    reason = results.note(OURS, "kib")
    text = "memory per idle connection at 4,000 ≤ 2 KiB"
    yield Verdict(text, reason, MISS) if reason else at_most(text, value, 2.0, " KiB")


def idle_load(results):
    value = results.ratio(OURS, OURS, "rps+8000", "rps+0")
    cost = None if value is None else (1 - value) * 100
    reason = results.note(OURS, "rps+8000")
    text = "8,000 idle connections cost the 64 busy ones < 10 %"
    yield Verdict(text, reason, MISS) if reason else at_most(text, cost, 9.99, " %")


def fairness(results):
    # Every probe of every round counts here, so the worst round and not the median.
    spread = results.spread(OURS, "probe_max")
    reason = results.note(OURS, "probe_max")
    text = "`--pool 8`, 4,000 idle, 200 dripping: slowest probe ≤ 100 ms"
    yield Verdict(text, reason, MISS) if reason else at_most(text, spread and spread[1], 100, " ms")


def sleepers(results):
    for key, way in (("seconds", "on open connections"), ("with_connect", "connecting in a burst")):
        spread = results.spread(OURS, key)
        reason = results.note(OURS, key)
        text = f"4,000 sleepers of 1 s, {way}: all 200 within 2.5 s (slowest round)"
        yield Verdict(text, reason, MISS) if reason else at_most(text, spread and spread[1], 2.5, " s")
        for peer in ("eventlet", "gevent"):
            theirs = results.note(peer, key)
            # Who did not answer all 4,000 is slower than anybody who did.
            if theirs and results.median(peer, key) is None and spread and not reason:
                yield Verdict(f"… not slower than {peer}", f"{peer}: {theirs}", PASS)
            else:
                yield at_most(f"… not slower than {peer}", results.ratio(OURS, peer, key), 1.0, "x")


def slow_clients(results):
    # The slowest round, as in fairness.
    for key, (name, *_) in slow.KINDS.items():
        spread = results.spread(OURS, f"p99_{key}")
        reason = results.note(OURS, f"p99_{key}")
        text = f"beside 2,000 slow clients ({name}): p99 ≤ 100 ms"
        yield Verdict(text, reason, MISS) if reason else at_most(text, spread and spread[1], 100, " ms")
    spread = results.spread(OURS, "growth")
    text = f"memory for 2,000 slow heads or bodies ≤ {SLOW_MIB} MiB"
    yield at_most(text, spread and spread[1], SLOW_MIB, " MiB")
    spread = results.spread(OURS, "growth_readers")
    text = "memory for 2,000 slow readers of 1 MiB ≤ limit_unsent, and as much"
    yield at_most(text, spread and spread[1], UNSENT_MIB + SLOW_MIB, " MiB")


def runtime(results):
    growth = results.spread(OURS, "starmap_growth")
    text = f"starmap, 1,000,000 tasks, pool of 1,000: memory flat (≤ {FLAT_MIB:.0f} MiB)"
    yield at_most(text, growth and growth[1], FLAT_MIB, " MiB")
    yield at_least("… rate ≥ 2 x eventlet", results.ratio(OURS, "eventlet", "starmap"), 2, "x")
    for metric, name in (("spawn_switch", "spawn + switch"), ("event", "Event"), ("queue", "Queue")):
        yield at_least(f"{name} ≥ 1 x eventlet", results.ratio(OURS, "eventlet", metric), 1, "x")
        yield at_least(f"{name} ≥ ⅓ x gevent", results.ratio(OURS, "gevent", metric), 1 / 3, "x")


def ws_echo(results):
    floors = {"eventlet": 5, "gevent-websocket": 5, "websockets": 1.3, "uvicorn": 2, "aiohttp": 0.9}
    for peer, floor in floors.items():
        value = results.ratio(OURS, peer, "rate")
        yield at_least(f"WebSocket echoes/s of 128 bytes ≥ {floor} x {peer}", value, floor, "x")


def ws_echo_64k(results):
    for peer in ("eventlet", "websockets", "uvicorn"):
        value = results.ratio(OURS, peer, "rate")
        yield at_least(f"WebSocket echoes/s of 64 KiB ≥ 1 x {peer}", value, 1, "x")


def ws_idle(results):
    for key, way, ceiling in (("waiting", "a green thread in each", 6), ("callback", "called back", 2)):
        reason = results.note(OURS, key)
        text = f"memory per idle WebSocket at 4,000, {way} ≤ {ceiling} KiB"
        value = results.median(OURS, key)
        yield Verdict(text, reason, MISS) if reason else at_most(text, value, ceiling, " KiB")


def ws_idle_http(results):
    value = results.ratio(OURS, OURS, "rps+5000", "rps+0")
    reason = results.note(OURS, "rps+5000")
    text = "5,000 idle WebSockets cost requests on the same port < 5 %"
    cost = None if value is None else (1 - value) * 100
    yield Verdict(text, reason, MISS) if reason else at_most(text, cost, 4.99, " %")


def ws_broadcast(results):
    reason = next(
        (results.note(OURS, one.key) for one in broadcast.METRICS if results.note(OURS, one.key)), ""
    )
    text = (
        "a broadcast to 10,000: none lost; beside a tenth that stalls, the rest has it in ≤ 1.25 x the time"
    )
    value = results.ratio(OURS, OURS, "last_stalled", "last")
    yield Verdict(text, reason, MISS) if reason else at_most(text, value, 1.25, "x")
    text = f"… and the memory for the stalled ≤ {STALLED_MIB} MiB"
    spread = results.spread(OURS, "growth")
    yield Verdict(text, reason, MISS) if reason else at_most(text, spread and spread[1], STALLED_MIB, " MiB")


JUDGES = {
    "rps": rps,
    "tls": tls,
    "idle-memory": idle_memory,
    "idle-load": idle_load,
    "fairness": fairness,
    "sleepers": sleepers,
    "slow-clients": slow_clients,
    "runtime": runtime,
    "ws-echo": ws_echo,
    "ws-echo-64k": ws_echo_64k,
    "ws-idle": ws_idle,
    "ws-idle-http": ws_idle_http,
    "ws-broadcast": ws_broadcast,
}


def judge(pairs):
    """Verdicts for (scenario, results) pairs, in the order of the scenarios."""
    for scenario, results in pairs:
        if scenario.NAME in JUDGES:
            yield from JUDGES[scenario.NAME](results)


def text(verdicts):
    width = max((len(one.text) for one in verdicts), default=0)
    lines = [f"  {one.text.ljust(width)}   {one.verdict.strip('*'):<12}   {one.measured}" for one in verdicts]
    return "Targets\n" + "\n".join(lines) + "\n"

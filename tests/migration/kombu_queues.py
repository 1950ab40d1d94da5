"""`python -m tests.migration.kombu_queues`: kombu alone over RabbitMQ, unmodified, on greenserve.

Producers of one pool side by side, consumers that wait, a time limit, and a connection that breaks and is made again.
Needs Debian's rabbitmq-server.
"""

from __future__ import annotations

import subprocess
import sys

from tests.migration.kit.broker import rabbitmq
from tests.migration.kit.installing import installed

PROGRAM = """\
import sys
import eventlet
eventlet.monkey_patch()
import socket
import time
from kombu import Connection, Consumer, Exchange, Queue
from kombu.mixins import ConsumerMixin
from kombu.pools import connections, producers
from kombu.utils.compat import detect_environment

assert eventlet.__name__ == "greenserve_eventlet"
assert detect_environment() == "eventlet"
connection = Connection(sys.argv[1])
jobs, results = (Queue(name, Exchange(name), routing_key=name) for name in ("jobs", "results"))

class Worker(ConsumerMixin):
    def __init__(self):
        self.connection, self.lost = connection.clone(), 0

    def get_consumers(self, consumer, channel):
        return [consumer([jobs], callbacks=[self.on_message], prefetch_count=20)]

    def on_message(self, body, message):
        eventlet.spawn(self.answer, body, message)

    def answer(self, body, message):
        time.sleep(body["seconds"])
        send({"double": 2 * body["number"]}, results)
        message.ack()

    def on_connection_error(self, error, interval):
        self.lost += 1

    on_connection_revived = staticmethod(lambda: None)

def send(body, queue):
    with producers[connection].acquire(block=True, timeout=60) as producer:
        producer.publish(
            body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], retry=True
        )

def collect(count):
    found = []
    with connection.clone() as own, Consumer(
        own, [results], callbacks=[lambda body, message: (found.append(body["double"]), message.ack())]
    ):
        while len(found) < count:
            own.drain_events(timeout=30)
    return sorted(found)

worker = Worker()
working = eventlet.spawn(worker.run)
begin = time.monotonic()
pool = eventlet.GreenPool(50)
for number in range(100):
    pool.spawn(send, {"number": number, "seconds": 0.2}, jobs)
assert collect(100) == list(range(0, 200, 2))
took = time.monotonic() - begin
assert took < 10, took  # 20 s one after the other

turns = []
def count_turns():
    while True:
        time.sleep(0.05)
        turns.append(1)
counting = eventlet.spawn(count_turns)
try:
    with connection.clone() as own, Consumer(own, [results]):
        own.drain_events(timeout=1)
except socket.timeout:
    pass
else:
    raise AssertionError("no timeout")
counting.kill()
assert len(turns) > 5, len(turns)

with producers[connection].acquire(block=True) as producer:
    producer.connection.default_channel.connection.transport.sock.shutdown(socket.SHUT_RDWR)
for number in range(20):
    send({"number": number, "seconds": 0}, jobs)
assert collect(20) == list(range(0, 40, 2))

heartbeats = Connection(sys.argv[1], heartbeat=4)
heartbeats.connect()
until = time.monotonic() + 10
while time.monotonic() < until:
    try:
        heartbeats.drain_events(timeout=0.5)  # the broker's heartbeats are read here
    except socket.timeout:
        pass
    heartbeats.heartbeat_check()
assert heartbeats.connected
heartbeats.release()
worker.should_stop = True
working.wait()
assert worker.lost == 0
connections[connection].force_close_all()
print(f"kombu worked: 100 messages that sleep for 0.2 s took {took:.1f} s")
"""


def main() -> int:
    """Run it and return the exit code."""
    with installed("kombu==5.7.0") as here, rabbitmq(here.folder) as broker:
        (here.folder / "program.py").write_text(PROGRAM)
        command = [here.python, "-m", "greenserve_eventlet", "program.py", broker]
        subprocess.run(command, cwd=here.folder, env=here.environ(), timeout=180, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

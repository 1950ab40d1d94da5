"""`python -m tests.migration.oslo_messaging`: oslo.messaging with its eventlet executor, unmodified, on greenserve.

RPC and notifications over fake:// and over RabbitMQ: calls that wait go side by side, errors keep their class, calls
time out, and stop() lets a call end that runs. Needs Debian's rabbitmq-server.
"""

from __future__ import annotations

import subprocess
import sys

from tests.migration.kit.broker import rabbitmq
from tests.migration.kit.installing import installed

PROGRAM = """\
import logging, sys
import eventlet
eventlet.monkey_patch()
import time
import oslo_messaging as messaging
from oslo_config import cfg

assert eventlet.__name__ == "greenserve_eventlet"
logging.basicConfig(level=logging.CRITICAL)  # it logs each error that the server raises
url = sys.argv[1]
conf = cfg.CONF
conf([])
transport = messaging.get_rpc_transport(conf, url)
target = messaging.Target(topic="topic", server="server")

class Endpoint:
    def __init__(self):
        self.cast_of, self.done = eventlet.Queue(), []

    def double(self, context, number):
        return 2 * number

    def nap(self, context, seconds):
        time.sleep(seconds)
        self.done.append(seconds)
        return context["word"]

    def fail(self, context):
        raise ValueError("told")

    def note(self, context, word):
        self.cast_of.put(word)

endpoint = Endpoint()
server = messaging.get_rpc_server(transport, target, [endpoint], executor="eventlet")
server.start()
client = messaging.get_rpc_client(transport, messaging.Target(topic="topic"), timeout=60)
assert [client.call({}, "double", number=number) for number in range(100)] == list(range(0, 200, 2))
begin = time.monotonic()
pool = eventlet.GreenPool(50)
assert set(pool.imap(lambda _: client.call({"word": "w"}, "nap", seconds=0.5), range(50))) == {"w"}
took = time.monotonic() - begin
assert took < 12, took
for name, kinds, word in (
    ("fail", {"ValueError", "ValueError_Remote"}, "told"),
    ("nothing", {"NoSuchMethod", "RemoteError"}, "nothing"),
):
    try:
        client.call({}, name)
    except Exception as error:
        assert type(error).__name__ in kinds, repr(error)
        assert word in str(error), error
    else:
        raise AssertionError(name)
try:
    client.prepare(timeout=1).call({"word": "w"}, "nap", seconds=3)
except messaging.MessagingTimeout:
    pass
else:
    raise AssertionError("no timeout")
client.cast({}, "note", word="cast")
client.prepare(fanout=True).cast({}, "note", word="fanout")
assert {endpoint.cast_of.get(timeout=30) for _ in range(2)} == {"cast", "fanout"}

heard = eventlet.Queue()

class Listener:
    def info(self, context, publisher, kind, payload, metadata):
        heard.put((publisher, kind, payload["number"]))

notifying = messaging.get_notification_transport(conf, url)
listener = messaging.get_notification_listener(
    notifying, [messaging.Target(topic="notifications")], [Listener()], executor="eventlet"
)
listener.start()
notifier = messaging.Notifier(notifying, driver="messaging", publisher_id="me", topics=["notifications"])
for number in range(100):
    notifier.info({}, "happened", {"number": number})
assert sorted(heard.get(timeout=30) for _ in range(100)) == [("me", "happened", n) for n in range(100)]
listener.stop()
listener.wait()

last = eventlet.spawn(client.call, {"word": "last"}, "nap", seconds=2)
time.sleep(1)
server.stop()
server.wait()
assert endpoint.done[-1] == 2, endpoint.done
assert last.wait() == "last"
transport.cleanup()
notifying.cleanup()
print(f"oslo.messaging over {url.partition(':')[0]} worked: 50 calls that sleep for 0.5 s took {took:.1f} s")
"""


def main() -> int:
    """Run it over both transports and return the exit code."""
    with installed("oslo.messaging==18.3.1") as here, rabbitmq(here.folder) as broker:
        (here.folder / "program.py").write_text(PROGRAM)
        for url in ("fake://", broker.replace("amqp", "rabbit", 1)):
            command = [here.python, "-W", "ignore", "-m", "greenserve_eventlet", "program.py", url]
            subprocess.run(command, cwd=here.folder, env=here.environ(), timeout=180, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

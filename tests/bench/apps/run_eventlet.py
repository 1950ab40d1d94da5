"""eventlet has no command of its own: `python -m tests.bench.apps.run_eventlet module:app port max_size certfile`."""

import sys
import warnings
from importlib import import_module

warnings.simplefilter("ignore")  # eventlet announces its retirement at every import

import eventlet  # noqa: E402 - the filter has to stand first
import eventlet.wsgi  # noqa: E402

if __name__ == "__main__":
    module, _, attribute = sys.argv[1].partition(":")
    app = getattr(import_module(module), attribute)
    listener = eventlet.listen(("127.0.0.1", int(sys.argv[2])), backlog=2048)
    if sys.argv[4]:
        listener = eventlet.wrap_ssl(listener, certfile=sys.argv[4], keyfile=sys.argv[4], server_side=True)
    eventlet.wsgi.server(listener, app, max_size=int(sys.argv[3]), log_output=False, debug=False)

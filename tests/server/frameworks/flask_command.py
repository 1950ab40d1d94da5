"""The Flask app as a module that the command imports."""

import os
from pathlib import Path

from tests.server.frameworks.flask_app import make
from tests.server.frameworks.probes import Probe

app = make(Probe(Path(os.environ["SERVED_FILE"])))

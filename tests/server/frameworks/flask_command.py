"""The Flask app as a module that the command imports."""

from tests.server.frameworks.flask_app import make
from tests.server.frameworks.probes import alone

probe = alone()
app = make(probe)

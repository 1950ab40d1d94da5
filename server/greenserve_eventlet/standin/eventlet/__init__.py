"""A package named eventlet for child processes, which find it on PYTHONPATH and get greenserve's in its place.

A child whose interpreter has no greenserve, one of another venv say, gets its own eventlet.
"""

import importlib.util
import os
import sys

if importlib.util.find_spec("greenserve_eventlet") is not None:
    from greenserve_eventlet.hook import replace_stand_in

    replace_stand_in(__name__)
else:
    sys.path.remove(os.path.dirname(os.path.dirname(__file__)))
    del sys.modules[__name__]
    importlib.import_module(__name__)

"""A package named eventlet for child processes, which find it on PYTHONPATH and get greenserve's in its place."""

from greenserve_eventlet.hook import replace_stand_in

replace_stand_in(__name__)

"""eventlet.hubs.pyevent: libevent's hub, which eventlet itself has removed."""

raise ImportError(
    "the pyevent hub does not exist any more: use asyncio, which runs on uvloop where it is installed"
)

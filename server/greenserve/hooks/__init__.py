"""Hooks: the user's functions that a server calls when it starts and stops, and around each request.

Above wsgi/, below net/. config/hooks.py says which hooks there are and checks them; the command and the master call
them here. README.md says when each is called, and how a package brings its own.
"""

from greenserve.hooks.calls import Hooks, Process
from greenserve.hooks.installed import has_installed_hooks, installed_hooks
from greenserve.hooks.requests import HookRequest, HookResponse

__all__ = ["HookRequest", "HookResponse", "Hooks", "Process", "has_installed_hooks", "installed_hooks"]

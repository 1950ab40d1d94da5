"""The admin pages: health, metrics, what runs now, and a live page, for operators and the programs they watch with.

They are a WSGI app on a small Server of its own, in the master's process, which answers also when all workers are
stuck. What they need of the master is a Protocol, in master.py.
"""

from greenserve.admin.alone import Alone
from greenserve.admin.describing import describe
from greenserve.admin.master import Master, NoAnswer, Worker
from greenserve.admin.serving import AdminPages

__all__ = ["AdminPages", "Alone", "Master", "NoAnswer", "Worker", "describe"]

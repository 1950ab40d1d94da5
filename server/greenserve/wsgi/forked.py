"""An app that forks: the child process ends where the app's code would return to the server.

The code that calls the app asks this as soon as the call is over, before it handles the result or the error.
"""

from __future__ import annotations

import logging
from functools import partial

from greenserve_hub import forks

log = logging.getLogger("greenserve.error")


def end_if_forked(subject: object, error: BaseException | None = None) -> None:
    """End this process if it is such a child, with exit code 0 or that of `error`. `subject` is named in the log.

    Code on the path of every request checks `forks.last is not None` first.
    """
    if forks.is_last():
        forks.end_child(error, partial(_tell, subject))


def _tell(subject: object, error: BaseException) -> None:
    log.error(
        "%s: a child process that the app forked ends with this error; its parent continues, and it alone can respond",
        subject,
        exc_info=error,
    )

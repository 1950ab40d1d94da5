"""What becomes of an app's code in the child of a fork that it made: the child ends where it would come back to us.

Asked by whoever calls the app, at once when the call is over and before anything is done about how it ended.
"""

from __future__ import annotations

import logging
from functools import partial

from greenserve_hub import forks

log = logging.getLogger("greenserve.error")


def end_if_forked(subject: object, error: BaseException | None = None) -> None:
    """End this process if it is such a child: 0, or as `error` has it. `subject`: what called the app, for the log.

    Ask `forks.last is not None` first where it is asked for every request.
    """
    if forks.is_last():
        forks.end_child(error, partial(_tell, subject))


def _tell(subject: object, error: BaseException) -> None:
    log.error(
        "%s: a child process that the app has forked ends by this error; its parent goes on, and alone can answer",
        subject,
        exc_info=error,
    )

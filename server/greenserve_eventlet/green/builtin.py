"""eventlet.green.builtin: the builtins, with an open() that waits green for pipes and FIFOs."""

import builtins
from typing import Any

from greenserve_hub.patching.originals import green_modules

globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("__")})
open: Any = green_modules()["io"].open

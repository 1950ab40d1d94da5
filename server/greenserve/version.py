"""The version: for --version, SERVER_SOFTWARE in environ, the metrics and the package's metadata.

Written here, where the build reads it, and not asked of importlib.metadata: each start would pay for that, and a frozen
program or an archive of files has no metadata.
"""

__all__ = ["VERSION"]

VERSION = "0.1.0"

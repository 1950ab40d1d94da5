"""The demo: one page that tries greenserve on itself. `make run` starts it.

`routes` serves the page (`index.html`, `style.css`, `script.js`) and knows which function answers which path;
`live`, `uploads` and `work` hold what the page's panels ask for.
"""

from .routes import app

__all__ = ["app"]

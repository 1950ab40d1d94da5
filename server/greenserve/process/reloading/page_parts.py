"""The constant parts of the error page: its frame, style and script. Standard library only; see error_page.py."""

from __future__ import annotations

from typing import Final

__all__ = ["PAGE", "SCRIPT", "STYLE"]

PAGE: Final = """\
<!doctype html>
<html lang="en" data-version="{version}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<p class="mark">greenserve --reload: for development only</p>
<main>
<h1>{title}</h1>
{shown}
<p>Save a file that mends it; to try again without a change, touch one. {hint}</p>
<h2>Traceback</h2>
<pre tabindex="0">{details}</pre>
</main>
{script}
</body>
</html>
"""

STYLE: Final = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --soft: #5b646d; --box: #f4f5f7; --line: #d9dde2;
  --at: #ffe5e3; --mark: #b3261e; --on-mark: #fff; }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --text: #e6e8ea; --soft: #a0a9b2; --box: #1e2327;
  --line: #343b42; --at: #4c2422; --mark: #f2b8b5; --on-mark: #3b0f0d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
.mark { margin: 0; padding: .4rem 1rem; background: var(--mark); color: var(--on-mark); font-weight: 600; }
h1 { font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere; white-space: pre-wrap; margin: .5rem 0; }
h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.place { color: var(--soft); margin: .5rem 0; overflow-wrap: anywhere; }
.place b { color: var(--text); }
.source, pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; margin: 0;
  font: 14px/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
pre { padding: .75rem; }
.source { padding: .5rem 0; }
.source > div { display: flex; min-width: max-content; }
.source i { flex: none; width: 3rem; padding-right: .75rem; text-align: right; font-style: normal; color: var(--soft);
  user-select: none; }
.source code { white-space: pre; font: inherit; padding-right: .75rem; tab-size: 4; }
.source .at { background: var(--at); }
"""

SCRIPT: Final = """
const version = document.documentElement.dataset.version;
const later = () => setTimeout(again, 1000);
const again = () => fetch(location.href, { method: "HEAD" }).then(() => location.reload(), later);
const source = new EventSource(location.href);
source.addEventListener("version", (event) => { if (event.data !== version) { source.close(); location.reload(); } });
source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
"""

"""The results as a table for the terminal and as Markdown for RESULTS.md.

A cell is passed / failed / skipped; hung, crashed and not run count as failed. Below it, of each flavour, how many of
the tests that pass unpatched pass there too, and by name those that greenserve does not pass.
"""

import re

from tests.conformance import known
from tests.conformance.catalogue import MODULES
from tests.conformance.install import FLAVOURS, ROOT

RESULTS = ROOT / "tests" / "conformance" / "RESULTS.md"
MARKERS = re.compile(r"(<!-- conformance:begin -->\n).*?(<!-- conformance:end -->)", re.DOTALL)
NOTE = """\
How many of CPython's own tests pass unpatched, and how many of those also pass when everything is patched
(`make conformance`). A hang or a crash is a failure. A test that fails is run again in its own process, and counts only
if it fails there too; this holds for all. A test of something that patching removes counts as skipped. Another
interpreter that a test starts is not patched."""


def rows(results):
    """Cells of the header, the modules and the totals; results: {flavour: Results}."""
    flavours = [one for one in FLAVOURS if one in results]
    modules = sorted({module for one in flavours for module in results[one].modules}, key=place)
    yield ["module", *(f"{one} {results[one].version}".strip() for one in flavours)]
    for module in modules:
        cells = [
            cell(*results[one].counts(module)) if module in results[one].modules else "-" for one in flavours
        ]
        yield [module.removeprefix("test."), *cells]
    yield ["all", *(cell(*results[one].counts()) for one in flavours)]
    yield ["of those that pass unpatched", *(share(results[one], results["unpatched"]) for one in flavours)]


def place(module):
    """Where a module stands: as in the catalogue, others after it."""
    return (module not in MODULES, MODULES.index(module) if module in MODULES else 0, module)


def cell(passed, failed, skipped):
    return f"{passed} / {failed} / {skipped}"


def share(results, base):
    """How many of base's passed tests pass, of the modules that ran."""
    wanted, _, _ = base.counts(*results.modules)
    got = wanted - len(list(results.short_of(base)))
    return f"{got:,} ({got / max(wanted, 1):.1%})"


def text(results):
    table = list(rows(results))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return "\n".join(
        "  ".join(part.ljust(width) if i == 0 else part.rjust(width) for i, (part, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in table)
    )


def markdown(saved):
    """The section of RESULTS.md; saved: {version of Python: {flavour: Results}}."""
    flavours = [one for one in FLAVOURS if any(one in results for results in saved.values())]
    lines = [NOTE, "", line_of(["CPython", *flavours]), line_of(["---", *["---:"] * len(flavours)])]
    for version, results in saved.items():
        shares = [share(results[one], results["unpatched"]) if one in results else "-" for one in flavours]
        lines.append(line_of([version, *shares]))
    for version, results in saved.items():
        header, *body = rows(results)
        table = [line_of(header), line_of(["---", *["---:"] * (len(header) - 1)]), *map(line_of, body)]
        summary = f"<summary>CPython {version} by module: passed / failed / skipped</summary>"
        lines += ["", "<details>", summary, "", *table, "", "</details>"]
        if "greenserve" in results:
            lines += ["", *failures(version, results["greenserve"], results["unpatched"])]
    return "\n".join(lines)


def failures(version, ours, base):
    """Lines that name each test that passes unpatched and not here, gathered by reason."""
    reasons = known.load(".".join(version.split(".")[:2]))
    by_reason = {}
    for one in ours.short_of(base):
        by_reason.setdefault(known.reason(one.test, reasons) or "not explained", []).append(one.test)
    if not by_reason:
        yield f"All that pass unpatched on {version} pass under greenserve."
        return
    yield from (f"Pass unpatched on {version}, and not under greenserve:", "")
    for why, tests in by_reason.items():
        yield f"- {why}: {', '.join(f'`{test}`' for test in tests)}"


def line_of(cells):
    return "| " + " | ".join(cells) + " |"


def write(section):
    """Put the section between the markers of RESULTS.md. Return True if that changed it."""
    before = RESULTS.read_text(encoding="utf-8")
    if not MARKERS.search(before):
        raise ValueError(f"{RESULTS} has no <!-- conformance:begin --> … <!-- conformance:end -->")
    after = MARKERS.sub(lambda found: f"{found[1]}{section}\n{found[2]}", before)
    RESULTS.write_text(after, encoding="utf-8")
    return after != before

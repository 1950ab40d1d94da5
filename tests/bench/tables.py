"""Results as text for the terminal and as Markdown for RESULTS.md.

A cell is the median over the rounds; in brackets, how many times better greenserve was in the same round
(above 1: greenserve is better, whichever way the metric counts). Where there is no number, a note below the
table says why.
"""

from tests.bench.machine import describe_line
from tests.bench.peers import PEERS
from tests.bench.samples import OURS


def advantage(results, peer, metric):
    """How many times better greenserve is than the peer: median of the rounds' ratios."""
    over, under = (OURS, peer) if metric.higher else (peer, OURS)
    return results.ratio(over, under, metric.key)


def cell(results, peer, metric):
    value = results.median(peer, metric.key)
    if value is None:
        return "-"
    text = metric.show(value)
    better = advantage(results, peer, metric) if peer != OURS and metric.compared else None
    return text if better is None else f"{text} ({significant(better)}x)"


def significant(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def rows(scenario, results):
    """Header and lines of cells."""
    yield ["", *(f"{metric.title}, {metric.unit}" for metric in scenario.METRICS)]
    for peer in results.peers():
        if any(results.median(peer, metric.key) is not None for metric in scenario.METRICS):
            name = f"{peer} {results.versions.get(peer, '')}".strip()
            yield [name, *(cell(results, peer, metric) for metric in scenario.METRICS)]


def notes(scenario, results):
    """peer: reason, for every gap."""
    for peer in results.peers():
        seen = {results.note(peer, metric.key): metric for metric in reversed(scenario.METRICS)}
        for reason, metric in seen.items():
            if reason:
                where = (
                    f" ({metric.title})" if results.median(peer, scenario.METRICS[0].key) is not None else ""
                )
                yield f"{peer}{where}: {reason.splitlines()[0]}"
    for peer, reason in results.missing.items():
        yield f"{peer}: {reason}"


def text(scenario, results):
    table = list(rows(scenario, results))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = [scenario.TITLE]
    for line in table:
        first, *rest = (
            part.ljust(width) if i == 0 else part.rjust(width)
            for i, (part, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  " + "   ".join([first, *rest]))
    lines += [f"  - {note}" for note in notes(scenario, results)]
    return "\n".join(lines) + "\n"


def markdown(scenario, results):
    header, *body = rows(scenario, results)
    lines = [
        f"## {scenario.TITLE}",
        "",
        line_of(["server", *header[1:]]),
        line_of(["---", *["---:"] * (len(header) - 1)]),
    ]
    lines += [line_of(line) for line in body]
    remarks = list(notes(scenario, results))
    if remarks:
        lines += ["", "Not in the table: " + "; ".join(remarks) + "."]
    return "\n".join(lines) + "\n"


def line_of(cells):
    return "| " + " | ".join(cells) + " |"


def preamble(all_results):
    """The command and the machine, and what each server was."""
    first = all_results[0]
    settings = first.settings
    described = "; ".join(f"{name}: {PEERS[name].note}" for name in first.versions if name in PEERS)
    commands = ", ".join(dict.fromkeys(f"`{one.command}`" for one in all_results))
    length = f"{settings.get('rounds')} alternating rounds of {settings.get('seconds')} s"
    return (
        f"{commands}, {length}; medians, and in brackets how many times better greenserve was (median of the "
        f"rounds' ratios).\n{describe_line(first.machine)}.\nServers: {described}.\n"
    )


def whole_markdown(pairs, verdicts):
    """pairs: (scenario, results); verdicts: the lines of targets.judge()."""
    parts = [preamble([results for _, results in pairs])]
    parts += [markdown(scenario, results) for scenario, results in pairs]
    parts.append(
        "## Targets\n\n" + line_of(["target", "measured", ""]) + "\n" + line_of(["---", "---:", "---"])
    )
    table = "\n".join(line_of([one.text, one.measured, one.verdict]) for one in verdicts)
    return "\n".join(parts) + "\n" + table + "\n"

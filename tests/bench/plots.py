"""One picture for each scenario, as SVG and PNG beside the JSON. matplotlib is imported only here."""

from tests.bench.samples import OURS

COLOURS = {
    "greenserve": "#1f9d55",
    "bjoern": "#4a5568",
    "granian": "#b7791f",
    "gevent": "#3182ce",
    "eventlet": "#805ad5",
    "gunicorn": "#a0aec0",
    "waitress": "#d69e9e",
    "gevent-websocket": "#3182ce",
    "websockets": "#b7791f",
    "uvicorn": "#d69e9e",
    "aiohttp": "#a0aec0",
    "picows": "#4a5568",
}


def draw(scenario, results, folder):
    """Bars of medians with whiskers from the slowest to the fastest round; returns the files written."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    groups = by_unit([metric for metric in scenario.METRICS if metric.compared])
    figure, axes = pyplot.subplots(1, len(groups), figsize=(4 + 2.2 * len(groups), 4.2), squeeze=False)
    for axis, metrics in zip(axes[0], groups, strict=True):
        bars(axis, metrics, results)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=max(1, len(labels)), frameon=False, fontsize=8
    )
    figure.suptitle(scenario.TITLE, fontsize=11)
    figure.set_layout_engine("constrained")
    written = []
    for suffix in ("svg", "png"):
        path = folder / f"{scenario.NAME}.{suffix}"
        figure.savefig(path, dpi=144)
        written.append(path)
    pyplot.close(figure)
    return written


def by_unit(metrics):
    """Metrics of one unit share an axis: their bars can be compared."""
    groups = {}
    for metric in metrics:
        groups.setdefault(metric.unit, []).append(metric)
    return list(groups.values())


def bars(axis, metrics, results):
    peers = [peer for peer in results.peers() if any(results.spread(peer, metric.key) for metric in metrics)]
    width = 0.8 / max(1, len(peers))
    for index, peer in enumerate(peers):
        points = [(place, metric) for place, metric in enumerate(metrics) if results.spread(peer, metric.key)]
        middles = [results.median(peer, metric.key) for _, metric in points]
        spreads = [results.spread(peer, metric.key) for _, metric in points]
        whiskers = [
            [middle - low for middle, (low, _) in zip(middles, spreads, strict=True)],
            [high - middle for middle, (_, high) in zip(middles, spreads, strict=True)],
        ]
        offsets = [place + (index - (len(peers) - 1) / 2) * width for place, _ in points]
        axis.bar(
            offsets,
            middles,
            width * 0.92,
            yerr=whiskers,
            label=peer,
            color=COLOURS.get(peer),
            error_kw={"lw": 0.8, "ecolor": "#2d3748"},
            zorder=3 if peer == OURS else 2,
        )
        for x, y, (_, metric) in zip(offsets, middles, points, strict=True):
            axis.annotate(
                short(y, metric),
                (x, y),
                ha="center",
                va="bottom",
                fontsize=6,
                rotation=90,
                xytext=(0, 3),
                textcoords="offset points",
            )
    axis.set_xticks(
        range(len(metrics)), [metric.title.replace(" over ", "\nover ") for metric in metrics], fontsize=8
    )
    axis.set_ylabel(f"{metrics[0].unit} ({'more' if metrics[0].higher else 'less'} is better)", fontsize=8)
    axis.tick_params(axis="y", labelsize=7)
    axis.margins(y=0.18)
    axis.grid(axis="y", lw=0.4, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    wide = [results.median(peer, metric.key) for peer in peers for metric in metrics]
    positive = [one for one in wide if one and one > 0]
    if positive and max(positive) > 30 * min(positive):
        axis.set_yscale("log")
        axis.set_ylabel(f"{axis.get_ylabel()}, log scale", fontsize=8)


def short(value, metric):
    return f"{value / 1000:.1f}k" if value >= 10000 else metric.show(value)

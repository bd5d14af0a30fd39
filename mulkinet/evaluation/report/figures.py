"""The report's figures, drawn with matplotlib: arrays in, `matplotlib.figure.Figure` out.

Colours are Okabe and Ito's, told apart by the colour-blind, and never the only difference: lines
differ in style and points in shape as well. Nothing global is touched (no pyplot).
"""

from statistics import NormalDist

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

__all__ = [
    "first_cover",
    "precision_recall",
    "error_trade_off",
    "distance_histograms",
    "precision_by_size",
    "similarity_matrix",
    "embedding_map",
    "training_curves",
    "SIZE",
]

SIZE = (6.4, 4.2)
_BLUE, _ORANGE, _GREEN, _RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_WORKS = (_BLUE, _ORANGE, _GREEN, "#CC79A7", "#56B4E9", _RED, "#F0E442", "#000000")
_MARKERS = "osD^vPX*"
_LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
_GREY = "#BBBBBB"
_ERROR_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
_LEAST_ERROR = 1e-5
_N_HISTOGRAM_BINS = 60
_LABELLED_SIZES = 20


def first_cover(ranks, shares, chance, name="", others=()):
    """Share of queries whose first cover is within a rank.

    Args:
        ranks: (n,) ascending ranks from 1.
        shares: (n,) shares in (0, 1].
        chance: The same two of orders drawn at random.
        name: What the legend calls the system.
        others: list of (name, ranks, shares) of other systems.
    """
    figure, axes = _axes("rank of the first cover", "share of queries (%)")
    end = max(ranks[-1], *(other[1][-1] for other in others), 10) * 1.2
    systems = [(name or "this system", ranks, shares), *others]
    for place, (_, x, y) in enumerate(systems):
        style = {"color": _WORKS[place % len(_WORKS)], "linestyle": _LINES[place % len(_LINES)]}
        axes.step([*x, end], [*(100 * y), 100 * y[-1]], where="post", label=f"{place}", **style)
    axes.plot(chance[0], 100 * chance[1], color=_GREY, linestyle=":", label="by chance")
    axes.set_xscale("log")
    axes.set_xlim(0.9, end)
    axes.set_ylim(0, 103)
    for rank in (1, 10):
        share = 100 * float(np.max(shares[ranks <= rank], initial=0))
        axes.plot(rank, share, "o", color=_RED)
        axes.annotate(
            f"{share:.1f} % within {rank}", (rank, share), (6, -12), textcoords="offset points"
        )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rank, _: f"{rank:g}"))
    for text, (label, *_) in zip(axes.legend(fontsize=8).get_texts(), systems):
        text.set(text=_shortened(label, 60), parse_math=False)
    return figure


def precision_recall(by_query, pooled):
    """(recall, precision) of the rankings, mean over queries, and of all pairs by one threshold."""
    figure, axes = _axes("recall (%)", "precision (%)")
    recall, precision = by_query
    axes.plot(100 * recall, 100 * precision, color=_BLUE, label="rankings, mean over queries")
    recall, precision = pooled
    axes.plot(100 * recall, 100 * precision, "--", color=_RED, label="all pairs, one threshold")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 103)
    axes.legend()
    return figure


def error_trade_off(accepts, rejects, eer, at_tau=None):
    """Detection-error trade-off of (n,) false accept and reject rates, on the scale of normal deviates.

    Marked are the equal error rate and, where there is a tau, its (false accept rate, false reject rate).
    """
    figure, axes = _axes("false accepts (% of non-covers)", "false rejects (% of covers)")
    axes.plot(_deviate(accepts), _deviate(rejects), color=_BLUE)
    diagonal = _deviate([_LEAST_ERROR, 1 - _LEAST_ERROR])
    axes.plot(diagonal, diagonal, ":", color="grey", linewidth=1)
    axes.plot(*_deviate([eer, eer]), "o", color=_RED, label=f"EER {100 * eer:.2f} %")
    if at_tau is not None:
        label = f"tau: {100 * at_tau[0]:.2f} % and {100 * at_tau[1]:.2f} %"
        axes.plot(*_deviate(at_tau), "s", color=_GREEN, label=label)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(_deviate(_ERROR_TICKS)))
        axis.set_major_formatter(FuncFormatter(_error_label))
        axis.set_minor_locator(NullLocator())
    axes.set_xlim(*_deviate([_ERROR_TICKS[0], 0.99]))
    axes.set_ylim(*_deviate([_ERROR_TICKS[0], 0.99]))
    axes.tick_params(axis="x", labelrotation=45)
    axes.legend()
    return figure


def distance_histograms(distances, covers, others, eer_threshold, tau=None):
    """Histograms of the distances of covers and of non-covers, each of area 1.

    Args:
        distances: (n,) ascending distances.
        covers: (n,) number of covers at each.
        others: (n,) number of non-covers at each.
        eer_threshold: Distance of the equal error rate.
        tau: Threshold chosen on other tracks, or None.
    """
    figure, axes = _axes("distance", "density")
    low, high = float(distances[0]), float(distances[-1])
    edges = np.linspace(low, high if high > low else low + 1, _N_HISTOGRAM_BINS + 1)
    for numbers, color, hatch, label in (
        (covers, _BLUE, None, "covers"),
        (others, _ORANGE, "//", "non-covers"),
    ):
        heights, _ = np.histogram(distances, edges, weights=numbers)
        heights = heights / max(heights.sum() * (edges[1] - edges[0]), np.finfo(float).tiny)
        style = {"facecolor": color, "edgecolor": color, "alpha": 0.45, "hatch": hatch}
        axes.stairs(heights, edges, fill=True, label=label, **style)
        axes.stairs(heights, edges, color=color)
    axes.axvline(eer_threshold, color=_RED, label=f"EER threshold {eer_threshold:.3g}")
    if tau is not None:
        axes.axvline(tau, color=_GREEN, linestyle="--", label=f"tau {tau:.3g}")
    axes.legend()
    return figure


def precision_by_size(sizes, values, numbers):
    """(n,) MAP of the queries of each size of work: (n,) covers to be found, (n,) queries."""
    figure, axes = _axes("covers to be found by a query (tracks of its work - 1)", "MAP")
    axes.plot(sizes, values, "-", color=_GREY, linewidth=1, zorder=1)
    area = 20 + 180 * np.asarray(numbers) / np.max(numbers)
    axes.scatter(sizes, values, area, color=_BLUE, zorder=2, alpha=0.8)
    if len(sizes) <= _LABELLED_SIZES:
        for size, value, number in zip(sizes, values, numbers):
            place = {"xytext": (0, 11), "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{number}", (size, value), fontsize=8, **place)
    if sizes[-1] > 50:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(sizes[0] - 1, sizes[-1] + 1)
    axes.set_ylim(0, 1.08)
    return figure


def similarity_matrix(distances, works):
    """(n, n) distances between tracks, those of a work side by side; (n,) names of their works."""
    figure = Figure((SIZE[0], SIZE[0] * 0.75), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(distances, cmap="cividis", interpolation="nearest")
    changes = [place for place in range(1, len(works)) if works[place] != works[place - 1]]
    for change in changes:
        axes.axhline(change - 0.5, color="white", linewidth=0.8)
        axes.axvline(change - 0.5, color="white", linewidth=0.8)
    bounds = np.array([0, *changes, len(works)])
    middles = (bounds[:-1] + bounds[1:] - 1) / 2
    names = [_shortened(works[start]) for start in bounds[:-1]]
    axes.set_xticks(middles, names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(middles, names, fontsize=8, parse_math=False)
    axes.set_xlabel("tracks, by work")
    axes.set_ylabel("tracks, by work")
    figure.colorbar(image, ax=axes, label="distance", shrink=0.8)
    return figure


def embedding_map(points, shares, works):
    """The two principal components of the embeddings, some works in colour.

    Args:
        points: (N, 2).
        shares: (2,) share of the variance of each component.
        works: (N,) what to call each track's work, None where it is grey.
    """
    labels = [f"component {i + 1} ({100 * shares[i]:.0f} % of the variance)" for i in (0, 1)]
    figure, axes = _axes(*labels)
    works = np.asarray(works, dtype=object)
    others = np.array([work is None for work in works])
    axes.scatter(*points[others].T, 6, color=_GREY, label="other works", rasterized=True)
    named = sorted(set(works[~others]))
    for place, work in enumerate(named):
        style = {"color": _WORKS[place % len(_WORKS)], "marker": _MARKERS[place % len(_MARKERS)]}
        axes.scatter(*points[works == work].T, 40, label=f"{place}", edgecolor="k", **style)
    legend = axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    # Not as labels: one that begins with "_" has no entry.
    for text, work in zip(legend.get_texts()[1:], named):
        text.set(text=_shortened(work), parse_math=False)
    return figure


def training_curves(epochs, losses, maps):
    """(n,) mean training losses and (n,) validation MAPs by (n,) epochs from 1."""
    figure, axes = _axes("epoch", "training loss")
    lines = axes.plot(epochs, losses, "--", color=_ORANGE, label="training loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = axes.twinx()
    right.set_ylabel("validation MAP")
    lines += right.plot(epochs, maps, color=_BLUE, label="validation MAP")
    best = int(np.argmax(maps))
    lines += right.plot(epochs[best], maps[best], "o", color=_RED, label=f"best: {maps[best]:.4f}")
    axes.legend(handles=lines, loc="center right")
    return figure


def _axes(xlabel, ylabel):
    figure = Figure(SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _deviate(rates):
    # Rates of 0 and 1 have no place on this scale: they are drawn at its ends.
    normal = NormalDist()
    inside = np.clip(np.asarray(rates, dtype=np.float64), _LEAST_ERROR, 1 - _LEAST_ERROR)
    return np.array([normal.inv_cdf(rate) for rate in inside])


def _error_label(deviate, _):
    return f"{100 * NormalDist().cdf(deviate):.3g}"


def _shortened(name, length=24):
    # Fonts take no bytes that are no UTF-8.
    name = str(name).encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= length else name[: length - 1] + "\u2026"

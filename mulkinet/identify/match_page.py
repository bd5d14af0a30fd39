"""Pictures of two recordings that were matched: a page with two players, and a figure.

The page asks the network for nothing. A click into the plot takes both players to the place of the song that the
nearest point of the path shows.

Public names: `write_match_page`, `write_match_figure`.
"""

import base64
import io
import json
import mimetypes
import os
import urllib.parse
from pathlib import Path

import numpy as np

from mulkinet.alignment.chroma import STACKED
from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path
from mulkinet.identify.match_text import clock, describe

try:
    import jinja2
    from matplotlib.figure import Figure
    from matplotlib.image import imsave
except ImportError as error:
    raise MulkinetError(
        f"a picture of a match needs matplotlib and jinja2, found no {error.name}; "
        "install them with pip install mulkinet[report]"
    ) from error

__all__ = ["write_match_figure", "write_match_page"]

_DPI = 150
_TICKS_SEC = (5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
_MOST_TICKS = 10


def write_match_page(path, found, *, embed_audio=False):
    """Writes a page.

    Args:
        path: HTML file to write.
        found: PairMatch.
        embed_audio: Whether the audio files become part of the page; it links to them otherwise.

    Raises:
        MulkinetError: The file cannot be written, or audio to embed not be read.
    """
    path = Path(path)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mulkinet.identify", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["clock"] = clock
    sources = [_source(name, path, embed_audio) for name in (found.a, found.b)]
    top, bottom, left, right = _extent(found)
    height, width = found.seconds_a, found.seconds_b
    page = environment.get_template("match.html").render(
        found=found,
        summary=describe(found),
        names=[Path(name).name for name in (found.a, found.b)],
        sources=sources,
        plot=_plot_png(found),
        extent={"x": left, "y": top, "width": right - left, "height": bottom - top},
        width=width,
        height=height,
        ticks_a=_ticks(height),
        ticks_b=_ticks(width),
        path=json.dumps(np.round(found.alignment.path, 2).tolist()),
    )
    with atomic_path(path) as temporary:
        # File names may hold bytes that are no UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def write_match_figure(path, found):
    """Writes the plot with the path as a PNG file.

    Args:
        path: File to write.
        found: PairMatch.
    """
    height, width = found.seconds_a, found.seconds_b
    top, bottom, left, right = (seconds / 60 for seconds in _extent(found))
    figure = Figure(figsize=(6.4, 6.4 * min(2, max(0.5, height / width))), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        found.alignment.recurrence,
        cmap="Greys",
        vmax=1.6,
        extent=(left, right, bottom, top),
        interpolation="nearest",
        aspect="auto",
    )
    minutes = found.alignment.path / 60
    axes.plot(minutes[:, 1], minutes[:, 0], ".", color="#D55E00", markersize=3)
    axes.set_xlim(0, width / 60)
    axes.set_ylim(height / 60, 0)
    axes.set_xlabel(f"B: {Path(found.b).name} (minutes)")
    axes.set_ylabel(f"A: {Path(found.a).name} (minutes)")
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _extent(found):
    """The plot's (top, bottom, left, right) in seconds: a cell lies at the middle of its stacks."""
    (rows, columns), (row_sec, column_sec) = (
        found.alignment.recurrence.shape,
        found.alignment.cell_sec,
    )
    top, left = STACKED / 2 * row_sec, STACKED / 2 * column_sec
    return top, top + rows * row_sec, left, left + columns * column_sec


def _plot_png(found):
    picture = io.BytesIO()
    imsave(
        picture, 1 - 0.55 * found.alignment.recurrence, cmap="gray", vmin=0, vmax=1, format="png"
    )
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


def _ticks(seconds):
    step = next((step for step in _TICKS_SEC if seconds / step <= _MOST_TICKS), _TICKS_SEC[-1])
    return list(range(0, int(seconds) + 1, step))


def _source(name, page, embed_audio):
    """The address of a recording for a player; None where it came without a file."""
    file = Path(name)
    if not file.is_file():
        return None
    if not embed_audio:
        relative = os.path.relpath(file.absolute(), page.absolute().parent)
        return urllib.parse.quote(Path(relative).as_posix())
    kind = mimetypes.guess_type(name)[0] or "audio/mpeg"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"

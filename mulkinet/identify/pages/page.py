"""A page of data, and the picture of an alignment."""

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
from mulkinet.identify.pages import PARTS

try:
    import jinja2
    from matplotlib.image import imsave
except ImportError as error:
    raise MulkinetError(
        f"a page needs matplotlib and jinja2, found no {error.name}; "
        "install them with pip install mulkinet[report]"
    ) from error

__all__ = ["audio_source", "extent", "picture", "write_page"]

# Light enough for the path to stand out in grey, too.
_CELL_SHADE = 0.35


def write_page(path, title, show, data):
    """Writes a page.

    Args:
        path: HTML file to write.
        title: What the browser calls it.
        show: Function of page.js that makes elements of the data.
        data: What JSON can hold.

    Raises:
        MulkinetError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mulkinet.identify.pages", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    style, script = PARTS
    # Neither a title nor a file's name ends the script that it is in.
    text = json.dumps(data).replace("<", "\\u003c")
    page = environment.get_template("page.html").render(
        title=title,
        style=style.read_text("utf-8"),
        script=script.read_text("utf-8"),
        show=show,
        data=text,
    )
    with atomic_path(Path(path)) as temporary:
        # File names may hold bytes that are no UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def audio_source(name, page, embed_audio):
    """The address of a recording for a player.

    Args:
        name: Its path; what names no file has no address.
        page: pathlib.Path of the page.
        embed_audio: Whether the file becomes part of the address; it is relative to the page otherwise.

    Returns:
        str, or None.
    """
    file = Path(name)
    if not name or not file.is_file():
        return None
    if not embed_audio:
        relative = os.path.relpath(file.absolute(), page.absolute().parent)
        return urllib.parse.quote(Path(relative).as_posix())
    kind = mimetypes.guess_type(name)[0] or "audio/mpeg"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


def extent(alignment):
    """The plot's (top, bottom, left, right) in seconds: a cell lies at the middle of its stacks."""
    (rows, columns), (row_sec, column_sec) = alignment.recurrence.shape, alignment.cell_sec
    top, left = STACKED / 2 * row_sec, STACKED / 2 * column_sec
    return top, top + rows * row_sec, left, left + columns * column_sec


def picture(alignment, seconds_a, seconds_b):
    """What `comparison` of page.js draws of an Alignment and the lengths of both: dict of what JSON can hold."""
    top, bottom, left, right = extent(alignment)
    file = io.BytesIO()
    shades = 1 - _CELL_SHADE * alignment.recurrence
    imsave(file, shades, cmap="gray", vmin=0, vmax=1, format="png")
    return {
        "plot": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
        "extent": {"x": left, "y": top, "width": right - left, "height": bottom - top},
        "path": np.round(alignment.path, 2).tolist(),
        "spans": alignment.spans,
        "transposition": alignment.transposition,
        "tempo_ratio": alignment.tempo_ratio,
        "seconds_a": seconds_a,
        "seconds_b": seconds_b,
    }

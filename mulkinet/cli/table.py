"""Tables in the terminal."""

from mulkinet.files.text import in_one_line

__all__ = ["table", "without_empty"]


def table(rows):
    """Lays out cells in columns: the first column to the left, the others to the right.

    Args:
        rows: Rows of str, all of one length; the first holds the headings.

    Returns:
        str without a line end.
    """
    rows = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]])


def without_empty(rows):
    """The same rows without the columns of which every cell below the heading is empty.

    Args:
        rows: As for `table`.

    Returns:
        list of tuple of str.
    """
    kept = [column for column in zip(*rows) if any(column[1:])]
    return list(zip(*kept))

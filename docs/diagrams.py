"""Draws the block diagrams of the networks' pages: `python docs/diagrams.py` writes docs/images/networks/*.svg."""

from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images" / "networks"
# Of each network its blocks, as lines of text; what comes first is the input, what comes last the embedding.
NETWORKS = {
    "mulkinet": [
        ["pitch classes", "23 x 400"],
        ["S stages", "12 pitches", "48 frames"],
        ["maximum", "12 keys"],
        ["conv 1 x 10", "dilated, pool", "twice"],
        ["mean", "over time"],
        ["embedding", "128"],
    ],
    "move": [
        ["pitch classes", "23 x T"],
        ["conv", "12 x 180"],
        ["maximum", "12 keys"],
        ["conv 1 x 5", "4 times", "dilated"],
        ["attention", "over time"],
        ["embedding", "16 000"],
    ],
    "siamese": [
        ["pitch classes", "23 x 500"],
        ["conv", "12 x 50"],
        ["maximum", "12 keys"],
        ["2 x conv 1 x 5", "dilated", "3 times"],
        ["embedding", "512"],
        ["|a - b|", "of two"],
    ],
    "rescnn": [
        ["log CQT", "84 x T"],
        ["conv 5 x 5", "stride 2"],
        ["3 residual", "blocks"],
        ["the two", "4 times"],
        ["mean", "over time"],
        ["embedding", "512"],
    ],
    "cqtnet": [
        ["CQT", "84 x T"],
        ["3 conv", "12, 13 rows"],
        ["7 conv", "3 x 3"],
        ["4 poolings", "over time"],
        ["maximum", "pitch, time"],
        ["embedding", "300 or 512"],
    ],
    "keyconv": [
        ["pitch classes", "12 x T"],
        ["conv 12 x 8", "pairs of frames"],
        ["maximum", "12 keys"],
        ["conv 5", "twice, pool"],
        ["mean and max", "over time"],
        ["embedding", "256"],
    ],
}
_WIDTH, _HEIGHT, _GAP, _LINE = 116, 84, 24, 18


def diagram(blocks):
    """The blocks of a network from left to right, as SVG."""
    total = len(blocks) * (_WIDTH + _GAP) - _GAP + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {_HEIGHT + 4}" '
        'font-family="sans-serif" font-size="14" text-anchor="middle">',
        f'<rect width="{total}" height="{_HEIGHT + 4}" fill="white"/>',
    ]
    for place, lines in enumerate(blocks):
        left = 2 + place * (_WIDTH + _GAP)
        fill = "#d6e6f2" if 0 < place < len(blocks) - 1 else "#f5e3c3"
        parts.append(
            f'<rect x="{left}" y="2" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#555"/>'
        )
        first = 2 + _HEIGHT / 2 - _LINE * (len(lines) - 1) / 2 + 5
        for row, line in enumerate(lines):
            middle, base = left + _WIDTH / 2, first + row * _LINE
            parts.append(f'<text x="{middle}" y="{base}">{escape(line)}</text>')
        if place:
            start, end, y = left - _GAP, left, 2 + _HEIGHT / 2
            parts.append(f'<path d="M{start} {y}H{end - 6}" stroke="#555"/>')
            parts.append(f'<path d="M{end} {y}l-8 -5v10z" fill="#555"/>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    """Writes all of them."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, blocks in NETWORKS.items():
        (IMAGES / f"{name}.svg").write_text(diagram(blocks), encoding="utf-8")


if __name__ == "__main__":
    main()

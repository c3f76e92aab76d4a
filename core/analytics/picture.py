"""Tables of shares as pictures: a heat map in SVG that a browser, a document or a mail shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from xml.sax.saxutils import escape

from core.analytics.cohort import CohortMatrix, percent
from core.query.ast import Period

_CELL_WIDTH, _CELL_HEIGHT = 64, 26
_LEFT, _TOP, _SCALE_HEIGHT = 170, 64, 56
#: Light to dark blue; beyond the middle the text is white.
_LIGHT, _DARK = (239, 246, 255), (12, 60, 130)
_TITLES = {
    Period.DAY: "day",
    Period.WEEK: "week",
    Period.MONTH: "month",
    Period.QUARTER: "quarter",
    Period.YEAR: "year",
}


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`shares[row][column]`, None where there is nothing to show; `faint` ones are still growing, and are marked so."""

    title: str
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    shares: Sequence[Sequence[Fraction | None]]
    faint: Sequence[Sequence[bool]]


def cohort_picture(matrix: CohortMatrix) -> str:
    """The rates of a cohort matrix as an SVG text: a row per cohort with its size, a column per period after it."""
    rows, columns = matrix.counts.shape
    word = _TITLES[matrix.period]
    labels = [
        f"{start.isoformat()} · {int(size):,}".replace(",", " ")
        for start, size in zip(matrix.starts, matrix.sizes, strict=True)
    ]
    shares = [[matrix.rate(i, j) for j in range(columns)] for i in range(rows)]
    return heat_map(
        HeatMap(
            f"Came again, by {word} of the beginning and {word}s after it",
            labels,
            [f"{word} {j}" for j in range(columns)],
            shares,
            matrix.unfinished.tolist(),
        )
    )


def heat_map(table: HeatMap) -> str:
    """The table as a complete SVG document. Colours run from 0 to the largest share; the scale stands below."""
    columns, rows = len(table.column_labels), len(table.row_labels)
    width = _LEFT + max(columns, 4) * _CELL_WIDTH + 16
    height = _TOP + rows * _CELL_HEIGHT + _SCALE_HEIGHT
    largest = max((share for row in table.shares for share in row if share is not None), default=Fraction(0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(table.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(table.title)}</text>',
    ]
    for j, label in enumerate(table.column_labels):
        x = _LEFT + j * _CELL_WIDTH + _CELL_WIDTH // 2
        parts.append(f'<text x="{x}" y="{_TOP - 10}" text-anchor="middle">{escape(label)}</text>')
    for i, label in enumerate(table.row_labels):
        y = _TOP + i * _CELL_HEIGHT
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        for j, share in enumerate(table.shares[i]):
            if share is not None:
                parts += _cell(_LEFT + j * _CELL_WIDTH, y, share, largest, faint=table.faint[i][j])
    parts += _scale(_TOP + rows * _CELL_HEIGHT + 16, largest)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: int, y: int, share: Fraction, largest: Fraction, *, faint: bool) -> list[str]:
    """A coloured field with its share; one that still grows has a dashed frame and an asterisk."""
    depth = share / largest if largest else Fraction(0)
    frame = ' stroke="#64748b" stroke-dasharray="3 2"' if faint else ' stroke="#ffffff"'
    ink = "#ffffff" if depth > Fraction(1, 2) else "#0f172a"
    text = f"{percent(share)} %{'*' if faint else ''}"
    return [
        f'<rect x="{x}" y="{y}" width="{_CELL_WIDTH}" height="{_CELL_HEIGHT}" fill="{_colour(depth)}"{frame}/>',
        f'<text x="{x + _CELL_WIDTH // 2}" y="{y + 17}" text-anchor="middle" fill="{ink}">{text}</text>',
    ]


def _scale(y: int, largest: Fraction) -> list[str]:
    """Five fields from nothing to the largest share, and what the asterisk means."""
    parts = []
    for step in range(5):
        depth = Fraction(step, 4)
        x = _LEFT + step * 48
        parts.append(f'<rect x="{x}" y="{y}" width="48" height="12" fill="{_colour(depth)}"/>')
        parts.append(
            f'<text x="{x + 24}" y="{y + 26}" text-anchor="middle" font-size="10">{percent(depth * largest)} %</text>'
        )
    parts.append(f'<text x="8" y="{y + 10}" font-size="10">* the period is not over yet</text>')
    return parts


def _colour(depth: Fraction) -> str:
    """Between light (0) and dark (1)."""
    mixed = (round(light + (dark - light) * depth) for light, dark in zip(_LIGHT, _DARK, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)

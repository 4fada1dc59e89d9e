"""What a soak says in the end: is each series flat, a table, and a picture. Plain numbers in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WARM_UP_SHARE = 1 / 3  # caches fill, pools open, tables reach their working size: drawn, and not judged
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 380, 130, 2


@dataclass(frozen=True)
class Limit:
    """How much a series may grow while it is judged: a share of its mean or an amount, whichever is more."""

    share: float
    amount: float

    def allowance(self, mean: float) -> float:
        return max(self.share * abs(mean), self.amount)


LIMITS = {
    "memory MB": Limit(0.10, 8.0),
    "connections": Limit(0.10, 4.0),
    "bytes per row": Limit(0.15, 60.0),
    "size MB": Limit(0.25, 16.0),
    "dead share": Limit(0.0, 0.20),
    "seconds": Limit(0.0, 5.0),
    "tasks": Limit(0.0, 50.0),
}


@dataclass(frozen=True)
class Series:
    """One measured quantity; `times` are seconds since the start, `kind` is a key of LIMITS."""

    name: str
    kind: str
    times: Sequence[float]
    values: Sequence[float]

    @property
    def judged(self) -> tuple[Sequence[float], Sequence[float]]:
        """Times and values after the warm-up."""
        first = int(len(self.times) * WARM_UP_SHARE)
        return self.times[first:], self.values[first:]

    @property
    def slope_per_hour(self) -> float:
        """Least squares over what is judged."""
        times, values = self.judged
        return slope(times, values) * 3600

    @property
    def growth(self) -> float:
        """By how much the fitted line rises over what is judged."""
        times, _ = self.judged
        return self.slope_per_hour / 3600 * (times[-1] - times[0]) if times else 0.0

    @property
    def allowance(self) -> float:
        _, values = self.judged
        return LIMITS[self.kind].allowance(sum(values) / len(values) if values else 0.0)

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.allowance


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the least-squares line, 0 of fewer than two points."""
    if len(times) < 2:
        return 0.0
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    return sum((t - middle) * (v - mean) for t, v in zip(times, values, strict=True)) / spread if spread else 0.0


def table(series: Sequence[Series]) -> list[str]:
    """One line per series: start, middle, end, slope per hour, growth while judged and what is allowed."""
    width = max(len(one.name) for one in series)
    heads = ("start", "middle", "end", "slope/h", "growth", "allowed")
    lines = [f"{'':<{width}} {'':<13}" + "".join(f"{head:>11}" for head in heads)]
    for one in series:
        values = one.values
        figures = (
            values[0], values[len(values) // 2], values[-1], one.slope_per_hour, one.growth, one.allowance,
        )  # fmt: skip
        verdict = "" if one.is_flat else "  GROWS"
        lines.append(
            f"{one.name:<{width}} {one.kind:<13}" + "".join(f"{figure:>11,.2f}" for figure in figures) + verdict
        )
    return lines


def picture(series: Sequence[Series]) -> str:
    """An SVG with a panel per series from zero up; the warm-up is grey, what grows is red."""
    rows = -(-len(series) // COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * PANEL_WIDTH}" height="{rows * PANEL_HEIGHT}"'
        ' font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, one in enumerate(series):
        left, top = place % COLUMNS * PANEL_WIDTH, place // COLUMNS * PANEL_HEIGHT
        parts.append(f'<g transform="translate({left},{top})">{_panel(one)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(one: Series) -> str:
    width, height, left, top = PANEL_WIDTH - 30, PANEL_HEIGHT - 44, 10, 26
    last, highest = max(one.times[-1], 1e-9), max(*one.values, 1e-9)
    colour = "#2563eb" if one.is_flat else "#dc2626"

    def points(times: Sequence[float], values: Sequence[float]) -> str:
        pairs = zip(times, values, strict=True)
        return " ".join(f"{left + width * t / last:.1f},{top + height * (1 - v / highest):.1f}" for t, v in pairs)

    first = len(one.times) - len(one.judged[0])
    warm = points(one.times[: first + 1], one.values[: first + 1])
    return (
        f'<text x="{left}" y="16">{escape(one.name)}, {escape(one.kind)}: {one.values[0]:,.2f} to {one.values[-1]:,.2f},'
        f" {one.slope_per_hour:+,.2f} per hour</text>"
        f'<line x1="{left}" y1="{top + height}" x2="{left + width}" y2="{top + height}" stroke="#d1d5db"/>'
        f'<polyline points="{warm}" fill="none" stroke="#9ca3af" stroke-width="1.5"/>'
        f'<polyline points="{points(*one.judged)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    )

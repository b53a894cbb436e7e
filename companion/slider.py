"""A chart with a slider that needs no server and no library (chapter *Recurrent networks*).

All charts are drawn here, as SVG inside one piece of HTML; moving the slider only chooses which is shown. So it works in a
built page, in JupyterLab and from the keyboard; a sentence says what is shown, and a table holds the numbers. Where scripts
are off, the first chart, its sentence and the table remain. Colours are mixed with the text's own, for light and dark pages.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from companion.plot import BLUE, COLOURS
from companion.tree import Array
from companion.validate import require_finite, require_instance, require_range, require_shape

WIDTH, LEFT, PLOT_WIDTH, PLOT_HEIGHT, ROW = 480, 54, 414, 230, 22  # units of the drawing; a phone shows 3 pixels for 4
DASHES = ("none", "9 4", "2 3", "14 4 2 4", "5 2", "14 4 2 4 2 4")  # curves differ without colour, too
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

LINES = "".join(
    f".slider-figure .line-{k} {{ stroke: currentColor; stroke: color-mix(in srgb, {colour} 70%, currentColor); "
    f"stroke-dasharray: {dash}; }}\n"
    for k, (colour, dash) in enumerate(zip(COLOURS, DASHES, strict=True))
)
STYLE = f"""
.slider-figure {{ color: var(--pst-color-text-base, inherit); container-type: inline-size; }}
.slider-figure {{ font-family: var(--sans, sans-serif); margin: 1rem auto; max-width: 40rem; }}
.slider-figure > p {{ font-weight: 600; margin: 0 0 0.5rem; }}
.slider-figure > svg {{ display: block; height: auto; width: 100%; }}
.slider-figure svg text {{ fill: currentColor; font-size: 15px; }}
@container (min-width: 30rem) {{ .slider-figure svg text {{ font-size: 11.5px; }} }}
.slider-figure .grid {{ stroke: currentColor; stroke-opacity: 0.18; }}
.slider-figure polyline {{ fill: none; stroke-linejoin: round; stroke-width: 2.2; }}
{LINES}.slider-figure .control {{ display: flex; justify-content: space-between; }}
.slider-figure input {{ box-sizing: border-box; color: inherit; cursor: pointer; height: 2rem; margin: 0; width: 100%; }}
.slider-figure input {{ accent-color: color-mix(in srgb, {BLUE} 70%, currentColor); padding: 0 0.5rem; }}
.slider-figure input:focus-visible {{ border-radius: 4px; outline: 3px solid currentColor; outline-offset: -3px; }}
.slider-figure output {{ display: block; line-height: 1.5; margin: 0.5rem 0; min-height: 3em; }}
.slider-figure .numbers {{ max-height: 24rem; overflow: auto; }}
.slider-figure table {{ border-collapse: collapse; font-size: 0.8rem; font-variant-numeric: tabular-nums; }}
.slider-figure caption {{ caption-side: top; color: inherit; text-align: left; }}
.slider-figure :is(th, td) {{ padding: 0.15rem 0.5rem; text-align: right; vertical-align: top; white-space: nowrap; }}
"""

# All of the script: it belongs to the slider and reaches no further than its own figure.
ON_INPUT = """
const figure = this.closest('.slider-figure'), charts = figure.querySelectorAll('g[data-value]');
charts.forEach((chart, k) => chart.setAttribute('display', k == this.value ? 'inline' : 'none'));
const chosen = charts[this.value].dataset;
this.setAttribute('aria-valuetext', chosen.value);
figure.querySelector('.control b').textContent = chosen.value;
figure.querySelector('output').value = chosen.sentence;
"""

KEYS = 'data-lm-suppress-shortcuts="true"'  # or JupyterLab keeps the arrow keys for its notebook


class Axis(NamedTuple):
    """Where numbers stand on one side of the drawing."""

    low: float  # decades, if log
    high: float
    log: bool = False

    def places(self, values: Array) -> Array:
        """0 at low, 1 at high; far outside, where nothing is seen, everything is 10 away."""
        if self.log:
            with np.errstate(divide="ignore"):  # 0 lies below every decade
                values = np.log10(values)
        places: Array = np.clip((values - self.low) / (self.high - self.low), -10, 11)
        return places

    def ticks(self) -> list[tuple[float, str]]:
        """Seven or fewer round numbers: place and text."""
        rough = (self.high - self.low) / 6
        magnitude = 10.0 ** np.floor(np.log10(rough))
        step = magnitude * next(factor for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
        step = max(step, 1.0) if self.log else step
        numbers = step * np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1) + 0.0
        texts = [f"{number:.6g}" for number in numbers]
        texts = [f"10{text.translate(SUPERSCRIPT)}" for text in texts] if self.log else texts
        return [((number - self.low) / (self.high - self.low), text) for number, text in zip(numbers, texts)]


class Slider:
    """A chart of several curves over x for every one of `values`, of which a slider shows one.

    name: lower-case letters, digits and hyphens; no two sliders on a page share it
    label: of the slider, such as "spectral radius"; values: (N,) increasing numbers, its positions
    x: (M,) increasing numbers; series: name of a curve -> (N, M), one row for every position, at most six curves
    sentences: (N,) what the chart shows at each position, in words
    log: whether y has decades; limits: lowest and highest y shown, by default of the data; beyond them curves are cut off
    default: index of the position shown first
    table_x: the x of the table's columns, by default all

    Raises ValueError for lengths that do not fit, numbers that are not finite or do not increase, and y < 0 if log.
    """

    def __init__(
        self,
        name: str,
        label: str,
        values: Sequence[float],
        x: Sequence[float] | Array,
        series: Mapping[str, Sequence[Array] | Array],
        sentences: Sequence[str],
        *,
        title: str,
        xlabel: str,
        ylabel: str,
        log: bool = False,
        limits: tuple[float, float] | None = None,
        default: int = 0,
        table_x: Sequence[float] | None = None,
    ) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            raise ValueError(f"Slider: name is {name!r}, expected lower-case letters, digits and hyphens")
        self.name, self.label, self.title, self.xlabel, self.ylabel = name, label, title, xlabel, ylabel
        self.values, self.x = _increasing("values", values), _increasing("x", x)
        self.series = _checked(series, len(self.values), len(self.x), log)
        if len(sentences) != len(self.values):
            raise ValueError(f"Slider: {len(sentences)} sentences, expected {len(self.values)}, one for every value")
        require_instance("Slider", "default", default, int, "the index of a value")
        require_range("Slider", "default", default, 0, len(self.values))
        self.sentences, self.default = list(sentences), default
        self.across, self.up = Axis(self.x[0], self.x[-1]), _vertical(self.series, log, limits)
        self.columns = np.searchsorted(self.x, self.x if table_x is None else _increasing("table_x", table_x))
        if table_x is not None and not np.isin(table_x, self.x).all():
            raise ValueError(f"Slider: table_x is {list(table_x)}, expected numbers that x has")

    def __repr__(self) -> str:
        positions = "\n".join(
            f"  {self.label} {_text(value)}: {sentence}" for value, sentence in zip(self.values, self.sentences)
        )
        return f"{self.title}\n{self.ylabel} against {self.xlabel}; curves: {', '.join(self.series)}\n{positions}"

    def _repr_html_(self) -> str:
        first, last, shown = (_text(self.values[k]) for k in (0, -1, self.default))
        identity, sentence = f"slider-{self.name}", escape(self.sentences[self.default])
        return f"""<div class="slider-figure" role="group" aria-label="{escape(self.title)}">
<style>{STYLE}</style>
<p>{escape(self.title)}</p>
{self._drawing()}
<div class="control"><label for="{identity}">{escape(self.label)}</label> <b aria-hidden="true">{shown}</b></div>
<input type="range" id="{identity}" min="0" max="{len(self.values) - 1}" step="1" value="{self.default}" \
autocomplete="off" {KEYS} aria-valuetext="{shown}" oninput="{escape(ON_INPUT)}">
<div class="control" aria-hidden="true"><span>{first}</span><span>{last}</span></div>
<output for="{identity}" aria-live="polite">{sentence}</output>
<details><summary {KEYS}>The numbers as a table</summary>
{self._table()}
</details>
</div>"""

    def _drawing(self) -> str:
        legend, rows = _legend(list(self.series))
        top = ROW * (rows + 1) + 14
        about = f"{self.title} {self.ylabel} against {self.xlabel}. In words: below the slider. Numbers: in the table."
        return f"""<svg viewBox="0 0 {WIDTH} {top + PLOT_HEIGHT + 46}" role="img" aria-label="{escape(about)}">
<text x="0" y="16">{escape(self.ylabel)}</text>
{legend}
<g transform="translate({LEFT} {top})">
{_grid(self.across, self.up)}
<text x="{PLOT_WIDTH / 2}" y="{PLOT_HEIGHT + 41}" text-anchor="middle">{escape(self.xlabel)}</text>
<svg width="{PLOT_WIDTH}" height="{PLOT_HEIGHT}" overflow="hidden" style="width:{PLOT_WIDTH}px;height:{PLOT_HEIGHT}px">
{self._charts()}
</svg></g></svg>"""

    def _charts(self) -> str:
        """One group of curves for every position; all but the default are hidden."""
        groups = []
        for position, (value, sentence) in enumerate(zip(self.values, self.sentences)):
            lines = "".join(
                f'<polyline class="line-{k}" points="{_points(self.across, self.up, self.x, curves[position])}"/>'
                for k, curves in enumerate(self.series.values())
            )
            display = "inline" if position == self.default else "none"
            groups.append(
                f'<g display="{display}" data-value="{_text(value)}" data-sentence="{escape(sentence)}">{lines}</g>'
            )
        return "\n".join(groups)

    def _table(self) -> str:
        """Rows are positions and curves, columns are x."""
        heads = "".join(f'<th scope="col">{_text(number)}</th>' for number in self.x[self.columns])
        bodies = []
        for position, value in enumerate(self.values):
            group = f'<th scope="rowgroup" rowspan="{len(self.series)}">{_text(value)}</th>'
            rows = [
                f'<th scope="row">{escape(curve)}</th>'
                + "".join(f"<td>{number:.3g}</td>" for number in numbers[position, self.columns])
                for curve, numbers in self.series.items()
            ]
            bodies.append(f"<tbody><tr>{group}" + "</tr>\n<tr>".join(rows) + "</tr></tbody>\n")
        caption = escape(f"{self.ylabel}; columns: {self.xlabel}")
        head = f'<tr><th scope="col">{escape(self.label)}</th><th scope="col">curve</th>{heads}</tr>'
        return f"""<div class="numbers" role="region" tabindex="0" {KEYS} aria-label="{escape(self.title)} Table">
<table><caption>{caption}</caption>
<thead>{head}</thead>
{"".join(bodies)}</table></div>"""


def _text(number: float) -> str:
    return f"{number:.6g}"


def _increasing(name: str, numbers: Sequence[float] | Array) -> Array:
    array = np.array(numbers, dtype=float)
    require_shape("Slider", name, array, "N")
    require_finite("Slider", name, array)
    if len(array) < 2 or not (np.diff(array) > 0).all():
        raise ValueError(f"Slider: {name} is {array.tolist()}, expected two or more increasing numbers")
    return array


def _checked(series: Mapping[str, Sequence[Array] | Array], n: int, m: int, log: bool) -> dict[str, Array]:
    if not 1 <= len(series) <= len(DASHES):
        raise ValueError(f"Slider: series has {len(series)} curves, expected 1 to {len(DASHES)}")
    checked = {}
    for name, curves in series.items():
        lengths = {np.shape(curve) for curve in curves}
        if len(curves) != n or lengths != {(m,)}:
            raise ValueError(
                f"Slider: series[{name!r}] has {len(curves)} curves of shapes {sorted(lengths)}, "
                f"expected {n} of shape ({m},)"
            )
        checked[name] = np.array(curves, dtype=float)
        require_finite("Slider", f"series[{name!r}]", checked[name])
        if log and (checked[name] < 0).any():
            raise ValueError(
                f"Slider: series[{name!r}] has the value {checked[name].min():g}, expected y >= 0 for decades"
            )
    return checked


def _vertical(series: dict[str, Array], log: bool, limits: tuple[float, float] | None) -> Axis:
    """The axis of y, of whole decades if log and not given."""
    numbers = np.concatenate([curves.ravel() for curves in series.values()])
    numbers = numbers[numbers > 0] if log else numbers
    low, high = limits or ((numbers.min(), numbers.max()) if numbers.size else (1.0, 10.0))
    require_range("Slider", "lower limit", low, 0 if log else -np.inf, np.inf, "()")
    if log:
        low, high = np.log10(low), np.log10(high)
        low, high = (low, high) if limits else (np.floor(low), np.ceil(high))
    if limits is None and low == high:
        high = low + 1
    require_range("Slider", "upper limit", high, low, np.inf, "()")
    return Axis(float(low), float(high), log)


def _points(across: Axis, up: Axis, x: Array, y: Array) -> str:
    left = np.round(PLOT_WIDTH * across.places(x), 1)
    down = np.round(PLOT_HEIGHT * (1 - up.places(y)), 1) + 0.0  # never -0
    return " ".join(f"{a:g},{b:g}" for a, b in zip(left, down))


def _grid(across: Axis, up: Axis) -> str:
    lines = []
    for place, text in across.ticks():
        x = f"{PLOT_WIDTH * place:.1f}"
        lines.append(f'<path class="grid" d="M{x} 0V{PLOT_HEIGHT}"/>')
        lines.append(f'<text x="{x}" y="{PLOT_HEIGHT + 18}" text-anchor="middle">{text}</text>')
    for place, text in up.ticks():
        y = PLOT_HEIGHT * (1 - place)
        lines.append(f'<path class="grid" d="M0 {y:.1f}H{PLOT_WIDTH}"/>')
        lines.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return "\n".join(lines)


def _legend(names: list[str]) -> tuple[str, int]:
    """A sample of every line beside its name, in as many rows as they need, and the number of rows."""
    entries, x, row = [], 0.0, 1
    for k, name in enumerate(names):
        width = 50 + 8.5 * len(name)
        if x and x + width > WIDTH:
            x, row = 0.0, row + 1
        y = ROW * (row + 1) - 6
        entries.append(f'<polyline class="line-{k}" points="{x:g},{y - 5} {x + 34:g},{y - 5}"/>')
        entries.append(f'<text x="{x + 40:g}" y="{y}">{escape(name)}</text>')
        x += width + 10
    return "\n".join(entries), row

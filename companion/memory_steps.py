"""A neural Turing machine at work, step by step, without a server and without a library (chapter *Neural Turing machines*).

It is one piece of HTML, made of what `companion.memory_trace.record` has kept. Every step is drawn here, as SVG; three buttons, a
slider and the arrow keys only choose which is shown, and a sentence says what happens in it. Nothing plays until it is asked to,
nor where the reader wants less motion. Where scripts are off, the first step, its sentence and a table of all steps remain.
Colours are mixed with the text's own, for light and dark pages.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

import numpy as np

from companion.memory_trace import Trace, asked, facts, require_trace, sentence
from companion.plot import BLUE, ORANGE
from companion.tree import Array

MOST_ROWS = 24  # of the memory, or the drawing is higher than a screen
VISITED = 0.05  # of a head's focus, at some step, makes a row worth showing
SHADES = 9  # of each colour

# Units of the drawing, of which a phone shows about 0.85 pixels: labels, write head, memory, read head from left to right.
LEFT, HEAD, GAP, ACROSS, HIGH, PITCH = 50, 22, 8, 280, 15, 21
MEMORY = LEFT + HEAD + GAP
READ = MEMORY + ACROSS + GAP
WIDTH = READ + HEAD + 16
TOP = 3 * PITCH + 20  # of the memory, below input, erase and add

STYLE = f"""
.memory-steps {{ color: var(--pst-color-text-base, inherit); container-type: inline-size; }}
.memory-steps {{ font-family: var(--sans, sans-serif); margin: 1rem auto; max-width: 32rem; }}
.memory-steps > p {{ font-weight: 600; margin: 0 0 0.5rem; }}
.memory-steps > svg {{ display: block; height: auto; width: 100%; }}
.memory-steps svg text {{ fill: currentColor; font-size: 14px; }}
.memory-steps .grid {{ fill: none; stroke: currentColor; stroke-opacity: 0.28; }}
.memory-steps .above {{ stroke: color-mix(in srgb, {BLUE} 70%, currentColor); stroke-width: {HIGH - 1}; }}
.memory-steps .below {{ stroke: color-mix(in srgb, {ORANGE} 70%, currentColor); stroke-width: 5; }}
.memory-steps .head {{ fill: currentColor; }}
.memory-steps .frame {{ fill: none; stroke: currentColor; stroke-width: 2; }}
.memory-steps .read {{ stroke-dasharray: 2 3; }}
.memory-steps .controls {{ display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.75rem; }}
.memory-steps button {{ background: none; border: 1px solid currentColor; border-radius: 4px; color: inherit; cursor: pointer; }}
.memory-steps button {{ font: inherit; min-height: 2.5rem; min-width: 5rem; padding: 0 0.75rem; }}
.memory-steps button:hover {{ text-decoration: underline; }}
.memory-steps label {{ display: flex; flex: 1 1 100%; flex-wrap: wrap; justify-content: space-between; margin: 0; }}
.memory-steps input {{ box-sizing: border-box; color: inherit; cursor: pointer; height: 2rem; margin: 0; width: 100%; }}
.memory-steps input {{ accent-color: color-mix(in srgb, {BLUE} 70%, currentColor); padding: 0 0.5rem; }}
.memory-steps :is(button, input):focus-visible {{ border-radius: 4px; outline: 3px solid currentColor; outline-offset: -3px; }}
.memory-steps output {{ display: block; line-height: 1.5; margin: 0.5rem 0; min-height: 10.5em; }}
@container (min-width: 28rem) {{ .memory-steps output {{ min-height: 7.5em; }} .memory-steps svg text {{ font-size: 12px; }} }}
.memory-steps .all {{ max-height: 24rem; overflow: auto; }}
.memory-steps table {{ border-collapse: collapse; font-size: 0.8rem; font-variant-numeric: tabular-nums; }}
.memory-steps caption {{ caption-side: top; color: inherit; text-align: left; }}
.memory-steps :is(th, td) {{ padding: 0.15rem 0.5rem; text-align: left; vertical-align: top; white-space: nowrap; }}
@media (prefers-reduced-motion: reduce) {{ .memory-steps .play {{ display: none; }} }}
@media (scripting: none) {{ .memory-steps .controls {{ display: none; }} }}
"""

# All of the script: it belongs to the controls and reaches no further than their own figure. What the reader does stops the play.
ON_INPUT = """
const figure = this.closest('.memory-steps'), play = figure.querySelector('.play');
if (event && play.timer) play.onclick();
const steps = figure.querySelectorAll('g[data-sentence]'), chosen = `${this.value} of ${this.max}`;
steps.forEach((step, k) => step.setAttribute('display', k + 1 == this.value ? 'inline' : 'none'));
this.setAttribute('aria-valuetext', chosen);
figure.querySelector('label b').textContent = chosen;
figure.querySelector('output').value = steps[this.value - 1].dataset.sentence;
"""
ON_STEP = """
const range = this.closest('.controls').querySelector('input');
this.className == 'back' ? range.stepDown() : range.stepUp();
range.oninput(event);
"""
ON_PLAY = """
const figure = this.closest('.memory-steps'), range = figure.querySelector('input'), starts = !this.timer;
clearInterval(this.timer);
this.timer = starts && setInterval(() => {
    range.stepUp();
    if (range.value == range.max || !this.getClientRects().length) this.onclick();
    range.oninput();
}, 1000);
this.textContent = starts ? 'Pause' : 'Play';
figure.querySelector('output').setAttribute('aria-live', starts ? 'off' : 'polite');
if (starts && range.value == range.max) { range.value = range.min; range.oninput(); }
"""
ON_KEY = """
const way = {ArrowLeft: 'back', ArrowRight: 'forward'}[event.key];
if (!way || event.target.tagName != 'BUTTON' || event.altKey || event.ctrlKey || event.metaKey) return;
event.preventDefault();
this.querySelector('.' + way).click();
"""

KEYS = 'data-lm-suppress-shortcuts="true"'  # or JupyterLab keeps the arrow keys for its notebook


class MemorySteps(NamedTuple):
    """The steps of a trace; a notebook shows the figure, and `print` the sentences."""

    trace: Trace
    title: str
    names: tuple[str, ...]  # of the steps

    def __repr__(self) -> str:
        return "\n  ".join((self.title, *self.sentences()))

    def sentences(self) -> list[str]:
        """What happens at each step."""
        return [sentence(self.trace, t, name) for t, name in enumerate(self.names)]

    def _repr_html_(self) -> str:
        T, title, sentences = len(self.names), escape(self.title), self.sentences()
        return f"""<div class="memory-steps" role="group" aria-label="{title}">
<style>{STYLE}</style>
<p>{title}</p>
{_drawing(self.trace, self.title, sentences)}
<div class="controls" onkeydown="{escape(ON_KEY)}">
<button type="button" class="back" {KEYS} onclick="{escape(ON_STEP)}">Back</button>
<button type="button" class="play" {KEYS} onclick="{escape(ON_PLAY)}">Play</button>
<button type="button" class="forward" {KEYS} onclick="{escape(ON_STEP)}">Forward</button>
<label><span>step</span> <b aria-hidden="true">1 of {T}</b> <input type="range" min="1" max="{T}" step="1" value="1" \
autocomplete="off" {KEYS} aria-valuetext="1 of {T}" oninput="{escape(ON_INPUT)}"></label>
</div>
<output aria-live="polite">{escape(sentences[0])}</output>
<details><summary {KEYS}>All steps as a table</summary>
{_table(self)}
</details>
</div>"""


def memory_steps(trace: Trace, title: str, names: Sequence[str] = ()) -> MemorySteps:
    """A figure of one sequence; `names` may say what each of its T steps is, such as "vector 3" or "answer 1".

    Of a memory of more than 24 rows, those are shown that a head has visited, at most 24. Blue is above 0, orange below, and in
    full from 1 and -1 on.

    Raises ValueError unless all arrays of the trace fit one another and are finite, weightings sum to 1, erase, outputs and
    targets are in 0 ... 1, a mask comes with targets, title is not blank, and there is a name for every step or none.
    """
    require_trace("memory_steps", trace)
    T = len(trace.xs)
    if len(names) not in (0, T):
        raise ValueError(f"memory_steps: names has {len(names)} texts, expected {T}, one for every step, or none")
    for name, text in (("title", title), *((f"names[{t}]", text) for t, text in enumerate(names))):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"memory_steps: {name} is {text!r:.60}, expected a text that is not blank")
    return MemorySteps(trace, title, tuple(names) or ("",) * T)


# --- the drawing


class Strip(NamedTuple):
    """Numbers side by side."""

    x: float  # of their left side
    y: float  # of their middle
    cell: float  # width of one
    values: Array


def _shown(trace: Trace) -> list[int]:
    """The rows of the memory that are drawn."""
    most = np.concatenate([trace.write, trace.read]).max(axis=0)
    if len(most) <= MOST_ROWS:
        return list(range(len(most)))
    visited = [int(n) for n in np.argsort(-most, kind="stable")[:MOST_ROWS] if most[n] >= VISITED]
    return sorted(visited) or [int(most.argmax())]


def _strips(trace: Trace, t: int, bottom: float) -> dict[str, Strip]:
    """What is drawn above and below the memory at step t; a number has the width of one of the memory's, if there is room."""
    M = trace.add.shape[1]
    above = {"input": trace.xs[t], "erase": trace.erase[t], "add": trace.add[t]}
    below = {"read": trace.read[t] @ trace.memory[t], "output": trace.outputs[t]}
    if trace.targets is not None:
        below["target"] = trace.targets[t]
    tops = [PITCH * k for k in range(len(above))] + [bottom + 6 + PITCH * k for k in range(len(below))]
    strips = zip(tops, (above | below).items())
    return {name: Strip(MEMORY, top + HIGH / 2, ACROSS / max(len(row), M), row) for top, (name, row) in strips}


def _drawing(trace: Trace, title: str, sentences: list[str]) -> str:
    rows, (N, M) = _shown(trace), trace.memory.shape[1:]
    bottom = TOP + HIGH * len(rows)
    strips = _strips(trace, 0, bottom)
    left_out = f"{len(rows)} of {N} rows, those that the heads visit most." if len(rows) < N else ""
    about = f"{title} In words: below the drawing. All steps: in the table. {left_out}"
    y = max(strip.y for strip in strips.values()) + 1.5 * PITCH
    names = [_text(LEFT + HEAD, strip.y + 4, name, "end") for name, strip in strips.items()]
    numbers = [_text(LEFT - 16, TOP + HIGH * (k + 0.75), str(n), "end") for k, n in enumerate(rows)]
    heads = _text(LEFT - 16, TOP - 6, "write head") + _text(WIDTH, TOP - 6, "read head", "end")
    grids = [_grid(strip) for name, strip in strips.items() if name != "target"]
    grids += [_grid(Strip(x, TOP, cell, np.empty(n)), len(rows)) for x, cell, n in _columns(M)]
    steps = [
        f'<g display="{"none" if t else "inline"}" data-sentence="{escape(text)}">{_step(trace, t, rows, bottom)}</g>'
        for t, text in enumerate(sentences)
    ]
    return f"""<svg viewBox="0 -1 {WIDTH} {y + (1.5 if left_out else 0.5) * PITCH:g}" role="img" aria-label="{escape(about)}">
{"".join(names)}{heads}{_text(MEMORY + ACROSS / 2, TOP - 6, "memory after the step", "middle")}
{"".join(numbers)}
{_legend(y)}{_text(MEMORY, y + PITCH, left_out)}
{chr(10).join(steps)}
<path class="grid" d="{"".join(grids)}"/>
</svg>"""


def _columns(M: int) -> list[tuple[float, float, int]]:
    """Left side, width of a cell and number of cells of the write head, the memory and the read head."""
    return [(LEFT, HEAD, 1), (MEMORY, ACROSS / M, M), (READ, HEAD, 1)]


def _step(trace: Trace, t: int, rows: list[int], bottom: float) -> str:
    """All that changes from one step to the next."""
    strips, extra = _strips(trace, t, bottom), ""
    if "target" in strips:
        target = strips["target"]
        extra = f'<path class="grid" d="{_grid(target)}"/>'
        if not asked(trace, t):
            extra = _text(MEMORY, strips.pop("target").y + 4, "nothing is asked")
    painted = list(strips.values())
    for k, n in enumerate(rows):
        shown = trace.write[t, n : n + 1], trace.memory[t + 1, n], trace.read[t, n : n + 1]
        columns = zip(_columns(trace.add.shape[1]), shown)
        painted += [Strip(x, TOP + HIGH * (k + 0.5), cell, values) for (x, cell, _), values in columns]
    return _paint(painted) + extra + _heads(rows, int(trace.write[t].argmax()), int(trace.read[t].argmax()))


def _heads(rows: list[int], write: int, read: int) -> str:
    """A triangle beside the row that each head stands at, and a frame around it: dashed for reading, within that of writing."""
    marks = ""
    for name, row, x, way, inset in (("write", write, LEFT - 12, 1, 0), ("read", read, READ + HEAD + 12, -1, 3)):
        if row in rows:
            y, corner = TOP + HIGH * rows.index(row), f"M{MEMORY - 2 + inset} "
            marks += f'<path class="head" d="M{x} {y + 2}l{9 * way} 5.5l{-9 * way} 5.5z"/>'
            across, high = ACROSS + 4 - 2 * inset, HIGH - 2 * inset
            marks += f'<path class="frame {name}" d="{corner}{y + inset}h{across}v{high}h{-across}z"/>'
    return marks


def _paint(strips: Iterable[Strip]) -> str:
    """Numbers as strokes, thin ones below 0: one path for every shade, and one stroke for equal neighbours."""
    paths: dict[int, str] = {}
    for x, y, cell, values in strips:
        start = 0
        for shade, run in groupby(np.rint(SHADES * np.clip(values, -1, 1)).astype(int).tolist()):
            n = len(list(run))
            if shade:
                paths[shade] = paths.get(shade, "") + f"M{_short(x + start * cell)} {_short(y)}h{_short(n * cell)}"
            start += n
    return "".join(
        f'<path class="{"above" if shade > 0 else "below"}" stroke-opacity="{abs(shade) / SHADES:.2g}" d="{d}"/>'
        for shade, d in sorted(paths.items())
    )


def _grid(strip: Strip, rows: int = 0) -> str:
    """Lines around every cell of a strip, or of so many rows that begin at its y."""
    top, n = strip.y - (0 if rows else HIGH / 2), len(strip.values)
    rows = rows or 1
    down = "".join(f"M{_short(strip.x + k * strip.cell)} {_short(top)}v{rows * HIGH}" for k in range(n + 1))
    return down + "".join(
        f"M{_short(strip.x)} {_short(top + k * HIGH)}h{_short(n * strip.cell)}" for k in range(rows + 1)
    )


def _legend(y: float) -> str:
    cell = 2 * HEAD
    scale = Strip(MEMORY + 24, y, cell, np.array([-1, -0.5, 0, 0.5, 1]))
    ends = _text(scale.x - 6, y + 4, "-1", "end") + _text(scale.x + 5 * cell + 6, y + 4, "1")
    return f'{ends}{_paint([scale])}<path class="grid" d="{_grid(scale)}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(number: float) -> str:
    return f"{round(number, 2):g}"


def _table(steps: MemorySteps) -> str:
    told = [facts(steps.trace, t) for t in range(len(steps.names))]
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("step", *told[0]))
    rows = "\n".join(
        f'<tr><th scope="row">{t + 1}{escape(name and f" {name}")}</th>'
        + "".join(f"<td>{text}</td>" for text in fact.values())
        + "</tr>"
        for t, (name, fact) in enumerate(zip(steps.names, told))
    )
    caption = "Rows are counted from 0; in brackets, how much of a head's focus is there."
    return f"""<div class="all" role="region" tabindex="0" {KEYS} aria-label="{escape(steps.title)} Table">
<table><caption>{caption}</caption>
<thead><tr>{heads}</tr></thead>
<tbody>{rows}</tbody></table></div>"""

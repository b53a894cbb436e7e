"""A timeline that needs no script, no server and no library (chapter *Why model sequences*).

It is one piece of HTML. The events are radio buttons, beside an axis on which every year has its true place; style alone shows
the sentence of the event that is chosen, with a click or the arrow keys, and a list holds all of them. So it works in a built
page and in JupyterLab, on a phone, and where scripts are off. Colours are mixed with the text's own, for light and dark pages.
"""

import zlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from companion.drawing import require_count
from companion.plot import BLUE
from companion.validate import require_kind

AXIS, ROW = 4.5, 1.9  # rem: width of the drawing, least height of an event
LINE = 2.4  # rem from the left, at which the axis stands; the numbers of its years are left of it
BESIDE = 7  # rows that a sentence has beside it, where the page is wide

STYLE = f"""
.timeline-figure {{ --chosen: color-mix(in srgb, {BLUE} 70%, currentColor); color: var(--pst-color-text-base, inherit); }}
.timeline-figure {{ container-type: inline-size; font-family: var(--sans, sans-serif); line-height: 1.4; }}
.timeline-figure {{ margin: 1rem auto; max-width: 44rem; }}
.timeline-figure > p {{ font-weight: 600; margin: 0 0 1rem; }}
.timeline-figure .events {{ display: grid; font-size: 0.95rem; grid-template-columns: {AXIS}rem 1fr; margin-bottom: 1rem; }}
.timeline-figure .event {{ display: contents; }}
.timeline-figure svg {{ grid-area: 1 / 1 / var(--end) / 2; height: 100%; overflow: visible; pointer-events: none; width: 100%; }}
.timeline-figure svg text {{ dominant-baseline: central; fill: currentColor; font-size: 0.8rem; text-anchor: end; }}
.timeline-figure line {{ stroke: currentColor; stroke-opacity: 0.45; }}
.timeline-figure circle {{ fill: currentColor; }}
.timeline-figure label {{ align-items: center; cursor: pointer; display: flex; gap: 0.5rem; margin: 0; }}
.timeline-figure label:hover span {{ text-decoration: underline; }}
.timeline-figure label:has(:focus-visible) {{ border-radius: 4px; outline: 3px solid currentColor; }}
.timeline-figure input {{ accent-color: var(--chosen); cursor: inherit; flex: none; height: 1rem; margin: 0; width: 1rem; }}
.timeline-figure .event input {{ outline: none; }}
.timeline-figure .about {{ border: 0 solid var(--chosen); border-top-width: 2px; grid-area: var(--end) / 1 / auto / -1; }}
.timeline-figure .about {{ margin: 0.75rem 0 0; padding: 0.5rem 0 0; visibility: hidden; }}
.timeline-figure .about {{ background: var(--pst-color-background, Canvas); bottom: 0; position: sticky; }}
.timeline-figure .about :is(b, cite) {{ display: block; font-style: normal; }}
.timeline-figure .about cite {{ font-size: 0.85rem; }}
.timeline-figure .event:has(:checked) .about {{ visibility: visible; }}
.timeline-figure .event:has(:checked) line {{ stroke: var(--chosen); stroke-opacity: 1; stroke-width: 3; }}
.timeline-figure .event:has(:checked) circle {{ fill: var(--chosen); r: 6px; }}
.timeline-figure .event:has(:checked) label {{ font-weight: 600; }}
.timeline-figure .event:has(:checked) svg {{ z-index: 1; }}
.timeline-figure li {{ margin-bottom: 0.4rem; }}
@container (min-width: 36rem) {{
.timeline-figure .events {{ grid-template-columns: {AXIS}rem 16rem 1fr; }}
.timeline-figure .about {{ align-self: center; border-width: 0 0 0 2px; grid-area: var(--from) / 3 / var(--to) / 4; }}
.timeline-figure .about {{ margin: 0; padding: 0 0 0 1rem; position: static; }}
}}
"""

KEYS = 'data-lm-suppress-shortcuts="true"'  # or JupyterLab keeps the arrow keys for its notebook


class Event(NamedTuple):
    """What happened in a year, who published it, and what it was about."""

    year: int
    name: str  # a few words, unlike those of the other events
    source: str  # authors and year
    sentence: str  # one or two


class Timeline(NamedTuple):
    """Events in the order of their years; a notebook shows the figure, and `print` a list.

    A page can hold several timelines, but each only once: its buttons and ids are named after what it says.
    """

    events: tuple[Event, ...]
    title: str

    def __repr__(self) -> str:
        lines = (f"  {event.year} {event.name} ({event.source}): {event.sentence}" for event in self.events)
        return "\n".join((self.title, *lines))

    def _repr_html_(self) -> str:
        n, title = len(self.events), escape(self.title)
        identity = f"timeline-{zlib.crc32(repr(self).encode()):08x}"
        low, high, step = _scale(self.events[0].year, self.events[-1].year)
        rows = "\n".join(
            _event(event, row, n, f"{100 * (event.year - low) / (high - low):.2f}%", identity)
            for row, event in enumerate(self.events)
        )
        return f"""<div class="timeline-figure">
<style>{STYLE}</style>
<p>{title}</p>
<div class="events" role="radiogroup" aria-label="{title}" \
style="--end: {n + 1}; grid-template-rows: repeat({n}, minmax({ROW}rem, 1fr)) auto">
{_axis(low, high, step)}
{rows}
</div>
<details><summary {KEYS}>All events as a list</summary>
<ul>
{_list(self.events)}
</ul>
</details>
</div>"""


def timeline(events: Iterable[Event], title: str) -> Timeline:
    """A figure of one or more events, which may come in any order; the first of them is chosen until the reader chooses.

    Raises ValueError unless years are whole numbers from 1 to 9999, texts are not blank and names differ.
    """
    _require_text("title", title)
    events = tuple(events)
    if not events:
        raise ValueError("timeline: events is empty, expected one or more")
    for k, event in enumerate(events):
        require_kind("timeline", f"events[{k}]", event, Event)
        require_count("timeline", f"events[{k}].year", event.year, 1, 9999)
        for name in ("name", "source", "sentence"):
            _require_text(f"events[{k}].{name}", getattr(event, name))
    names = [event.name for event in events]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"timeline: {names.count(name)} events have the name {name!r}, expected names that differ")
    return Timeline(tuple(sorted(events, key=lambda event: event.year)), title)


def _require_text(name: str, text: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"timeline: {name} is {text!r}, expected a text that is not blank")


def _scale(first: int, last: int) -> tuple[int, int, int]:
    """Round years around the events, at most nine, and the step from one to the next."""
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000):
        low = first // step * step
        high = max(-(-last // step) * step, low + step)
        if (high - low) // step <= 8:
            break
    return low, high, step


def _axis(low: int, high: int, step: int) -> str:
    ticks = [(f"{100 * (year - low) / (high - low):.2f}%", year) for year in range(low, high + 1, step)]
    marks = "".join(
        f'<line x1="{LINE - 0.25}rem" x2="{LINE}rem" y1="{place}" y2="{place}"/>'
        f'<text x="{LINE - 0.4}rem" y="{place}">{year}</text>'
        for place, year in ticks
    )
    return f'<svg aria-hidden="true"><line x1="{LINE}rem" x2="{LINE}rem" y1="0" y2="100%"/>{marks}</svg>'


def _event(event: Event, row: int, n: int, place: str, identity: str) -> str:
    """A radio button in its row of n, joined to its year's place on the axis, and what is shown while it is chosen."""
    about = f"{identity}-{row}"
    name = f"{event.year} {escape(event.name)}"
    first = max(0, min(row - BESIDE // 2, n - BESIDE))
    return f"""<div class="event" style="--from: {first + 1}; --to: {min(first + BESIDE, n) + 1}">
<svg aria-hidden="true"><line x1="{LINE}rem" y1="{place}" x2="100%" y2="{100 * (row + 0.5) / n:.2f}%"/>\
<circle cx="{LINE}rem" cy="{place}" r="4"/></svg>
<label style="grid-area: {row + 1} / 2"><input type="radio" name="{identity}" {"checked " if row == 0 else ""}\
autocomplete="off" aria-describedby="{about}" {KEYS}><span>{name}</span></label>
<p class="about" id="{about}"><b>{name}</b> <span>{escape(event.sentence)}</span> <cite>{escape(event.source)}</cite></p>
</div>"""


def _list(events: Sequence[Event]) -> str:
    return "\n".join(
        f"<li><b>{event.year} {escape(event.name)}</b> ({escape(event.source)}): {escape(event.sentence)}</li>"
        for event in events
    )

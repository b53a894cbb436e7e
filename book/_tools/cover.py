"""Draw the cover: a recurrent network unrolled in time, and the gradient that fades on its way back.

python book/_tools/cover.py    # writes book/_static/cover.svg
"""

from pathlib import Path

STEPS, GAP, MARGIN = 9, 96, 66
WIDTH, HEIGHT = 2 * MARGIN + (STEPS - 1) * GAP, 300
Y_OUT, Y_HIDDEN, Y_IN, Y_BACK = 58, 132, 206, 262
INK, BLUE, ORANGE = "#333333", "#0072B2", "#D55E00"


def line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    colour: str = INK,
    width: float = 1.6,
) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width:.2f}"/>'


def circle(
    x: float, y: float, radius: float, fill: str, stroke: str, opacity: float = 1
) -> str:
    style = f'fill="{fill}" fill-opacity="{opacity:.2f}" stroke="{stroke}" stroke-width="1.6"'
    return f'<circle cx="{x}" cy="{y}" r="{radius}" {style}/>'


def text(
    x: float, y: float, body: str, colour: str = INK, anchor: str = "middle"
) -> str:
    style = f'font-family="Georgia, serif" font-style="italic" font-size="15" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" fill="{colour}" {style}>{body}</text>'


def superscript(letter: str, index: str) -> str:
    return f'{letter}<tspan dy="-5" font-size="10">({index})</tspan>'


def draw() -> str:
    """The picture as SVG."""
    parts = []
    for step in range(STEPS):
        x = MARGIN + step * GAP
        index = str(step + 1) if step < STEPS - 1 else "T"
        if step:
            parts.append(line(x - GAP + 20, Y_HIDDEN, x - 20, Y_HIDDEN, BLUE, 2.4))
        parts += [
            line(x, Y_IN - 9, x, Y_HIDDEN + 20),
            line(x, Y_HIDDEN - 20, x, Y_OUT + 9),
        ]
        parts += [circle(x, Y_IN, 7, "none", INK), circle(x, Y_OUT, 7, INK, INK)]
        parts.append(
            circle(x, Y_HIDDEN, 20, BLUE, BLUE, 0.16 + 0.7 * step / (STEPS - 1))
        )
        parts += [
            text(x, Y_IN + 28, superscript("x", index)),
            text(x, Y_OUT - 18, superscript("y", index)),
        ]
        if (
            step < STEPS - 1
        ):  # the gradient of the last loss, thinner with every step back
            width = 7 * 0.68 ** (STEPS - 2 - step)
            parts.append(line(x + GAP, Y_BACK, x, Y_BACK, ORANGE, max(width, 0.3)))
    parts.append(
        text(
            MARGIN + (STEPS - 1) * GAP,
            Y_BACK + 24,
            "the gradient, on its way back",
            ORANGE,
            "end",
        )
    )
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">\n{body}\n</svg>\n'


if __name__ == "__main__":
    (Path(__file__).parents[1] / "_static" / "cover.svg").write_text(
        draw(), encoding="utf-8"
    )

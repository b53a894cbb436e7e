"""Every number on the page about scaling follows from the figures in `scaling.json`, by the formulas of the page.

`python -m tests.benchmarks.scaling FILE` measures them anew, and `python -m tests.book.test_scaling FILE` puts them into both.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BOOK = Path(__file__).parents[2] / "book"
NETWORKS = {"10 Gbit/s Ethernet": (10e9 / 8, 50e-6), "100 Gbit/s InfiniBand": (100e9 / 8, 5e-6)}  # bytes/s, s a message
BATCH = 64
PIECES = 2  # in which DistributedDataParallel sends the gradients of models of this size
Figures = dict[str, Any]


def figures() -> Figures:
    return dict(json.loads((BOOK / "scaling.json").read_text(encoding="utf-8")))


def page() -> str:
    return (BOOK / "scaling.md").read_text(encoding="utf-8")


# ---- the formulas of the page


def volume(n_parameters: int, n_processes: int) -> float:
    """Bytes that each process sends in a ring all-reduce of float32 gradients."""
    return 2 * (n_processes - 1) / n_processes * 4 * n_parameters


def seconds(recipe: Figures, batch: int, n_processes: int, network: str) -> float:
    """The estimate of an update: the share of one process, its bytes, and its messages."""
    bandwidth, latency = NETWORKS[network]
    share = float(recipe["shares"][f"{batch}/{n_processes}"])
    return share + volume(recipe["parameters"], n_processes) / bandwidth + PIECES * 2 * (n_processes - 1) * latency


def speed_up(recipe: Figures, batch: int, n_processes: int, network: str) -> float:
    """How many times as many sequences a second as one process with a batch of 64."""
    return batch / BATCH * float(recipe["shares"][f"{BATCH}/1"]) / seconds(recipe, batch, n_processes, network)


# ---- the lines of the page


def ms(value: float) -> str:
    return f"{1e3 * value:.1f}"


def measured_rows(recipes: Figures) -> Iterator[str]:
    for name, recipe in recipes.items():
        gain = recipe["one"] / recipe["two"]
        yield f"| {name} | {ms(recipe['one'])} ms | {ms(recipe['two'])} ms | {gain:.2f} | {gain / 2:.0%} |"


def volume_rows(recipes: Figures) -> Iterator[str]:
    for name, recipe in recipes.items():
        n, counted = recipe["parameters"], recipe["bytes"] / 2
        yield f"| {name} | {n:,} | {volume(n, 2) / 1e6:.2f} MB | {counted / 1e6:.2f} MB | {ms(recipe['reduce'])} ms |"


def halves(recipes: Figures) -> Iterator[str]:
    """What the formula gives for the two processes that were measured."""
    for name, recipe in recipes.items():
        share = recipe["shares"][f"{BATCH}/2"]
        yield (
            f"For `{name}` a process needs {ms(share)} ms for its half; with the average that makes "
            f"{ms(share + recipe['reduce'])} ms, and {ms(recipe['two'])} ms were measured."
        )


def assumptions(recipes: Figures) -> Iterator[str]:
    for network, (bandwidth, latency) in NETWORKS.items():
        yield f"{network}: $\\beta$ = {bandwidth / 1e9:g} GB/s, $\\lambda$ = {1e6 * latency:g} µs"


def estimate_rows(recipes: Figures) -> Iterator[str]:
    for name, recipe in recipes.items():
        for n_processes in (8, 64):
            for batch in (BATCH, BATCH * n_processes):
                cells = [ms(recipe["shares"][f"{batch}/{n_processes}"])]
                for network in NETWORKS:
                    gain = speed_up(recipe, batch, n_processes, network)
                    cells += [ms(seconds(recipe, batch, n_processes, network)), f"{gain:.1f}"]
                yield f"| {name} | {n_processes} | {batch:,} | {' | '.join(cells)} |"


def compiled_rows(recipes: Figures) -> Iterator[str]:
    for name, recipe in recipes.items():
        times = recipe["compile"]
        yield f"| {name} | {ms(times['eager'])} ms | {ms(times['compiled'])} ms | {times['first']:.0f} s |"


def short_format(recipes: Figures) -> Iterator[str]:
    if all(recipe["bfloat16"] is None for recipe in recipes.values()):
        yield "The processor measured here runs no LSTM in `bfloat16`, and the command refuses it in one line."
        return
    for name, recipe in recipes.items():
        yield f"In `bfloat16`, an update of `{name}` took {ms(recipe['bfloat16'])} ms on the processor measured here."


def machine_line(machine: Figures) -> str:
    return (
        f"They are of a machine with {machine['cores']} cores, whose load before was {machine['load_before']:.1f}, "
        f"and of PyTorch {machine['torch'].split('+')[0]}."
    )


def lines(measured: Figures) -> list[str]:
    """All that the page says in numbers of its own measurements."""
    recipes = measured["recipes"]
    rows = (measured_rows, volume_rows, assumptions, halves, estimate_rows, compiled_rows, short_format)
    return [machine_line(measured["machine"]), *(line for make in rows for line in make(recipes))]


def missing(measured: Figures, text: str) -> list[str]:
    """The lines that a text lacks."""
    return [line for line in lines(measured) if line not in text]


def unchecked(measured: Figures, text: str) -> list[str]:
    """Quantities in a text that are in none of these lines, but for code and the versions of PyTorch."""
    for line in lines(measured):
        text = text.replace(line, "")
    text = " ".join(re.sub(r"```.*?```|PyTorch [\d.]+\d", "", text, flags=re.DOTALL).split())
    return re.findall(r"\d[\d.,]*\s?(?:[mµ]?s\b|seconds|[KMG]B|%|times)|\d\.\d+", text)


def renewed(text: str, old: Figures, new: Figures) -> str:
    """A page of the old figures with the new ones."""
    for before, after in zip(lines(old), lines(new), strict=True):
        text = text.replace(before, after)
    return text


def test_the_page_has_every_number_that_follows_from_the_figures() -> None:
    assert missing(figures(), page()) == []


def test_the_page_has_no_other_measured_number() -> None:
    assert unchecked(figures(), page()) == []


def test_what_the_page_says_in_words_is_so() -> None:
    """Its conclusions, with a margin."""
    for recipe in figures()["recipes"].values():
        assert recipe["bytes"] / 2 == pytest.approx(volume(recipe["parameters"], 2), rel=0.1)
        assert recipe["compile"]["compiled"] > 0.9 * recipe["compile"]["eager"]
        for network in NETWORKS:
            assert speed_up(recipe, BATCH, 64, network) < 32
            assert speed_up(recipe, 64 * BATCH, 64, network) > speed_up(recipe, BATCH, 64, network)


def test_a_ring_sends_what_the_formula_says() -> None:
    assert [volume(100, n) for n in (1, 2, 4)] == [0, 400, 600]


def test_another_measurement_or_another_sentence_is_noticed() -> None:
    other = copy.deepcopy(figures())
    name = next(iter(other["recipes"]))
    other["recipes"][name]["two"] *= 1.5
    assert [name in line for line in missing(other, page())] == [True, True]
    assert unchecked(figures(), page() + "\nIt takes 3.5 ms, 20% less, or 1.25 of that.") == ["3.5 ms", "20%", "1.25"]
    assert missing(other, renewed(page(), figures(), other)) == []
    assert renewed(renewed(page(), figures(), other), other, figures()) == page()


if __name__ == "__main__":
    contents = Path(sys.argv[1]).read_text(encoding="utf-8")
    text = renewed(page(), figures(), json.loads(contents))
    (BOOK / "scaling.md").write_text(text, encoding="utf-8")
    (BOOK / "scaling.json").write_text(contents, encoding="utf-8")

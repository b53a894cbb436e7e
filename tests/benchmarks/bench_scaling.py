"""Seconds of an update with one process and with two, what they send, and what torch.compile and bfloat16 do to it."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.scaling import measured


def test_update_of_every_recipe(benchmark: Any, capsys: Any) -> None:
    figures = benchmark.pedantic(measured, rounds=1)
    with capsys.disabled():
        print(f"\nload before {figures['machine']['load_before']:.1f}, after {figures['machine']['load_after']:.1f}")
        for name, recipe in figures["recipes"].items():
            report(name, recipe)


def report(name: str, recipe: dict[str, Any]) -> None:
    """The figures of a recipe; milliseconds of an update."""
    one, two, times = recipe["one"], recipe["two"], recipe["compile"]
    print(f"{name}: {1e3 * one:.1f} ms with one process, {1e3 * two:.1f} ms with two: {one / two:.2f} x the speed")
    if recipe["bytes"] is not None:
        print(f"  each sends {recipe['bytes'] / 2e6:.2f} MB; a ring would {4 * recipe['parameters'] / 1e6:.2f} MB")
    print("  share of one process by batch/processes: ", end="")
    print(", ".join(f"{share} {1e3 * seconds:.1f} ms" for share, seconds in recipe["shares"].items()))
    print(f"  torch.compile: {1e3 * times['compiled']:.1f} ms, as it is {1e3 * times['eager']:.1f} ms")
    short = recipe["bfloat16"]
    print(f"  bfloat16: {'not on this processor' if short is None else f'{1e3 * short:.1f} ms'}")

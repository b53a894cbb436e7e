"""A pytest plugin (`-p tests.book.budget`): what each chapter cost when nbval ran it, beside its budget.

It reports and never fails: a slow machine is no fault of the chapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

SECONDS = 90.0
MEGABYTES = 2000.0


@dataclass
class Cost:
    """What one chapter used."""

    cells: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0


def peak_megabytes(pid: int, proc: Path = Path("/proc")) -> float:
    """The most memory a process has held; without /proc, what it holds now."""
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000
    except (OSError, StopIteration):
        try:
            return float(psutil.Process(pid).memory_info().rss) / 1e6
        except psutil.Error:
            return 0.0


def kernel_pid(item: Any) -> int | None:
    """The process that runs an nbval cell; None for any other test."""
    kernel: Any = getattr(item.parent, "kernel", None)
    return None if kernel is None else getattr(kernel.km.provisioner, "pid", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Sample after each cell, while its kernel lives; user_properties cross from xdist's workers."""
    try:
        return (yield)
    finally:
        pid = kernel_pid(item)
        if pid:
            item.user_properties.append(("kernel_megabytes", peak_megabytes(pid)))


def costs(reports: list[Any]) -> dict[str, Cost]:
    """The chapters in these test reports."""
    table: dict[str, Cost] = {}
    for report in reports:
        path = report.nodeid.split("::")[0]
        if not path.endswith(".ipynb"):
            continue
        cost = table.setdefault(Path(path).stem, Cost())
        cost.cells += report.when == "call"
        cost.seconds += report.duration
        # Properties stay on the item, so later phases repeat them: a maximum does not mind.
        cost.megabytes = max([cost.megabytes, *(value for key, value in report.user_properties if "megabytes" in key)])
    return table


def rows(table: dict[str, Cost]) -> Iterator[str]:
    """The table's lines."""
    width = max([len("all"), *map(len, table)])
    yield f"{'chapter':{width}} {'cells':>6} {'seconds':>8} {'MB':>6}   budget {SECONDS:.0f} s, {MEGABYTES:.0f} MB"
    for name, cost in sorted(table.items()):
        over = [
            what for what, high in (("time", cost.seconds > SECONDS), ("memory", cost.megabytes > MEGABYTES)) if high
        ]
        mark = f"   over budget: {' and '.join(over)}" if over else ""
        yield f"{name:{width}} {cost.cells:>6} {cost.seconds:>8.1f} {cost.megabytes:>6.0f}{mark}"
    yield f"{'all':{width}} {sum(c.cells for c in table.values()):>6} {sum(c.seconds for c in table.values()):>8.1f}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table after the results."""
    reports = [report for group in terminalreporter.stats.values() for report in group if hasattr(report, "when")]
    table = costs(reports)
    if table:
        terminalreporter.section("cost of the chapters")
        for line in rows(table):
            terminalreporter.write_line(line)

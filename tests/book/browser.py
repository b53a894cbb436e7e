"""A Chrome or Chromium for the tests that look at the built pages.

`find_browser()` only looks. `python -m tests.book.browser` also tries to get one, says what it found, and
always exits 0: without a browser those tests skip, and everything else still runs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HOW_TO_GET_ONE = (
    "no Chrome or Chromium found: install either, or run `python -m playwright install --with-deps chromium`, "
    "or set CHROME_PATH to its executable"
)

# The first line is for containers (no user namespaces, no GPU), the others keep the browser from talking to anyone.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def starts(executable: Path) -> bool:
    """Whether it runs at all: a download may lack system libraries, and a packaged stub may only print advice."""
    try:
        done = subprocess.run([executable, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def playwright_executable() -> Path:
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def find_browser() -> Path | None:
    """The first browser that starts: CHROME_PATH, an installed one, Playwright's own; None when there is none."""
    installed = [os.environ.get("CHROME_PATH"), *map(shutil.which, NAMES), *MAC_APPS]
    for candidate in filter(None, installed):
        if starts(Path(candidate)):
            return Path(candidate)
    own = playwright_executable()
    return own if own.exists() and starts(own) else None


def quietly(command: list[str], seconds: int, **environment: str) -> bool:
    """Run a command whose failure is expected on many machines, without a word and not for ever."""
    try:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def download_with_playwright() -> bool:
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return quietly(command, seconds=300, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT="5000")


def install_with_apt() -> bool:
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
    return quietly(["apt-get", "update"], seconds=300) and quietly(
        install, seconds=900, DEBIAN_FRONTEND="noninteractive"
    )


def prepare_browser() -> Path | None:
    for get_one in (download_with_playwright, install_with_apt):
        if found := find_browser():
            return found
        get_one()
    return find_browser()


if __name__ == "__main__":
    browser = prepare_browser()
    print(f"browser for the page tests: {browser}" if browser else HOW_TO_GET_ONE)

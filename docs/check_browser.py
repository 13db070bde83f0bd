"""Open the built site in headless Chromium, offline, and run a lesson: `check_browser.py FOLDER`.

The folder is served on this machine, and Chromium reaches no other. Lesson 2 must learn the weights
of AND, [-3, 2, 1], in the browser, after its code was changed, and show its picture.

XPNN_CHROMIUM, XPNN_CHROMEDRIVER   where they are (chromium, chromedriver)
"""

import functools
import os
import shutil
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

LESSON = "lessons/plot_2_perceptron.html"
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, says nothing, and counts what it has not."""

    missing: list[str] = []  # noqa: RUF012  # one server, one list

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Note what is missing."""
        self.missing.append(f"{code} {self.path}")
        super().send_error(code, message, explain)


def serve(folder: Path) -> ThreadingHTTPServer:
    """A server of `folder` on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def open_chromium(width: int = 1280, height: int = 900) -> webdriver.Chrome:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(os.environ.get("XPNN_CHROMIUM", "chromium")) or ""
    for option in (*OPTIONS, f"--window-size={width},{height}"):
        options.add_argument(option)
    driver = shutil.which(os.environ.get("XPNN_CHROMEDRIVER", "chromedriver"))
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def run_lesson(driver: webdriver.Chrome, seconds: float) -> str:
    """Press the button, change a cell, run all; returns the text that the cells printed."""
    driver.find_element(By.CSS_SELECTOR, ".try-begin").click()
    first = driver.find_element(By.CSS_SELECTOR, ".try-cell textarea")
    first.send_keys("\nimport sys; print('in the browser:', sys.platform)")
    driver.find_element(By.CSS_SELECTOR, ".try-all").click()
    status = driver.find_element(By.CSS_SELECTOR, ".try-status")
    WebDriverWait(driver, seconds).until(
        lambda _: status.text.startswith(("Ready.", "A cell", "Python cannot"))
    )
    return "\n".join(output.text for output in driver.find_elements(By.CSS_SELECTOR, ".try-output"))


def main() -> int:
    """Run lesson 2 and look at what it says."""
    folder = Path(sys.argv[1]).resolve()
    if not (folder / "browser" / "packages.json").is_file():
        sys.exit(f"{folder} has no Python for the browser: run docs/browser.py and build again")
    server, driver = serve(folder), open_chromium()
    try:
        driver.get(f"http://127.0.0.1:{server.server_port}/{LESSON}")
        began = time.perf_counter()
        text = run_lesson(driver, 300)
        pictures = len(driver.find_elements(By.CSS_SELECTOR, ".try-output img"))
        status = driver.find_element(By.CSS_SELECTOR, ".try-status").text
    finally:
        driver.quit()
        server.shutdown()
    wanted = ("in the browser: emscripten", "learned, bias first: [-3, 2, 1]")
    found = [sentence in text for sentence in wanted]
    seconds = time.perf_counter() - began
    print(f"lesson 2 in the browser: {seconds:.1f} s, {pictures} pictures, {status}")
    if all(found) and pictures and not Quiet.missing:
        return 0
    print(text, *Quiet.missing, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

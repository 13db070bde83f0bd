"""Open the built site in headless Chromium, offline: every page fits a phone, and lessons run.

    python docs/check_browser.py FOLDER [LESSON...]

The folder is served on this machine, and Chromium reaches no other. Each page is laid out in the
width of a phone, where nothing but code and tables may go on to the right. Each lesson is run on
its page, after its code was changed: it must print its numbers, such as the weights of AND in
lesson 2, [-3, 2, 1], and draw as many pictures as the page has.

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

PRINTED = {
    1: ("sums  [2006.   403.5   63. ]", "AND of 1 and 1 is 1.0"),
    2: ("learned, bias first: [-3, 2, 1]",),
    3: ("signed 0.0 absolute 2.0", "0.000509796  0.677421  1.70258"),
    4: ("output 0.7708, error 0.29645", "0.3 - 0.5 * 0.0995 = 0.2503", "wrong rows: 0"),
    5: ("after 959 steps 0.2977", "sine  8 of 8 rows right", "tanh  8 of 8 rows right"),
    6: ("sigmoid  slope 0.235 at 0.5, after ten layers 5.1e-07",),
    7: ("values of the mask [0. 2.] | deltas of silent units [0.]",),
    8: ("masks equal to the bit: True", "same answers 120 of 120"),
    9: ("1347 digits to learn from, 450 to be tested on", "% right after"),
}
PHONE = 390
"""Pixels, of most of today's phones."""
TOO_WIDE = """
const [addresses, width, done] = arguments;
const look = (address) => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-same-origin"; // no scripts: the layout alone
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => {
    const page = frame.contentDocument;
    const scrolls = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
    const wide = [page.documentElement, ...page.querySelectorAll("main *")].filter((e) =>
      e.scrollWidth > e.clientWidth + 1 && !e.closest("pre, table, dialog, .bd-sidebar-secondary")
      && (e === page.documentElement || scrolls(e)));
    const told = wide.map((e) => `${e.localName}.${e.className} is ${e.scrollWidth} wide`);
    frame.remove();
    resolve(told.length ? `${address} on a phone: ${told[0]}` : "");
  };
  frame.src = address;
  document.body.append(frame);
});
(async () => {
  const found = [];
  for (const address of addresses) found.push(await look(address));
  done(found.filter(Boolean));
})();
"""
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
    driver.execute_script("scrollTo(0, 0)")  # the bar may lie below the header
    driver.find_element(By.CSS_SELECTOR, ".try-all").click()
    status = driver.find_element(By.CSS_SELECTOR, ".try-status")
    WebDriverWait(driver, seconds).until(
        lambda _: status.text.startswith(("Ready.", "A cell", "Python cannot"))
    )
    return "\n".join(output.text for output in driver.find_elements(By.CSS_SELECTOR, ".try-output"))


def fault(driver: webdriver.Chrome, address: str, number: int) -> str:
    """Run a lesson and say what is wrong with it, or ''."""
    driver.get(address)
    wanted = len(driver.find_elements(By.CSS_SELECTOR, "article img"))
    began = time.perf_counter()
    text = run_lesson(driver, 300)
    seconds = time.perf_counter() - began
    pictures = len(driver.find_elements(By.CSS_SELECTOR, ".try-output img"))
    status = driver.find_element(By.CSS_SELECTOR, ".try-status").text
    print(f"lesson {number}: {seconds:.1f} s, {pictures} pictures, {status}", flush=True)
    sentences = ("in the browser: emscripten", *PRINTED[number])
    lacking = [f"it does not print {sentence!r}" for sentence in sentences if sentence not in text]
    if pictures != wanted:
        lacking.append(f"it draws {pictures} pictures, the page has {wanted}")
    return "\n".join([*lacking, text]) if lacking else ""


def too_wide(driver: webdriver.Chrome, folder: Path, address: str) -> list[str]:
    """The pages of `folder` that a phone does not show whole, with what sticks out."""
    pages = sorted(p.relative_to(folder) for p in folder.rglob("*.html"))
    pages = [p for p in pages if p.parts[0] not in ("_static", "browser")]
    driver.get(f"{address}/search.html")  # any page: frames are of the same origin
    driver.set_script_timeout(600)
    began = time.perf_counter()
    found = driver.execute_async_script(TOO_WIDE, [f"/{p.as_posix()}" for p in pages], PHONE)
    print(f"{len(pages)} pages on a phone: {time.perf_counter() - began:.1f} s", flush=True)
    return found


def from_disk(driver: webdriver.Chrome, page: Path) -> list[str]:
    """A lesson whose file is opened has no Python, and its button says what to do."""
    driver.get(page.as_uri())
    driver.find_element(By.CSS_SELECTOR, ".try-begin").click()
    told = driver.find_element(By.CSS_SELECTOR, ".try-status").text
    return [] if "python -m http.server" in told else [f"opened from the disk it says {told!r}"]


def main() -> int:
    """Look at all pages, run the lessons, and look at what they print."""
    folder = Path(sys.argv[1]).resolve()
    chosen = [int(number) for number in sys.argv[2:]] or list(PRINTED)
    if not (folder / "browser" / "packages.json").is_file():
        sys.exit(f"{folder} has no Python for the browser: run docs/browser.py and build again")
    server, driver = serve(folder), open_chromium()
    address, faults = f"http://127.0.0.1:{server.server_port}", []
    try:
        faults += too_wide(driver, folder, address)
        faults += from_disk(driver, next(folder.glob("lessons/plot_1_*.html")))
        for number in chosen:
            (page,) = folder.glob(f"lessons/plot_{number}_*.html")
            faults.append(fault(driver, f"{address}/lessons/{page.name}", number))
    finally:
        driver.quit()
        server.shutdown()
    print(*filter(None, faults), *Quiet.missing, sep="\n")
    return int(any(faults) or bool(Quiet.missing))


if __name__ == "__main__":
    sys.exit(main())

"""Whether every link inside the built site leads somewhere: `python docs/links.py FOLDER`.

Links to other sites are not followed; that they are https is looked at. Nothing may be loaded from
another site: the folder is read offline. And no page shows markup as it was written, or what only
the building machine has: addresses of objects, paths of its modules.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src")}
NOT_LOADED = ("canonical", "alternate", "author")  # a link's rel
RAW = re.compile(r"object at 0x|<module '|/site-packages/|^\.\. [a-z-]+::|:[a-z]+:`", re.M)


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links, self.text = {"", "top"}, [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list) -> None:
        """Note anchors and links."""
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        for name in ("href", "src"):
            if values.get(name):
                loaded = (tag, name) in LOADED and values.get("rel") not in NOT_LOADED
                self.links.append((values[name], loaded))
        for each in (values.get("srcset") or "").split(","):
            if each.strip():
                self.links.append((each.split()[0], True))

    def handle_data(self, data: str) -> None:
        """Note what a reader sees."""
        self.text += data


def problem(root: Path, pages: dict[Path, Page], page: Path, link: str, loaded: bool) -> str:
    """What is wrong with a link, or ''."""
    parts = urlsplit(link)
    if parts.scheme in ("mailto", "data", "javascript"):
        return ""
    if parts.netloc:
        if loaded:
            return "is loaded from another site"
        return "" if parts.scheme == "https" else "is not https"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "leads nowhere"
    if not target.is_relative_to(root):
        return "leads out of the site"
    if target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "has no such anchor"
    return ""


def main() -> int:
    """Check all pages of a folder."""
    root = Path(sys.argv[1]).resolve()
    pages = {
        path: Page(path) for path in sorted(root.rglob("*.html")) if "_static" not in path.parts
    }
    wrong = checked = 0
    for path, page in pages.items():
        for found in RAW.finditer(page.text):
            wrong += 1
            print(f"{path.relative_to(root)} shows {page.text[found.start() :][:60]!r}")
        for link, loaded in page.links:
            checked += 1
            if told := problem(root, pages, path, link, loaded):
                wrong += 1
                print(f"{path.relative_to(root)}: {link} {told}")
    print(f"{len(pages)} pages, {checked} links, {wrong} wrong")
    return int(wrong > 0 or not pages)


if __name__ == "__main__":
    sys.exit(main())

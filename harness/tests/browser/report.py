"""Opens pages of `assay report --format html` as a person would, and as an attacker hopes somebody does.

    report.py read PAGE…               by Python's own reader of HTML: nothing is loaded, one script, links within
    report.py open PICTURES PAGE…      in a headless Chromium, with pictures of what was seen
"""

import collections
import html.parser
import os
import sys
import time

from chromium import Browser, Failed

WIDE, NARROW, PAPER = (1280, 900), (390, 844), (794, 1123)
# What needs a look, else any cell that ran.
CELL = "#cells > .cell"
LOADING = {"src", "srcset", "data", "action", "formaction", "poster", "background", "ping", "style", "srcdoc"}


def check(holds, what):
    if not holds:
        raise Failed(what)


class Reader(html.parser.HTMLParser):
    """Counts elements, and fails at whatever loads, runs or leads away."""

    def __init__(self):
        super().__init__()
        self.elements = collections.Counter()

    def handle_starttag(self, tag, attributes):
        self.elements[tag] += 1
        for name, value in attributes:
            check(name not in LOADING and not name.startswith("on"), f"<{tag} {name}>")
            leads = name != "href" or value.startswith("#") or value == "data:,"
            check(leads, f"<{tag} href={value}>")


def read(path):
    """The elements of a page, by name."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    reader = Reader()
    reader.feed(text)
    reader.close()
    check(reader.elements["script"] == 1 and reader.elements["style"] == 1, "one script and one style")
    check("default-src 'none'" in text, "a policy")
    seen = ", ".join(f"{reader.elements[name]:,} {name}" for name in ["details", "tr", "a", "code"])
    print(f"{os.path.basename(path)}: {len(text.encode()):,} bytes, {sum(reader.elements.values()):,} elements: {seen}")
    return reader.elements


class Visit:
    """One page in the browser, and where its pictures go."""

    def __init__(self, browser, path, pictures):
        self.browser = browser
        self.url = "file://" + os.path.abspath(path)
        name = os.path.basename(os.path.dirname(path)) if path.endswith("page.html") else os.path.basename(path)
        self.prefix = os.path.join(pictures, name.split(".")[0].replace("assay_report__html__tests__", ""))
        self.path = path

    def open(self):
        started = time.monotonic()
        self.browser.open(self.url)
        return time.monotonic() - started

    def picture(self, name, whole=False):
        self.browser.picture(f"{self.prefix}-{name}.png", whole)

    def active(self, selector):
        """True if what has the focus is, or is in, such an element."""
        return self.browser.ask(f"!!document.activeElement.closest({selector!r})")

    def count(self, selector):
        return self.browser.ask(f"document.querySelectorAll({selector!r}).length")

    def seen(self, selector):
        """How many such elements take room that somebody sees."""
        return self.browser.ask(
            f"[...document.querySelectorAll({selector!r})].filter((one) => one.checkVisibility() && one.getClientRects().length).length"
        )

    def is_quiet(self):
        """Nothing was asked for but the page, and nothing was complained of."""
        asked = [url for url in self.browser.requests if url != self.url and not url.startswith(("about:", "data:"))]
        check(not asked, f"asked for {asked}")
        said = self.browser.console + self.browser.exceptions
        check(not said, f"said {said}")


def as_written(visit, elements):
    """The browser sees the elements that are written, and makes none of what is text."""
    names = visit.browser.ask("[...document.querySelectorAll('*')].map((one) => one.localName)")
    found = collections.Counter(names)
    check(found == elements, f"other elements: {found - elements} {elements - found}")


def by_mouse(visit):
    """From the matrix to a cell, to an op of it, to what that did that only root may do."""
    browser = visit.browser
    link = "#matrix td.bad a" if visit.count("#matrix td.bad a") else "#matrix td a"
    browser.click(link)
    check(browser.ask("location.hash").startswith("#c"), "the link leads to a cell")
    check(visit.active(".cell[open] > summary"), "its cell is open and has the focus")
    cell = browser.ask("'#' + document.activeElement.closest('.cell').querySelector('.body').id")
    op = f"{cell} .op:has(.seen)"
    if not visit.count(op):
        op = f"{cell} .op"
    if visit.count(op):
        visit.picture("cell")
        browser.click(f"{op} > summary")
        check(visit.count(f"{cell} .op[open]") == 1, "an op opens")
        for part in ["seen", "programs", "files", "output"]:
            inside = f"{cell} .op[open] .{part}"
            if visit.count(inside):
                browser.click(f"{inside} > summary")
                check(visit.seen(f"{inside}[open] > :not(summary)"), f"its {part} are shown")
        visit.picture("op")
    if visit.count(f"{cell} .review td.step a"):
        browser.ask(f"document.querySelectorAll('{cell} .op').forEach((one) => one.open = false)")
        browser.click(f"{cell} .review td.step a")
        check(visit.active(".op[open] > summary"), "an operation leads to its op")


def by_keys(visit):
    browser = visit.browser
    visit.open()
    browser.press("m")
    check(visit.active("#matrix td"), "m goes to the matrix")
    places = []
    for key in ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]:
        browser.press(key)
        check(visit.active("#matrix td"), f"{key} stays in the matrix")
        places.append(browser.ask("document.activeElement.hash"))
    if visit.count("#matrix td a") > 1:
        check(len(set(places)) > 1, f"arrows move: {places}")
    browser.press("Enter")
    check(visit.active(".cell[open] > summary"), "Enter opens the cell")
    browser.press("j")
    if visit.count(f"{CELL}[open] .op"):
        check(visit.active(".op > summary"), "j goes to the first op")
        browser.press("Enter")
        check(visit.count(".op[open]") == 1, "Enter opens it")
        browser.press("Escape")
        check(visit.count(".op[open]") == 0, "Escape closes it")
        browser.press("k")
    browser.press("o")
    inside = "document.activeElement.closest('.cell').querySelectorAll"
    check(browser.ask(f"{inside}('details:not([open])').length") == 0, "o opens everything of the cell")
    browser.press("o")
    check(browser.ask(f"{inside}('details[open]').length") == 0, "o closes it again")
    if visit.count(f"{CELL}:is(.bad, .warn)"):
        browser.ask("document.activeElement.blur()")
        browser.press("n")
        check(visit.active(".cell:is(.bad, .warn) > summary"), "n goes to what needs a look")
    browser.press("?")
    check(browser.ask("document.getElementById('help').open"), "? shows the keys")
    visit.picture("keys")
    browser.press("Escape")
    check(not browser.ask("document.getElementById('help').open"), "Escape closes them")
    browser.press("/", *"zzqqzz")
    browser.ask("new Promise((done) => setTimeout(done, 200))")
    check(visit.seen(CELL) == 0, "the filter finds nothing of what is not there")
    browser.press("Escape")
    check(visit.seen(CELL) == visit.count(CELL), "Escape brings everything back")
    # A keyboard alone: from the top every stop of the tab key can be seen.
    browser.ask("scrollTo(0, 0), document.activeElement.blur()")
    stops = set()
    for _ in range(12):
        browser.press("Tab")
        stops.add(browser.ask("document.activeElement.outerHTML.slice(0, 80)"))
        check(browser.ask("getComputedStyle(document.activeElement).outlineStyle") != "none", "the focus is seen")
    check(len(stops) > 6, f"the tab key moves: {stops}")


def without_script(visit):
    browser = visit.browser
    browser.scripts(False)
    visit.open()
    check(visit.seen(CELL) == visit.count(CELL), "every cell is there without a script")
    check(visit.seen(".script") == 0, "nothing is offered that does not work")
    browser.click("#matrix td a")
    check(visit.count(f"{CELL}[open]") >= 1, "a link opens its cell")
    if visit.count(f"{CELL}:is(.good, .mute)"):
        browser.click("#only")
        check(visit.seen(f"{CELL}:is(.good, .mute)") == 0, "what needs no look is out of sight")
    browser.scripts(True)


def in_every_light(visit):
    """Light, dark, narrow, and on paper."""
    browser = visit.browser
    visit.open()
    browser.ask("scrollTo(0, 0)")
    grounds = {}
    for scheme in ["light", "dark"]:
        browser.theme(scheme)
        grounds[scheme] = browser.ask("getComputedStyle(document.body).backgroundColor")
        visit.picture(f"top-{scheme}")
    check(grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 18, 22)"}, f"grounds: {grounds}")
    link = "#matrix td.bad a" if visit.count("#matrix td.bad a") else "#matrix td a"
    browser.click(link)
    visit.picture("cell-dark")
    browser.theme("light")
    browser.ask("document.querySelectorAll('details').forEach((one) => one.open = true)")
    for size, name in [(NARROW, "narrow"), (WIDE, "wide")]:
        browser.size(*size)
        over = browser.ask("document.documentElement.scrollWidth - innerWidth")
        check(over <= 0, f"{name}: {over} pixels beyond the window")
        if name == "narrow":
            browser.click(link)
            visit.picture("narrow-cell")
            browser.click(".tools a[href='#matrix']")
            visit.picture("narrow-matrix")
    visit.open()
    data = browser.print(f"{visit.prefix}.pdf")
    check(data.startswith(b"%PDF-"), "a PDF")
    pages = data.count(b"/Type /Page\n") or data.count(b"/Type /Page")
    browser.media("print")
    browser.size(*PAPER)
    urgent = f"{CELL}:is(.bad, .warn) .review"
    check(visit.seen(urgent) == visit.count(urgent), "on paper the reviewer's screen is open where there is need")
    check(visit.seen(".tools") == 0, "and no tools")
    visit.picture("paper-top")
    browser.ask("document.querySelector('.review')?.closest('.cell').scrollIntoView()")
    visit.picture("paper-cell")
    browser.media("")
    browser.size(*WIDE)
    return pages


def under_attack(visit):
    """Markup that got in after all: the policy lets none of it run or ask."""
    browser = visit.browser
    visit.open()
    browser.requests.clear()
    markup = (
        "<img src='https://a.invalid/x' onerror='owned = 1'><iframe srcdoc='<script>top.owned = 1</script>'></iframe>"
        "<a id='out' href='javascript:owned = 1'>x</a><style>body { display: none }</style>"
        "<svg onload='owned = 1'></svg><link rel='stylesheet' href='https://a.invalid/y.css'>"
    )
    browser.ask(f"document.body.insertAdjacentHTML('beforeend', {markup!r}), document.getElementById('out').click()")
    browser.ask("document.head.append(Object.assign(document.createElement('script'), {textContent: 'owned = 1'}))")
    browser.ask("new Promise((done) => setTimeout(done, 300))")
    check(browser.ask("typeof owned") == "undefined", "nothing runs")
    check(browser.ask("getComputedStyle(document.body).display") == "block", "nothing styles")
    check(len(browser.console) >= 4, f"the policy says why: {browser.console}")
    left = [url for url in browser.requests if "a.invalid" in url and url not in browser.blocked]
    check(not left, f"nothing is asked for: {left}")
    browser.console.clear()
    browser.exceptions.clear()
    browser.requests.clear()


def look(path, pictures):
    elements = read(path)
    with Browser() as browser:
        visit = Visit(browser, path, pictures)
        browser.size(*WIDE)
        browser.theme("light")
        seconds = visit.open()
        as_written(visit, elements)
        by_mouse(visit)
        by_keys(visit)
        without_script(visit)
        pages = in_every_light(visit)
        visit.is_quiet()
        under_attack(visit)
    print(f"    opened in {seconds:.2f} s, {pages} pages on paper; nothing asked for, nothing complained of")


def main():
    verb, *words = sys.argv[1:]
    if verb == "read":
        for path in words:
            read(path)
    else:
        pictures, *pages = words
        for path in pages:
            look(path, pictures)


if __name__ == "__main__":
    main()

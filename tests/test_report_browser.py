"""The report in a real browser: Debian's Chromium, driven by playwright."""

import random
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import pytest

from xenp2m import P2M, Kind, Run
from xenp2m.maps.account import account_of
from xenp2m.maps.mapdiff import compare
from xenp2m.sources.source import Guest, Origin, Source
from xenp2m.views.page.comparison import comparison_of
from xenp2m.views.page.content import Lane, report_of_source
from xenp2m.views.page.html import page as written

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (as root: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Open a file; what the console says and what it asks the network for are errors at the end."""
    troubles, pages = [], []

    def opened(path, *, width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab = context.new_page()
        tab.on("console", lambda said: troubles.append(said.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda asked: None if asked.url == path.as_uri() else troubles.append(asked.url))
        tab.goto(path.as_uri())
        pages.append(context)
        return tab

    yield opened
    for context in pages:
        context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "plan.html"
    subprocess.run([sys.executable, "-m", "xenp2m", "report", "-o", str(path)], check=True)
    return path


def source_of(runs, name="vm.core"):
    return Source(Origin(name, "xen core, PV", 4096, "0" * 64), Guest(), P2M(runs))


def source_report(source):
    return report_of_source(source, account_of(source), [])


def shattered(extents=200_000, pages=84):
    """A map of 64 GiB in many extents, scattered over the machine."""
    places = list(range(extents))
    random.Random(7).shuffle(places)
    runs, position = [], 0
    for index, place in enumerate(places):
        length = pages - (index % 5)
        kind = Kind.FOREIGN if index % 5000 == 77 else Kind.MFN
        runs.append(Run(position, position + length, kind, place * pages, 1))
        position += length
    return [*runs, Run(position, 1 << 24, Kind.MISSING), Run(1 << 24, 1 << 27, Kind.IDENTITY)]


@pytest.fixture(scope="module")
def pair_file(tmp_path_factory):
    """A guest before a balloon took memory from it, against the same guest afterwards."""
    path = tmp_path_factory.mktemp("report") / "pair.html"
    before = P2M([Run(0, 4096, Kind.MFN, 8192, 1), Run(4096, 8192, Kind.MISSING)])
    after = P2M(
        [Run(0, 2048, Kind.MFN, 8192, 1), Run(2048, 8191, Kind.MISSING), Run(8191, 8192, Kind.FOREIGN, 5, 1)]
    )
    report = replace(
        source_report(Source(Origin("vm.core", "xen core, PV"), Guest(), before)),
        comparison=comparison_of((before, after), compare(before, after), ("vm.core", "later.core")),
    )
    path.write_bytes(written(report, "0"))
    return path


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "large.html"
    path.write_bytes(written(source_report(source_of(shattered())), "0"))
    return path


def view(tab):
    return tuple(int(tab.get_attribute("#strip", f"data-{side}")) for side in ("from", "to"))


def rows(tab):
    return [
        tab.locator(f"#table tbody tr:nth-child({n}) td").all_inner_texts()
        for n in range(1, tab.locator("#table tbody tr").count() + 1)
    ]


def starts(tab):
    return [int(row[0].split(" – ")[0], 16) for row in rows(tab)]


def test_search_for_a_pfn(open_page, plan_file):
    tab = open_page(plan_file)
    tab.fill("#query", "0x40010")
    tab.click("#search button")
    told = tab.inner_text("#place")
    assert "PFN 0x40010" in told
    assert "MFN 0x1700af" in told
    assert "97 frames moved from 0x9f - 0x100" in told
    start, end = view(tab)
    assert start <= 0x40000 < 0x40061 <= end < 0x40400
    assert tab.inner_text("#table tr.hit td:first-child") == "0x40000 – 0x40061"
    assert not tab.is_visible("#pager")


def test_search_for_an_mfn_and_an_address(open_page, plan_file):
    tab = open_page(plan_file)
    tab.fill("#query", "mfn:0x1700af")
    tab.press("#query", "Enter")
    assert "PFN 0x40010" in tab.inner_text("#place")
    tab.select_option("#space", "addr")
    tab.fill("#query", "0x9f123")
    tab.press("#query", "Enter")
    assert "PFN 0x9f" in tab.inner_text("#place")
    tab.fill("#query", "1029M")
    tab.press("#query", "Enter")
    assert "PFN 0x40500" in tab.inner_text("#place")
    assert "room to grow" in tab.inner_text("#place")


@pytest.mark.parametrize(("asked", "told"), [
    ("nonsense<b>", "Not understood: nonsense<b>"),
    ("mfn:0xa0", "PFN 0xa0 "),
    ("mfn:0x5", "behind no PFN"),
    ("0xffffffffff", "beyond the end of the map (0x8000000): identity"),
    ("99999999999999999", "Not understood"),
    ("0xffffffffffffff", "too large"),
])  # fmt: skip
def test_searches_at_the_edges(open_page, plan_file, asked, told):
    tab = open_page(plan_file)
    tab.fill("#query", asked)
    tab.press("#query", "Enter")
    assert told in tab.inner_text("#place")


def test_zoom_with_buttons_keys_and_wheel(open_page, plan_file):
    tab = open_page(plan_file)
    assert view(tab) == (0, 0x180000)
    tab.click("[data-do=all]")
    assert view(tab) == (0, 0x8000000)
    tab.click("[data-do=memory]")
    tab.click("[data-do=in]")
    assert view(tab) == (0x60000, 0x120000)
    tab.focus("#strip")
    tab.keyboard.press("ArrowLeft")
    assert view(tab) == (0x30000, 0xF0000)
    tab.keyboard.press("-")
    assert view(tab)[1] - view(tab)[0] == 0x180000
    tab.keyboard.press("End")
    assert view(tab) == (0, 0x8000000)
    tab.keyboard.press("Home")
    box = tab.locator("#strip").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + 90)
    tab.mouse.wheel(0, -300)
    tab.wait_for_function("document.getElementById('strip').dataset.to < 0x180000")
    start, end = view(tab)
    assert start < 0x60000 < end
    assert abs((0x60000 - start) / (end - start) - 0.25) < 0.01


def test_drag_and_point(open_page, plan_file):
    tab = open_page(plan_file)
    tab.click("[data-do=in]")
    start, _ = view(tab)
    box = tab.locator("#strip").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + 90
    tab.mouse.move(*middle)
    assert "PFN 0xc0" in tab.inner_text("#place")
    tab.mouse.down()
    tab.mouse.move(middle[0] + 200, middle[1])
    tab.mouse.up()
    assert view(tab)[0] < start


def test_the_legend_tells_what_is_in_view(open_page, plan_file):
    tab = open_page(plan_file)
    kinds = "#map .legend li:not([hidden])"
    assert tab.locator(kinds).all_inner_texts() == ["ram", "room to grow", "identity"]
    assert tab.locator(f"{kinds}.away").count() == 0
    tab.fill("#query", "0x50000")
    tab.press("#query", "Enter")
    tab.focus("#strip")
    for _ in range(12):
        tab.keyboard.press("+")
    assert tab.locator(kinds).count() == 3
    assert tab.locator(f"{kinds}.away").all_inner_texts() == ["ram", "identity"]


def test_a_comparison_keeps_its_columns_on_a_phone(open_page, pair_file):
    tab = open_page(pair_file, width=360)
    boxes = tab.evaluate(
        "[...document.querySelectorAll('#comparison tbody tr')].map((row) =>"
        " [...row.cells].filter((cell) => cell.textContent.trim()).map((cell) => {"
        "  const range = document.createRange(); range.selectNodeContents(cell);"
        "  const box = range.getBoundingClientRect(); return [box.left, box.right, box.top, box.bottom]; }))"
    )
    assert boxes
    for row in boxes:
        for a, b in combinations(row, 2):
            apart = a[1] + 4 <= b[0] or b[1] + 4 <= a[0] or a[3] <= b[2] + 2 or b[3] <= a[2] + 2
            assert apart, (a, b)


def test_one_page_of_frames_is_as_near_as_it_gets(open_page, plan_file):
    tab = open_page(plan_file)
    tab.focus("#strip")
    for _ in range(60):
        tab.keyboard.press("+")
    assert 16 <= view(tab)[1] - view(tab)[0] <= 17


def test_the_keyboard_reaches_everything(open_page, plan_file):
    tab = open_page(plan_file)
    tab.keyboard.press("/")
    tab.keyboard.type("0x50000")
    tab.keyboard.press("Enter")
    assert "room to grow" in tab.inner_text("#place")
    reached = set()
    for _ in range(80):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.dataset.do || document.activeElement.tagName"
            )
        )
    assert {"strip", "words", "in", "out", "left", "right", "memory", "all", "SUMMARY", "A"} <= reached


def test_sort(open_page, plan_file):
    tab = open_page(plan_file)
    by_pfn = starts(tab)
    assert by_pfn == sorted(by_pfn)
    assert tab.get_attribute("#table th[data-key=start]", "aria-sort") == "ascending"
    tab.click("#table th[data-key=pages] button")
    assert starts(tab)[0] == 0x60061
    assert tab.get_attribute("#table th[data-key=pages]", "aria-sort") == "descending"
    assert tab.get_attribute("#table th[data-key=start]", "aria-sort") is None
    tab.click("#table th[data-key=pages] button")
    assert starts(tab)[-1] == 0x60061
    tab.click("#table th[data-key=number] button")
    numbers = [row[3] for row in rows(tab)]
    assert numbers == sorted(numbers)


def test_filter(open_page, plan_file):
    tab = open_page(plan_file)
    whole = starts(tab)
    tab.uncheck("#kinds input[data-kind=identity]")
    assert {row[2] for row in rows(tab)} == {"ram", "room to grow"}
    tab.check("#kinds input[data-kind=identity]")
    tab.fill("#words", "moved from")
    assert starts(tab) == [0x40000]
    assert tab.inner_text("#count") == f"1 of {len(whole)} rows"
    tab.fill("#words", "0x40500")
    assert starts(tab) == [0x40061]
    tab.fill("#words", ">500M")
    assert starts(tab) == [0x100, 0x40061, 0x60061]
    tab.fill("#words", "")
    assert starts(tab) == whole


def test_a_row_and_a_finding_lead_to_the_strip(open_page, plan_file):
    tab = open_page(plan_file)
    tab.click("#table tbody tr:nth-child(5) td:first-child button")
    assert view(tab)[0] <= 0x40061 < view(tab)[1]
    place = tab.locator(".finding .go", has_text="0x9f – ")
    place.click()
    assert "PFN 0x9f " in tab.inner_text("#place")
    assert view(tab)[0] <= 0x9F < view(tab)[1] < 0x1000


@pytest.mark.parametrize("width", [360, 700, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(open_page, plan_file, width, scheme):
    tab = open_page(plan_file, width=width, scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ground, ink = (
        tab.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (sum(ground) > 600) == (scheme == "light")
    assert abs(sum(ground) - sum(ink)) > 450
    assert tab.locator("figure svg").count() == 4


def test_the_strip_is_drawn_in_its_colours(open_page, plan_file):
    read = """(share) => {
        const strip = document.getElementById('strip'), pen = strip.getContext('2d');
        return [...pen.getImageData(strip.width * share, strip.height * 0.75, 1, 1).data.slice(0, 3)];
    }"""
    tab = open_page(plan_file)
    assert tab.evaluate(read, 0.08) == [0x00, 0x72, 0xB2]
    dark = open_page(plan_file, scheme="dark")
    assert dark.evaluate(read, 0.08) == [0x4A, 0xA8, 0xE0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_shows_what_differs(open_page, pair_file, scheme):
    tab = open_page(pair_file, scheme=scheme)
    assert tab.locator("#comparison .legend li:visible").all_inner_texts() == ["ram", "missing", "foreign"]
    assert tab.locator("#changes tbody tr").count() == 2
    tab.click("#changes tbody tr:nth-child(1) button")
    assert "PFN 0x800 " in tab.inner_text("#place")
    below = tab.locator("#comparison svg rect[fill='#882255']").last.bounding_box()
    whole = tab.locator("#comparison svg").bounding_box()
    assert below["width"] >= 0.9
    assert below["x"] > whole["x"] + 0.99 * whole["width"]


_FAINT = """() => {
    const bytes = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (node) => {
        for (let each = node; each; each = each.parentElement) {
            const colour = bytes(getComputedStyle(each).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || /^(SCRIPT|STYLE|NOSCRIPT)$/.test(node.tagName) || node.disabled || !node.getClientRects().length) continue;
        const style = getComputedStyle(node), svg = node instanceof SVGElement;
        const ink = light(bytes(svg ? style.fill : style.color)), paper = light(ground(node));
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) faint.push([node.tagName, node.textContent.trim().slice(0, 30), ratio]);
    }
    return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(open_page, plan_file, pair_file, scheme):
    for path in (plan_file, pair_file):
        assert open_page(path, scheme=scheme).evaluate(_FAINT) == []


def test_it_prints(open_page, plan_file):
    tab = open_page(plan_file, scheme="dark")
    tab.emulate_media(media="print")
    assert not tab.is_visible("#search")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.pdf(format="A4").startswith(b"%PDF")


def test_without_script_the_answer_is_there(browser, plan_file):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(plan_file.as_uri())
    assert tab.locator("#table tbody tr").count() == 6
    assert "need JavaScript" in tab.inner_text("#map")
    context.close()


def test_64_gib_in_many_extents(open_page, large_file):
    assert large_file.stat().st_size < 2 << 20
    tab = open_page(large_file)
    assert "200,002 extents" in tab.inner_text("#thinned")
    taken = tab.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    assert taken > 0
    tab.uncheck("#kinds input[data-kind=mfn]")
    tab.fill("#words", "foreign")
    assert "40 of" in tab.inner_text("#count")
    tab.fill("#words", "")
    tab.check("#kinds input[data-kind=mfn]")
    tab.fill("#query", "0x1000")
    tab.press("#query", "Enter")
    frame, row = (tab.locator(name).bounding_box() for name in (".scroll", "#table tr.hit"))
    assert frame["y"] < row["y"] < frame["y"] + frame["height"]
    tab.click("[data-page='1']")
    assert "page 2 of" in tab.inner_text("#pages")
    tab.fill("#query", "0x800000")
    tab.press("#query", "Enter")
    told = tab.inner_text("#place")
    assert "drawn together" in told or "MFN" in told


def test_hostile_words_stay_words(open_page, tmp_path):
    evil = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>"\'\u2028\u202e&lt;'
    source = Source(
        Origin(evil, evil, 1, evil), Guest(form=evil, xen=evil), P2M([Run(0, 9, Kind.MFN, 4, 1)]),
        lost=(evil,), inferred=(evil,),
    )  # fmt: skip
    path = tmp_path / "evil.html"
    report = source_report(source)
    rows = report.rows._replace(rows=[row._replace(why=evil) for row in report.rows.rows])
    report = replace(report, rows=rows, words=evil, lanes=[Lane(evil, [(0, 4096, evil)])])
    path.write_bytes(written(report, "0", note=evil))
    tab = open_page(path)
    assert tab.title().startswith("</script><script>")
    assert tab.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)>" in tab.inner_text("#table tbody td:last-child")
    assert tab.evaluate("document.scripts.length") == 2


def test_the_policy_forbids_what_was_not_written(open_page, browser, plan_file, tmp_path):
    text = plan_file.read_text().replace("<h1>", '<h1 style="color:red" id="x">', 1)
    text = text.replace("</main>", '</main><script>document.title = "owned"</script><img src="pixel.png">', 1)
    changed = tmp_path / "changed.html"
    changed.write_text(text)
    context = browser.new_context()
    tab, said = context.new_page(), []
    tab.on("console", lambda line: said.append(line.text))
    tab.goto(changed.as_uri())
    assert "owned" not in tab.title()
    assert tab.evaluate("getComputedStyle(document.getElementById('x')).color") != "rgb(255, 0, 0)"
    assert sum("Content Security Policy" in line for line in said) == 3
    context.close()

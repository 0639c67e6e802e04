"""The report in a real browser: nothing on the console, nothing over the network, everything to be seen."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from typing import Any

import pytest

from harden.report.render import html

PHONE, DESKTOP = 390, 1280
_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe"),
]


class Browser:
    """Chromium over its debugging pipe: file descriptors 3 (to it) and 4 (from it), messages end with a zero byte."""

    def __init__(self, program, folder):
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        command = ["bash", "-c", script, program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(from_write)
        self.out, self.inn = to_write, from_read
        self.buffer, self.number, self.session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.inn, 1 << 16)
            assert chunk, "the browser went away"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, path, *, width=DESKTOP, dark=False):
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 300
        while self.value("document.readyState") != "complete" or self.value("location.protocol") != "file:":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def paper(self):
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def close(self):
        os.close(self.out)
        self.process.kill()
        self.process.wait()
        os.close(self.inn)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory, fit_html):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(fit_html, encoding="utf-8")
    return path


def test_the_console_stays_silent_and_nothing_is_fetched(browser, page):
    browser.open(page)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    messages = ("Runtime.consoleAPICalled", "Log.entryAdded", "Runtime.exceptionThrown")
    assert [e for e in browser.events if e["method"] in messages] == []
    requests = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert requests == [page.as_uri()]
    assert browser.value("document.scripts.length") == 0


def test_every_figure_is_drawn_once_and_has_words(browser, page):
    for width in (DESKTOP, PHONE):
        browser.open(page, width=width)
        figures = browser.value(
            """[...document.querySelectorAll('figure')].map(f => {
                 const seen = [...f.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0);
                 return [f.id, seen.length, seen[0].getBoundingClientRect().height, seen[0].getAttribute('aria-label'),
                         seen[0].querySelectorAll('path').length]; })"""
        )
        names = " ".join(name.removeprefix("figure-") for name, *_ in figures)
        assert names == "chips severity yield quantiles controls loss validation sensitivity reliability noise"
        for _name, visible, height, words, paths in figures:
            assert visible == 1
            assert height > 60
            assert len(words) > 30
            assert paths > 3


def test_identifiers_are_unique(browser, page):
    browser.open(page)
    ids = browser.value("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [PHONE, 768, DESKTOP])
def test_the_page_never_scrolls_sideways(browser, page, width):
    browser.open(page, width=width)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width


def test_text_in_figures_is_readable_on_a_phone(browser, page):
    browser.open(page, width=PHONE)
    smallest = browser.value(
        """Math.min(...[...document.querySelectorAll('figure svg')].map(s => 11 * s.getBoundingClientRect().width
             / s.viewBox.baseVal.width).filter(size => size > 0))"""
    )
    assert smallest >= 8.5


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_the_paper_in_both_themes(browser, page, dark):
    browser.open(page, dark=dark)
    paper = browser.value("getComputedStyle(document.body).backgroundColor")
    colours = browser.value(
        """[...new Set([...document.querySelectorAll('p,td,th,a,figcaption,svg text,summary')].map(e =>
             getComputedStyle(e).getPropertyValue(e.closest('svg') ? 'fill' : 'color')))]"""
    )
    assert len(colours) >= 3
    assert (luminance(paper) < 0.1) == dark
    for colour in colours:
        assert contrast(colour, paper) >= 4.5, colour


def test_it_prints_on_a_few_sheets_of_a4(browser, page):
    browser.open(page, dark=True)
    paper = browser.paper()
    assert 3 <= paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") <= 9
    assert b"/MediaBox [0 0 594.95996 841.91998]" in paper or b"/MediaBox [0 0 595" in paper


def test_a_hostile_name_is_only_text(browser, tmp_path, fit_document):
    document = fit_document()
    evil = "<script>console.log(1)</script><img src=x onerror=console.log(2)>"
    weight = document["after"]["perturbed"][0]
    weight["node"] = weight["key"] = document["sensitivity"][0]["key"] = evil
    document["before"]["profiles"][0]["name"] = document["after"]["profiles"][0]["name"] = evil
    document["model"]["path"] = document["command"][2] = evil
    path = tmp_path / "evil.html"
    path.write_text(html(document), encoding="utf-8")
    browser.open(path)
    assert browser.value("document.querySelectorAll('script, img').length") == 0
    assert not [e for e in browser.events if e["method"] == "Runtime.consoleAPICalled"]
    assert evil in browser.value("document.body.textContent")


def luminance(colour):
    """Relative luminance of ``rgb(r, g, b)`` (WCAG 2)."""
    channels = [int(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)

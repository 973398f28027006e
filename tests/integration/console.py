"""The console in a headless Chromium: its whole story by the keyboard alone, on a phone, light and dark; hostile ids and titles; what may be posted and by
whom. RECO_SCREENSHOTS names the folder its pictures go to (for docs: docs/images); else they are in the build folder."""
import json
import os
import re
import sys
import threading
import time
import unittest
import urllib.parse

import chromium
from console_data import items
from console_support import RESULT, Below, WithConsole, load, need_browser, shown
from http_support import BUILD, PATIENCE, Everywhere, Service, ask, event, get, post, raw, wait_for
from servers import die_with_the_test

PICTURES = os.environ.get("RECO_SCREENSHOTS") or os.path.join(BUILD, "screenshots")
PICTURE_MAX = 200_000
TITLES = {one["item_id"]: one["title"] for one in items()}
HOSTILE = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>\u202e\"'&amp;"
IN_SIGHT = "((box) => box.top >= 0 && box.bottom <= innerHeight && box.height > 0)(document.querySelector(%s).getBoundingClientRect())"
LONG = "urn:example:" + "0123456789abcdef" * 14  # an id as long as they may be, nearly
# what stands beyond the right edge of the page and does not scroll or is not cut within its own box
BEYOND = """[...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && !one.closest('.scroll, nav, svg, .unseen, .wordy, .spark, .long') &&
    one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 200))"""
ODD = ("..", ".", " lead", "trail ", "  ")  # ids like any other
VIEWS = ("#/user", "#/user/anna", "#/user/nobody", "#/user/anna?why=kit-030", "#/item", "#/item/kit-007", "#/popular?window=7d", "#/live", "#/reports")
# What each item of the answer shows: its score, those of the parts of its bar, and how wide the bar and its parts are.
BARS = """[...document.querySelectorAll('li.answer')].map((line) => ({item: line.dataset.item, score: Number(line.dataset.score),
    text: line.querySelector('.score').textContent, parts: [...line.querySelectorAll('.part')].map((part) => Number(part.dataset.score)),
    width: line.querySelector('.parts').getBoundingClientRect().width, whole: line.querySelector('.bar').getBoundingClientRect().width,
    widths: [...line.querySelectorAll('.part')].map((part) => part.getBoundingClientRect().width)}))"""


def remove(path):
    os.rmdir(path) if os.path.isdir(path) else os.remove(path)


def accepted(port):
    """Events that a process has taken."""
    return int(re.search(rb"^reco_events_accepted_total (\d+)", get(port, "/metrics").body, re.M)[1])


class Story(WithConsole):
    """From a user to a report: every step by Tab, Enter and typing."""

    def test_story(self):
        page = self.page()
        shown(page)
        self.begin(page)
        self.look_up(page)
        self.reasons(page)
        self.why_not(page)
        self.no_number(page)
        self.post_an_event(page)
        self.item(page)
        self.popular(page)
        self.live(page)
        self.report(page)
        self.assert_clean(page)

    def enter(self, page, selector, text):
        page.tab_to(selector)
        page.write(text)
        page.press("Enter")

    def follow(self, page, selector):
        page.tab_to(selector)
        page.press("Enter")

    def begin(self, page):
        page.press("Tab")
        self.assertTrue(page.focused("#skip"))
        page.press("Enter")
        self.assertTrue(page.focused("main"))

    def look_up(self, page):
        self.enter(page, "[name=user_id]", "anna")
        shown(page, "document.querySelectorAll('li.answer').length === 20")
        self.assertTrue(page.url().endswith("#/user/anna"), page.url())
        self.assertTrue(page.focused("[name=user_id]"), "the focus stays where it was")
        self.assertIn("20 items for anna", page.text("#said"))
        expected = get(self.all.api, "/recommendations?user_id=anna").json()["items"]
        self.assertEqual(page.run("[...document.querySelectorAll('li.answer')].map((line) => line.dataset.item)"), [one["item_id"] for one in expected])
        self.assertIn(TITLES[expected[0]["item_id"]], page.text("li.answer"))
        recents = page.run("[...document.querySelectorAll('#recents a')].map((link) => decodeURIComponent(link.hash))")
        self.assertEqual(recents, ["#/item/" + one for one in ("kit-007", "gar-042", "kit-021", "kit-004", "kit-010")])
        page.reload()
        shown(page, "document.querySelectorAll('li.answer').length === 20")

    def reasons(self, page):
        bars = page.run(BARS)
        most = max(sum(bar["parts"]) for bar in bars)
        for bar in bars:
            with self.subTest(item=bar["item"]):
                self.assertEqual(sum(bar["parts"]), bar["score"])
                self.assertEqual(float(bar["text"]), bar["score"] / 1e6)
                self.assertAlmostEqual(sum(bar["widths"]), bar["width"], delta=1)
                self.assertAlmostEqual(bar["width"], bar["whole"] * bar["score"] / most, delta=2)
        self.follow(page, "li.answer button")
        rows = page.run("[...document.querySelectorAll('li.answer .reasons tbody tr')].map((row) => row.children[2].textContent)")
        self.assertEqual(len(rows), len(bars[0]["parts"]) + 1)
        self.assertEqual(round(sum(float(row) for row in rows[:-1]), 6), float(rows[-1]))
        self.assertEqual(rows[-1], bars[0]["text"])
        self.assertEqual(page.run("document.activeElement.getAttribute('aria-expanded')"), "true")
        page.press("Enter")
        self.assertFalse(page.run("document.querySelector('li.answer .reasons').checkVisibility()"))

    def why_not(self, page):
        for asked, words in (("gar-064", "below cut"), ("kit-004", "the user has seen it"), ("nothing-1", "Nothing is known of this item")):
            self.enter(page, "[name=why]", asked)
            shown(page, f"document.querySelector('#verdict')?.innerText.includes({json.dumps(asked)})")
            self.assertIn(words, page.text("#verdict"))
            self.assertTrue(page.focused("[name=why]"))
        told = get(self.all.api, "/explain?user_id=anna&item_id=gar-064").json()["items"][0]
        self.enter(page, "[name=why]", "gar-064")
        shown(page, "document.querySelector('#verdict')?.innerText.includes('gar-064')")
        self.assertIn(f"ranked {told['rank']}", page.text("#verdict"))
        self.assertIn(f"{told['distance'] / 1e6:.6f} short", page.text("#verdict"))

    def no_number(self, page):
        """A value that is no number is told, and nothing is posted without it."""
        before = accepted(self.all.api)
        for value in ("abc", "4,5", "1e999", "0x10", "-"):
            page.tab_to("form[name=event] [name=item_id]")
            page.write("mus-162")
            self.enter(page, "form[name=event] [name=value]", value)
            page.wait(f"document.querySelector('form[name=event] + div .failure')?.innerText.includes({json.dumps(value + chr(0x201d))})")
            self.assertEqual(page.run("[...document.querySelectorAll('[aria-invalid]')].map((one) => one.name)"), ["value"])
            self.assertTrue(page.focused("form[name=event] [name=value]"))
        page.write("")
        self.assertEqual(accepted(self.all.api), before)

    def post_an_event(self, page):
        before = page.run(BARS)
        self.enter(page, "form[name=event] [name=item_id]", "mus-162")
        shown(page, "!!document.querySelector('#difference')")
        after = page.run(BARS)
        now, then = [bar["item"] for bar in after], [bar["item"] for bar in before]
        self.assertNotEqual(now, then)
        said = re.fullmatch(r"(\d+) new, (\d+) moved, (\d+) gone, (\d+) as before", page.text("#difference"))
        ranks = {item: rank for rank, item in enumerate(then)}
        same = sum(ranks.get(item) == rank for rank, item in enumerate(now))
        self.assertEqual([int(part) for part in said.groups()], [len(set(now) - set(then)), len(set(now) & set(then)) - same, len(set(then) - set(now)), same])
        self.assertIn("The answer now: ", page.text("#said"))
        self.changes(page, then, now)
        self.assertEqual(page.run("document.querySelector('#recents a').hash"), "#/item/mus-162")
        for bar in after:
            self.assertEqual(sum(bar["parts"]), bar["score"])
        self.assertIn("mus-162", [one["item_id"] for one in get(self.all.api, "/explain?user_id=anna").json()["recents"]])

    def changes(self, page, then, now):
        """What is new, rose, fell and is gone, by name and as far as it went; on the page and in sight."""
        told = dict(page.run("[...document.querySelectorAll('.changes > div')].map((row) => [row.querySelector('dt').textContent, [...row.querySelectorAll('li')].map((one) =>"
                             " [one.querySelector('a') && decodeURIComponent(one.querySelector('a').hash.slice(7)), one.querySelector('.badge')?.textContent])])"))
        ranks = {item: rank for rank, item in enumerate(then)}
        by = {item: ranks[item] - rank for rank, item in enumerate(now) if item in ranks}
        expected = {"New": [(item, None) for item in now if item not in ranks], "Rose": [(item, f"\u25b2 {far}") for item, far in by.items() if far > 0],
                    "Fell": [(item, f"\u25bc {-far}") for item, far in by.items() if far < 0], "Gone": [(item, None) for item in then if item not in now]}
        self.assertEqual(set(told), {name for name, rows in expected.items() if rows})
        for name, rows in told.items():
            shown_ = [tuple(row) for row in rows if row[0]]
            self.assertLessEqual(set(shown_), set(expected[name]), name)
            self.assertEqual(len(shown_), min(6, len(expected[name])), name)
            far = [int((badge or "0 0").split()[1]) for _, badge in shown_]
            self.assertEqual(far, sorted(far, reverse=True), "the largest first")
            if name in ("Rose", "Fell"):
                self.assertEqual(far[0], max(abs(by[item]) for item, _ in expected[name]))
        self.assertIn(TITLES["mus-162"], page.text(".changed"))
        self.assertTrue(page.run(IN_SIGHT % "'#difference'"))

    def item(self, page):
        self.follow(page, "#recents a[href='#/item/gar-042']")
        shown(page, "document.querySelectorAll('section').length === 3")
        self.assertTrue(page.focused("h1"))
        self.assertIn(TITLES["gar-042"], page.text("h1"))
        self.assertIn("garden", page.text("#result"))
        expected = get(self.all.api, "/items/gar-042/similar").json()["items"]
        self.assertEqual(page.run("[...document.querySelectorAll('li.answer')].map((line) => line.dataset.item)"), [one["item_id"] for one in expected])
        self.assertRegex(page.run("document.querySelector('#result tbody tr:last-child td').textContent"), r"^\d+\.\d{6}$")

    def popular(self, page):
        self.follow(page, "nav a[href='#/popular']")
        shown(page)
        self.assertTrue(page.focused("h1"))
        self.follow(page, "a[href='#/popular?window=7d']")
        shown(page, "document.querySelector('h2').textContent.includes('7d') && location.hash.includes('7d')")
        self.enter(page, "[name=category]", "garden")
        shown(page, "document.querySelector('h2').textContent.includes('garden')")
        found = page.run("[...document.querySelectorAll('li.answer')].map((line) => line.dataset.item)")
        self.assertEqual(found, [one["item_id"] for one in get(self.all.api, "/popular?window=7d&category=garden").json()["items"]])
        self.assertTrue(found and all(one.startswith("gar-") for one in found))

    def live(self, page):
        self.follow(page, "nav a[href='#/live']")
        shown(page, "document.querySelector('#read').textContent.includes('2 readings')")
        taken = "Number(document.querySelector('[data-figure=\"Events per second\"] .hint').textContent.split(' ')[0])"
        self.assertEqual(page.run(taken), accepted(self.all.api))
        self.assertIn("of the last minute; half within", page.text("[data-figure='Event to answers'] .hint"))
        post(self.all.ingest, "/events", event("live", "gar-1"))
        shown(page, "/^[0-9.]+ (ms|\u00b5s|s)$/.test(document.querySelector('[data-figure=\"Event to answers\"] .value').textContent)")
        get(self.all.api, "/nothing/here")
        for _ in range(30):
            get(self.all.api, "/recommendations?user_id=anna")
        shown(page, "Number(document.querySelector('[data-figure=\"Answers per second\"] .value').textContent) > 0")
        shown(page, "/ms|\u00b5s/.test(document.querySelector('[data-figure=\"99th percentile\"] .value').textContent)")
        self.assertIn("features", page.text("#result"))
        shown(page, "[...document.querySelectorAll('code')].some((one) => one.textContent === 'GET: no such path')")
        self.follow(page, "#pause")
        self.assertEqual(page.text("#pause"), "Go on")
        before = page.text("#read")
        page.press("Space")
        shown(page, f"document.querySelector('#read').textContent !== {json.dumps(before)}")

    def report(self, page):
        self.follow(page, "nav a[href='#/reports']")
        shown(page, "document.querySelectorAll('#result table').length > 1")
        self.follow(page, "#listed a[href='#/reports/shop.json']")
        shown(page, "document.querySelector('#listed a[aria-current]')?.textContent === 'shop.json' && document.querySelectorAll('#result table').length > 1")
        written = load(os.path.join(self.reports, "shop.json"))
        rows = page.run("[...document.querySelectorAll('#result table')][0].tBodies[0].innerText.split('\\n').map((line) => line.split('\\t').map((cell) => cell.trim()))")
        for name, value in written["configurations"][0]["metrics"].items():
            row = next(row for row in rows if row[0] == name and row[1] == written["configurations"][0]["label"])
            self.assertEqual(row[2], f"{value['value']:.4f}")
            if "low" in value:
                self.assertEqual(row[3], f"{value['low']:.4f} to {value['high']:.4f}")
        self.assertGreater(page.run("document.querySelectorAll('.interval .range').length"), 10)
        self.assertGreater(page.run("document.querySelectorAll('.hits rect').length"), 10)


class Looks(WithConsole):
    """What is drawn where, and words for what goes wrong."""

    def test_phone(self):
        """No view is wider than the phone; what is, scrolls within its own box."""
        page = self.page(width=360, height=740, phone=True)
        for hash in VIEWS:
            with self.subTest(view=hash):
                page.run(f"location.hash = {json.dumps(hash)}")
                shown(page, f"location.hash === {json.dumps(hash)}")
                self.assertEqual(page.run("document.querySelector('#mode').textContent"), "may post events")
                self.assertTrue(page.run("['mode', 'ready', 'theme'].every((id) => document.getElementById(id).checkVisibility() &&"
                                         " document.getElementById(id).getBoundingClientRect().right <= 360)"))
                self.assertLessEqual(page.run("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"), 360)
                self.assertEqual(page.run(BEYOND), [])
                tops = page.run("[...document.querySelectorAll('.brand, .chips > *')].map((one) => one.getBoundingClientRect()).map((box) => Math.round((box.top + box.bottom) / 2))")
                self.assertLessEqual(max(tops) - min(tops), 2, "one line for name, state, mode and theme")
        page.run("location.hash = '#/reports/shop.json'")
        shown(page, "document.querySelectorAll('#result table').length > 1")
        self.assertGreater(page.run("Math.max(...[...document.querySelectorAll('.scroll')].map((one) => one.scrollWidth - one.clientWidth))"), 0)
        self.assert_clean(page)

    def test_names_of_all_kinds(self):
        """Long ids and titles are cut, and those of other scripts are whole: nothing is wider than the page."""
        ids = [LONG, LONG.upper(), "\u6025\u9808-1", "he-1/\u00e4 b", "\U0001fad6", *ODD]
        titles = ["A title that goes on " * 9, None, "\u624b\u4f5c\u308a\u306e\u6025\u9808", "\u05e7\u05d5\u05de\u05e7\u05d5\u05dd", "\U0001f469\u200d\U0001f469\u200d\U0001f467 tea", *[None] * len(ODD)]
        post(self.all.api, "/items", [{"item_id": id, "title": title, "categories": ["of all kinds", "c" * 204, " lead"]} for id, title in zip(ids, titles) if title])
        post(self.all.ingest, "/events", [event(user, id) for user in (LONG, "\u3055\u3086\u308a", *ODD) for id in ids] + [event("cut", id) for id in ids[:2]])
        wait_for(lambda: len(get(self.all.api, "/items/kit-001/similar").json()["items"]) and set(ids) <=
                 {one["item_id"] for one in get(self.all.api, "/popular?limit=500").json()["items"]}, "they are learned")
        quoted = [urllib.parse.quote(one, safe="") for one in (LONG, ids[2], "\u3055\u3086\u308a")]
        for options in ({"width": 360, "height": 740, "phone": True}, {}):
            page = self.page(**options)
            for hash in ("#/popular?limit=500", f"#/item/{quoted[0]}", f"#/item/{quoted[1]}", f"#/user/{quoted[0]}", f"#/user/{quoted[2]}", "#/user/cut", "#/user/anna?limit=200",
                         "#/popular?category=" + "c" * 204, *[f"#/{view}/{urllib.parse.quote(one)}" for view in ("user", "item") for one in ODD]):
                with self.subTest(view=hash, **options):
                    page.run(f"location.hash = {json.dumps(hash)}")
                    shown(page, f"location.hash === {json.dumps(hash)}")
                    self.assertLessEqual(page.run("document.documentElement.scrollWidth - innerWidth"), 0)
                    self.assertEqual(page.run(BEYOND), [])
                    self.assertLess(page.run("Math.max(...[...document.querySelectorAll('.item-name a, .legend li, h1')].map((one) => one.getBoundingClientRect().height))"), 100)
                    self.assertTrue(page.run("[...document.querySelectorAll('.item-name a.long')].every((one) => one.title.length > 50)"), "whole as the pointer rests")
            self.odd_names(page)
            self.assert_clean(page)

    def odd_names(self, page):
        """Ids that a path would fold, and blanks, which are a part of an id: each is asked as it is, and to be seen."""
        lines = "[...document.querySelectorAll('li.answer')].map((line) => line.dataset.item)"
        for odd in ODD:
            with self.subTest(id=odd):
                page.run(f"location.hash = '#/item/{urllib.parse.quote(odd)}?limit=7'")
                shown(page, "location.hash.endsWith('limit=7') && document.querySelectorAll('section').length === 3")
                told = post(self.all.api, "/similar", {"items": [odd], "limit": 7}).json()["items"]
                self.assertEqual(page.run(lines), [one["item_id"] for one in told])
                self.assertEqual(len(told), 7)
                self.assertEqual(page.run("document.querySelector('h1 bdi').textContent"), odd)
                blank = len(odd) - len(odd.strip())
                self.assertEqual(page.run("[...document.querySelectorAll('h1 .blank')].filter((one) => one.getBoundingClientRect().width > 2).length"), blank)
                for view, name in (("user", "user_id"), ("item", "item_id")):
                    page.run(f"location.hash = '#/{view}'")
                    shown(page, f"location.hash === '#/{view}' && document.querySelectorAll('section').length === 0")
                    page.run(f"document.querySelector('[name={name}]').focus()")
                    page.write(odd)
                    page.press("Enter")
                    shown(page, f"location.hash === '#/{view}/{urllib.parse.quote(odd)}' && document.querySelectorAll('section').length > 2")
        page.run("location.hash = '#/popular'")
        shown(page, "location.hash === '#/popular'")
        page.run("document.querySelector('[name=category]').focus()")
        page.write(" lead")
        page.press("Enter")
        shown(page, "location.hash.includes('lead') && document.querySelectorAll('li.answer').length > 0")
        self.assertEqual(page.run("document.querySelector('h2 .blank').textContent"), " ")

    def test_no_such_page(self):
        page = self.page("#/user/a/b")
        for hash in ("#/user/a/b", "#/nope/x", "#/user/%ff", "#/popular/x", "#/item/kit-007/similar", "#/constructor"):
            page.run(f"location.hash = {json.dumps(hash)}")
            shown(page, f"location.hash === {json.dumps(hash)} && document.querySelector('h1').textContent === 'No such page'")
            self.assertEqual(page.run("document.querySelectorAll('nav a[aria-current]').length"), 0)
            page.run("location.hash = '#/popular'")
            shown(page, "document.querySelector('h1').textContent === 'Popular'")
        self.assert_clean(page)

    def test_below_a_path(self):
        """Behind a proxy that has it below a path of its own."""
        proxy = Below(self.all.api)
        self.addCleanup(proxy.end)
        page = self.browser.page(f"http://127.0.0.1:{proxy.port}/reco/console/?utm_source=mail")
        self.addCleanup(page.close)
        self.assertEqual(page.url().split("#")[0], f"http://127.0.0.1:{proxy.port}/reco/")
        for path, to in (("/console", "./"), ("/console/", "../"), ("/console?x=1", "./")):
            answer = get(self.all.api, path)
            self.assertEqual((answer.status, answer.headers["Location"], answer.body), (307, to, b""), path)
        self.assertEqual(get(self.all.api, "/?x=1&%zz").status, 200)
        for hash, condition in (("#/user/anna", "document.querySelectorAll('li.answer').length === 20"), ("#/item/kit-007", "document.querySelectorAll('section').length === 3"),
                                ("#/reports/shop.json", "document.querySelectorAll('#result table').length > 1"), ("#/live", "document.querySelectorAll('.figure').length > 5")):
            page.run(f"location.hash = {json.dumps(hash)}")
            shown(page, f"location.hash === {json.dumps(hash)} && ({condition})")
        self.assertEqual(page.troubles, [])
        self.assertEqual([url for url in page.requests if not url.startswith((f"http://127.0.0.1:{proxy.port}/reco/", "data:"))], [])

    def test_stores_away(self):
        """What cannot be read is not told as if it were not there."""
        page = self.page("#/popular")
        shown(page)
        page.run("""(() => {
            const real = window.fetch;
            window.fetch = async (path, options) => {
                const answer = await real(path, options), of = (text) => new Response(text, {headers: {"Content-Type": "application/json"}});
                if (path.startsWith("./explain")) {
                    const told = await answer.json();
                    return of(JSON.stringify({...told, user: {known: false}, recents: [], answer: {...told.answer, fallback: true, degraded: true, degraded_reasons: ["features_unavailable", "popular_stale"]}}));
                }
                if (path.startsWith("./console/items"))
                    return new Response(JSON.stringify({title: "unavailable", detail: "the records are away"}), {status: 503});
                if (path.startsWith("./metrics"))
                    return of((await answer.text()).replace(/^reco_store_bytes{store="features".*\\n/gm, "").replace(/^(reco_store_up{store="features"}) 1/m, "$1 0"));
                if (path.startsWith("./ready"))
                    return new Response(JSON.stringify({title: "unavailable", detail: "the features are away"}), {status: 503});
                return answer;
            };
        })()""")
        page.run("location.hash = '#/user/anna'")
        shown(page, "!!document.querySelector('.lacking')")
        self.assertIn("features unavailable, popular stale", page.text(".lacking"))
        self.assertIn("cannot be read", page.text(".side"))
        self.assertNotIn("unknown", page.text(".side"))
        self.assertNotIn("Nothing of this user", page.text(".side"))
        self.assertIn("Titles cannot be read: the records are away", page.text("#result"))
        page.run("location.hash = '#/item/kit-007'")
        shown(page, "document.querySelectorAll('section').length === 3")
        self.assertIn("the records are away", page.text(".side .failure"))
        self.assertNotIn("No document", page.text("#result"))
        page.run("location.hash = '#/live'")
        shown(page, "document.querySelectorAll('.figure').length > 5")
        self.assertRegex(page.text("#result"), r"features\s+down")
        page.run("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait("document.querySelector('#ready').textContent.includes('not ready: the features are away')")
        self.assertEqual(page.troubles, [])

    def test_nothing_there_yet(self):
        """A service without data says where data come from, and a stranger where to begin."""
        service = Service("reco-api", os.path.join(self.folder, "nothing"), preexec_fn=die_with_the_test)
        self.addCleanup(service.end)
        page = self.browser.page(f"http://127.0.0.1:{service.port}/#/user")
        self.addCleanup(page.close)
        for hash, words in (("#/user", "No id at hand?"), ("#/user/anna", "reco import"), ("#/user/anna?as_of=2026-01-01T00:00:00Z", "nothing was popular then"), ("#/item", "No id at hand?"),
                            ("#/popular", "See the last 60d"), ("#/popular?window=60d", "reco import")):
            page.run(f"location.hash = {json.dumps(hash)}")
            shown(page, f"location.hash === {json.dumps(hash)}")
            self.assertIn(words, page.text("#result"), hash)
        page.run("location.hash = '#/item/nothing-1'")
        shown(page, "document.querySelectorAll('section').length === 3")
        self.assertEqual(page.text("h1"), "Item: nothing-1")
        service.end()
        ended = time.monotonic()
        page.run("location.hash = '#/popular'")
        page.wait("document.querySelector('#ready').textContent.includes('not ready')")
        self.assertLess(time.monotonic() - ended, 6, "told by whatever fails first")

    def test_the_verdict_is_in_sight(self):
        for options in ({"height": 640}, {"width": 360, "height": 640, "phone": True}):
            page = self.page("#/user/anna?why=gar-064", **options)
            shown(page, "!!document.querySelector('#verdict')")
            self.assertTrue(page.run(IN_SIGHT % "'#verdict'"), options)

    def test_themes(self):
        page = self.page("#/user/anna")
        shown(page)
        ground = lambda: sum(int(part) for part in re.findall(r"\d+", page.run("getComputedStyle(document.body).backgroundColor"))[:3])
        self.assertGreater(ground(), 600)
        page.media(dark=True)
        self.assertLess(ground(), 150)
        page.tab_to("#theme")
        page.press("Enter")
        self.assertEqual(page.text("#theme"), "Theme: light")
        self.assertGreater(ground(), 600)
        page.reload()
        shown(page)
        self.assertGreater(ground(), 600, "the choice is kept")
        page.media(dark=False)
        page.run("document.querySelector('#theme').click()")
        self.assertLess(ground(), 150)
        page.run("document.querySelector('#theme').click()")
        self.assertEqual(page.text("#theme"), "Theme: system")
        self.assertGreater(ground(), 600)
        self.assertEqual(page.run("[...document.querySelectorAll('.loading, button, a')].filter((one) => parseFloat(getComputedStyle(one).transitionDuration) > 0).length"), 0,
                         "nothing moves for those who asked for that")
        self.assert_clean(page)

    def test_hostile(self):
        """Ids and titles that are markup stay text, in every view."""
        post(self.all.ingest, "/events", [event(HOSTILE, HOSTILE), event(HOSTILE, "kit-003"), event("other", HOSTILE), event("other", "kit-007")])
        post(self.all.api, "/items", [{"item_id": HOSTILE, "title": HOSTILE, "categories": [HOSTILE], "parent": HOSTILE, HOSTILE[:60]: {"a": [HOSTILE]}}])
        with open(os.path.join(self.reports, "hostile.json"), "w", encoding="utf-8") as file:
            metrics = {HOSTILE: {"value": 1, "low": 0.5, "high": 1.5}}
            json.dump({"protocol": HOSTILE, "train": HOSTILE, "configurations": [{"label": HOSTILE, "metrics": metrics, "first_hits": [1, 2, 3], "settings": {HOSTILE: HOSTILE}}]}, file)
        self.addCleanup(os.remove, os.path.join(self.reports, "hostile.json"))
        encoded = urllib.parse.quote(HOSTILE, safe="")
        wait_for(lambda: HOSTILE in [one["item_id"] for one in get(self.all.api, "/popular?limit=500").json()["items"]], "it is popular")
        page = self.page()
        for hash in (f"#/user/{encoded}?why={encoded}", f"#/item/{encoded}", f"#/popular?limit=500&category={encoded}", "#/popular?limit=500", "#/reports/hostile.json"):
            with self.subTest(view=hash):
                page.run(f"location.hash = {json.dumps(hash)}")
                shown(page, f"document.querySelector('main').textContent.includes({json.dumps(HOSTILE)}) && location.hash === {json.dumps(hash)}")
                self.assertEqual(page.run("document.querySelectorAll('main img, main script, main iframe, main [onerror]').length"), 0)
                self.assertNotEqual(page.run("document.title"), "taken")
        page.run(f"location.hash = '#/item/{encoded}'")
        shown(page, "document.querySelectorAll('li.answer').length > 0")
        page.run("document.querySelector('.answers a').click()")
        shown(page, "location.hash.startsWith('#/item/kit-')")
        self.assertNotIn(self.origin + "x", page.requests)
        self.assert_clean(page)

    def test_arithmetic(self):
        """What stands between figures and their sources: text to readings, readings to rates and quantiles, two answers to what changed."""
        page = self.page("#/popular")
        shown(page)
        before = 'n_bucket{route="/a",le="0.1"} 4\nn_bucket{route="/a",le="0.5"} 4\nn_bucket{route="/a",le="+Inf"} 4\nfell_total 90\n# TYPE x counter\n'
        now = 'n_bucket{route="/a",le="0.1"} 4\nn_bucket{route="/a",le="0.5"} 12\nn_bucket{route="/a",le="+Inf"} 14\nfell_total 7\nodd{a="b\\"c\\n}"} 1e3\n'
        told = page.run(f"""import("/console/page/metrics.js").then((m) => {{
            const before = m.parse({json.dumps(before)}), now = m.parse({json.dumps(now)}), of = (share) => m.quantile(share, before, now, "n");
            return [of(0.4), of(0.8), of(0.99), m.quantile(0.5, now, now, "n"), m.grown(before, now, "fell_total"), m.series(now, "odd")[0], m.has(now, "x")];
        }})""")
        self.assertAlmostEqual(told[0], 0.1 + 0.4 * 4 / 8)
        self.assertAlmostEqual(told[1], 0.5)
        self.assertAlmostEqual(told[2], 0.5, msg="beyond the last bound it is that bound")
        self.assertEqual(told[3:], [None, 7, {"labels": {"a": 'b"c\n}'}, "value": 1000}, False])
        told = page.run("""import("/console/page/user.js").then((m) => {
            const list = (...ids) => ids.map((id, at) => ({item_id: id, rank: at + 1})), found = m.difference(list("a", "b", "c"), list("a", "d", "b"));
            return [[...found.moves], found.gone.map((one) => one.item_id)];
        })""")
        self.assertEqual(told, [[["a", {"kind": "same"}], ["d", {"kind": "new"}], ["b", {"kind": "moved", "by": -1}]], ["c"]])
        self.assert_clean(page)

    def test_failures_in_words(self):
        page = self.page("#/user/anna?limit=0&as_of=yesterday")
        page.wait("!!document.querySelector('.failure')")
        told = get(self.all.api, "/explain?user_id=anna&limit=0&as_of=yesterday").json()
        self.assertIn(told["detail"], page.text(".failure"))
        field = told["errors"][0]["field"]
        self.assertEqual(page.run("document.querySelector('[aria-invalid]').name"), field)
        self.assertIn(f"{field}: {told['detail']}", page.text(".failure"))
        page.run("location.hash = '#/user/anna'")
        shown(page, "document.querySelectorAll('li.answer').length > 0")
        page.tab_to("form[name=event] [name=item_id]")
        page.write("kit-001")
        page.run("document.querySelector('form[name=event] [name=event_type]').value = 'nonsense'")
        page.press("Enter")
        page.wait("!!document.querySelector('.failure')")
        self.assertTrue(page.focused("form[name=event] [name=event_type]"), "the field that is wrong has the focus")
        self.posted_once(page)
        page.run("location.hash = '#/popular?window=never'")
        page.wait("document.querySelector('.failure') && document.querySelector('[aria-invalid]')?.name === 'window'")
        self.assertEqual([trouble for trouble in page.troubles if not trouble.startswith("network: ")], [])

    def posted_once(self, page):
        """An event at a time; what is sent again, because no answer came, has the same event_id; and what a service that was started again takes."""
        page.run("location.hash = '#/user/poster'")
        shown(page, "location.hash === '#/user/poster' && document.querySelectorAll('li.answer').length > 0")
        before = accepted(self.all.api)
        page.run("""(() => {
            const real = window.fetch;
            window.sent = [];
            window.lost = 1;
            window.fetch = async (path, options) => {
                if (path !== "./events")
                    return path === "./console/state" && window.reads ? new Response('{"mode":"read","reports":false,"version":"0"}') : real(path, options);
                if (window.reads)
                    return new Response('{"title":"not found","detail":"there is nothing at this path"}', {status: 404});
                window.sent.push(JSON.parse(options.body));
                const answer = await real(path, options);
                if (window.lost-- > 0)
                    throw new TypeError("the answer is lost");
                return answer;
            };
            const form = document.querySelector("form[name=event]");
            form.querySelector("[name=item_id]").value = "kit-001";
            for (let i = 0; i < 3; i++)
                form.requestSubmit();
        })()""")
        page.wait("document.querySelector('form[name=event] + div .failure')?.innerText.includes('cannot be reached')")
        page.run("document.querySelector('form[name=event]').requestSubmit(), document.querySelector('form[name=event]').requestSubmit()")
        shown(page, "!!document.querySelector('#difference')")
        sent = page.run("window.sent")
        self.assertEqual(len(sent), 2, "three presses and two presses")
        self.assertEqual(sent[0], sent[1])
        self.assertTrue(sent[0]["event_id"])
        self.assertLessEqual(accepted(self.all.api), before + 2)
        item = "document.querySelector('form[name=event] [name=item_id]')"
        page.run(f"{item}.value = 'kit-001', {item}.form.requestSubmit()")
        page.wait("window.sent.length === 3")
        shown(page, f"{item}.value === ''")
        self.assertNotEqual(page.run("window.sent[2].event_id"), sent[0]["event_id"], "another event")
        page.run(f"window.reads = true, {item}.value = 'kit-001', {item}.form.requestSubmit()")
        page.wait("document.querySelector('form[name=event] + div .failure')?.innerText.includes('only reads now')")
        self.assertEqual(page.text("#mode"), "read only")
        page.run("window.reads = false, document.dispatchEvent(new Event('visibilitychange'))")

    def test_pictures(self):
        """Those that docs/CONSOLE.md shows."""
        os.makedirs(PICTURES, exist_ok=True)
        ended = threading.Event()
        self.addCleanup(ended.set)
        threading.Thread(target=self.traffic, args=(ended,), daemon=True).start()
        desk = {"width": 1200, "height": 780}
        live = self.page("#/live", **desk)
        page = self.page("#/user/mira?limit=12", **desk)
        self.picture(page, "user", "document.querySelectorAll('li.answer').length === 12")
        page = self.page("#/user/mira?limit=8&why=gar-064", **desk, dark=True)
        shown(page, "!!document.querySelector('#verdict')")
        page.tab_to("form[name=event] [name=item_id]")
        page.write("gar-064")
        page.press("Enter")
        shown(page, "!!document.querySelector('#difference')")
        page.run("document.activeElement.blur()")
        self.picture(page, "event-dark", "true")
        self.picture(self.page("#/item/kit-007?limit=10", **desk), "item", "document.querySelectorAll('section').length === 3")
        self.picture(self.page("#/reports/shop.json", **desk), "report", "document.querySelectorAll('#result table').length > 1")
        page = self.page("#/user/mira", width=360, height=740, phone=True, dark=True)
        shown(page, "document.querySelectorAll('li.answer').length === 20")
        page.run("document.querySelector('.legend').closest('section').scrollIntoView()")
        self.picture(page, "phone-dark", "true")
        self.picture(live, "live", "document.querySelector('#read').textContent.split(' ')[4] > (%d)" % (12 if "RECO_SCREENSHOTS" in os.environ else 2))

    def traffic(self, ended):
        """Somebody asks, so that there is something to see; now more, now less."""
        started = time.monotonic()
        while not ended.is_set():
            post(self.all.ingest, "/events", [event(f"visitor-{int(time.monotonic() * 10) % 200}", "wal-120")])
            for number in range(6):
                get(self.all.api, f"/recommendations?user_id=visitor-{number * 7}" if number % 3 else "/popular?limit=10")
            ended.wait(0.05 + 0.1 * abs((time.monotonic() - started) / 8 % 2 - 1))

    def picture(self, page, name, condition):
        shown(page, condition)
        page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        data = page.picture()
        self.assertTrue(5_000 < len(data) < PICTURE_MAX, (name, len(data)))
        with open(os.path.join(PICTURES, f"console-{name}.png"), "wb") as file:
            file.write(data)


class Rights(WithConsole):
    """Who may do what with it."""

    def test_read_only(self):
        service = self.api()
        self.assert_refused(service.port, 404)
        self.assertEqual(get(service.port, "/console/state").json()["mode"], "read")
        self.assertNotIn("/events", get(service.port, "/openapi.json").json()["paths"])
        page = self.browser.page(f"http://127.0.0.1:{service.port}/#/user/anna")
        self.addCleanup(page.close)
        shown(page, "document.querySelectorAll('li.answer').length === 20")
        page.wait("!document.querySelector('#mode').hidden")
        self.assertEqual(page.text("#mode"), "read only")
        self.assertEqual(page.run("document.querySelectorAll('form[name=event]').length"), 0)
        page.run("location.hash = '#/live'")
        shown(page, "!!document.querySelector('.figure')")
        self.assertIn("none taken by this process", page.text("[data-figure='Events per second']"))
        page.run("location.hash = '#/reports'")
        shown(page, "location.hash === '#/reports' && !document.querySelector('.figure')")
        self.assertIn("services.reports", page.text("#result"))
        self.assertEqual(page.troubles, [])

    def assert_refused(self, port, status):
        self.assertEqual(post(port, "/events", [event("anna", "kit-001")]).status, status)

    def test_off(self):
        service = self.api("--console", "off")
        for path in ("/", "/console", "/console/", "/console/state", "/console/reports", "/console/page/main.js"):
            self.assertEqual(get(service.port, path).status, 404)
        self.assert_refused(service.port, 404)
        self.assertNotIn("/console/state", get(service.port, "/openapi.json").json()["paths"])
        self.assertEqual(get(service.port, "/popular").status, 200)

    def test_write(self):
        self.assertEqual(get(self.all.api, "/console/state").json()["mode"], "write")
        self.assertIn("post", get(self.all.api, "/openapi.json").json()["paths"]["/events"])
        before = accepted(self.all.api)
        self.assertEqual(post(self.all.api, "/events", [event("ben", "kit-001")]).status, 202)
        self.assertEqual(accepted(self.all.api), before + 1)

    def test_other_origins_cannot_post(self):
        before = accepted(self.all.api)
        body = json.dumps(event("anna", "kit-001"))
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json", ""):
            self.assertEqual(post(self.all.api, "/events", body, kind).status, 415, kind)
        for headers in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": self.origin[:-1] + "0"}, {"Origin": "http://127.0.0.1"},
                        {"Origin": "http://elsewhere.example@127.0.0.1:%d" % self.all.api}, {"Origin": f"http://localhost:{self.all.api}"},
                        {"Origin": f"ftp://127.0.0.1:{self.all.api}"}, {"Origin": f"127.0.0.1:{self.all.api}"}):
            answer = post(self.all.api, "/events", body, headers=headers)
            self.assertEqual((answer.status, answer.json()["errors"][0]["field"]), (403, "Origin"), headers)
            self.assertEqual(post(self.all.ingest, "/events", json.dumps(event("zoe", "kit-001")), headers=headers).status, 202, "ingest is for pages of applications")
        before += 9
        preflight = ask(self.all.api, "OPTIONS", "/events", headers={"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"})
        self.assertEqual((preflight.status, preflight.headers["Access-Control-Allow-Origin"]), (405, None))
        self.assertEqual(accepted(self.all.api), before)

    def test_a_name_that_leads_here(self):
        """A page whose name was made to lead to this address is of the same origin for a browser. It neither reads nor posts."""
        before = accepted(self.all.api)
        page = self.browser.page(f"http://{chromium.REBOUND}:{self.all.api}/health")
        self.addCleanup(page.close)
        self.assertIn("ok", page.text(), "the browser is led here")
        asked = """(path, options) => fetch(path, options).then(async (answer) => [answer.status, (await answer.json()).errors?.[0].field])"""
        self.assertEqual(page.run(f"({asked})('/explain?user_id=anna')"), [403, "Host"])
        self.assertEqual(page.run(f"({asked})('/events', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: '{json.dumps(event('anna', 'kit-001'))}'}})"), [403, "Host"])
        self.assertEqual(page.run(f"({asked})('/items/kit-001', {{method: 'DELETE'}})"), [403, "Host"])
        self.assertEqual(accepted(self.all.api), before)

    def posted(self, service, host, origin):
        answer = post(service.port, "/events", event("zoe", "kit-001"), headers={"Host": host, **({"Origin": origin} if origin else {})})
        return answer.json()["errors"][0]["field"] if answer.status == 403 else answer.status

    def test_who_may_post_where_names_are_the_networks(self):
        """Listening on all addresses: programs ask by any name, and pages post from a name that somebody has listed."""
        service = self.api("--console", "write", kind=Everywhere)
        self.assertEqual(get(service.port, "/popular", Host="reco.internal").status, 200)
        for host, origin, told in (("reco.internal:81", None, 202), ("reco.internal:81", "http://reco.internal:81", "Host"), ("10.0.0.5:81", "http://10.0.0.5:81", 202),
                                   ("10.0.0.5:81", "http://elsewhere.example", "Origin"), ("localhost:81", "http://localhost:81", 202)):
            self.assertEqual(self.posted(service, host, origin), told, (host, origin))

    def test_who_may_post_behind_a_proxy(self):
        """A proxy may keep the Host that people use, or put its own in."""
        service = self.api("--console", "write", "--set", "services.hosts=reco.example", "--set", "services.cors_origins=https://shop.example")
        for host, origin, told in (("reco.example", "https://reco.example", 202), ("127.0.0.1:81", "https://reco.example", 202), ("127.0.0.1:81", "https://reco.example:8443", 202),
                                   ("127.0.0.1:81", "https://shop.example", 202), ("reco.example", "https://elsewhere.example", "Origin"),
                                   ("127.0.0.1:81", "ftp://reco.example", "Origin"), ("127.0.0.1:81", "https://reco.example/evil", "Origin"),
                                   ("elsewhere.example", "https://elsewhere.example", "Host")):
            self.assertEqual(self.posted(service, host, origin), told, (host, origin))

    def test_a_form_elsewhere_cannot_post(self):
        """The same by a browser: a form whose text is a JSON document, and a script."""
        before = accepted(self.all.api)
        form = f"""<form method=post enctype=text/plain action="{self.origin}events"><input name='{{"user_id":"anna","item_id":"kit-001","event_type":"view","x":"' value='"}}'></form>"""
        page = self.browser.page("data:text/html," + urllib.parse.quote(form))
        self.addCleanup(page.close)
        sent = page.run(f"fetch({json.dumps(self.origin + 'events')}, {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: '{{}}'}}).then(() => 'sent', () => 'refused')")
        self.assertEqual(sent, "refused")
        page.loaded = False
        page.run("document.querySelector('form').submit()")
        page.until_loaded()
        self.assertEqual(page.statuses[self.origin + "events"], 403)
        self.assertEqual(accepted(self.all.api), before)

    def test_frames_and_policy(self):
        for path in ("/", "/console/page/main.js", "/console/page/style.css", "/console/page/icon.svg", "/console/state", "/console/reports", "/console/reports/shop.json"):
            answer = get(self.all.api, path, **{"Accept-Encoding": "gzip"})
            self.assertEqual(answer.status, 200)
            policy = answer.headers["Content-Security-Policy"]
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "trusted-types 'none'"):
                self.assertIn(part, policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            if answer.headers["ETag"]:
                self.assertEqual(get(self.all.api, path, **{"If-None-Match": answer.headers["ETag"]}).status, 304)
        self.assertEqual(get(self.all.api, "/console/page/main.js", **{"Accept-Encoding": "gzip"}).headers["Content-Encoding"], "gzip")
        whole = get(self.all.api, "/").body.decode()
        self.assertFalse(re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=|https?://", whole))

    def test_reports(self):
        """Only plain files of the folder, by plain names; a page runs nothing."""
        before = set(os.listdir(self.reports))
        self.addCleanup(lambda: [remove(os.path.join(self.reports, name)) for name in set(os.listdir(self.reports)) - before])
        outside = os.path.join(self.folder, "outside.json")
        for path, text in ((outside, "{}"), (os.path.join(self.reports, ".hidden.json"), "{}"), (os.path.join(self.reports, "notes.txt"), "x"),
                           (os.path.join(self.reports, "large.json"), " " * (4 * 1024 * 1024 + 1)), (os.path.join(self.reports, "broken.json"), "{")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        os.symlink(outside, os.path.join(self.reports, "link.json"))
        os.mkdir(os.path.join(self.reports, "folder.json"))
        os.mkfifo(os.path.join(self.reports, "pipe.json"))
        names = {one["name"] for one in get(self.all.api, "/console/reports").json()["reports"]}
        self.assertEqual(names, {"shop.json", "shop.html", "broken.json"})
        for name in (".hidden.json", "notes.txt", "large.json", "link.json", "folder.json", "pipe.json", "..%2Foutside.json", "%2E%2E%2Foutside.json", "shop", "shop.json%2F", "a" * 200 + ".json"):
            self.assertEqual(ask(self.all.api, "GET", "/console/reports/" + name).status, 404, name)
        self.assertIn(b" 404 ", raw(self.all.api, b"GET /console/reports/../../outside.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").split(b"\r\n")[0])
        page = get(self.all.api, "/console/reports/shop.html")
        self.assertTrue(page.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'"))
        self.assert_told(self.page("#/reports/broken.json"))

    def assert_told(self, shown_):
        """What is no report is told, and not drawn."""
        shown_.wait("!!document.querySelector('.failure')")
        self.assertIn("not JSON", shown_.text(".failure"))
        side = {"label": "a", "metrics": {"ndcg": {"value": 0.5}}}
        odd = ([], 7, {"configurations": [{"metrics": {}}, {"metrics": {}}], "differences": {}}, {"configurations": [{**side, "metrics": {"ndcg": {"value": "x"}}}]},
               {"configurations": [{**side, "label": " "}]}, {"configurations": [side], "protocol": {"a": 1}}, {"configurations": [{**side, "first_hits": [1, "x", 2]}]},
               {"configurations": [side, side], "differences": {"ndcg": {"mean": 1}}}, {"configurations": [{**side, "settings": {"a": {}}}]}, {"configurations": [side], "tuning": {}})
        for at, report in enumerate(odd):
            with open(os.path.join(self.reports, f"odd-{at}.json"), "w", encoding="utf-8") as file:
                json.dump(report, file)
            shown_.run(f"location.hash = '#/reports/odd-{at}.json'")
            shown(shown_, f"document.querySelector('#listed a[aria-current]')?.textContent === 'odd-{at}.json' && !document.querySelector('.wide .loading')")
            self.assertIn("This is no report", shown_.text(".wide"), report)
        for name, words in (("shop.html", "opens in a tab of its own"), ("..", "there is no such report")):
            shown_.run(f"location.hash = '#/reports/{name}'")
            shown(shown_, f"location.hash === '#/reports/{name}' && document.querySelector('.wide').innerText.includes({json.dumps(words)})")
        self.assertTrue(shown_.run("!!document.querySelector('#listed a[href=\"console/reports/shop.html\"]')"))
        self.assertEqual([trouble for trouble in shown_.troubles], [])


if __name__ == "__main__":
    need_browser()
    unittest.main()

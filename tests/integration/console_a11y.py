"""What axe-core finds in the console: nothing. Every view, light and dark, on a desk and on a phone. axe-core comes in a package of Python that is installed into the
build folder; where it cannot be, the test is skipped."""
import glob
import json
import os
import sys
import unittest

from console_support import SKIPPED, WithConsole, need_browser, shown
from pip_support import install

PACKAGE, VERSION = "axe-playwright-python", "0.1.8"  # for the axe.min.js in it; playwright itself is not needed
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIEWS = {"#/user": "true", "#/user/anna?limit=6&why=gar-064": "!!document.querySelector('#verdict')", "#/user/nobody?limit=6": "true", "#/item/kit-007?limit=6": "document.querySelectorAll('section').length === 3",
         "#/popular?window=7d&limit=6": "true", "#/live": "document.querySelectorAll('.figure').length > 5", "#/reports/shop.json": "document.querySelectorAll('#result table').length > 1",
         "#/user/anna?limit=0": "!!document.querySelector('.failure')"}


class Accessible(WithConsole):
    def found(self, page):
        """What is wrong: rule, impact, where."""
        page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        told = page.run(f"axe.run(document, {{runOnly: {json.dumps(RULES)}, resultTypes: ['violations']}}).then((result) => JSON.stringify(result.violations))")
        return [f"{one['id']} ({one['impact']}): {one['help']}: " + "; ".join(f"{node['html'][:160]} {node.get('failureSummary', '')[:200]}" for node in one["nodes"][:3]) for one in json.loads(told)]

    def opened(self, **options):
        page = self.page(**options)
        page.run(AXE)
        return page

    def test_views(self):
        for options in ({"dark": False}, {"dark": True}, {"width": 360, "height": 740, "phone": True}):
            page = self.opened(**options)
            for hash, condition in VIEWS.items():
                with self.subTest(view=hash, **options):
                    page.run(f"location.hash = {json.dumps(hash)}")
                    shown(page, f"location.hash === {json.dumps(hash)} && ({condition})")
                    page.run("document.querySelectorAll('li.answer button').forEach((button, at) => at < 2 && button.click()), document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                    found = self.found(page)
                    self.assertFalse(found, "\n".join(found))

    def test_finds_what_is_wrong(self):
        page = self.opened(hash="#/user/anna?limit=3")
        shown(page)
        page.run("document.querySelector('label').remove(), document.querySelector('.note').style.color = '#bbb'")
        found = " ".join(self.found(page))
        self.assertIn("label (critical)", found)
        self.assertIn("color-contrast (serious)", found)


if __name__ == "__main__":
    need_browser()
    FOLDER = install(PACKAGE, VERSION, "--no-deps")
    if not FOLDER:
        sys.exit(SKIPPED)
    with open(glob.glob(os.path.join(FOLDER, "lib", "python3*", "site-packages", "axe_playwright_python", "axe.min.js"))[0], encoding="utf-8") as file:
        AXE = file.read() + "; true"
    unittest.main()

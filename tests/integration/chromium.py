"""A headless Chromium driven over a pair of pipes by its DevTools protocol: no port, no driver, no package of others. It ends with the test, whatever ends that:
the kernel kills it when its parent dies, and its profile lies in the folder of the test."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions", "--disable-breakpad",
         "--disable-domain-reliability", "--disable-client-side-phishing-detection", "--metrics-recording-only", "--no-pings", "--mute-audio", "--hide-scrollbars",
         "--password-store=basic", "--use-mock-keychain", "--force-color-profile=srgb", "--font-render-hinting=none",
         "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,AutofillServerCommunication"]
REBOUND = "rebound.example"  # a name of somebody else's that leads here
FLAGS.append(f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1")
PATIENCE = 30
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " "), "Escape": (27, "")}


def program():
    """Where it is; None: it is not installed."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Failed(AssertionError):
    pass


class Chromium:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="reco-chromium-")
        down, self.to = os.pipe()
        self.by, up = os.pipe()
        self.log = open(os.path.join(self.folder, "log"), "wb")
        # the protocol is spoken on descriptors 3 and 4; setpriv: the browser ends with us
        launch = f'exec "$@" 3<&{down} 4>&{up}'
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bash", "-c", launch, "bash", program(), *FLAGS, "--user-data-dir=" + self.folder, "about:blank"],
                                        pass_fds=(down, up), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**{name: value for name, value in os.environ.items() if not name.startswith("RECO_")}, "HOME": self.folder})
        os.close(down)
        os.close(up)
        self.last, self.buffer, self.answers, self.pages = 0, b"", {}, {}

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.by)
        self.log.close()
        for _ in range(50):  # processes of the browser may still write as they end
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.1)

    # --- the protocol -----------------------------------------------------------------------------------------------------------------------

    def call(self, method, session=None, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        number, until = self.last, time.monotonic() + PATIENCE
        while number not in self.answers:
            self.read(until)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    def read(self, until):
        """What has come, waiting for something to come."""
        ready, _, _ = select.select([self.by], [], [], max(0, until - time.monotonic()))
        if not ready:
            raise Failed("the browser does not answer: " + self.log_text())
        part = os.read(self.by, 1 << 20)
        if not part:
            raise Failed("the browser ended: " + self.log_text())
        self.buffer += part
        *whole, self.buffer = self.buffer.split(b"\0")
        for one in whole:
            message = json.loads(one)
            if "id" in message:
                self.answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].happened(message["method"], message["params"])

    def log_text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def page(self, url, **options):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], target)
        page.prepare(**options)
        page.open(url)
        return page


class Page:
    """One tab, with what it asked the network for and what went wrong in it."""

    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.requests, self.troubles, self.statuses = [], [], {}
        self.loaded = False
        browser.pages[session] = self

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def happened(self, method, told):
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Network.responseReceived":
            self.statuses[told["response"]["url"]] = told["response"]["status"]
        elif method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.troubles.append(" ".join(str(one.get("value", one.get("description"))) for one in told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.troubles.append(f"{told['entry']['source']}: {told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Audits.issueAdded" and told["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.troubles.append("content security policy: " + json.dumps(told["issue"]["details"]))
        elif method == "Page.loadEventFired":
            self.loaded = True

    def prepare(self, width=1280, height=860, dark=False, phone=False, calm=True):
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(domain + ".enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.size(width, height, phone)
        self.media(dark, calm)

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def media(self, dark, calm=True):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                                          {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])

    def open(self, url):
        self.loaded = False
        self.call("Page.navigate", url=url)
        if "#" not in url or not self.url().startswith(url.split("#")[0]):
            self.until_loaded()

    def reload(self):
        self.loaded = False
        self.call("Page.reload")
        self.until_loaded()

    def until_loaded(self):
        until = time.monotonic() + PATIENCE
        while not self.loaded:
            self.browser.read(until)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    # --- looking and doing ------------------------------------------------------------------------------------------------------------------

    def run(self, expression):
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed(f"{expression[:200]}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def url(self):
        return self.run("location.href")

    def wait(self, expression, what=None):
        until = time.monotonic() + PATIENCE
        while True:
            value = self.run(expression)
            if value:
                return value
            if time.monotonic() > until:
                raise Failed(f"not in time: {what or expression}; the page says: {self.text()[:1500]}")
            time.sleep(0.02)

    def text(self, selector="body"):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def press(self, key, shift=False):
        code, text = KEYS[key]
        keyed = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **keyed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **keyed)

    def write(self, text):
        """Typed over what stands in the input that has the focus."""
        self.run("document.activeElement.select()")
        self.call("Input.insertText", text=text)

    def tab_to(self, selector, most=150):
        """Presses Tab until the focus is there: what cannot be reached that way is not found."""
        for _ in range(most):
            self.press("Tab")
            if self.run(f"!!document.activeElement?.matches({json.dumps(selector)})"):
                return
        raise Failed(f"{selector} is not reached by the keyboard")

    def focused(self, selector):
        return self.run(f"!!document.activeElement?.matches({json.dumps(selector)})")

    def picture(self, whole=False):
        how = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            how["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **how)["data"])

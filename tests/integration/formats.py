"""Formats on disk: a directory, a snapshot and a backup of the first release are opened by today's programs and mean the same; what a newer release
wrote is refused by every store, and left as it was.

The first release is kept as text in fixtures/: files without their empty pages, packed. It is made once for a version of the formats, by
`RECO_BUILD_DIR=... formats.py --make FILE`, and then never again: when this test fails the formats have changed, and what exists is to be migrated."""
import base64
import json
import os
import sys
import unittest
import zlib

from http_support import WithData, run

FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "first-release.txt")
PAGE = 4096
STORES = {"stream": "reco-stream", "features": "reco-features", "records": "reco-records"}


# --- packing -----------------------------------------------------------------------------------------------------------------------------------

def pack(folder):
    """Every file as its size and the pages that hold anything."""
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                content = file.read()
            pages = {}
            for at in range(0, len(content), PAGE):
                page = content[at:at + PAGE]
                if page.strip(b"\0"):
                    pages[at] = page.hex()
            files[os.path.relpath(path, folder)] = {"size": len(content), "pages": pages}
    return files


def unpack(files, folder):
    for name, one in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(one["size"])
            for at, page in one["pages"].items():
                file.seek(int(at))
                file.write(bytes.fromhex(page))


def load():
    with open(FIXTURE) as file:
        text = "".join(line.strip() for line in file if not line.startswith("#"))
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text)))


def make(target):
    import shutil
    import tempfile
    folder = tempfile.mkdtemp()
    data = os.path.join(folder, "data")

    def reco(*arguments, stdin=None):
        return run("reco", "--data", data, *arguments, check=0, stdin=stdin).stdout

    with open(os.path.join(folder, "history.csv"), "w") as file:
        file.write(history())
    reco("import", "--format", "csv", os.path.join(folder, "history.csv"))
    reco("items", "-", stdin='[{"item_id":"tea","title":"Grüner Tee","categories":["drinks"]},{"item_id":"cup","hidden":true}]')
    reco("users", "-", stdin='[{"user_id":"u1","segment":"new","city":"Graz"}]')
    reco("snapshot", os.path.join(folder, "snapshot"))
    reco("backup", os.path.join(folder, "backup"))
    stats = json.loads(reco("stats", "--json"))
    expected = {"hash": json.loads(reco("verify", "--json"))["hash"], "items": stats["items"], "users": stats["users"],
                "similar": ids(reco("recommend", "u1", "--limit", "2", "--json"))}
    for leftover in ("stream/lock.mdb", "features/lock.mdb", "records/lock.mdb"):
        os.unlink(os.path.join(data, leftover))  # of this machine
    packed = zlib.compress(json.dumps({"expected": expected, "files": pack(folder)}, sort_keys=True).encode(), 9)
    text = base64.urlsafe_b64encode(packed).decode()
    with open(target, "w") as file:
        file.write("# A directory, a snapshot and a backup of release 0.1.0, packed by formats.py, which tells more. Never to be made anew.\n")
        for at in range(0, len(text), 140):
            file.write(text[at:at + 140] + "\n")
    shutil.rmtree(folder)


def history():
    rows = ["user_id,item_id,event_type,timestamp,value"]
    for user in range(6):
        for step, item in enumerate(("tea", "cup", "pot", f"own{user}")):
            rows.append(f"u{user},{item},view,{1767225600000 + user * 60000 + step * 1000},")
    return "\n".join(rows) + "\n"


def ids(answer):
    return [item["item_id"] for item in json.loads(answer)["items"]]


# --- the first release ---------------------------------------------------------------------------------------------------------------------------

class FirstRelease(WithData):
    def setUp(self):
        super().setUp()
        fixture = load()
        self.expected = fixture["expected"]
        self.place = os.path.join(self.folder, "first")
        unpack(fixture["files"], self.place)
        self.first = os.path.join(self.place, "data")

    def reco(self, *arguments, check=0, stdin=None, data=None):
        return run("reco", "--data", data or self.first, *arguments, check=check, stdin=stdin)

    def json(self, *arguments, **more):
        return json.loads(self.reco(*arguments, "--json", **more).stdout)

    def test_it_is_small(self):
        self.assertLess(os.path.getsize(FIXTURE), 40000)

    def test_what_it_holds(self):
        verified = self.json("verify")
        self.assertEqual((verified["equal"], verified["hash"], verified["events"]), (True, self.expected["hash"], 24))
        self.assertEqual(self.json("doctor")["findings"], [])
        stats = self.json("stats")
        self.assertEqual((stats["items"], stats["users"], stats["lag"]), (self.expected["items"], self.expected["users"], 0))
        self.assertEqual(ids(self.reco("recommend", "u1", "--limit", "2", "--json").stdout), self.expected["similar"])
        tea = self.json("item", "tea")
        self.assertEqual((tea["title"], tea["categories"]), ("Grüner Tee", ["drinks"]))
        self.assertEqual(self.json("user", "u1")["segment"], "new")

    def test_it_goes_on(self):
        path = os.path.join(self.place, "history.csv")
        self.assertTrue(self.json("import", "--format", "csv", path)["already"])
        self.reco("ingest", "-", stdin='{"user_id":"u1","item_id":"saucer","event_type":"view"}\n')
        verified = self.json("verify")
        self.assertEqual((verified["equal"], verified["events"]), (True, 25))
        self.assertNotEqual(verified["hash"], self.expected["hash"])

    def test_snapshot_and_backup(self):
        self.assertTrue(self.json("verify", "--from", os.path.join(self.place, "snapshot"))["equal"])
        backup = os.path.join(self.place, "backup")
        self.assertEqual(self.json("restore", backup, "--check")["hash"], self.expected["hash"])
        new = os.path.join(self.folder, "new")
        self.reco("restore", backup, data=new)
        verified = self.json("verify", data=new)
        self.assertEqual((verified["equal"], verified["hash"]), (True, self.expected["hash"]))

    # --- another release

    def set_version(self, store, version):
        """The version of an environment's format stands before its identity and name."""
        path = os.path.join(self.first, store, "data.mdb")
        with open(path, "r+b") as file:
            content = file.read()
            at = content.index(STORES[store].encode())
            while at >= 0:
                file.seek(at - 20)
                file.write(version.to_bytes(4, "little"))
                at = content.find(STORES[store].encode(), at + 1)
        with open(path, "rb") as file:
            return file.read()

    def test_newer_stores(self):
        for store in STORES:
            before = self.set_version(store, 2)
            for command in (("stats",), ("verify",), ("recommend", "u1"), ("ingest", "-"), ("import", "--format", "csv", self.place + "/history.csv"),
                            ("backup", self.folder + "/none")):
                done = self.reco(*command, check=1, stdin="")
                self.assertIn(f"version 2 of '{STORES[store]}', this library reads 1", done.stderr, command)
                self.assertEqual(done.stderr.count("\n"), 1)
            found = [one["id"] for one in self.json("doctor", check=4)["findings"]]
            self.assertIn("newer", found)
            with open(os.path.join(self.first, store, "data.mdb"), "rb") as file:
                self.assertEqual(file.read(), before, store)
            self.set_version(store, 0)
            self.assertIn("old version 0", self.reco("stats", check=1).stderr)
            self.set_version(store, 1)
        self.assertTrue(self.json("verify")["equal"])  # and nothing was changed

    def test_newer_files(self):
        for name, command in (("snapshot", ("verify", "--from")), ("backup", ("restore", "--check"))):
            path = os.path.join(self.place, name)
            with open(path, "r+b") as file:
                file.seek(8)
                file.write(b"\2")
            self.assertIn("version 2, this library reads up to 1", self.reco(*command, path, check=1).stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2])
    else:
        unittest.main()

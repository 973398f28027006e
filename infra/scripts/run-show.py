"""Shows answers of GET /recommendations for run.sh.

    run-show.py show API ANSWER.json                  prints a table with titles and reasons
    run-show.py pick API ANSWER.json                  prints "ID<tab>TITLE" of the film to post: the first one recommended
    run-show.py check API BEFORE.json AFTER.json ID   says what changed; exit code 1 unless the lists differ and a reason names ID
"""
import json
import sys
import urllib.parse
import urllib.request

UNIT = 1_000_000
WORDS = {"popular": "popular now", "revisit": "seen a moment ago", "other": "other reasons"}


class Titles:
    def __init__(self, api):
        self.api, self.known = api, {}

    def __getitem__(self, item):
        if item not in self.known:
            try:
                with urllib.request.urlopen(f"{self.api}/items/{urllib.parse.quote(item, safe='')}", timeout=10) as answer:
                    self.known[item] = json.load(answer).get("title") or item
            except OSError:
                self.known[item] = item
        return self.known[item]


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def short(text, width):
    return text if len(text) <= width else text[:width - 1] + "…"


def why(reason, titles):
    share = reason["score"] / UNIT
    if "because" in reason:
        return f"because you watched {short(titles[reason['because']], 32)} ({share:.2f})"
    return f"{WORDS.get(reason['type'], reason['type'])} ({share:.2f})"


def show(titles, answer):
    print(f"  {'#':>3}  {'score':>7}  {'title':<44}  reasons")
    for item in answer["items"]:
        reasons = "; ".join(why(reason, titles) for reason in item["reasons"][:2])
        print(f"  {item['rank']:>3}  {item['score'] / UNIT:>7.3f}  {short(titles[item['item_id']], 44):<44}  {reasons}")


def check(titles, before, after, posted):
    old, new = ([item["item_id"] for item in answer["items"]] for answer in (before, after))
    named = [item["item_id"] for item in after["items"] if any(reason.get("because") == posted for reason in item["reasons"])]
    gone, come = [item for item in old if item not in new], [item for item in new if item not in old]
    print(f"  {len(come)} new, {len(gone)} gone; {len(named)} of {len(new)} name \"{titles[posted]}\" as a reason.")
    if old == new:
        sys.exit("run.sh: the recommendations did not change")
    if not named:
        sys.exit("run.sh: no reason names the film that was posted")


def main(mode, api, *arguments):
    titles = Titles(api)
    answers = [load(path) for path in arguments[:2] if path.endswith(".json")]
    if mode == "show":
        show(titles, *answers)
    elif mode == "pick":
        if not answers[0]["items"]:
            sys.exit("run.sh: nothing is recommended")
        first = answers[0]["items"][0]["item_id"]
        print(f"{first}\t{titles[first]}")
    else:
        check(titles, *answers, arguments[2])


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("show", "pick", "check"):
        sys.exit(__doc__)
    main(*sys.argv[1:])

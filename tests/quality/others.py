"""Lists of others: the popular, and the item kNN of a public library."""
import collections
import importlib.metadata

from sets import rows_of

LENGTH, NEIGHBOURS = 20, 100


class Events:
    """What others learn from, what they are asked, and whether what was met before may be an answer."""

    def __init__(self, files):
        self.train = [(row[0], row[1]) for row in rows_of(files.paths["train"])]
        self.own = collections.defaultdict(list)
        for user, item in self.train:
            self.own[user].append(item)
        if files.protocol == "p1":
            self.questions = {row[0]: self.own.get(row[0], []) for row in rows_of(files.paths["test"])}
        else:
            self.questions = {row[0]: row[1].split(",") for row in rows_of(files.paths["queries"])}
        self.barred = files.protocol != "p2"


def popular(events):
    order = [item for item, _ in collections.Counter(item for _, item in events.train).most_common(2000)]
    lists = {}
    for question, history in events.questions.items():
        barred = set(history) if events.barred else ()
        lists[question] = [item for item in order[:LENGTH + len(barred)] if item not in barred][:LENGTH]
    return lists


def library():
    """Its name and version; None when it is not installed."""
    try:
        return "implicit " + importlib.metadata.version("implicit")
    except importlib.metadata.PackageNotFoundError:
        return None


def item_knn(events):
    """The library's: cosine between items, the nearest of each, summed over the history."""
    import numpy
    import scipy.sparse
    from implicit.nearest_neighbours import CosineRecommender

    def matrix(pairs, shape):
        rows, columns = zip(*pairs)
        return scipy.sparse.csr_matrix((numpy.ones(len(rows), dtype=numpy.float32), (rows, columns)), shape=shape)
    users = {user: at for at, user in enumerate(events.own)}
    items = {item: at for at, item in enumerate(dict.fromkeys(item for _, item in events.train))}
    names = list(items)
    model = CosineRecommender(K=NEIGHBOURS)
    model.fit(matrix({(users[user], items[item]) for user, item in events.train}, (len(users), len(items))), show_progress=False)
    asked = list(events.questions)
    history = matrix({(at, items[item]) for at, question in enumerate(asked) for item in events.questions[question] if item in items},
                     (len(asked), len(items)))
    ids, scores = model.recommend(numpy.arange(len(asked)), history, N=LENGTH, filter_already_liked_items=events.barred)
    # what is left to fill a row with has no score, and may be the user's own
    return {question: [names[item] for item, sum_ in zip(ids[at], scores[at]) if item >= 0 and sum_ > 0] for at, question in enumerate(asked)}

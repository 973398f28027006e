"""Turns the MovieLens 100K inside a recbole wheel ("atomic" files: tab separated, a typed header) into the official layout:
u.data (user, item, rating, seconds), u.item (id|title|date|video date|address|19 flags of genres, Latin-1) and u.genre (name|number).

    fetch-movielens-convert.py WHEEL FOLDER
"""
import os
import sys
import zipfile

GENRES = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror",
          "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western")
INSIDE = "recbole/dataset_example/ml-100k/ml-100k."


def rows(wheel, ending):
    """Each row as a dict by the names of the header."""
    lines = wheel.read(INSIDE + ending).decode("utf-8").splitlines()
    names = [field.split(":")[0] for field in lines[0].split("\t")]
    for line in lines[1:]:
        if line:
            yield dict(zip(names, line.split("\t")))


def film(row):
    title = row["movie_title"].replace("|", " ").strip()
    year = row.get("release_year", "")
    kinds = row.get("class", "").split(" ")
    flags = ["1" if genre in kinds else "0" for genre in GENRES]
    shown = f"{title} ({year})" if year.isdigit() else title
    return "|".join([row["item_id"], shown, "", "", "", *flags])


def main(wheel_path, folder):
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(wheel_path) as wheel:
        with open(os.path.join(folder, "u.data"), "w", encoding="ascii") as out:
            for row in rows(wheel, "inter"):
                out.write(f"{row['user_id']}\t{row['item_id']}\t{int(float(row['rating']))}\t{int(float(row['timestamp']))}\n")
        with open(os.path.join(folder, "u.item"), "w", encoding="latin-1", errors="replace") as out:
            for row in rows(wheel, "item"):
                out.write(film(row) + "\n")
    with open(os.path.join(folder, "u.genre"), "w", encoding="ascii") as out:
        for number, genre in enumerate(GENRES):
            out.write(f"{genre}|{number}\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: fetch-movielens-convert.py WHEEL FOLDER")
    main(sys.argv[1], sys.argv[2])

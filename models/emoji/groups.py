#!/usr/bin/env python3
"""Lays out the emoji of the npm package emoji-datasource-google by the sub-groups of its own metadata, a folder each, as `ddim train --labels data` reads them.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python3 models/emoji/groups.py package emoji-groups
    python3 models/emoji/groups.py package emoji-coarse --coarse

A folder is called as the sub-group is, one of 99: animal-mammal, country-flag, face-smiling; "sky & weather" is sky-weather. With --coarse it is called as the
first word of the group, one of 9: smileys, people, animals, food, travel, activities, objects, symbols, flags; the skin tones alone, five images, are symbols.
"""

import json
import shutil
import sys
from pathlib import Path


def main():
    coarse = "--coarse" in sys.argv[1:]
    paths = [word for word in sys.argv[1:] if word != "--coarse"]
    if len(paths) != 2 or any(path.startswith("-") for path in paths):
        sys.exit(__doc__)
    package, out = map(Path, paths)
    if out.exists() and any(out.iterdir()):
        sys.exit(f"{out}: expected a new folder, or an empty one")
    images = package / "img/google/64"
    count = 0
    for emoji in json.loads((package / "emoji.json").read_text(encoding="utf-8")):
        group = emoji["category"].split()[0].lower()
        coarse_name = "symbols" if group == "component" else group
        folder = out / (coarse_name if coarse else emoji["subcategory"].replace(" & ", "-"))
        folder.mkdir(parents=True, exist_ok=True)
        for image in [emoji, *emoji.get("skin_variations", {}).values()]:
            if image.get("has_img_google"):
                shutil.copy(images / image["image"], folder)
                count += 1
    there = len(list(images.glob("*.png")))
    if count != there:
        sys.exit(f"{count} images have a group, of {there} in {package}")
    print(f"{count} images in {len(list(out.iterdir()))} folders of {out}")


main()

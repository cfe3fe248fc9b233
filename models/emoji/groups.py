#!/usr/bin/env python3
"""Lays out the emoji of the npm package emoji-datasource-google by the sub-groups of its own metadata, a folder each, as `ddim train --labels data` reads them.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python3 models/emoji/groups.py package emoji

A folder is called as the sub-group is: animal-mammal, country-flag, face-smiling, food-fruit, and "sky & weather" is sky-weather.
"""

import json
import shutil
import sys
from pathlib import Path

if len(sys.argv) != 3:
    sys.exit(__doc__)
package, out = map(Path, sys.argv[1:])
count = 0
for emoji in json.loads((package / "emoji.json").read_text(encoding="utf-8")):
    folder = out / emoji["subcategory"].replace(" & ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for image in [emoji, *emoji.get("skin_variations", {}).values()]:
        if image.get("has_img_google"):
            shutil.copy(package / "img/google/64" / image["image"], folder)
            count += 1
there = len(list((package / "img/google/64").glob("*.png")))
if count != there:
    sys.exit(f"{count} images have a sub-group, of {there} in {package}")
print(f"{count} images of {len(list(out.iterdir()))} sub-groups in {out}")

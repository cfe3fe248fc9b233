#!/usr/bin/env python3
"""Sorts the emoji of the npm package emoji-datasource-google into one folder per sub-group of its own metadata, as `ddim train --labels data` reads them.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python3 models/emoji/groups.py package emoji-groups
    python3 models/emoji/groups.py package emoji-coarse --coarse
    python3 models/emoji/groups.py package emoji-even --repeat 3

Folders are named after the 99 sub-groups: animal-mammal, country-flag, face-smiling; "sky & weather" is sky-weather. With --coarse they are named after the
first word of the nine groups: smileys, people, animals, food, travel, activities, objects, symbols, flags; the skin tones alone, five images, are symbols.
With --repeat N, each emoji without skin tones is there N times, because people and hands have six images or more each, and are more than half of all. Copies of one image may be
trained on and held out: set data.holdout to 0, and measure FID against a folder without --repeat.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package")
    parser.add_argument("out", type=Path, help="a new folder, or an empty one")
    parser.add_argument("--coarse", action="store_true", help="nine groups instead of 99 sub-groups")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="emoji without skin tones N times")
    args = parser.parse_args()
    package, out = args.package, args.out
    if args.repeat < 1:
        parser.error(f"--repeat {args.repeat}: expected 1 or more")
    if out.exists() and any(out.iterdir()):
        sys.exit(f"{out}: expected a new folder, or an empty one")
    images = package / "img/google/64"
    count = 0
    for emoji in json.loads((package / "emoji.json").read_text(encoding="utf-8")):
        group = emoji["category"].split()[0].lower()
        coarse_name = "symbols" if group == "component" else group
        folder = out / (coarse_name if args.coarse else emoji["subcategory"].replace(" & ", "-"))
        folder.mkdir(parents=True, exist_ok=True)
        variations = emoji.get("skin_variations", {}).values()
        for image in [emoji, *variations]:
            if image.get("has_img_google"):
                count += 1
                path = images / image["image"]
                for k in range(1 if variations else args.repeat):
                    shutil.copy(path, folder / (f"{path.stem}-{k + 1}.png" if k else path.name))
    there = len(list(images.glob("*.png")))
    if count != there:
        sys.exit(f"{count} images have a group, of {there} in {package}")
    print(f"{count} emoji in {len(list(out.iterdir()))} folders of {out}")


main()

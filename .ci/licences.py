"""The licences of what is linked into `ddim` for a target, with the texts that the crates carry: `python3 .ci/licences.py TARGET [--features F]`."""

import json
import subprocess
import sys
from pathlib import Path

TEXTS = ("licen", "copying", "notice", "unlicense")


def main() -> None:
    metadata = json.loads(
        subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", *sys.argv[1:]])
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    waiting = [package["id"] for package in metadata["packages"] if package["name"] == "ddim-cli"]
    linked: set[str] = set()
    while waiting:
        at = waiting.pop()
        if at in linked:
            continue
        linked.add(at)
        waiting += [dep["pkg"] for dep in edges[at] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    print("ddim is licensed under MIT or Apache 2.0. It is built of these crates as well, and their licences are theirs.")
    print("This software is based in part on the work of the Independent JPEG Group.")
    texts: dict[str, list[str]] = {}
    for package in sorted((packages[at] for at in linked), key=lambda package: (package["name"], package["version"])):
        if package["source"] is None:
            continue
        name = f"{package['name']} {package['version']}"
        print(f"  {name}: {package['license'] or package['license_file']}")
        folder = Path(package["manifest_path"]).parent
        # Of C that a crate brings along, too.
        for path in sorted(path for pattern in ("*", "*/*", "vendor/*/*") for path in folder.glob(pattern)):
            if path.is_file() and path.name.lower().startswith(TEXTS) and path.suffix.lower() in ("", ".txt", ".md", ".ijg"):
                text = path.read_text(encoding="utf-8", errors="replace").strip()
                texts.setdefault(text, []).append(f"{name}, {path.relative_to(folder).as_posix()}")
    # Of what is linked and no crate: Rust's standard library, and musl.
    sysroot = Path(subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip())
    others = [("Rust's standard library", sorted((sysroot / "share/doc/rust").glob("COPYRIGHT*")))]
    if sys.argv[1].endswith("-musl"):
        others.append(("musl", [Path("/usr/share/doc/musl/copyright"), Path("/usr/share/doc/musl-dev/copyright")]))
    for name, paths in others:
        found = [path for path in paths if path.is_file()]
        if not found:
            print(f"licences: no text of {name} in {', '.join(map(str, paths)) or sysroot}", file=sys.stderr)
            print(f"  {name}: MIT" + (" or Apache-2.0" if "Rust" in name else ""))
        for path in found[:1]:
            texts.setdefault(path.read_text(encoding="utf-8", errors="replace").strip(), []).append(f"{name}, {path.name}")
    for text, names in texts.items():
        print("\n" + "=" * 80)
        print("\n".join(names) + "\n\n" + text)


main()

#!/usr/bin/env python3
"""FID of folders of JPEG files by pytorch-fid and by ddim: against the same pictures as PNG, and against another JPEG folder.

    pip install numpy scipy pillow torch torchvision pytorch-fid safetensors
    python conformance/check_fid_jpeg.py inception-fid.safetensors [--ddim target/release/ddim] [--count 64] [--sizes 64 128 256 512] [--threads 2]

Pictures of waves, shapes and noise are written as PNG and as JPEG: 4:4:4, 4:2:2, 4:2:0, and 4:2:0 progressive of another quality. Features are
pytorch-fid's of what Pillow reads. Its distance takes a root of a 2048 x 2048 product that has no full rank with fewer than 2049 images; the trace of
that root is the sum of the singular values of a product of centred features, which is exact and quick. --root adds pytorch-fid's own for
one pair of each size. Fails where the largest difference is over 1e-3.
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile
import numpy as np, torch
from PIL import Image
from pytorch_fid.fid_score import calculate_frechet_distance
from make_inception import features, load

parser = argparse.ArgumentParser()
parser.add_argument("weights")
parser.add_argument("--ddim", default="target/release/ddim")
parser.add_argument("--count", type=int, default=64)
parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--root", action="store_true")
args = parser.parse_args()
torch.set_num_threads(args.threads)
_, model = load(args.weights)

KINDS = {
    "444": dict(subsampling="4:4:4", quality=90),
    "422": dict(subsampling="4:2:2", quality=75),
    "420": dict(subsampling="4:2:0", quality=75),
    "420_progressive": dict(subsampling="4:2:0", quality=50, progressive=True),
}


def picture(size, index):
    """Waves of every colour, two shapes with edges, noise."""
    rng = np.random.default_rng([size, index])
    y, x = np.mgrid[:size, :size] / size
    image = np.empty((size, size, 3))
    for c in range(3):
        a, b, p, q = rng.uniform(-12, 12, 4)
        image[..., c] = 128 + 70 * np.sin(a * x + b * y + p) + 40 * np.sin((q + 14) * x * y + a)
    for _ in range(2):
        (u, v), r = rng.uniform(0.2, 0.8, 2), rng.uniform(0.05, 0.25)
        inside = (x - u) ** 2 + (y - v) ** 2 < r * r if rng.random() < 0.5 else np.maximum(abs(x - u), abs(y - v)) < r
        image[inside] = rng.uniform(0, 255, 3)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def features_of(folder):
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(pathlib.Path(folder).iterdir())]
    return np.concatenate([features(model, np.stack(pixels[i : i + 16])) for i in range(0, len(pixels), 16)]).astype(np.float64)


def distance(a, b):
    means = a.mean(0) - b.mean(0)
    a, b = [(f - f.mean(0)) / np.sqrt(len(f) - 1) for f in (a, b)]
    return means @ means + (a * a).sum() + (b * b).sum() - 2 * np.linalg.svd(a @ b.T, compute_uv=False).sum()


def ours(a, b):
    command = [args.ddim, "fid", a, b, "--inception", args.weights, "--fid-only", "--json", "-q", "--threads", str(args.threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["fid"]


largest = 0
for size in args.sizes:
    with tempfile.TemporaryDirectory() as parent:
        folders = {name: os.path.join(parent, name) for name in ["png", *KINDS]}
        for name, folder in folders.items():
            os.mkdir(folder)
            for i in range(args.count):
                image, path = Image.fromarray(picture(size, i)), os.path.join(folder, f"{i:04}")
                if name == "png":
                    image.save(path + ".png")
                else:
                    image.save(path + ".jpg", **KINDS[name])
        of = {name: features_of(folder) for name, folder in folders.items()}
        names = list(KINDS)
        pairs = [(name, "png") for name in names] + list(zip(names, names[1:]))
        for a, b in pairs:
            theirs, found = distance(of[a], of[b]), ours(folders[a], folders[b])
            largest = max(largest, abs(theirs - found))
            print(f"{size:4}  {a:>15} to {b:15}  pytorch-fid {theirs:.5f}   ddim {found:.5f}   difference {abs(theirs - found):.1e}", flush=True)
        if args.root:
            a, b = pairs[2]
            statistics = [s for name in (a, b) for s in (of[name].mean(0), np.cov(of[name], rowvar=False))]
            theirs = calculate_frechet_distance(*statistics)
            print(f"{size:4}  {a:>15} to {b:15}  by pytorch-fid's own root {theirs:.5f}", flush=True)
print(f"largest difference {largest:.1e}")
sys.exit(int(largest > 1e-3))

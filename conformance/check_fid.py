#!/usr/bin/env python3
"""FID of two sets of images by pytorch-fid and by ddim: both numbers, both times, and statistics read both ways.

    pip install numpy scipy torch torchvision pytorch-fid safetensors
    python conformance/check_fid.py inception-fid.safetensors A.npy B.npy [--ddim target/release/ddim] [--threads 2]

A.npy and B.npy are bytes, [n, h, w] or [n, h, w, 3]. The images/s of pytorch-fid are those of its network on batches of 50, its default.
"""
import argparse, json, os, subprocess, tempfile, time
import numpy as np, torch
from pytorch_fid.fid_score import calculate_frechet_distance
from make_inception import features, load

parser = argparse.ArgumentParser()
parser.add_argument("weights")
parser.add_argument("a")
parser.add_argument("b")
parser.add_argument("--ddim", default="target/release/ddim")
parser.add_argument("--threads", type=int, default=os.cpu_count())
args = parser.parse_args()
torch.set_num_threads(args.threads)


def ours(*more):
    command = [args.ddim, "fid", *more, "--inception", args.weights, "--fid-only", "--json", "-q", "--threads", str(args.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


_, model = load(args.weights)
statistics, seconds, count = [], 0, 0
for path in [args.a, args.b]:
    x = np.load(path)
    x = np.ascontiguousarray(np.repeat(x[..., None], 3, -1) if x.ndim == 3 else x)
    begin = time.time()
    f = np.concatenate([features(model, x[i : i + 50]) for i in range(0, len(x), 50)]).astype(np.float64)
    seconds, count = seconds + time.time() - begin, count + len(x)
    statistics.append((np.mean(f, axis=0), np.cov(f, rowvar=False)))
theirs = calculate_frechet_distance(*statistics[0], *statistics[1])
with tempfile.TemporaryDirectory() as folder:
    saved, written = f"{folder}/theirs.npz", f"{folder}/ours.npz"
    np.savez(saved, mu=statistics[1][0], sigma=statistics[1][1])
    found = ours(args.a, args.b, "--save-stats", written)
    from_statistics = ours(written, saved)
    read = np.load(written)
    across = calculate_frechet_distance(read["mu"], read["sigma"], *statistics[1])
print(f"pytorch-fid {theirs:.5f}   ddim {found['fid']:.5f}   difference {abs(theirs - found['fid']):.1e}")
print(f"ddim on its own and pytorch-fid's statistics {from_statistics['fid']:.5f}; pytorch-fid with ddim's statistics {across:.5f}")
print(f"images/s on {args.threads} threads: pytorch-fid {count / seconds:.1f}, ddim {found['images_per_second']:.1f}: {found['images_per_second'] * seconds / count:.2f} x")

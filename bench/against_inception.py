#!/usr/bin/env python3
"""Times FID's Inception features by ddim and by pytorch-fid's network in PyTorch, in turn, on the same images; prints medians and the ratio.

    pip install numpy pillow torch torchvision pytorch-fid safetensors && cargo build --release --workspace --examples
    taskset -c 1 python bench/against_inception.py inception-fid.safetensors [--images 32] [--size 32] [--threads 1] [--rounds 5] [--before PROGRAM]

Each loads and warms up first, and only one works at a time. PyTorch takes bytes to features as pytorch-fid does, 16 images at a time, or as many as
--torch-batch says. --before: another build's examples/inception, raced as well.
"""
import argparse, os, pathlib, statistics, subprocess, sys, time

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser()
parser.add_argument("weights")
for name, default in (("images", 32), ("size", 32), ("threads", 1), ("rounds", 5), ("torch-batch", 16)):
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--before")
args = parser.parse_args()
n, size = args.images, args.size

def ddim(program):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(args.threads))
    worker = subprocess.Popen([program, args.weights, str(n), str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert worker.stdout.readline() == "ready\n"
    def run():
        worker.stdin.write("\n"), worker.stdin.flush()
        return float(worker.stdout.readline())
    return run

def pytorch():
    sys.path.insert(0, str(root / "conformance"))
    import numpy as np, torch, make_inception
    torch.set_num_threads(args.threads)
    _, model = make_inception.load(args.weights)
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, 3)).astype(np.uint8)
    def run():
        start = time.perf_counter()
        for first in range(0, n, args.torch_batch):
            make_inception.features(model, pixels[first:first + args.torch_batch])
        return time.perf_counter() - start
    run()
    return run

runs = {"ddim": ddim(root / "target/release/examples/inception"), "pytorch": pytorch()}
if args.before:
    runs["before"] = ddim(args.before)
times = {name: [] for name in runs}
for _ in range(args.rounds):
    for name, run in runs.items():
        times[name].append(run() / n)
median = {name: statistics.median(t) for name, t in times.items()}
print(f"{n} images of {size}x{size}, {args.threads} thread(s), median of {args.rounds}")
for name, seconds in median.items():
    print(f"{name:8} {seconds * 1e3:7.1f} ms an image  {1 / seconds:6.2f} images/s  {seconds / median['ddim']:5.2f} times ddim's")

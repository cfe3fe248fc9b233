#!/usr/bin/env python3
"""Times `ddim sample` against Python diffusers on the same model, latents and steps, in turn; prints medians and ratios.

    pip install torch diffusers safetensors && cargo build --release && python bench/against_diffusers.py [rounds]

Both load the one pipeline folder MODEL, and both are timed inside the process, without starting up and loading: diffusers around its sampling
loop, ddim by its own report. Both start from the same latents, and nothing is printed unless they end with the same images.
"""
import json, os, pathlib, resource, statistics, subprocess, sys, tempfile, time
import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DModel

root = pathlib.Path(__file__).resolve().parent.parent
MODEL = root / "models/fashion"
count, steps, threads, rounds = 64, 50, os.cpu_count(), int(sys.argv[1]) if len(sys.argv) > 1 else 3
torch.set_num_threads(threads)
net = UNet2DModel.from_pretrained(MODEL / "unet", torch_dtype=torch.float32).eval()
scheduler = DDIMScheduler.from_pretrained(MODEL / "scheduler")
size = net.config.sample_size
classes = torch.full((count,), net.config.num_class_embeds - 1)  # none, as `ddim sample --latents` has
latents = torch.randn(count, net.config.in_channels, size, size, generator=torch.Generator().manual_seed(0))

def diffusers():
    scheduler.set_timesteps(steps)
    x, start, cpu = latents.clone(), time.perf_counter(), time.process_time()
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t, class_labels=classes).sample, t, x).prev_sample
    return time.perf_counter() - start, time.process_time() - cpu, x.numpy()

def ddim():
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x_T.npy", latents.numpy())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [root / "target/release/ddim", "sample", "--model", MODEL, "--latents", "x_T.npy", "--save-npy", "x_0.npy",
                   "--steps", str(steps), "--threads", str(threads), "--json", "-q"]
        seconds = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)["seconds"]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        x = np.load(f"{folder}/x_0.npy")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, x

times, images = {"diffusers": [], "ddim": []}, {}
for _ in range(rounds):
    for name, run in (("diffusers", diffusers), ("ddim", ddim)):
        *seconds, images[name] = run()
        times[name].append(seconds)
# Fifty steps of another network, or of another schedule, end somewhere else altogether.
difference = np.abs(images["diffusers"] - images["ddim"]).mean()
if not difference < 1e-3:
    sys.exit(f"the images differ by {difference:.2g} on average: expected the same model and schedule on both sides")
median = {name: [statistics.median(t[i] for t in all) for i in (0, 1)] for name, all in times.items()}
print(f"{count} images, {steps} steps, {threads} threads, median of {rounds}; torch {torch.__version__}; images differ by {difference:.1e}")
for name, (wall, cpu) in median.items():
    print(f"{name:10} {wall:6.2f} s wall  {cpu:6.2f} s CPU  {wall / count / steps * 1e3:5.2f} ms per image-step")
print(f"ratio      {median['diffusers'][0] / median['ddim'][0]:6.2f}         {median['diffusers'][1] / median['ddim'][1]:6.2f}")

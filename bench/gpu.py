"""PyTorch and ddim on the same graphics processor, in turn: one table of sampling and training steps of ddpm-cifar10.

    python3 bench/gpu.py --ddim target/release/ddim     a binary with the feature gpu
    python3 bench/gpu.py                                PyTorch alone
    python3 bench/gpu.py --ddim B --device gpu:0 --batches 1 --rows 2     a look at whether it runs, anywhere

It needs PyTorch and nothing from the network: the model is written out below, with random weights. PyTorch runs on CUDA where it is there, compiled
and eager; else on the processor, eager, which says nothing of a card. Nothing is begun after --limit seconds, and ours has 120 s for a row.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS, ATTENDS, LAYERS, GROUPS, WIDTH = (128, 256, 256, 256), (False, True, False, False), 2, 32, 512


class Resnet(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, i, 1e-6), nn.Conv2d(i, o, 3, padding=1)
        self.time, self.norm2 = nn.Linear(WIDTH, o), nn.GroupNorm(GROUPS, o, 1e-6)
        self.conv2 = nn.Conv2d(o, o, 3, padding=1)
        self.shortcut = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(t))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, c, 1e-6)
        self.q, self.k, self.v, self.o = (nn.Linear(c, c) for _ in range(4))

    def forward(self, x):
        n, c, h, w = x.shape
        y = self.norm(x).permute(0, 2, 3, 1).reshape(n, 1, h * w, c)
        y = F.scaled_dot_product_attention(self.q(y), self.k(y), self.v(y))
        return x + self.o(y).reshape(n, h, w, c).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """diffusers' UNet2DModel as google/ddpm-cifar10-32 configures it."""

    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(CHANNELS[0], WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.conv_in = nn.Conv2d(3, CHANNELS[0], 3, padding=1)
        self.down, self.up, skips, c = nn.ModuleList(), nn.ModuleList(), [CHANNELS[0]], CHANNELS[0]
        last = len(CHANNELS) - 1
        for level, o in enumerate(CHANNELS):
            block = nn.Module()
            block.resnets = nn.ModuleList(Resnet(c if i == 0 else o, o) for i in range(LAYERS))
            block.attentions = nn.ModuleList(Attention(o) for _ in range(LAYERS if ATTENDS[level] else 0))
            block.sample = nn.Conv2d(o, o, 3, stride=2) if level < last else None
            skips += [o] * (LAYERS + (level < last))
            self.down.append(block)
            c = o
        self.mid = nn.ModuleList([Resnet(c, c), Attention(c), Resnet(c, c)])
        for level, o in reversed(list(enumerate(CHANNELS))):
            block = nn.Module()
            block.resnets = nn.ModuleList()
            for _ in range(LAYERS + 1):
                block.resnets.append(Resnet(c + skips.pop(), o))
                c = o
            block.attentions = nn.ModuleList(Attention(o) for _ in range(LAYERS + 1 if ATTENDS[level] else 0))
            block.sample = nn.Conv2d(o, o, 3, padding=1) if level > 0 else None
            self.up.append(block)
        self.norm, self.conv_out = nn.GroupNorm(GROUPS, c, 1e-6), nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, x, t):
        half = CHANNELS[0] // 2
        frequencies = torch.exp(torch.arange(half, device=x.device, dtype=torch.float32) * (-math.log(1e4) / (half - 1)))
        angles = t[:, None].float() * frequencies
        rows = self.time(torch.cat([angles.sin(), angles.cos()], 1).to(self.time[0].weight.dtype))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down:
            for i, resnet in enumerate(block.resnets):
                x = resnet(x, rows)
                x = block.attentions[i](x) if len(block.attentions) else x
                skips.append(x)
            if block.sample is not None:
                x = block.sample(F.pad(x, (0, 1, 0, 1)))
                skips.append(x)
        x = self.mid[2](self.mid[1](self.mid[0](x, rows)), rows)
        for block in self.up:
            for i, resnet in enumerate(block.resnets):
                x = resnet(torch.cat([x, skips.pop()], 1), rows)
                x = block.attentions[i](x) if len(block.attentions) else x
            if block.sample is not None:
                x = block.sample(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm(x)))


def milliseconds(device, step, seconds):
    """The median time of a step."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    step()
    wait()
    times = []
    begun = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begun < seconds and len(times) < 50):
        start = time.perf_counter()
        step()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2]


def sampling_step(device, batch, dtype, compiled):
    model = UNet().to(device).to(dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    x = torch.randn(batch, 3, 32, 32, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    t = torch.randint(0, 1000, (batch,), device=device)
    run = torch.compile(model, mode="reduce-overhead", dynamic=False) if compiled else model

    def step():
        with torch.no_grad():
            return run(x, t)

    return step


def training_step(device, batch, dtype, compiled):
    model = UNet().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, fused=device == "cuda")
    x = torch.randn(batch, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    noise, t = torch.randn_like(x), torch.randint(0, 1000, (batch,), device=device)

    def loss():
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            return F.mse_loss(model(x, t).float(), noise)

    of = torch.compile(loss, dynamic=False) if compiled else loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        of().backward()
        optimizer.step()

    return step


# PyTorch's ways, and ours beside them: what PyTorch computes in, whether it is compiled, whether its f32 may be TF32, and what we compute in.
WAYS = [("bf16", True, True, "f16"), ("f32", False, False, "f32"), ("f32", False, True, None), ("bf16", False, True, None)]


def pytorch(device, what, batch, precision, compiled, tf32):
    """Milliseconds of a step, or why there are none."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch._dynamo.reset()
    make = sampling_step if what == "sampling" else training_step
    try:
        return milliseconds(device, make(device, batch, torch.bfloat16 if precision == "bf16" else torch.float32, compiled), 2.0), ""
    except Exception as error:  # a row that fails leaves the others
        return None, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    finally:
        if device == "cuda":
            torch.cuda.empty_cache()


def ours(options, what, batch, precision):
    """Milliseconds of a step of a binary, or why there are none."""
    if options.ddim is None:
        return None, "not measured"
    flags = ["bench", "--preset", "ddpm-cifar10", "--batch", str(batch), "--device", options.device, "--precision", precision, "--json", "--quiet"]
    try:
        done = subprocess.run([options.ddim, *flags, *(["--train"] if what == "training" else [])], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None, "not measured: more than 120 s"
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else f"exit code {done.returncode}"
    found = json.loads(done.stdout)
    if "device" not in found:
        return found["ms_per_image_step"] * batch, "the processor"
    return found["ms_per_image_step"] * batch, f"{100 * found['device']['share']:.0f} % of {found['device']['product_gflops']:,.0f} GFLOP/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddim", metavar="BINARY")
    parser.add_argument("--device", default="gpu", help="of ddim")
    parser.add_argument("--only", choices=["sampling", "training"])
    parser.add_argument("--batches", type=int, nargs="+", help="instead of 512, 64 and 1, and 512 and 128 of training")
    parser.add_argument("--rows", type=int, help="how many of the table's rows")
    parser.add_argument("--limit", type=float, default=420.0, help="seconds after which nothing is begun")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = torch.cuda.get_device_name() if device == "cuda" else "PyTorch on the processor: no comparison"
    torch.backends.cudnn.benchmark = True
    print(f"{card}, PyTorch {torch.__version__}", flush=True)
    if options.ddim:
        print(subprocess.run([options.ddim, "info", "--devices"], capture_output=True, text=True).stdout, flush=True)
    cases = [(what, batch) for what, batches in (("sampling", [512, 64, 1]), ("training", [512, 128])) for batch in options.batches or batches]
    cases = [(what, batch, *way) for what, batch in cases for way in WAYS if options.only in (None, what) and (device == "cuda" or not way[1])]
    start, lines = time.monotonic(), []
    for what, batch, precision, compiled, tf32, our_precision in cases[: options.rows]:
        how = f"{precision}{', compiled' if compiled else ''}{'' if precision == 'bf16' else ', TF32' if tf32 else ', no TF32'}"
        if time.monotonic() - start > options.limit:
            lines.append([what, batch, how, "not measured: no time left"])
            continue
        ms, why = pytorch(device, what, batch, precision, compiled, tf32)
        theirs = f"{ms:.2f} ms, {batch / ms * 1e3:,.1f} images/s" if ms else why
        cells = [what, batch, how, theirs]
        if our_precision:
            our_ms, note = ours(options, what, batch, our_precision)
            cells += [our_precision, f"{our_ms:.2f} ms, {batch / our_ms * 1e3:,.1f} images/s ({note})" if our_ms else note]
            cells += [f"{ms / our_ms:.2f}" if ms and our_ms else ""]
        lines.append(cells)
        print(*cells, sep=" | ", flush=True)
    print(f"\n{card}\n\n| | batch | PyTorch | | ddim | | ratio |\n|---|---|---|---|---|---|---|")
    for cells in lines:
        print("| " + " | ".join(map(str, cells + [""] * (7 - len(cells)))) + " |")
    sys.stdout.flush()
    os._exit(0)  # the compiler's workers do not hold us up


if __name__ == "__main__":
    main()

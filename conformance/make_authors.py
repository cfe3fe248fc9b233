#!/usr/bin/env python3
"""Checkpoints as the DDIM authors' code saves them, and what their network says: a list [model, optimizer, epoch, step, ema].

    pip install torch safetensors numpy && python conformance/make_authors.py [cifar10 | celeba] [--out DIR]

Without a name: the small `authors/model.ckpt` (weights as f16, to be small), `authors/legacy.ckpt` (a bare state dict in the file format before
PyTorch 1.6), and `authors/golden.safetensors` with `x`, `t` and the outputs `ema` and `model` of the two sets of weights, and `legacy` of `legacy_x`. With a
name: the whole network, into DIR. The network is written after the description in DDPM (appendix B) and in our paper's, with the authors'
tensor names; the weights are random. Made with torch 2.15.0.
"""
import argparse, math, pathlib
import torch
from torch import nn
from torch.nn import functional as F
from safetensors.torch import save_file

def norm(c): return nn.GroupNorm(32, c, eps=1e-6)
def swish(x): return x * torch.sigmoid(x)

class Block(nn.Module):
    def __init__(self, c_in, c_out, c_time):
        super().__init__()
        self.norm1, self.conv1 = norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.temb_proj = nn.Linear(c_time, c_out)
        self.norm2, self.conv2 = norm(c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out: self.nin_shortcut = nn.Conv2d(c_in, c_out, 1)
    def forward(self, x, temb):
        h = self.conv1(swish(self.norm1(x))) + self.temb_proj(swish(temb))[:, :, None, None]
        h = self.conv2(swish(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)

class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.q, self.k, self.v, self.proj_out = norm(c), *(nn.Conv2d(c, c, 1) for _ in range(4))
    def forward(self, x):
        b, c, h, w = x.shape
        y = self.norm(x)
        q, k, v = (f(y).reshape(b, c, h * w) for f in (self.q, self.k, self.v))
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) * c ** -0.5, -1)
        return x + self.proj_out(torch.einsum("bij,bcj->bci", weights, v).reshape(b, c, h, w))

class Resample(nn.Module):
    def __init__(self, c, up):
        super().__init__()
        self.up, self.conv = up, nn.Conv2d(c, c, 3, padding=1 if up else 0, stride=1 if up else 2)
    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else F.pad(x, (0, 1, 0, 1)))

class Model(nn.Module):
    def __init__(self, size, ch, mult, blocks, attend):
        super().__init__()
        self.ch, time = ch, 4 * ch
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(ch, time), nn.Linear(time, time)])
        self.conv_in = nn.Conv2d(3, ch, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c, resolution = [ch], ch, size
        for i, m in enumerate(mult):
            level = nn.Module()
            level.block, level.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks):
                level.block.append(Block(c, ch * m, time))
                c = ch * m
                if resolution == attend: level.attn.append(Attention(c))
                skips.append(c)
            if i + 1 < len(mult):
                level.downsample = Resample(c, False)
                skips.append(c)
                resolution //= 2
            self.down.append(level)
        self.mid = nn.Module()
        self.mid.block_1, self.mid.attn_1, self.mid.block_2 = Block(c, c, time), Attention(c), Block(c, c, time)
        for i, m in reversed(list(enumerate(mult))):
            level = nn.Module()
            level.block, level.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks + 1):
                level.block.append(Block(c + skips.pop(), ch * m, time))
                c = ch * m
                if resolution == attend: level.attn.append(Attention(c))
            if i:
                level.upsample = Resample(c, True)
                resolution *= 2
            self.up.insert(0, level)
        self.norm_out, self.conv_out = norm(c), nn.Conv2d(c, 3, 3, padding=1)
    def forward(self, x, t):
        half = self.ch // 2
        angle = t.to(x)[:, None] * torch.exp(torch.arange(half).to(x) * -(math.log(10000) / (half - 1)))[None]
        temb = self.temb.dense[1](swish(self.temb.dense[0](torch.cat([angle.sin(), angle.cos()], 1))))
        h = self.conv_in(x)
        skips = [h]
        for level in self.down:
            for j, block in enumerate(level.block):
                h = block(h, temb)
                if len(level.attn): h = level.attn[j](h)
                skips.append(h)
            if hasattr(level, "downsample"): h = level.downsample(h); skips.append(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h, temb)), temb)
        for level in reversed(self.up):
            for j, block in enumerate(level.block):
                h = block(torch.cat([h, skips.pop()], 1), temb)
                if len(level.attn): h = level.attn[j](h)
            if hasattr(level, "upsample"): h = level.upsample(h)
        return self.conv_out(swish(self.norm_out(h)))

def save(model, half, path):
    """As runners/diffusion.py does: the model inside DataParallel, Adam, epoch, step, and the EMA of the bare model."""
    kind = lambda state: {k: v.half() if half else v for k, v in state.items()}
    optimizer = torch.optim.Adam(list(model.parameters())[:2], lr=2e-4, amsgrad=False, eps=1e-8)
    sum(p.sum() for p in list(model.parameters())[:2]).backward(); optimizer.step()
    ema = {k: (v * 0.9).detach() for k, v in model.named_parameters()}
    states = [kind(nn.DataParallel(model).state_dict()), optimizer.state_dict(), 3, 1234, kind(ema)]
    torch.save(states, path)
    outputs = {}
    for name, state in (("model", states[0]), ("ema", states[4])):
        model.load_state_dict({k.removeprefix("module."): v.float() for k, v in state.items()})
        with torch.no_grad(): outputs[name] = model.double()(x.double(), t).float()
        model.float()
    return outputs

parser = argparse.ArgumentParser()
parser.add_argument("network", nargs="?", choices=["cifar10", "celeba"])
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "authors")
a = parser.parse_args()
a.out.mkdir(exist_ok=True)
torch.manual_seed(0)
size, arguments = {None: (16, (32, (1,), 1, 16)), "cifar10": (32, (128, (1, 2, 2, 2), 2, 16)), "celeba": (64, (128, (1, 2, 2, 2, 4), 2, 16))}[a.network]
x, t = torch.randn(2, 3, size, size), torch.tensor([7, 801])
model = Model(size, *arguments)
golden = dict(x=x, t=t, **save(model, a.network is None, a.out / "model.ckpt"))
if a.network is None:
    torch.manual_seed(1)
    small, large = Model(32, 32, (1, 1), 1, 0), torch.randn(2, 3, 32, 32)
    torch.save({k: v.half() for k, v in small.state_dict().items()}, a.out / "legacy.ckpt", _use_new_zipfile_serialization=False)
    small.load_state_dict({k: v.half().float() for k, v in small.state_dict().items()})
    with torch.no_grad(): golden.update(legacy_x=large, legacy=small.double()(large.double(), t).float())
save_file(golden, a.out / "golden.safetensors")
print(sum(p.numel() for p in model.parameters()), "parameters")

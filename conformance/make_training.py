#!/usr/bin/env python3
"""Golden training steps: loss and gradient norm of 20 Adam steps of the built-in model, by PyTorch.

    pip install torch diffusers safetensors numpy && python conformance/make_training.py

`training.safetensors` has the inputs, `x` and `target` [step, n, c, h, w] and `timesteps` [step, n], and `loss` and `norm` [step] in f64: the
mean squared error before each step, and the norm of all gradients before they are clipped to 1. `ema` [step] is the norm of diffusers'
`EMAModel` of the weights after each step, decay 0.8 with its default warm-up. The `weighted` ones are of AdamW (decay 0.01), for a loss of
which the first image's share is 0.9 and the second's 0.1. Images are noise of the training process
around a few smooth shapes, of the classes 3 and 10. Computed in f64; the same in f32 on the CPU differs by what is printed. Made with torch 2.15.0, diffusers 0.42.1.
"""
import pathlib
import torch
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
steps, n = 20, 2
generator = torch.Generator().manual_seed(0)
alpha_bar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
grid = torch.linspace(-1, 1, 32)
shapes = torch.stack([torch.cos(3 * (grid[:, None] * (1 + k)) + k) * torch.cos(2 * grid[None, :] * (1 + k)) for k in range(n)])[:, None]
classes = torch.tensor([3, 10])
timesteps = torch.randint(0, 1000, (steps, n), generator=generator)
target = torch.randn((steps, n, 1, 32, 32), generator=generator)
level = alpha_bar[timesteps][:, :, None, None, None]
x = (level.sqrt() * shapes + (1 - level).sqrt() * target).float()

def run(dtype, weighted):
    net = UNet2DModel.from_pretrained(here.parent / "models/fashion/unet", torch_dtype=torch.float32).to(dtype).train()
    adam = torch.optim.AdamW(net.parameters(), lr=2e-4, weight_decay=0.01) if weighted else torch.optim.Adam(net.parameters(), lr=2e-4)
    average = EMAModel(net.parameters(), decay=0.8)
    share = torch.tensor([0.9, 0.1] if weighted else [0.5, 0.5], dtype=dtype)
    losses, norms, ema = [], [], []
    for k in range(steps):
        adam.zero_grad()
        error = (net(x[k].to(dtype), timesteps[k], class_labels=classes).sample - target[k].to(dtype)) ** 2
        loss = (error.mean(dim=(1, 2, 3)) * share).sum()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0).item())
        adam.step()
        average.step(net.parameters())
        losses.append(loss.item())
        ema.append(sum((p.double() ** 2).sum() for p in average.shadow_params).sqrt().item())
    return dict(loss=losses, norm=norms, ema=ema)

golden = dict(x=x, target=target, timesteps=timesteps)
for weighted in (False, True):
    exact, single = run(torch.float64, weighted), run(torch.float32, weighted)
    for name, values in exact.items():
        golden[("weighted_" if weighted else "") + name] = values = torch.tensor(values, dtype=torch.float64)
        worst = ((torch.tensor(single[name]).double() - values) / values).abs().max().item()
        print(name, "of AdamW, weighted" if weighted else "", values.tolist()[:3], "f32 differs relatively by", worst)
save_file(golden, here / "training.safetensors")

#!/usr/bin/env python3
"""Golden training steps: loss and gradient norm of 20 Adam steps of the built-in model, by PyTorch.

    pip install torch diffusers safetensors numpy && python conformance/make_training.py

`training.safetensors` has the inputs, `x` and `target` [step, n, c, h, w] and `timesteps` [step, n], and `loss` and `norm` [step] in f64: the
mean squared error before each step, and the norm of all gradients before they are clipped to 1. Images are noise of the training process
around a few smooth shapes. Computed in f64; the same in f32 on the CPU differs by what is printed. Made with torch 2.15.0, diffusers 0.42.1.
"""
import pathlib
import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
steps, n = 20, 2
generator = torch.Generator().manual_seed(0)
alpha_bar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
grid = torch.linspace(-1, 1, 32)
shapes = torch.stack([torch.cos(3 * (grid[:, None] * (1 + k)) + k) * torch.cos(2 * grid[None, :] * (1 + k)) for k in range(n)])[:, None]
timesteps = torch.randint(0, 1000, (steps, n), generator=generator)
target = torch.randn((steps, n, 1, 32, 32), generator=generator)
level = alpha_bar[timesteps][:, :, None, None, None]
x = (level.sqrt() * shapes + (1 - level).sqrt() * target).float()

def run(dtype):
    net = UNet2DModel.from_pretrained(here.parent / "models/fashion/unet", torch_dtype=torch.float32).to(dtype).train()
    adam = torch.optim.Adam(net.parameters(), lr=2e-4)
    losses, norms = [], []
    for k in range(steps):
        adam.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x[k].to(dtype), timesteps[k]).sample, target[k].to(dtype))
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0).item())
        adam.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), torch.tensor(norms, dtype=torch.float64)

loss, norm = run(torch.float64)
for name, exact, single in zip(("loss", "norm"), (loss, norm), run(torch.float32)):
    print(name, exact.tolist()[:3], "f32 differs relatively by", ((single - exact) / exact).abs().max().item())
save_file(dict(x=x, target=target, timesteps=timesteps, loss=loss, norm=norm), here / "training.safetensors")

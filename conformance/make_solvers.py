#!/usr/bin/env python3
"""Golden loops of diffusers' solvers around the exact network of Gaussian data, in f64.

    pip install torch diffusers numpy && python conformance/make_solvers.py

Writes conformance/solvers.json: for every case the timesteps, x_T, and where the loop ends. diffusers computes in f32, whose rounding of 1 - alpha_bar alone is 6e-4 at
timestep 0; here the modules' `float32` is f64, so that formulas are compared and not roundings. Where theirs is not the published method, this is left out or mended:
  - DPMSolverMultistep and UniPC take the levels that the scheduler lists, and their true successors: nothing to mend. Order 3 of DPMSolverMultistep lacks a factor
    of 2 in the second difference, and has no golden.
  - final_sigmas_type "sigma_min" goes into its last level at order 2 from 15 steps on, and at order 1 below: below is compared.
  - rescale_betas_zero_snr leaves alpha_bar_T at 2^-24 there; ours is 0. No golden.
  - IPNDM has a schedule of its own, a table of sigmas, which is given those of the case; it does not lower the order into the image, so that x is compared where
    lowering begins. PNDM's first step is another method's (two evaluations); from then on it is IPNDM's.
  - Heun keeps x/sqrt(alpha_bar), and lists every timestep but the first twice; its linspace is between whole timesteps, and is not compared.
Made with torch 2.15.0, diffusers 0.42.1 and numpy 2.4.6.
"""
import json, pathlib
import numpy as np, torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler, IPNDMScheduler, UniPCMultistepScheduler
from diffusers.schedulers import scheduling_dpmsolver_multistep, scheduling_heun_discrete, scheduling_ipndm, scheduling_unipc_multistep

class Double:
    """A module whose float32 is float64."""
    def __init__(self, module): self.module, self.float32 = module, module.float64
    def __getattr__(self, name): return getattr(self.module, name)

for module in (scheduling_dpmsolver_multistep, scheduling_heun_discrete, scheduling_ipndm, scheduling_unipc_multistep):
    module.torch = Double(torch)
    if hasattr(module, "np"):
        module.np = Double(np)
torch.set_default_dtype(torch.float64)

mean = torch.tensor([0.3, -0.5, 0.0, 0.8, -0.9, 0.1, 0.4, -0.2])
std = torch.tensor([0.5, 0.05, 1.0, 0.2, 0.3, 0.7, 0.1, 1.5])
x_T = torch.tensor([1.3, -0.4, 0.2, -2.1, 0.9, 0.05, -1.1, 0.7])

def network(kind, x, alpha_bar):
    centred = (x - alpha_bar**0.5 * mean) / (alpha_bar * std**2 + 1 - alpha_bar)
    x_0, eps = mean + alpha_bar**0.5 * std**2 * centred, (1 - alpha_bar) ** 0.5 * centred
    return {"epsilon": eps, "sample": x_0, "v_prediction": alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * x_0}[kind]

def loop(scheduler, steps):
    scheduler.set_timesteps(steps)
    x, kind = x_T[None, :, None], scheduler.config.prediction_type
    for t in scheduler.timesteps:
        x = scheduler.step(network(kind, x[..., 0], scheduler.alphas_cumprod[t])[..., None], t, x).prev_sample
    return scheduler.timesteps.tolist(), x[0, :, 0]

def heun(config, steps):
    scheduler = HeunDiscreteScheduler(**config)
    scheduler.set_timesteps(steps)
    x = x_T[None] * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        x = scheduler.step(network(config["prediction_type"], scaled, scheduler.alphas_cumprod[int(t)]), t, x).prev_sample
    return list(dict.fromkeys(int(t) for t in scheduler.timesteps)), x[0]

def ipndm(timesteps):
    alphas = DPMSolverMultistepScheduler().alphas_cumprod[timesteps]
    scheduler = IPNDMScheduler(trained_betas=(1 - alphas).sqrt().tolist() + [0.0])
    scheduler.set_timesteps(len(timesteps))
    x, before = x_T[None], len(timesteps) - 3
    for t, a in list(zip(scheduler.timesteps, alphas))[:before]:
        x = scheduler.step(network("v_prediction", x, a), t, x).prev_sample
    return before, x[0]

cases = []
def case(solver, timesteps, x, config={}, steps=None):
    cases.append(dict(solver=solver, timesteps=timesteps, run=steps or len(timesteps), x=x.tolist(), scheduler=config))
    print(solver, len(timesteps), config, f"{x.abs().max():.3f}")

for solver, made in (("dpmpp-2m", lambda c: DPMSolverMultistepScheduler(**c)), ("unipc", lambda c: UniPCMultistepScheduler(**c))):
    plain = dict(prediction_type="epsilon", timestep_spacing="linspace")
    variants = [(s, plain | dict(timestep_spacing=spacing)) for s in (1, 2, 3, 5, 10, 25) for spacing in ("linspace", "leading", "trailing")]
    variants += [(10, plain | dict(prediction_type=kind)) for kind in ("sample", "v_prediction")]
    variants += [(10, plain | dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="leading", steps_offset=1))]
    variants += [(10, plain | dict(thresholding=True, dynamic_thresholding_ratio=0.8, sample_max_value=1.5))]
    variants += [(10, plain | dict(final_sigmas_type="sigma_min"))]
    for steps, config in variants:
        case(solver, *loop(made(config), steps), config)
for steps in (1, 2, 5, 10, 20):
    for kind in ("epsilon", "v_prediction"):
        config = dict(prediction_type=kind, timestep_spacing="leading", beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
        case("heun", *heun(config, steps), config)
for timesteps in ([999, 899, 799, 699, 599, 499, 399, 299, 199, 99], [999, 853, 715, 585, 464, 353, 252, 163, 88, 31], [999, 800, 500, 100]):
    steps, x = ipndm(timesteps)
    case("ipndm", timesteps, x, steps=steps)
out = dict(mean=mean.tolist(), std=std.tolist(), x_T=x_T.tolist(), cases=cases)
(pathlib.Path(__file__).parent / "solvers.json").write_text(json.dumps(out, indent=0) + "\n")

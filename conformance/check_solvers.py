"""Whole loops of diffusers' solvers around the built-in models, against `ddim sample`: same weights, same latents.

Run with torch and diffusers: python conformance/check_solvers.py path/to/ddim
(made with diffusers 0.42.1, torch 2.15.0). Prints the largest difference of pixels in [-1, 1], and fails above 1e-3. diffusers computes its coefficients in f32.
"""

import json, pathlib, subprocess, sys, tempfile
import numpy as np, torch
import diffusers
from diffusers import DPMSolverMultistepScheduler, UNet2DModel, UniPCMultistepScheduler

diffusers.utils.logging.set_verbosity_error()
ddim = pathlib.Path(sys.argv[1]).resolve()
torch.set_num_threads(1)
KINDS = {"dpmpp-2m": DPMSolverMultistepScheduler, "unipc": UniPCMultistepScheduler}


def run(*args):
    done = subprocess.run([ddim, *map(str, args), "-q"], capture_output=True, text=True)
    assert done.returncode == 0, (args, done.stderr)


worst = 0.0
with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    for name, channels in (("emoji", 3), ("fashion", 1), ("cifar10", 3)):
        run("convert", name, work / name)
        model = UNet2DModel.from_pretrained(work / name / "unet").eval()
        # What `ddim sample --latents` draws: no class, for which the last row of the table stands.
        classes = torch.full((4,), model.config.num_class_embeds - 1)
        config = json.loads((work / name / "scheduler/scheduler_config.json").read_text())
        x_T = np.random.default_rng(1).standard_normal((4, channels, 32, 32)).astype(np.float32)
        np.save(work / "x.npy", x_T)
        for solver, kind in KINDS.items():
            for steps, spacing in ((5, "trailing"), (10, "leading"), (20, "linspace")):
                scheduler = kind.from_config(config, timestep_spacing=spacing, thresholding=False)
                scheduler.set_timesteps(steps)
                x = torch.from_numpy(x_T)
                with torch.no_grad():
                    for t in scheduler.timesteps:
                        x = scheduler.step(model(x, t, class_labels=classes).sample, t, x).prev_sample
                timesteps = ",".join(str(int(t)) for t in scheduler.timesteps)
                run("sample", "--model", work / name, "--latents", work / "x.npy", "--solver", solver, "--timesteps", timesteps, "--no-clip",
                    "--save-npy", work / "ours.npy")
                difference = float(np.abs(np.load(work / "ours.npy") - x.numpy()).max())
                worst = max(worst, difference)
                print(f"{name:8} {solver:9} {spacing:9} S = {steps:2}  {difference:.1e}  of {float(x.abs().max()):.2f}")
print(f"largest {worst:.1e}")
sys.exit(worst > 1e-3)

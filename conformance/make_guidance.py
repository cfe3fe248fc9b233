#!/usr/bin/env python3
"""Golden loops of diffusers' DDIMScheduler with classifier-free guidance around the small class-conditional network of unet/learned_classes.

    pip install torch diffusers safetensors numpy && python conformance/make_guidance.py

The network has five classes; the last stands for none. Predictions are combined as diffusers' pipelines do, null + scale (class - null), and rescaled by
their rescale_noise_cfg; an interval is of levels (timestep + 1) as shares of T. Writes conformance/guidance.safetensors (latents, labels and the result of
each case) and conformance/guidance.json (the settings of each). Made with torch 2.15.0, diffusers 0.42.1, f32 on the CPU.
"""
import json, pathlib
import torch
from diffusers import DDIMScheduler, UNet2DModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from safetensors.torch import save_file

here, NULL, STEPS = pathlib.Path(__file__).parent, 4, 10
net = UNet2DModel.from_pretrained(here / "unet/learned_classes/unet", torch_dtype=torch.float32).eval()
torch.manual_seed(0)
x_T, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
cases = {
    "none": dict(scale=1.0),
    "epsilon": dict(scale=3.0, clip_sample=True),
    "x_0": dict(scale=3.0, prediction_type="sample"),
    "v": dict(scale=3.0, prediction_type="v_prediction"),
    "v_zero_snr": dict(scale=7.5, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", rescale=0.7),
    "rescaled": dict(scale=5.0, clip_sample=True, rescale=0.7),
    "rescaled_whole": dict(scale=5.0, prediction_type="v_prediction", rescale=1.0),
    "interval": dict(scale=3.0, prediction_type="v_prediction", interval=[0.2, 0.7]),
    "unconditional": dict(scale=0.0, clip_sample=True),
}
tensors, settings = dict(x_T=x_T, labels=labels), {}
with torch.no_grad():
    for name, case in cases.items():
        case = dict(interval=[0.0, 1.0], rescale=0.0) | case
        ours = {key: case.pop(key) for key in ("scale", "interval", "rescale")}
        scheduler = DDIMScheduler(**(dict(clip_sample=False, timestep_spacing="leading") | case))
        scheduler.set_timesteps(STEPS)
        x = x_T
        for t in scheduler.timesteps:
            text = net(x, t, labels).sample
            low, high = ours["interval"]
            if ours["scale"] != 1 and low * 1000 <= int(t) + 1 <= high * 1000:
                null = net(x, t, torch.full_like(labels, NULL)).sample
                out = null + ours["scale"] * (text - null)
                if ours["rescale"] > 0:
                    out = rescale_noise_cfg(out, text, ours["rescale"])
            else:
                out = text
            x = scheduler.step(out, t, x, eta=0.0).prev_sample
        tensors[name] = x
        config = dict(scheduler.config) | {"_class_name": "DDIMScheduler"}
        config["_use_default_values"] = sorted(config.get("_use_default_values", []))
        settings[name] = ours | dict(null=NULL, steps=STEPS, scheduler=config)
        print(f"{name}: max|x| {x.abs().max():.3f}")
save_file({k: v.contiguous() for k, v in tensors.items()}, here / "guidance.safetensors")
(here / "guidance.json").write_text(json.dumps(settings, indent=1, default=list) + "\n")

#!/usr/bin/env python3
"""Golden sampling and encoding loops of diffusers' DDIMScheduler and DDIMInverseScheduler around the network of models/fashion.

    pip install torch diffusers safetensors numpy && python conformance/make_ddim.py

Writes conformance/ddim.safetensors (latents, images and the results of every case) and conformance/ddim.json (the scheduler's
configuration of each case). The two images have the classes 3 and 10, the null class of label dropout. The network was
trained to predict noise; read as `sample` or `v_prediction` it draws nothing, but a loop
over it is as good a check. DDIMInverseScheduler reads v at the level that the step leaves, not at the one that the network was told, where it
determines eps: it is given eps here. Made with torch 2.15.0, diffusers 0.42.1, f32 on the CPU.
"""
import json, pathlib
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, UNet2DModel
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
net = UNet2DModel.from_pretrained(here.parent / "models/fashion/unet", torch_dtype=torch.float32).eval()
torch.manual_seed(0)
x_T = torch.randn(2, 1, 32, 32)
images = torch.tanh(2 * torch.nn.functional.interpolate(torch.randn(2, 1, 8, 8), size=32, mode="bilinear"))
plain = dict(clip_sample=False, timestep_spacing="leading", prediction_type="epsilon")
classes = torch.tensor([3, 10])
cases = {}
for steps in (10, 20, 50):
    for spacing in ("leading", "trailing"):
        for clip in (False, True):
            cases[f"epsilon_{spacing}_{'clip' if clip else 'noclip'}_{steps}"] = (steps, dict(timestep_spacing=spacing, clip_sample=clip), {})
for kind in ("sample", "v_prediction"):
    for spacing in ("leading", "trailing"):
        cases[f"{kind}_{spacing}"] = (20, dict(prediction_type=kind, timestep_spacing=spacing), {})
    cases[f"{kind}_zero_snr"] = (10, dict(prediction_type=kind, rescale_betas_zero_snr=True, timestep_spacing="trailing"), {})
cases |= {
    "thresholding": (20, dict(thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.5), {}),
    "offset_and_alpha": (20, dict(steps_offset=1, set_alpha_to_one=False), {}),
    "rederived": (10, dict(clip_sample=True, clip_sample_range=0.8), dict(use_clipped_model_output=True)),
    "scaled_linear": (10, dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), {}),
    "cosine": (10, dict(beta_schedule="squaredcos_cap_v2", clip_sample=True), {}),
    "trained_betas": (10, dict(trained_betas=torch.linspace(1e-3, 0.05, 200).tolist(), num_train_timesteps=200), {}),
    "not_a_divisor": (30, {}, {}),
}
tensors, configs = dict(x_T=x_T, images=images), {}
with torch.no_grad():
    for name, (steps, config, kwargs) in cases.items():
        scheduler = DDIMScheduler(**(plain | config))
        scheduler.set_timesteps(steps)
        x = x_T
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t, class_labels=classes).sample, t, x, eta=0.0, **kwargs).prev_sample
        tensors[name] = x
        configs[name] = dict(kind="sample", steps=steps, rederive=bool(kwargs), scheduler=dict(scheduler.config) | {"_class_name": "DDIMScheduler"})
        print(f"{name}: max|x| {x.abs().max():.3f}")
    for spacing in ("leading", "trailing"):
        for kind in ("epsilon", "v_prediction"):
            name = f"encode_{spacing}_{kind}"
            config = plain | dict(timestep_spacing=spacing, prediction_type=kind)
            inverse = DDIMInverseScheduler(**config | dict(prediction_type="epsilon"))
            inverse.set_timesteps(20)
            x = images
            for t in inverse.timesteps:
                output, a = net(x, t, class_labels=classes).sample, inverse.alphas_cumprod[t]
                if kind == "v_prediction":
                    output = a.sqrt() * output + (1 - a).sqrt() * x
                x = inverse.step(output, t, x).prev_sample
            tensors[name] = x
            configs[name] = dict(kind="encode", steps=20, rederive=False, scheduler=dict(DDIMScheduler(**config).config) | {"_class_name": "DDIMScheduler"})
            print(f"{name}: max|x| {x.abs().max():.3f}")
save_file({k: v.contiguous() for k, v in tensors.items()}, here / "ddim.safetensors")
for config in configs.values():  # a set's order differs from run to run
    config["scheduler"]["_use_default_values"] = sorted(config["scheduler"].get("_use_default_values", []))
(here / "ddim.json").write_text(json.dumps(configs, indent=1, default=list) + "\n")

"""Pipelines that diffusers wrote, read by ddim, and what `ddim convert` makes of them, read by diffusers.

Run with torch and diffusers: python conformance/check_pipelines.py path/to/ddim
(made with diffusers 0.42.1, torch 2.15.0). For each kind of folder, `ddim sample` and diffusers' DDIMScheduler.from_config of what the folder
says go from the same latents; the copy that `ddim convert` writes is loaded with from_pretrained and must predict the same. Prints the largest
difference of each, and fails above 2e-4 (0.2 where weights are of half precision).
"""

import json, pathlib, subprocess, sys, tempfile
import numpy as np, torch
import diffusers
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
ddim = pathlib.Path(sys.argv[1]).resolve()
SMALL = dict(sample_size=8, block_out_channels=(8, 16), down_block_types=("DownBlock2D", "AttnDownBlock2D"),
             up_block_types=("AttnUpBlock2D", "UpBlock2D"), layers_per_block=1, norm_num_groups=4)


def unet(seed=0, **changes):
    torch.manual_seed(seed)
    model = UNet2DModel(**{**SMALL, **changes}).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    return model


def sampled(model, config, x, steps=5, labels=None):
    """diffusers' own loop; of a network that predicts variances the first half."""
    scheduler = DDIMScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(x)
    with torch.no_grad():
        for t in scheduler.timesteps:
            out = model(x, t, class_labels=labels).sample[:, : x.shape[1]]
            x = scheduler.step(out, t, x, eta=0.0).prev_sample
    return x.numpy()


def run(*args):
    done = subprocess.run([ddim, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, (args, done.stderr)
    return done


def scheduler(name, **keys):
    return getattr(diffusers, name)(**keys)


worst = []


def check(name, folder, model, config, half=False, model_args=(), labels=None, classes=(), shape=(8, 8)):
    channels = model.config.in_channels
    x = np.random.default_rng(1).standard_normal((3, channels, *shape)).astype(np.float32)
    work = folder.parent
    np.save(work / "x.npy", x)
    # diffusers' DDIM steps to t - T // S, which is not the next of its `linspace` timesteps: those are compared as `leading`.
    leading = config.get("timestep_spacing") == "linspace"
    sampling = {**config, "timestep_spacing": "leading"} if leading else config
    expected = sampled(model, sampling, x, labels=labels)
    size = () if model.config.sample_size else ("--size", "%dx%d" % shape)
    run("sample", "--model", folder, *model_args, "--latents", work / "x.npy", "--steps", 5, "--save-npy", work / "y.npy", "-q", *classes, *size,
        *(("--trajectory", "leading") if leading else ()))
    found = np.load(work / "y.npy")
    error = np.abs(found - expected).max()
    # The copy, in diffusers.
    copy = pathlib.Path(tempfile.mkdtemp()) / "copy"
    run("convert", folder, copy, *model_args)
    index = json.loads((copy / "model_index.json").read_text())
    pipeline = getattr(diffusers, index["_class_name"]).from_pretrained(copy)
    t = torch.tensor([10, 500, 999])
    with torch.no_grad():
        a, b = (m(torch.from_numpy(x), t, class_labels=labels).sample for m in (model, pipeline.unet))
    copied = (a - b).abs().max().item()
    same = DDIMScheduler.from_config(config).alphas_cumprod - DDIMScheduler.from_config(pipeline.scheduler.config).alphas_cumprod
    copied_config = dict(pipeline.scheduler.config)
    again = sampled(pipeline.unet, {**copied_config, "timestep_spacing": "leading"} if leading else copied_config, x, labels=labels)
    through = np.abs(again - expected).max()
    limit = 0.2 if half else 2e-4
    ok = error < limit and copied < limit and through < limit and same.abs().max().item() < 1e-6
    worst.append(ok)
    print(f"{name:38} samples {error:.1e}  copy predicts {copied:.1e}  copy samples {through:.1e}  {'' if ok else 'FAILED'}")


def pipeline(folder, model, sched, **keys):
    model.save_pretrained(folder / "unet", **keys)
    sched.save_pretrained(folder / "scheduler")
    index = {"_class_name": "DDIMPipeline", "scheduler": ["diffusers", type(sched).__name__], "unet": ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def fresh():
    return pathlib.Path(tempfile.mkdtemp()) / "model"


for name, keys in [
    ("DDIMScheduler", {}), ("DDIMScheduler", dict(clip_sample=False, set_alpha_to_one=False, steps_offset=1)),
    ("DDIMScheduler", dict(timestep_spacing="trailing", rescale_betas_zero_snr=True, prediction_type="v_prediction")),
    ("DDPMScheduler", {}), ("DDPMScheduler", dict(beta_schedule="squaredcos_cap_v2", prediction_type="sample")),
    ("PNDMScheduler", dict(skip_prk_steps=True, steps_offset=1)), ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverSinglestepScheduler", dict(beta_schedule="scaled_linear")), ("EulerDiscreteScheduler", dict(prediction_type="v_prediction")),
    ("EulerAncestralDiscreteScheduler", {}), ("HeunDiscreteScheduler", {}), ("LMSDiscreteScheduler", {}), ("KDPM2DiscreteScheduler", {}),
    ("UniPCMultistepScheduler", dict(solver_order=3)), ("DEISMultistepScheduler", {}), ("DDIMInverseScheduler", {}), ("LCMScheduler", {}),
    ("DDIMScheduler", dict(trained_betas=np.linspace(1e-4, 0.03, 1000).tolist())),
]:
    try:
        sched, model = scheduler(name, **keys), unet()
        folder = pipeline(fresh(), model, sched)
        config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
        check(f"{name} {','.join(keys)}"[:38], folder, model, config)
    except ImportError as e:
        print(f"{name}: {e}")

model, ddpm = unet(), DDPMScheduler()
check("variant fp16", pipeline(fresh(), unet().half(), ddpm, variant="fp16"), model, ddpm.config, half=True)
check("variant, .bin", pipeline(fresh(), unet(), ddpm, variant="ema", safe_serialization=False), model, ddpm.config)
check("shards", pipeline(fresh(), model, ddpm, max_shard_size="60KB"), model, ddpm.config)
check("shards of a variant", pipeline(fresh(), model, ddpm, max_shard_size="60KB", variant="fp32"), model, ddpm.config)
check("shards, .bin", pipeline(fresh(), model, ddpm, max_shard_size="60KB", safe_serialization=False), model, ddpm.config)
check("float64", pipeline(fresh(), unet().double(), ddpm), model, ddpm.config)
check("bfloat16, .bin", pipeline(fresh(), unet().bfloat16(), ddpm, safe_serialization=False), model, ddpm.config, half=True)
check("RGBA", pipeline(fresh(), unet(in_channels=4, out_channels=4), ddpm), unet(in_channels=4, out_channels=4), ddpm.config)
learned = DDPMScheduler(variance_type="learned_range")
check("learned variances", pipeline(fresh(), unet(out_channels=6), learned), unet(out_channels=6), learned.config)
check("no size", pipeline(fresh(), unet(sample_size=None), ddpm), unet(sample_size=None), ddpm.config, shape=(16, 8))
check("another size", pipeline(fresh(), model, ddpm), model, ddpm.config, shape=(8, 24))
classes = unet(num_class_embeds=5)
check("classes in turn", pipeline(fresh(), classes, ddpm), classes, ddpm.config, labels=torch.tensor([0, 4, 2]), classes=("--classes", "0,4,2"))

# A U-Net alone, a checkpoint of accelerate's, the hub's cache.
folder = fresh()
model.save_pretrained(folder)
check("U-Net alone", folder, model, DDIMScheduler().config)
cosine = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
cosine.save_pretrained(folder.parent / "other")
check("U-Net alone, --scheduler", folder, model, cosine.config, model_args=("--scheduler", folder.parent / "other"))
folder = fresh()
from diffusers.training_utils import EMAModel

average = EMAModel(unet(3).parameters(), model_cls=UNet2DModel, model_config=model.config)
average.save_pretrained(folder / "unet_ema")
model.save_pretrained(folder / "unet")
check("checkpoint-N", folder, unet(3), DDIMScheduler().config)
check("checkpoint-N, --raw", folder, model, DDIMScheduler().config, model_args=("--raw",))
folder = fresh()
whole = pipeline(folder / "snapshots/0123abc", model, ddpm)
blobs = folder / "blobs"
blobs.mkdir()
for i, file in enumerate(sorted(p for p in whole.rglob("*") if p.is_file())):
    file.rename(blobs / str(i))
    file.symlink_to(blobs / str(i))
(folder / "refs").mkdir()
(folder / "refs/main").write_text("0123abc")
check("hub's cache", folder, model, ddpm.config)

# Names of torch.compile and DataParallel.
for prefix in ["_orig_mod.", "module."]:
    folder = pipeline(fresh(), model, ddpm)
    from safetensors.torch import load_file, save_file

    file = folder / "unet/diffusion_pytorch_model.safetensors"
    save_file({prefix + k: v for k, v in load_file(file).items()}, file)
    check(f"names after {prefix}", folder, model, ddpm.config)

sys.exit(0 if all(worst) else 1)

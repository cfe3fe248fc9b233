#!/usr/bin/env python3
"""Golden evaluations of diffusers' UNet2DModel over tiny, differing configurations.

    pip install torch diffusers safetensors numpy && python conformance/make_unet.py

Each folder of conformance/unet is a pipeline as diffusers saved it, with `golden.safetensors` beside: inputs `x`, `timesteps`
(and `labels` or `embeddings`) and the output `y`, f32 on the CPU. Made with torch 2.15.0, diffusers 0.42.1.
"""
import json, pathlib, shutil
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

out = pathlib.Path(__file__).parent / "unet"
base = dict(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"), attention_head_dim=8)
attn = dict(down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
configs = {
    # DDPM's own network in small: single head, padding at the end, eps 1e-6, sines before cosines.
    "ddpm": attn | dict(in_channels=3, out_channels=3, layers_per_block=2, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1,
                        norm_eps=1e-6, attention_head_dim=None),
    "scale_shift": attn | dict(resnet_time_scale_shift="scale_shift", act_fn="gelu", attention_head_dim=4),
    "attn_norm_groups": attn | dict(resnet_time_scale_shift="scale_shift", attn_norm_num_groups=2, act_fn="mish", mid_block_scale_factor=1.5),
    "resnet_resampling": dict(down_block_types=("AttnDownBlock2D",) * 2, up_block_types=("AttnUpBlock2D",) * 2, downsample_type="resnet",
                              upsample_type="resnet", attention_head_dim=8, mid_block_scale_factor=2 ** 0.5),
    "fourier": dict(time_embedding_type="fourier", center_input_sample=True, add_attention=False, act_fn="relu"),
    "learned_classes": dict(time_embedding_type="learned", num_train_timesteps=1000, num_class_embeds=5, time_embedding_dim=24, dropout=0.3),
    "class_timestep": dict(class_embed_type="timestep", mid_block_type=None, act_fn="swish"),
    "class_identity": dict(class_embed_type="identity", time_embedding_dim=20),
    "not_square": attn | dict(sample_size=(8, 16), in_channels=2, out_channels=2, block_out_channels=(6, 12, 12), norm_num_groups=3,
                              down_block_types=("AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                              up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), attention_head_dim=5),
    "one_block": dict(block_out_channels=(9,), norm_num_groups=3, down_block_types=("AttnDownBlock2D",),
                      up_block_types=("AttnUpBlock2D",), attention_head_dim=3, layers_per_block=3, sample_size=5),
    "six_outputs": dict(in_channels=3, out_channels=6),
    "legacy_pickle": attn | dict(attention_head_dim=None),
    "f16": attn,
    "bf16": attn,
}
shutil.rmtree(out, ignore_errors=True)
for seed, (name, config) in enumerate(configs.items()):
    torch.manual_seed(seed)
    net = UNet2DModel(**(base | config)).eval()
    with torch.no_grad():  # Norms are not trivial in a trained network.
        for key, p in net.named_parameters():
            if "norm" in key:
                p.add_(0.3 * torch.randn_like(p))
    folder = out / name
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}.get(name, torch.float32)
    net.to(dtype)
    DDIMPipeline(net, DDIMScheduler()).save_pretrained(folder, safe_serialization=name != "legacy_pickle")
    net.to(torch.float32)
    if name == "legacy_pickle":
        # As diffusers 0.3 wrote it: a pickle, old attention names, and a config without the keys that came later.
        weights = folder / "unet/diffusion_pytorch_model.bin"
        new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        def old(key):
            for a, b in new.items():
                key = key.replace(f".{a}.", f".{b}.")
            return key
        torch.save({old(k): v for k, v in net.state_dict().items()}, weights)
        path = folder / "unet/config.json"
        text = json.loads(path.read_text())
        for key in ("attn_norm_num_groups", "add_attention", "class_embed_type", "num_class_embeds", "downsample_type", "upsample_type",
                    "resnet_time_scale_shift", "dropout", "num_train_timesteps", "time_embedding_dim", "mid_block_type"):
            del text[key]
        path.write_text(json.dumps(text, indent=2) + "\n")
        (folder / "model_index.json").unlink()
    h, w = net.config.sample_size if isinstance(net.config.sample_size, (tuple, list)) else (net.config.sample_size,) * 2
    golden = dict(x=torch.randn(3, net.config.in_channels, h, w), timesteps=torch.tensor([1, 999, 499]))
    labels = None
    if net.config.class_embed_type == "identity":
        labels = golden["embeddings"] = torch.randn(3, net.config.time_embedding_dim)
    elif net.class_embedding is not None:
        labels = golden["labels"] = torch.tensor([4, 0, 2])
    with torch.no_grad():
        golden["y"] = net(golden["x"], golden["timesteps"], labels).sample
    save_file(golden, folder / "golden.safetensors")
    print(f"{name}: {sum(p.numel() for p in net.parameters())} parameters, max|y| {golden['y'].abs().max():.4f}")

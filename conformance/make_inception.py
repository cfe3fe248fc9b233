#!/usr/bin/env python3
"""Features of pytorch-fid's Inception, as conformance/inception.npz: of the 16 pictures of fashion_test (gray, 32 x 32), and of six
coloured pictures of 37 x 53 pixels (made here: waves and noise).

    pip install numpy pillow torch torchvision pytorch-fid safetensors
    python conformance/make_inception.py inception-fid.safetensors [--pth OUT.pth]     # OUT.pth: the same weights as torch.save writes them

Made with pytorch-fid 0.3.0, torch 2.15.0.
"""
import argparse, pathlib
import numpy as np, torch
from PIL import Image
from pytorch_fid import inception
from safetensors.torch import load_file


def load(weights):
    """pytorch-fid's own InceptionV3 with these weights, without its download."""
    net = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    net.Mixed_5b, net.Mixed_5c, net.Mixed_5d = (inception.FIDInceptionA(c, pool_features=p) for c, p in [(192, 32), (256, 64), (288, 64)])
    net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e = (inception.FIDInceptionC(768, channels_7x7=c) for c in [128, 160, 160, 192])
    net.Mixed_7b, net.Mixed_7c = inception.FIDInceptionE_1(1280), inception.FIDInceptionE_2(2048)
    missing, unexpected = net.load_state_dict(load_file(weights), strict=False)
    assert not unexpected and all(k.startswith("fc.") or k.endswith(("bn.weight", "num_batches_tracked")) for k in missing), missing
    inception.fid_inception_v3 = lambda: net
    return net, inception.InceptionV3([3]).eval()


def features(model, pictures):
    """Of bytes [n, h, w, 3]."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return model(x)[0].squeeze(3).squeeze(2).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--pth")
    args = parser.parse_args()
    here = pathlib.Path(__file__).parent
    net, model = load(args.weights)
    if args.pth:
        torch.save(net.state_dict(), args.pth)
    fashion = np.stack([np.asarray(Image.open(here / f"fashion_test/{i:02}.png").convert("RGB")) for i in range(16)])
    y, x = np.mgrid[0:37, 0:53]
    waves = [[127.5 + 127.5 * np.sin((i + 1) * (x * (c + 1) + y * (i - c)) / 40) for c in range(3)] for i in range(6)]
    waves = np.stack(waves).transpose(0, 2, 3, 1)
    noise = np.random.default_rng(0).integers(-20, 21, waves.shape)
    coloured = np.clip(waves + noise, 0, 255).astype(np.uint8)
    pictures = dict(fashion=features(model, fashion), coloured_pictures=coloured, coloured=features(model, coloured))
    np.savez(here / "inception.npz", **pictures)


if __name__ == "__main__":
    main()

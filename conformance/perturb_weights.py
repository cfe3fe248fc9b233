#!/usr/bin/env python3
r"""Damages a model: adds Gaussian noise to every weight matrix and kernel of an f16 pipeline folder, with a standard deviation of X times its root mean square.

    ddim convert fashion clean --dtype f16
    python3 conformance/perturb_weights.py clean noise-0.06 0.06
    ddim sweep --model ./noise-0.06 --reference fashion-mnist/train-images-idx3-ubyte.gz --reference-limit 5000 --fit pad --background black --classes each --guidance 1 \
        --count 2000 --steps 20 --eta 0,1 --out sweep-0.06
    ddim nll --model ./noise-0.06 --data fashion-mnist/t10k-images-idx3-ubyte.gz --fit pad --background black --count 256 --steps 20 --eta 1 --json

docs/reproduce.md has the results for 0.06 and 0.12; its loss is l_simple_mean. Needs nothing but Python.
"""

import json
import random
import shutil
import struct
import sys
from pathlib import Path


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, out, share = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    if out.exists():
        sys.exit(f"{out}: is there already: expected a new folder")
    shutil.copytree(source, out)
    path = out / "unet/diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    gauss = random.Random(0).gauss
    for name, tensor in sorted(json.loads(data[8 : 8 + length]).items()):
        if name == "__metadata__" or len(tensor["shape"]) < 2:
            continue
        if tensor["dtype"] != "F16":
            sys.exit(f"{path}: {name} is {tensor['dtype']}: expected F16, as ddim convert --dtype f16 writes it")
        begin, end = (8 + length + at for at in tensor["data_offsets"])
        form = f"<{(end - begin) // 2}e"
        values = struct.unpack(form, data[begin:end])
        deviation = share * (sum(v * v for v in values) / len(values)) ** 0.5
        data[begin:end] = struct.pack(form, *(v + gauss(0, deviation) for v in values))
    path.write_bytes(data)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The first 16 test images of Fashion-MNIST (MIT licence), padded with zeros to 32 x 32, as conformance/fashion_test/00.png .. 15.png.

    pip install numpy pillow && python conformance/make_fashion_test.py t10k-images-idx3-ubyte.gz
"""
import gzip, pathlib, sys
import numpy as np
from PIL import Image

out = pathlib.Path(__file__).parent / "fashion_test"
out.mkdir(exist_ok=True)
images = np.frombuffer(gzip.open(sys.argv[1]).read()[16:], np.uint8).reshape(-1, 28, 28)[:16]
for i, image in enumerate(np.pad(images, ((0, 0), (2, 2), (2, 2)))):
    Image.fromarray(image).save(out / f"{i:02}.png", optimize=True)

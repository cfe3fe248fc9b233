#!/usr/bin/env python3
"""Makes jpeg/: small JPEG files and what Pillow decodes them to, as checksums.

    pip install pillow numpy
    apt install libjpeg-turbo-progs   # cjpeg, for the subsamplings and arithmetic coding that Pillow does not write
    python conformance/make_jpeg.py

jpeg/expected.json holds for each file the CRC-32 of its levels ([h, w] for gray, else [h, w, 3] of convert("RGB")), or Pillow's error; and the lengths at
which Pillow refuses it as truncated, of those that were tried. Coefficients beyond 16 bits, which only damage brings, overflow in the vector
instructions of libjpeg-turbo and not in its C: what decodes to other levels with them has a second CRC-32.
"""
import os

os.environ.setdefault("JSIMD_FORCENONE", "1")  # read by libjpeg-turbo
import io, json, subprocess, sys, tempfile, zlib
import numpy as np
import PIL
from PIL import Image, features



def decoded(data):
    """What Pillow makes of it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            levels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
            return {"size": [image.height, image.width], "channels": 1 if levels.ndim == 2 else 3, "crc32": zlib.crc32(levels.tobytes())}
    except PIL.UnidentifiedImageError:
        return {"error": "cannot identify image file"}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return {"error": str(error)}


if sys.argv[1:]:
    print(json.dumps([decoded(open(path, "rb").read()) for path in sys.argv[1:]]))
    sys.exit()

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jpeg")
SIZES = [(1, 1), (13, 7), (16, 17), (50, 33), (64, 64)]
QUALITIES = [30, 75, 92]
files = {}


def picture(h, w, seed):
    """Gradients, edges and noise, so that rounding, upsampling and clipping all show."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    a, b, c = rng.uniform(0.03, 0.3, 3)
    planes = [128 + 100 * np.sin(a * x + b * y), 255 * (x + y) / (h + w), 128 + 127 * np.sign(np.sin(c * (x - y)))]
    return np.clip(np.stack(planes, -1) + rng.normal(0, 12, (h, w, 3)), 0, 255).astype(np.uint8)


def pillow(image, **options):
    to = io.BytesIO()
    image.save(to, "JPEG", **options)
    return to.getvalue()


def cjpeg(pixels, *options):
    ppm = b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
    return subprocess.run(["cjpeg", *options], input=ppm, check=True, capture_output=True).stdout


def marker_at(data, *markers):
    """Where the first of these markers stands."""
    at = 2
    while data[at + 1] not in markers:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def changed(data, at, *values):
    return data[:at] + bytes(values) + data[at + len(values) :]


# Subsamplings, sizes, baseline and progressive.
SAMPLINGS = {"444": "1x1", "422": "2x1", "420": "2x2", "440": "1x2", "411": "4x1", "410": "4x2", "441": "1x4", "mixed": "2x2,1x2,2x1"}
for s, (name, factors) in enumerate(SAMPLINGS.items()):
    for i, (h, w) in enumerate(SIZES):
        for progressive in [False, True]:
            if s > 4 and (i < 2 or progressive != bool(i % 2)):
                continue
            quality = QUALITIES[(s + i + progressive) % 3]
            options = ["-quality", str(quality), "-sample", factors] + ["-progressive"] * progressive
            files[f"{name}_{h}x{w}_q{quality}{'_progressive' * progressive}"] = cjpeg(picture(h, w, 10 * s + i), *options)

# What Pillow writes itself.
for i, (h, w) in enumerate(SIZES):
    gray = Image.fromarray(picture(h, w, 100 + i)[..., 0])
    files[f"gray_{h}x{w}"] = pillow(gray, quality=QUALITIES[i % 3])
    files[f"gray_{h}x{w}_progressive"] = pillow(gray, quality=QUALITIES[i % 3], progressive=True)
for i, name in enumerate(["4:4:4", "4:2:2", "4:2:0"]):
    for progressive in [False, True]:
        options = dict(quality=QUALITIES[i], subsampling=name, optimize=True, progressive=progressive)
        files[f"pillow_{name.replace(':', '')}{'_progressive' * progressive}"] = pillow(Image.fromarray(picture(45, 61, 200 + i)), **options)
odd = Image.fromarray(picture(35, 37, 300))
files["rgb"] = pillow(odd, keep_rgb=True, quality=80)
files["rgb_progressive"] = pillow(odd, keep_rgb=True, quality=80, progressive=True)
files["rgb_420"] = cjpeg(picture(35, 37, 301), "-rgb", "-sample", "2x2,1x1,1x1", "-quality", "80")
adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
plain = pillow(odd, quality=80, subsampling="4:4:4")
no_jfif = plain[:2] + plain[marker_at(plain, 0xDB) :]
files["adobe_transform_0"] = no_jfif[:2] + adobe + b"\x00" + no_jfif[2:]
files["adobe_transform_1"] = no_jfif[:2] + adobe + b"\x01" + no_jfif[2:]
files["no_jfif"] = no_jfif
files["exif"] = pillow(odd, quality=80, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")
for blocks in [1, 3]:
    files[f"restart_{blocks}_blocks"] = pillow(odd, quality=75, restart_marker_blocks=blocks)
    files[f"restart_{blocks}_blocks_progressive"] = pillow(odd, quality=75, restart_marker_blocks=blocks, progressive=True)
files["restart_rows"] = pillow(odd, quality=75, restart_marker_rows=1, subsampling="4:2:2")
files["smooth"] = pillow(odd, quality=20, smooth=50)
files["quality_1"] = pillow(odd, quality=1)
files["quality_100"] = pillow(odd, quality=100)
for name, options in {"": [], "_progressive": ["-progressive"], "_restart": ["-restart", "2B"]}.items():
    files[f"arithmetic{name}"] = cjpeg(picture(35, 37, 302), "-arithmetic", "-quality", "75", *options)
with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
    script.write("0; 1; 2;")
    script.flush()
    files["a_scan_each"] = cjpeg(picture(35, 37, 303), "-scans", script.name, "-sample", "2x2")

# As cameras' motion JPEG: without Huffman tables, the standard's examples are meant.
files["no_huffman_tables"] = plain[: marker_at(plain, 0xC4)] + plain[marker_at(plain, 0xDA) :]

# Four components, inverted as Adobe's, and as YCCK.
cmyk = Image.fromarray(np.concatenate([picture(35, 37, 400), picture(35, 37, 401)[..., :1]], -1), "CMYK")
for name in ["4:4:4", "4:2:2", "4:2:0"]:
    for progressive in [False, True]:
        data = pillow(cmyk, quality=75, subsampling=name, progressive=progressive)
        files[f"cmyk_{name.replace(':', '')}{'_progressive' * progressive}"] = data
        at = marker_at(data, 0xEE)
        files[f"ycck_{name.replace(':', '')}{'_progressive' * progressive}"] = changed(data, at + 15, 2)
data = files["cmyk_444"]
at = marker_at(data, 0xEE)
files["cmyk_no_adobe"] = data[:at] + data[at + 16 :]

# Damage inside the image data, and what libjpeg refuses.
base, progressive = files["pillow_420"], files["pillow_444_progressive"]
for i in range(4):
    begin = marker_at(base, 0xDA) + 30
    at = begin + (len(base) - begin) * (2 * i + 1) // 8
    files[f"damaged_{i}"] = changed(base, at, base[at] ^ (0x55 >> i))
restart = files["restart_3_blocks"]
second = restart.index(b"\xff\xd1")
files["damaged_restart_missing"] = restart[:second] + restart[second + 2 :]
files["damaged_restart_wrong"] = changed(restart, second + 1, 0xD5)
files["damaged_restart_zeros"] = restart[: second + 2] + bytes(20) + restart[second + 22 :]
files["early_end"] = base[: len(base) * 3 // 4] + b"\xff\xd9"
scans = [at for at in range(len(progressive)) if progressive[at : at + 2] == b"\xff\xda"]
for count in [1, 3, 6]:
    # Up to the tables of the scan that follows, where there are any.
    tables = progressive.find(b"\xff\xc4", scans[count - 1], scans[count])
    files[f"scans_{count}_of_{len(scans)}"] = progressive[: scans[count] if tables < 0 else tables] + b"\xff\xd9"
files["garbage_after_the_end"] = base + b"garbage" * 9
files["garbage_before_a_marker"] = base[: marker_at(base, 0xC4)] + b"\x00\x01garbage" + base[marker_at(base, 0xC4) :]
files["fill_bytes"] = base[: marker_at(base, 0xC4)] + b"\xff\xff\xff" + base[marker_at(base, 0xC4) :]
frame = marker_at(base, 0xC0)
files["refused_12_bits"] = changed(base, frame + 4, 12)
files["refused_hierarchical"] = changed(base, frame + 1, 0xC5)
files["refused_no_width"] = changed(base, frame + 7, 0, 0)
files["refused_no_height"] = changed(base, frame + 5, 0, 0)
files["refused_huge"] = changed(base, frame + 5, 0xFF, 0xDC, 0xFF, 0xDC)
files["refused_components"] = changed(base, frame + 9, 2)
files["refused_sampling"] = changed(base, frame + 11, 0x00)
files["refused_huffman"] = changed(base, marker_at(base, 0xC4) + 5, *[255] * 16)
files["refused_lossless"] = changed(base, frame + 1, 0xC3)
files["refused_quantization"] = base[: marker_at(base, 0xDB)] + base[frame:]
files["refused_two_frames"] = base[:frame] + base[frame : frame + 19] + base[frame:]
files["refused_no_image"] = base[: marker_at(base, 0xDA)] + b"\xff\xd9"

os.makedirs(here, exist_ok=True)
for old in os.listdir(here):
    os.remove(os.path.join(here, old))
expected, total = {}, 0
for name, data in files.items():
    entry = decoded(data)
    if "crc32" in entry and not name.startswith(("damaged", "early", "garbage", "scans")):
        tried = [len(data) * k // 100 for k in (10, 30, 50, 70, 90, 98)] + [len(data) - k for k in (3, 2)]
        entry["truncated"] = [length for length in tried if "error" in decoded(data[:length])]
    expected[name + ".jpg"] = entry
    total += len(data)
    with open(os.path.join(here, name + ".jpg"), "wb") as to:
        to.write(data)
paths = [os.path.join(here, name) for name in expected]
vectors = subprocess.run([sys.executable, __file__, *paths], env={**os.environ, "JSIMD_FORCENONE": "0"}, check=True, capture_output=True)
for (name, entry), other in zip(expected.items(), json.loads(vectors.stdout)):
    if entry.get("crc32") != other.get("crc32"):
        assert name.startswith("damaged"), name
        entry["crc32 with vector instructions"] = other["crc32"]
versions = {
    "pillow": PIL.__version__,
    "libjpeg-turbo of pillow": features.version("libjpeg_turbo"),
    "cjpeg": subprocess.run(["cjpeg", "-version"], capture_output=True, text=True).stderr.splitlines()[0],
}
with open(os.path.join(here, "expected.json"), "w") as to:
    to.write('{"versions": ' + json.dumps(versions) + ',\n"files": {\n')
    to.write(",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in expected.items()) + "\n}}\n")
print(f"{len(files)} files, {total} bytes; {sum('error' in e for e in expected.values())} of them Pillow refuses")

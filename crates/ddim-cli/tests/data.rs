//! Images that the verbs read, on the real binary: what is data, what is not, and what is said of it.

mod common;

use common::{Run, ddim, ok};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, Rgba};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TINY: [&str; 12] =
    ["train", "--preset", "tiny", "--size", "8", "--batch-size", "2", "--preview-every", "0", "--threads", "1", "--steps=1"];

/// Trains for a step on `data`, into the folder `run`.
fn train(folder: &Path, data: &str, more: &[&str]) -> Run {
    let out = folder.join("run");
    let _ = fs::remove_dir_all(&out);
    ddim(folder, &[&TINY[..], &["--data", data, "--out", "run"], more].concat())
}

fn trains(folder: &Path, data: &str, more: &[&str]) -> Run {
    let run = train(folder, data, more);
    assert_eq!(run.code, 0, "{data} {more:?}: {}", run.stderr);
    run
}

fn refuses(folder: &Path, data: &str, more: &[&str], words: &[&str]) {
    let run = train(folder, data, more);
    let line = run.stderr.trim_end();
    assert_eq!(run.code, 1, "{data} {more:?}: {line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

fn picture(w: u32, h: u32, value: u8) -> DynamicImage {
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(w, h, |x, y| Rgb([value, (x * 255 / w) as u8, (y * 255 / h) as u8])))
}

/// `n` pictures of 16×16, as PNG.
fn pictures(folder: &Path, n: u8) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..n {
        picture(16, 16, i * 40).save_with_format(folder.join(format!("{i}.png")), ImageFormat::Png).unwrap();
    }
}

fn jpeg(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
    bytes
}

/// An EXIF block that says how an image is turned.
fn exif(orientation: u8, big: bool) -> Vec<u8> {
    let mut tiff: Vec<u8> = if big { b"MM\0*\0\0\0\x08\0\x01".to_vec() } else { b"II*\0\x08\0\0\0\x01\0".to_vec() };
    if big {
        tiff.extend([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    } else {
        tiff.extend([0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    }
    tiff.extend([0; 4]);
    tiff
}

/// A JPEG with an orientation.
fn turned_jpeg(image: &DynamicImage, orientation: u8, big: bool) -> Vec<u8> {
    let bytes = jpeg(image);
    let block = [&b"Exif\0\0"[..], &exif(orientation, big)].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&bytes[..2], &[0xff, 0xe1], &length, &block, &bytes[2..]].concat()
}

/// The pixels of the first row of a grid that reconstruct drew: what the network was given.
fn seen(folder: &Path, data: &str) -> Vec<u8> {
    let args = ["reconstruct", "--model", "fashion", "--input", data, "--fit", "stretch", "--steps", "1", "--grid", "seen.png", "-q"];
    ok(folder, &args);
    let grid = image::open(folder.join("seen.png")).unwrap().to_luma8();
    image::imageops::crop_imm(&grid, 0, 0, grid.width(), 66).to_image().into_raw()
}

#[test]
fn images_are_turned_upright_where_they_are_prepared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    // An arrow that no turn leaves as it is.
    let upright =
        DynamicImage::ImageRgb8(ImageBuffer::from_fn(48, 64, |x, y| Rgb([if x < 24 && y < 16 { 250 } else { (y * 2) as u8 }; 3])));
    let stored = |orientation: u8| match orientation {
        2 => upright.fliph(),
        3 => upright.rotate180(),
        4 => upright.flipv(),
        5 => upright.rotate90().fliph(),
        6 => upright.rotate270(),
        7 => upright.rotate270().fliph(),
        8 => upright.rotate90(),
        _ => upright.clone(),
    };
    fs::create_dir(path.join("upright")).unwrap();
    fs::write(path.join("upright/0.jpg"), jpeg(&upright)).unwrap();
    let right = seen(path, "upright");
    for orientation in 1..=8 {
        let name = format!("turned{orientation}");
        fs::create_dir(path.join(&name)).unwrap();
        fs::write(path.join(&name).join("0.jpg"), turned_jpeg(&stored(orientation), orientation, orientation % 2 == 0)).unwrap();
        let found = seen(path, &name);
        let mean = right.iter().zip(&found).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / right.len() as f64;
        assert!(mean < 2.0, "orientation {orientation}: {mean} levels");
    }
    // PNG carries it as well.
    fs::create_dir(path.join("png")).unwrap();
    let file = fs::File::create(path.join("png/0.png")).unwrap();
    let stored = upright.rotate270().to_rgb8();
    let mut info = png::Info::with_size(stored.width(), stored.height());
    (info.color_type, info.bit_depth, info.exif_metadata) = (png::ColorType::Rgb, png::BitDepth::Eight, Some(exif(6, true).into()));
    png::Encoder::with_info(file, info).unwrap().write_header().unwrap().write_image_data(&stored).unwrap();
    let found = seen(path, "png");
    let mean = right.iter().zip(&found).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / right.len() as f64;
    assert!(mean < 2.0, "PNG: {mean} levels");
}

#[test]
fn truncated_files_are_bad_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    pictures(&path.join("data"), 3);
    let image = picture(64, 64, 9);
    for (name, format) in
        [("a.jpg", ImageFormat::Jpeg), ("b.png", ImageFormat::Png), ("c.webp", ImageFormat::WebP), ("d.bmp", ImageFormat::Bmp)]
    {
        let mut bytes = Vec::new();
        image.write_to(&mut std::io::Cursor::new(&mut bytes), format).unwrap();
        let file = path.join("data").join(name);
        fs::write(&file, &bytes[..bytes.len() * 6 / 10]).unwrap();
        refuses(path, "data", &[], &[name, "broken", "--skip-bad-files"]);
        let run = trains(path, "data", &["--skip-bad-files"]);
        assert!(run.stderr.contains("left out: ") && run.stderr.contains(name) && run.stderr.contains("3 images"), "{}", run.stderr);
        for args in [
            &["reconstruct", "--model", "fashion", "--input", "data", "--fit", "crop", "--steps", "1"][..],
            &["nll", "--model", "fashion", "--data", "data", "--fit", "crop", "--steps", "1", "--eta", "1"],
            &["encode", "--model", "fashion", "--input", "data", "--fit", "crop", "--steps", "1", "--save-npy", "z.npy"],
        ] {
            let run = ddim(path, args);
            assert!(run.code == 1 && run.stderr.contains(name) && run.stderr.contains("--skip-bad-files"), "{args:?}: {}", run.stderr);
            let run = ok(path, &[args, &["--skip-bad-files"]].concat());
            assert!(run.stderr.contains("left out: ") && run.stderr.contains(name), "{args:?}: {}", run.stderr);
        }
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn bombs_and_lines_of_pixels() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    pictures(&path.join("data"), 2);
    // The header of 60000 x 60000 pixels, and little behind it.
    let small = fs::read(path.join("data/0.png")).unwrap();
    let mut bomb = small.clone();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    fs::write(path.join("data/bomb.png"), bomb).unwrap();
    refuses(path, "data", &[], &["bomb.png", "60000 x 60000 pixels"]);
    fs::remove_file(path.join("data/bomb.png")).unwrap();
    for (name, w, h) in [("wide.png", 20_000, 1), ("tall.png", 1, 20_000)] {
        picture(w, h, 3).save(path.join("data").join(name)).unwrap();
    }
    for fit in ["crop", "random-crop", "pad", "stretch"] {
        trains(path, "data", &["--fit", fit]);
    }
}

/// PNG's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut sum, byte| {
        sum ^= u32::from(*byte);
        (0..8).for_each(|_| sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 });
        sum
    })
}

#[test]
fn a_run_inside_its_data() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    pictures(path, 4);
    let previews = ["--preview-every", "2", "--set", "output.preview_count=4", "--set", "output.preview_steps=2"];
    let args =
        ["train", "--preset", "tiny", "--size", "8", "--batch-size", "2", "--threads", "1", "--data", ".", "--out", "run", "--steps", "4"];
    ok(path, &[&args[..], &previews].concat());
    assert!(path.join("run/previews").read_dir().unwrap().count() > 0);
    ok(path, &["train", "--out", "run", "--resume", "--steps", "6", "-q"]);
    let args =
        ["train", "--preset", "tiny", "--size", "8", "--batch-size", "2", "--threads", "1", "--data", ".", "--out", "run2", "--steps", "1"];
    let run = ok(path, &[&args[..], &["--preview-every", "0"]].concat());
    assert!(run.stderr.contains("4 images") && run.stderr.contains("left out: ") && run.stderr.contains("run"), "{}", run.stderr);
}

#[test]
fn classes_are_printed_and_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    pictures(&path.join("data/dog"), 2);
    pictures(&path.join("data/cat"), 3);
    let run = trains(path, "data", &["--labels", "data"]);
    assert!(run.stderr.contains("0 cat (3), 1 dog (2)"), "{}", run.stderr);
    let info = ok(path, &["info", "run"]);
    assert!(info.stdout.contains("0 cat (3 images), 1 dog (2 images)"), "{}", info.stdout);
    ok(path, &["convert", "run", "copy"]);
    assert!(ok(path, &["info", "copy"]).stdout.contains("0 cat (3 images)"));
    let tried = ok(path, &[&TINY[..], &["--data", "data", "--labels", "data", "--out", "dry", "--dry-run", "--json", "-q"]].concat());
    let tried: serde_json::Value = serde_json::from_str(&tried.stdout).unwrap();
    assert_eq!(tried["classes"][1], serde_json::json!({"class": 1, "name": "dog", "images": 2}));
    ok(path, &["sample", "--model", "run", "--class", "dog", "--count", "1", "--steps", "1", "--grid", "g.png", "-q"]);
    pictures(&path.join("data"), 1);
    refuses(path, "data", &["--labels", "data"], &["0.png: an image outside any class folder"]);
}

#[test]
fn arrays_of_other_numbers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let numbers = |scale: f32, shift: f32| (0..4 * 192).map(move |i| (i % 97) as f32 / 96.0 * scale + shift);
    let write = |name: &str, descr: &str, data: Vec<u8>| common::npy(&path.join(name), descr, false, "(4, 3, 8, 8)", &data);
    write("right.npy", "<f4", numbers(2.0, -1.0).flat_map(f32::to_le_bytes).collect());
    trains(path, "right.npy", &[]);
    write("f64.npy", "<f8", numbers(2.0, -1.0).flat_map(|x| f64::from(x).to_le_bytes()).collect());
    trains(path, "f64.npy", &[]);
    write("bytes.npy", "<f4", numbers(255.0, 0.0).flat_map(f32::to_le_bytes).collect());
    refuses(path, "bytes.npy", &[], &["bytes.npy", "values from 0 to 255", "[-1, 1]"]);
    write("nan.npy", "<f4", numbers(2.0, -1.0).enumerate().flat_map(|(i, x)| if i == 400 { f32::NAN } else { x }.to_le_bytes()).collect());
    refuses(path, "nan.npy", &[], &["nan.npy", "image 2", "not finite"]);
    write("unit.npy", "<f4", numbers(1.0, 0.0).flat_map(f32::to_le_bytes).collect());
    let run = trains(path, "unit.npy", &[]);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("no value below 0"), "{}", run.stderr);
    write("complex.npy", "<c8", vec![0; 4 * 192 * 8]);
    refuses(path, "complex.npy", &[], &["complex.npy", "<c8"]);
    let whole = fs::read(path.join("right.npy")).unwrap();
    fs::write(path.join("short.npy"), &whole[..600]).unwrap();
    refuses(path, "short.npy", &[], &["short.npy", "472 bytes of data: expected 3072"]);
}

#[test]
fn transparent_images_need_a_background_in_any_verb() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let clear = DynamicImage::ImageRgba8(ImageBuffer::from_pixel(32, 32, Rgba([10, 10, 10, 100])));
    clear.save(path.join("clear.png")).unwrap();
    let args = ["encode", "--model", "fashion", "--input", "clear.png", "--save-npy", "z.npy", "--steps", "1", "-q"];
    let run = ddim(path, &args);
    assert!(run.code == 1 && run.stderr.contains("clear.png: an image with transparent pixels"), "{}", run.stderr);
    assert!(!run.stderr.contains("--skip-bad-files"), "it is not broken: {}", run.stderr);
    ok(path, &[&args[..], &["--background", "white"]].concat());
}

/// As [`ddim`], with arguments of any bytes.
#[cfg(target_os = "linux")]
fn bytes_ok(folder: &Path, args: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin("ddim")).current_dir(folder).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn any_path_works_in_any_verb() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    for name in [&b"caf\xe9"[..], "e\u{301}te 写真\u{3000}❤\u{fe0f}\u{a0}".as_bytes(), "\"'\\ \u{7f}".as_bytes()] {
        let base = folder.path().join(OsStr::from_bytes(name));
        let path = |file: &str| -> OsString { base.join(file).into() };
        pictures(&base.join("images"), 4);
        let run = |args: &str, paths: &[OsString]| {
            let mut paths = paths.iter();
            let args: Vec<OsString> = args.split(' ').map(|a| if a == "@" { paths.next().unwrap().clone() } else { a.into() }).collect();
            bytes_ok(folder.path(), &args.iter().map(OsString::as_os_str).collect::<Vec<_>>())
        };
        for json in ["", " --json"] {
            let with = |args: &str| format!("{args}{json}");
            run(
                &with("sample --model fashion --count 1 --steps 1 -q --grid @ --save-npy @ --out @ --trace @"),
                &[path("g.png"), path("x.npy"), path("out"), path("trace")],
            );
            run(&with("sample --model fashion --latents @ --steps 1 -q --animate @"), &[path("x.npy"), path("a.gif")]);
            run(&with("encode --model fashion --input @ --fit crop --save-npy @ --steps 1 -q"), &[path("images"), path("z.npy")]);
            run(&with("reconstruct --model fashion --input @ --fit crop --steps 1 -q --grid @"), &[path("images"), path("r.png")]);
            run(&with("nll --model fashion --data @ --fit crop --steps 1 --eta 1 -q --plot @"), &[path("images"), path("n.svg")]);
            run(&with("interpolate --model fashion --steps 1 --frames 2 -q --grid @ --save-npy @"), &[path("i.png"), path("i.npy")]);
            run(&with("consistency --model fashion --steps 1,2 --count 1 -q --grid @"), &[path("c.png")]);
            let _ = fs::remove_dir_all(base.join("pipeline"));
            run(&with("convert fashion @"), &[path("pipeline")]);
            run(&with("info @"), &[path("pipeline")]);
            run(&with("sample --model @ --count 1 --steps 1 -q --grid @"), &[path("pipeline"), path("g.png")]);
            let _ = fs::remove_dir_all(base.join("run"));
            run(
                &with("train --preset tiny --size 8 --batch-size 2 --preview-every 0 --threads 1 --steps 1 -q --data @ --out @"),
                &[path("images"), path("run")],
            );
            run(&with("train --steps 2 -q --resume --out @"), &[path("run")]);
            let _ = fs::remove_dir_all(base.join("finer"));
            run(
                &with("train --batch-size 2 --preview-every 0 --threads 1 --steps 1 -q --data @ --out @ --model @"),
                &[path("images"), path("finer"), path("run")],
            );
            run(&with("train --steps 2 -q --resume --out @"), &[path("finer")]);
        }
    }
}

#[test]
fn advice_fits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let weights = PathBuf::from("no-such-weights");
    let fid = |a: &str, b: &str| ddim(path, &["fid", a, b, "-q", "--inception", &weights.display().to_string()]);
    let run = fid("nowhere", "nowhere");
    assert!(run.stderr.contains("nowhere: not found: expected images") && !run.stderr.contains("train"), "{}", run.stderr);
    fs::create_dir(path.join("empty")).unwrap();
    for (args, word) in
        [(vec!["encode", "--save-npy", "z.npy", "--input", "empty"], "no images"), (vec!["nll", "--data", "empty"], "no images")]
    {
        let run = ddim(path, &args);
        assert!(run.code == 1 && run.stderr.contains(word) && !run.stderr.contains("data."), "{}", run.stderr);
    }
}

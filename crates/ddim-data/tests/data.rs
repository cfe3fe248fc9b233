//! What becomes of images on their way into training, and what is said of those that cannot be read.

use ddim_data::{BadFiles, DataSet, Error, Fit, Labels, Preparation, Request, parse_colour};
use flate2::Compression;
use flate2::write::GzEncoder;
use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

/// As a run's settings name them.
fn load(path: &Path, size: [usize; 2], channels: Option<usize>, settings: &[(&str, &str)]) -> Result<DataSet, Error> {
    let mut request = Request { channels, ..Request::new(path, Preparation { size, fit: Fit::Crop, background: [255; 3] }) };
    for (key, value) in settings {
        match *key {
            "fit" => request.preparation.fit = serde_json::from_str(&format!("\"{value}\"")).unwrap(),
            "background" => request.preparation.background = parse_colour(value).unwrap(),
            "resize" => request.resize = Some(value.parse().unwrap()),
            "limit" => request.limit = Some(value.parse().unwrap()),
            "labels" if *value == "data" => request.labels = Some(Labels::Data),
            "labels" => request.labels = Some(Labels::File(value.into())),
            "bad_files" => request.bad_files = BadFiles::Skip,
            other => panic!("{other}"),
        }
    }
    DataSet::load(&request)
}

/// Image `index` as bytes [c][h][w].
fn bytes(data: &DataSet, index: usize) -> Vec<u8> {
    let mut x = vec![0.0; data.shape.iter().product()];
    data.write(index, [0.5; 2], false, || 0.0, &mut x);
    x.iter().map(|v| ((v + 1.0) * 127.5).round() as u8).collect()
}

fn rgb(w: u32, h: u32, f: impl Fn(u32, u32) -> [u8; 3]) -> DynamicImage {
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(w, h, |x, y| Rgb(f(x, y))))
}

#[test]
fn folders_of_mixed_sizes_and_modes() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b/deep"));
    fs::create_dir_all(&a).unwrap();
    fs::create_dir_all(&b).unwrap();
    rgb(8, 8, |x, y| [x as u8 * 30, y as u8 * 30, 7]).save(a.join("1.png")).unwrap();
    // Half transparent red over white.
    DynamicImage::ImageRgba8(ImageBuffer::from_pixel(8, 8, Rgba([255, 0, 0, 128]))).save(a.join("2.png")).unwrap();
    DynamicImage::ImageLuma8(ImageBuffer::from_pixel(20, 10, Luma([77]))).save(b.join("3.jpg")).unwrap();
    rgb(9, 33, |_, _| [10, 20, 30]).save(b.join("4.webp")).unwrap();
    DynamicImage::ImageLuma16(ImageBuffer::from_pixel(8, 8, Luma([257 * 50]))).save(b.join("5.png")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();

    let data = load(folder.path(), [8, 8], None, &[("labels", "data")]).unwrap();
    assert_eq!((data.len(), data.shape, data.classes), (5, [3, 8, 8], 2));
    assert_eq!(data.labels.as_deref(), Some(&[0, 0, 1, 1, 1][..]));
    let first = bytes(&data, 0);
    assert_eq!((first[1], first[64 + 8], first[128]), (30, 30, 7), "the same bytes where nothing is resized");
    let red = bytes(&data, 1);
    assert_eq!((red[0], red[64], red[128]), (255, 127, 127));
    for (image, expected) in [(2, [77, 77, 77]), (3, [10, 20, 30]), (4, [50, 50, 50])] {
        let found = bytes(&data, image);
        assert!((0..3).all(|c| found[c * 64..][..64].iter().all(|v| v.abs_diff(expected[c]) <= 2)), "image {image}: {found:?}");
    }

    let black = load(folder.path(), [8, 8], None, &[("background", "black")]).unwrap();
    assert_eq!(bytes(&black, 1)[0], 128);
    let gray = load(folder.path(), [8, 8], Some(1), &[]).unwrap();
    assert_eq!(gray.shape, [1, 8, 8]);
    let said = |data: &DataSet| data.report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((said(&gray), said(&data)), (vec!["3 of 5 images are in colour: converted to gray for one channel".to_owned()], vec![]));
    assert_eq!(load(folder.path(), [8, 8], None, &[("limit", "2")]).unwrap().len(), 2);
    assert_ne!(data.checksum(), black.checksum());
    assert_eq!(data.checksum(), load(folder.path(), [8, 8], None, &[("labels", "data")]).unwrap().checksum());
}

#[test]
fn fits() {
    let folder = TempDir::new().unwrap();
    // Three bands from left to right.
    rgb(24, 8, |x, _| [(x / 8 * 100) as u8; 3]).save(folder.path().join("bands.png")).unwrap();
    let of = |fit: &str| load(folder.path(), [8, 8], Some(1), &[("fit", fit), ("background", "#0a0a0a"), ("resize", "8")]).unwrap();
    assert_eq!(bytes(&of("crop"), 0), vec![100; 64], "the middle band");
    let padded = bytes(&of("pad"), 0);
    assert_eq!((padded[0], padded[63]), (10, 10));
    assert!(padded[3 * 8 + 4].abs_diff(100) < 40, "{padded:?}");
    let stretched = bytes(&of("stretch"), 0);
    assert!(stretched[0] < 30 && stretched[7] > 170, "{stretched:?}");

    let windows = of("random-crop");
    let mut x = vec![0.0; 64];
    for (at, band) in [(0.0, 0.0), (0.5, 100.0), (0.999, 200.0)] {
        windows.write(0, [0.0, at], false, || 0.0, &mut x);
        assert!((x[0] - (band / 127.5 - 1.0)).abs() < 1e-6, "{at}: {}", x[0]);
    }
    // A small image is padded as it is, and enlarged where it is cropped.
    let small = TempDir::new().unwrap();
    rgb(4, 4, |x, _| [x as u8 * 60; 3]).save(small.path().join("small.png")).unwrap();
    let padded = load(small.path(), [8, 8], Some(1), &[("fit", "pad")]).unwrap();
    assert_eq!(bytes(&padded, 0)[2 * 8..3 * 8], [255, 255, 0, 60, 120, 180, 255, 255]);
    assert!(bytes(&load(small.path(), [8, 8], Some(1), &[]).unwrap(), 0)[0] < 10);
}

#[test]
fn nothing_aliases() {
    let folder = TempDir::new().unwrap();
    rgb(64, 64, |x, y| [((x + y) % 2 * 255) as u8; 3]).save(folder.path().join("checks.png")).unwrap();
    let found = bytes(&load(folder.path(), [16, 16], Some(1), &[]).unwrap(), 0);
    assert!(found.iter().all(|v| v.abs_diff(128) < 3), "{found:?}");
}

#[test]
fn flips_and_noise_of_a_byte() {
    let folder = TempDir::new().unwrap();
    rgb(8, 8, |x, _| [x as u8; 3]).save(folder.path().join("ramp.png")).unwrap();
    let data = load(folder.path(), [8, 8], Some(1), &[]).unwrap();
    let mut x = vec![0.0; 64];
    data.write(0, [0.5; 2], true, || 0.25, &mut x);
    assert!((x[0] - (7.25 / 127.5 - 1.0)).abs() < 1e-6 && (x[7] - (0.25 / 127.5 - 1.0)).abs() < 1e-6);
}

fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(data);
    file
}

#[test]
fn idx_cifar_and_npy() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let images: Vec<u8> = (0..3 * 28 * 28).map(|i| (i % 251) as u8).collect();
    let mut gz = GzEncoder::new(fs::File::create(path.join("train-images-idx3-ubyte.gz")).unwrap(), Compression::fast());
    gz.write_all(&idx(&[3, 28, 28], &images)).unwrap();
    gz.finish().unwrap();
    fs::write(path.join("train-labels-idx1-ubyte"), idx(&[3], &[4, 0, 9])).unwrap();
    let data = load(path, [32, 32], None, &[("fit", "pad"), ("background", "black"), ("labels", "data")]).unwrap();
    assert_eq!((data.len(), data.shape, data.labels.as_deref()), (3, [1, 32, 32], Some(&[4, 0, 9][..])));
    let second = bytes(&data, 1);
    assert_eq!((second[0], second[2 * 32 + 2], second[2 * 32 + 29]), (0, images[28 * 28], images[28 * 28 + 27]));
    fs::write(path.join("train-labels-idx1-ubyte"), idx(&[2], &[4, 0])).unwrap();
    let error = load(path, [32, 32], None, &[("fit", "pad")]).unwrap_err().to_string();
    assert!(error.contains("2 labels: expected 3"), "{error}");

    let cifar = TempDir::new().unwrap();
    let record: Vec<u8> = [6].into_iter().chain((0..3072).map(|i| (i / 1024 * 50 + i % 50) as u8)).collect();
    fs::write(cifar.path().join("data_batch_1.bin"), record.repeat(2)).unwrap();
    let data = load(cifar.path(), [32, 32], None, &[("labels", "data")]).unwrap();
    assert_eq!((data.len(), data.shape, data.classes), (2, [3, 32, 32], 10));
    assert_eq!(bytes(&data, 1), record[1..]);
    fs::write(cifar.path().join("data_batch_1.bin"), &record[..3000]).unwrap();
    let error = load(cifar.path(), [32, 32], None, &[]).unwrap_err().to_string();
    assert!(error.contains("data_batch_1.bin: 3000 bytes: expected CIFAR-10 records"), "{error}");

    let npy = path.join("batch.npy");
    let mut out = Vec::new();
    {
        use npyz::WriterBuilder;
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[2, 3, 8, 8]).writer(&mut out).begin_nd().unwrap();
        writer.extend((0..2 * 3 * 64).map(|i| (i as f32 / 192.0 - 1.0).clamp(-1.0, 1.0))).unwrap();
        writer.finish().unwrap();
    }
    fs::write(&npy, &out).unwrap();
    let data = load(&npy, [8, 8], None, &[]).unwrap();
    assert_eq!((data.len(), data.shape), (2, [3, 8, 8]));
    assert_eq!(bytes(&data, 1)[100], ((292.0 / 192.0) * 127.5f32).round() as u8);
    assert!(load(&npy, [8, 8], None, &[("labels", "data")]).unwrap_err().to_string().contains("no labels"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let error = load(path, [8, 8], None, &[]).unwrap_err().to_string();
    assert!(error.contains("no images"), "{error}");
    let error = load(&path.join("absent"), [8, 8], None, &[]).unwrap_err().to_string();
    assert!(error.contains("absent: not found"), "{error}");

    rgb(64, 64, |x, y| [x as u8, y as u8, 0]).save(path.join("whole.jpg")).unwrap();
    let whole = fs::read(path.join("whole.jpg")).unwrap();
    // Some decoders fill in what is missing at the end; not a file without its header.
    fs::write(path.join("broken.jpg"), &whole[..100]).unwrap();
    let error = load(path, [8, 8], None, &[]).unwrap_err().to_string();
    assert!(error.contains("broken.jpg: a broken image") && error.lines().count() == 1, "{error}");
    let data = load(path, [8, 8], None, &[("bad_files", "skip")]).unwrap();
    assert_eq!((data.len(), data.report.left_out.len()), (1, 1));
    assert!(data.report.left_out[0].to_string().contains("broken.jpg"));

    fs::remove_file(path.join("broken.jpg")).unwrap();
    let labels = path.join("labels.txt");
    let quoted = labels.display().to_string();
    for (text, expected) in [("1\n2\n", "2 labels: expected 1"), ("cat\n", "line 1: \"cat\": expected a class number")] {
        fs::write(&labels, text).unwrap();
        let error = load(path, [8, 8], None, &[("labels", &quoted)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&labels, "3\n").unwrap();
    assert_eq!(load(path, [8, 8], None, &[("labels", &quoted)]).unwrap().labels, Some(vec![3]));
    for name in ["x-idx3-ubyte", "x-idx3-ubyte.gz", "x.npy", "x.bin"] {
        fs::write(path.join(name), b"nonsense, and not much of it").unwrap();
        let error = load(&path.join(name), [8, 8], None, &[]).unwrap_err().to_string();
        assert!(error.contains(name) && error.lines().count() == 1, "{error}");
    }
}

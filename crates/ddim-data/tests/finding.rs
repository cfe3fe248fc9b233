//! Which files are data, which are not, and what is said of those.

use ddim_data::{
    BadFiles, DataSet, Error, ErrorKind, Fit, ImageSet, Labels, LeftOut, Look, Preparation, Request, Warning, read_inputs,
    read_labelled_inputs,
};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, Rgba};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const SMALL: Preparation = Preparation { size: [8, 8], fit: Fit::Crop, background: [255; 3] };

fn picture(value: u8) -> DynamicImage {
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(8, 8, |x, y| Rgb([value, x as u8 * 20, y as u8 * 20])))
}

fn save(path: impl AsRef<Path>, value: u8) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(value).save_with_format(path, ImageFormat::Png).unwrap();
}

fn request(path: &Path) -> Request {
    Request::new(path, SMALL)
}

fn load(path: &Path, bad_files: BadFiles) -> Result<DataSet, Error> {
    DataSet::load(&Request { bad_files, ..request(path) })
}

fn labelled(path: &Path, bad_files: BadFiles) -> Result<DataSet, Error> {
    DataSet::load(&Request { bad_files, labels: Some(Labels::Data), ..request(path) })
}

#[test]
fn hidden_names_are_no_data() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("0.png"), 1);
    fs::write(path.join("._0.png"), b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ").unwrap();
    save(path.join("__MACOSX/1.png"), 2);
    save(path.join(".thumbnails/2.png"), 3);
    save(path.join("sub/.hidden.png"), 4);
    let data = load(path, BadFiles::Stop).unwrap();
    assert_eq!((data.len(), data.report.left_out.len()), (1, 0));
    // A folder that is named is searched, whatever its name.
    assert_eq!(load(&path.join(".thumbnails"), BadFiles::Stop).unwrap().len(), 1);
}

#[test]
fn the_folder_of_a_run_is_no_data() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("0.png"), 1);
    save(path.join("run/previews/1.png"), 2);
    fs::create_dir_all(path.join("run/checkpoints")).unwrap();
    fs::write(path.join("run/config.toml"), "").unwrap();
    save(path.join("out/previews/2.png"), 3);
    let data = DataSet::load(&Request { besides: vec![path.join("out")], ..request(path) }).unwrap();
    assert_eq!(data.len(), 1);
    assert!(matches!(&data.report.left_out[..], [LeftOut::Run(run)] if run.ends_with("run")), "{:?}", data.report);
    assert_eq!(load(&path.join("run/previews"), BadFiles::Stop).unwrap().len(), 1);
    // Of a run that is named, or lies among its data, what it writes.
    save(path.join("run/a.png"), 4);
    save(path.join("run/grid.png"), 5);
    let data = load(&path.join("run"), BadFiles::Stop).unwrap();
    assert!(
        data.len() == 2 && matches!(&data.report.left_out[..], [LeftOut::Run(of), ..] if of.ends_with("checkpoints")),
        "{:?}",
        data.report
    );
    fs::create_dir_all(path.join("sweep/cells")).unwrap();
    fs::write(path.join("sweep/sweep.json"), "").unwrap();
    ["fid.png", "grid.png"].iter().for_each(|chart| save(path.join("sweep").join(chart), 6));
    assert!(load(&path.join("sweep"), BadFiles::Stop).is_err());
    save(path.join("sweep/a.png"), 7);
    assert_eq!(load(&path.join("sweep"), BadFiles::Stop).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn links() {
    use std::os::unix::fs::symlink;
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("a/0.png"), 1);
    symlink("user@host.42:1", path.join(".#notes.txt")).unwrap();
    symlink("/nowhere/x", path.join("notes.txt")).unwrap();
    symlink(".", path.join("self")).unwrap();
    symlink("..", path.join("a/up")).unwrap();
    assert_eq!(load(path, BadFiles::Stop).unwrap().len(), 1);
    save(TempDir::new().unwrap().keep().join("far.png"), 9);
    symlink("/nowhere/9.png", path.join("9.png")).unwrap();
    let error = load(path, BadFiles::Stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadFile);
    assert!(error.to_string().contains("9.png: a broken link"), "{error}");
    let data = load(path, BadFiles::Skip).unwrap();
    assert_eq!((data.len(), data.report.left_out.len()), (1, 2), "the link that is no image by its name is said as well");
    // A link to a picture and one to a folder of them are data.
    fs::remove_file(path.join("9.png")).unwrap();
    let other = TempDir::new().unwrap();
    save(other.path().join("1.png"), 2);
    symlink(other.path().join("1.png"), path.join("linked.png")).unwrap();
    symlink(other.path(), path.join("folder")).unwrap();
    assert_eq!(load(path, BadFiles::Stop).unwrap().len(), 3);
}

#[cfg(unix)]
#[test]
fn pipes_do_not_hang() {
    let folder = TempDir::new().unwrap();
    save(folder.path().join("0.png"), 1);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.png")).arg(folder.path().join("pipe")).status();
    assert!(made.unwrap().success());
    let error = load(folder.path(), BadFiles::Stop).unwrap_err().to_string();
    assert!(error.contains("pipe.png: not a regular file"), "{error}");
    assert_eq!(load(folder.path(), BadFiles::Skip).unwrap().len(), 1);
}

#[test]
fn other_formats_are_read_or_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    for name in ["a.bmp", "b.tif", "c.tiff", "d.gif", "e.ppm", "f.PNG", "g.webp"] {
        picture(7).save(path.join(name)).unwrap();
    }
    for name in ["h.jfif", "i.jpe", "j.JPG", "k.JPEG"] {
        picture(7).save_with_format(path.join(name), ImageFormat::Jpeg).unwrap();
    }
    // Names that lie, or say nothing: the contents decide.
    picture(7).save_with_format(path.join("l.jpg"), ImageFormat::WebP).unwrap();
    picture(7).save_with_format(path.join("m.avif"), ImageFormat::Png).unwrap();
    picture(7).save_with_format(path.join("n"), ImageFormat::Png).unwrap();
    let mut avif = b"\0\0\0\x20ftypavif".to_vec();
    avif.resize(64, 0);
    for name in ["x.avif", "y.avif", "z.svg"] {
        fs::write(path.join(name), &avif).unwrap();
    }
    picture(7).save_with_format(path.join("photo.png~"), ImageFormat::Png).unwrap();
    fs::write(path.join("notes.txt"), "no image").unwrap();
    fs::write(path.join("Thumbs.db"), "no image").unwrap();
    let data = load(path, BadFiles::Stop).unwrap();
    assert_eq!(data.len(), 14);
    assert_eq!(data.report.left_out.len(), 1);
    assert_eq!(data.report.left_out[0].to_string(), "4 image files of unsupported formats (avif 2, png~ 1, svg 1)");
    let pixels = |i: usize| {
        let mut x = vec![0.0; 192];
        data.write(i, [0.5; 2], false, || 0.0, &mut x);
        x
    };
    // Exact formats are exact, in the order of names: upper case first.
    let exact = pixels(0);
    for i in [1, 2, 3, 6, 8, 11, 13] {
        let worst = pixels(i).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.1, "image {i}: {worst}");
    }
    fs::write(path.join("w.png"), &avif).unwrap();
    let error = load(path, BadFiles::Stop).unwrap_err().to_string();
    assert!(error.contains("w.png: an image of format AVIF"), "{error}");
}

#[test]
fn a_folder_of_other_formats_alone_says_so() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.heic"), "what a phone writes").unwrap();
    let error = load(folder.path(), BadFiles::Stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoImages);
    assert!(error.to_string().contains("no images (left out: 1 image file of unsupported formats (heic 1))"), "{error}");
}

#[test]
fn classes_belong_to_files_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("a/0.png"), 1);
    save(path.join("c/0.png"), 2);
    save(path.join(".ipynb_checkpoints/0.png"), 3);
    fs::create_dir_all(path.join("b")).unwrap();
    fs::write(path.join("b/0.png"), "x").unwrap();
    let data = labelled(path, BadFiles::Skip).unwrap();
    assert_eq!((data.classes, data.labels.as_deref()), (3, Some(&[0, 2][..])));
    assert_eq!((data.class_names.join(" ").as_str(), data.class_counts()), ("a b c", vec![1, 0, 1]));
    assert_eq!(data.report.warnings, [Warning::EmptyClass { class: 1, name: "b".into() }]);
    // The first so many images do not change the numbers of classes.
    let first = DataSet::load(&Request { labels: Some(Labels::Data), limit: Some(1), ..request(path) }).unwrap();
    assert_eq!((first.classes, first.report.warnings.len()), (3, 0));

    fs::remove_file(path.join("b/0.png")).unwrap();
    save(path.join("cover.png"), 4);
    let error = labelled(path, BadFiles::Stop).unwrap_err().to_string();
    assert!(error.contains("cover.png: an image outside any class folder"), "{error}");
    let data = labelled(path, BadFiles::Skip).unwrap();
    assert_eq!((data.len(), data.classes), (2, 2));
    assert!(data.report.left_out[0].to_string().contains("cover.png"));

    let parts = TempDir::new().unwrap();
    save(parts.path().join("train/cat/0.png"), 1);
    save(parts.path().join("test/cat/0.png"), 1);
    let data = labelled(parts.path(), BadFiles::Stop).unwrap();
    assert!(data.report.warnings[0].to_string().contains("test, train"), "{:?}", data.report);

    let flat = TempDir::new().unwrap();
    save(flat.path().join("0.png"), 1);
    let error = labelled(flat.path(), BadFiles::Stop).unwrap_err();
    assert!(error.kind() == ErrorKind::Labels && error.to_string().contains("no labels"), "{error}");
}

#[test]
fn labels_that_are_missing_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    for i in 0..3 {
        save(path.join(format!("00000/{i}.png")), i);
    }
    fs::write(path.join("dataset.json"), r#"{"labels": [["00000/0.png", 4], ["00000/9.png", 1]]}"#).unwrap();
    let error = labelled(path, BadFiles::Stop).unwrap_err().to_string();
    assert!(error.contains("1.png: an image without a label in dataset.json (and 1 more): expected one for each image"), "{error}");

    let data = labelled(path, BadFiles::Skip).unwrap();
    assert!(data.report.warnings[0].to_string().contains("labels 1 missing files, the first: 00000/9.png"), "{:?}", data.report);

    let mnist = TempDir::new().unwrap();
    fs::write(mnist.path().join("t10k-images-idx3-ubyte"), [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9]).unwrap();
    let error = load(mnist.path(), BadFiles::Stop).unwrap_err().to_string();
    assert!(error.contains("only test images") && error.contains("t10k-images-idx3-ubyte"), "{error}");
    assert_eq!(load(&mnist.path().join("t10k-images-idx3-ubyte"), BadFiles::Stop).unwrap().len(), 1);
}

#[test]
fn labels_of_a_file_belong_to_files_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("images");
    save(path.join("0.png"), 1);
    fs::write(path.join("1.png"), "broken").unwrap();
    save(path.join("2.png"), 3);
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "5\r\n6\r\n7\r\n\r\n").unwrap();
    let data = DataSet::load(&Request { labels: Some(Labels::File(labels)), bad_files: BadFiles::Skip, ..request(&path) }).unwrap();
    assert_eq!(data.labels.as_deref(), Some(&[5, 7][..]));
}

#[cfg(target_os = "linux")]
#[test]
fn any_path_works() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    for name in ["e\u{301}te\u{301}".as_bytes(), "写真\u{3000}猫".as_bytes(), b"caf\xe9", "a\u{a0}b\t c".as_bytes()] {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name)).join("images");
        save(path.join(std::ffi::OsStr::from_bytes(b"\xff.png")), 1);
        assert_eq!(load(&path, BadFiles::Stop).unwrap().len(), 1);
        assert_eq!(
            ImageSet::open(&path, Look::AsTheyAre { background: None }, None, BadFiles::Stop, &[]).unwrap().read(0..1).unwrap().len(),
            192
        );
    }
}

#[test]
fn one_loader_for_all_verbs() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("0.png"), 1);
    fs::write(path.join("1.png"), "broken").unwrap();
    DynamicImage::ImageRgba8(ImageBuffer::from_pixel(8, 8, Rgba([10, 20, 30, 0]))).save(path.join("2.png")).unwrap();

    let look = |background| Look::AsTheyAre { background };
    let error = ImageSet::open(path, look(None), None, BadFiles::Stop, &[]).unwrap().read(0..3).unwrap_err();
    assert!(error.kind() == ErrorKind::BadFile && error.to_string().contains("1.png"), "{error}");
    let set = ImageSet::open(path, look(None), None, BadFiles::Skip, &[]).unwrap();
    assert_eq!((set.len(), set.report().left_out.len()), (2, 1));
    let error = set.read(0..2).unwrap_err();
    assert!(error.kind() == ErrorKind::Transparent && error.to_string().contains("2.png: an image with transparent pixels"), "{error}");
    let set = ImageSet::open(path, look(Some([1, 2, 3])), None, BadFiles::Skip, &[]).unwrap();
    assert_eq!(set.read(1..2).unwrap()[..3], [1, 2, 3]);
    let set = ImageSet::open(path, Look::Prepared { preparation: SMALL, channels: 3 }, Some(2), BadFiles::Skip, &[]).unwrap();
    assert_eq!((set.len(), set.report().left_out.len()), (1, 1), "the first two files, one of them broken");

    let inputs = read_inputs(path, [3, 8, 8], None, Some([1, 2, 3]), None, BadFiles::Skip).unwrap();
    assert_eq!((inputs.names.len(), inputs.images.len(), inputs.report.left_out.len()), (2, 2 * 192, 1));
    let behind = Preparation { background: [1, 2, 3], ..SMALL };
    let prepared = read_inputs(path, [3, 8, 8], Some(behind), None, None, BadFiles::Skip).unwrap();
    assert_eq!(inputs.images, prepared.images, "as they are and prepared agree where nothing is to be done");
    let error = read_inputs(&path.join("0.png"), [3, 16, 16], None, None, None, BadFiles::Stop).unwrap_err();
    assert!(error.to_string().contains("8 x 8 pixels: expected 16 x 16, the size of the model"), "{error}");
}

#[test]
fn the_folder_of_a_sweep_is_no_data() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("0.png"), 1);
    save(path.join("sweep/grid.png"), 2);
    fs::create_dir_all(path.join("sweep/cells")).unwrap();
    fs::write(path.join("sweep/sweep.json"), "{}").unwrap();
    save(path.join("images/s0005/0.png"), 3);
    let look = Look::AsTheyAre { background: None };
    let set = ImageSet::open(path, look, None, BadFiles::Stop, &[path.join("images")]).unwrap();
    assert_eq!(set.len(), 1);
}

/// A gray TIFF of 3 x 5 pixels as stored, with an orientation.
fn turned_tiff(orientation: u16) -> Vec<u8> {
    let pixels: Vec<u8> = (0..15).map(|i| i * 16).collect();
    let entries: [(u16, u16, u32); 9] = [
        (256, 3, 3),
        (257, 3, 5),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (274, 3, u32::from(orientation)),
        (278, 3, 5),
        (279, 4, 15),
    ];
    let mut file = b"II*\0".to_vec();
    file.extend((8 + pixels.len() as u32 + 1).to_le_bytes());
    file.extend(&pixels);
    file.push(0);
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn tiffs_that_lie_on_their_side() {
    for orientation in 1..=8 {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("0.tif"), turned_tiff(orientation)).unwrap();
        fs::write(folder.path().join("1.tif"), turned_tiff(orientation)).unwrap();
        let set = ImageSet::open(folder.path(), Look::AsTheyAre { background: None }, None, BadFiles::Stop, &[]).unwrap();
        assert_eq!(set.size(), if orientation < 5 { [5, 3] } else { [3, 5] }, "orientation {orientation}");
        assert_eq!(set.read(0..2).unwrap().len(), 2 * 45);
    }
}

#[cfg(unix)]
#[test]
fn classes_of_what_cannot_be_reached_keep_their_numbers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("a/0.png"), 1);
    fs::create_dir_all(path.join("b")).unwrap();
    std::os::unix::fs::symlink("/nowhere/0.png", path.join("b/0.png")).unwrap();
    save(path.join("c/0.png"), 2);
    fs::create_dir_all(path.join("d")).unwrap();
    fs::write(path.join("d/0.heic"), "what a phone writes").unwrap();
    let data = labelled(path, BadFiles::Skip).unwrap();
    assert_eq!((data.class_names.join(" ").as_str(), data.labels.as_deref()), ("a b c d", Some(&[0, 2][..])));
    let empty = |class: usize, name: &str| Warning::EmptyClass { class, name: name.into() };
    assert_eq!(data.report.warnings, [empty(1, "b"), empty(3, "d")]);
}

#[test]
fn classes_without_names_keep_their_number_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("images");
    save(path.join("0.png"), 1);
    fs::write(path.join("1.png"), "broken").unwrap();
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "0\n2\n").unwrap();
    let data = DataSet::load(&Request { labels: Some(Labels::File(labels)), bad_files: BadFiles::Skip, ..request(&path) }).unwrap();
    assert_eq!((data.classes, data.class_counts()), (3, vec![1, 0, 0]));
    assert_eq!(data.report.warnings, [Warning::EmptyClass { class: 2, name: String::new() }]);
}

#[test]
fn archives_are_searched_as_folders_are() {
    use std::io::Write;
    let folder = TempDir::new().unwrap();
    let mut png = Vec::new();
    picture(7).write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png).unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create(folder.path().join("set.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for name in ["set/cat/0.png", "set/cat/without-ending", "set/dog/0.avif", "set/dog/1.png", "LICENSE", "set/README.md"] {
        zip.start_file(name, options).unwrap();
        zip.write_all(if name.contains("cat") || name.contains("dog") { &png } else { b"text" }).unwrap();
    }
    zip.start_file("set/dog/2.heic", options).unwrap();
    zip.write_all(b"what a phone writes").unwrap();
    zip.finish().unwrap();
    let data = labelled(&folder.path().join("set.zip"), BadFiles::Stop).unwrap();
    assert_eq!((data.class_names.join(" ").as_str(), data.class_counts()), ("cat dog", vec![2, 2]));
    assert_eq!(data.report.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1 image file of unsupported formats (heic 1)"]);
}

#[test]
fn batches_of_floats_are_in_the_networks_scale() {
    let folder = TempDir::new().unwrap();
    let read = |scale: f32, shift: f32| {
        let x: Vec<f32> = (0..192).map(|i| i as f32 / 191.0 * scale + shift).collect();
        let file = folder.path().join("x.npy");
        fs::write(&file, ddim_data::npy_bytes(&x, [3, 8, 8])).unwrap();
        read_inputs(&file, [3, 8, 8], None, None, None, BadFiles::Stop)
    };
    assert_eq!(read(2.0, -1.0).unwrap().report.warnings.len(), 0);
    assert_eq!(read(4.0, -2.0).unwrap().images[0], -2.0, "unclamped");
    assert!(read(1.0, 0.0).unwrap().report.warnings[0].to_string().contains("no value below 0"));
    assert!(read(255.0, 0.0).unwrap_err().to_string().contains("values from 0 to 255"));
}

/// What a network sees, with the class of each image beside it; and how many a set has of each.
#[test]
fn classes_beside_the_numbers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    save(path.join("dog/1.png"), 1);
    save(path.join("cat/2.png"), 2);
    save(path.join("dog/0.png"), 3);
    let read = |path: &Path, fit, limit, bad| read_labelled_inputs(path, [3, 8, 8], fit, None, limit, bad);
    for fit in [None, Some(SMALL)] {
        let inputs = read(path, fit, None, BadFiles::Stop).unwrap();
        assert_eq!((inputs.labels.as_deref(), inputs.class_names.join(" ").as_str()), (Some(&[0, 1, 1][..]), "cat dog"));
        let plain = read_inputs(path, [3, 8, 8], fit, None, None, BadFiles::Stop).unwrap();
        assert_eq!((plain.images, plain.labels), (inputs.images, None));
        assert_eq!(read(path, fit, Some(2), BadFiles::Stop).unwrap().labels, Some(vec![0, 1]));
        fs::write(path.join("cat/3.png"), "x").unwrap();
        assert_eq!(read(path, fit, None, BadFiles::Skip).unwrap().labels, Some(vec![0, 1, 1]));
        fs::remove_file(path.join("cat/3.png")).unwrap();
        assert!(read(&path.join("dog"), fit, None, BadFiles::Stop).unwrap_err().to_string().contains("no labels"));
    }
    let set =
        |path: &Path, limit| ImageSet::open(path, Look::Prepared { preparation: SMALL, channels: 3 }, limit, BadFiles::Stop, &[]).unwrap();
    assert_eq!(set(path, None).labels(), Some((vec![0, 1, 1], vec!["cat".to_owned(), "dog".to_owned()])));
    assert_eq!(set(path, Some(2)).labels().unwrap().0, [0, 1]);
    assert_eq!(set(&path.join("dog"), None).labels(), None);
    save(path.join("cover.png"), 4);
    assert_eq!(set(path, None).labels(), None);

    // IDX files have their labels beside them.
    let idx = |sizes: &[u8], data: &[u8]| {
        let header = [0, 0, 8, sizes.len() as u8].into_iter().chain(sizes.iter().flat_map(|n| [0, 0, 0, *n]));
        header.chain(data.iter().copied()).collect::<Vec<u8>>()
    };
    let images = path.join("train-images-idx3-ubyte");
    fs::write(&images, idx(&[3, 8, 8], &[7; 192])).unwrap();
    assert_eq!(set(&images, None).labels(), None);
    fs::write(path.join("train-labels-idx1-ubyte"), idx(&[3], &[4, 0, 4])).unwrap();
    assert_eq!(set(&images, None).labels(), Some((vec![4, 0, 4], Vec::new())));
    let inputs = read_labelled_inputs(&images, [1, 8, 8], None, None, Some(2), BadFiles::Stop).unwrap();
    assert_eq!((inputs.labels, inputs.images.len()), (Some(vec![4, 0]), 128));
}

/// What a model of one channel is measured against is gray, as what it was trained on: whether of pictures or of an array.
#[test]
fn a_gray_models_reference_is_gray() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let colours = [[255, 0, 0], [0, 255, 0], [10, 20, 250]];
    for (i, colour) in colours.into_iter().enumerate() {
        image::RgbImage::from_pixel(8, 8, image::Rgb(colour)).save(path.join(format!("{i}.png"))).unwrap();
    }
    // CIFAR's binary files are planes of 32x32 behind a label.
    let planes = |colour: [u8; 3]| std::iter::once(0).chain(colour.into_iter().flat_map(|byte| [byte; 1024])).collect::<Vec<u8>>();
    let array = TempDir::new().unwrap();
    fs::write(array.path().join("data_batch_1.bin"), colours.map(planes).concat()).unwrap();
    let read = |path: &Path, channels| {
        let set = ImageSet::open(path, Look::Prepared { preparation: SMALL, channels }, None, BadFiles::Stop, &[]).unwrap();
        set.read(0..3).unwrap()
    };
    let [pictures, of_array] = [path, array.path()].map(|path| read(path, 1));
    // Pillow's "L" of the three.
    assert_eq!(pictures, [76, 150, 43].iter().flat_map(|gray| [*gray; 3 * 64]).collect::<Vec<u8>>());
    assert_eq!(of_array, pictures);
    assert_eq!(read(path, 3)[..3], colours[0]);
}

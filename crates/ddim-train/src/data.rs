//! Images for training, decoded once into bytes: folders of pictures, CIFAR-10, IDX and .npy files.

use crate::config::{BadFiles, Data, Fit, Labels};
use crate::error::{Error, Result};
use crate::images::Preparation;
use ddim::to_byte;
use flate2::read::GzDecoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, ImageReader, Luma, Pixel, Rgb, Rgba};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Images of one size in memory, as bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// Channels, height and width of what training sees.
    pub shape: [usize; 3],
    images: Vec<Stored>,
    /// The class of each image.
    pub labels: Option<Vec<usize>>,
    /// One more than the largest label.
    pub classes: usize,
    /// Files that could not be read, with the reason of each.
    pub skipped: Vec<String>,
}

/// One image, interleaved rows; larger than what training sees where a window is cut at random.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    height: usize,
    width: usize,
    bytes: Vec<u8>,
}

/// What becomes of an image before training sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Height and width.
    size: [usize; 2],
    channels: usize,
    fit: Fit,
    /// The shorter side before a window is cut.
    resize: usize,
    background: [u8; 3],
}

impl DataSet {
    /// Reads what `data.path` names, as images of `size` [h, w] and, where it is given, `channels` (1: gray, 3: colours; default: gray for
    /// IDX files, what a .npy has, else colours).
    ///
    /// A folder that holds CIFAR-10's `data_batch_*.bin` or `train-images-idx3-ubyte[.gz]`, itself or in `cifar-10-batches-bin`, is that data
    /// set's training part; any other is searched for PNG, JPEG and WebP files, in the order of their paths. A file is a CIFAR-10 batch
    /// (`.bin`), an IDX file, or a `.npy` (or the first array of a `.npz`) of bytes [n, h, w] or [n, h, w, c] or of f32 [n, c, h, w] in [-1, 1].
    ///
    /// # Errors
    /// Nothing there, a broken file (unless they are skipped), labels that do not fit.
    pub fn load(data: &Data, size: [usize; 2], channels: Option<usize>) -> Result<Self> {
        let path = data.path.as_deref().ok_or_else(|| Error::config("data.path is missing: expected images to train on (--data)"))?;
        if let Some(c) = channels.filter(|c| ![1, 3].contains(c)) {
            return Err(Error::config(format!("network.in_channels is {c}: expected 1 (gray) or 3 (colours) to train on images")));
        }
        let shorter = size[0].min(size[1]);
        let resize = data.resize.unwrap_or(shorter + shorter / 8);
        if data.fit == Fit::RandomCrop && resize < size[0].max(size[1]) {
            return Err(Error::config(format!(
                "data.resize is {resize}: expected at least the size of the images, {}",
                size[0].max(size[1])
            )));
        }
        let mut shape = Shape { size, channels: 3, fit: data.fit, resize, background: data.background };
        let limit = data.limit.unwrap_or(usize::MAX);
        let found = if path.is_dir() {
            match (cifar_folder(path), idx_file(path)) {
                (Some(folder), _) => {
                    shape.channels = channels.unwrap_or(3);
                    let batches: Vec<_> = (1..=5).map(|i| folder.join(format!("data_batch_{i}.bin"))).filter(|p| p.is_file()).collect();
                    read_cifar(&batches, &shape, limit)?
                }
                (None, Some(file)) => {
                    shape.channels = channels.unwrap_or(1);
                    read_idx(&file, &shape, limit)?
                }
                (None, None) => {
                    shape.channels = channels.unwrap_or(3);
                    read_folder(path, &shape, limit, data.bad_files)?
                }
            }
        } else {
            let name = path.to_string_lossy().to_lowercase();
            if !path.exists() {
                return Err(Error::data(path, "not found: expected images to train on"));
            } else if name.ends_with(".bin") {
                shape.channels = channels.unwrap_or(3);
                read_cifar(&[path.to_owned()], &shape, limit)?
            } else if name.ends_with(".npy") || name.ends_with(".npz") {
                read_npy(path, &mut shape, channels, limit)?
            } else if name.contains("idx3") {
                shape.channels = channels.unwrap_or(1);
                read_idx(path, &shape, limit)?
            } else {
                return Err(Error::data(
                    path,
                    "expected a folder, a CIFAR-10 batch (.bin), an IDX file (*idx3-ubyte[.gz]), or a .npy or .npz batch",
                ));
            }
        };
        let Found { images, labels: own, skipped } = found;
        if images.is_empty() {
            let why = skipped.first().map_or(String::new(), |first| format!("; {} were skipped, the first: {first}", skipped.len()));
            return Err(Error::data(path, format!("no images{why}: expected PNG, JPEG or WebP files, CIFAR-10, IDX or .npy")));
        }
        let labels =
            match &data.labels {
                None => None,
                Some(Labels::Data) => Some(own.ok_or_else(|| {
                    Error::data(path, "no labels: expected sub-folders, an IDX labels file beside the images, or CIFAR-10")
                })?),
                Some(Labels::File(file)) => Some(read_labels(file, images.len())?),
            };
        let classes = labels.as_ref().and_then(|labels| labels.iter().max()).map_or(0, |most| most + 1);
        Ok(Self { shape: [shape.channels, size[0], size[1]], images, labels, classes, skipped })
    }

    /// Whether a path is CIFAR-10's or MNIST's files, or one of them, and not a folder of pictures or an array.
    pub fn is_data_set(path: &Path) -> bool {
        let name = path.to_string_lossy().to_lowercase();
        Self::is_known(path) || (path.is_file() && (name.ends_with(".bin") || name.contains("idx3")))
    }

    /// Whether a folder is a data set by itself, CIFAR-10's or MNIST's.
    pub(crate) fn is_known(folder: &Path) -> bool {
        cifar_folder(folder).is_some() || idx_file(folder).is_some()
    }

    /// Height and width of the images of a data set in one file, or of a folder of its files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn native_size(path: &Path) -> Result<[usize; 2]> {
        let name = path.to_string_lossy().to_lowercase();
        let idx = if path.is_dir() { idx_file(path) } else { name.contains("idx3").then(|| path.to_owned()) };
        if let Some(file) = idx {
            let (sizes, _) = parse_idx(&file, 3)?;
            return Ok([sizes[1], sizes[2]]);
        }
        if !name.ends_with(".npy") && !name.ends_with(".npz") {
            return Ok([32, 32]); // CIFAR-10, or what loading refuses
        }
        let npy = open_array(path)?;
        let sizes: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
        match (npy.dtype().descr().contains("f4"), sizes.as_slice()) {
            (true, &[_, _, h, w]) | (false, &[_, h, w] | &[_, h, w, _]) if h * w > 0 => Ok([h, w]),
            _ => Err(expected_of(path, &sizes)),
        }
    }

    /// An image as interleaved rows of what training sees, where its size is that.
    pub(crate) fn bytes_of(&self, index: usize) -> &[u8] {
        &self.images[index].bytes
    }

    /// The number of images.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// A checksum of all bytes and labels, by which a resumed run knows its data again.
    pub fn checksum(&self) -> u32 {
        let mut sum = 0;
        for image in &self.images {
            sum = crc32c::crc32c_append(sum, &(image.width as u64).to_le_bytes());
            sum = crc32c::crc32c_append(sum, &image.bytes);
        }
        for label in self.labels.iter().flatten() {
            sum = crc32c::crc32c_append(sum, &(*label as u64).to_le_bytes());
        }
        sum
    }

    /// The bytes of memory that the images take.
    pub fn bytes(&self) -> usize {
        self.images.iter().map(|image| image.bytes.len()).sum()
    }

    /// Writes image `index` as [c, h, w] in [-1, 1]. A larger one is cut where `window`, two numbers in [0, 1), says; `mirrored` images are
    /// flipped from left to right; `jitter` gives what is added to a byte before it is scaled, 0 to leave it (dequantisation: uniform over
    /// [-1/2, 1/2)).
    ///
    /// # Panics
    /// On an index out of range, or an output of another length.
    pub fn write(&self, index: usize, window: [f64; 2], mirrored: bool, mut jitter: impl FnMut() -> f64, out: &mut [f32]) {
        let [c, h, w] = self.shape;
        let Stored { height, width, bytes } = &self.images[index];
        let [top, left] = [(height - h, window[0]), (width - w, window[1])].map(|(room, at)| ((room + 1) as f64 * at) as usize);
        assert_eq!(out.len(), c * h * w);
        for y in 0..h {
            for x in 0..w {
                let from = ((top + y) * width + left + if mirrored { w - 1 - x } else { x }) * c;
                for channel in 0..c {
                    let byte = f64::from(bytes[from + channel]) + jitter();
                    out[(channel * h + y) * w + x] = (byte / 127.5 - 1.0) as f32;
                }
            }
        }
    }
}

/// What a reader brings back.
struct Found {
    images: Vec<Stored>,
    /// Labels that come with the images.
    labels: Option<Vec<usize>>,
    skipped: Vec<String>,
}

impl Stored {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Shape {
    /// In colours.
    pub(crate) fn of(Preparation { size, fit, background }: Preparation) -> Self {
        Self { size, channels: 3, fit, resize: size[0].min(size[1]), background }
    }

    /// An image of any size and kind as training needs it.
    fn prepare(&self, image: &DynamicImage) -> Stored {
        let rgba = image.to_rgba8();
        if self.channels == 1 {
            let gray: Vec<u8> = self.opaque(&rgba).pixels().map(|p| p.to_luma().0[0]).collect();
            let gray = ImageBuffer::<Luma<u8>, _>::from_raw(rgba.width(), rgba.height(), gray).expect("a byte a pixel");
            self.fitted(&gray, self.background_of(Rgb::to_luma))
        } else {
            self.fitted(&self.opaque(&rgba), self.background_of(|p| *p))
        }
    }

    fn background_of<P>(&self, convert: impl Fn(&Rgb<u8>) -> P) -> P {
        convert(&Rgb(self.background))
    }

    /// Over the background, in the bytes' own scale as pictures are composed everywhere.
    fn opaque(&self, image: &ImageBuffer<Rgba<u8>, Vec<u8>>) -> ImageBuffer<Rgb<u8>, Vec<u8>> {
        ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
            let [r, g, b, a] = image.get_pixel(x, y).0.map(u32::from);
            let over = |v: u32, ground: u8| ((v * a + u32::from(ground) * (255 - a) + 127) / 255) as u8;
            Rgb([over(r, self.background[0]), over(g, self.background[1]), over(b, self.background[2])])
        })
    }

    /// Resized and cut or padded. Filters are stretched over what a pixel covers when an image shrinks, so that nothing aliases.
    fn fitted<P>(&self, image: &ImageBuffer<P, Vec<u8>>, background: P) -> Stored
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        let [h, w] = self.size.map(|n| n as u32);
        let (width, height) = image.dimensions();
        let stored = |image: ImageBuffer<P, Vec<u8>>| Stored {
            height: image.height() as usize,
            width: image.width() as usize,
            bytes: image.into_raw(),
        };
        // Sides rounded, and never below one pixel.
        let scaled = |factor: f64| [width, height].map(|side| ((f64::from(side) * factor).round() as u32).max(1));
        let resized = |[to_w, to_h]: [u32; 2]| {
            if (to_w, to_h) == (width, height) { image.clone() } else { imageops::resize(image, to_w, to_h, FilterType::Lanczos3) }
        };
        match self.fit {
            Fit::Stretch => stored(resized([w, h])),
            Fit::Crop => {
                let covering = (f64::from(w) / f64::from(width)).max(f64::from(h) / f64::from(height));
                let [to_w, to_h] = scaled(covering);
                let large = resized([to_w.max(w), to_h.max(h)]);
                let [left, top] = [(large.width() - w) / 2, (large.height() - h) / 2];
                stored(imageops::crop_imm(&large, left, top, w, h).to_image())
            }
            Fit::RandomCrop => {
                let [to_w, to_h] = scaled(self.resize as f64 / f64::from(width.min(height)));
                stored(resized([to_w.max(w), to_h.max(h)]))
            }
            Fit::Pad => {
                let fitting = (f64::from(w) / f64::from(width)).min(f64::from(h) / f64::from(height)).min(1.0);
                let [to_w, to_h] = scaled(fitting);
                let small = resized([to_w.min(w), to_h.min(h)]);
                let mut padded = ImageBuffer::from_pixel(w, h, background);
                imageops::replace(&mut padded, &small, i64::from((w - small.width()) / 2), i64::from((h - small.height()) / 2));
                stored(padded)
            }
        }
    }

    /// Of raw bytes, interleaved, 1 or 3 channels.
    fn prepare_bytes(&self, [h, w]: [usize; 2], bytes: Vec<u8>) -> Stored {
        if [h, w] == self.size && bytes.len() == h * w * self.channels && self.fit != Fit::RandomCrop {
            return Stored { height: h, width: w, bytes };
        }
        let (width, height) = (w as u32, h as u32);
        let image = if bytes.len() == h * w {
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, bytes).expect("a byte a pixel"))
        } else {
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, bytes).expect("three bytes a pixel"))
        };
        self.prepare(&image)
    }
}

/// The folder of CIFAR-10's batches: this one, or the one that its archive makes in it.
fn cifar_folder(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join("cifar-10-batches-bin")].into_iter().find(|p| p.join("data_batch_1.bin").is_file())
}

/// The training images of MNIST's files in a folder.
fn idx_file(path: &Path) -> Option<PathBuf> {
    ["", ".gz"].map(|end| path.join(format!("train-images-idx3-ubyte{end}"))).into_iter().find(|p| p.is_file())
}

/// The images below a folder, in the order of their paths.
pub(crate) fn find_images(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::data(path, e))?;
        let extension = entry.path().extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if ["png", "jpg", "jpeg", "webp"].contains(&extension.as_str()) && entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// A file as training sees it.
pub(crate) fn read_image(file: &Path, shape: &Shape) -> Result<Stored> {
    Ok(shape.prepare(&decode(file)?))
}

/// An image file, whatever its name says of its format.
pub(crate) fn decode(file: &Path) -> Result<DynamicImage> {
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format).map_err(|e| Error::data(file, e))?;
    reader.decode().map_err(|e| Error::data(file, format!("a broken image: {e}")))
}

fn read_folder(path: &Path, shape: &Shape, limit: usize, bad: BadFiles) -> Result<Found> {
    let mut files = find_images(path)?;
    files.truncate(limit);
    let results: Vec<Result<Stored>> = files.par_iter().map(|file| read_image(file, shape)).collect();
    let (mut images, mut kept, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (file, result) in files.iter().zip(results) {
        match (result, bad) {
            (Ok(image), _) => {
                images.push(image);
                kept.push(file);
            }
            (Err(e), BadFiles::Skip) => skipped.push(e.to_string()),
            (Err(e), BadFiles::Stop) => return Err(Error::config(format!("{e} (data.bad_files = \"skip\" leaves such files out)"))),
        }
    }
    // Classes are the folders right below, in the order of their names.
    let class = |file: &Path| {
        let mut parts = file.strip_prefix(path).ok()?.components();
        let first = parts.next()?.as_os_str().to_owned();
        parts.next().map(|_| first)
    };
    let names: Option<Vec<_>> = kept.iter().map(|file| class(file)).collect();
    let labels = names.map(|names| {
        let distinct: BTreeSet<_> = names.iter().collect();
        let distinct: Vec<_> = distinct.into_iter().collect();
        names.iter().map(|name| distinct.binary_search(&name).expect("collected above")).collect()
    });
    Ok(Found { images, labels, skipped })
}

/// A byte of label, then 32×32 bytes of red, green and blue.
const CIFAR_RECORD: usize = 1 + 3 * 32 * 32;

fn read_cifar(files: &[PathBuf], shape: &Shape, limit: usize) -> Result<Found> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = std::fs::read(file).map_err(|e| Error::data(file, e))?;
        if bytes.is_empty() || bytes.len() % CIFAR_RECORD != 0 {
            return Err(Error::data(file, format!("{} bytes: expected CIFAR-10 records of {CIFAR_RECORD} bytes", bytes.len())));
        }
        for record in bytes.chunks_exact(CIFAR_RECORD).take(limit - images.len()) {
            let (label, planes) = (record[0], &record[1..]);
            if label > 9 {
                return Err(Error::data(file, format!("label {label}: expected CIFAR-10 records, labels 0 to 9")));
            }
            labels.push(usize::from(label));
            let interleaved = (0..1024).flat_map(|p| [planes[p], planes[1024 + p], planes[2048 + p]]).collect();
            images.push(shape.prepare_bytes([32, 32], interleaved));
        }
    }
    Ok(Found { images, labels: Some(labels), skipped: Vec::new() })
}

/// The dimensions and bytes of an IDX file of unsigned bytes.
fn parse_idx(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let io = |e| Error::data(path, e);
    let file = BufReader::new(File::open(path).map_err(io)?);
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        GzDecoder::new(file).read_to_end(&mut bytes).map_err(|e| Error::data(path, format!("not a whole gzip file: {e}")))?;
    } else {
        let mut file = file;
        file.read_to_end(&mut bytes).map_err(io)?;
    }
    let header = 4 + 4 * dimensions;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, dimensions as u8] {
        return Err(Error::data(path, format!("not an IDX file of unsigned bytes in {dimensions} dimensions")));
    }
    let sizes: Vec<usize> = bytes[4..header].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let expected = sizes.iter().try_fold(1usize, |total, &n| total.checked_mul(n));
    let data = bytes.split_off(header);
    if expected != Some(data.len()) || data.is_empty() {
        return Err(Error::data(path, format!("{} bytes of data: expected {sizes:?}, as its header says", data.len())));
    }
    Ok((sizes, data))
}

fn read_idx(path: &Path, shape: &Shape, limit: usize) -> Result<Found> {
    let (sizes, data) = parse_idx(path, 3)?;
    let size = [sizes[1], sizes[2]];
    let images: Vec<Stored> =
        data.par_chunks_exact(size[0] * size[1]).take(limit).map(|image| shape.prepare_bytes(size, image.to_vec())).collect();
    // train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte.gz, with or without the ending.
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace("images", "labels").replace("idx3", "idx1");
    let plain = name.trim_end_matches(".gz").to_owned();
    let beside = [name.clone(), plain.clone(), format!("{plain}.gz")].map(|name| path.with_file_name(name));
    let labels = match beside.iter().find(|p| p.is_file() && *p != path) {
        None => None,
        Some(file) => {
            let (count, labels) = parse_idx(file, 1)?;
            if count[0] != sizes[0] {
                return Err(Error::data(file, format!("{} labels: expected {}, one an image", count[0], sizes[0])));
            }
            Some(labels.iter().take(limit).map(|l| usize::from(*l)).collect())
        }
    };
    Ok(Found { images, labels, skipped: Vec::new() })
}

/// A `.npy` file, or the first array of a `.npz`.
fn open_array(path: &Path) -> Result<npyz::NpyFile<Box<dyn Read>>> {
    let file = BufReader::new(File::open(path).map_err(|e| Error::data(path, e))?);
    let reader: Box<dyn Read> = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
        let wrong = |e| Error::data(path, format!("not a .npz file: {e}"));
        let mut archive = ZipArchive::new(file).map_err(wrong)?;
        let mut bytes = Vec::new();
        archive.by_index(0).map_err(wrong)?.read_to_end(&mut bytes).map_err(|e| Error::data(path, e))?;
        Box::new(std::io::Cursor::new(bytes))
    } else {
        Box::new(file)
    };
    npyz::NpyFile::new(reader).map_err(|e| Error::data(path, format!("not a .npy file: {e}")))
}

fn read_npy(path: &Path, shape: &mut Shape, channels: Option<usize>, limit: usize) -> Result<Found> {
    let npy = open_array(path)?;
    if npy.order() != npyz::Order::C {
        return Err(Error::data(path, "in Fortran order: expected C order"));
    }
    let sizes: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    let bytes = npy.try_data::<u8>();
    let (size, found, data): ([usize; 2], usize, Vec<u8>) = match (bytes, sizes.as_slice()) {
        (Ok(data), &[_, h, w]) => ([h, w], 1, data.collect::<std::io::Result<_>>().map_err(|e| Error::data(path, e))?),
        (Ok(data), &[_, h, w, c @ (1 | 3)]) => ([h, w], c, data.collect::<std::io::Result<_>>().map_err(|e| Error::data(path, e))?),
        (Err(npy), &[_, c @ (1 | 3), h, w]) => {
            let data = npy.try_data::<f32>().map_err(|_| expected_of(path, &sizes))?;
            let planes: Vec<f32> = data.collect::<std::io::Result<_>>().map_err(|e| Error::data(path, e))?;
            let interleaved = planes
                .chunks_exact(c * h * w)
                .flat_map(|image| (0..h * w).flat_map(move |p| (0..c).map(move |channel| to_byte(image[channel * h * w + p]))));
            ([h, w], c, interleaved.collect())
        }
        (_, sizes) => return Err(expected_of(path, sizes)),
    };
    if size[0] * size[1] == 0 {
        return Err(expected_of(path, &sizes));
    }
    shape.channels = channels.unwrap_or(found);
    let shape = *shape;
    let images = data.par_chunks_exact(size[0] * size[1] * found).take(limit).map(|image| shape.prepare_bytes(size, image.to_vec()));
    Ok(Found { images: images.collect(), labels: None, skipped: Vec::new() })
}

fn expected_of(path: &Path, sizes: &[usize]) -> Error {
    Error::data(path, format!("an array of shape {sizes:?}: expected bytes [n, h, w] or [n, h, w, c], or f32 [n, c, h, w], c 1 or 3"))
}

fn read_labels(path: &Path, images: usize) -> Result<Vec<usize>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::data(path, e))?;
    let labels: Vec<usize> = text
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let label = line.trim().parse::<usize>().ok().filter(|l| *l < 1 << 20);
            label.ok_or_else(|| Error::data(path, format!("line {}: {line:?}: expected a class number", i + 1)))
        })
        .collect::<Result<_>>()?;
    if labels.len() != images {
        return Err(Error::data(path, format!("{} labels: expected {images}, one an image", labels.len())));
    }
    Ok(labels)
}

//! Images for training, decoded once into bytes of one size.

use crate::batch::{Batch, MOST_CLASSES};
use crate::error::{Error, Result};
use crate::place::{BadFiles, Pictures, Place, open};
use crate::prepare::{Fit, Preparation, Shape, Stored};
use crate::report::{LeftOut, Report, Warning};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the class of each image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// From the data: sub-folders, `dataset.json`, labels beside an array or in it.
    Data,
    /// From a text file: one number per line, one for each image that is found.
    File(PathBuf),
}

/// The arguments of [`DataSet::load`].
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// A folder, an archive or a file.
    pub path: PathBuf,
    /// Height, width, fit and background.
    pub preparation: Preparation,
    /// With [`Fit::RandomCrop`], the shorter side before a window is cut; `None`: an eighth more than the size.
    pub resize: Option<usize>,
    /// 1 (gray) or 3 (colour); `None`: gray for IDX files, whatever an array has, and colour otherwise.
    pub channels: Option<usize>,
    /// If set, only this many images are read, from the first.
    pub limit: Option<usize>,
    /// The source of class labels, if they are wanted.
    pub labels: Option<Labels>,
    /// What happens when a file cannot be read.
    pub bad_files: BadFiles,
    /// Folders within `path` that are not data.
    pub besides: Vec<PathBuf>,
}

impl Request {
    /// Requests all images of `path`, without labels; a bad file is an error.
    pub fn new(path: &Path, preparation: Preparation) -> Self {
        Self {
            path: path.to_owned(),
            preparation,
            resize: None,
            channels: None,
            limit: None,
            labels: None,
            bad_files: BadFiles::Stop,
            besides: Vec::new(),
        }
    }
}

/// Images of one size in memory, as bytes.
///
/// ```
/// use ddim_data::{DataSet, Fit, Labels, Preparation, Request};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// // cats/0.png and dogs/1.png, of any size.
/// # for (i, class) in ["cats", "dogs"].iter().enumerate() {
/// #     std::fs::create_dir(folder.join(class))?;
/// #     image::RgbImage::from_pixel(9, 12, image::Rgb([255, 0, 0])).save(folder.join(class).join(format!("{i}.png")))?;
/// # }
/// let preparation = Preparation { size: [8, 8], fit: Fit::Crop, background: [255; 3] };
/// let data = DataSet::load(&Request { labels: Some(Labels::Data), ..Request::new(folder, preparation) })?;
/// assert_eq!((data.len(), data.shape, &*data.class_names), (2, [3, 8, 8], &["cats".to_owned(), "dogs".to_owned()][..]));
///
/// let mut x = [0.0; 3 * 8 * 8];
/// data.write(0, [0.0; 2], false, || 0.0, &mut x);
/// assert_eq!((x[0], x[64]), (1.0, -1.0)); // red and green, in [-1, 1]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    /// Channels, height and width of the images that training sees.
    pub shape: [usize; 3],
    images: Vec<Stored>,
    /// The class of each image.
    pub labels: Option<Vec<usize>>,
    /// The number of classes: as many as have names, or one more than the largest label.
    pub classes: usize,
    /// Their names, by number; empty if they have none.
    pub class_names: Vec<String>,
    /// What was left out, and warnings.
    pub report: Report,
    /// Labels and names that arrays have beside them, where nobody asked for labels.
    pub(crate) unasked: Option<(Vec<usize>, Vec<String>)>,
    /// The file of labels.
    labels_text: Option<String>,
}

impl DataSet {
    /// Reads and prepares the images that `request` names.
    ///
    /// A folder that holds CIFAR-10's batches (binary or Python) or MNIST's training images, under any of the names that their tools give
    /// them, is the training part of that data set; any other folder is searched for images, in path order. A file is an archive of images,
    /// a batch of CIFAR-10, an IDX file, an image, or a `.npy` or `.npz` of bytes [n, h, w], [n, h, w, c] or floats [n, c, h, w] in [-1,
    /// 1].
    ///
    /// # Errors
    /// Returns an error if nothing is there, a file is broken (unless bad files are skipped), or labels do not fit.
    pub fn load(request: &Request) -> Result<Self> {
        Ok(Self::load_named(request)?.0)
    }

    /// The same, and where each image lies, of pictures in files or in an archive.
    pub(crate) fn load_named(request: &Request) -> Result<(Self, Option<Vec<PathBuf>>)> {
        let Preparation { size, fit, background } = request.preparation;
        if let Some(c) = request.channels.filter(|c| ![1, 3].contains(c)) {
            return Err(Error::new(format!("a network with {c} channels: expected 1 (gray) or 3 (colour) to read images")));
        }
        let shorter = size[0].min(size[1]);
        let resize = request.resize.unwrap_or(shorter + shorter / 8);
        if fit == Fit::RandomCrop && resize < size[0].max(size[1]) {
            let least = size[0].max(size[1]);
            return Err(Error::new(format!("data.resize is {resize}: expected at least the size of the images, {least}")));
        }
        let shape = |default: usize| Shape { size, channels: request.channels.unwrap_or(default), fit, resize, background };
        let limit = request.limit.unwrap_or(usize::MAX);
        let place = open(&request.path, &request.besides, request.bad_files)?;
        // Once: it may be a pipe.
        let labels = match &request.labels {
            Some(Labels::File(path)) => Some((path, std::fs::read_to_string(path).map_err(|e| Error::labels(path, &e).because(e))?)),
            _ => None,
        };
        let file = labels.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
        let (mut set, paths) = match place {
            Place::Pictures(pictures) => {
                let (set, paths) = Self::of_pictures(pictures, &shape(3), request, limit, file)?;
                (set, Some(paths))
            }
            Place::Arrays(arrays) => {
                let batch = arrays.read(limit)?;
                let shape = shape(batch.channels);
                (Self::of_batch(batch, &shape, request, file)?, None)
            }
        };
        set.labels_text = labels.map(|(_, text)| text);
        // Of files found, which may be more than those kept.
        let largest = set.labels.iter().flatten().max().map_or(0, |most| most + 1);
        set.classes = if set.labels.is_some() { set.classes.max(largest).max(set.class_names.len()) } else { 0 };
        Ok((set, paths))
    }

    fn of_pictures(
        mut pictures: Pictures,
        shape: &Shape,
        request: &Request,
        limit: usize,
        file: Option<(&Path, &str)>,
    ) -> Result<(Self, Vec<PathBuf>)> {
        let from_file = file.map(|file| read_labels(file, pictures.len(), None)).transpose()?;
        if request.labels == Some(Labels::Data) {
            pictures.require_classes(request.bad_files)?;
        }
        let n = pictures.len().min(limit);
        let results: Vec<Result<Stored>> = (0..n).into_par_iter().map(|i| pictures.prepared(i, shape)).collect();
        let labels = match (&request.labels, from_file) {
            (None, _) => None,
            (_, Some(labels)) => Some(labels),
            (_, None) => Some(pictures.classes.iter().map(|class| class.expect("required above")).collect()),
        };
        let (mut images, mut kept) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let mut report = std::mem::take(&mut pictures.report);
        for (i, result) in results.into_iter().enumerate() {
            match (result, request.bad_files) {
                (Ok(image), _) => {
                    images.push(image);
                    kept.push(i);
                }
                (Err(e), BadFiles::Skip) => report.left_out.push(LeftOut::Bad(e)),
                (Err(e), BadFiles::Stop) => return Err(e),
            }
        }
        if images.is_empty() {
            let first = report.left_out.last().map_or(String::new(), |left| format!(", the last: {left}"));
            return Err(Error::no_images(&request.path, format!("no images: all {n} were left out{first}")));
        }
        report.warnings.extend(without_colours(&images));
        let paths = kept.iter().map(|&i| pictures.path(i)).collect();
        let class_names = if request.labels == Some(Labels::Data) { pictures.class_names } else { Vec::new() };
        let mut classes = 0;
        if let Some(labels) = &labels {
            let (found, within): (BTreeSet<usize>, BTreeSet<usize>) =
                (labels.iter().copied().collect(), labels[..n].iter().copied().collect());
            let left: BTreeSet<usize> = kept.iter().map(|&i| labels[i]).collect();
            classes = found.last().map_or(0, |most| most + 1).max(class_names.len());
            // Its files were left out one by one, or could not be reached at all.
            let lost = (0..class_names.len()).filter(|class| !found.contains(class));
            for class in within.difference(&left).copied().chain(lost) {
                report.warnings.push(Warning::EmptyClass { class, name: class_names.get(class).cloned().unwrap_or_default() });
            }
        }
        let labels = labels.map(|labels| kept.iter().map(|&i| labels[i]).collect());
        let [h, w] = shape.size;
        let shape = [shape.channels, h, w];
        Ok((Self { shape, images, labels, classes, class_names, report, unasked: None, labels_text: None }, paths))
    }

    fn of_batch(batch: Batch, shape: &Shape, request: &Request, file: Option<(&Path, &str)>) -> Result<Self> {
        let Batch { size, channels, bytes, labels, class_names, warnings } = batch;
        let each = size[0] * size[1] * channels;
        let images: Vec<Stored> = bytes.par_chunks_exact(each).map(|image| shape.prepare_bytes(size, image)).collect();
        if images.is_empty() {
            return Err(Error::no_images(&request.path, "no images in it"));
        }
        let unasked =
            labels.as_ref().filter(|_| request.labels.is_none()).map(|labels| (labels.clone(), class_names.clone().unwrap_or_default()));
        let (labels, class_names) = match &request.labels {
            None => (None, Vec::new()),
            Some(Labels::Data) => {
                let why = if warnings.is_empty() { String::new() } else { format!(" ({})", warnings.join("; ")) };
                let missing =
                    || Error::labels(&request.path, format!("no labels in it or beside it{why}: expected labels, or a file of them"));
                (Some(labels.ok_or_else(missing)?), class_names.unwrap_or_default())
            }
            Some(Labels::File(_)) => (file.map(|file| read_labels(file, images.len(), request.limit)).transpose()?, Vec::new()),
        };
        let warnings = warnings.into_iter().map(Warning::Said).chain(without_colours(&images)).collect();
        let report = Report { left_out: Vec::new(), warnings };
        let [h, w] = shape.size;
        let shape = [shape.channels, h, w];
        Ok(Self { shape, images, labels, classes: 0, class_names, report, unasked, labels_text: None })
    }

    /// An image as interleaved rows of what training sees, where its size is that.
    pub(crate) fn bytes_of(&self, index: usize) -> &[u8] {
        &self.images[index].bytes
    }

    /// Returns the file of labels, as it was read.
    pub fn labels_text(&self) -> Option<&str> {
        self.labels_text.as_deref()
    }

    /// Returns the number of images.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Returns the number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels.iter().flatten().for_each(|&label| counts[label] += 1);
        counts
    }

    /// Returns a checksum of all bytes and labels, by which a resumed run recognises its data.
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

    /// Returns the bytes of memory that the images take.
    pub fn bytes(&self) -> usize {
        self.images.iter().map(|image| image.bytes.len()).sum()
    }

    /// Writes image `index` as [c, h, w] in [-1, 1]. A larger image is cropped at the position `window`, two numbers in [0, 1); `mirrored`
    /// images are flipped left to right; `jitter` returns what is added to each byte before scaling, or 0 to leave it (dequantisation:
    /// uniform over [-1/2, 1/2)).
    ///
    /// # Panics
    /// Panics on an index out of range, or an output of another length.
    pub fn write(&self, index: usize, window: [f64; 2], mirrored: bool, mut jitter: impl FnMut() -> f64, out: &mut [f32]) {
        let [c, h, w] = self.shape;
        let Stored { height, width, bytes, .. } = &self.images[index];
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

/// What is said of images whose colours one channel cannot have.
fn without_colours(images: &[Stored]) -> Option<Warning> {
    let n = images.iter().filter(|image| image.lost_colours).count();
    (n > 0).then(|| Warning::Said(format!("{n} of {} images are in colour: converted to gray for one channel", images.len())))
}

/// Of [`Labels::File`] and what is in it: a number for each of `images`, or more where a limit cut them.
fn read_labels((path, text): (&Path, &str), images: usize, limit: Option<usize>) -> Result<Vec<usize>> {
    let mut labels: Vec<usize> = text
        // Some editors begin a file with U+FEFF.
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .trim_end()
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let label = line.trim().parse::<usize>().ok().filter(|l| *l < MOST_CLASSES);
            label.ok_or_else(|| Error::labels(path, format!("line {}: \"{line}\": expected a class number below {MOST_CLASSES}", i + 1)))
        })
        .collect::<Result<_>>()?;
    if labels.len() != images && !(limit == Some(images) && labels.len() > images) {
        return Err(Error::labels(path, format!("{} labels: expected {images}, one per image", labels.len())));
    }
    labels.truncate(images);
    Ok(labels)
}

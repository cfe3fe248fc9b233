//! Images as the batches of numbers that a network takes.

use crate::data_set::{DataSet, Labels, Request};
use crate::error::{Error, Result};
use crate::image_set::{check_size, colours};
use crate::place::{Arrays, BadFiles, Pictures, Place, open};
use crate::prepare::{Fit, Preparation};
use crate::report::{LeftOut, Report, Warning};
use crate::{arrays, read_floats};
use ddim::from_byte;
use std::path::Path;

/// Images for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// [n, c, h, w] in [-1, 1].
    pub images: Vec<f32>,
    /// The name of each image.
    pub names: Vec<String>,
    /// The class of each image, if read by [`read_labelled_inputs`].
    pub labels: Option<Vec<usize>>,
    /// The names of the classes, by number; empty if they have none.
    pub class_names: Vec<String>,
    /// What was left out, and warnings.
    pub report: Report,
}

/// Reads the first `limit` images of `path` for a network of `shape` [c, h, w].
///
/// Without a `preparation`, they must be of the network's size, gray if it is, and opaque unless a `background` is given; a batch of floats
/// is then taken as it is, unclamped. With one, they are prepared as for training.
///
/// # Errors
/// Returns an error if nothing is there, a file cannot be read (unless bad files are skipped), or images do not meet these conditions.
///
/// ```
/// use ddim_data::{BadFiles, read_inputs};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("white.png");
/// image::GrayImage::from_pixel(4, 6, image::Luma([255])).save(&path)?;
/// let inputs = read_inputs(&path, [1, 6, 4], None, None, None, BadFiles::Stop)?;
/// assert_eq!(inputs.images, [1.0; 24]);
/// let error = read_inputs(&path, [1, 8, 8], None, None, None, BadFiles::Stop).unwrap_err();
/// assert!(error.to_string().contains("white.png"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_inputs(
    path: &Path,
    shape: [usize; 3],
    preparation: Option<Preparation>,
    background: Option<[u8; 3]>,
    limit: Option<usize>,
    bad: BadFiles,
) -> Result<Inputs> {
    read(path, shape, preparation, None, background, limit, bad)
}

/// Reads images as [`read_inputs`] does, with the class of each, as training takes it from the data: sub-folders, `dataset.json`, labels
/// beside an array or in it.
///
/// # Errors
/// As `read_inputs`, and an error for images without classes.
pub fn read_labelled_inputs(
    path: &Path,
    shape: [usize; 3],
    preparation: Option<Preparation>,
    background: Option<[u8; 3]>,
    limit: Option<usize>,
    bad: BadFiles,
) -> Result<Inputs> {
    read(path, shape, preparation, Some(Labels::Data), background, limit, bad)
}

fn read(
    path: &Path,
    shape @ [c, h, w]: [usize; 3],
    preparation: Option<Preparation>,
    labels: Option<Labels>,
    background: Option<[u8; 3]>,
    limit: Option<usize>,
    bad: BadFiles,
) -> Result<Inputs> {
    let dim = c * h * w;
    let fit = match preparation {
        Some(preparation) => preparation,
        None => match open(path, &[], bad)? {
            Place::Pictures(mut pictures) => {
                if labels.is_some() {
                    pictures.require_classes(bad)?;
                }
                return as_they_are(pictures, labels.is_some(), shape, background, limit, bad);
            }
            Place::Arrays(Arrays::Numpy(file)) if labels.is_none() && arrays::is_floats(&file)? => {
                let mut images = read_floats(&file, shape)?;
                images.truncate(limit.unwrap_or(usize::MAX).saturating_mul(dim));
                let warnings = arrays::check_range(&images).map_err(|e| Error::at(path, e))?;
                let warnings = warnings.map(|said| Warning::Said(format!("{}: {said}", path.display()))).into_iter().collect();
                let names = (0..images.len() / dim).map(|i| format!("{}[{i}]", path.display())).collect();
                let report = Report { left_out: Vec::new(), warnings };
                return Ok(Inputs { images, names, labels: None, class_names: Vec::new(), report });
            }
            Place::Arrays(arrays) => {
                let found = arrays.size()?;
                if found != [h, w] {
                    let found = format!("images of {} x {}", found[1], found[0]);
                    return Err(Error::at(path, format!("{found}: expected {w} x {h}, the size of the model, or a fit to resize them")));
                }
                Preparation { size: [h, w], fit: Fit::Stretch, background: [255; 3] }
            }
        },
    };
    let request = Request { channels: Some(c), limit, labels, bad_files: bad, ..Request::new(path, fit) };
    let (data, paths) = DataSet::load_named(&request)?;
    let images = (0..data.len()).flat_map(|i| planes(data.bytes_of(i), c)).collect();
    let names = match &paths {
        Some(paths) => paths.iter().map(|path| path.display().to_string()).collect(),
        None => (0..data.len()).map(|i| format!("{}[{i}]", path.display())).collect(),
    };
    Ok(Inputs { images, names, labels: data.labels, class_names: data.class_names, report: data.report })
}

fn as_they_are(
    mut pictures: Pictures,
    labelled: bool,
    shape: [usize; 3],
    background: Option<[u8; 3]>,
    limit: Option<usize>,
    bad: BadFiles,
) -> Result<Inputs> {
    let mut report = std::mem::take(&mut pictures.report);
    let (mut images, mut names, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..pictures.len().min(limit.unwrap_or(usize::MAX)) {
        match (as_it_is(&pictures, i, shape, background), bad) {
            (Ok(image), _) => {
                images.extend(image);
                names.push(pictures.path(i).display().to_string());
                labels.extend(pictures.classes[i].filter(|_| labelled));
            }
            (Err(e), BadFiles::Skip) => report.left_out.push(LeftOut::Bad(e)),
            (Err(e), BadFiles::Stop) => return Err(e),
        }
    }
    if names.is_empty() {
        return Err(Error::no_images(&pictures.root, "no images: all were left out"));
    }
    let (labels, class_names) = if labelled { (Some(labels), pictures.class_names) } else { (None, Vec::new()) };
    Ok(Inputs { images, names, labels, class_names, report })
}

/// One picture as [c, h, w], turned upright.
fn as_it_is(pictures: &Pictures, index: usize, [c, h, w]: [usize; 3], background: Option<[u8; 3]>) -> Result<Vec<f32>> {
    let bad = |e: String| Error::at(&pictures.path(index), e);
    let clear = || Error::transparent(&pictures.path(index));
    let mut decoded = pictures.decoded(index)?;
    decoded.image.apply_orientation(decoded.orientation);
    let image = decoded.image;
    check_size(&image, [h, w], "the model").map_err(bad)?;
    let bytes = match c {
        1 => {
            let colours = colours(&image, background).ok_or_else(clear)?;
            if colours.chunks_exact(3).any(|p| p[0] != p[1] || p[1] != p[2]) {
                // Refused rather than mixed, where nobody asked for images to be prepared.
                return Err(bad("an image in colour: expected a gray one, the model has 1 channel".to_owned()));
            }
            colours.into_iter().step_by(3).collect()
        }
        2 => {
            let rgba = image.to_rgba8();
            if rgba.pixels().any(|p| p.0[0] != p.0[1] || p.0[1] != p.0[2]) {
                return Err(bad("an image in colour: expected a gray one, the model has gray and alpha".to_owned()));
            }
            rgba.pixels().flat_map(|p| [p.0[0], p.0[3]]).collect()
        }
        3 => colours(&image, background).ok_or_else(clear)?,
        4 => image.to_rgba8().into_raw(),
        _ => return Err(Error::new(format!("a network with {c} channels: expected 1 to 4 to read images, or a .npy batch"))),
    };
    Ok(planes(&bytes, c).collect())
}

/// Interleaved bytes as [c, h, w] in [-1, 1].
fn planes(bytes: &[u8], c: usize) -> impl Iterator<Item = f32> {
    (0..c).flat_map(move |channel| bytes.iter().skip(channel).step_by(c).map(|b| from_byte(*b)))
}

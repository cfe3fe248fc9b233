//! Images read a few at a time, as RGB bytes, for evaluation.

use crate::data_set::DataSet;
use crate::data_set::Request;
use crate::decode;
use crate::error::{Error, Result};
use crate::place::{Arrays, BadFiles, Pictures, Place, open};
use crate::prepare::{Fit, Preparation, Shape, Stored, opaque};
use crate::report::{LeftOut, Report};
use image::DynamicImage;
use image::metadata::Orientation;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How the images of a set are presented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// As a model is trained on them: turned upright, fitted to its size, and gray if it has one channel, with red, green and blue alike.
    Prepared {
        /// Size, fit and background.
        preparation: Preparation,
        /// Channels of the model's images, 1 or 3.
        channels: usize,
    },
    /// As they are in their files, all of one size (as pytorch-fid reads them). Transparent pixels are put before the background if one is
    /// given, and rejected otherwise.
    AsTheyAre {
        /// The background of transparent pixels.
        background: Option<[u8; 3]>,
    },
}

/// A set of images of one size.
///
/// ```
/// use ddim_data::{BadFiles, ImageSet, Look};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # for i in 0..3 {
/// #     image::RgbImage::from_pixel(4, 6, image::Rgb([i, 0, 255])).save(folder.join(format!("{i}.png")))?;
/// # }
/// // 0.png to 2.png, 4 wide and 6 high.
/// let set = ImageSet::open(folder, Look::AsTheyAre { background: None }, None, BadFiles::Stop, &[])?;
/// assert_eq!((set.len(), set.size()), (3, [6, 4]));
/// let bytes = set.read(1..3)?; // [n, h, w, 3]
/// assert_eq!((bytes.len(), &bytes[..3]), (2 * 6 * 4 * 3, &[1, 0, 255][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ImageSet {
    size: [usize; 2],
    images: Images,
    report: Report,
    /// Images that EXIF says are to be turned, and were not: each counts once, however often it is read.
    unturned: Mutex<BTreeSet<usize>>,
}

#[derive(Debug)]
enum Images {
    /// Decoded when they are asked for.
    Pictures(Pictures, Look),
    Memory(DataSet),
}

impl Pictures {
    /// Picture `index` as a network of `shape` needs it, turned upright.
    pub(crate) fn prepared(&self, index: usize, shape: &Shape) -> Result<Stored> {
        let mut decoded = self.decoded(index)?;
        // A long image loses its ends before it is turned: the middle stays the middle.
        decoded.image.apply_orientation(decoded.orientation);
        Ok(shape.prepare(&decoded.image))
    }

    pub(crate) fn decoded(&self, index: usize) -> Result<decode::Decoded> {
        decode::decode(&self.bytes(index)?).map_err(|e| self.error(index, e))
    }
}

impl ImageSet {
    /// Opens anything that [`DataSet::load`] reads: the first `limit` images of it, without those in the folders `besides` below it. With
    /// [`BadFiles::Skip`], files are decoded once to find the broken ones.
    ///
    /// # Errors
    /// Returns an error if nothing is there, or a file cannot be read. Files of a folder are read later.
    pub fn open(path: &Path, look: Look, limit: Option<usize>, bad: BadFiles, besides: &[PathBuf]) -> Result<Self> {
        let unturned = Mutex::default();
        let mut pictures = match open(path, besides, bad)? {
            Place::Pictures(pictures) => pictures,
            Place::Arrays(arrays) => return Self::of_arrays(path, &arrays, look, limit),
        };
        let limit = limit.unwrap_or(usize::MAX);
        if bad == BadFiles::Skip {
            let n = pictures.len().min(limit);
            let errors: Vec<Option<Error>> = (0..n).into_par_iter().map(|i| pictures.decoded(i).err()).collect();
            let keep: Vec<bool> = (0..pictures.len()).map(|i| errors.get(i).is_none_or(Option::is_none)).collect();
            let mut within = vec![true; n];
            within.resize(pictures.len(), false);
            pictures.report.left_out.extend(errors.into_iter().flatten().map(LeftOut::Bad));
            pictures.retain(&keep.iter().zip(&within).map(|(a, b)| *a && *b).collect::<Vec<_>>());
        } else {
            let within: Vec<bool> = (0..pictures.len()).map(|i| i < limit).collect();
            pictures.retain(&within);
        }
        if pictures.len() == 0 {
            return Err(Error::no_images(path, "no images: all were left out"));
        }
        let size = match look {
            Look::Prepared { preparation, .. } => preparation.size,
            Look::AsTheyAre { .. } => decode::dimensions(&pictures.bytes(0)?).map_err(|e| pictures.error(0, e))?,
        };
        let report = std::mem::take(&mut pictures.report);
        Ok(Self { size, images: Images::Pictures(pictures, look), report, unturned })
    }

    fn of_arrays(path: &Path, arrays: &Arrays, look: Look, limit: Option<usize>) -> Result<Self> {
        let (preparation, channels) = match look {
            Look::Prepared { preparation, channels } => (preparation, channels),
            Look::AsTheyAre { .. } => (Preparation { size: arrays.size()?, fit: Fit::Stretch, background: [255; 3] }, 3),
        };
        let mut data = DataSet::load(&Request { limit, channels: Some(channels), labels: None, ..Request::new(path, preparation) })?;
        let report = std::mem::take(&mut data.report);
        Ok(Self { size: preparation.size, images: Images::Memory(data), report, unturned: Mutex::default() })
    }

    /// Returns the number of images.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        match &self.images {
            Images::Pictures(pictures, _) => pictures.len(),
            Images::Memory(data) => data.len(),
        }
    }

    /// Returns the class of each image, and the names of the classes as far as they have any. `None` unless every image has a class.
    pub fn labels(&self) -> Option<(Vec<usize>, Vec<String>)> {
        match &self.images {
            Images::Pictures(pictures, _) => Some((pictures.classes.iter().copied().collect::<Option<_>>()?, pictures.class_names.clone())),
            Images::Memory(data) => data.unasked.clone(),
        }
    }

    /// Returns the height and width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Returns what was left out, and warnings.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns how many of the images read should be turned according to EXIF but were taken as they are.
    pub fn unturned(&self) -> usize {
        self.unturned.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Reads the images of `range` as [n, h, w, 3].
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or, for images taken as they are, if it is of another size or not opaque.
    pub fn read(&self, range: Range<usize>) -> Result<Vec<u8>> {
        match &self.images {
            Images::Memory(data) => {
                let bytes = range.flat_map(|i| data.bytes_of(i)).copied();
                Ok(if data.shape[0] == 1 { in_three_channels(bytes) } else { bytes.collect() })
            }
            Images::Pictures(pictures, look) => {
                let one = |i: usize| match look {
                    Look::Prepared { preparation, channels } => {
                        let bytes = pictures.prepared(i, &Shape::of_channels(preparation, *channels))?.bytes;
                        Ok(if *channels == 1 { in_three_channels(bytes.into_iter()) } else { bytes })
                    }
                    Look::AsTheyAre { background } => self.as_it_is(pictures, i, *background),
                };
                // Of several bad files the first is named, whichever was read first.
                let read: Vec<Result<Vec<u8>>> = range.into_par_iter().map(one).collect();
                Ok(read.into_iter().collect::<Result<Vec<_>>>()?.concat())
            }
        }
    }

    fn as_it_is(&self, pictures: &Pictures, index: usize, background: Option<[u8; 3]>) -> Result<Vec<u8>> {
        let decoded = pictures.decoded(index)?;
        check_size(&decoded.image, self.size, "the first image").map_err(|e| Error::at(&pictures.path(index), e))?;
        if decoded.orientation != Orientation::NoTransforms {
            self.unturned.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        }
        colours(&decoded.image, background).ok_or_else(|| Error::transparent(&pictures.path(index)))
    }
}

/// Gray bytes as red, green and blue.
fn in_three_channels(gray: impl Iterator<Item = u8>) -> Vec<u8> {
    gray.flat_map(|byte| [byte; 3]).collect()
}

/// Whether an image is of a size, as it is.
pub(crate) fn check_size(image: &DynamicImage, [h, w]: [usize; 2], whose: &str) -> std::result::Result<(), String> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if [height, width] == [h, w] { Ok(()) } else { Err(format!("{width} x {height} pixels: expected {w} x {h}, the size of {whose}")) }
}

/// Interleaved bytes of an image that is opaque, or has a background to stand before.
pub(crate) fn colours(image: &DynamicImage, background: Option<[u8; 3]>) -> Option<Vec<u8>> {
    match background {
        Some(background) => Some(opaque(image, background).into_raw()),
        None if image.color().has_alpha() && image.to_rgba8().pixels().any(|p| p.0[3] != 255) => None,
        None => Some(image.to_rgb8().into_raw()),
    }
}

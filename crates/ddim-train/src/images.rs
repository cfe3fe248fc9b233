//! Images a few at a time, as bytes of red, green and blue: what evaluation reads.

use crate::config::{Data, Fit};
use crate::data::{DataSet, Shape, decode, find_images, read_image};
use crate::error::{Error, Result};
use image::ImageReader;
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How images become those of a model, as its training data did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preparation {
    /// Height and width.
    pub size: [usize; 2],
    /// What becomes of an image of another size.
    pub fit: Fit,
    /// Behind transparent pixels, and what pads.
    pub background: [u8; 3],
}

/// A set of images of one size.
#[derive(Debug)]
pub struct ImageSet {
    size: [usize; 2],
    images: Images,
    /// Behind transparent pixels of images that stay as they are; none refuses them.
    background: Option<[u8; 3]>,
}

#[derive(Debug)]
enum Images {
    /// Files are decoded when they are asked for.
    Files(Vec<PathBuf>, Option<Shape>),
    Memory(DataSet),
}

impl ImageSet {
    /// Opens what [`DataSet::load`] reads: a folder of images (in the order of their paths), CIFAR-10 or IDX files, a `.npy` batch.
    ///
    /// With `preparation`, images become those that a model is trained on. Without, they stay as they are, and must be opaque and of one size.
    /// `limit` takes the first so many.
    ///
    /// # Errors
    /// Nothing there, or a file that cannot be read. Files of a folder are read later.
    pub fn open(path: &Path, preparation: Option<Preparation>, limit: Option<usize>) -> Result<Self> {
        if path.is_dir() && !DataSet::is_known(path) {
            let mut files = find_images(path)?;
            let Some(first) = files.first() else {
                return Err(Error::data(path, "no images: expected PNG, JPEG or WebP files, CIFAR-10, IDX or .npy"));
            };
            let size = match preparation {
                Some(preparation) => preparation.size,
                None => dimensions(first)?,
            };
            files.truncate(limit.unwrap_or(usize::MAX));
            return Ok(Self { size, images: Images::Files(files, preparation.map(Shape::of)), background: None });
        }
        let size = match preparation {
            Some(preparation) => preparation.size,
            None => DataSet::native_size(path)?,
        };
        let Preparation { fit, background, .. } = preparation.unwrap_or(Preparation { size, fit: Fit::Stretch, background: [255; 3] });
        let data = Data::plain(path, fit, background, limit);
        Ok(Self { size, images: Images::Memory(DataSet::load(&data, size, Some(3))?), background: None })
    }

    /// Lays images that stay as they are over a background, where there is one.
    pub fn on(self, background: Option<[u8; 3]>) -> Self {
        Self { background, ..self }
    }

    /// The number of images.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        match &self.images {
            Images::Files(files, _) => files.len(),
            Images::Memory(data) => data.len(),
        }
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Images of `range` as [n, h, w, 3].
    ///
    /// # Errors
    /// A file that cannot be read, or that is of another size or not opaque where images stay as they are.
    pub fn read(&self, range: Range<usize>) -> Result<Vec<u8>> {
        match &self.images {
            Images::Memory(data) => Ok(range.flat_map(|i| data.bytes_of(i)).copied().collect()),
            Images::Files(files, shape) => {
                let read: Vec<Vec<u8>> = files[range]
                    .par_iter()
                    .map(|file| match shape {
                        Some(shape) => Ok(read_image(file, shape)?.into_bytes()),
                        None => self.as_it_is(file),
                    })
                    .collect::<Result<_>>()?;
                Ok(read.concat())
            }
        }
    }

    fn as_it_is(&self, file: &Path) -> Result<Vec<u8>> {
        let [h, w] = self.size;
        let found = dimensions(file)?;
        if found != [h, w] {
            return Err(Error::data(file, format!("{} x {} pixels: expected {w} x {h}, the size of the first image", found[1], found[0])));
        }
        if let Some(background) = self.background {
            let own_size = Preparation { size: self.size, fit: Fit::Stretch, background };
            return Ok(read_image(file, &Shape::of(own_size))?.into_bytes());
        }
        let image = decode(file)?;
        if image.color().has_alpha() && image.to_rgba8().pixels().any(|p| p.0[3] != 255) {
            return Err(Error::data(
                file,
                "an image with transparent pixels: expected opaque ones, or --background to put one behind them",
            ));
        }
        Ok(image.to_rgb8().into_raw())
    }
}

/// Height and width, from the head of a file.
fn dimensions(file: &Path) -> Result<[usize; 2]> {
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format).map_err(|e| Error::data(file, e))?;
    let (w, h) = reader.into_dimensions().map_err(|e| Error::data(file, format!("a broken image: {e}")))?;
    Ok([h as usize, w as usize])
}

//! What a TIFF says about its channels, beyond what the decoder makes of them.

use image::DynamicImage;
use std::io::Cursor;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// Of the first image of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Channels {
    /// All of them, also those that are not shown.
    samples: u64,
    /// Whether colours are multiplied by their opacity already.
    premultiplied: bool,
    /// Whether numbers are differences to their neighbours.
    predicted: bool,
}

/// None of a file whose tags cannot be read.
pub(crate) fn channels(bytes: &[u8]) -> Option<Channels> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let mut number = |tag| decoder.find_tag_unsigned::<u64>(tag).ok().flatten();
    let (samples, predictor) = (number(Tag::SamplesPerPixel).unwrap_or(1), number(Tag::Predictor).unwrap_or(1));
    let extra: Option<Vec<u64>> = decoder.find_tag_unsigned_vec(Tag::ExtraSamples).ok().flatten();
    // "Associated alpha data (with pre-multiplied color)".
    let premultiplied = extra.is_some_and(|extra| extra.first() == Some(&1));
    Some(Channels { samples, premultiplied, predicted: predictor != 1 })
}

impl Channels {
    /// Whether the decoder gets them right, as an image of `shown` channels: where it leaves some out, it adds up differences to the wrong neighbours.
    ///
    /// # Errors
    /// In words that follow the name of the file.
    pub(crate) fn check(self, shown: u8) -> Result<(), String> {
        if self.predicted && self.samples > u64::from(shown) {
            let found = format!("{} channels, {shown} of them shown, with a predictor", self.samples);
            return Err(format!("an unsupported kind of image: a TIFF of {found}: expected one without a predictor, or a PNG"));
        }
        Ok(())
    }

    /// Colours as they are where they are opaque, as Pillow has them.
    pub(crate) fn straightened(self, mut image: DynamicImage) -> DynamicImage {
        if !self.premultiplied {
            return image;
        }
        match &mut image {
            DynamicImage::ImageRgba8(image) => image.pixels_mut().for_each(|p| divide(&mut p.0, u32::from(u8::MAX))),
            DynamicImage::ImageRgba16(image) => image.pixels_mut().for_each(|p| divide(&mut p.0, u32::from(u16::MAX))),
            _ => {}
        }
        image
    }
}

/// Colours by their opacity, of which `most` is the largest; what is not to be seen stays.
fn divide<T: Copy + Into<u32> + TryFrom<u32>>(pixel: &mut [T; 4], most: u32) {
    let alpha: u32 = pixel[3].into();
    if alpha == 0 || alpha == most {
        return;
    }
    for colour in &mut pixel[..3] {
        let straight = u64::from((*colour).into()) * u64::from(most) / u64::from(alpha);
        if let Ok(straight) = T::try_from(straight.min(most.into()) as u32) {
            *colour = straight;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::decode;
    use image::{DynamicImage, Rgba};
    use std::io::Cursor;
    use tiff::encoder::colortype::{RGB8, RGBA8};
    use tiff::encoder::{Compression, Predictor, TiffEncoder};
    use tiff::tags::ExtraSamples;

    /// A file of 3 x 2 pixels.
    fn written(samples: &[ExtraSamples], pixels: &[u8], predictor: Predictor) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(Compression::Lzw).with_predictor(predictor);
        let mut image = encoder.new_image::<RGB8>(3, 2).unwrap();
        image.extra_samples(samples).unwrap();
        image.write_data(pixels).unwrap();
        bytes.into_inner()
    }

    const PIXELS: [u8; 24] = [20, 40, 60, 128, 0, 0, 0, 0, 9, 8, 7, 255, 1, 2, 3, 4, 50, 100, 150, 200, 200, 100, 50, 100];

    #[test]
    fn colours_that_are_multiplied_by_their_opacity() {
        let pixels = |samples| match decode(&written(&[samples], &PIXELS, Predictor::None)).unwrap().image {
            DynamicImage::ImageRgba8(image) => image,
            other => panic!("{:?}", other.color()),
        };
        let straight = pixels(ExtraSamples::UnassociatedAlpha);
        assert_eq!(straight.as_raw(), &PIXELS);
        let divided = pixels(ExtraSamples::AssociatedAlpha);
        // Pillow's: 255 times, divided by the opacity, downwards and at most 255.
        let expected = [[39, 79, 119, 128], [0, 0, 0, 0], [9, 8, 7, 255], [63, 127, 191, 4], [63, 127, 191, 200], [255, 255, 127, 100]];
        assert_eq!(divided.pixels().copied().collect::<Vec<_>>(), expected.map(Rgba));
    }

    #[test]
    fn channels_that_are_not_shown() {
        let read = |predictor| decode(&written(&[ExtraSamples::Unspecified], &PIXELS, predictor));
        let image = read(Predictor::None).unwrap().image;
        assert_eq!(image.to_rgb8().get_pixel(1, 1).0, [50, 100, 150]);
        let error = read(Predictor::Horizontal).err().unwrap();
        assert!(error.contains("a TIFF of 4 channels, 3 of them shown, with a predictor"), "{error}");
    }

    #[test]
    fn files_beyond_four_gigabytes() {
        let mut bytes = Cursor::new(Vec::new());
        TiffEncoder::new_big(&mut bytes).unwrap().write_image::<RGBA8>(3, 2, &PIXELS).unwrap();
        let bytes = bytes.into_inner();
        assert_eq!(&bytes[..4], b"II+\0");
        assert_eq!(decode(&bytes).unwrap().image.to_rgba8().as_raw(), &PIXELS);
    }
}

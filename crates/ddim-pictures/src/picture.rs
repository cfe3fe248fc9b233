//! Pictures in memory: images converted to bytes and back.

use crate::error::{Error, ErrorKind, Result};
use ddim::{from_byte, to_byte};

/// The colour of what nothing was drawn on, in every channel.
pub(crate) const PAPER: u8 = 255;

/// An 8-bit picture of 1 to 4 channels: gray, gray with alpha, RGB, or RGB with alpha. It has at least one pixel.
///
/// ```
/// use ddim_pictures::{Picture, single};
///
/// let picture = single(&[1.0, -1.0, 0.0, 1.0, -1.0, 0.0], [3, 1, 2])?; // two pixels, planes of red, green and blue
/// assert_eq!((picture.shape(), picture.pixels()), ([3, 1, 2], &[255, 128, 0, 0, 255, 128][..]));
/// assert_eq!(Picture::from_png(&picture.to_png("two pixels"))?, picture);
/// # Ok::<(), ddim_pictures::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    /// [height, width, channels].
    pub(crate) pixels: Vec<u8>,
}

/// Checks that images of this shape can be drawn. With 2 or 4 channels the last one is alpha, as in diffusers (Pillow).
///
/// # Errors
/// [`ErrorKind::Channels`] if there are not 1 to 4 channels.
pub fn check_drawable([c, _, _]: [usize; 3]) -> Result<()> {
    if (1..=4).contains(&c) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Channels, format!("images of {c} channels cannot be drawn: expected 1 to 4")))
}

/// Checks that images of this shape [c, h, w] are gray or RGB without alpha, as image files are read and as Inception takes them.
///
/// # Errors
/// [`ErrorKind::Colours`] if there are not 1 or 3 channels.
pub fn check_colours([c, _, _]: [usize; 3]) -> Result<()> {
    if c == 1 || c == 3 {
        return Ok(());
    }
    let expected = "expected 1 or 3, for image files and for Inception (a .npy batch can have any number)";
    Err(Error::new(ErrorKind::Colours, format!("a model of {c} channels: {expected}")))
}

/// How many images of this shape a batch of `length` numbers holds: one or more that can be drawn.
pub(crate) fn count(length: usize, shape: [usize; 3]) -> Result<usize> {
    check_drawable(shape)?;
    match shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n)) {
        Some(dim) if dim > 0 && length > 0 && length.is_multiple_of(dim) => Ok(length / dim),
        _ => Err(Error::new(ErrorKind::Shape, format!("{length} numbers: expected one or more images of {shape:?}"))),
    }
}

/// Converts one image [c, h, w] in [-1, 1] to a picture of its own size. Values become bytes by [`ddim::to_byte`]; [`Picture::to_image`] converts back.
///
/// # Errors
/// [`ErrorKind::Channels`] as for [`check_drawable`]; [`ErrorKind::Shape`] if `image` is not one image of this shape.
pub fn single(image: &[f32], [c, h, w]: [usize; 3]) -> Result<Picture> {
    let n = count(image.len(), [c, h, w])?;
    if n != 1 {
        return Err(Error::new(ErrorKind::Shape, format!("{n} images of {:?}: expected one", [c, h, w])));
    }
    let pixels = (0..h * w).flat_map(|p| (0..c).map(move |channel| to_byte(image[channel * h * w + p]))).collect();
    Ok(Picture { width: w, height: h, channels: c, pixels })
}

impl Picture {
    /// The shape, [c, h, w].
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// The bytes, [h, w, c]: row by row, with the channels of a pixel next to each other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Converts the picture to an image [c, h, w] in [-1, 1], by [`ddim::from_byte`]. [`single`] converts it back to exactly these bytes.
    pub fn to_image(&self) -> Vec<f32> {
        let channel = |channel| self.pixels.iter().skip(channel).step_by(self.channels).map(|byte| from_byte(*byte));
        (0..self.channels).flat_map(channel).collect()
    }

    /// The same without alpha, the colour of paper behind.
    pub(crate) fn on_paper(&self) -> Self {
        let channels = match self.channels {
            2 => 1,
            4 => 3,
            n => n,
        };
        let blend = |(value, alpha): (u8, u8)| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            ((value * alpha + u32::from(PAPER) * (255 - alpha) + 127) / 255) as u8
        };
        let pixels = match channels == self.channels {
            true => self.pixels.clone(),
            false => self.pixels.chunks_exact(self.channels).flat_map(|p| p[..channels].iter().map(|v| blend((*v, p[channels])))).collect(),
        };
        Self { channels, pixels, ..*self }
    }

    /// Red, green and blue on paper, whatever the channels are.
    pub(crate) fn in_colours(&self) -> Self {
        let opaque = self.on_paper();
        if opaque.channels == 3 {
            return opaque;
        }
        Self { channels: 3, pixels: opaque.pixels.iter().flat_map(|&gray| [gray; 3]).collect(), ..opaque }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_goes_to_an_image_and_back() {
        for c in 1..=4 {
            let pixels: Vec<u8> = (0..c * 256).map(|i| (i * 7 % 256) as u8).collect();
            let picture = Picture { width: 32, height: 8, channels: c, pixels };
            let image = picture.to_image();
            // Channel after channel.
            assert_eq!(image[256 * (c - 1) + 1], from_byte(picture.pixels()[c + c - 1]));
            assert_eq!(single(&image, picture.shape()).unwrap(), picture);
        }
    }

    #[test]
    fn alpha_lets_the_paper_through() {
        let picture = Picture { width: 3, height: 1, channels: 2, pixels: vec![40, 255, 40, 0, 55, 128] };
        assert_eq!(picture.on_paper().pixels, [40, 255, 155]);
        assert_eq!(picture.in_colours().pixels, [40, 40, 40, 255, 255, 255, 155, 155, 155]);
    }

    #[test]
    fn what_makes_no_picture_is_refused() {
        for (length, shape, kind) in [
            (5, [5, 1, 1], ErrorKind::Channels),
            (0, [0, 1, 1], ErrorKind::Channels),
            (0, [1, 1, 0], ErrorKind::Shape),
            (0, [1, 2, 2], ErrorKind::Shape),
            (7, [1, 2, 2], ErrorKind::Shape),
            (8, [1, 2, 2], ErrorKind::Shape),
            (8, [1, usize::MAX, 2], ErrorKind::Shape),
        ] {
            assert_eq!(single(&vec![0.0; length], shape).unwrap_err().kind(), kind, "{length} {shape:?}");
        }
        let message = check_drawable([5, 8, 8]).unwrap_err().to_string();
        assert_eq!(message, "images of 5 channels cannot be drawn: expected 1 to 4");
        assert!(check_colours([1, 8, 8]).is_ok() && check_colours([4, 8, 8]).unwrap_err().kind() == ErrorKind::Colours);
    }
}

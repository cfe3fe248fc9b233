//! The preparation of an image before a network sees it.

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, Luma, Pixel, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

/// How an image of another size is fitted to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Resized to cover, and cropped to its centre.
    Crop,
    /// Resized to slightly more, and cropped to a window that differs each time.
    RandomCrop,
    /// Resized to fit inside, never enlarged, with background around it.
    Pad,
    /// Resized to the size, ignoring proportions.
    Stretch,
}

/// How images are made into those of a model, in the same way as its training data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preparation {
    /// Height and width.
    pub size: [usize; 2],
    /// How an image of another size is fitted.
    pub fit: Fit,
    /// The colour behind transparent pixels and of the padding.
    pub background: [u8; 3],
}

/// Parses a colour: `#rrggbb`, `white` or `black`.
///
/// # Errors
/// Returns a message for anything else.
///
/// ```
/// assert_eq!(ddim_data::parse_colour("#ff8000"), Ok([255, 128, 0]));
/// assert_eq!(ddim_data::parse_colour("white"), Ok([255; 3]));
/// ```
pub fn parse_colour(text: &str) -> Result<[u8; 3], String> {
    let named = match text {
        "white" => Some("ffffff"),
        "black" => Some("000000"),
        other => other.strip_prefix('#'),
    };
    let digits = named.filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let parsed = digits.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let [_, r, g, b] = parsed.ok_or_else(|| format!("{text:?}: expected a colour such as \"#ffffff\", white or black"))?.to_be_bytes();
    Ok([r, g, b])
}

/// One image, interleaved rows; larger than what training sees where a window is cut at random.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) bytes: Vec<u8>,
    /// Whether it had colours that one channel has not.
    pub(crate) lost_colours: bool,
}

/// A [`Preparation`] with the network's channels, 1 or 3, and the shorter side before a window is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) fit: Fit,
    pub(crate) resize: usize,
    pub(crate) background: [u8; 3],
}

/// Of an image that is longer than so many times its other side, the middle is taken: no more of it is seen, and enlarging all of a line of
/// pixels would take the memory of a square.
const LONGEST: u32 = 32;

/// Pillow's "L": BT.601 in 16 bits, rounded.
pub(crate) fn gray_of([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Over `background`, in the bytes' own scale as pictures are composed everywhere.
pub(crate) fn opaque(image: &DynamicImage, background: [u8; 3]) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let rgba = image.to_rgba8();
    ImageBuffer::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        let over = |v: u32, ground: u8| ((v * a + u32::from(ground) * (255 - a) + 127) / 255) as u8;
        Rgb([over(r, background[0]), over(g, background[1]), over(b, background[2])])
    })
}

impl Shape {
    /// Without a window to cut.
    pub(crate) fn of_channels(&Preparation { size, fit, background }: &Preparation, channels: usize) -> Self {
        Self { size, channels, fit, resize: size[0].min(size[1]), background }
    }

    /// An image of any size and kind as the network needs it.
    pub(crate) fn prepare(&self, image: &DynamicImage) -> Stored {
        let (width, height) = (image.width(), image.height());
        let (most_w, most_h) = (height.saturating_mul(LONGEST), width.saturating_mul(LONGEST));
        if self.fit != Fit::Stretch && self.fit != Fit::Pad && (width > most_w || height > most_h) {
            let (w, h) = (width.min(most_w), height.min(most_h));
            return self.prepare(&image.crop_imm((width - w) / 2, (height - h) / 2, w, h));
        }
        let colours = opaque(image, self.background);
        if self.channels == 1 {
            let gray: Vec<u8> = colours.pixels().map(|p| gray_of(p.0)).collect();
            let gray = ImageBuffer::<Luma<u8>, _>::from_raw(width, height, gray).expect("a byte a pixel");
            // A gray JPEG in three components is off by some.
            let lost_colours = colours.pixels().any(|Rgb([r, g, b])| r.max(g).max(b) - r.min(g).min(b) > 8);
            Stored { lost_colours, ..self.fitted(&gray, Luma([gray_of(self.background)])) }
        } else {
            self.fitted(&colours, Rgb(self.background))
        }
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
            lost_colours: false,
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
    pub(crate) fn prepare_bytes(&self, [h, w]: [usize; 2], bytes: &[u8]) -> Stored {
        if [h, w] == self.size && bytes.len() == h * w * self.channels && self.fit != Fit::RandomCrop {
            return Stored { height: h, width: w, bytes: bytes.to_vec(), lost_colours: false };
        }
        self.prepare(&image_of([h, w], bytes.to_vec()))
    }
}

/// Raw bytes, interleaved, of 1 or 3 channels, as an image.
pub(crate) fn image_of([h, w]: [usize; 2], bytes: Vec<u8>) -> DynamicImage {
    let (width, height) = (w as u32, h as u32);
    if bytes.len() == h * w {
        DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, bytes).expect("a byte a pixel"))
    } else {
        DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, bytes).expect("three bytes a pixel"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
        for (colour, gray) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 20, 30], 18), ([255; 3], 255), ([77; 3], 77)]
        {
            assert_eq!(gray_of(colour), gray, "{colour:?}");
        }
    }

    #[test]
    fn a_line_of_pixels_costs_little() {
        for (w, h) in [(20_000, 1), (1, 20_000)] {
            let image = DynamicImage::ImageRgb8(ImageBuffer::from_fn(w, h, |x, y| Rgb([((x + y) / 100) as u8; 3])));
            for fit in [Fit::Crop, Fit::RandomCrop, Fit::Pad, Fit::Stretch] {
                let shape = Shape { size: [32, 32], channels: 3, fit, resize: 36, background: [0; 3] };
                let Stored { height, width, bytes, .. } = shape.prepare(&image);
                assert!(
                    bytes.len() <= 3 * 36 * 36 * LONGEST as usize && height >= 32 && width >= 32,
                    "{w} x {h} {fit:?}: {height} x {width}"
                );
            }
        }
    }

    #[test]
    fn colours_are_six_digits() {
        assert_eq!(parse_colour("#0a0B0c"), Ok([10, 11, 12]));
        for text in ["#+12345", "#12345", "red", "", "#1234567"] {
            assert!(parse_colour(text).unwrap_err().contains("expected a colour"), "{text}");
        }
    }
}

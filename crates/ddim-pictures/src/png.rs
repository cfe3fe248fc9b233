//! PNG files with a caption, written and read back.

use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;
use std::io::{BufRead, Cursor, Seek};

/// The keyword of a caption.
const DESCRIPTION: &str = "Description";

/// A byte of deflate's becomes no more bytes than this.
const MOST_INFLATED: usize = 1032;

impl Picture {
    /// Encodes a PNG file with `caption` as its Description, which [`description`] reads.
    pub fn to_png(&self, caption: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = encoder(&mut bytes, self, caption).write_header().expect("writing to memory");
        writer.write_image_data(&self.pixels).expect("as many pixels as the header says");
        writer.finish().expect("writing to memory");
        bytes
    }

    /// Decodes a PNG file that [`to_png`](Self::to_png) wrote, or another of the same kind: 8 bits per channel, gray or RGB, with or without alpha.
    ///
    /// # Errors
    /// [`ErrorKind::Png`] if `bytes` are not a complete PNG, or one of another kind: with a palette, 16 bits per channel, a transparent colour, or an
    /// animation.
    pub fn from_png(bytes: &[u8]) -> Result<Self> {
        let damaged = |error: png::DecodingError| Error::new(ErrorKind::Png, format!("not a complete PNG: {error}")).because(error);
        // Every checksum holds, the caption's as well.
        let mut strict = png::DecodeOptions::default();
        strict.set_skip_ancillary_crc_failures(false);
        strict.set_ignore_adler32(false);
        let mut reader = png::Decoder::new_with_options(Cursor::new(bytes), strict).read_info().map_err(damaged)?;
        let info = reader.info();
        let (color, depth) = (info.color_type, info.bit_depth);
        let found = match () {
            () if info.animation_control.is_some() => Some("an animation".to_owned()),
            () if info.trns.is_some() => Some("a transparent colour".to_owned()),
            () if color == png::ColorType::Indexed || depth != png::BitDepth::Eight => Some(format!("{color:?}, {} bits", depth as u8)),
            () => None,
        };
        if let Some(found) = found {
            let expected = "expected one picture, gray or colours, of 8 bits per channel";
            return Err(Error::new(ErrorKind::Png, format!("a PNG of another kind ({found}): {expected}")));
        }
        let (width, height, channels) = (info.width as usize, info.height as usize, color.samples());
        // What a head promises costs nothing before there are bytes enough for it.
        let size = reader.output_buffer_size().filter(|size| size / MOST_INFLATED <= bytes.len());
        let Some(size) = size else {
            let message = format!("not a complete PNG: {} bytes for {width} x {height} pixels", bytes.len());
            return Err(Error::new(ErrorKind::Png, message));
        };
        let mut pixels = vec![0; size];
        reader.next_frame(&mut pixels).and_then(|_| reader.finish()).map_err(damaged)?;
        Ok(Self { width, height, channels, pixels })
    }
}

/// The Description of a PNG file, which holds the caption of files written here.
///
/// `None` if there is no Description, or the file is not a PNG. Reads only up to the pixels.
pub fn description(png: impl BufRead + Seek) -> Option<String> {
    let reader = png::Decoder::new(png).read_info().ok()?;
    let text = reader.info().utf8_text.iter().find(|text| text.keyword == DESCRIPTION)?;
    text.get_text().ok()
}

/// Of pictures like `like`, into memory.
pub(crate) fn encoder<'a>(bytes: &'a mut Vec<u8>, like: &Picture, caption: &str) -> png::Encoder<'static, &'a mut Vec<u8>> {
    let mut encoder = png::Encoder::new(bytes, like.width as u32, like.height as u32);
    encoder.set_color(match like.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    let text = [(DESCRIPTION, caption), ("Software", concat!("ddim ", env!("CARGO_PKG_VERSION")))];
    for (keyword, value) in text {
        encoder.add_itxt_chunk(keyword.to_owned(), value.to_owned()).expect("keywords are valid");
    }
    encoder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::single;

    /// An image of noise, some of it beyond [-1, 1].
    fn image(length: usize) -> Vec<f32> {
        (0..length).map(|i| (i * 7919 % 263) as f32 / 120.0 - 1.1).collect()
    }

    #[test]
    fn captions_survive_in_the_png() {
        let caption = "ddim sample --eta 0.5 (η)";
        let bytes = single(&[0.0; 16], [1, 4, 4]).unwrap().to_png(caption);
        assert_eq!(description(Cursor::new(&bytes)).as_deref(), Some(caption));
        // The pixels are not looked at.
        let pixels = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
        assert_eq!(description(Cursor::new(&bytes[..pixels + 4])).as_deref(), Some(caption));
        assert_eq!(description(Cursor::new(&bytes[..pixels / 2])), None);
        assert_eq!(description(Cursor::new(b"GIF89a")), None);
        let mut plain = Vec::new();
        let mut writer = png::Encoder::new(&mut plain, 1, 1).write_header().unwrap();
        writer.write_image_data(&[0]).unwrap();
        writer.finish().unwrap();
        assert_eq!(description(Cursor::new(&plain)), None);
    }

    #[test]
    fn a_png_is_read_back_to_the_byte() {
        for shape in [[1, 32, 32], [2, 5, 7], [3, 32, 32], [3, 1, 9], [4, 8, 8]] {
            let picture = single(&image(shape.iter().product()), shape).unwrap();
            let bytes = picture.to_png("as it was");
            let read = Picture::from_png(&bytes).unwrap();
            assert_eq!((&read, read.shape()), (&picture, shape));
            // Through the network's scale as well.
            let again = single(&read.to_image(), shape).unwrap();
            assert!(again.to_png("as it was") == bytes, "{shape:?}");
        }
    }

    #[test]
    fn what_is_no_whole_png_of_ours_is_refused() {
        let refused = |bytes: &[u8], word: &str| {
            let error = Picture::from_png(bytes).unwrap_err();
            let message = error.to_string();
            assert!(error.kind() == ErrorKind::Png && message.contains(word) && message.lines().count() == 1, "{message:?}: {word}");
        };
        let bytes = single(&image(3 * 64), [3, 8, 8]).unwrap().to_png("whole");
        for length in 0..bytes.len() {
            refused(&bytes[..length], "not a complete PNG");
        }
        for place in (8..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            refused(&damaged, "PNG");
        }
        for (color, depth, row) in [
            (png::ColorType::Grayscale, png::BitDepth::Sixteen, 4),
            (png::ColorType::Grayscale, png::BitDepth::One, 1),
            (png::ColorType::Indexed, png::BitDepth::Eight, 2),
        ] {
            let mut other = Vec::new();
            let mut encoder = png::Encoder::new(&mut other, 2, 1);
            encoder.set_color(color);
            encoder.set_depth(depth);
            if color == png::ColorType::Indexed {
                encoder.set_palette(vec![0; 6]);
            }
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&vec![0; row]).unwrap();
            writer.finish().unwrap();
            refused(&other, &format!("({color:?}, {} bits)", depth as u8));
        }
        // A head that promises the sky: the sum behind it is right.
        let mut empty = Vec::new();
        png::Encoder::new(&mut empty, 1 << 20, 1 << 20).write_header().unwrap().write_chunk(png::chunk::IDAT, &[]).unwrap();
        refused(&empty, "bytes for 1048576 x 1048576 pixels");
    }
}

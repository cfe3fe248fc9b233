//! Images to bytes and back: grids, PNG with a caption, animated GIF.

use crate::error::{Error, Result};
use ddim::to_byte;
use ddim_eval::Raster;

/// An 8-bit picture of 1 to 4 channels, interleaved rows: gray, gray and alpha, colours, colours and alpha.
pub(crate) struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

/// Whether images of this shape can be drawn: 2 and 4 channels with the last as alpha, as diffusers (Pillow) does.
pub(crate) fn check_drawable([c, _, _]: [usize; 3]) -> Result<()> {
    if (1..=4).contains(&c) {
        return Ok(());
    }
    Err(Error::failure(format!("images of {c} channels cannot be drawn: expected 1 to 4 (use --save-npy)")))
}

/// Whether images of this shape are gray or colours alone, as files are read and Inception looks at them.
pub(crate) fn check_colours([c, _, _]: [usize; 3]) -> Result<()> {
    if c == 1 || c == 3 {
        return Ok(());
    }
    Err(Error::failure(format!("a model of {c} channels: expected 1 or 3, for images in files and for Inception (a .npy batch has any)")))
}

/// Pixels between the tiles of a grid.
const GAP: usize = 2;
/// Their colour.
const PAPER: u8 = 255;

/// Tiles smaller than this are enlarged by a whole factor, so that a grid can be looked at.
const COMFORTABLE: usize = 64;

/// The images of a batch [n, c, h, w] in rows of `columns`, enlarged to be seen; missing ones stay blank.
pub(crate) fn grid(batch: &[f32], [c, h, w]: [usize; 3], columns: usize) -> Picture {
    let n = batch.len() / (c * h * w);
    let scale = (COMFORTABLE / h.max(w)).max(1);
    let rows = n.div_ceil(columns);
    let (tile_h, tile_w) = (h * scale, w * scale);
    let (width, height) = (columns * (tile_w + GAP) + GAP, rows * (tile_h + GAP) + GAP);
    let mut pixels = vec![PAPER; width * height * c];
    for (i, image) in batch.chunks_exact(c * h * w).enumerate() {
        let (top, left) = (GAP + i / columns * (tile_h + GAP), GAP + i % columns * (tile_w + GAP));
        for y in 0..tile_h {
            for x in 0..tile_w {
                let at = ((top + y) * width + left + x) * c;
                for channel in 0..c {
                    pixels[at + channel] = to_byte(image[(channel * h + y / scale) * w + x / scale]);
                }
            }
        }
    }
    Picture { width, height, channels: c, pixels }
}

/// The number of columns that makes `n` tiles closest to a square.
pub(crate) fn square_columns(n: usize) -> usize {
    (1..=n).find(|columns| columns * columns >= n).unwrap_or(1)
}

/// One image [c, h, w] at its own size.
pub(crate) fn single(image: &[f32], [c, h, w]: [usize; 3]) -> Picture {
    let pixels = (0..h * w).flat_map(|p| (0..c).map(move |channel| to_byte(image[channel * h * w + p]))).collect();
    Picture { width: w, height: h, channels: c, pixels }
}

/// Columns and rows with what they show beside them.
pub(crate) fn labelled(picture: &Picture, columns: &[String], rows: &[String]) -> Picture {
    let raster = Raster { width: picture.width, height: picture.height, rgb: picture.on_paper().to_rgb() };
    Picture::from(ddim_eval::labelled(&raster, columns, rows))
}

impl From<Raster> for Picture {
    fn from(Raster { width, height, rgb }: Raster) -> Self {
        Self { width, height, channels: 3, pixels: rgb }
    }
}

impl Picture {
    /// Two pictures of the same height, with a gap between.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        assert_eq!((self.height, self.channels), (other.height, other.channels));
        let width = self.width + 4 * GAP + other.width;
        let mut pixels = Vec::with_capacity(width * self.height * self.channels);
        let rows = |p: &Self| p.pixels.chunks_exact(p.width * p.channels).map(<[u8]>::to_vec).collect::<Vec<_>>();
        for (left, right) in rows(self).iter().zip(rows(other)) {
            pixels.extend_from_slice(left);
            pixels.extend(std::iter::repeat_n(PAPER, 4 * GAP * self.channels));
            pixels.extend_from_slice(&right);
        }
        Self { width, pixels, ..*self }
    }

    /// The same without alpha, the colour of paper behind.
    fn on_paper(&self) -> Self {
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

    /// Three numbers a pixel, of a picture without alpha.
    fn to_rgb(&self) -> Vec<u8> {
        if self.channels == 3 { self.pixels.clone() } else { self.pixels.iter().flat_map(|&gray| [gray; 3]).collect() }
    }

    /// A PNG file with `caption` as its description.
    pub(crate) fn to_png(&self, caption: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(match self.channels {
            1 => png::ColorType::Grayscale,
            2 => png::ColorType::GrayscaleAlpha,
            3 => png::ColorType::Rgb,
            _ => png::ColorType::Rgba,
        });
        encoder.set_depth(png::BitDepth::Eight);
        let text = [("Description", caption), ("Software", concat!("ddim ", env!("CARGO_PKG_VERSION")))];
        for (keyword, value) in text {
            encoder.add_itxt_chunk(keyword.to_owned(), value.to_owned()).expect("keywords are valid");
        }
        let mut writer = encoder.write_header().expect("writing to memory");
        writer.write_image_data(&self.pixels).expect("as many pixels as the header says");
        writer.finish().expect("writing to memory");
        bytes
    }

    /// A frame of a GIF: gray pixels index the file's palette, colours get one of their own.
    fn to_frame(&self) -> gif::Frame<'_> {
        let (width, height) = (self.width as u16, self.height as u16);
        if self.channels == 1 {
            return gif::Frame { width, height, buffer: self.pixels.as_slice().into(), ..gif::Frame::default() };
        }
        gif::Frame::from_rgb_speed(width, height, &self.pixels, 10)
    }
}

/// Frames of an animation beyond which some are left out.
const MOST_FRAMES: usize = 100;

/// The numbers of the frames that an animation of `total` frames shows: evenly spaced, the first and the last among them.
pub(crate) fn shown_frames(total: usize) -> Vec<usize> {
    let shown = total.min(MOST_FRAMES);
    (0..shown).map(|i| if shown > 1 { i * (total - 1) / (shown - 1) } else { 0 }).collect()
}

/// An endless GIF of about four seconds, which rests on its last frame where `rest` says so. Alpha is laid on paper.
pub(crate) fn to_gif(frames: &[Picture], rest: bool) -> Result<Vec<u8>> {
    let frames: Vec<Picture> = frames.iter().map(Picture::on_paper).collect();
    let Some(first) = frames.first() else { return Err(Error::failure("an animation without frames")) };
    let (width, height) = (u16::try_from(first.width), u16::try_from(first.height));
    let (Ok(width), Ok(height)) = (width, height) else {
        return Err(Error::failure(format!("an animation of {} x {} pixels: a GIF has at most 65535", first.width, first.height)));
    };
    // In hundredths of a second; viewers slow down below 2.
    let delay = (400 / frames.len()).clamp(3, 40) as u16;
    let gray: Vec<u8> = if first.channels == 1 { (0..=255).flat_map(|v| [v; 3]).collect() } else { Vec::new() };
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &gray).map_err(Error::failure)?;
    encoder.set_repeat(gif::Repeat::Infinite).map_err(Error::failure)?;
    for (i, picture) in frames.iter().enumerate() {
        let mut frame = picture.to_frame();
        frame.delay = if rest && i + 1 == frames.len() { 150 } else { delay };
        encoder.write_frame(&frame).map_err(Error::failure)?;
    }
    drop(encoder);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_nearly_square() {
        for (n, columns) in [(1, 1), (2, 2), (4, 2), (5, 3), (64, 8), (65, 9)] {
            assert_eq!(square_columns(n), columns);
        }
        let picture = grid(&[1.0; 5 * 3 * 64 * 32], [3, 64, 32], 3);
        assert_eq!((picture.width, picture.height), (3 * 34 + 2, 2 * 66 + 2));
    }

    #[test]
    fn captions_survive_in_the_png() {
        let caption = "ddim sample --eta 0.5 (η)";
        let bytes = single(&[0.0; 16], [1, 4, 4]).to_png(caption);
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let texts: Vec<String> = reader.info().utf8_text.iter().map(|t| t.get_text().unwrap()).collect();
        assert_eq!(texts[0], caption);
    }
}

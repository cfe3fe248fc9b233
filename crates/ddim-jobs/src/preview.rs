//! Previews of running jobs: small files, quickly made.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Images that a preview shows at most.
const MOST_SHOWN: usize = 16;

/// Pixels of a preview, where one image does not have more: noise hardly compresses, and a job has many of them.
const MOST_PIXELS: usize = 128 * 128;

/// The first images of a batch [n, c, h, w] in [-1, 1], side by side in rows as near to a square as can be, as a PNG in base64. None where they are neither gray nor in
/// colours.
pub(crate) fn sheet(x: &[f32], [c, h, w]: [usize; 3]) -> Option<String> {
    let colour = match c {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => return None,
    };
    let shown = (MOST_PIXELS / (h * w)).clamp(1, MOST_SHOWN);
    let images: Vec<&[f32]> = x.chunks_exact(c * h * w).take(shown).collect();
    let columns = (1..).find(|side| side * side >= images.len())?.max(1);
    let rows = images.len().div_ceil(columns).max(1);
    let mut pixels = vec![0u8; rows * columns * c * h * w];
    for (i, image) in images.iter().enumerate() {
        let (top, left) = (i / columns * h, i % columns * w);
        for (channel, plane) in image.chunks_exact(h * w).enumerate() {
            for (y, line) in plane.chunks_exact(w).enumerate() {
                let start = ((top + y) * columns * w + left) * c + channel;
                for (pixel, value) in pixels[start..].iter_mut().step_by(c).zip(line) {
                    *pixel = byte(*value);
                }
            }
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(columns * w).ok()?, u32::try_from(rows * h).ok()?);
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(BASE64_STANDARD.encode(bytes))
}

/// From [-1, 1] to 0..=255, and what lies outside to its nearest end.
fn byte(x: f32) -> u8 {
    ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_in_rows() {
        // Three images of 1 by 2: two in the first row, one in the second, nothing beside it.
        let x = [-1.0, 1.0, 0.0, 9.0, 1.0, -9.0];
        let bytes = BASE64_STANDARD.decode(sheet(&x, [1, 1, 2]).unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; 8];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!((reader.info().width, reader.info().height), (4, 2));
        assert_eq!(pixels, [0, 255, 128, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn channels_lie_beside_each_other() {
        let x = [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0];
        let bytes = BASE64_STANDARD.decode(sheet(&x, [3, 2, 1]).unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; 6];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 255, 128, 0, 255, 128]);
        assert_eq!(sheet(&x, [2, 1, 3]), None);
    }
}

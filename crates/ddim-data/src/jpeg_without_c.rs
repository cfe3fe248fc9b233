//! JPEG files without a C compiler: decoded by the crate `image`, whose levels differ from libjpeg-turbo's by up to 4 (on
//! conformance/jpeg's files of 64 by 64).

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder};
use std::io::Cursor;

/// Decoded pixels.
pub(crate) struct Decoded {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 for files with one component, else 3.
    pub(crate) channels: usize,
    /// `height * width * channels` levels, channels innermost.
    pub(crate) pixels: Vec<u8>,
}

fn decoder(bytes: &[u8]) -> Result<JpegDecoder<Cursor<&[u8]>>, String> {
    JpegDecoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())
}

/// Decodes a file to gray or to RGB. The orientation of EXIF is not applied.
///
/// # Errors
/// What the decoder says.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let decoder = decoder(bytes)?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => return Err(format!("pixels of type {other:?}: expected gray or RGB of 8 bits")),
    };
    let mut pixels = vec![0; width as usize * height as usize * channels];
    decoder.read_image(&mut pixels).map_err(|e| e.to_string())?;
    Ok(Decoded { width: width as usize, height: height as usize, channels, pixels })
}

/// Height and width, from the header alone.
///
/// # Errors
/// As [`decode`], where the header tells.
pub(crate) fn dimensions(bytes: &[u8]) -> Result<[usize; 2], String> {
    let (width, height) = decoder(bytes)?.dimensions();
    Ok([height as usize, width as usize])
}

/// What the EXIF segment holds.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    decoder(bytes).ok()?.exif_metadata().ok()?
}

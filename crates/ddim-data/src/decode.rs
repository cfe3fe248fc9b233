//! Decoding of image files to pixels, whatever format their names suggest.

use crate::jpeg;
use crate::tiffs;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More pixels than these are refused by the header alone: Pillow's bound against decompression bombs.
const MOST_PIXELS: u64 = 178_956_970;

/// Images of more pixels are held one at a time, so that several threads do not need the memory of several.
const LARGE: u64 = 1 << 24;

/// A file of more pixels for each of its bytes, and more than [`LARGE`], is a bomb: deflate reaches 8,256 of one bit.
const MOST_FOR_A_BYTE: u64 = 1 << 16;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the first bytes of a file say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// An image of a format that is read.
    Read,
    /// One of another format.
    Other(&'static str),
    /// Something else, or an image whose format cannot be told by its first bytes.
    Unknown,
}

/// TIFF with longer offsets.
const BIG_TIFFS: [&[u8]; 2] = [b"II+\0", b"MM\0+"];

/// Judges by the first 32 bytes. Formats whose mark is too short to be sure of (BMP, PNM, TGA) are unknown.
pub(crate) fn content_of(head: &[u8]) -> Content {
    const MARKS: [(usize, &[u8], Content); 16] = [
        (0, b"\x89PNG\r\n\x1a\n", Content::Read),
        (0, b"\xff\xd8\xff", Content::Read),
        (8, b"WEBP", Content::Read),
        (0, b"GIF87a", Content::Read),
        (0, b"GIF89a", Content::Read),
        (0, b"II*\0", Content::Read),
        (0, b"MM\0*", Content::Read),
        (0, BIG_TIFFS[0], Content::Read),
        (0, BIG_TIFFS[1], Content::Read),
        (0, b"\0\0\0\x0cjP  \r\n", Content::Other("JP2")),
        (0, b"\xff\x4f\xff\x51", Content::Other("J2K")),
        (0, b"\0\0\0\x0cJXL \r\n", Content::Other("JXL")),
        (0, b"\xff\x0a", Content::Other("JXL")),
        (0, b"8BPS", Content::Other("PSD")),
        (0, b"\x76\x2f\x31\x01", Content::Other("EXR")),
        (0, b"qoif", Content::Other("QOI")),
    ];
    if let Some(brand) = head.get(4..12).and_then(|b| b.strip_prefix(b"ftyp")) {
        return match brand {
            b"avif" | b"avis" => Content::Other("AVIF"),
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => Content::Other("HEIC"),
            _ => Content::Unknown,
        };
    }
    MARKS.iter().find(|(at, mark, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(mark))).map_or(Content::Unknown, |(.., c)| *c)
}

/// An image, decoded.
pub(crate) struct Decoded {
    /// 8 or 16 bits per channel, rows as they are in the file.
    pub(crate) image: DynamicImage,
    /// How EXIF says that it is to be turned. A TIFF is turned already, as Pillow turns it.
    pub(crate) orientation: Orientation,
    _one_at_a_time: Option<MutexGuard<'static, ()>>,
}

/// Decodes a whole file: PNG, JPEG (as libjpeg-turbo), WebP, BMP, TIFF, PNM, and the first frame of a GIF.
///
/// # Errors
/// In words that follow the name of the file: what it is instead, what is broken, too many pixels.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let format = format_of(bytes)?;
    let [h, w] = dimensions_as(bytes, format)?;
    let pixels = h as u64 * w as u64;
    if pixels == 0 {
        return Err(format!("a broken image: {w} x {h} pixels"));
    }
    if pixels > MOST_PIXELS {
        return Err(format!("{w} x {h} pixels: expected at most {MOST_PIXELS} in all"));
    }
    if pixels > LARGE && pixels / MOST_FOR_A_BYTE > bytes.len() as u64 {
        return Err(format!("{w} x {h} pixels in {} bytes: expected an image, not a decompression bomb", bytes.len()));
    }
    let guard = (pixels > LARGE).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
    if format == ImageFormat::Jpeg {
        let broken = |e| format!("a broken image: {e}");
        let image = jpeg::decode(bytes).map_err(broken)?;
        let orientation = jpeg::exif(bytes).and_then(|exif| Orientation::from_exif_chunk(&exif)).unwrap_or(Orientation::NoTransforms);
        return Ok(Decoded { image: of_jpeg(image), orientation, _one_at_a_time: guard });
    }
    let mut decoder = reader(bytes, format, pixels).into_decoder().map_err(not_decoded)?;
    let channels = if format == ImageFormat::Tiff { tiffs::channels(bytes) } else { None }.unwrap_or_default();
    channels.check(decoder.original_color_type().channel_count())?;
    let orientation = orientation_of(&mut decoder, format);
    let mut image = channels.straightened(DynamicImage::from_decoder(decoder).map_err(not_decoded)?);
    let turned = format == ImageFormat::Tiff;
    if turned {
        image.apply_orientation(orientation);
    }
    Ok(Decoded { image, orientation: if turned { Orientation::NoTransforms } else { orientation }, _one_at_a_time: guard })
}

/// As EXIF says. Pillow before 9.3 begins the EXIF of a WebP as that of a JPEG, and reads both.
fn orientation_of(decoder: &mut impl ImageDecoder, format: ImageFormat) -> Orientation {
    let exif = if format == ImageFormat::WebP { decoder.exif_metadata().ok().flatten() } else { None };
    match exif.as_deref().and_then(|exif| exif.strip_prefix(b"Exif\0\0")) {
        Some(exif) => Orientation::from_exif_chunk(exif),
        None => decoder.orientation().ok(),
    }
    .unwrap_or(Orientation::NoTransforms)
}

/// A file that is whole may be of a kind that its format has and the decoder does not.
fn not_decoded(error: ImageError) -> String {
    match error {
        ImageError::Unsupported(e) => format!("an unsupported kind of image: {e}"),
        other => format!("a broken image: {other}"),
    }
}

fn of_jpeg(jpeg::Decoded { width, height, channels, pixels }: jpeg::Decoded) -> DynamicImage {
    let (w, h) = (width as u32, height as u32);
    match channels {
        1 => DynamicImage::ImageLuma8(image::ImageBuffer::from_raw(w, h, pixels).expect("a byte a pixel")),
        _ => DynamicImage::ImageRgb8(image::ImageBuffer::from_raw(w, h, pixels).expect("three bytes a pixel")),
    }
}

/// Height and width of what [`decode`] gives, from the head of a file.
///
/// # Errors
/// As [`decode`].
pub(crate) fn dimensions(bytes: &[u8]) -> Result<[usize; 2], String> {
    dimensions_as(bytes, format_of(bytes)?)
}

fn dimensions_as(bytes: &[u8], format: ImageFormat) -> Result<[usize; 2], String> {
    if format == ImageFormat::Jpeg {
        return jpeg::dimensions(bytes).map_err(|e| format!("a broken image: {e}"));
    }
    if format == ImageFormat::Tiff {
        let mut decoder = reader(bytes, format, 0).into_decoder().map_err(not_decoded)?;
        let (w, h) = decoder.dimensions();
        let turned = decoder.orientation().unwrap_or(Orientation::NoTransforms).to_exif() >= 5;
        return Ok(if turned { [w as usize, h as usize] } else { [h as usize, w as usize] });
    }
    let (w, h) = reader(bytes, format, 0).into_dimensions().map_err(not_decoded)?;
    Ok([h as usize, w as usize])
}

fn reader(bytes: &[u8], format: ImageFormat, pixels: u64) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // Four channels of 16 bits, twice, and what a decoder needs beside: a frame, a strip or a palette may claim more than the image.
    let mut limits = Limits::default();
    limits.max_alloc = Some(pixels * 16 + (64 << 20));
    reader.limits(limits);
    reader
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    if bytes.is_empty() {
        return Err("not an image: an empty file".to_owned());
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err("not an image: a Git LFS pointer (git lfs pull fetches the file)".to_owned());
    }
    if let Content::Other(name) = content_of(bytes) {
        return Err(format!("an image of format {name}: expected PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"));
    }
    if BIG_TIFFS.iter().any(|mark| bytes.starts_with(mark)) {
        return Ok(ImageFormat::Tiff);
    }
    match image::guess_format(bytes) {
        Ok(format) if format.reading_enabled() => Ok(format),
        _ => Err("not an image: expected PNG, JPEG, WebP, BMP, TIFF, GIF or PNM".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;
    use crate::prepare::{Fit, Shape};
    use image::{ImageBuffer, Rgb};

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let image = DynamicImage::ImageRgb8(ImageBuffer::from_fn(9, 7, |x, y| Rgb([x as u8 * 28, y as u8 * 36, 90])));
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib mutated` tries a million of each.
    #[test]
    fn mutated_images() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
        let files: Vec<Vec<u8>> = [Png, Jpeg, WebP, Bmp, Tiff, Gif, Pnm].map(encoded).into();
        let shape = Shape { size: [8, 8], channels: 3, fit: Fit::Crop, resize: 8, background: [255; 3] };
        fuzz(&files, |bytes| {
            let _ = dimensions(bytes);
            if let Ok(mut decoded) = decode(bytes) {
                decoded.image.apply_orientation(decoded.orientation);
                assert_eq!(shape.prepare(&decoded.image).bytes.len(), 3 * 64);
            }
        });
    }

    #[test]
    fn webp_is_turned_however_its_exif_begins() {
        use image::ImageEncoder;
        // One entry: orientation 6.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        for exif in [exif.clone(), [&b"Exif\0\0"[..], &exif].concat()] {
            let mut bytes = Vec::new();
            let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&[0; 18], 3, 2, image::ExtendedColorType::Rgb8).unwrap();
            assert_eq!(decode(&bytes).unwrap().orientation, Orientation::Rotate90);
        }
    }

    #[test]
    fn images_without_pixels_are_broken() {
        for (w, h) in [(0, 0), (0, 5), (5, 0)] {
            let error = decode(format!("P6\n{w} {h}\n255\n").as_bytes()).err().unwrap();
            assert!(error.contains("a broken image"), "{error}");
        }
        for (format, at, width) in [(ImageFormat::Bmp, 18, 4), (ImageFormat::Gif, 6, 2), (ImageFormat::Png, 16, 4)] {
            let mut bytes = encoded(format);
            bytes[at..at + 2 * width].fill(0);
            assert!(decode(&bytes).is_err(), "{format:?}");
        }
    }

    #[test]
    fn bombs_are_refused_by_their_heads() {
        let mut bomb = encoded(ImageFormat::Bmp);
        for (side, words) in [(60_000u32, "60000 x 60000 pixels"), (12_000, "decompression bomb")] {
            bomb[18..22].copy_from_slice(&side.to_le_bytes());
            bomb[22..26].copy_from_slice(&side.to_le_bytes());
            assert!(decode(&bomb).err().unwrap().contains(words), "{side}");
        }
    }
}

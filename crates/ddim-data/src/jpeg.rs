//! Decodes JPEG files as libjpeg-turbo does, to the bit: the pixels that Pillow, and with it pytorch-fid and torchvision, computes with.
//!
//! The standard leaves open how the inverse DCT is rounded and chroma upsampled, and decoders differ by several levels there: enough for an
//! FID that is off by 1. So libjpeg-turbo's own code decodes (as carried by mozjpeg, which only changed the encoder), with its accurate
//! integer DCT and its triangle filter. It keeps libjpeg's habits too, which are Pillow's: wrong bytes inside the image data are decoded to
//! something, wrong structure is an error. (Where such bytes make coefficients beyond 16 bits, libjpeg-turbo's vector instructions and its
//! C overflow differently; these are the levels of its C.)
//!
//! libjpeg reports errors by leaving the call. mozjpeg turns that into an unwind that runs no panic hook, so nothing is printed; it is
//! caught in this module.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::{ColorSpace, Decompress};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};

/// The most pixels that are decoded: Pillow's limit against decompression bombs, twice 2^30 / 12.
const MAX_PIXELS: usize = 178_956_970;

/// The most scans that are decoded: each costs time in proportion to the picture, however few bytes it has. Encoders write about ten.
const MAX_SCANS: usize = 500;

/// Decoded pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 for files with one component, else 3.
    pub(crate) channels: usize,
    /// `height * width * channels` levels, channels innermost.
    pub(crate) pixels: Vec<u8>,
}

/// Decodes a file to gray or to RGB, as Pillow's `Image.open(path)` and, of more than one component, `.convert("RGB")` does.
///
/// YCbCr, RGB, CMYK and YCCK (both as Adobe stores them: inverted), any subsampling, baseline and progressive, Huffman and arithmetic coding.
/// The orientation of EXIF is not applied. What follows the end of the image is not looked at.
///
/// # Errors
///
/// What is wrong, in one line without the path: no JPEG file; lossless, hierarchical or not 8 bits; 2 or more than 4 components; more pixels than
/// 178,956,970 or more than 500 scans; damaged structure; image data that end early. Of the last, a file that lacks its end-of-image marker and
/// nothing else is let through.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let frame = frame(bytes)?;
    let [height, width] = [frame.height, frame.width];
    let ends_early = || format!("the image data end early: {} bytes hold a part of {width} x {height} pixels", bytes.len());
    if width * height > MAX_PIXELS {
        return Err(format!("{width} x {height} pixels, expected {MAX_PIXELS} at most"));
    }
    // A Huffman code has at least one bit, and each block of 8 x 8 pixels a DC coefficient: what has less is refused before memory is asked for.
    if !frame.arithmetic && width * height / (64 * 8) > bytes.len() {
        return Err(ends_early());
    }
    let scans = segments(bytes).filter(|segment| segment.marker == SOS).count();
    if scans > MAX_SCANS {
        return Err(format!("{scans} scans, expected {MAX_SCANS} at most"));
    }

    let (mut pixels, ended_early) = run(bytes, &frame, None);
    if ended_early {
        // libjpeg wanted more and was given an end-of-image marker. If no scan is missing and it warns of nothing, that was all that was missing.
        // (An arithmetic decoder takes zeros for what it lacks, without a warning.)
        let complete = !frame.arithmetic && every_scan_came(bytes, &frame) && run(bytes, &frame, Some(strict())).0.is_ok();
        pixels = pixels.ok().filter(|_| complete).ok_or_else(ends_early);
    }
    let pixels = pixels?;
    let (channels, pixels) = match frame.components.len() {
        1 => (1, pixels),
        3 => (3, pixels),
        _ => (3, rgb_of_inverted_cmyk(&pixels)),
    };
    Ok(Decoded { width, height, channels, pixels })
}

/// Height and width, from the header alone.
///
/// # Errors
///
/// As [`decode`], where the header tells.
pub(crate) fn dimensions(bytes: &[u8]) -> Result<[usize; 2], String> {
    frame(bytes).map(|frame| [frame.height, frame.width])
}

/// What the EXIF segment holds after `Exif\0\0`: a TIFF header and its directories. Several segments are one text, as Pillow reads them.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    segments(bytes)
        .take_while(|segment| segment.marker != SOS)
        .filter(|segment| segment.marker == APP1)
        .filter_map(|segment| segment.body.strip_prefix(b"Exif\0\0"))
        .fold(None, |before, body| Some([before.unwrap_or_default(), body.to_vec()].concat()))
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP1: u8 = 0xe1;

/// A marker and the bytes that its length counts, without the length.
struct Segment<'a> {
    marker: u8,
    body: &'a [u8],
}

/// Segments with a length, up to the end of the image or of the file. What stands between them, entropy-coded data or garbage, is skipped.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.iter().position(|&byte| byte == 0xff)?..];
            rest = &rest[rest.iter().position(|&byte| byte != 0xff)?..];
            let (&marker, after) = rest.split_first()?;
            rest = after;
            match marker {
                EOI => return None,
                // An escaped 0xff of the data, TEM, restarts and the start of the image stand alone.
                0x00 | 0x01 | 0xd0..=SOI => {}
                _ => {
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    let body = rest.get(2..length)?;
                    rest = &rest[length..];
                    return Some(Segment { marker, body });
                }
            }
        }
    })
}

/// What the frame header says.
struct Frame {
    progressive: bool,
    arithmetic: bool,
    height: usize,
    width: usize,
    /// The identifiers of the components.
    components: Vec<u8>,
}

fn frame(bytes: &[u8]) -> Result<Frame, String> {
    if !bytes.starts_with(&[0xff, SOI, 0xff]) {
        return Err("not a JPEG file: it does not begin with FF D8 FF".into());
    }
    let is_frame = |marker| matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
    let header = segments(bytes).take_while(|segment| segment.marker != SOS).find(|segment| is_frame(segment.marker));
    let Segment { marker, body } = header.ok_or("no frame header (SOF) before the image data or the end of the file")?;
    match marker {
        0xc3 | 0xcb => return Err("lossless JPEG, expected baseline or progressive".into()),
        0xc5..=0xc7 | 0xcd..=0xcf => return Err("hierarchical JPEG, expected baseline or progressive".into()),
        _ => {}
    }
    let &[precision, y1, y0, x1, x0, count, ref listed @ ..] = body else {
        return Err(format!("a frame header of {} bytes, expected 9 at least", body.len()));
    };
    let [height, width] = [[y1, y0], [x1, x0]].map(|size| usize::from(u16::from_be_bytes(size)));
    if precision != 8 {
        return Err(format!("{precision} bits a sample, expected 8"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(format!("{count} components, expected 1 (gray), 3 (RGB) or 4 (CMYK)"));
    }
    if height == 0 || width == 0 {
        return Err(format!("{width} x {height} pixels in the frame header"));
    }
    if listed.len() != 3 * usize::from(count) {
        return Err(format!("a frame header of {} bytes, expected {} for {count} components", body.len(), 6 + 3 * usize::from(count)));
    }
    Ok(Frame {
        progressive: matches!(marker, 0xc2 | 0xca),
        arithmetic: marker > 0xc8,
        height,
        width,
        components: listed.chunks_exact(3).map(|component| component[0]).collect(),
    })
}

/// Whether the scans that are there bring every coefficient of every component to its last bit.
fn every_scan_came(bytes: &[u8], frame: &Frame) -> bool {
    let mut missing = vec![u64::MAX; frame.components.len()];
    for Segment { body, .. } in segments(bytes).filter(|segment| segment.marker == SOS) {
        let Some((&count, rest)) = body.split_first() else { return false };
        let Some((listed, &[first, last, bits])) = rest.split_at_checked(2 * usize::from(count)) else { return false };
        let coefficients = match frame.progressive {
            true if bits & 15 == 0 && first <= last && last < 64 => (u64::MAX >> (63 - last)) & (u64::MAX << first),
            true => 0,
            false => u64::MAX,
        };
        for component in listed.chunks_exact(2) {
            if let Some(at) = frame.components.iter().position(|id| *id == component[0]) {
                missing[at] &= !coefficients;
            }
        }
    }
    missing.iter().all(|&left| left == 0)
}

/// A file in memory with what is read after its end; after that, reading fails.
struct Source<'a> {
    bytes: &'a [u8],
    end: &'a [u8],
    /// Whether `end` was given.
    past_the_end: &'a Cell<bool>,
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.bytes.is_empty() {
            return Ok(self.bytes);
        }
        self.past_the_end.set(true);
        // No end of file in mozjpeg's sense, which would go on for ever with markers that it makes up.
        if self.end.is_empty() { Err(io::Error::other("the end")) } else { Ok(self.end) }
    }

    fn consume(&mut self, count: usize) {
        let left = if self.bytes.is_empty() { &mut self.end } else { &mut self.bytes };
        *left = &left[count..];
    }
}

impl Read for Source<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

/// The samples in the colours that Pillow asks libjpeg for, gray, RGB, or CMYK as it is stored; and whether the file ended before they were there.
fn run(bytes: &[u8], frame: &Frame, errors: Option<jpeg_error_mgr>) -> (Result<Vec<u8>, String>, bool) {
    let colours = match frame.components.len() {
        1 => ColorSpace::JCS_GRAYSCALE,
        3 => ColorSpace::JCS_RGB,
        _ => ColorSpace::JCS_CMYK,
    };
    let past_the_end = Cell::new(false);
    let source = Source { bytes, end: &[0xff, EOI], past_the_end: &past_the_end };
    let (mut pixels, mut in_time) = (Vec::new(), false);
    let outcome = catch_unwind(AssertUnwindSafe(|| -> io::Result<()> {
        let builder = Decompress::builder();
        let builder = if let Some(errors) = errors { builder.with_err(errors) } else { builder };
        let mut decoder = builder.from_reader(source)?.to_colorspace(colours)?;
        pixels = decoder.read_scanlines()?;
        in_time = !past_the_end.get();
        decoder.finish()
    }));
    let outcome = match outcome {
        // Looking for the end of the image, libjpeg came to the end of the file; Pillow does not mind.
        _ if in_time && past_the_end.get() => Ok(()),
        Ok(outcome) => outcome.map_err(|error| format!("libjpeg: {error}")),
        Err(thrown) => {
            let text = thrown.downcast_ref::<String>().map_or("an unknown error", String::as_str);
            Err(format!("libjpeg: {}", text.strip_prefix("libjpeg fatal error: ").unwrap_or(text)))
        }
    };
    let samples = frame.width * frame.height * frame.components.len();
    let pixels =
        outcome.and_then(|()| if pixels.len() == samples { Ok(pixels) } else { Err("libjpeg: another size than the header says".into()) });
    (pixels, past_the_end.get() && !in_time)
}

/// An error manager that gives up at the first warning, and says nothing about it.
fn strict() -> jpeg_error_mgr {
    extern "C-unwind" fn give_up(_: &mut jpeg_common_struct) {
        resume_unwind(Box::new(()));
    }
    extern "C-unwind" fn give_up_at_warnings(_: &mut jpeg_common_struct, level: i32) {
        if level < 0 {
            resume_unwind(Box::new(()));
        }
    }
    extern "C-unwind" fn nothing(_: &mut jpeg_common_struct) {}
    jpeg_error_mgr {
        error_exit: Some(give_up),
        emit_message: Some(give_up_at_warnings),
        output_message: Some(nothing),
        format_message: None,
        reset_error_mgr: Some(nothing),
        msg_code: 0,
        msg_parm: Default::default(),
        trace_level: 0,
        num_warnings: 0,
        jpeg_message_table: std::ptr::null(),
        last_jpeg_message: 0,
        addon_message_table: std::ptr::null(),
        first_addon_message: 0,
        last_addon_message: 0,
    }
}

/// Pillow's RGB of CMYK that is stored inverted: 255 - min(255, c (255 - k) / 255 + k), rounded as there.
fn rgb_of_inverted_cmyk(samples: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(samples.len() / 4 * 3);
    for &[c, m, y, white] in samples.as_chunks().0 {
        rgb.extend([c, m, y].map(|ink| {
            let product = u32::from(255 - ink) * u32::from(white) + 128;
            // The product over 255 is at most `white`.
            white - ((product + (product >> 8)) >> 8) as u8
        }));
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "../../conformance/jpeg"].iter().collect()
    }

    fn read(name: &str) -> Vec<u8> {
        std::fs::read(folder().join(name)).unwrap()
    }

    /// The files of conformance/make_jpeg.py by name, with what Pillow says of each.
    fn files() -> Vec<(String, Vec<u8>, serde_json::Value)> {
        let expected: serde_json::Value = serde_json::from_slice(&read("expected.json")).unwrap();
        expected["files"].as_object().unwrap().iter().map(|(name, entry)| (name.clone(), read(name), entry.clone())).collect()
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn every_level_is_pillows() {
        let files = files();
        assert!(files.len() > 100);
        for (name, bytes, pillow) in files {
            let ours = decode(&bytes);
            if let Some(error) = pillow.get("error") {
                let ours = ours.expect_err(&name);
                assert!(!ours.contains('\n'), "{name}: {ours}");
                println!("{name}: {ours} (Pillow: {error})");
                continue;
            }
            let ours = ours.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(serde_json::json!([ours.height, ours.width]), pillow["size"], "{name}");
            assert_eq!(dimensions(&bytes), Ok([ours.height, ours.width]), "{name}");
            assert_eq!(ours.channels, pillow["channels"].as_u64().unwrap() as usize, "{name}");
            assert_eq!(ours.pixels.len(), ours.height * ours.width * ours.channels, "{name}");
            assert_eq!(u64::from(crc32(&ours.pixels)), pillow["crc32"].as_u64().unwrap(), "{name}: the levels differ from Pillow's");
        }
    }

    #[test]
    fn files_cut_short_are_refused() {
        for (name, bytes, pillow) in files() {
            let Some(lengths) = pillow["truncated"].as_array() else { continue };
            let whole = decode(&bytes).unwrap();
            for length in lengths.iter().map(|length| length.as_u64().unwrap() as usize) {
                let cut = decode(&bytes[..length]);
                // Of these Pillow refuses most that lack the end-of-image marker alone.
                if length + 2 == bytes.len() && !name.starts_with("arithmetic") {
                    assert_eq!(cut.as_ref(), Ok(&whole), "{name} without its end-of-image marker");
                } else {
                    let error = cut.expect_err(&format!("{length} bytes of {name}"));
                    let header = length < bytes.windows(2).position(|pair| pair == [0xff, SOS]).unwrap();
                    assert!(header || error.starts_with("the image data end early:"), "{length} bytes of {name}: {error}");
                }
            }
        }
    }

    #[test]
    fn every_length_but_the_whole_is_refused() {
        for name in ["pillow_420_progressive.jpg", "restart_3_blocks.jpg", "cmyk_420.jpg", "a_scan_each.jpg"] {
            let bytes = read(name);
            let whole = decode(&bytes).unwrap();
            for length in 0..bytes.len() {
                match decode(&bytes[..length]) {
                    Ok(decoded) => assert!(length + 2 >= bytes.len() && decoded == whole, "{length} of {} bytes of {name}", bytes.len()),
                    Err(error) => assert!(length + 2 < bytes.len(), "{length} of {} bytes of {name}: {error}", bytes.len()),
                }
            }
        }
    }

    #[test]
    fn errors_say_what_was_found() {
        let error = |name: &str| decode(&read(name)).unwrap_err();
        assert_eq!(error("refused_12_bits.jpg"), "12 bits a sample, expected 8");
        assert_eq!(error("refused_lossless.jpg"), "lossless JPEG, expected baseline or progressive");
        assert_eq!(error("refused_components.jpg"), "2 components, expected 1 (gray), 3 (RGB) or 4 (CMYK)");
        assert_eq!(error("refused_huffman.jpg"), "libjpeg: Bogus Huffman table definition");
        assert_eq!(error("refused_huge.jpg"), "65500 x 65500 pixels, expected 178956970 at most");
        assert_eq!(decode(b"").unwrap_err(), "not a JPEG file: it does not begin with FF D8 FF");
        assert_eq!(
            dimensions(&[0xff, SOI, 0xff, 0xe0, 0, 9]).unwrap_err(),
            "no frame header (SOF) before the image data or the end of the file"
        );
    }

    #[test]
    fn few_bytes_do_not_make_a_large_picture() {
        for name in ["pillow_420.jpg", "pillow_420_progressive.jpg"] {
            let mut bytes = read(name);
            let frame = bytes.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
            bytes[frame + 5..frame + 9].copy_from_slice(&[0x34, 0x10, 0x34, 0x10]);
            assert_eq!(dimensions(&bytes), Ok([0x3410; 2]));
            assert!(decode(&bytes).unwrap_err().starts_with("the image data end early:"));
        }
    }

    #[test]
    fn endless_scans_are_refused() {
        let bytes = read("pillow_444_progressive.jpg");
        let last = bytes.windows(2).rposition(|pair| pair == [0xff, SOS]).unwrap();
        let (scan, end) = bytes[last..].split_at(bytes.len() - last - 2);
        let error = decode(&[&bytes[..last], &scan.repeat(501), end].concat()).unwrap_err();
        assert!(error.ends_with("scans, expected 500 at most"), "{error}");
    }

    #[test]
    fn exif_is_the_segments_in_one() {
        let bytes = read("exif.jpg");
        let tiff = exif(&bytes).unwrap();
        assert_eq!((&tiff[..8], tiff.len()), (&b"II*\0\x08\0\0\0"[..], 26));
        assert_eq!(exif(&read("rgb.jpg")), None);
        let (begin, rest) = bytes.split_at(2);
        let again = [begin, &[0xff, APP1, 0, 10], b"Exif\0\0ab", rest].concat();
        assert_eq!(exif(&again).unwrap(), [&b"ab"[..], &tiff].concat());
    }

    proptest! {
        /// Wherever bytes are changed: pixels of the size that the header says, or an error, and the same again.
        #[test]
        fn damage_is_decoded_or_refused(which in 0..8usize, damage in prop::collection::vec((0..4096usize, any::<u8>()), 1..8)) {
            let name = ["420_64x64_q75_progressive", "444_13x7_q75", "restart_1_blocks", "arithmetic", "cmyk_420", "ycck_444_progressive",
                "gray_64x64", "a_scan_each"][which];
            let mut bytes = read(&format!("{name}.jpg"));
            for (at, value) in damage {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let decoded = decode(&bytes);
            if let Ok(decoded) = &decoded {
                prop_assert_eq!(decoded.pixels.len(), decoded.height * decoded.width * decoded.channels);
            }
            prop_assert_eq!(&decoded, &decode(&bytes));
        }
    }
}

//! Files that a client sends inside its request as data URLs: images and arrays, nothing else.

use crate::problem::Problem;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ddim_engine::npy_shape;
use std::path::PathBuf;

/// What may be sent.
pub(crate) const EXPECTED: &str = "a data URL in base64 of a PNG, JPEG, WebP, GIF or .npy file";

/// What an array may take besides its numbers.
const NPY_HEAD: usize = 4096;

/// Bytes of the largest number of an array, an f64.
const LARGEST: usize = 8;

/// A file that was sent inside a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its field with an extension for its format, such as `input.png`.
    pub name: PathBuf,
    /// The contents of the file.
    pub bytes: Vec<u8>,
}

/// Reads the data URL of a field; an array has `images` images and as many `numbers` at most.
///
/// # Errors
/// No data URL, another kind of file, one that is too large.
pub(crate) fn read(field: &str, url: &str, images: usize, numbers: usize) -> Result<File, Problem> {
    let wrong = |found: &str| Problem::field(field, format!("{found}: expected {EXPECTED}"));
    let data = url.strip_prefix("data:").ok_or_else(|| wrong("not a data URL"))?;
    let (kind, data) = data.split_once(',').ok_or_else(|| wrong("a data URL without data"))?;
    if !kind.ends_with(";base64") {
        return Err(wrong("a data URL that is not in base64"));
    }
    let bytes = BASE64_STANDARD.decode(data).map_err(|error| wrong(&format!("base64: {error}")))?;
    // What it is called is of no account; what it is, it says itself.
    let end = match &bytes[..] {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "npy",
        _ => return Err(wrong(&format!("{} bytes of another format", bytes.len()))),
    };
    // Of pictures, the engine's decoder refuses those that are too large by their headers.
    if end == "npy" {
        // Of an array that is none, what reads it says so; it has no more bytes than one of bytes.
        let shape = npy_shape(&bytes).ok();
        let most_bytes = numbers.saturating_mul(if shape.is_some() { LARGEST } else { 1 }).saturating_add(NPY_HEAD);
        let shape = shape.unwrap_or_default();
        let found = shape.iter().fold(1, |all: u128, n| all.saturating_mul((*n).into()));
        let of_images = shape.first().map_or(0, |n| (*n).into());
        let most = [(of_images, images, "images"), (found, numbers, "numbers"), (bytes.len() as u128, most_bytes, "bytes")];
        if let Some((n, most, what)) = most.into_iter().find(|(n, most, _)| *n > *most as u128) {
            return Err(Problem::field(field, format!("an array of {n} {what}: expected {most} at most")));
        }
    }
    Ok(File { name: format!("{field}.{end}").into(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_say_themselves() {
        let url = |bytes: &[u8]| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
        let read = |url: &str| read("input", url, 5, 100).map(|file| file.name.display().to_string()).map_err(|problem| problem.message);
        assert_eq!(read(&url(b"\x89PNG\r\n")), Ok("input.png".to_owned()));
        assert_eq!(read(&url(b"\xff\xd8\xff\xe0")), Ok("input.jpg".to_owned()));
        assert_eq!(read(&url(b"RIFF....WEBPVP8 ")), Ok("input.webp".to_owned()));
        assert_eq!(read(&url(b"\x93NUMPY\x01\x00")), Ok("input.npy".to_owned()));
        for wrong in ["/etc/passwd", "data:", "data:,x", "data:image/png,x", "data:image/png;base64,?", &url(b"PK\x03\x04"), &url(b"")] {
            assert!(read(wrong).is_err_and(|message| message.starts_with("`input`: ")), "{wrong}");
        }
        assert!(read(&url(&[b"\x93NUMPY", &[0; 5000][..]].concat())).is_err());
        let array = url(&[b"\x93NUMPY", &[0; 5000][..]].concat());
        assert!(super::read("input", &array, usize::MAX, usize::MAX).is_ok(), "no bound is no bound");
        // Whatever its numbers are, and however its header is written.
        let array = |shape: &str| {
            let head = format!("{{\"shape\":{shape}, 'fortran_order': False, 'descr': '|u1'}}\n");
            let len = u16::try_from(head.len()).unwrap().to_le_bytes();
            url(&[b"\x93NUMPY\x01\x00", &len[..], head.as_bytes()].concat())
        };
        assert_eq!(read(&array("(5,1,4,5)")), Ok("input.npy".to_owned()));
        let said = |n: &str, most: &str| Err(format!("`input`: an array of {n}: expected {most} at most"));
        assert_eq!(read(&array("(6, 1, 1, 1)")), said("6 images", "5"));
        assert_eq!(read(&array("(5, 1, 3, 7)")), said("105 numbers", "100"));
        assert_eq!(read(&array("(5, 18446744073709551615, 18446744073709551615, 2)")), said(&format!("{} numbers", u128::MAX), "100"));
        assert!(super::read("input", &array("(600, 9, 9)"), usize::MAX, usize::MAX).is_ok(), "no bound is no bound");
    }
}

//! Files that a client sends within its request, as data URLs: pictures and arrays, nothing else.

use crate::problem::Problem;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::path::PathBuf;

/// What may be sent.
pub(crate) const EXPECTED: &str = "a data URL in base64 of a PNG, JPEG, WebP, GIF or .npy file";

/// What an array may take besides its numbers.
const NPY_HEAD: usize = 4096;

/// A file that came within a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its field and what it is: `input.png`.
    pub name: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Reads the data URL of a field; an array has `numbers` bytes at most.
///
/// # Errors
/// No data URL, another kind of file, one that is too large.
pub(crate) fn read(field: &str, url: &str, numbers: usize) -> Result<File, Problem> {
    let wrong = |found: &str| Problem::field(field, format!("{found}: expected {EXPECTED}"));
    let data = url.strip_prefix("data:").ok_or_else(|| wrong("no data URL"))?;
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
        _ => return Err(wrong(&format!("{} bytes of another kind", bytes.len()))),
    };
    // Of pictures, the engine's decoder refuses those that are too large by their headers.
    let numbers = if end == "npy" { numbers / 4 * element(&bytes) } else { numbers };
    if end == "npy" && bytes.len() > numbers.saturating_add(NPY_HEAD) {
        return Err(Problem::field(field, format!("an array of {} bytes: expected {numbers} at most, here", bytes.len())));
    }
    Ok(File { name: format!("{field}.{end}").into(), bytes })
}

/// Bytes of one number of an array: `'descr': '<f4'`. Of what is not understood, 1: what reads it then says so.
fn element(npy: &[u8]) -> usize {
    const DESCR: &[u8] = b"'descr': '";
    let head = &npy[..npy.len().min(NPY_HEAD)];
    let at = head.windows(DESCR.len()).position(|window| window == DESCR).map(|at| at + DESCR.len() + 2);
    at.and_then(|at| head.get(at)).filter(|digit| (b'1'..=b'8').contains(digit)).map_or(1, |digit| usize::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_say_themselves() {
        let url = |bytes: &[u8]| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
        let read = |url: &str| read("input", url, 100).map(|file| file.name.display().to_string()).map_err(|problem| problem.message);
        assert_eq!(read(&url(b"\x89PNG\r\n")), Ok("input.png".to_owned()));
        assert_eq!(read(&url(b"\xff\xd8\xff\xe0")), Ok("input.jpg".to_owned()));
        assert_eq!(read(&url(b"RIFF....WEBPVP8 ")), Ok("input.webp".to_owned()));
        assert_eq!(read(&url(b"\x93NUMPY\x01\x00")), Ok("input.npy".to_owned()));
        for wrong in ["/etc/passwd", "data:", "data:,x", "data:image/png,x", "data:image/png;base64,?", &url(b"PK\x03\x04"), &url(b"")] {
            assert!(read(wrong).is_err_and(|message| message.starts_with("`input`: ")), "{wrong}");
        }
        assert!(read(&url(&[b"\x93NUMPY", &[0; 5000][..]].concat())).is_err());
        let array = |descr: &str, bytes: usize| {
            url(&[b"\x93NUMPY\x01\x00v\x00{'descr': '", descr.as_bytes(), b"', ", &vec![0; NPY_HEAD + bytes][..]].concat())
        };
        // 400 bytes are 100 numbers, whatever they take.
        for (descr, bytes) in [("<f4", 350), ("|u1", 50), ("<f8", 700)] {
            assert!(super::read("input", &array(descr, bytes), 400).is_ok(), "{descr}");
            assert!(super::read("input", &array(descr, bytes + 200), 400).is_err(), "{descr}");
        }
        let array = url(&[b"\x93NUMPY", &[0; 5000][..]].concat());
        assert!(super::read("input", &array, usize::MAX).is_ok(), "no bound is no bound");
    }
}

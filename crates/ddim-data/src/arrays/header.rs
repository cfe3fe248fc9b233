//! The header of a `.npy` file, NEP 1.

use super::numbers::Numbers;
use crate::batch::Step;
use std::io::Read;

/// What a `.npy` file says of its array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) descr: String,
    /// None for types that are not read.
    pub(super) numbers: Option<Numbers>,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Bytes of the file before the array's.
    pub(super) len: u64,
}

/// The longest header, of which NumPy reads 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 16;

impl Header {
    pub(super) fn read(reader: &mut impl Read) -> Step<Self> {
        let mut first = Vec::new();
        reader.take(8).read_to_end(&mut first).map_err(|e| e.to_string())?;
        if first.len() < 8 || first[..6] != *b"\x93NUMPY" {
            return Err("not a .npy file: it does not begin as one".into());
        }
        let width = match (first[6], first[7]) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            (major, minor) => return Err(format!("not a .npy file: version {major}.{minor}: expected 1.0 to 3.0")),
        };
        let mut len = [0; 4];
        reader.read_exact(&mut len[..width]).map_err(|_| "not a .npy file: it ends within its header")?;
        let len = u32::from_le_bytes(len) as usize;
        if len > LONGEST_HEADER {
            return Err(format!("not a .npy file: a header of {len} bytes"));
        }
        let mut text = Vec::new();
        reader.take(len as u64).read_to_end(&mut text).map_err(|e| e.to_string())?;
        if text.len() < len {
            return Err("not a .npy file: it ends within its header".into());
        }
        let parsed = Literal { text: &text, at: 0 }.header();
        let (descr, fortran, shape) = parsed.ok_or("not a .npy file: a header without descr, fortran_order and shape")?;
        let numbers = Numbers::parse(&descr);
        Ok(Self { descr, numbers, fortran, shape, len: (8 + width + len) as u64 })
    }

    /// Bytes of the array; more than any file where that is no number.
    pub(super) fn bytes(&self, size: usize) -> u128 {
        self.shape.iter().fold(size as u128, |total, &n| total.saturating_mul(n.into()))
    }

    /// The error of an array of which `found` bytes are there.
    pub(super) fn short(&self, found: u64, numbers: Numbers) -> String {
        format!("too short for shape {:?}: {found} bytes of data: expected {}", self.shape, self.bytes(numbers.size))
    }

    /// Like NumPy's own way of saying it.
    pub(super) fn said(&self) -> String {
        format!("{} {:?}", self.descr, self.shape)
    }
}

/// The Python literal of a header. It knows no nesting but that of a type, which is passed over.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn header(mut self) -> Option<(String, bool, Vec<u64>)> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.skip(b'{')?;
        loop {
            match self.next()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let key = self.string()?;
                    self.skip(b':')?;
                    match key.as_str() {
                        "descr" => descr = Some(self.dtype()?),
                        "fortran_order" => fortran = Some(self.boolean()?),
                        "shape" => shape = Some(self.shape()?),
                        _ => return None,
                    }
                }
            }
        }
        Some((descr?, fortran?, shape?))
    }

    /// The next byte that is no space, which stays.
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, expected: u8) -> Option<()> {
        let found = self.next()?;
        self.at += 1;
        (found == expected).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.next().filter(|b| matches!(b, b'\'' | b'"'))?;
        let rest = &self.text[self.at + 1..];
        let len = rest.iter().position(|b| *b == quote)?;
        self.at += len + 2;
        Some(String::from_utf8_lossy(&rest[..len]).into_owned())
    }

    /// A plain type, or the beginning of what a record is written as.
    fn dtype(&mut self) -> Option<String> {
        if self.next()? != b'[' {
            return self.string();
        }
        let (start, mut depth, mut quote) = (self.at, 0usize, None);
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match (quote, byte) {
                (Some(open), _) => quote = Some(open).filter(|open| *open != byte),
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[') => depth += 1,
                (None, b']') if depth == 1 => break,
                (None, b']') => depth -= 1,
                _ => (),
            }
        }
        let whole = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        Some(if whole.chars().count() > 60 { whole.chars().take(60).chain("...".chars()).collect() } else { whole })
    }

    fn boolean(&mut self) -> Option<bool> {
        self.next()?;
        let rest = &self.text[self.at..];
        let value = [(&b"True"[..], true), (b"False", false)].into_iter().find(|(word, _)| rest.starts_with(word));
        value.map(|(word, value)| {
            self.at += word.len();
            value
        })
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        let end = match self.next()? {
            b'(' => b')',
            b'[' => b']',
            _ => return None,
        };
        self.at += 1;
        let mut shape = Vec::new();
        loop {
            match self.next()? {
                b if b == end => {
                    self.at += 1;
                    // NumPy has 64 dimensions at most.
                    return (shape.len() <= 64).then_some(shape);
                }
                b',' => self.at += 1,
                _ => {
                    let digits = self.text[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
                    let number = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok()?;
                    shape.push(number.parse().ok()?);
                    self.at += digits;
                    // Python 2's long integers.
                    self.at += usize::from(self.text.get(self.at) == Some(&b'L'));
                }
            }
        }
    }
}

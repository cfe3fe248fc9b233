//! The number types of arrays.

use half::f16;

/// What numbers an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

/// The type of an array's numbers, as NumPy spells it: `|u1`, `<f4`, `>i8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(super) kind: Kind,
    /// Bytes of a number.
    pub(crate) size: usize,
    big: bool,
}

impl Numbers {
    /// None for types that hold no real numbers, or longer ones than f64.
    pub(crate) fn parse(descr: &str) -> Option<Self> {
        let (big, rest) = match descr.as_bytes().first()? {
            b'>' => (true, &descr[1..]),
            b'<' | b'|' | b'=' => (false, &descr[1..]),
            _ => (false, descr),
        };
        let (kind, size) = match rest {
            "b1" | "?" => (Kind::Bool, 1),
            "u1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "f2" => (Kind::Float, 2),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self { kind, size, big })
    }

    pub(super) fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// Whether these are unsigned bytes.
    pub(crate) fn is_byte(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// The number in `bytes`, of which there are `size`; integers beyond 2⁵³ are rounded.
    fn number(self, bytes: &[u8]) -> f64 {
        let mut b = [0; 8];
        b[..self.size].copy_from_slice(&bytes[..self.size]);
        if self.big {
            b[..self.size].reverse();
        }
        let whole = u64::from_le_bytes(b);
        match (self.kind, self.size) {
            (Kind::Float, 2) => f64::from(f16::from_bits(whole as u16).to_f32()),
            (Kind::Float, 4) => f64::from(f32::from_bits(whole as u32)),
            (Kind::Float, _) => f64::from_bits(whole),
            (Kind::Signed, size) => {
                let unused = 64 - 8 * size as u32;
                (((whole << unused) as i64) >> unused) as f64
            }
            (Kind::Bool | Kind::Unsigned, _) => whole as f64,
        }
    }

    /// All numbers of `bytes`.
    pub(crate) fn numbers(self, bytes: &[u8]) -> impl Iterator<Item = f64> {
        bytes.chunks_exact(self.size).map(move |b| self.number(b))
    }

    /// All numbers of `bytes` as f32.
    pub(super) fn singles(self, bytes: &[u8], out: &mut Vec<f32>) {
        match (self.kind, self.size, self.big) {
            // The one that is common and large.
            (Kind::Float, 4, false) => out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            _ => out.extend(self.numbers(bytes).map(|x| x as f32)),
        }
    }
}

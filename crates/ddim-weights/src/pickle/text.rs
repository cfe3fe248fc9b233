//! Text and bytes as pickles of all protocols write them.

/// Bytes from text of the characters that Latin-1 has, in UTF-8.
pub(super) fn latin_1(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            0..0x80 => *byte,
            0xc2 | 0xc3 => (byte << 6) | (rest.next().filter(|b| **b & 0xc0 == 0x80)? & 0x3f),
            _ => return None,
        });
    }
    Some(bytes)
}

/// Python 2's `repr` of a string, read back.
pub(super) fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner = match line {
        [a @ (b'\'' | b'"'), inner @ .., b] if a == b => inner,
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [escape, more @ ..] = rest else { return None };
        rest = more;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other, // a quote or a backslash
        });
    }
    Some(bytes)
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [first, more @ ..] = rest {
        let digits = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            _ => 0,
        };
        let escaped = rest.get(2..2 + digits).filter(|_| digits > 0).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                text.push(c);
                rest = &rest[2 + digits..];
            }
            None => {
                text.push(char::from(*first));
                rest = more;
            }
        }
    }
    text
}

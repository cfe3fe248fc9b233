//! Paths as they are typed in a shell.

use std::path::Path;

/// Returns a path as a word of a POSIX shell, quoted if necessary (bytes that are not Unicode in the syntax of bash, zsh and ksh).
pub fn quoted(path: &Path) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match path.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => {
            let byte = |b: &u8| match *b {
                b'\'' | b'\\' => format!("\\{}", *b as char),
                b' '..=b'~' => (*b as char).to_string(),
                other => format!("\\x{other:02x}"),
            };
            format!("$'{}'", path.as_os_str().as_encoded_bytes().iter().map(byte).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        for (path, word) in [("a/b-1.x", "a/b-1.x"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("写真", "写真")] {
            assert_eq!(quoted(Path::new(path)), word);
        }
        #[cfg(unix)]
        {
            let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9's");
            assert_eq!(quoted(Path::new(path)), r"$'caf\xe9\'s'");
        }
    }
}

//! Words for people: on standard error a line at a time, and on standard output as a terminal should get them.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// Writes a line to standard error. A closed one is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// `text` for standard output: as it is, for a program that reads file names, or [`printable`] on a terminal.
pub(crate) fn for_stdout(text: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() { printable(text) } else { Cow::Borrowed(text) }
}

/// `text` with control characters other than ends of lines and tabs as escapes: names of classes, files and tensors come from elsewhere, and are
/// not to move a terminal's cursor or to set its title.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let raw = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(raw) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if raw(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        assert_eq!(printable("cat\u{1b}[2J\r\u{9b}1A"), "cat\\u{1b}[2J\\r\\u{9b}1A");
        for kept in ["", "süß 猫 🐈", "two\n\tlines"] {
            assert!(matches!(printable(kept), Cow::Borrowed(same) if same == kept));
        }
    }
}

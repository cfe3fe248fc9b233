//! Model ids on the hub.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What `name` without a revision means.
const MAIN: &str = "main";

/// A model id on the hub with an optional revision: `owner/name@revision`, where the revision is a branch, tag or commit and defaults to `main`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubId {
    owner: String,
    name: String,
    revision: String,
}

impl HubId {
    /// The repository, `owner/name`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The name of its folder in the hub's cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl FromStr for HubId {
    type Err = Error;

    /// # Errors
    /// Anything but `owner/name[@revision]` in the characters that the hub allows.
    fn from_str(text: &str) -> Result<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, MAIN));
        match id.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) && !name.ends_with(".git") && is_revision(revision) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned(), revision: revision.to_owned() })
            }
            _ => Err(Error::request(format!(
                "{text:?} is not a hub id: expected OWNER/NAME or OWNER/NAME@REVISION, of letters, digits and single - _ . between them"
            ))),
        }
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        if self.revision == MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// Whether a text has the form of a hub id: exactly one slash before any revision, and only the hub's characters.
///
/// Many relative paths have this form too, so check first whether such a folder exists.
pub fn is_hub_id(text: &str) -> bool {
    text.parse::<HubId>().is_ok()
}

/// An owner or a name, by the hub's rules (`huggingface_hub.utils.validate_repo_id`).
fn is_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=96).contains(&part.len())
        && part.chars().all(|c| word(c) || matches!(c, '-' | '.'))
        && part.starts_with(word)
        && part.ends_with(word)
        && !part.contains("--")
        && !part.contains("..")
}

/// By git's rules for references, which also keep it a path below a folder.
fn is_revision(revision: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '~' | '^' | ':' | '?' | '*' | '[' | '@');
    let component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock");
    revision.len() <= 255 && !revision.contains(bad) && !revision.contains("..") && revision.split('/').all(component)
}

/// Whether a revision is a commit's whole name, which means the same files for ever.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (text, repository, revision) in [
            ("google/ddpm-cifar10-32", "google/ddpm-cifar10-32", "main"),
            ("a/b", "a/b", "main"),
            ("dboshardy/ddim.butterflies_128", "dboshardy/ddim.butterflies_128", "main"),
            ("a/b@v1.0", "a/b", "v1.0"),
            ("a/b@refs/pr/1", "a/b", "refs/pr/1"),
            ("a/b@main", "a/b", "main"),
        ] {
            let id: HubId = text.parse().unwrap();
            assert_eq!((id.repository().as_str(), id.revision()), (repository, revision));
            assert_eq!(id.to_string(), text.trim_end_matches("@main"));
            assert!(is_hub_id(text));
        }
    }

    #[test]
    fn no_ids() {
        let long = format!("a/{}", "b".repeat(97));
        for text in [
            "",
            "/",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "./a",
            "../a",
            "a/..",
            "~/a",
            "a\\b",
            "C:/a",
            "a b/c",
            "a/b--c",
            "-a/b",
            "a/b.",
            "a/b.git",
            "ä/b",
            "a/b@",
            "a/b@../c",
            "a/b@/c",
            "a/b@c/",
            "a/b@c d",
            "a/b@c@d",
            "a/b@.c",
            "a/b@c\\d",
            "https://huggingface.co/a/b",
            &long,
        ] {
            assert!(!is_hub_id(text), "{text}");
        }
        let error = "a/b/c".parse::<HubId>().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Request);
        assert!(error.to_string().contains("\"a/b/c\""));
    }
}

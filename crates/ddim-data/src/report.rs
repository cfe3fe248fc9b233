//! What was left out of the images of a place, and warnings. Callers print these in their own way.

use crate::error::Error;
use std::path::PathBuf;

/// What was found beside the images that were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What was left out, and why.
    pub left_out: Vec<LeftOut>,
    /// What may not be as intended.
    pub warnings: Vec<Warning>,
}

/// Something that is not among the images.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LeftOut {
    /// A file or folder that could not be read, under [`BadFiles::Skip`](crate::BadFiles::Skip).
    Bad(Error),
    /// Image files of unsupported formats: their endings, and how many of each.
    OtherFormats(Vec<(String, usize)>),
    /// Links that lead nowhere and whose names are not those of images.
    DanglingLinks(Vec<PathBuf>),
    /// The folder of a training run or of a sweep.
    Run(PathBuf),
}

/// Something that may not be as intended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The "classes" are in fact the parts of a data set.
    PartsAsClasses(Vec<String>),
    /// A class whose files were all left out; the others keep their numbers.
    EmptyClass {
        /// Its number.
        class: usize,
        /// Its name; empty if it has none.
        name: String,
    },
    /// A message from a reader of arrays or archives.
    Said(String),
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bad(error) => error.fmt(f),
            Self::OtherFormats(kinds) => {
                let total: usize = kinds.iter().map(|(_, n)| n).sum();
                let each: Vec<String> = kinds
                    .iter()
                    .map(
                        |(ending, n)| {
                            if ending.contains(char::is_whitespace) { format!("\"{ending}\" {n}") } else { format!("{ending} {n}") }
                        },
                    )
                    .collect();
                let files = if total == 1 { "file" } else { "files" };
                write!(f, "{total} image {files} of unsupported formats ({})", each.join(", "))
            }
            Self::DanglingLinks(paths) => {
                let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
                write!(f, "{}{more}: broken links", paths[0].display())
            }
            Self::Run(path) => write!(f, "{}: part of a run", path.display()),
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PartsAsClasses(names) => {
                write!(
                    f,
                    "the classes are {}, named like the splits of a data set: give one of these folders to use its own classes",
                    names.join(", ")
                )
            }
            Self::EmptyClass { class, name } => {
                let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
                write!(f, "class {class}{name} has no images left: all of its files were left out; the others keep their numbers")
            }
            Self::Said(text) => f.write_str(text),
        }
    }
}

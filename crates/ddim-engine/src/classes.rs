//! Which classes the images of a conditional model have: `classes` of a request in numbers.

use crate::error::{Error, Result};
use crate::job::Watch;
use ddim::noise::{Draw, Key};
use std::path::Path;

/// The class of every image: a function of its number alone, whatever the batches.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    kind: Kind,
    /// As a flag of the command line: ` --classes 0,2`.
    flag: String,
    names: Vec<String>,
}

#[derive(Debug, Clone)]
enum Kind {
    None,
    /// Images take them in turn.
    Turns(Vec<usize>),
    /// Of so many.
    Random(usize),
}

impl Classes {
    /// What a request says, for a model that has classes of these names (as far as they are known) and, where that is known, so many of them.
    pub(crate) fn new(value: Option<&Path>, names: &[String], count: Option<usize>, watch: &Watch<'_>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self { kind: Kind::None, flag: String::new(), names: names.to_vec() }) };
        let kind = Known { names, count, watch }.read(value)?;
        Ok(Self { kind, flag: format!(" --classes {}", value.display()), names: names.to_vec() })
    }

    /// Whether the request said none.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.kind, Kind::None)
    }

    /// As a flag of the command line, after a space; empty where none were asked for.
    pub(crate) fn flag(&self) -> &str {
        &self.flag
    }

    /// The class of an image of a seed.
    pub(crate) fn of(&self, seed: u64, image: usize) -> Option<usize> {
        match &self.kind {
            Kind::None => None,
            Kind::Turns(labels) => Some(labels[image % labels.len()]),
            Kind::Random(count) => Some(Key { seed, image: image as u64, draw: Draw::Class }.stream().below(*count as u64) as usize),
        }
    }

    /// The class of an image in words, where there is one.
    pub(crate) fn said(&self, seed: u64, image: usize) -> Option<String> {
        let label = self.of(seed, image)?;
        Some(self.names.get(label).map_or_else(|| format!("class {label}"), |name| format!("class {label}, {name}")))
    }
}

/// The field of a request.
const FIELD: &str = "classes";

/// What is known of a model's classes.
struct Known<'a, 'w> {
    names: &'a [String],
    count: Option<usize>,
    watch: &'a Watch<'w>,
}

impl Known<'_, '_> {
    fn read(&self, value: &Path) -> Result<Kind> {
        let text = value.to_str();
        if let Some(word @ ("each" | "random")) = text {
            // A class without a name may stand for none, as where labels were dropped in training.
            let count = if self.names.is_empty() { self.count } else { Some(self.names.len()) };
            let unknown = || Error::field(FIELD, format!("{word}: the model does not say how many classes it has: expected numbers"));
            let count = count.filter(|count| *count > 0).ok_or_else(unknown)?;
            return Ok(if word == "each" { Kind::Turns((0..count).collect()) } else { Kind::Random(count) });
        }
        let wrong = match text.map(|text| self.list(text)) {
            Some(Ok(labels)) => return Ok(Kind::Turns(labels)),
            Some(Err(message)) => message,
            None => format!("{}: no such file", value.display()),
        };
        if value.is_file() { self.file(value).map(Kind::Turns) } else { Err(Error::field(FIELD, wrong)) }
    }

    /// Labels with commas between; a name may hold commas itself.
    fn list(&self, text: &str) -> std::result::Result<Vec<usize>, String> {
        if let Some(label) = self.names.iter().position(|name| text.contains(',') && name == text) {
            return Ok(vec![label]);
        }
        text.split(',').map(|item| self.label(item.trim())).collect()
    }

    /// A text file with one label a line.
    fn file(&self, path: &Path) -> Result<Vec<usize>> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let labels = text
            .trim_end()
            .lines()
            .enumerate()
            .map(|(i, line)| self.label(line.trim()).map_err(|message| Error::file(path, format!("line {}: {message}", i + 1))));
        let labels = labels.collect::<Result<Vec<_>>>()?;
        if labels.is_empty() {
            return Err(Error::file(path, "no classes in it: expected one per line"));
        }
        Ok(labels)
    }

    fn label(&self, item: &str) -> std::result::Result<usize, String> {
        let named = self.names.iter().position(|name| name == item || name.split(',').any(|one| one.trim() == item));
        match (item.parse::<usize>(), named) {
            (Ok(label), named) if self.count.is_none_or(|count| label < count) => {
                if let Some(other) = named.filter(|other| *other != label) {
                    let called = format!("class number {item}; the class that is called {item} has number {other}");
                    self.watch.note(format!("`{FIELD}` {item}: {called}"));
                }
                Ok(label)
            }
            (_, Some(named)) if !item.is_empty() => Ok(named),
            _ => Err(format!("{item:?}: expected {}", self.expected())),
        }
    }

    fn expected(&self) -> String {
        const SHOWN: usize = 10;
        let number = self.count.map_or("numbers".to_owned(), |count| format!("0 to {}", count - 1));
        let more = if self.names.len() > SHOWN { ", ..." } else { "" };
        match self.names {
            [] => format!("{number}, each, random, or a file of them"),
            names => format!("{number} or a name ({}{more}), each, random, or a file of them", names[..names.len().min(SHOWN)].join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Control;

    fn classes(value: &str, names: &[&str], count: Option<usize>) -> std::result::Result<Vec<usize>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut silent = |_| {};
        let watch = Watch::new(Control::default(), None, &mut silent);
        let classes = Classes::new(Some(value.as_ref()), &names, count, &watch).map_err(|e| e.to_string())?;
        assert_eq!(classes.flag(), format!(" --classes {value}"));
        Ok((0..7).map(|i| classes.of(3, i).unwrap()).collect())
    }

    #[test]
    fn numbers_names_and_all() {
        let pets = ["cat", "dog", "tench, Tinca tinca"];
        assert_eq!(classes("1", &[], Some(5)).unwrap(), [1; 7]);
        assert_eq!(classes("0,2,cat", &pets, Some(3)).unwrap(), [0, 2, 0, 0, 2, 0, 0]);
        assert_eq!(classes("tench, Tinca tinca", &pets, Some(4)).unwrap(), [2; 7]);
        assert_eq!(classes("Tinca tinca, dog", &pets, Some(4)).unwrap(), [2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(classes("each", &pets, Some(4)).unwrap(), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(classes("each", &[], Some(2)).unwrap(), [0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(classes("900", &[], None).unwrap(), [900; 7]);
        // A name that looks like a number, where there is no such number.
        assert_eq!(classes("7", &["3", "7"], Some(2)).unwrap(), [1; 7]);
        let random = classes("random", &pets, Some(4)).unwrap();
        assert!(random.iter().all(|label| *label < 3) && random.iter().any(|label| *label != random[0]), "{random:?}");
        for (value, word) in [("5", "0 to 4"), ("0,,1", "\"\""), ("cow", "\"cow\""), ("-1", "\"-1\""), ("0,5", "\"5\"")] {
            let error = classes(value, &[], Some(5)).unwrap_err();
            assert!(error.starts_with("`classes`: ") && error.contains(word), "{error}");
        }
        assert!(classes("each", &[], None).unwrap_err().contains("how many"));
    }
}

//! Parsing of classes: from the names that a model and a request use to numbers.

use crate::error::{Error, Result};
use crate::job::Watch;
use ddim_nn::Pipeline;
use std::collections::BTreeMap;
use std::path::Path;

/// What an image is to show: classes by their numbers, ascending, with shares that sum to 1. One class has the share 1.
pub(crate) type Mixture = Vec<(usize, f64)>;

/// The field of a request that says the classes of all.
pub(crate) const FIELD: &str = "classes";
/// The classes of the images that a request reads.
pub(crate) const DATA: &str = "data";
/// Classes drawn as often as the images of a reference have them.
pub(crate) const REFERENCE: &str = "reference";
/// All of a model in turn.
pub(crate) const EACH: &str = "each";
/// Any of a model.
const RANDOM: &str = "random";
/// No class, of a model whose training dropped labels.
const NONE: &str = "none";

/// What images are to show.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    None,
    /// Images take them in turn.
    Turns(Vec<Mixture>),
    /// Of so many.
    Random(usize),
    /// At random, by how many images have a class below the next.
    Drawn(Vec<u64>),
    /// What only images will tell: [`DATA`] or [`REFERENCE`].
    Awaited(&'static str),
}

/// Labels by their weights, each once, with shares that sum to 1.
pub(crate) fn normalised(terms: impl Iterator<Item = (usize, f64)>) -> Mixture {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    terms.filter(|(_, weight)| *weight > 0.0).for_each(|(label, weight)| *sums.entry(label).or_default() += weight);
    let total: f64 = sums.values().sum();
    sums.into_iter().map(|(label, sum)| (label, sum / total)).collect()
}

/// What is known of a model's classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) names: Vec<String>,
    /// Rows of its table, the null class among them.
    count: Option<usize>,
    /// How many stand for something.
    real: Option<usize>,
    /// The one that stands for nothing.
    pub(crate) null: Option<usize>,
    /// Whether its network is told of no class at all.
    lacks_classes: bool,
}

impl Known {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let known = Self::new(&pipeline.classes, pipeline.classes_count(), pipeline.null_class());
        Self { lacks_classes: !pipeline.config.is_conditional(), ..known }
    }

    pub(crate) fn new(names: &[String], count: Option<usize>, null: Option<usize>) -> Self {
        // A class without a name may stand for none, as where labels were dropped in training.
        let real = if names.is_empty() { null.or(count) } else { Some(names.len()) };
        Self { names: names.to_vec(), count, real, null, lacks_classes: false }
    }

    /// Whether it is known how many classes there are, and there are some.
    pub(crate) fn has_some(&self) -> bool {
        self.real.is_some_and(|count| count > 0)
    }

    /// The class of this name, or of several names with commas between of which this is one.
    fn named(&self, item: &str) -> Option<usize> {
        let whole = self.names.iter().position(|name| name == item);
        whole.or_else(|| self.names.iter().position(|name| name.split(',').any(|one| one.trim() == item)))
    }

    /// The model's numbers of classes of images: by name where the images' classes have names that the model knows; else the same numbers.
    pub(crate) fn numbers_of(
        &self,
        classes: impl Iterator<Item = usize>,
        names: &[String],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<usize, usize>> {
        let reader = Reader { field: FIELD, known: self, watch };
        let mut numbers = BTreeMap::new();
        for class in classes {
            if numbers.contains_key(&class) {
                continue;
            }
            // Names first: a folder called 1 is the class that is called 1, whatever its number.
            let label = |name: &String| self.named(name).map_or_else(|| reader.number_or_name(name), Ok);
            let called = names.get(class).map(|name| label(name).map_err(|wrong| format!("the images' class {wrong}")));
            let number = match called {
                Some(Ok(number)) => number,
                Some(Err(wrong)) if !self.names.is_empty() => return Err(Error::field(FIELD, wrong)),
                _ => class,
            };
            if let Some(count) = self.count.filter(|count| number >= *count) {
                return Err(Error::field(FIELD, format!("the images' class {number}: expected 0 to {}", count - 1)));
            }
            numbers.insert(class, number);
        }
        Ok(numbers)
    }
}

/// Words into numbers.
pub(crate) struct Reader<'a, 'w> {
    pub(crate) field: &'a str,
    pub(crate) known: &'a Known,
    pub(crate) watch: &'a Watch<'w>,
}

impl Reader<'_, '_> {
    pub(crate) fn read(&self, value: &Path) -> Result<Kind> {
        let text = value.to_str();
        if self.known.lacks_classes {
            return Err(Error::field(self.field, format!("{}: the model has no classes", value.display())));
        }
        let is_word = |text: &&str| [DATA, REFERENCE, EACH, RANDOM].contains(text) || (*text == NONE && self.known.null.is_some());
        if let Some(word) = text.filter(is_word) {
            self.not_the_class(word);
            match word {
                DATA => return Ok(Kind::Awaited(DATA)),
                REFERENCE => return Ok(Kind::Awaited(REFERENCE)),
                NONE => return Ok(Kind::None),
                _ => {}
            }
            let unknown = || Error::field(self.field, format!("{word}: the model does not say how many classes it has: expected numbers"));
            let count = self.known.real.filter(|count| *count > 0).ok_or_else(unknown)?;
            return Ok(if word == EACH { Kind::Turns((0..count).map(|k| vec![(k, 1.0)]).collect()) } else { Kind::Random(count) });
        }
        let wrong = match text.map(|text| self.list(text)) {
            Some(Ok(turns)) => return Ok(Kind::Turns(turns)),
            Some(Err(message)) if text.is_some_and(|text| text.contains([',', '+', '*'])) => message,
            Some(Err(message)) => format!("{message}, each, random, or a file of them"),
            None => format!("{}: no such file", value.display()),
        };
        if value.is_dir() {
            return Err(Error::field(self.field, format!("{}: a folder: expected a file of classes, one per line", value.display())));
        }
        if value.is_file() { self.file(value).map(Kind::Turns) } else { Err(Error::field(self.field, wrong)) }
    }

    /// Items with commas between; a name may hold commas itself.
    pub(crate) fn list(&self, text: &str) -> std::result::Result<Vec<Mixture>, String> {
        if let Some(label) = self.known.names.iter().position(|name| text.contains(',') && name == text) {
            return Ok(vec![vec![(label, 1.0)]]);
        }
        text.split(',').map(|item| self.item(item.trim())).collect()
    }

    /// A text file with one item a line.
    fn file(&self, path: &Path) -> Result<Vec<Mixture>> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let items = text
            // Some editors begin a file with U+FEFF.
            .strip_prefix('\u{feff}')
            .unwrap_or(&text)
            .trim_end()
            .lines()
            .enumerate()
            .map(|(i, line)| self.item(line.trim()).map_err(|message| Error::file(path, format!("line {}: {message}", i + 1))));
        let items = items.collect::<Result<Vec<_>>>()?;
        if items.is_empty() {
            return Err(Error::file(path, "no classes in it: expected one per line"));
        }
        Ok(items)
    }

    /// A label, or several with their weights: `cat+dog`, `0.3*cat+0.7*dog`.
    fn item(&self, item: &str) -> std::result::Result<Mixture, String> {
        match self.label(item) {
            Ok(label) => Ok(vec![(label, 1.0)]),
            // A name may hold either sign itself.
            Err(_) if item.contains(['+', '*']) => {
                let terms = item.split('+').map(|term| self.term(term.trim())).collect::<std::result::Result<Vec<_>, _>>()?;
                Ok(normalised(terms.into_iter()))
            }
            Err(wrong) => Err(wrong),
        }
    }

    fn term(&self, term: &str) -> std::result::Result<(usize, f64), String> {
        let Some((weight, name)) = term.split_once('*') else { return Ok((self.label(term)?, 1.0)) };
        // Of sensible size, so that sums are too.
        match weight.trim().parse::<f64>() {
            Ok(weight) if (1e-6..=1e6).contains(&weight) => Ok((self.label(name.trim())?, weight)),
            _ => Err(format!(
                "{term:?}: expected a weight above 0 and a class, such as 0.3*{}",
                self.known.names.first().map_or("1", |name| name)
            )),
        }
    }

    /// Notes that a word does not stand for the class that is called so, where one is.
    fn not_the_class(&self, word: &str) {
        if let Some(number) = self.known.named(word) {
            self.watch.note(format!("`{}` {word}: read as the keyword, not as the class named {word} (number {number})", self.field));
        }
    }

    fn label(&self, item: &str) -> std::result::Result<usize, String> {
        if let Some(null) = self.known.null.filter(|_| item == NONE) {
            self.not_the_class(NONE);
            return Ok(null);
        }
        self.number_or_name(item)
    }

    fn number_or_name(&self, item: &str) -> std::result::Result<usize, String> {
        let Known { count, .. } = self.known;
        match (item.parse::<usize>(), self.known.named(item)) {
            (Ok(label), named) if count.is_none_or(|count| label < count) => {
                if let Some(other) = named.filter(|other| *other != label) {
                    let called = format!("read as class number {item}, not as the class named {item} (number {other})");
                    self.watch.note(format!("`{}` {item}: {called}", self.field));
                }
                Ok(label)
            }
            (_, Some(named)) if !item.is_empty() => Ok(named),
            _ => Err(format!("{item:?}: expected {}", self.expected())),
        }
    }

    fn expected(&self) -> String {
        const SHOWN: usize = 10;
        let Known { names, count, .. } = self.known;
        let number = count.map_or("numbers".to_owned(), |count| format!("0 to {}", count - 1));
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        let none = if self.known.null.is_some() { ", none" } else { "" };
        match &names[..] {
            [] => format!("{number}{none}"),
            names => format!("{number} or a name ({}{more}){none}", names[..names.len().min(SHOWN)].join(", ")),
        }
    }
}

//! Which classes the images of a conditional model have: `classes` of a request in numbers.

use crate::error::{Error, Result};
use crate::job::Watch;
use ddim::noise::{Draw, Key};
use ddim_nn::{Condition, Pipeline};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// What an image is to show: classes by their numbers, ascending, with shares that sum to 1. One class has the share 1.
pub(crate) type Mixture = Vec<(usize, f64)>;

/// The classes of the images that a request reads.
pub(crate) const DATA: &str = "data";
/// Classes drawn as often as the images of a reference have them.
pub(crate) const REFERENCE: &str = "reference";

/// The classes of every image: a function of its number alone, whatever the batches.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    kind: Kind,
    /// As a flag of the command line: ` --classes 0,2`.
    flag: String,
    known: Known,
}

#[derive(Debug, Clone)]
enum Kind {
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

impl Classes {
    /// What a request says in `field`, for a model of `known` classes.
    pub(crate) fn new(field: &str, value: Option<&Path>, known: &Known, watch: &Watch<'_>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self { kind: Kind::None, flag: String::new(), known: known.clone() }) };
        let kind = Reader { field, known, watch }.read(value)?;
        Ok(Self { kind, flag: format!(" --{} {}", field.replace('_', "-"), value.display()), known: known.clone() })
    }

    /// What a request says in another `field` for the same model.
    pub(crate) fn instead(&self, field: &str, value: Option<&Path>, watch: &Watch<'_>) -> Result<Self> {
        Self::new(field, value, &self.known, watch)
    }

    /// Whether the request said none.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.kind, Kind::None)
    }

    /// What images have yet to tell: [`DATA`], [`REFERENCE`], or nothing.
    pub(crate) fn awaited(&self) -> Option<&'static str> {
        if let Kind::Awaited(word) = self.kind { Some(word) } else { None }
    }

    /// Whether classes are drawn by the seed.
    pub(crate) fn is_random(&self) -> bool {
        matches!(self.kind, Kind::Random(_) | Kind::Drawn(_))
    }

    /// How many images take classes in turn before the first comes again; none where they do not.
    pub(crate) fn turns(&self) -> Option<usize> {
        if let Kind::Turns(turns) = &self.kind { Some(turns.len()) } else { None }
    }

    /// As a flag of the command line, after a space; empty where none were asked for.
    pub(crate) fn flag(&self) -> &str {
        &self.flag
    }

    /// The same request, but image k has the k-th of these.
    pub(crate) fn with_each(&self, each: Vec<Mixture>) -> Self {
        Self { kind: Kind::Turns(each), ..self.clone() }
    }

    /// Classes of images that were read, whose data call them `names`.
    pub(crate) fn of_data(&self, labels: &[usize], names: &[String], watch: &Watch<'_>) -> Result<Self> {
        let numbers = self.known.numbers_of(labels.iter().copied(), names, watch)?;
        Ok(self.with_each(labels.iter().map(|label| vec![(numbers[label], 1.0)]).collect()))
    }

    /// Classes drawn as often as `counts` has them, of data that call them `names`.
    pub(crate) fn drawn_as(&self, counts: &[usize], names: &[String], watch: &Watch<'_>) -> Result<Self> {
        let there = (0..counts.len()).filter(|class| counts[*class] > 0);
        let numbers = self.known.numbers_of(there, names, watch)?;
        let most = numbers.values().max().map_or(0, |most| most + 1);
        let mut below = vec![0; most];
        numbers.iter().for_each(|(class, number)| below[*number] += counts[*class] as u64);
        for i in 1..most {
            below[i] += below[i - 1];
        }
        Ok(Self { kind: Kind::Drawn(below), ..self.clone() })
    }

    /// The classes of an image of a seed.
    pub(crate) fn of(&self, seed: u64, image: usize) -> Option<Mixture> {
        let stream = || Key { seed, image: image as u64, draw: Draw::Class }.stream();
        match &self.kind {
            Kind::None | Kind::Awaited(_) => None,
            Kind::Turns(turns) => Some(turns[image % turns.len()].clone()),
            Kind::Random(count) => Some(vec![(stream().below(*count as u64) as usize, 1.0)]),
            Kind::Drawn(below) => {
                let drawn = stream().below(below[below.len() - 1]);
                Some(vec![(below.partition_point(|below| *below <= drawn), 1.0)])
            }
        }
    }

    /// Those of images of a seed, as their network is told.
    pub(crate) fn condition(&self, seed: u64, images: Range<usize>) -> Condition {
        let all: Option<Vec<Mixture>> = images.map(|image| self.of(seed, image)).collect();
        all.filter(|_| !self.is_none()).map_or(Condition::None, condition)
    }

    /// Something of every kind that images may be given, for a network to refuse.
    pub(crate) fn examples(&self) -> Condition {
        match &self.kind {
            Kind::Turns(turns) => condition(turns.clone()),
            // Any network that takes labels has a class 0.
            _ => Condition::Labels(vec![0]),
        }
    }

    /// The class of each image of a seed. None of a model without classes, or where some are mixed.
    pub(crate) fn labels(&self, seed: u64, images: Range<usize>) -> Option<Vec<usize>> {
        images.map(|image| self.of(seed, image).and_then(|mixture| alone(&mixture))).collect()
    }

    /// The classes of each image with their shares, where some are mixed.
    pub(crate) fn mixtures(&self, seed: u64, images: Range<usize>) -> Option<Vec<Mixture>> {
        let all: Vec<Mixture> = images.map(|image| self.of(seed, image)).collect::<Option<_>>()?;
        all.iter().any(|mixture| alone(mixture).is_none()).then_some(all)
    }

    /// The class of an image in words, where there is one.
    pub(crate) fn said(&self, seed: u64, image: usize) -> Option<String> {
        let mixture = self.of(seed, image)?;
        let name = |label: usize| self.known.names.get(label);
        if let Some(label) = alone(&mixture) {
            return Some(name(label).map_or_else(|| format!("class {label}"), |name| format!("class {label}, {name}")));
        }
        let term = |(label, share): &(usize, f64)| format!("{share}*{}", name(*label).map_or_else(|| label.to_string(), String::clone));
        Some(format!("classes {}", mixture.iter().map(term).collect::<Vec<_>>().join("+")))
    }
}

/// The one class of a mixture of one.
fn alone(mixture: &Mixture) -> Option<usize> {
    if let [(label, _)] = mixture[..] { Some(label) } else { None }
}

fn condition(all: Vec<Mixture>) -> Condition {
    match all.iter().map(alone).collect() {
        Some(labels) => Condition::Labels(labels),
        None => Condition::Mixtures(all),
    }
}

/// Mixtures by their weights, as one.
pub(crate) fn mixed<'a>(parts: impl IntoIterator<Item = (&'a Mixture, f64)>) -> Mixture {
    let terms = parts.into_iter().flat_map(|(mixture, weight)| mixture.iter().map(move |(label, share)| (*label, weight * share)));
    normalised(terms)
}

/// Labels by their weights, each once, with shares that sum to 1.
fn normalised(terms: impl Iterator<Item = (usize, f64)>) -> Mixture {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    terms.filter(|(_, weight)| *weight > 0.0).for_each(|(label, weight)| *sums.entry(label).or_default() += weight);
    let total: f64 = sums.values().sum();
    sums.into_iter().map(|(label, sum)| (label, sum / total)).collect()
}

/// What is known of a model's classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    names: Vec<String>,
    /// Rows of its table, the null class among them.
    count: Option<usize>,
    /// How many stand for something.
    real: Option<usize>,
}

impl Known {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        Self::new(&pipeline.classes, pipeline.classes_count(), pipeline.null_class())
    }

    fn new(names: &[String], count: Option<usize>, null: Option<usize>) -> Self {
        // A class without a name may stand for none, as where labels were dropped in training.
        let real = if names.is_empty() { null.or(count) } else { Some(names.len()) };
        Self { names: names.to_vec(), count, real }
    }

    /// The model's numbers of classes of images: by name where the images' classes have names that the model knows; else the same numbers.
    fn numbers_of(&self, classes: impl Iterator<Item = usize>, names: &[String], watch: &Watch<'_>) -> Result<BTreeMap<usize, usize>> {
        let reader = Reader { field: FIELD, known: self, watch };
        let mut numbers = BTreeMap::new();
        for class in classes {
            if numbers.contains_key(&class) {
                continue;
            }
            let called = names.get(class).map(|name| reader.label(name).map_err(|wrong| format!("of the images, {wrong}")));
            let number = match called {
                Some(Ok(number)) => number,
                Some(Err(wrong)) if !self.names.is_empty() => return Err(Error::field(FIELD, wrong)),
                _ => class,
            };
            if let Some(count) = self.count.filter(|count| number >= *count) {
                return Err(Error::field(FIELD, format!("class {number} of the images: expected 0 to {}", count - 1)));
            }
            numbers.insert(class, number);
        }
        Ok(numbers)
    }
}

/// The field of a request that says the classes of all.
pub(crate) const FIELD: &str = "classes";

/// Words into numbers.
struct Reader<'a, 'w> {
    field: &'a str,
    known: &'a Known,
    watch: &'a Watch<'w>,
}

impl Reader<'_, '_> {
    fn read(&self, value: &Path) -> Result<Kind> {
        let text = value.to_str();
        if let Some(word) = text.and_then(|text| [DATA, REFERENCE].into_iter().find(|word| *word == text)) {
            return Ok(Kind::Awaited(word));
        }
        if let Some(word @ ("each" | "random")) = text {
            let unknown = || Error::field(self.field, format!("{word}: the model does not say how many classes it has: expected numbers"));
            let count = self.known.real.filter(|count| *count > 0).ok_or_else(unknown)?;
            return Ok(if word == "each" { Kind::Turns((0..count).map(|k| vec![(k, 1.0)]).collect()) } else { Kind::Random(count) });
        }
        let wrong = match text.map(|text| self.list(text)) {
            Some(Ok(turns)) => return Ok(Kind::Turns(turns)),
            Some(Err(message)) => message,
            None => format!("{}: no such file", value.display()),
        };
        if value.is_file() { self.file(value).map(Kind::Turns) } else { Err(Error::field(self.field, wrong)) }
    }

    /// Items with commas between; a name may hold commas itself.
    fn list(&self, text: &str) -> std::result::Result<Vec<Mixture>, String> {
        if let Some(label) = self.known.names.iter().position(|name| text.contains(',') && name == text) {
            return Ok(vec![vec![(label, 1.0)]]);
        }
        text.split(',').map(|item| self.item(item.trim())).collect()
    }

    /// A text file with one item a line.
    fn file(&self, path: &Path) -> Result<Vec<Mixture>> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let items = text
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
                "{term:?}: expected a weight above 0 and a class, as 0.3*{}",
                self.known.names.first().map_or("1", |name| name)
            )),
        }
    }

    fn label(&self, item: &str) -> std::result::Result<usize, String> {
        let Known { names, count, .. } = self.known;
        let named = names.iter().position(|name| name == item || name.split(',').any(|one| one.trim() == item));
        match (item.parse::<usize>(), named) {
            (Ok(label), named) if count.is_none_or(|count| label < count) => {
                if let Some(other) = named.filter(|other| *other != label) {
                    let called = format!("class number {item}; the class that is called {item} has number {other}");
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
        match &names[..] {
            [] => format!("{number}, each, random, or a file of them"),
            names => format!("{number} or a name ({}{more}), each, random, or a file of them", names[..names.len().min(SHOWN)].join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Control;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn with<R>(f: impl FnOnce(&Watch<'_>) -> R) -> R {
        let mut silent = |_| {};
        f(&Watch::new(Control::default(), None, &mut silent))
    }

    fn read(value: &str, known: &[&str], count: Option<usize>) -> std::result::Result<Classes, String> {
        let known = Known::new(&names(known), count, None);
        with(|watch| Classes::new(FIELD, Some(value.as_ref()), &known, watch).map_err(|e| e.to_string()))
    }

    fn classes(value: &str, names: &[&str], count: Option<usize>) -> std::result::Result<Vec<usize>, String> {
        let classes = read(value, names, count)?;
        assert_eq!(classes.flag(), format!(" --classes {value}"));
        Ok(classes.labels(3, 0..7).unwrap())
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
        // The row that stands for no class is none of them, named or not.
        let known = Known::new(&[], Some(3), Some(2));
        let each = with(|watch| Classes::new(FIELD, Some("each".as_ref()), &known, watch)).unwrap();
        assert_eq!(each.labels(0, 0..4).unwrap(), [0, 1, 0, 1]);
    }

    #[test]
    fn mixtures() {
        let pets = ["cat", "dog", "salt+pepper"];
        let of = |value: &str| read(value, &pets, Some(3)).map(|classes| classes.of(0, 0).unwrap());
        assert_eq!(of("cat+dog").unwrap(), [(0, 0.5), (1, 0.5)]);
        assert_eq!(of("dog + cat").unwrap(), of("0+1").unwrap());
        assert_eq!(of("3*dog+1*cat").unwrap(), [(0, 0.25), (1, 0.75)]);
        assert_eq!(of("0.25*cat + 0.75*dog").unwrap(), [(0, 0.25), (1, 0.75)]);
        assert_eq!(of("cat+cat+dog+cat").unwrap(), [(0, 0.75), (1, 0.25)]);
        assert_eq!(of("salt+pepper").unwrap(), [(2, 1.0)]);
        // One class is that class, whatever its weight.
        assert_eq!(of("0.3*cat").unwrap(), [(0, 1.0)]);
        assert_eq!(of("cat+cat+cat").unwrap(), [(0, 1.0)]);
        let turns = read("cat,cat+dog", &pets, Some(3)).unwrap();
        assert_eq!(turns.condition(0, 0..2), Condition::Mixtures(vec![vec![(0, 1.0)], vec![(0, 0.5), (1, 0.5)]]));
        assert_eq!((turns.condition(0, 2..3), turns.labels(0, 0..2)), (Condition::Labels(vec![0]), None));
        assert_eq!((turns.mixtures(0, 0..2).unwrap().len(), turns.mixtures(0, 0..1)), (2, None));
        assert_eq!(turns.said(0, 1).unwrap(), "classes 0.5*cat+0.5*dog");
        assert_eq!(turns.said(0, 0).unwrap(), "class 0, cat");
        for (value, word) in [
            ("cat+", "\"\""),
            ("cat+cow", "\"cow\""),
            ("0*cat+dog", "\"0*cat\""),
            ("-1*cat+dog", "\"-1*cat\""),
            ("NaN*cat", "\"NaN*cat\""),
            ("x*cat", "0.3*cat"),
            ("0.5*+dog", "\"\""),
        ] {
            let error = of(value).unwrap_err();
            assert!(error.starts_with("`classes`: ") && error.contains(word), "{value}: {error}");
        }
        assert_eq!(
            mixed([(&vec![(1, 1.0)], 0.25), (&vec![(0, 0.5), (1, 0.5)], 0.5), (&vec![(2, 1.0)], 0.0)]),
            [(0, 1.0 / 3.0), (1, 2.0 / 3.0)]
        );
    }

    #[test]
    fn classes_of_images() {
        let data = read(DATA, &["cat", "dog", "hen"], Some(4)).unwrap();
        assert_eq!((data.awaited(), data.flag()), (Some(DATA), " --classes data"));
        with(|watch| {
            // By their names, in whatever order the data have them.
            let told = data.of_data(&[1, 0, 1], &names(&["cow", "cat"]), watch).map_err(|e| e.to_string());
            assert!(told.unwrap_err().contains("\"cow\""));
            let told = data.of_data(&[1, 0, 1], &names(&["hen", "cat"]), watch).unwrap();
            assert_eq!((told.labels(9, 0..3), told.awaited()), (Some(vec![0, 2, 0]), None));
            assert_eq!(data.of_data(&[1, 3], &[], watch).unwrap().labels(0, 0..2), Some(vec![1, 3]));
            assert!(data.of_data(&[1, 4], &[], watch).unwrap_err().to_string().contains("0 to 3"));
            // Of a model without names, folders called by numbers have these numbers.
            let nameless = read(DATA, &[], Some(12)).unwrap();
            assert_eq!(nameless.of_data(&[0, 1], &names(&["10", "2"]), watch).unwrap().labels(0, 0..2), Some(vec![10, 2]));
            assert_eq!(nameless.of_data(&[0, 1], &names(&["a", "b"]), watch).unwrap().labels(0, 0..2), Some(vec![0, 1]));

            let drawn = read(REFERENCE, &["cat", "dog", "hen"], Some(4)).unwrap();
            let drawn = drawn.drawn_as(&[30, 0, 10], &names(&["hen", "cow", "cat"]), watch).unwrap();
            let labels = drawn.labels(5, 0..4000).unwrap();
            let of = |label: usize| labels.iter().filter(|found| **found == label).count();
            // Four standard deviations of the binomial are 110.
            assert!(of(1) + of(3) == 0 && of(2).abs_diff(3000) < 110 && of(0) + of(2) == 4000, "{} {}", of(0), of(2));
            assert_eq!(drawn.labels(5, 100..103).unwrap(), labels[100..103]);
        });
    }
}

//! The classes of a conditional model's images: a request's `classes` as numbers.

use crate::class_words::{DATA, FIELD, Kind, Known, Mixture, REFERENCE, Reader, normalised};
use crate::error::{Error, Result};
use crate::job::Watch;
use ddim::noise::{Draw, Key};
use ddim_nn::{Condition, Network};
use ddim_train::quoted;
use std::ops::Range;
use std::path::Path;

/// What a model is for, as far as classes are concerned.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Purpose {
    /// Images from a seed alone.
    Drawing,
    /// Images will tell: [`DATA`] or [`REFERENCE`].
    Shown(&'static str),
    Other,
}

/// The classes of every image: a function of its number alone, whatever the batches.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    kind: Kind,
    /// As a flag of the command line: ` --classes 0,2`.
    flag: String,
    known: Known,
}

impl Classes {
    /// What a request says in `field`, for a model of `known` classes.
    pub(crate) fn new(field: &str, value: Option<&Path>, known: &Known, watch: &Watch<'_>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self { kind: Kind::None, flag: String::new(), known: known.clone() }) };
        let kind = Reader { field, known, watch }.read(value)?;
        Ok(Self { kind, flag: format!(" --{} {}", field.replace('_', "-"), quoted(value)), known: known.clone() })
    }

    /// What a model's `file` lists for images that nobody says the classes of: names, numbers and mixtures, and no words or files.
    pub(crate) fn listed(file: &Path, list: &str, known: &Known, watch: &Watch<'_>) -> Result<Self> {
        let turns = Reader { field: FIELD, known, watch }.list(list).map_err(|wrong| Error::file(file, format!("classes: {wrong}")))?;
        Ok(Self { kind: Kind::Turns(turns), flag: format!(" --classes {}", quoted(list.as_ref())), known: known.clone() })
    }

    /// What a request says in another `field` for the same model.
    pub(crate) fn instead(&self, field: &str, value: Option<&Path>, watch: &Watch<'_>) -> Result<Self> {
        Self::new(field, value, &self.known, watch)
    }

    /// Whether images are to have no class.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.kind, Kind::None)
    }

    /// Whether there is nothing for guidance to go beyond: all images have no class, or the one that stands for none.
    pub(crate) fn is_unguided(&self) -> bool {
        let null = self.null();
        match &self.kind {
            Kind::None => true,
            Kind::Turns(turns) => turns.iter().all(|mixture| null.is_some() && alone(mixture) == null),
            _ => false,
        }
    }

    /// The class that stands for none, by which the model can do without.
    pub(crate) fn null(&self) -> Option<usize> {
        self.known.null
    }

    /// Whether it has classes that images can take in turn.
    pub(crate) fn can_be_each(&self) -> bool {
        self.known.has_some()
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
        let numbers = self.numbered(labels, names, watch)?;
        Ok(self.with_each(numbers.into_iter().map(|number| vec![(number, 1.0)]).collect()))
    }

    /// The model's numbers of `labels`, which data call `names`.
    pub(crate) fn numbered(&self, labels: &[usize], names: &[String], watch: &Watch<'_>) -> Result<Vec<usize>> {
        let numbers = self.known.numbers_of(labels.iter().copied(), names, watch)?;
        Ok(labels.iter().map(|label| numbers[label]).collect())
    }

    /// What the model calls its classes; empty where it does not say.
    pub(crate) fn names(&self) -> &[String] {
        &self.known.names
    }

    /// Classes drawn as often as `numbers` has them.
    pub(crate) fn drawn_as(&self, numbers: &[usize]) -> Self {
        let most = numbers.iter().max().map_or(0, |most| most + 1);
        let mut below = vec![0; most];
        numbers.iter().for_each(|number| below[*number] += 1);
        for i in 1..most {
            below[i] += below[i - 1];
        }
        Self { kind: Kind::Drawn(below), ..self.clone() }
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
        if self.is_none() {
            return self.known.null.map_or(Condition::None, |null| Condition::Labels(vec![null; images.len()]));
        }
        let all: Option<Vec<Mixture>> = images.map(|image| self.of(seed, image)).collect();
        all.map_or(Condition::None, condition)
    }

    /// Whether a network takes these of a request's `field`.
    pub(crate) fn check(&self, field: &str, purpose: Purpose, network: &Network, model: &str) -> Result<()> {
        if let Some(word) = self.awaited().filter(|word| purpose != Purpose::Shown(word)) {
            let of = if word == DATA {
                "a command that reads images (edit, encode, reconstruct, nll)"
            } else {
                "a sweep, which reads a reference"
            };
            return Err(Error::field(field, format!("{word}: only for {of}: expected classes")));
        }
        if network.is_conditional() || !self.is_none() {
            network.with_condition(self.examples()).map_err(|e| Error::field(field, e))?;
        }
        // A reference has yet to be seen.
        let later = purpose == Purpose::Shown(REFERENCE) && self.can_be_each();
        if network.is_conditional() && self.is_none() && self.null().is_none() && !later {
            return Err(Error::request(format!("`{field}` is missing: {model} was trained with classes")));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class_words::FIELD;
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
        assert_eq!(classes.flag(), format!(" --classes {}", quoted(Path::new(value))));
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
        // The row that stands for no class is none of them, named or not; it is what images have that are to have none.
        let known = Known::new(&[], Some(3), Some(2));
        let said = |value: Option<&str>| with(|watch| Classes::new(FIELD, value.map(Path::new), &known, watch)).unwrap();
        assert_eq!(said(Some("each")).labels(0, 0..4).unwrap(), [0, 1, 0, 1]);
        for (none, flag) in [(said(None), ""), (said(Some("none")), " --classes none")] {
            assert!(none.is_none() && none.labels(0, 0..2).is_none() && none.flag() == flag);
            assert_eq!(none.condition(0, 3..5), Condition::Labels(vec![2, 2]));
        }
        assert!(classes("none", &pets, Some(3)).unwrap_err().contains("\"none\""));
        // Words go before classes that are called so, and one of several items may be none.
        let known = Known::new(&names(&["none", "some"]), Some(3), Some(2));
        let called = |value: &str| with(|watch| Classes::new(FIELD, Some(value.as_ref()), &known, watch)).unwrap();
        assert!(called("none").is_none() && called("none").is_unguided());
        assert!(called("2,none").is_unguided() && !called("0").is_unguided() && !called("some+none").is_unguided());
        assert_eq!(called("some,none").labels(0, 0..2).unwrap(), [1, 2]);
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
            // A name that is a number is a name first.
            let numbered = read(DATA, &["1", "2", "3", "10"], Some(4)).unwrap();
            assert_eq!(numbered.of_data(&[0, 1, 2], &names(&["3", "1", "10"]), watch).unwrap().labels(0, 0..3), Some(vec![2, 0, 3]));
            // Of a model without names, folders called by numbers have these numbers.
            let nameless = read(DATA, &[], Some(12)).unwrap();
            assert_eq!(nameless.of_data(&[0, 1], &names(&["10", "2"]), watch).unwrap().labels(0, 0..2), Some(vec![10, 2]));
            assert_eq!(nameless.of_data(&[0, 1], &names(&["a", "b"]), watch).unwrap().labels(0, 0..2), Some(vec![0, 1]));

            let drawn = read(REFERENCE, &["cat", "dog", "hen"], Some(4)).unwrap();
            let labels: Vec<usize> = (0..40).map(|i| if i % 4 == 3 { 2 } else { 0 }).collect();
            let drawn = drawn.drawn_as(&drawn.numbered(&labels, &names(&["hen", "cow", "cat"]), watch).unwrap());
            let labels = drawn.labels(5, 0..4000).unwrap();
            let of = |label: usize| labels.iter().filter(|found| **found == label).count();
            // Four standard deviations of the binomial are 110.
            assert!(of(1) + of(3) == 0 && of(2).abs_diff(3000) < 110 && of(0) + of(2) == 4000, "{} {}", of(0), of(2));
            assert_eq!(drawn.labels(5, 100..103).unwrap(), labels[100..103]);
        });
    }
}

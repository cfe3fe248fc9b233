//! The data's classes among those of the model that training starts from.

use crate::error::{Error, Result};
use ddim_data::DataSet;
use ddim_nn::{Pipeline, SamplingDefaults, UNetConfig};

/// How many new classes are named in what is said of them.
const SHOWN: usize = 8;

/// What became of the data's classes.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    /// Those that the model does not know, by their numbers.
    pub(super) unknown: Vec<usize>,
    /// The same in words, where there are some.
    pub(super) said: Option<String>,
}

/// Numbers the data's classes as a model of `known` classes that calls them `names`, as far as they have names, does: those of the same name get its numbers, others take
/// the places of those that the data has not, in turn, or new ones. Where either has numbers alone, the data's are the model's, and those without a name are called by
/// their numbers.
pub(super) fn number_as(data: &mut DataSet, names: &[String], known: usize) -> Numbered {
    let Some(labels) = data.labels.as_mut().filter(|_| known > 0) else { return Numbered::default() };
    if names.is_empty() || data.class_names.is_empty() {
        data.classes = data.classes.max(known);
        let named = if names.is_empty() { std::mem::take(&mut data.class_names) } else { names.to_vec() };
        if !named.is_empty() {
            let numbers = (named.len()..data.classes).map(|class| class.to_string());
            data.class_names = named.iter().cloned().chain(numbers).collect();
        }
        return Numbered { unknown: (known..data.classes).collect(), said: None };
    }
    let mut taken = vec![false; names.len()];
    let mut find = |name: &String| {
        let row = (0..names.len()).find(|&row| !taken[row] && names[row] == *name)?;
        taken[row] = true;
        Some(row)
    };
    let theirs: Vec<Option<usize>> = data.class_names.iter().map(&mut find).collect();
    let mut free = (0..).filter(|row| !theirs.contains(&Some(*row)));
    let mut all = names.to_vec();
    let (mut said, mut new, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = |(name, row): (&String, &Option<usize>)| {
        row.unwrap_or_else(|| {
            let row = free.next().expect("there is no end of them");
            unknown.push(row);
            match all.get_mut(row) {
                Some(known) => said.push(format!("{name} replaces {}", std::mem::replace(known, name.clone()))),
                None => {
                    new.push(name.clone());
                    all.push(name.clone());
                }
            }
            row
        })
    };
    let numbers: Vec<usize> = data.class_names.iter().zip(&theirs).map(&mut number).collect();
    labels.iter_mut().for_each(|label| *label = numbers[*label]);
    (data.classes, data.class_names) = (all.len(), all);
    match new.len() {
        0 => {}
        1..=SHOWN => said.push(format!("new: {}", new.join(", "))),
        many => said.push(format!("{many} new ones")),
    }
    let said = (!said.is_empty()).then(|| format!("classes that the model does not know: {}", said.join(", ")));
    Numbered { unknown, said }
}

/// How images of a model look best, when its classes have become `others`, and what is lost of it: names that it lists may be gone, and numbers may stand for
/// other classes. More classes change nothing.
pub(super) fn sampling_after(sampling: SamplingDefaults, names: &[String], others: &[String]) -> (SamplingDefaults, Option<String>) {
    if sampling.classes.is_none() || (!names.is_empty() && others.starts_with(names)) {
        return (sampling, None);
    }
    let lost = "the model's list of classes drawn by default is dropped, because the classes have changed".to_owned();
    (SamplingDefaults { classes: None, ..sampling }, Some(lost))
}

/// From which class of a model's table each of `rows` classes begins: those that it knows from themselves, others from its class for none, which goes last;
/// from zeros where it has none.
pub(super) fn rows_from(model: &Pipeline, rows: usize, unknown: &[usize]) -> Vec<Option<usize>> {
    let none = model.null_class();
    let known = none.or(model.classes_count()).unwrap_or(0);
    (0..rows).map(|row| if row < known && !unknown.contains(&row) { Some(row) } else { none }).collect()
}

/// Whether a network is for images of the data, and for `classes` of them.
pub(super) fn check(network: &UNetConfig, data: &DataSet, classes: Option<usize>) -> Result<()> {
    let c = data.shape[0];
    if [network.in_channels, network.out_channels] != [c; 2] {
        let (i, o) = (network.in_channels, network.out_channels);
        return Err(Error::config(format!("a network with {i} channels in and {o} out, for images with {c}: expected the same")));
    }
    match (network.is_conditional(), classes) {
        (true, None) => Err(Error::config("a network with classes, but data without: expected data.labels, such as --labels data")),
        (false, Some(_)) => Err(Error::config("a network without classes, but data.labels: expected both or neither")),
        (true, Some(classes)) => match network.num_class_embeds {
            Some(rows) if network.class_embed_type.is_none() && rows < classes => Err(Error::config(format!(
                "network.num_class_embeds is {rows}: expected at least {classes}, one per class of the data, and a null class if labels are dropped"
            ))),
            _ if network.class_embed_type == Some(ddim_nn::ClassEmbedType::Identity) => {
                Err(Error::config("network.class_embed_type is identity: expected a network that takes labels"))
            }
            _ => Ok(()),
        },
        (false, None) => Ok(()),
    }
}

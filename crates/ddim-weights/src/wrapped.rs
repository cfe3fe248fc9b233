//! State dicts inside what is wrapped around them: dictionaries and lists in a file of `torch.save`, prefixes in the names of tensors.

use crate::error::{Error, Result};
use crate::safetensors::{mistaken, open_safetensors, tensors};
use crate::state_dict::StateDict;
use crate::torch::TorchFile;
use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::path::Path;

/// Ends of names that every U-Net has one of: diffusers' and the authors'.
const MARKS: [&str; 2] = ["time_embedding.linear_1.weight", "temb.dense.0.weight"];

/// Wrappings within wrappings that are looked through, and dictionaries that are.
const DEEPEST: usize = 4;
const MOST: usize = 10_000;
/// The longest key of a wrapping, in bytes.
const LONGEST: usize = 64;

/// A state dict, with one line for each choice made on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrapped {
    /// The tensors of the one network intended, without a prefix.
    pub state: StateDict,
    /// Which network that was, if there were others.
    pub notes: Vec<String>,
}

/// Reads one weights file, safetensors or PyTorch's according to its contents.
///
/// Takes the averaged weights if there are any, or with `raw` the weights themselves. `path` is for messages.
///
/// # Errors
/// Returns an error for another kind of file, and if it contains no network, or several that cannot be told apart.
///
/// ```
/// use ddim_weights::{WeightsDtype, parse, to_safetensors};
/// use std::io::Cursor;
///
/// let names = ["ema.time_embedding.linear_1.weight", "model.time_embedding.linear_1.weight"];
/// let bytes = to_safetensors([(names[0], &[1][..], &[0.25][..]), (names[1], &[1], &[0.5])], WeightsDtype::F32)?;
/// let found = parse(Cursor::new(&bytes), false, "checkpoint".as_ref())?;
/// assert_eq!(found.state["time_embedding.linear_1.weight"].data, [0.25]);
/// assert!(found.notes[0].starts_with("using the averaged weights"));
/// # Ok::<(), ddim_weights::Error>(())
/// ```
pub fn parse(mut file: impl Read + Seek, raw: bool, path: &Path) -> Result<Unwrapped> {
    let io = |e: std::io::Error| Error::io(path, &e).because(e);
    let mut first = Vec::new();
    (&mut file).take(512).read_to_end(&mut first).map_err(io)?;
    file.rewind().map_err(io)?;
    if let Some(what) = mistaken(&first) {
        return Err(Error::weights(path, what));
    }
    // A safetensors file begins with the length of its JSON.
    if first.get(8) == Some(&b'{') {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let file = open_safetensors(&bytes, path)?;
        if prefixes(file.names()).is_empty() {
            let found = file.names().first().map_or("no tensors".to_owned(), |name| format!("tensors such as {name}"));
            return Err(Error::weights(path, format!("{found}: expected the authors' network, or diffusers' U-Net")));
        }
        return safetensors(&bytes, raw, path);
    }
    if !first.starts_with(b"PK") && first.first() != Some(&0x80) {
        let why = "neither safetensors, nor a zip archive nor a file of PyTorch before 1.6";
        return Err(Error::weights(path, format!("not a state dict: {why}")));
    }
    unwrap(TorchFile::parse(file, path)?, raw, path)
}

/// The state dict in a pickle.
pub(crate) fn unwrap(mut pickle: TorchFile<'_>, raw: bool, path: &Path) -> Result<Unwrapped> {
    let found = networks(&pickle);
    let root = pickle.root();
    if found.is_empty() {
        if pickle.tensor_names(root).is_empty() {
            return Err(Error::weights(path, format!("{}: expected a state dict", described(&pickle))));
        }
        // One shard of a network, or of another: whoever needs it says what is missing.
        let state = pickle.state_dict(root, |_| true)?;
        return Ok(Unwrapped { state, notes: Vec::new() });
    }
    let places: Vec<(&str, bool)> = found.iter().map(|network| (network.place.as_str(), network.average)).collect();
    let (chosen, note) = choose(&places, raw).map_err(|message| Error::weights(path, message))?;
    let mut notes: Vec<String> = note.into_iter().collect();
    let network = &found[chosen];
    let in_list = pickle.list(root).is_some_and(|items| items.len() > 1);
    if in_list && !raw && !network.average {
        notes.push("it has no averaged weights (ema: False): using the plain weights".into());
    }
    let prefix = network.prefix.clone();
    let others: Vec<String> = prefixes(pickle.tensor_names(network.id)).into_iter().filter(|p| p.len() > prefix.len()).collect();
    let state = pickle.state_dict(network.id, |name| is_of(name, &prefix, &others))?;
    Ok(Unwrapped { state: cut(state, &prefix), notes })
}

/// The network in a safetensors file; what is beside it may be of any type.
pub(crate) fn safetensors(bytes: &[u8], raw: bool, path: &Path) -> Result<Unwrapped> {
    let file = open_safetensors(bytes, path)?;
    let (prefix, others, notes) = chosen_prefix(file.names(), raw, path)?;
    let state = tensors(&file, path, |name| is_of(name, &prefix, &others))?;
    Ok(Unwrapped { state: cut(state, &prefix), notes })
}

/// A state dict without what is before the names of its network.
pub(crate) fn without_prefix(mut state: StateDict, raw: bool, path: &Path) -> Result<Unwrapped> {
    let (prefix, others, notes) = chosen_prefix(state.keys().map(String::as_str), raw, path)?;
    state.retain(|name, _| is_of(name, &prefix, &others));
    Ok(Unwrapped { state: cut(state, &prefix), notes })
}

/// What the names of the network begin with; what those of others do; and what should be said.
fn chosen_prefix<'a>(names: impl IntoIterator<Item = &'a str>, raw: bool, path: &Path) -> Result<(String, Vec<String>, Vec<String>)> {
    let prefixes = prefixes(names);
    if prefixes.is_empty() {
        return Ok((String::new(), Vec::new(), Vec::new()));
    }
    let places: Vec<(&str, bool)> = prefixes.iter().map(|prefix| (prefix.as_str(), is_average(prefix))).collect();
    let (chosen, note) = choose(&places, raw).map_err(|message| Error::weights(path, message))?;
    let prefix = prefixes[chosen].clone();
    let others = prefixes.into_iter().filter(|other| other.len() > prefix.len()).collect();
    Ok((prefix, others, note.into_iter().collect()))
}

/// Whether a tensor is of the network of a prefix, and of none whose prefix is longer.
fn is_of(name: &str, prefix: &str, others: &[String]) -> bool {
    name.starts_with(prefix) && !others.iter().any(|other| name.starts_with(other))
}

fn cut(state: StateDict, prefix: &str) -> StateDict {
    state.into_iter().map(|(name, array)| (name[prefix.len()..].to_owned(), array)).collect()
}

/// What comes before the names of each network among those of tensors, once each.
fn prefixes<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let prefix = |name: &'a str| MARKS.iter().find_map(|mark| name.strip_suffix(mark));
    // A small pickle may repeat a name without end.
    let found: BTreeSet<&str> = names.into_iter().filter_map(prefix).filter(|prefix| prefix.is_empty() || prefix.ends_with('.')).collect();
    found.into_iter().map(str::to_owned).collect()
}

/// Whether a place is called that of averaged weights.
fn is_average(place: &str) -> bool {
    place.to_lowercase().split(['.', '_', '/']).any(|word| ["ema", "average", "averaged", "avg", "swa", "shadow"].contains(&word))
}

/// A network in a pickle.
struct Network {
    id: usize,
    /// The keys that lead to it, and the prefix of its names.
    place: String,
    prefix: String,
    average: bool,
}

/// Every network that dictionaries and lists lead to. Of a list with several, the last is their average: the authors' [model, optimizer,
/// epoch, step, ema].
fn networks(pickle: &TorchFile<'_>) -> Vec<Network> {
    let mut found: Vec<Network> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(pickle.root(), String::new(), 0)];
    while let Some((id, place, depth)) = open.pop() {
        if !seen.insert(id) || seen.len() > MOST {
            continue;
        }
        for prefix in prefixes(pickle.tensor_names(id)) {
            let place = format!("{place}{prefix}").trim_end_matches('.').to_owned();
            let average = is_average(&place);
            found.push(Network { id, place, prefix, average });
        }
        if depth == DEEPEST {
            continue;
        }
        if let Some(items) = pickle.list(id) {
            open.extend(items.iter().enumerate().map(|(i, item)| (*item, format!("{place}[{i}]."), depth + 1)));
        }
        let entries = pickle.entries(id).into_iter().flatten().filter(|(key, _)| key.len() <= LONGEST);
        open.extend(entries.map(|(key, value)| (value, format!("{place}{key}."), depth + 1)));
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    if let Some(items) = pickle.list(pickle.root()) {
        let (first, last) = (items.first(), items.last());
        if found.len() > 1 && found.iter().any(|network| first == Some(&network.id)) {
            found.iter_mut().filter(|network| last == Some(&network.id)).for_each(|network| network.average = true);
        }
    }
    found
}

/// Which of some networks, as (place, whether it is an average), is meant; and what should be said of it.
fn choose(places: &[(&str, bool)], raw: bool) -> std::result::Result<(usize, Option<String>), String> {
    let of_kind = |average: bool| places.iter().enumerate().filter(|(_, place)| place.1 == average).map(|(i, _)| i).collect::<Vec<_>>();
    let (averages, plain) = (of_kind(true), of_kind(false));
    let named = |i: usize| if places[i].0.is_empty() { "the rest of the file" } else { places[i].0 };
    let list = |all: &[usize]| all.iter().map(|i| named(*i).to_owned()).collect::<Vec<_>>().join(", ");
    let wanted = if raw || averages.is_empty() { &plain } else { &averages };
    match wanted.as_slice() {
        [] => Err(format!("--raw: holds only averaged weights, {}", list(&averages))),
        [one] => {
            let note = (!raw && !averages.is_empty() && !plain.is_empty())
                .then(|| format!("using the averaged weights, {} (--raw uses {})", named(*one), list(&plain)));
            Ok((*one, note))
        }
        several => match several.iter().find(|i| places[**i].0.is_empty()) {
            Some(whole) => Ok((*whole, None)),
            None => Err(format!("several networks, {}: expected one", list(several))),
        },
    }
}

/// What is at the top of a file without a network.
fn described(pickle: &TorchFile<'_>) -> String {
    const SHOWN: usize = 5;
    let root = pickle.root();
    if let Some(entries) = pickle.entries(root) {
        let keys: Vec<String> = entries.iter().take(SHOWN).map(|(key, _)| key.chars().take(LONGEST).collect()).collect();
        let more = if entries.len() > SHOWN { ", ..." } else { "" };
        return format!("a dictionary of {}{more} without a U-Net's tensors", keys.join(", "));
    }
    match pickle.list(root) {
        Some(_) => "a list without a state dict (the authors' is [model, optimizer, epoch, step, ema])".to_owned(),
        None => pickle.kind(root).to_owned(),
    }
}

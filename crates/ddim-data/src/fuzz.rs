//! Files that are almost right, for parsers that must survive them all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// More memory than any test needs, and less than what a header may claim: a parser that believes one ends the tests.
#[global_allocator]
static BOUNDED: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, 1 << 30);

/// One change of a file.
#[derive(Debug, Clone)]
enum Edit {
    Set(Place, u8),
    Flip(Place, u8),
    /// A number that sizes are compared with.
    Number(Place, usize),
    Remove(Place, usize),
    Insert(Place, Vec<u8>),
    /// Copies what is at one place to another.
    Copy(Place, Place, usize),
    Cut(Place),
}

/// Where: in what is anywhere, what is near the beginning, or near the end.
#[derive(Debug, Clone)]
enum Place {
    Any(usize),
    First(usize),
    Last(usize),
}

const NUMBERS: [&[u8]; 12] = [
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x80, 0, 0, 0],
    &[0, 0, 0, 0x80],
    &[0, 0, 0, 0],
    &[0, 0, 0, 1],
    &[1, 0, 0, 0],
    &[0xff, 0xff],
    &[0xff; 8],
    b"99999999999999999999",
    b"-1",
];

impl Place {
    fn of(&self, len: usize) -> usize {
        match self {
            Self::Any(at) => at % (len + 1),
            Self::First(at) => at % (len.min(160) + 1),
            Self::Last(at) => len - at % (len.min(160) + 1),
        }
    }
}

impl Edit {
    fn apply(&self, file: &mut Vec<u8>) {
        let len = file.len();
        let overwrite = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min(len - at)];
            file[at..at + bytes.len()].copy_from_slice(bytes);
        };
        match self {
            Self::Set(at, byte) => overwrite(file, at.of(len), &[*byte]),
            Self::Flip(at, bit) => {
                if let Some(byte) = file.get_mut(at.of(len)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Number(at, which) => overwrite(file, at.of(len), NUMBERS[which % NUMBERS.len()]),
            Self::Remove(at, count) => {
                let at = at.of(len);
                file.drain(at..(at + count).min(len));
            }
            Self::Insert(at, bytes) => drop(file.splice(at.of(len)..at.of(len), bytes.iter().copied())),
            Self::Copy(from, to, count) => {
                let from = from.of(len);
                let bytes = file[from..(from + count).min(len)].to_vec();
                overwrite(file, to.of(len), &bytes);
            }
            Self::Cut(at) => file.truncate(at.of(len)),
        }
    }
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![any::<usize>().prop_map(Place::Any), any::<usize>().prop_map(Place::First), any::<usize>().prop_map(Place::Last)]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        3 => (place(), any::<u8>()).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        4 => (place(), any::<usize>()).prop_map(|(at, which)| Edit::Number(at, which)),
        1 => (place(), 1usize..9).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (place(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (place(), place(), 1usize..33).prop_map(|(from, to, count)| Edit::Copy(from, to, count)),
        1 => place().prop_map(Edit::Cut),
    ]
}

/// Gives `parse` changed copies of `valid` files: 256, or as many as DDIM_FUZZ_CASES says, the same ones each time. A panic fails the test, as does
/// memory beyond a bound.
pub(crate) fn fuzz(valid: &[Vec<u8>], parse: impl Fn(&[u8])) {
    let cases = std::env::var("DDIM_FUZZ_CASES").map_or(256, |cases| cases.parse().expect("DDIM_FUZZ_CASES is a number"));
    for file in valid {
        parse(file);
    }
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&(0..valid.len(), vec(edit(), 1..5)), |(which, edits)| {
        let mut file = valid[which].clone();
        edits.iter().for_each(|edit| edit.apply(&mut file));
        parse(&file);
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}

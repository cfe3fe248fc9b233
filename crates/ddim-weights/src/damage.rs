//! Files that are almost right, for the tests of what must survive them. ddim-nn's tests have this file too.

use proptest::prelude::*;

/// Something done to bytes, at a share of their length.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Set(f64, u8),
    Cut(f64),
    Insert(f64, Vec<u8>),
    /// A piece from elsewhere.
    Copy(f64, f64, u8),
    Remove(f64, u8),
}

/// One to four of them.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = || 0.0f64..1.0;
    let one = prop_oneof![
        6 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (at(), at(), any::<u8>()).prop_map(|(to, from, n)| Damage::Copy(to, from, n)),
        2 => (at(), 1u8..20).prop_map(|(at, n)| Damage::Remove(at, n)),
    ];
    prop::collection::vec(one, 1..5)
}

/// A damaged copy.
pub(crate) fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let place = |share: f64| (share * bytes.len() as f64) as usize;
        match damage {
            Damage::Set(at, byte) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|found| *found = *byte);
            }
            Damage::Cut(at) => bytes.truncate(place(*at)),
            Damage::Insert(at, new) => {
                let at = place(*at);
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Copy(to, from, n) => {
                let (to, from) = (place(*to), place(*from));
                let piece = bytes[from..(from + usize::from(*n)).min(bytes.len())].to_vec();
                bytes.splice(to..to, piece);
            }
            Damage::Remove(at, n) => {
                let at = place(*at);
                let end = (at + usize::from(*n)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

/// 256 cases, or as many as DDIM_FUZZ_CASES says.
pub(crate) fn cases() -> ProptestConfig {
    let cases = std::env::var("DDIM_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

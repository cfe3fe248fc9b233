//! The folder of a sweep: what it knows itself again by, and which of its cells are called by nothing but S and η.

use ddim_eval::{ErrorKind, Plain, Sweep};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

fn settings(more: &[(&str, Value)]) -> Map<String, Value> {
    let mut settings = Map::new();
    let all = [("count", json!(7)), ("seed", json!(4)), ("guidance", json!(1.5)), ("trajectory", json!("quadratic"))];
    settings.extend(all.iter().chain(more).map(|(key, value)| ((*key).to_owned(), value.clone())));
    settings
}

fn open(folder: &Path, settings: &Map<String, Value>) -> Result<Sweep, String> {
    Sweep::open(folder, settings, &Map::new(), "these tests", [1, 4, 4]).map_err(|e| {
        assert_eq!(e.kind(), ErrorKind::Sweep);
        e.to_string()
    })
}

#[test]
fn a_folder_knows_its_plain_cells() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("sweep");
    assert_eq!(Sweep::plain(&at).unwrap(), None);
    drop(open(&at, &settings(&[])).unwrap());
    let plain = Some(Plain { trajectory: "quadratic".into(), guidance: 1.5, seed: 4 });
    assert_eq!(Sweep::plain(&at).unwrap(), plain);
    let written = fs::read(at.join("sweep.json")).unwrap();
    // The same goes on; what all cells share is refused by its name, and so is a folder that another process made for another first seed meanwhile.
    drop(open(&at, &settings(&[])).unwrap());
    for (key, value, said) in [("count", json!(8), "count is 7 there and 8 here"), ("seed", json!(5), "seed is 4 there and 5 here")] {
        let error = open(&at, &settings(&[(key, value)])).unwrap_err();
        assert!(error.contains("another sweep") && error.contains(said), "{error}");
    }
    assert_eq!((Sweep::plain(&at).unwrap(), fs::read(at.join("sweep.json")).unwrap()), (plain, written));
    // A folder that does not say.
    for missing in ["seed", "guidance", "trajectory"] {
        let mut known = settings(&[]);
        known.shift_remove(missing);
        fs::write(at.join("sweep.json"), serde_json::to_string(&known).unwrap()).unwrap();
        let error = Sweep::plain(&at).unwrap_err().to_string();
        assert!(error.contains("an earlier version") && error.contains(missing), "{error}");
    }
}

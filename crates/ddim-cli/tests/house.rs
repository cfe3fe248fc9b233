//! Rules of the house that a compiler does not know: which way data flows, who prints, how long a file is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from where data come to where they go: a crate depends on those above it.
const ROOMS: [&str; 10] =
    ["ddim", "ddim-kernels", "ddim-weights", "ddim-nn", "ddim-data", "ddim-train", "ddim-eval", "ddim-pictures", "ddim-engine", "ddim-cli"];

/// A file that is longer is asked what its second purpose is.
const LONGEST: usize = 450;

/// Longer files that do one thing, and which.
const LONG: [(&str, &str); 7] = [
    ("ddim-data/src/arrays.rs", "to be split: headers, arrays of bytes and of floats, archives"),
    ("ddim-nn/src/plan/mod.rs", "one plan, compiled; half of it is the description of its steps"),
    ("ddim-nn/src/plan/run.rs", "one plan, run: an arm for each step"),
    ("ddim-train/src/config.rs", "to be split: the settings, and how tables are laid over each other"),
    ("ddim-train/src/run.rs", "a run: its folder, begun or gone on with, and its loop"),
    ("ddim-train/src/trainer.rs", "the state of a run and one step"),
    ("ddim-weights/src/pickle.rs", "one machine: its instructions"),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Source files of a crate by their modules: `["plan", "run"]`.
fn sources(name: &str) -> BTreeMap<Vec<String>, String> {
    fn walk(folder: &Path, at: &[String], found: &mut BTreeMap<Vec<String>, String>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let mut module = at.to_vec();
            if path.is_dir() {
                module.push(stem);
                walk(&path, &module, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                if !["mod", "lib", "main"].contains(&stem.as_str()) {
                    module.push(stem);
                }
                found.insert(module, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&crates().join(name).join("src"), &[], &mut found);
    found
}

/// A file without comments and its tests.
fn code(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines =
        before_tests.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) });
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths that begin with `crate::` or `super::`, those in braces written out, as modules and items.
fn paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (root, base) in [("crate::", Vec::new()), ("super::", module[..module.len().saturating_sub(1)].to_vec())] {
        for (at, _) in text.match_indices(root) {
            let begins = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$');
            if begins {
                read(&text[at + root.len()..], &base, &mut found);
            }
        }
    }
    found
}

/// One path, or several in braces; returns what is behind.
fn read<'a>(text: &'a str, base: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut rest = text.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = read(rest, base, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => return more.trim_start().strip_prefix('}').unwrap_or(more),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let mut path = base.to_vec();
    path.push(rest[..end].to_owned());
    match rest[end..].strip_prefix("::") {
        Some(more) if end > 0 => read(more, &path, found),
        _ => {
            found.push(path);
            &rest[end..]
        }
    }
}

/// Files that import each other, however long the way around; the first circle that is found.
fn circle(sources: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    let mut edges: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = BTreeMap::new();
    for (module, text) in sources {
        for path in paths(module, text) {
            let known = (1..=path.len()).rev().find_map(|n| sources.get_key_value(&path[..n].to_vec()));
            if let Some((other, _)) = known.filter(|(other, _)| *other != module) {
                edges.entry(module).or_default().insert(other);
            }
        }
    }
    fn visit<'a>(
        at: &'a Vec<String>,
        edges: &BTreeMap<&'a Vec<String>, BTreeSet<&'a Vec<String>>>,
        way: &mut Vec<&'a Vec<String>>,
        done: &mut BTreeSet<&'a Vec<String>>,
    ) -> Option<Vec<String>> {
        if let Some(begin) = way.iter().position(|on| *on == at) {
            return Some(way[begin..].iter().chain([&at]).map(|module| module.join("::")).collect());
        }
        if !done.insert(at) {
            return None;
        }
        way.push(at);
        let found = edges.get(at).into_iter().flatten().find_map(|next| visit(next, edges, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    sources.keys().find_map(|module| visit(module, &edges, &mut Vec::new(), &mut done))
}

#[test]
fn no_circle_of_imports() {
    for room in ROOMS {
        let sources = sources(room);
        assert!(sources.len() > 1, "{room} has files");
        assert_eq!(circle(&sources), None, "{room}: files that import each other");
    }
    // It would be found: in braces, through a parent, and the long way around.
    let made_up = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(module, text)| (module.split("::").map(str::to_owned).collect(), code(text)));
        circle(&files.collect())
    };
    assert!(made_up(&[("a", "use crate::b::B;"), ("b", "use std::x;\nuse crate::{c::C, a::{self, A}};"), ("c", "")]).is_some());
    assert!(made_up(&[("a", "crate::b::f()"), ("b", "use crate::c;"), ("c::d", "use crate::a;"), ("c", "use crate::c::d::D;")]).is_some());
    assert!(made_up(&[("a::x", "use super::y::Y;"), ("a::y", "fn f() { super::x::g() }")]).is_some());
    assert!(
        made_up(&[("a", "use crate::b;"), ("b", "// use crate::a;\nuse crate::c::{\n    d::D,\n    E,\n};"), ("c", ""), ("c::d", "")])
            .is_none()
    );
}

#[test]
fn data_flow_down_the_rooms() {
    for (at, room) in ROOMS.iter().enumerate() {
        let text = fs::read_to_string(crates().join(room).join("Cargo.toml")).unwrap();
        let section = text.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or("");
        for line in section.lines().filter(|line| line.starts_with("ddim")) {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            if let Some(of) = ROOMS.iter().position(|room| *room == name) {
                assert!(of < at, "{room} depends on {name}, which lies below it");
            }
        }
    }
}

#[test]
fn front_ends_print_and_nobody_owns_the_process() {
    for room in ROOMS {
        for (module, text) in sources(room) {
            let mut forbidden = vec!["build_global", "set_var("];
            if room != "ddim-cli" {
                forbidden.extend(["println!", "eprintln!", "process::exit", "std::io::stdout", "std::io::stderr"]);
            }
            for word in forbidden {
                assert!(!text.contains(word), "{room}, {}: {word}", module.join("::"));
            }
        }
    }
}

#[test]
fn long_files_say_why() {
    let mut known: BTreeSet<&str> = LONG.iter().map(|(path, _)| *path).collect();
    for room in ROOMS {
        let mut open = vec![crates().join(room).join("src")];
        while let Some(folder) = open.pop() {
            for path in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let name = path.strip_prefix(crates()).unwrap().to_string_lossy().replace('\\', "/");
                let lines = fs::read_to_string(&path).map_or(0, |text| text.lines().count());
                let listed = known.remove(name.as_str());
                assert!(
                    path.extension().is_none_or(|e| e != "rs") || lines <= LONGEST || listed,
                    "{name}: {lines} lines, more than {LONGEST}"
                );
                assert!(!listed || lines > LONGEST, "{name} is short now: it needs no reason");
            }
        }
    }
    assert!(known.is_empty(), "files that are not there: {known:?}");
}

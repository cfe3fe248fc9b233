//! Rules of the house that a compiler does not know: no circles between files, which way data flows, who prints, how long a file is.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from where data come to where they go: a crate depends on those above it.
const ROOMS: [&str; 14] = [
    "ddim",
    "ddim-kernels",
    "ddim-weights",
    "ddim-nn",
    "ddim-gpu",
    "ddim-data",
    "ddim-train",
    "ddim-eval",
    "ddim-pictures",
    "ddim-engine",
    "ddim-jobs",
    "ddim-studio",
    "ddim-web",
    "ddim-cli",
];

/// Those that print.
const FRONT_ENDS: [&str; 1] = ["ddim-cli"];

/// A file that is longer is asked what its second purpose is.
const LONGEST: usize = 450;

/// Longer files that do one thing, and which.
const LONG: [(&str, &str); 0] = [];

/// Files by their modules, `["plan", "run"]`; the crate's own has none.
type Files = BTreeMap<Vec<String>, String>;

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Source files of a crate, and where they are.
fn sources(room: &str) -> Vec<(Vec<String>, PathBuf, String)> {
    fn walk(folder: &Path, at: &[String], found: &mut Vec<(Vec<String>, PathBuf, String)>) {
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
                let text = fs::read_to_string(&path).unwrap();
                found.push((module, path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&crates().join(room).join("src"), &[], &mut found);
    assert!(found.len() > 1, "{room} has files");
    found
}

fn files(room: &str) -> Files {
    sources(room).into_iter().map(|(module, _, text)| (module, text)).collect()
}

/// The tokens of a file, or of a group in it, without what only tests have. Comments are none, and texts are no names.
fn tokens(stream: TokenStream) -> Vec<TokenTree> {
    let all: Vec<TokenTree> = stream.into_iter().collect();
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < all.len() {
        let attribute = match &all[i..] {
            [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => {
                Some(group.stream().to_string().replace(' ', ""))
            }
            _ => None,
        };
        if attribute.is_some_and(|text| text == "cfg(test)" || text.starts_with("cfg(all(test,")) {
            // Up to the end of the item: braces are its end but in a `use`.
            let is_use = all[i..].iter().find_map(|token| match token {
                TokenTree::Ident(word) if *word != "pub" => Some(*word == "use"),
                _ => None,
            });
            let ends = |token: &TokenTree| match token {
                TokenTree::Punct(end) => end.as_char() == ';',
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && is_use == Some(false),
                _ => false,
            };
            i += all[i..].iter().position(ends).map_or(all.len() - i, |end| end + 1);
        } else {
            kept.push(all[i].clone());
            i += 1;
        }
    }
    kept
}

fn parsed(text: &str) -> Vec<TokenTree> {
    tokens(text.parse().expect("it compiles"))
}

fn is_ident(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(found)) if found == word)
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

/// What is said about other files in one.
#[derive(Default)]
struct Said {
    /// All paths, as they are written.
    paths: Vec<Vec<String>>,
    /// Those of `pub use`, by the names that they have from there on.
    public: Vec<(String, Vec<String>)>,
}

impl Said {
    /// Reads tokens from the first to the last. Modules in braces count as the file that they are in.
    fn read(&mut self, all: &[TokenTree]) {
        let (mut i, mut public) = (0, false);
        while i < all.len() {
            match &all[i] {
                TokenTree::Ident(word) if *word == "pub" => {
                    public = true;
                    i += 1;
                    // `pub(crate)`
                    i += usize::from(matches!(all.get(i), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis));
                    continue;
                }
                TokenTree::Ident(word) if *word == "use" => {
                    let len = all[i..].iter().position(|token| is_punct(Some(token), ';')).unwrap_or(all.len() - i);
                    let mut found = Vec::new();
                    tree(&all[i + 1..i + len], &[], &mut found);
                    for (name, path) in found {
                        if public { self.public.push((name, path)) } else { self.paths.push(path) }
                    }
                    i += len;
                }
                TokenTree::Ident(word) => {
                    let mut path = vec![word.to_string()];
                    while is_punct(all.get(i + 1), ':') && is_punct(all.get(i + 2), ':') {
                        let Some(TokenTree::Ident(next)) = all.get(i + 3) else { break };
                        path.push(next.to_string());
                        i += 3;
                    }
                    // A word alone is no path: variables may have a module's name.
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                }
                TokenTree::Group(group) => self.read(&tokens(group.stream())),
                _ => {}
            }
            public = false;
            i += 1;
        }
    }
}

/// The paths of a `use`, those in braces written out, with the names that they get.
fn tree(all: &[TokenTree], before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let (mut path, mut name, mut i) = (before.to_vec(), None, 0);
    while i < all.len() {
        match &all[i] {
            TokenTree::Ident(word) if *word == "as" => {
                name = all.get(i + 1).map(ToString::to_string);
                i += 1;
            }
            TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                let inner = tokens(group.stream());
                inner.split(|token| is_punct(Some(token), ',')).filter(|part| !part.is_empty()).for_each(|part| tree(part, &path, found));
                return;
            }
            TokenTree::Punct(mark) if mark.as_char() == '*' => path.push("*".to_owned()),
            _ => {}
        }
        i += 1;
    }
    let last = path.last().cloned().unwrap_or_default();
    found.push((name.unwrap_or(last), path));
}

/// From the crate's root on; none where it leads out of the crate.
fn absolute(files: &Files, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    let mut rest = path;
    match rest[0].as_str() {
        "crate" => (at, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {}
        // A module that is declared here.
        child => {
            let inner = [module, &[child.to_owned()]].concat();
            if !files.contains_key(&inner) {
                return None;
            }
        }
    }
    while rest.first().is_some_and(|word| word == "super") {
        at.pop();
        rest = &rest[1..];
    }
    Some([&at, rest].concat())
}

/// Which file imports which.
fn imports(files: &Files) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let said: BTreeMap<&Vec<String>, Said> = files
        .iter()
        .map(|(module, text)| {
            let mut said = Said::default();
            said.read(&parsed(text));
            (module, said)
        })
        .collect();
    // The file that has what a path names: through what others hand on.
    let file_of = |path: &[String]| {
        let mut path = path.to_vec();
        for _ in 0..10 {
            let len = (0..=path.len()).rev().find(|n| files.contains_key(&path[..*n])).expect("the crate's own file at least");
            let handed = path.get(len).and_then(|item| said[&path[..len].to_vec()].public.iter().find(|(name, _)| name == item));
            match handed.and_then(|(_, to)| absolute(files, &path[..len], to)) {
                Some(to) => path = [&to, &path[len + 1..]].concat(),
                None => return path[..len].to_vec(),
            }
        }
        panic!("names that are handed on without end: {path:?}")
    };
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (module, said) in &said {
        // What a parent hands on of its children is no import.
        let handed = said.public.iter().map(|(_, path)| path).filter_map(|path| absolute(files, module, path));
        let handed = handed.filter(|path| !path.starts_with(module) || path == *module);
        let used = said.paths.iter().filter_map(|path| absolute(files, module, path));
        let others = used.chain(handed).map(|path| file_of(&path)).filter(|other| other != *module);
        edges.entry((*module).clone()).or_default().extend(others);
    }
    edges
}

/// Files that import each other, however long the way around; the first circle that is found.
fn circle(files: &Files) -> Option<String> {
    type Edges = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;
    fn visit<'a>(
        at: &'a Vec<String>,
        edges: &'a Edges,
        way: &mut Vec<&'a Vec<String>>,
        done: &mut BTreeSet<&'a Vec<String>>,
    ) -> Option<String> {
        if let Some(begin) = way.iter().position(|on| *on == at) {
            let names =
                way[begin..].iter().chain([&at]).map(|module| if module.is_empty() { "crate".to_owned() } else { module.join("::") });
            return Some(names.collect::<Vec<_>>().join(" -> "));
        }
        if !done.insert(at) {
            return None;
        }
        way.push(at);
        let found = edges.get(at).into_iter().flatten().find_map(|next| visit(next, edges, way, done));
        way.pop();
        found
    }
    let edges = imports(files);
    let mut done = BTreeSet::new();
    edges.keys().find_map(|module| visit(module, &edges, &mut Vec::new(), &mut done))
}

#[test]
fn no_circle_of_imports() {
    for room in ROOMS {
        assert_eq!(circle(&files(room)), None, "{room}: files that import each other");
    }
}

#[test]
fn circles_are_found() {
    let made_up = |files: &[(&str, &str)]| {
        let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut files: Files = files.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect();
        files.entry(Vec::new()).or_default();
        circle(&files)
    };
    // In braces, and the long way around.
    assert!(made_up(&[("a", "use crate::b::B;"), ("b", "use std::x; use crate::{c::C, a::{self, A}};"), ("c", "")]).is_some());
    let long =
        made_up(&[("a", "fn f() { crate::b::f() }"), ("b", "use crate::c;"), ("c", "use crate::d::D;"), ("d", "use crate::a as e;")]);
    assert_eq!(long.unwrap(), "a -> b -> c -> d -> a");
    // Without a `use`, in a macro, through parents.
    assert!(made_up(&[("a::x", "use super::y::Y;"), ("a::y", "fn f() { assert!(super::x::g() > 1) }"), ("a", "mod x; mod y;")]).is_some());
    assert!(made_up(&[("a::x", "use super::super::b::B;"), ("b", "use crate::a::x::X;"), ("a", "mod x;")]).is_some());
    // A parent that uses what its children make, which use what it is.
    assert!(made_up(&[("a", "mod x; use x::X; struct A;"), ("a::x", "use super::A;")]).is_some());
    assert!(made_up(&[("a", "mod x; fn f() { x::g() }"), ("a::x", "use crate::a::A;")]).is_some());
    // Through names that are handed on, also by the crate's own file.
    assert!(made_up(&[("", "mod a; pub use a::A; mod b; pub use b::B;"), ("a", "use crate::B;"), ("b", "use crate::A;")]).is_some());
    assert!(
        made_up(&[("a", "mod x; mod y; pub(crate) use {x::X, y::Y as Z};"), ("a::x", "use super::Z;"), ("a::y", "use super::X;")])
            .is_some()
    );
    assert!(made_up(&[("a", "pub use crate::b::B;"), ("b", "use crate::a::A;")]).is_some());
    // None of these is one.
    assert_eq!(made_up(&[("a", "use crate::b;"), ("b", "// use crate::a;\n/* crate::a */ const A: &str = \"crate::a\";")]), None);
    assert_eq!(made_up(&[("a", "use crate::b;"), ("b", "#[cfg(test)]\nmod tests { use crate::a::A; }")]), None);
    assert_eq!(
        made_up(&[("a", "use crate::b;"), ("b", "#[cfg(test)]\nuse crate::{a::A, c};\n#[cfg(test)]\nfn f() { crate::a::g() }")]),
        None
    );
    assert_eq!(made_up(&[("a", "mod x; mod y; pub use x::X; pub use y::Y;"), ("a::x", "use super::Y;"), ("a::y", "")]), None);
    assert_eq!(made_up(&[("a", "mod x; pub use x::X; struct A;"), ("a::x", "use super::A;")]), None);
    assert_eq!(made_up(&[("a", "use b::a;"), ("b", "use a::b; use std::a;")]), None, "other crates");
}

/// What a crate depends on, whatever its tests do.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten().filter_map(|(_, target)| target.as_table());
    let tables = targets.chain([&manifest]).flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
    let entries = tables.flatten().filter_map(toml::Value::as_table).flatten();
    entries.map(|(key, value)| value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()).collect()
}

/// What a crate depends on further down the list.
fn upward(room: &str, manifest: &str) -> Vec<String> {
    let place = |name: &str| ROOMS.iter().position(|room| *room == name);
    dependencies(manifest).into_iter().filter(|name| place(name).is_some() && place(name) >= place(room)).collect()
}

#[test]
fn data_flow_down_the_rooms() {
    for entry in crates().read_dir().unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir()) {
        let room = entry.file_name().into_string().unwrap();
        assert!(ROOMS.contains(&room.as_str()), "{room} has no place in the list of rooms");
        let found = upward(&room, &fs::read_to_string(entry.path().join("Cargo.toml")).unwrap());
        assert!(found.is_empty(), "{room} depends on {found:?}, which lie below it");
    }
    // A front end knows the engine alone, and the binary the other front end that it starts: what it would compute with others, the engine does not offer.
    for front_end in FRONT_ENDS {
        let manifest = fs::read_to_string(crates().join(front_end).join("Cargo.toml")).unwrap();
        let known: Vec<String> = dependencies(&manifest).into_iter().filter(|name| ROOMS.contains(&name.as_str())).collect();
        assert_eq!(known, ["ddim-engine", "ddim-studio"], "{front_end}");
    }
    // It would be found.
    assert_eq!(upward("ddim-nn", "[dependencies]\nddim.workspace = true\nddim-data.workspace = true\nserde = \"1\""), ["ddim-data"]);
    assert_eq!(upward("ddim", "[dependencies.kernels]\npackage = \"ddim-kernels\""), ["ddim-kernels"]);
    assert_eq!(upward("ddim", "[target.'cfg(unix)'.dependencies]\nddim-cli = { path = \"../ddim-cli\" }"), ["ddim-cli"]);
    assert_eq!(upward("ddim", "[dev-dependencies]\nddim-nn.workspace = true"), [""; 0]);
}

/// Words that a file must not have: what owns the process, and in any but a front end what prints or exits.
fn forbidden(text: &str, front_end: bool) -> Vec<String> {
    const OWNS: [&str; 2] = ["build_global", "set_var"];
    const PRINTS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];
    fn walk(all: &[TokenTree], found: &mut Vec<String>, front_end: bool) {
        for (i, token) in all.iter().enumerate() {
            match token {
                TokenTree::Group(group) => walk(&tokens(group.stream()), found, front_end),
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    let prints = PRINTS.contains(&word.as_str()) && is_punct(all.get(i + 1), '!');
                    let of = |parent: &str| is_punct(all.get(i + 1), ':') && is_punct(all.get(i + 2), ':') && word == parent;
                    let exits = of("process") && (is_ident(all.get(i + 3), "exit") || is_ident(all.get(i + 3), "abort"));
                    let streams = of("io") && (is_ident(all.get(i + 3), "stdout") || is_ident(all.get(i + 3), "stderr"));
                    if OWNS.contains(&word.as_str()) || (!front_end && (prints || exits || streams)) {
                        found.push(word);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&parsed(text), &mut found, front_end);
    found
}

#[test]
fn front_ends_print_and_nobody_owns_the_process() {
    for room in ROOMS {
        for (module, text) in files(room) {
            let found = forbidden(&text, FRONT_ENDS.contains(&room));
            assert!(found.is_empty(), "{room}, {}: {found:?}", module.join("::"));
        }
    }
    // They would be found.
    assert_eq!(forbidden("fn f() { if x { println!(\"a\") } else { std::process::exit(1) } }", false), ["println", "process"]);
    assert_eq!(forbidden("fn f() { writeln!(std::io::stderr(), \"a\"); eprintln!() }", false), ["io", "eprintln"]);
    assert_eq!(forbidden("fn f() { println!(); rayon::ThreadPoolBuilder::new().build_global() }", true), ["build_global"]);
    assert_eq!(
        forbidden("// println!()\n#[cfg(test)]\nmod tests { fn f() { println!() } }\nconst A: &str = \"eprintln!\";", false),
        [""; 0]
    );
}

/// What is wrong with the lengths of files: longer ones without a reason, and reasons without a longer file.
fn wrong_lengths(lengths: &BTreeMap<String, usize>, reasons: &[(&str, &str)]) -> Vec<String> {
    let listed = |name: &str| reasons.iter().any(|(listed, _)| *listed == name);
    let long = lengths.iter().filter(|(name, lines)| **lines > LONGEST && !listed(name));
    let mut wrong: Vec<String> = long.map(|(name, lines)| format!("{name}: {lines} lines, more than {LONGEST}")).collect();
    let needless = reasons.iter().filter(|(name, _)| lengths.get(*name).is_none_or(|lines| *lines <= LONGEST));
    wrong.extend(needless.map(|(name, _)| format!("{name}: not there or short, it needs no reason")));
    wrong
}

#[test]
fn long_files_say_why() {
    let mut lengths = BTreeMap::new();
    for room in ROOMS {
        for (_, path, text) in sources(room) {
            let name = path.strip_prefix(crates()).unwrap().to_string_lossy().replace('\\', "/");
            lengths.insert(name, text.lines().count());
        }
    }
    assert_eq!(wrong_lengths(&lengths, &LONG), [""; 0]);
    // They would be found.
    let made_up = BTreeMap::from([("a.rs".to_owned(), LONGEST + 1), ("b.rs".to_owned(), LONGEST), ("c.rs".to_owned(), LONGEST + 1)]);
    assert_eq!(wrong_lengths(&made_up, &[("c.rs", "one table")]), [format!("a.rs: {} lines, more than {LONGEST}", LONGEST + 1)]);
    assert_eq!(wrong_lengths(&made_up, &[("a.rs", "x"), ("b.rs", "x"), ("c.rs", "x"), ("d.rs", "x")]).len(), 2);
}

#[test]
fn built_in_models_are_in_the_binary_once() {
    let binary = fs::read(assert_cmd::cargo::cargo_bin("ddim")).unwrap();
    for model in ["emoji", "fashion", "cifar10"] {
        let weights = fs::read(crates().join(format!("../models/{model}/unet/diffusion_pytorch_model.safetensors"))).unwrap();
        let part = &weights[weights.len() / 2..][..64];
        let times = binary.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!(times, 1, "{model}: a constant is copied to wherever it is named, a static is not");
    }
}

//! Guidance, mixed classes, and classes of data, as a person asks for them.

mod common;

use common::{ddim, floats, json, npy, ok, refused, with_model};
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A model of four classes, whose fifth row stands for none.
fn pets() -> TempDir {
    let folder = with_model("learned_classes");
    fs::write(folder.path().join("model/classes.json"), r#"["cat", "dog", "cow", "hen"]"#).unwrap();
    folder
}

/// `ddim sample` of six images in five steps.
fn draw(dir: &Path, flags: &[&str]) -> Vec<f32> {
    ok(dir, &[&["sample", "--model", "model", "--count", "6", "--steps", "5", "--save-npy", "x.npy", "-q"], flags].concat());
    floats(&dir.join("x.npy"))
}

fn has(file: &Path, text: &str) -> bool {
    fs::read(file).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[test]
fn guidance() {
    let folder = pets();
    let dir = folder.path();
    let classes = ["--classes", "each"];
    let draw = |flags: &[&str]| draw(dir, &[&classes[..], flags].concat());
    let (plain, guided) = (draw(&[]), draw(&["--guidance", "3"]));
    assert_eq!(draw(&["--guidance", "1", "--guidance-rescale", "0.5"]), plain);
    assert_ne!(guided, plain);
    for batch in ["1", "4"] {
        assert_eq!(draw(&["--guidance", "3", "--batch-size", batch, "--threads", "1"]), guided);
    }
    assert_eq!(draw(&["--guidance", "3", "--guidance-interval", "0,1", "--guidance-rescale", "0"]), guided);
    assert_ne!(draw(&["--guidance", "3", "--guidance-interval", "0.1,0.5"]), guided);
    assert_ne!(draw(&["--guidance", "3", "--guidance-rescale", "0.7"]), guided);
    // Nothing is visited between these levels.
    assert_eq!(draw(&["--guidance", "3", "--guidance-interval", "0.9,1"]), plain);
    // No class is not guided, by whichever name.
    for none in ["none", "4", "none,4"] {
        let of = |flags: &[&str]| {
            ddim(
                dir,
                &[&["sample", "--model", "model", "--count", "2", "--steps", "3", "--save-npy", "x.npy", "--classes", none][..], flags]
                    .concat(),
            )
        };
        let (plain, guided) = (of(&[]), of(&["--guidance", "3"]));
        assert!(guided.stderr.contains("note: --guidance has no effect") && !plain.stderr.contains("--guidance"), "{}", guided.stderr);
    }
    // Without guidance by any class, there is none.
    assert_eq!(draw(&["--guidance", "0"]), {
        let args = ["sample", "--model", "model", "--count", "6", "--steps", "5", "--save-npy", "x.npy", "-q", "--classes", "4"];
        ok(dir, &args);
        floats(&dir.join("x.npy"))
    });

    // What was drawn is with it, and where it is not 1 alone.
    let sample = ["sample", "--model", "model", "--count", "2", "--steps", "1", "--classes", "cat", "--out", "o", "--json", "-q"];
    assert_eq!(json(&ok(dir, &sample))["guidance"], json!(1.0));
    assert!(!has(&dir.join("o/00000.png"), "guidance"));
    let more = ["--guidance", "2.5", "--guidance-interval", "0,0.8", "--guidance-rescale", "0.7"];
    refused(dir, &[&sample[..], &more].concat(), 1, &["00000.png"]);
    fs::remove_dir_all(dir.join("o")).unwrap();
    assert_eq!(json(&ok(dir, &[&sample[..], &more].concat()))["guidance"], json!(2.5));
    assert!(has(&dir.join("o/00001.png"), " --classes cat --guidance 2.5 --guidance-interval 0,0.8 --guidance-rescale 0.7"));

    // Every verb, and each does something.
    let model = ["--model", "model", "-q", "--classes", "cow,dog"];
    let verbs: [&[&str]; 5] = [
        &["encode", "--input", "o", "--steps", "3", "--save-npy", "y"],
        &["reconstruct", "--input", "o", "--steps", "3", "--grid", "y"],
        &["interpolate", "--frames", "3", "--steps", "3", "--grid", "y"],
        &["consistency", "--count", "2", "--steps", "3,5", "--grid", "y"],
        &["nll", "--data", "o", "--steps", "3", "--plot", "y.png"],
    ];
    for verb in verbs {
        let file = dir.join(verb.last().unwrap());
        let [without, with] = ["1", "4"].map(|w| {
            ok(dir, &[verb, &model[..], &["--guidance", w]].concat());
            fs::read(&file).unwrap()
        });
        ok(dir, &[verb, &model[..]].concat());
        assert!(fs::read(&file).unwrap() == without && without != with, "{verb:?}");
    }
    let edit = ["edit", "--model", "model", "--input", "o", "--steps", "3", "-q", "--save-npy", "y.npy", "--from-class", "cat"];
    for (more, noted) in [(&[][..], true), (&["--to-class", "none"], false)] {
        let run = ddim(dir, &[&edit[..], more].concat());
        assert!(run.code == 0 && run.stderr.contains("note: --classes is missing: decoding without a class") == noted, "{}", run.stderr);
    }
    let info = ok(dir, &["info", "model"]).stdout;
    assert!(info.contains("null class  4,"), "{info}");
    assert_eq!(json(&ok(dir, &["info", "model", "--json"]))["null_class"], json!(4));
}

#[test]
fn guidance_that_there_is_not() {
    let folder = pets();
    let dir = folder.path();
    let base = ["sample", "--model", "model", "-q", "--steps", "1", "--classes", "cat"];
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--guidance", "-1"], &["--guidance: ", "-1", "0 or more"]),
        (&["--guidance", "NaN"], &["--guidance: ", "0 or more"]),
        (&["--guidance", "much"], &["--guidance"]),
        (&["--guidance", "3", "--guidance-interval", "0.8,0.2"], &["--guidance-interval: ", "0.8", "smaller one first"]),
        (&["--guidance", "3", "--guidance-interval", "0,1.5"], &["--guidance-interval: ", "1.5"]),
        (&["--guidance", "3", "--guidance-interval", "0.5"], &["--guidance-interval", "such as 0.1,0.7"]),
        (&["--guidance", "3", "--guidance-rescale", "2"], &["--guidance-rescale: ", "2", "0 to 1"]),
        (&["--guidance", "1", "--guidance-rescale", "2"], &["--guidance-rescale: ", "2", "0 to 1"]),
        (&["--guidance-rescale", "0.5"], &["--guidance-rescale: 0.5", "without guidance", "--guidance as well"]),
        (&["--guidance-interval", "0.1,0.7"], &["--guidance-interval: 0.1,0.7", "without guidance", "--guidance as well"]),
    ];
    for (flags, words) in cases {
        refused(dir, &[&base[..], flags].concat(), 2, words);
    }
    // Five names for five rows: none stands for no class.
    fs::write(dir.join("model/classes.json"), r#"["cat", "dog", "cow", "hen", "fox"]"#).unwrap();
    let words = ["--guidance: 3: model has no null class", "label dropout"];
    refused(dir, &[&base[..], &["--guidance", "3"]].concat(), 2, &words);
    ok(dir, &[&base[..], &["--guidance", "1", "--save-npy", "x.npy"]].concat());
    // A model without classes.
    let folder = with_model("ddpm");
    let base = ["sample", "--model", "model", "--steps", "1", "--count", "1", "-q", "--save-npy", "x.npy"];
    refused(folder.path(), &[&base[..], &["--guidance", "2"]].concat(), 2, &["--guidance: 2: model has no null class"]);
    ok(folder.path(), &[&base[..], &["--guidance", "1"]].concat());
}

/// Names come from elsewhere: they are not to move a cursor, and a word that stands for several classes is said to where one is called so.
#[test]
fn classes_with_unusual_names() {
    // A model that has none says so, whatever is asked for.
    let folder = with_model("ddpm");
    for word in ["0", "each", "none", "cat,dog", "data"] {
        refused(
            folder.path(),
            &["sample", "--model", "model", "--classes", word, "-q"],
            2,
            &["--classes: ", word, "the model has no classes"],
        );
    }

    let folder = pets();
    let dir = folder.path();
    fs::write(dir.join("model/classes.json"), r#"["\u001b[2Jcat\u0007", "each", "cow", "random"]"#).unwrap();
    let run = ddim(dir, &["sample", "--model", "model", "-q", "--classes", "hen"]);
    assert!(run.code == 2 && run.stderr.contains(r"\u{1b}[2Jcat\u{7}, each") && !run.stderr.contains('\u{1b}'), "{}", run.stderr);
    let run = ddim(dir, &["sample", "--model", "model", "-q", "--classes", "cow,hen"]);
    assert!(
        run.code == 2 && run.stderr.contains("\"hen\": expected 0 to 4 or a name") && !run.stderr.contains("random, or"),
        "{}",
        run.stderr
    );
    for (word, noted) in [("each", Some("(number 1)")), ("random", Some("(number 3)")), ("1", None)] {
        let run =
            ddim(dir, &["sample", "--model", "model", "-q", "--classes", word, "--count", "1", "--steps", "1", "--save-npy", "x.npy"]);
        let note = format!("note: --classes {word}: read as the keyword, not as the class named {word}");
        assert!(run.code == 0 && run.stderr.contains(&note) == noted.is_some(), "{}", run.stderr);
        assert!(noted.is_none_or(|number| run.stderr.contains(number)), "{}", run.stderr);
    }
}

#[test]
fn mixed_classes() {
    let folder = pets();
    let dir = folder.path();
    let of = |classes: &str| draw(dir, &["--classes", classes]);
    let (cat, both) = (of("cat"), of("cat+dog"));
    assert!(both != cat && both != of("dog"));
    assert_eq!(of("0.3*cat"), cat);
    assert_eq!((of("dog+0"), of("2*cat + 2*dog"), of("0.5*cat+0.5*dog")), (both.clone(), both.clone(), both.clone()));
    assert_ne!(of("0.3*cat+0.7*dog"), both);
    let third = both.len() / 6;
    let turns = of("cat+dog,cat");
    assert_eq!((&turns[..third], &turns[third..2 * third]), (&both[..third], &cat[third..2 * third]));
    fs::write(dir.join("labels.txt"), "cat+dog\ncat\n").unwrap();
    assert_eq!(of("labels.txt"), turns);
    fs::write(dir.join("labels.txt"), "\u{feff}cat+dog\r\ncat\r\n").unwrap();
    assert_eq!(of("labels.txt"), turns);
    for batch in ["1", "4"] {
        assert_eq!(draw(dir, &["--classes", "cat+dog,cat", "--batch-size", batch]), turns);
    }
    assert_ne!(draw(dir, &["--classes", "cat+dog", "--guidance", "2"]), both);
    let sample = ["sample", "--model", "model", "--count", "2", "--steps", "1", "--out", "o", "--json", "-q", "--classes", "cat,3*cow+dog"];
    let said = json(&ok(dir, &sample));
    assert_eq!((&said["classes"], &said["mixtures"]), (&json!(null), &json!([[[0, 1.0]], [[1, 0.25], [2, 0.75]]])));
    assert!(has(&dir.join("o/00001.png"), "image 1, classes 0.25*dog+0.75*cow"));
    let alone = ["sample", "--model", "model", "--count", "2", "--steps", "1", "--grid", "g.png", "--json", "-q", "--classes", "cat"];
    assert_eq!(json(&ok(dir, &alone)).get("mixtures"), None);

    // A walk from class to class: its ends are those of their seeds, and the middle is half of each.
    let walk = |classes: &str, more: &[&str]| {
        let args = ["interpolate", "--model", "model", "--steps", "5", "--save-npy", "w.npy", "-q", "--classes", classes];
        ok(dir, &[&args[..], more].concat());
        floats(&dir.join("w.npy"))
    };
    let line = walk("cat,dog", &["--seeds", "3,8", "--frames", "5"]);
    let frame = |all: &[f32], k: usize| all[k * third..(k + 1) * third].to_vec();
    let end = |seed: &str, class: &str| frame(&draw(dir, &["--seed", seed, "--classes", class]), 0);
    assert_eq!((frame(&line, 0), frame(&line, 4)), (end("3", "cat"), end("8", "dog")));
    assert_eq!(frame(&line, 2), frame(&walk("cat+dog", &["--seeds", "3,8", "--frames", "5"]), 2));
    assert_eq!(frame(&line, 1), frame(&walk("0.75*cat+0.25*dog", &["--seeds", "3,8", "--frames", "5"]), 1));
    assert_eq!(walk("cow", &["--seeds", "3,8", "--frames", "3"]), walk("cow,cow", &["--seeds", "3,8", "--frames", "3"]));
    let square = walk("cat,dog,cow,hen", &["--seeds", "1,2,3,4", "--rows", "3", "--cols", "3"]);
    assert_eq!((frame(&square, 2), frame(&square, 6)), (end("2", "dog"), end("3", "cow")));
    assert_eq!(frame(&square, 4), frame(&walk("cat+dog+cow+hen", &["--seeds", "1,2,3,4", "--rows", "3", "--cols", "3"]), 4));
    let random = walk("random", &["--seeds", "3,8", "--frames", "2"]);
    assert_eq!((frame(&random, 0), frame(&random, 1)), (end("3", "random"), end("8", "random")));

    let base = ["sample", "--model", "model", "-q", "--steps", "1", "--classes"];
    for (classes, words) in [
        ("cat+fox", ["--classes: ", "\"fox\""]),
        ("cat+", ["--classes: ", "\"\""]),
        ("0*cat+dog", ["--classes: ", "\"0*cat\""]),
        ("-2*cat+dog", ["--classes: ", "weight above 0"]),
        ("data", ["--classes: data", "encode, reconstruct, nll"]),
        ("reference", ["--classes: reference", "sweep"]),
    ] {
        refused(dir, &[&base[..6], &[&format!("--classes={classes}")]].concat(), 2, &words);
    }
    refused(dir, &["interpolate", "--model", "model", "--classes", "cat,dog,cow", "-q"], 2, &["--classes: 3 classes", "2 ends"]);
    let other = with_model("class_timestep");
    refused(other.path(), &[&base[..], &["0+1"]].concat(), 2, &["--classes: ", "without a class table", "timestep"]);
    refused(other.path(), &["interpolate", "--model", "model", "--classes", "0,1", "-q"], 2, &["--classes: ", "without a class table"]);
}

#[test]
fn classes_of_data() {
    let folder = pets();
    let dir = folder.path();
    // In the order of their paths: hen, cat, cat in the model's numbers.
    for (i, path) in ["a/hen/0.png", "a/cat/1.png", "a/cat/2.png"].into_iter().enumerate() {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * y * 3) as u8 + 40 * i as u8])).save(dir.join(path)).unwrap();
    }
    let encode = |classes: &str, more: &[&str]| {
        let args = ["encode", "--model", "model", "--input", "a", "--steps", "3", "--save-npy", "z.npy", "-q", "--classes", classes];
        ok(dir, &[&args[..], more].concat());
        floats(&dir.join("z.npy"))
    };
    let data = encode("data", &[]);
    assert_eq!(data, encode("cat,cat,hen", &[]));
    assert_ne!(data, encode("cat", &[]));
    assert_eq!(encode("data", &["--batch-size", "2"]), data);
    assert_eq!(encode("data", &["--fit", "crop"]), data);
    let said = |verb: &[&str]| {
        let [data, listed] = ["data", "cat,cat,hen"].map(|classes| {
            let mut said = json(&ok(dir, &[verb, &["--model", "model", "-q", "--json", "--steps", "3", "--classes", classes]].concat()));
            said["seconds"].take();
            said
        });
        assert_eq!(data, listed, "{verb:?}");
    };
    said(&["reconstruct", "--input", "a"]);
    said(&["nll", "--data", "a"]);
    said(&["nll", "--data", "a", "--guidance", "2"]);

    let refused = |input: &str, words: &[&str]| {
        let args = ["encode", "--model", "model", "--input", input, "--steps", "3", "--save-npy", "y.npy", "-q", "--classes", "data"];
        refused(dir, &args, if words[0].starts_with("--") { 2 } else { 1 }, words);
    };
    refused("a/cat", &["a/cat", "no labels"]);
    npy(&dir.join("x.npy"), "<f4", false, "(1, 1, 8, 8)", &0.5f32.to_le_bytes().repeat(64));
    refused("x.npy", &["x.npy", "no labels"]);
    fs::rename(dir.join("a/hen"), dir.join("a/fox")).unwrap();
    refused("a", &["--classes: the images' class \"fox\"", "cat, dog, cow, hen"]);
    let sweep =
        ["sweep", "--model", "model", "--reference", "a/cat", "--count", "2", "--steps", "1", "--eta", "0", "-q", "--classes", "reference"];
    common::refused(dir, &sweep, 2, &["--classes: reference: a/cat has no classes"]);
}

/// A model may say which classes are drawn.
#[test]
fn classes_that_a_model_draws() {
    let folder = pets();
    let dir = folder.path();
    let says = |text: &str| fs::write(dir.join("model/sampling.json"), text).unwrap();
    let each = draw(dir, &[]);
    says(r#"{"classes": "hen, cat+dog", "guidance": 1.5}"#);
    // A file of that name is none of the model's.
    fs::write(dir.join("fox"), "cat\n").unwrap();
    let drawn = draw(dir, &["--guidance", "1"]);
    assert!(drawn != each && drawn == draw(dir, &["--classes", "hen,cat+dog", "--guidance", "1"]));
    ok(dir, &["sample", "--model", "model", "--count", "2", "--steps", "1", "--out", "o", "-q"]);
    assert!(has(&dir.join("o/00000.png"), " --classes 'hen, cat+dog' --guidance 1.5, image 0, class 3, hen ("));
    ok(dir, &["convert", "model", "copy", "-q"]);
    for model in ["model", "copy"] {
        assert_eq!(json(&ok(dir, &["info", model, "--json"]))["drawn_classes"], json!("hen, cat+dog"));
    }
    assert!(ok(dir, &["info", "model"]).stdout.contains("draws       hen, cat+dog in turn, by default"));
    // Latents that are given have none, other verbs that draw have them.
    ok(dir, &["sample", "--model", "model", "--count", "2", "--steps", "2", "--classes", "none", "--save-npy", "n.npy", "-q"]);
    let latents = ["sample", "--model", "model", "--latents", "n.npy", "--steps", "2", "--save-npy", "l.npy", "-q"];
    ok(dir, &latents);
    let plain = floats(&dir.join("l.npy"));
    ok(dir, &[&latents[..], &["--classes", "none"]].concat());
    assert_eq!(floats(&dir.join("l.npy")), plain);
    ok(dir, &["consistency", "--model", "model", "--count", "2", "--steps", "1,2", "--grid", "c.png", "-q"]);
    assert!(has(&dir.join("c.png"), " --classes 'hen, cat+dog'"));
    // What is read has none, whatever a model draws.
    let encode = ["encode", "--model", "model", "--input", "o", "--steps", "3", "-q", "--save-npy", "z.npy"];
    ok(dir, &encode);
    let without = floats(&dir.join("z.npy"));
    ok(dir, &[&encode[..], &["--classes", "none"]].concat());
    assert_eq!(floats(&dir.join("z.npy")), without);
    for (text, words) in [
        (r#"{"classes": "fox"}"#, ["sampling.json: classes: \"fox\": expected 0 to 4 or a name (cat, dog", ", none"]),
        (r#"{"classes": "random"}"#, ["sampling.json: classes: \"random\"", "expected"]),
        (r#"{"classes": ""}"#, ["sampling.json: classes: nothing in it", "expected classes"]),
        (r#"{"classes": "cat", "classes": "dog"}"#, ["sampling.json: ", "duplicate"]),
        (r#"{"classes": ["cat"]}"#, ["sampling.json: classes: ", "string"]),
        ("[]", ["sampling.json", "map"]),
    ] {
        says(text);
        refused(dir, &["sample", "--model", "model", "-q"], 1, &words);
    }
    says(r#"{"classes": "fox"}"#);
    assert_eq!(draw(dir, &["--classes", "each"]), each);
    // Without classes there is nothing to choose from.
    let folder = with_model("ddpm");
    fs::write(folder.path().join("model/sampling.json"), r#"{"classes": "cat"}"#).unwrap();
    let run = ddim(folder.path(), &["sample", "--model", "model", "--count", "1", "--steps", "1", "--out", "o"]);
    assert!(run.code == 0 && run.stderr.contains("sampling.json: classes have no effect: the model has none"), "{}", run.stderr);
    assert_eq!(json(&ok(folder.path(), &["info", "model", "--json"]))["drawn_classes"], json!(null));
}

/// Where nobody says otherwise: images of a seed are of each class in turn, guided as the model says; what reads images or latents has no class.
#[test]
fn what_is_drawn_where_nothing_is_said() {
    let folder = pets();
    let dir = folder.path();
    let plain = draw(dir, &["--classes", "each"]);
    assert_eq!(draw(dir, &[]), plain);
    let guided = draw(dir, &["--classes", "each", "--guidance", "2.5"]);
    fs::write(dir.join("model/sampling.json"), r#"{"guidance": 2.5, "of another version": true}"#).unwrap();
    assert_eq!(draw(dir, &[]), guided);
    assert_eq!(draw(dir, &["--guidance", "1"]), plain);
    // How it guides may be said without saying how far.
    let within = draw(dir, &["--guidance-interval", "0,0.5"]);
    assert_eq!(draw(dir, &["--guidance", "2.5", "--guidance-interval", "0,0.5"]), within);
    assert_ne!(within, guided);
    // Nor where: the model may say that too, for any scale, and a caption says it, or that it is otherwise.
    fs::write(dir.join("model/sampling.json"), r#"{"guidance": 2.5, "guidance_interval": [0, 0.5]}"#).unwrap();
    assert_eq!(draw(dir, &[]), within);
    assert_eq!(draw(dir, &["--guidance-interval", "0,1"]), guided);
    assert_eq!(draw(dir, &["--guidance", "1"]), plain);
    assert!(!ok(dir, &["sample", "--model", "model", "--guidance", "1", "--count", "1", "--steps", "1"]).stderr.contains("no effect"));
    let said = json(&ok(dir, &["info", "model", "--json"]));
    assert_eq!((&said["guidance"], &said["guidance_interval"]), (&json!(2.5), &json!([0.0, 0.5])));
    assert!(ok(dir, &["info", "model"]).stdout.contains("2.5 at levels from 0 T to 0.5 T, by default"));
    for (flags, told) in [
        (&[][..], json!([2.5, [0.0, 0.5], 0.0])),
        (&["--guidance-interval", "0.25,1", "--guidance-rescale", "0.5"], json!([2.5, [0.25, 1.0], 0.5])),
        (&["--guidance", "1"], json!([1.0, [0.0, 1.0], 0.0])),
    ] {
        let sample = ["sample", "--model", "model", "--count", "1", "--steps", "1", "--json", "-q"];
        let report = json(&ok(dir, &[&sample[..], flags].concat()));
        assert_eq!(json!([report["guidance"], report["guidance_interval"], report["guidance_rescale"]]), told);
    }
    for (out, flags, caption) in [
        ("said", &[][..], " --classes each --guidance 2.5 --guidance-interval 0,0.5, image 0"),
        ("more", &["--guidance", "3"], " --classes each --guidance 3 --guidance-interval 0,0.5, image 0"),
        ("all", &["--guidance-interval", "0,1"], " --classes each --guidance 2.5 --guidance-interval 0,1, image 0"),
        ("none", &["--guidance", "1"], " --classes each --guidance 1, image 0"),
    ] {
        ok(dir, &[&["sample", "--model", "model", "--count", "1", "--steps", "2", "--out", out][..], flags].concat());
        assert!(has(&dir.join(out).join("00000.png"), caption), "{out}");
    }
    for wrong in ["[0.5, 0.1]", "[0, 2]", "[0.5, 0.5]"] {
        fs::write(dir.join("model/sampling.json"), format!(r#"{{"guidance": 2.5, "guidance_interval": {wrong}}}"#)).unwrap();
        refused(dir, &["sample", "--model", "model", "-q"], 1, &["sampling.json", "guidance_interval is [", "the smaller one first"]);
    }
    fs::write(dir.join("model/sampling.json"), r#"{"guidance": 2.5, "of another version": true}"#).unwrap();
    // A guidance that has no effect is said to have none.
    for (flags, said) in [
        (&["--guidance", "1", "--guidance-rescale", "0.5"][..], "--guidance-rescale 0.5 has no effect"),
        (&["--classes", "none", "--guidance", "2"], "--guidance has no effect: images without a class"),
    ] {
        let run = ddim(dir, &[&["sample", "--model", "model", "--count", "1", "--steps", "1", "--out", "noted"][..], flags].concat());
        assert!(run.code == 0 && run.stderr.contains(said), "{}", run.stderr);
        fs::remove_dir_all(dir.join("noted")).unwrap();
    }
    let names = fs::read(dir.join("model/classes.json")).unwrap();
    fs::write(dir.join("model/classes.json"), r#"["cat", "wild dog", "cow", "hen", "fox"]"#).unwrap();
    let run = ddim(dir, &["sample", "--model", "model", "--count", "1", "--steps", "1", "--out", "noted"]);
    assert!(run.code == 0 && run.stderr.contains("sampling.json: guidance 2.5 has no effect"), "{}", run.stderr);
    assert_eq!(json(&ok(dir, &["info", "model", "--json"]))["guidance"], json!(null));
    // A caption is a command, whatever a class is called.
    ok(dir, &["sample", "--model", "model", "--count", "1", "--steps", "1", "--out", "spaced", "--classes", "wild dog"]);
    assert!(has(&dir.join("spaced/00000.png"), " --classes 'wild dog', image 0, class 1, wild dog ("));
    fs::write(dir.join("model/classes.json"), names).unwrap();
    let null = r#"{ "model": { "model": "model", "guidance": null }, "count": 1, "steps": 1 }"#;
    assert_eq!(serde_json::from_str::<ddim_engine::Sample>(null).unwrap().model.guidance, ddim_engine::Guidance::default());
    // As the caption has it, so that a command does the same wherever it is said again.
    let sample = ["sample", "--model", "model", "--count", "2", "--steps", "1", "--json", "-q", "--out"];
    let report = json(&ok(dir, &[&sample[..], &["a"]].concat()));
    assert_eq!((&report["guidance"], &report["classes"]), (&json!(2.5), &json!([0, 1])));
    assert!(has(&dir.join("a/00001.png"), " --classes each --guidance 2.5"));
    ok(dir, &[&sample[..], &["b", "--guidance", "1"]].concat());
    assert!(has(&dir.join("b/00001.png"), " --classes each --guidance 1"));
    let copied = json(&ok(dir, &["convert", "model", "copy", "--json"]));
    assert_eq!(copied["files"], json!(["copy"]));
    assert_eq!(json(&ok(dir, &["info", "copy", "--json"]))["guidance"], json!(2.5));

    // Timesteps are tuned for what is drawn.
    let tune = ["tune", "--model", "model", "--solver", "ddim", "--steps", "2", "--count", "2", "--held-out", "2", "--passes", "1", "-q"];
    ok(dir, &tune);
    assert!(has(&dir.join("model/tuned.json"), "--guidance 2.5"));
    let tuned = ["sample", "--model", "model", "--count", "1", "--steps", "2", "--trajectory", "tuned", "--save-npy", "t.npy", "-q"];
    ok(dir, &tuned);
    refused(dir, &[&tuned[..], &["--guidance", "1"]].concat(), 2, &["no entry for solver ddim and 2 steps", "--guidance 2.5"]);

    // No class is one of its own, and what it says is not guided.
    let none = draw(dir, &["--classes", "none"]);
    assert_eq!(draw(dir, &["--classes", "4", "--guidance", "1"]), none);
    assert!(none != plain && draw(dir, &["--classes", "none", "--guidance", "4"]) == none);
    let report = json(&ok(dir, &[&sample[..], &["c", "--classes", "none"]].concat()));
    assert_eq!((&report["guidance"], &report["classes"]), (&json!(1.0), &json!(null)));
    assert!(has(&dir.join("c/00001.png"), " --classes none, image 1") && !has(&dir.join("c/00001.png"), "guidance"));
    // What is encoded and decoded again is that image.
    ok(dir, &["sample", "--model", "model", "--count", "2", "--steps", "20", "--save-npy", "x.npy", "-q"]);
    let x = floats(&dir.join("x.npy"));
    ok(dir, &["encode", "--model", "model", "--input", "x.npy", "--steps", "200", "--save-npy", "z.npy", "-q"]);
    let decoded = |flags: &[&str]| {
        let args = ["sample", "--model", "model", "--latents", "z.npy", "--steps", "200", "--no-clip", "--save-npy", "y.npy", "-q"];
        ok(dir, &[&args[..], flags].concat());
        floats(&dir.join("y.npy")).iter().zip(&x).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / x.len() as f32
    };
    let (same, other) = (decoded(&[]), decoded(&["--classes", "each", "--guidance", "2.5"]));
    assert!(same < 0.1 * other, "{same} {other}");

    for (text, words) in [("3", ["sampling.json", "expected"]), (r#"{"guidance": -1}"#, ["guidance is -1", "0 or more"])] {
        fs::write(dir.join("model/sampling.json"), text).unwrap();
        refused(dir, &["sample", "--model", "model", "-q"], 1, &words);
    }
    // A link to what is gone is no missing file, and a pipe is nothing to wait for.
    #[cfg(unix)]
    for file in ["sampling.json", "classes.json", "model_index.json"] {
        let kept = fs::read(dir.join("model").join(file)).unwrap();
        fs::remove_file(dir.join("model").join(file)).unwrap();
        std::os::unix::fs::symlink("gone", dir.join("model").join(file)).unwrap();
        refused(dir, &["sample", "--model", "model", "-q"], 1, &[file]);
        fs::remove_file(dir.join("model").join(file)).unwrap();
        if std::process::Command::new("mkfifo").arg(dir.join("model").join(file)).status().is_ok_and(|made| made.success()) {
            refused(dir, &["sample", "--model", "model", "-q"], 1, &[file, "expected a file"]);
            fs::remove_file(dir.join("model").join(file)).unwrap();
        }
        fs::write(dir.join("model").join(file), kept).unwrap();
    }
}

/// A hundred names are read more easily in lines.
#[test]
fn info_has_long_lists_in_lines() {
    let folder = tempfile::tempdir().unwrap();
    let text = ok(folder.path(), &["info", "emoji"]).stdout;
    let lists: Vec<&str> = text.lines().filter(|line| line.ends_with(',')).collect();
    assert!(lists.len() >= 20 && text.lines().all(|line| line.chars().count() <= 120), "{text}");
    for item in ["\nclasses     0 alphanum (39 images), 1 ", ", 98 zodiac (13 images)\n", "\ndraws       face-smiling, person-role, "] {
        assert!(text.contains(item), "{item}: {text}");
    }
}

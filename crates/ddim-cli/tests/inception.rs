//! `ddim fid` and `sweep` through the weights of FID's Inception, which the environment variable DDIM_INCEPTION names: equal sets, files both
//! ways, other threads, kills at any moment, and folders that are tied to what they were made of.
//!
//! Without the variable each of these is counted as ignored: the usual harness ignores when it is compiled, hence this one.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{SCHEDULER, ddim, edit, errors, json, listing, npy, ok, pictures, refused, root, with_model};
use libtest_mimic::{Arguments, Completion, Trial};
use safetensors::{SafeTensors, tensor::TensorView};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TESTS: &[(&str, fn())] = &[
    ("distances_of_sets", distances_of_sets),
    ("the_variable_is_enough", the_variable_is_enough),
    ("the_same_numbers_for_any_number_of_threads", the_same_numbers_for_any_number_of_threads),
    ("backgrounds", backgrounds),
    ("a_sweep_killed_at_any_moment", a_sweep_killed_at_any_moment),
    #[cfg(unix)]
    ("a_sweep_on_a_full_disk", a_sweep_on_a_full_disk),
    ("a_sweep_over_solvers_trajectories_and_seeds", a_sweep_over_solvers_trajectories_and_seeds),
    ("a_sweep_of_other_contents_is_refused", a_sweep_of_other_contents_is_refused),
    ("a_sweep_of_classes", a_sweep_of_classes),
    ("references_are_kept", references_are_kept),
    ("bad_sets_that_are_found_later", bad_sets_that_are_found_later),
];

fn main() {
    let trial = |(name, test): (&str, fn())| {
        Trial::ignorable_test(name, move || {
            if file().is_none() {
                return Ok(Completion::ignored_with("DDIM_INCEPTION is not set, see CONTRIBUTING.md"));
            }
            test();
            Ok(Completion::Completed)
        })
    };
    libtest_mimic::run(&Arguments::from_args(), TESTS.iter().copied().map(trial).collect()).exit();
}

/// What the variable names.
fn file() -> Option<PathBuf> {
    std::env::var_os("DDIM_INCEPTION").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The flag that names the weights.
fn weights() -> String {
    format!("--inception={}", file().expect("looked for before").display())
}

fn distances_of_sets() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    let fashion = root().join("conformance/fashion_test");
    let fashion = fashion.to_str().unwrap();
    pictures(&dir.join("noise.npy"), 12, 32, 0);
    // A set is at no distance from itself, and noise is far from garments.
    let run = ok(dir, &["fid", fashion, fashion, &weights, "--json", "-q", "--save-stats", "fashion.npz"]);
    let same = json(&run);
    assert!((0.0..1e-6).contains(&same["fid"].as_f64().unwrap()) && same["count_a"] == 16 && same["precision"] == 1.0, "{same}");
    let far = json(&ok(dir, &["fid", "noise.npy", "fashion.npz", &weights, "--json", "-q"]));
    assert!(far["fid"].as_f64().unwrap() > 200.0 && far["kid"].is_null() && far["count_b"] == 16, "{far}");
    let both = json(&ok(dir, &["fid", "noise.npy", fashion, &weights, "--json", "-q"]));
    assert!((both["fid"].as_f64().unwrap() - far["fid"].as_f64().unwrap()).abs() < 1e-9 && both["recall"] == 0.0, "{both}");
    assert!(both["kid"].as_f64().unwrap() > 0.1);
    // Of so few images a subset would be the whole set: the error is not 0 for that.
    let [fid_error, kid_error] = ["fid_error", "kid_error"].map(|key| both[key].as_f64().unwrap());
    assert!(fid_error > 0.1 && fid_error < 0.5 * both["fid"].as_f64().unwrap() && kid_error > 1e-4, "{both}");
    assert_eq!(both["kid_counts"], serde_json::json!([12, 16]));
    let warnings = both["warnings"].to_string();
    assert!(warnings.contains("A has 12 images") && warnings.contains("B has 16 images"), "{warnings}");
    // The jackknife, by the binary itself: FID without each image.
    let fid_of = |name: &str| json(&ok(dir, &["fid", name, "fashion.npz", &weights, "--json", "-q"]));
    pictures(&dir.join("five.npy"), 5, 16, 3);
    let found = fid_of("five.npy")["fid_error"].as_f64().unwrap();
    let bytes = fs::read(dir.join("five.npy")).unwrap();
    let images: Vec<&[u8]> = bytes[bytes.len() - 5 * 768..].chunks(768).collect();
    let without = (0..5).map(|left_out| {
        let kept: Vec<u8> = (0..5).filter(|i| *i != left_out).flat_map(|i| images[i]).copied().collect();
        npy(&dir.join("four.npy"), "|u1", false, "(4, 16, 16, 3)", &kept);
        fid_of("four.npy")["fid"].as_f64().unwrap()
    });
    let without: Vec<f64> = without.collect();
    let mean = without.iter().sum::<f64>() / 5.0;
    let jackknife = (0.8 * without.iter().map(|fid| (fid - mean).powi(2)).sum::<f64>()).sqrt();
    assert!((found / jackknife - 1.0).abs() < 1e-3, "{found} {jackknife}");
    // Parts, put together.
    for i in 0..16 {
        let part = if i < 5 { "part" } else { "rest" };
        fs::create_dir_all(dir.join(part)).unwrap();
        fs::copy(Path::new(fashion).join(format!("{i:02}.png")), dir.join(part).join(format!("{i:02}.png"))).unwrap();
    }
    let run = ok(dir, &["fid", "part", "--also", "rest", "fashion.npz", &weights, "--json"]);
    let parts = json(&run);
    assert!((0.0..1e-6).contains(&parts["fid"].as_f64().unwrap()) && parts["count_a"] == 16, "{parts}");
    assert!(run.stderr.contains("warning: A has 16 images"), "{}", run.stderr);
    let text = ok(dir, &["fid", "part", "rest", &weights, "--size", "16", "-q"]).stdout;
    assert!(
        text.starts_with("FID ") && text.contains(" ± ") && text.contains("N = 5 images against 11 images") && text.contains("images/s"),
        "{text}"
    );
}

/// The flag is before the variable, and the variable before the caches.
fn the_variable_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("a.npy"), 3, 8, 0);
    let run = ok(dir, &["fid", "a.npy", "a.npy", "--json", "-q"]);
    assert!((0.0..1e-6).contains(&json(&run)["fid"].as_f64().unwrap()), "{}", run.stdout);
    refused(dir, &["fid", "a.npy", "a.npy", "--inception", "none.safetensors", "-q"], 1, &["none.safetensors"]);
}

/// Two processes: not a bit differs.
fn the_same_numbers_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    pictures(&dir.join("a.npy"), 20, 16, 0);
    pictures(&dir.join("b.npy"), 25, 16, 9);
    let run = |threads: &str| {
        let stats = format!("{threads}.npz");
        let mut object = json(&ok(dir, &["fid", "a.npy", "b.npy", &weights, "--threads", threads, "--save-stats", &stats, "--json", "-q"]));
        ["seconds", "images_per_second", "files"].iter().for_each(|key| drop(object.as_object_mut().unwrap().remove(*key)));
        (object, fs::read(dir.join(stats)).unwrap())
    };
    let ((one, one_file), (three, three_file)) = (run("1"), run("3"));
    assert_eq!(one, three);
    assert!(one_file == three_file);
}

/// A background alone lays transparent pixels over it; without one they are refused, and what would help is said.
fn backgrounds() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    for name in ["clear", "opaque"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    for i in 0..4u8 {
        let shade = |x: u32, y: u32| [60 * i, (x * 9) as u8, (y * 9) as u8];
        let clear = image::RgbaImage::from_fn(24, 20, |x, y| {
            let [r, g, b] = shade(x, y);
            image::Rgba([r, g, b, if x < 12 { 0 } else { 255 }])
        });
        let opaque = image::RgbImage::from_fn(24, 20, |x, y| image::Rgb(if x < 12 { [255, 0, 0] } else { shade(x, y) }));
        clear.save(dir.join(format!("clear/{i}.png"))).unwrap();
        opaque.save(dir.join(format!("opaque/{i}.png"))).unwrap();
    }
    refused(dir, &["fid", "clear", "opaque", &weights, "-q"], 1, &["clear/0.png", "transparent", "--background"]);
    let fid =
        |background: &str| json(&ok(dir, &["fid", "clear", "opaque", "--background", background, &weights, "--json", "-q"]))["fid"].clone();
    assert!((0.0..1e-6).contains(&fid("#ff0000").as_f64().unwrap()));
    assert!(fid("white").as_f64().unwrap() > 1.0);
}

const SWEEP: [&str; 14] = [
    "sweep",
    "--model",
    "model",
    "--reference",
    "real.npy",
    "--count",
    "70",
    "--steps",
    "2,3",
    "--eta",
    "0,hat",
    "--batch-size",
    "16",
    "-q",
];

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let all = listing(folder).into_iter().filter(|path| path.is_file());
    let named = all.map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), fs::read(path).unwrap()));
    // How long it took is another matter.
    named.filter(|(name, _)| name != "timings.json" && !name.starts_with("seconds.")).collect()
}

/// Files that may not grow, as on a full disk: one line, and the same command goes on when there is room.
#[cfg(unix)]
fn a_sweep_on_a_full_disk() {
    let folder = with_model("ddpm");
    let (dir, weights) = (folder.path(), weights());
    pictures(&dir.join("real.npy"), 40, 16, 1);
    let with = |out: &'static str| {
        let args =
            ["sweep", "--model", "model", "--reference", "real.npy", "--count", "3", "--steps", "2", "--eta", "0", "-q", "--out", out];
        args.map(str::to_owned).into_iter().chain([weights.clone()]).collect::<Vec<_>>()
    };
    let run = |out| ok(dir, &with(out).iter().map(String::as_str).collect::<Vec<_>>());
    let ddim = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    let mut command = Command::new("sh");
    command.current_dir(dir).args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]).arg(&ddim).args(with("s"));
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let said = errors(&error);
    assert!(output.status.code() == Some(1) && said.len() == 1 && said[0].contains("cannot be written"), "{error}");
    assert!(!error.contains(".ddim-") && !listing(dir).iter().any(|path| path.to_string_lossy().contains(".ddim-")), "{error}");
    run("s");
    run("t");
    assert!(files(&dir.join("s")) == files(&dir.join("t")));
}

/// Ten kills at moments that fall anywhere: the same command goes on, repeats no image, and ends with the same bytes.
fn a_sweep_killed_at_any_moment() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let weights = weights();
    pictures(&dir.join("real.npy"), 40, 16, 1);
    let with = |out: &'static str| SWEEP.iter().copied().chain(["--out", out, &weights]).map(str::to_owned).collect::<Vec<_>>();
    let whole = with("whole");
    let begin = Instant::now();
    let run = ok(dir, &whole.iter().map(String::as_str).collect::<Vec<_>>());
    let took = begin.elapsed();
    assert!(run.stdout.starts_with("| S | 2 | 3 |\n|---|---|---|\n| η = 0 |"), "{}", run.stdout);
    assert!(
        run.stdout.contains("FID of N = 70 images per cell against 40 images, ±") && run.stdout.contains("KID × 1000"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Warning: a cell has 70 images, fewer than"), "{}", run.stdout);
    let differences = fs::read_to_string(dir.join("whole/differences.csv")).unwrap();
    assert!(differences.lines().skip(1).all(|line| line.split(',').nth(1).unwrap().parse::<f64>().unwrap() > 0.0), "{differences}");
    assert!(differences.lines().count() > 3 && run.stdout.contains("over pairs of images from the same latents"), "{}", run.stdout);
    let (mut kills, mut moment) = (0, 1u64);
    loop {
        let mut child = Command::cargo_bin("ddim")
            .unwrap()
            .current_dir(dir)
            .args(with("killed"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if kills == 10 {
            assert!(child.wait().unwrap().success());
            break;
        }
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(300 + (moment >> 33) % (took.as_millis() as u64 / 5 + 1));
        let begin = Instant::now();
        while begin.elapsed() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let (whole, killed) = (files(&dir.join("whole")), files(&dir.join("killed")));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole), names(&killed));
    for ((name, a), (_, b)) in whole.iter().zip(&killed) {
        assert!(a == b, "{name} differs");
    }
    assert!(whole.iter().any(|(name, _)| name == "grid.png") && whole.iter().any(|(name, _)| name == "fid.svg"));

    // More cells in the same folder: what is there is not computed again, nor written.
    let cells = dir.join("whole/cells");
    let written = || -> Vec<_> {
        let cells = ["s0002-eta0", "s0003-eta0", "s0002-etahat", "s0003-etahat"].map(|name| cells.join(format!("{name}.json")));
        cells.iter().map(|cell| cell.metadata().unwrap().modified().unwrap()).collect()
    };
    let before = written();
    let more: Vec<String> = with("whole").into_iter().map(|arg| if arg == "2,3" { "2,3,4".to_owned() } else { arg }).collect();
    let object = json(&ok(dir, &[&more.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--json"]].concat()));
    let numbers = object["cells"].as_array().unwrap();
    assert_eq!(numbers.len(), 6);
    for cell in numbers {
        let number = |key: &str| cell[key].as_f64().unwrap();
        assert!(number("fid") > 10.0 && number("fid_error") > 0.1 && number("fid_error") < 0.2 * number("fid"), "{cell}");
        assert!(number("kid") > 0.0 && number("kid_error") > 1e-4 && number("kid_error") < number("kid") && cell["count"] == 70, "{cell}");
    }
    assert_eq!(object["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(written(), before);
    // Another sweep's folder.
    let other: Vec<&str> = more.iter().map(|arg| if arg == "70" { "71" } else { arg }).collect();
    refused(dir, &other, 1, &["whole", "count is 70 there and 71 here"]);
}

/// Solvers, trajectories and seeds, in a folder that a version without them began: its cells stay as they are and stand in the table, the others are
/// what each would be in a folder of its own.
fn a_sweep_over_solvers_trajectories_and_seeds() {
    let folder = with_model("ddpm");
    let (dir, weights) = (folder.path(), weights());
    pictures(&dir.join("real.npy"), 6, 16, 1);
    let sweep = |out: &str, more: &[&str]| {
        let args = ["sweep", "--model", "model", "--reference", "real.npy", &weights, "--count", "3", "--steps", "2,3", "--eta", "0", "-q"];
        json(&ok(dir, &[&args[..], &["--out", out, "--json"], more].concat()))
    };
    let first = sweep("s", &[]);
    let own = first["settings"]["trajectory"].as_str().unwrap().to_owned();
    assert!(own != "trailing" && first["settings"]["seed"] == 0, "{first}");
    // As it was written before there were others.
    let of_old = ["s0002-eta0", "s0003-eta0"].map(|name| dir.join(format!("s/cells/{name}.json")));
    for path in &of_old {
        let mut cell: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        ["solver", "trajectory", "seed"].iter().for_each(|key| drop(cell.as_object_mut().unwrap().shift_remove(*key).unwrap()));
        fs::write(path, serde_json::to_string_pretty(&cell).unwrap()).unwrap();
    }
    let state =
        || -> Vec<_> { of_old.iter().map(|path| (fs::read(path).unwrap(), path.metadata().unwrap().modified().unwrap())).collect() };
    let (before, settings) = (state(), fs::read(dir.join("s/sweep.json")).unwrap());
    assert_eq!(sweep("s", &[])["cells"], first["cells"]);

    let trajectories = format!("{own},trailing");
    let axes = ["--solver", "ddim,heun", "--trajectory", &trajectories, "--seed", "0,5", "--save-images", "images"];
    let all = sweep("s", &axes);
    let cells = all["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 16);
    assert!(state() == before && fs::read(dir.join("s/sweep.json")).unwrap() == settings);
    assert!(all["settings"].get("seed").is_none() && all["settings"].get("trajectory").is_none() && all["settings"]["count"] == 3, "{all}");
    let names: Vec<String> = listing(&dir.join("s/cells")).iter().map(|path| path.file_stem().unwrap().display().to_string()).collect();
    for name in ["s0002-eta0", "s0002-eta0-seed5", "s0003-heun-eta0", "s0003-trailing-eta0", "s0002-heun-trailing-eta0-seed5"] {
        assert!(names.iter().any(|known| known == name), "{name} {names:?}");
    }
    // Row after row, in each place a seed beside the other.
    let of = |cell: &serde_json::Value, keys: &[&str]| keys.iter().map(|key| cell[key].to_string()).collect::<Vec<_>>().join(" ");
    let said: Vec<String> = cells[4..8].iter().map(|cell| of(cell, &["solver", "steps", "evaluations", "seed"])).collect();
    assert_eq!(said, [r#""heun" 2 3 0"#, r#""heun" 2 3 5"#, r#""heun" 3 5 0"#, r#""heun" 3 5 5"#]);
    // Each alone, where it is called by nothing else.
    for (i, out) in [(0, "a"), (8, "b")] {
        let trajectory = if i == 0 { own.as_str() } else { "trailing" };
        let alone = sweep(out, &["--solver", "heun,ddim", "--trajectory", trajectory, "--seed", "5"]);
        let alone = alone["cells"].as_array().unwrap();
        for (cell, same) in [(i + 1, 2), (i + 3, 3), (i + 5, 0), (i + 7, 1)] {
            assert_eq!(cells[cell], alone[same]);
        }
        assert!(dir.join(out).join("cells/s0002-eta0.json").is_file() && dir.join(out).join("kid.svg").is_file());
    }
    // The table has the mean of both, and says so.
    let text = fs::read_to_string(dir.join("s/table.md")).unwrap();
    let fid = |i: usize| cells[i]["fid"].as_f64().unwrap();
    let (mean, deviation) = (0.5 * (fid(4) + fid(5)), (fid(4) - fid(5)).abs() / 2f64.sqrt());
    assert!(text.contains(&format!("| heun, {own} | {mean:.2} ± {deviation:.2} |")), "{text}");
    assert!(
        text.contains("the mean of 2 seeds ± the standard deviation over seeds")
            && text.contains(&format!("except for: heun, {own} (3, 5)")),
        "{text}"
    );
    let svg = fs::read_to_string(dir.join("s/fid.svg")).unwrap();
    assert!(svg.contains("evaluations per image") && svg.contains("heun, trailing") && svg.contains("2 seeds"), "{svg}");
    // The images of a cell are those that its flags draw.
    let sample =
        ["sample", "--model", "model", "--count", "3", "--steps", "3", "--solver", "heun", "--trajectory", "trailing", "--seed", "5"];
    ok(dir, &[&sample[..], &["--out", "drawn", "-q"]].concat());
    for i in 0..3 {
        let pixels = |folder: &str| image::open(dir.join(folder).join(format!("{i:05}.png"))).unwrap();
        assert!(pixels("images/s0003-heun-trailing-eta0-seed5") == pixels("drawn"), "image {i}");
    }
    // Those of cells that were done before, without images, too; and what is missing of them is written again.
    let of_old = dir.join("images/s0002-eta0");
    assert_eq!(listing(&of_old).len(), 3);
    let (one, written) = (of_old.join("00001.png"), fs::read(of_old.join("00001.png")).unwrap());
    fs::remove_file(&one).unwrap();
    assert_eq!(sweep("s", &axes)["cells"], all["cells"]);
    assert!(fs::read(&one).unwrap() == written);
    is_computed_by_its_command(dir, "s", &weights);
    // A part of it again: nothing is computed, and one seed has the error over images.
    let part = sweep("s", &["--solver", "heun", "--seed", "5"]);
    assert_eq!(part["cells"].as_array().unwrap()[..], [cells[5].clone(), cells[7].clone()]);
    assert!(part["settings"]["seed"] == 5 && fs::read_to_string(dir.join("s/table.md")).unwrap().contains("± one standard error over"));
}

/// A folder is tied to what model, reference and Inception hold, not to what they are called: others are refused by name, at once and where a
/// cell is added; the same under another name are not.
fn a_sweep_of_other_contents_is_refused() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let weights = weights();
    pictures(&dir.join("real.npy"), 6, 16, 1);
    let with = |reference: &str, inception: &str, eta: &str, out: &str| {
        let args = ["sweep", "--model", "model", "--reference", reference, inception, "--count", "3", "--steps", "2", "--eta", eta, "-q"];
        [&args[..], &["--out", out, "--json"]].concat().into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let sweep = |reference: &str, inception: &str| with(reference, inception, "0", "s");
    let run = |args: &[String]| ok(dir, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let no = |args: &[String], words: &[&str]| refused(dir, &args.iter().map(String::as_str).collect::<Vec<_>>(), 1, words);
    run(&sweep("real.npy", &weights));
    let known = files(&dir.join("s"));

    // As many images of another content under the same name; the folder is as it was.
    let real = fs::read(dir.join("real.npy")).unwrap();
    let mut other = real.clone();
    // By so much that it is seen after resizing.
    *other.last_mut().unwrap() ^= 0x80;
    fs::write(dir.join("real.npy"), &other).unwrap();
    no(&sweep("real.npy", &weights), &["s: another sweep: the contents of the reference differ", "another --out"]);
    no(&with("real.npy", &weights, "0,1", "s"), &["the contents of the reference differ"]);
    fs::write(dir.join("real.npy"), &real).unwrap();
    // The same content under another name.
    fs::rename(dir.join("real.npy"), dir.join("moved.npy")).unwrap();
    run(&sweep("moved.npy", &weights));

    // Other weights under any name.
    let bytes = fs::read(file().unwrap()).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let name = "Mixed_7c.branch_pool.conv.weight";
    let mut data = tensors.tensor(name).unwrap().data().to_vec();
    let last = data.len() - 4;
    data[last] ^= 1;
    let view = tensors.tensor(name).unwrap();
    let changed = TensorView::new(view.dtype(), view.shape().to_vec(), &data).unwrap();
    let kept = tensors.iter().filter(|(other, _)| *other != name).map(|(n, view)| (n.to_owned(), view));
    fs::write(dir.join("other.safetensors"), safetensors::serialize(kept.chain([(name.to_owned(), changed)]), None).unwrap()).unwrap();
    no(&sweep("moved.npy", "--inception=other.safetensors"), &["another sweep: Inception's weights differ"]);
    fs::remove_file(dir.join("other.safetensors")).unwrap();

    // The same weights under another scheduler, of statistics that are another reference, and of an earlier version's folder.
    edit(&dir.join(SCHEDULER), serde_json::json!({ "beta_end": 0.03 }));
    no(&sweep("moved.npy", &weights), &["another sweep: scheduler.beta_end is 0.02 there and 0.03 here"]);
    edit(&dir.join(SCHEDULER), serde_json::json!({ "beta_end": 0.02 }));
    no(&sweep("s/reference.npz", &weights), &["another sweep: reference_prepared is"]);
    run(&sweep("moved.npy", &weights));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&files(&dir.join("s"))), names(&known));
    edit(&dir.join("s/sweep.json"), serde_json::json!({ "reference_checksum": null }));
    no(&sweep("moved.npy", &weights), &["s: a sweep from an earlier version", "reference_checksum"]);

    // Statistics alone have a FID with its error, and no KID.
    ok(dir, &["fid", "moved.npy", "--save-stats", "moved.npz", &weights, "-q"]);
    let run = json(&run(&with("moved.npz", &weights, "0", "t")));
    let cell = &run["cells"][0];
    assert!(cell["fid_error"].as_f64().unwrap() > 0.0 && cell["kid"].is_null() && cell["count"] == 3, "{run}");
    assert!(run["warnings"].to_string().contains("no KID"), "{run}");
}

/// The command that a table says it was computed by computes it again.
fn is_computed_by_its_command(dir: &Path, folder: &str, weights: &str) {
    let table = |folder: &str| fs::read_to_string(dir.join(folder).join("table.md")).unwrap();
    let text = table(folder);
    let command = text.strip_suffix("`.\n").and_then(|text| text.rsplit_once("\nComputed by `ddim ")).unwrap_or_else(|| panic!("{text}")).1;
    let again = format!("{folder}-again");
    // Quoted for a shell.
    let command = command.replace('\'', "");
    ok(dir, &command.split(' ').chain([weights, "--out", &again, "-q"]).collect::<Vec<_>>());
    assert_eq!(table(&again), text);
}

/// Classes drawn as the reference has them; scales of guidance are rows, and another interval is another sweep.
fn a_sweep_of_classes() {
    let folder = with_model("learned_classes");
    let dir = folder.path();
    fs::write(dir.join("model/classes.json"), r#"["cat", "dog", "cow", "hen"]"#).unwrap();
    fs::create_dir_all(dir.join("real/hen")).unwrap();
    for k in 0..3u8 {
        image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * y) as u8 * (k + 1)])).save(dir.join(format!("real/hen/{k}.png"))).unwrap();
    }
    let weights = weights();
    let sweep = |classes: &str, more: &[&str]| {
        let args = ["sweep", "--model", "model", "--reference", "real", &weights, "--count", "3", "--steps", "2", "--eta", "0", "-q"];
        let more = [&["--classes", classes, "--json"], more].concat();
        [&args[..], &more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: &[String]| json(&ok(dir, &args.iter().map(String::as_str).collect::<Vec<_>>()));
    let no = |args: &[String], words: &[&str]| refused(dir, &args.iter().map(String::as_str).collect::<Vec<_>>(), 1, words);
    let fid = |object: serde_json::Value| object["cells"][0]["fid"].as_f64().unwrap();
    // All of the reference are hens, and so are all that are drawn.
    let hens = fid(run(&sweep("reference", &["--out", "a"])));
    assert_eq!(fid(run(&sweep("hen", &["--out", "b"]))), hens);
    assert_ne!(fid(run(&sweep("cat", &["--out", "c"]))), hens);
    assert_eq!(fid(run(&sweep("reference", &["--out", "a"]))), hens);
    no(
        &sweep("reference", &["--out", "a", "--guidance", "2", "--guidance-interval", "0,0.5"]),
        &["a: another sweep: guidance_interval is"],
    );
    // Guided alone, in one folder with others, and as the first of them: the same cell, of twice the evaluations.
    let guided = run(&sweep("reference", &["--out", "d", "--guidance", "2"]));
    assert_ne!(fid(guided.clone()), hens);
    let both = run(&sweep("reference", &["--out", "a", "--guidance", "1,2"]));
    let cell = |table: &serde_json::Value, i: usize, key: &str| table["cells"][i][key].clone();
    assert_eq!(both["cells"].as_array().unwrap().len(), 2);
    assert!(both["cells"][1] == guided["cells"][0] && cell(&both, 0, "fid") == hens, "{both}");
    assert_eq!([0, 1].map(|i| cell(&both, i, "evaluations")), [2, 4]);
    assert_eq!((&guided["settings"]["guidance"], both["settings"].get("guidance")), (&serde_json::json!(2.0), None));
    assert!(dir.join("a/cells/s0002-eta0-guidance2.json").is_file() && dir.join("d/cells/s0002-eta0.json").is_file());
    let text = fs::read_to_string(dir.join("a/table.md")).unwrap();
    assert!(text.contains("\n| guidance 2 | ") && text.contains("except for: guidance 2 (4)."), "{text}");
    run(&sweep("hen,0.3*cat+0.7*dog", &["--out", "l", "--guidance", "1,2", "--guidance-interval", "0,0.5", "--clip", "--fit", "stretch"]));
    is_computed_by_its_command(dir, "l", &weights);
    let twice = sweep("reference", &["--out", "a", "--guidance", "2,1,2"]);
    refused(dir, &twice.iter().map(String::as_str).collect::<Vec<_>>(), 2, &["--guidance", "2 twice"]);
    assert_ne!(fid(run(&sweep("hen+cat", &["--out", "e"]))), hens);

    // Where the reference has classes enough, images are drawn of them, and looked at for them.
    for (class, k) in [("cat", 0u8), ("hen", 9)] {
        fs::create_dir_all(dir.join("both").join(class)).unwrap();
        for i in 0..12u8 {
            let pixel = |x: u32, y: u32| image::Luma([(x as u8).wrapping_mul(3 + i).wrapping_add(y as u8 * 20 * k)]);
            image::GrayImage::from_fn(8, 8, pixel).save(dir.join(format!("both/{class}/{i}.png"))).unwrap();
        }
    }
    let args = ["sweep", "--model", "model", "--reference", "both", &weights, "--count", "9", "--steps", "2", "--eta", "0", "-q", "--json"];
    let report = json(&ok(dir, &[&args[..], &["--out", "f"]].concat()));
    let cell = &report["cells"][0];
    let counts: Vec<(u64, u64)> =
        cell["classes"].as_array().unwrap().iter().map(|c| (c["class"].as_u64().unwrap(), c["count"].as_u64().unwrap())).collect();
    assert!(matches!(counts[..], [(0, cats), (3, hens)] if cats + hens == 9), "{report}");
    let shares: f64 =
        cell["classes"].as_array().unwrap().iter().map(|c| c["accuracy"].as_f64().unwrap() * c["count"].as_f64().unwrap()).sum();
    assert!((cell["accuracy"].as_f64().unwrap() - shares / 9.0).abs() < 1e-12, "{report}");
    let csv = fs::read_to_string(dir.join("f/classes.csv")).unwrap();
    assert!(csv.lines().count() == 3 && csv.contains("\n3,\"hen\",") && csv.contains("\n0,\"cat\","), "{csv}");
    assert!(fs::read_to_string(dir.join("f/table.md")).unwrap().contains("% of the real images right in ten-fold cross-validation"));
    assert_eq!(json(&ok(dir, &[&args[..], &["--out", "f", "--classes", "reference"]].concat()))["cells"], report["cells"]);
    // Guided where the reference says which classes, and not where there is none.
    let of = |flags: &[&str]| json(&ok(dir, &[&args[..], flags].concat()))["cells"][0].clone();
    assert_eq!(of(&["--out", "two", "--guidance", "2"])["evaluations"], 4);
    let none = |out: &str, guidance: &str| of(&["--out", out, "--classes", "none", "--guidance", guidance]);
    let (plain, guided) = (none("none", "1"), none("none2", "2"));
    assert!(guided["evaluations"] == 2 && guided["fid"] == plain["fid"], "{guided}");
    let rows = [&args[..], &["--out", "none3", "--classes", "none", "--guidance", "1,2"]].concat();
    refused(dir, &rows, 2, &["--guidance", "1, 2: expected one scale, since images without a class are not guided"]);
    // Classes that the reference has not are not counted, and that is said.
    let some = json(&ok(dir, &[&args[..], &["--out", "k", "--classes", "hen,cow"]].concat()));
    let [hens, cows] = [0, 1].map(|k| some["cells"][0]["classes"][k].clone());
    assert!((hens["class"] == 3 || cows["class"] == 3) && some["warnings"].to_string().contains("no images of cow"), "{some}");
    let of_hens = if hens["class"] == 3 { &hens } else { &cows };
    assert_eq!(some["cells"][0]["accuracy"], of_hens["accuracy"]);
    // The same images under other classes are another sweep; where the model does not know one, images are drawn of its own, and that is said.
    let each = [&args[..], &["--classes", "each"]].concat();
    ok(dir, &[&each[..], &["--out", "g"]].concat());
    fs::rename(dir.join("both/hen"), dir.join("both/dog")).unwrap();
    refused(dir, &[&each[..], &["--out", "g"]].concat(), 1, &["g: another sweep: the classes of the reference differ"]);
    fs::rename(dir.join("both/dog"), dir.join("both/fox")).unwrap();
    refused(dir, &[&args[..], &["--classes", "reference", "--out", "h"]].concat(), 2, &["--classes: ", "\"fox\""]);
    let run = ddim(dir, &[&args[..], &["--out", "h"]].concat());
    assert!(run.code == 0 && run.stderr.contains("accuracy is not computed") && run.stderr.contains("\"fox\""), "{}", run.stderr);
    assert_eq!(json(&run)["cells"][0].get("accuracy"), None);
    // Classes that cannot be learnt.
    let few = ["--reference", "real", "--out", "i", "--classes", "each"];
    let run = ddim(dir, &[&["sweep", "--model", "model", &weights, "--count", "2", "--steps", "1", "--eta", "0"][..], &few].concat());
    assert!(run.code == 0 && run.stderr.contains("fewer than 20 images or only one class"), "{}", run.stderr);
    assert!(fs::read_to_string(dir.join("i/table.md")).unwrap().contains("only one class"));
    // A model that cannot do without a class draws those of the reference, where nothing is said.
    fs::write(dir.join("model/classes.json"), r#"["cat", "dog", "cow", "fox", "owl"]"#).unwrap();
    let report = json(&ok(dir, &[&args[..], &["--out", "j"]].concat()));
    assert_eq!(report["cells"][0]["classes"].as_array().unwrap().len(), 2, "{report}");
    // One that takes any number for a class does so where it is asked to.
    let numbers = with_model("class_timestep");
    for (from, to) in [("both/cat", "0"), ("both/fox", "7")] {
        common::copy(&dir.join(from), &numbers.path().join("real").join(to));
    }
    let args = ["sweep", "--model", "model", "--reference", "real", &weights, "--count", "2", "--steps", "1", "--eta", "0", "-q"];
    ok(numbers.path(), &[&args[..], &["--classes", "reference"]].concat());
}

fn bad_sets_that_are_found_later() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    let fashion = root().join("conformance/fashion_test");
    for name in ["mixed", "broken", "clear"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::copy(fashion.join("00.png"), dir.join(name).join("0.png")).unwrap();
    }
    image::RgbImage::new(9, 7).save(dir.join("mixed/1.png")).unwrap();
    fs::write(dir.join("broken/1.png"), &fs::read(fashion.join("01.png")).unwrap()[..100]).unwrap();
    image::RgbaImage::from_pixel(32, 32, image::Rgba([9, 9, 9, 100])).save(dir.join("clear/1.png")).unwrap();
    let fashion = fashion.to_str().unwrap().to_owned();
    for (a, words) in [
        ("mixed", &["A: ", "mixed/1.png", "9 x 7", "32 x 32"][..]),
        ("broken", &["broken/1.png", "broken image"]),
        ("clear", &["clear/1.png", "transparent"]),
    ] {
        refused(dir, &["fid", a, &fashion, &weights, "-q", "--save-stats", "never.npz"], 1, words);
    }
    let small = root().join("conformance/unet/ddpm/unet/diffusion_pytorch_model.safetensors");
    let run = ddim(dir, &["fid", &fashion, &fashion, "-q", "--inception", small.to_str().unwrap()]);
    assert!(run.code == 1 && run.stderr.contains("Conv2d_1a_3x3") && errors(&run.stderr).len() == 1, "{}", run.stderr);
}

/// A reference of many images is looked at once, whatever it is called; a file that is damaged, or cannot be, is said or does not matter.
fn references_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    pictures(&dir.join("few.npy"), 4, 8, 1);
    pictures(&dir.join("many.npy"), 256, 8, 2);
    let cache = dir.join("cache");
    let fid = |cache: &Path, reference: &str| {
        let args = ["fid", "few.npy", reference, &weights, "--json", "-q"];
        let out = Command::cargo_bin("ddim").unwrap().current_dir(dir).env("DDIM_CACHE", cache).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let said = report["warnings"].to_string();
        (["fid", "kid", "count_b"].map(|key| report[key].clone()), said)
    };
    let kept = || listing(&cache.join("features"));
    fid(&cache, "few.npy");
    assert!(!cache.exists());
    let (first, _) = fid(&cache, "many.npy");
    let [file] = &kept()[..] else { panic!("{:?}", kept()) };
    assert!(file.metadata().unwrap().len() > 256 * 2048 * 4);
    fs::rename(dir.join("many.npy"), dir.join("moved.npy")).unwrap();
    let begin = Instant::now();
    assert_eq!(fid(&cache, "moved.npy").0, first);
    let again = begin.elapsed();
    // Where nothing can be kept, it is said.
    fs::write(dir.join("a file"), "").unwrap();
    let begin = Instant::now();
    let (same, said) = fid(&dir.join("a file"), "moved.npy");
    assert!(same == first && said.contains("cannot be kept"), "{said}");
    // By far: 4 images were looked at, and then 260.
    assert!(begin.elapsed() > 3 * again, "{again:?}");
}

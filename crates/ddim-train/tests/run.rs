//! Whole runs: the same bytes however they are interrupted, the end of those that go wrong, and the chain from images to the same images.

use ddim::noise::{Batch, Draw, Key};
use ddim_nn::{Condition, Network, Pipeline, SamplingDefaults};
use ddim_train::{Error, Event, Outcome, Run, Settings, Trainer, checkpoints};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// `n` smooth pictures of `size`, written as one .npy of bytes.
fn pictures(folder: &Path, n: usize, size: usize) -> Vec<u8> {
    let at = |i: usize| 2.0 * i as f64 / (size - 1) as f64 - 1.0;
    let draw = |k: usize, salt: u64| Key { seed: salt, image: k as u64, draw: Draw::Latent }.stream().unit();
    let mut bytes = Vec::new();
    for k in 0..n {
        let (x0, y0, radius) = (draw(k, 1) - 0.5, draw(k, 2) - 0.5, 0.3 + 0.4 * draw(k, 3));
        for y in 0..size {
            for x in 0..size {
                let inside = 1.0 / (1.0 + (((at(x) - x0).hypot(at(y) - y0) - radius) * 12.0).exp());
                bytes.extend((0..3).map(|c| (255.0 * (inside * draw(k, 4 + c) + (1.0 - inside) * draw(k, 7 + c))) as u8));
            }
        }
    }
    use npyz::WriterBuilder;
    let mut out = Vec::new();
    let shape = [n as u64, size as u64, size as u64, 3];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut out).begin_nd().unwrap();
    writer.extend(bytes.iter().copied()).unwrap();
    writer.finish().unwrap();
    fs::write(folder.join("data.npy"), out).unwrap();
    bytes
}

fn settings(folder: &Path, more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::preset("tiny").unwrap();
    settings.set_path("data.path", &folder.join("data.npy")).unwrap();
    let small = [
        ("network.sample_size", "8"),
        ("network.block_out_channels", "[8, 16]"),
        ("batch_size", "6"),
        ("steps", "12"),
        ("data.holdout", "4"),
        ("output.log_every", "4"),
        ("output.evaluate_every", "6"),
        ("output.preview_every", "0"),
        ("output.checkpoint_every", "4"),
        ("ema.rates", "[0.9, 0.99]"),
        ("ema.warmup", "false"),
    ];
    small.iter().chain(more).for_each(|(key, value)| settings.set(key, value).unwrap());
    settings
}

/// Of a run that has settings.
fn changes(list: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::changes();
    list.iter().for_each(|(key, value)| settings.set(key, value).unwrap());
    settings
}

fn train(run: Run) -> Result<Outcome, Error> {
    run.train(&AtomicBool::new(false), &mut |_| Ok(()))
}

/// Every file of the last checkpoint, and the metrics without their times.
fn result(run: &Path) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let last = checkpoints(run).unwrap().pop().unwrap().1;
    let names =
        ["training_state.safetensors", "unet/diffusion_pytorch_model.safetensors", "unet/config.json", "scheduler/scheduler_config.json"];
    let files = names.into_iter().map(|name| (name.to_owned(), fs::read(last.join(name)).unwrap())).collect();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| line.split(",\"images_per_second\"").next().unwrap().to_owned()).collect();
    (files, lines)
}

/// Stops after some steps, or fails as a full disk would after others, and resumes.
#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    for more in [
        &[][..],
        // Everything that draws.
        &[
            ("network.dropout", "0.3"),
            ("accumulate", "3"),
            ("data.fit", "random-crop"),
            ("data.dequantize", "true"),
            ("optimizer.weight_decay", "0.01"),
        ],
    ] {
        let at = |name: &str| folder.path().join(format!("{name}{}", more.len()));
        let whole = train(Run::create(&at("whole"), settings(folder.path(), more), &Pipeline::load).unwrap()).unwrap();
        assert!(whole.finished && whole.step == 12);

        let parts = at("parts");
        let mut run = Run::create(&parts, settings(folder.path(), more), &Pipeline::load).unwrap();
        for (i, after) in [1, 2, 5, 3].into_iter().enumerate() {
            let (stop, mut seen) = (AtomicBool::new(false), 0);
            let outcome = run.train(&stop, &mut |event| {
                if let Event::Stepped { .. } = event {
                    seen += 1;
                    if seen == after {
                        if i % 2 == 1 {
                            return Err(Error::observer("as if killed"));
                        }
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Ok(())
            });
            assert_eq!(outcome.is_err(), i % 2 == 1);
            run = Run::resume(&parts, &Settings::changes(), &Pipeline::load).unwrap();
        }
        assert!(train(run).unwrap().finished);
        let ((files, metrics), (files_again, metrics_again)) = (result(&at("whole")), result(&parts));
        assert_eq!(metrics, metrics_again, "{more:?}");
        let differ: Vec<_> = files.keys().filter(|name| files[*name] != files_again[*name]).collect();
        assert!(differ.is_empty(), "{differ:?}, {more:?}");
        // The second average is another one, and so are the weights.
        let state = &result(&parts).0["training_state.safetensors"];
        let state = safetensors::SafeTensors::deserialize(state).unwrap();
        let tensors = ["weights", "ema.0", "ema.1"].map(|kind| state.tensor(&format!("{kind}.conv_in.weight")).unwrap().data().to_vec());
        assert!(tensors[0] != tensors[1] && tensors[1] != tensors[2]);
    }
}

#[test]
fn parts_of_a_batch_add_up() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    // With what is drawn for each image: dropout as well.
    let losses = ["1", "2", "6"].map(|parts| {
        let settings = settings(folder.path(), &[("accumulate", parts), ("network.dropout", "0.4")]);
        let run = Run::create(&folder.path().join(parts), settings, &Pipeline::load).unwrap();
        let mut losses = Vec::new();
        run.train(&AtomicBool::new(false), &mut |event| {
            if let Event::Stepped { stepped, .. } = event {
                losses.extend([stepped.loss, stepped.norm]);
            }
            Ok(())
        })
        .unwrap();
        losses
    });
    for other in &losses[1..] {
        assert!(losses[0].iter().zip(other).all(|(a, b)| (a / b - 1.0).abs() < 1e-4), "{losses:?}");
    }
}

#[test]
fn a_run_of_other_settings_or_data_is_refused() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let run = folder.path().join("run");
    train(Run::create(&run, settings(folder.path(), &[]), &Pipeline::load).unwrap()).unwrap();
    let before = result(&run);

    let error = Run::create(&run, settings(folder.path(), &[]), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("holds a run already: --resume continues it"), "{error}");
    let resume = |key: &str, value: &str| Run::resume(&run, &changes(&[(key, value)]), &Pipeline::load);
    let error = resume("optimizer.learning_rate", "0.5").unwrap_err().to_string();
    assert!(error.contains("optimizer.learning_rate is 0.5 here, 0.002 there"), "{error}");
    let error = Run::resume(&folder.path().join("none"), &Settings::changes(), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("holds no run"), "{error}");

    // Longer is fine, and so is more output.
    let held = resume("steps", "14").unwrap();
    let error = resume("steps", "14").unwrap_err().to_string();
    assert!(error.contains("another process is training here"), "{error}");
    assert_eq!(train(held).unwrap().step, 14);
    assert_ne!(before, result(&run));

    pictures(folder.path(), 22, 8);
    let error = Run::resume(&run, &Settings::changes(), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("the data has changed (22 images now, 23 when the run began)"), "{error}");
    pictures(folder.path(), 23, 8);

    // A checkpoint that lost bytes.
    let state = checkpoints(&run).unwrap().pop().unwrap().1.join("training_state.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() - 100]).unwrap();
    let error = Run::resume(&run, &Settings::changes(), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("not a complete safetensors file") && error.lines().count() == 1, "{error}");
}

#[test]
fn data_and_network_must_go_together() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let refused = |more: &[(&str, &str)], expected: &str| {
        let run = folder.path().join("refused");
        let error = Run::create(&run, settings(folder.path(), more), &Pipeline::load).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!run.exists(), "nothing is written before it can start");
    };
    refused(&[("batch_size", "32")], "batch_size is 32: expected at most the 19 images to train on");
    refused(&[("data.holdout", "23")], "data.holdout is 23: expected fewer than the 23 images");
    refused(&[("network.sample_size", "9")], "sample_size is [9, 9]: expected multiples of 2");
    refused(&[("network.in_channels", "4")], "a network with 4 channels: expected 1 (gray) or 3 (colour)");
    refused(&[("network.num_class_embeds", "4")], "a network with classes, but data without: expected data.labels");
    refused(&[("objective.label_dropout", "0.1")], "objective.label_dropout without labels");
    refused(&[("data.labels", "data")], "no labels");
}

#[test]
fn a_loss_that_grows_ends_the_run_with_a_checkpoint_left() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let run = folder.path().join("run");
    let more = [
        ("optimizer.learning_rate", "1e30"),
        ("optimizer.clip", "none"),
        ("optimizer.warmup", "0"),
        ("steps", "400"),
        ("output.checkpoint_every", "1"),
    ];
    let error = train(Run::create(&run, settings(folder.path(), &more), &Pipeline::load).unwrap()).unwrap_err().to_string();
    // The only checkpoints are of weights that the first step spoiled.
    assert!(error.contains("expected a finite number") && error.contains("there is no earlier checkpoint"), "{error}");
    assert!(!checkpoints(&run).unwrap().is_empty());
    // Decay that turns weights around and enlarges them once the rate is large enough (from step 134 on), smoothly: a loss that grows before
    // it is no number.
    let decay = [
        ("optimizer.learning_rate", "1.0"),
        ("optimizer.warmup", "10000"),
        ("optimizer.weight_decay", "150.0"),
        ("steps", "1000"),
        ("output.evaluate_every", "5000"),
    ];
    let grown = Run::create(&folder.path().join("grown"), settings(folder.path(), &decay), &Pipeline::load).unwrap();
    let error = train(grown).unwrap_err().to_string();
    assert!(error.contains("the loss has grown to"), "{error}");
}

fn rates(run: &Path) -> Vec<(u64, f64)> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| (line["step"].as_u64().unwrap(), line["learning_rate"].as_f64().unwrap())).collect()
}

/// What a run says at its start.
fn remarks(run: Run) -> Vec<String> {
    let mut said = Vec::new();
    let stop = AtomicBool::new(true);
    run.train(&stop, &mut |event| {
        if let Event::Started { remarks, .. } = event {
            said = remarks.to_vec();
        }
        Ok(())
    })
    .unwrap();
    said
}

/// A cosine keeps its end, or the run says that it moves, and its config.toml tells it from one that was as long from the start: it makes the
/// same run again, whole.
#[test]
fn longer_after_a_cosine() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let run = |name: &str| folder.path().join(name);
    let cosine = [("optimizer.warmup", "2"), ("output.log_every", "1"), ("ema.warmup", "true")];
    train(Run::create(&run("a"), settings(folder.path(), &cosine), &Pipeline::load).unwrap()).unwrap();
    assert!(fs::read_to_string(run("a/config.toml").as_path()).unwrap().contains("decay_steps = 12"));
    let longer = || Run::resume(&run("a"), &changes(&[("steps", "20")]), &Pipeline::load).unwrap();
    let said = remarks(longer());
    assert!(said.len() == 1 && said[0].starts_with("the learning rate goes from 0.00e0 to 6."), "{said:?}");
    assert!(said[0].contains("now ends at step 20, not at step 12"), "{said:?}");
    // Said again by no one: the settings have it.
    assert!(remarks(longer()).is_empty());
    train(longer()).unwrap();
    let config = fs::read_to_string(run("a/config.toml").as_path()).unwrap();
    assert!(config.contains("decay_steps = [[0, 12], [12, 20]]"), "{config}");
    let mut again = Settings::preset("tiny").unwrap();
    again.over(&config, "config.toml").unwrap();
    train(Run::create(&run("b"), again, &Pipeline::load).unwrap()).unwrap();
    assert_eq!(result(&run("a")).0, result(&run("b")).0);
    assert_eq!(rates(&run("a")), rates(&run("b")));
    let whole = [&cosine[..], &[("steps", "20")]].concat();
    train(Run::create(&run("c"), settings(folder.path(), &whole), &Pipeline::load).unwrap()).unwrap();
    assert_ne!(result(&run("a")).0, result(&run("c")).0);
    assert!(fs::read_to_string(run("c/config.toml").as_path()).unwrap().contains("decay_steps = 20"));

    // An end of its own stays, and steps beyond it are said to change nothing.
    let own = [&cosine[..], &[("optimizer.decay_steps", "6")]].concat();
    let mut start = remarks(Run::create(&run("d"), settings(folder.path(), &own), &Pipeline::load).unwrap());
    assert!(start.pop().unwrap().contains("is 0 after step 6 (optimizer.decay_steps): the last 6 steps change"), "{start:?}");
    let changed = [("steps", "14")];
    train(Run::resume(&run("d"), &changes(&changed), &Pipeline::load).unwrap()).unwrap();
    assert!(rates(&run("d")).iter().all(|(step, rate)| (*step >= 6) == (*rate == 0.0)), "{:?}", rates(&run("d")));
    // Of a run that is done nothing is to come, and of one that is asked to be shorter even less.
    for steps in ["14", "13"] {
        assert!(remarks(Run::resume(&run("d"), &changes(&[("steps", steps)]), &Pipeline::load).unwrap()).is_empty());
    }
    let said = remarks(Run::resume(&run("d"), &changes(&[("steps", "18"), ("optimizer.decay_steps", "18")]), &Pipeline::load).unwrap());
    assert!(said[0].contains("the learning rate goes from 0.00e0"), "{said:?}");
    assert!(fs::read_to_string(run("d/config.toml").as_path()).unwrap().contains("[[0, 6], [14, 18]]"));
    // A constant rate is the same run, however it was asked for.
    let constant = [("optimizer.decay", "constant")];
    train(Run::create(&run("e"), settings(folder.path(), &constant), &Pipeline::load).unwrap()).unwrap();
    let held = Run::resume(&run("e"), &changes(&[("steps", "20")]), &Pipeline::load).unwrap();
    train(held).unwrap();
    let whole = [&constant[..], &[("steps", "20")]].concat();
    train(Run::create(&run("f"), settings(folder.path(), &whole), &Pipeline::load).unwrap()).unwrap();
    let config = |name: &str| fs::read_to_string(run(name).join("config.toml")).unwrap();
    assert_eq!(config("e"), config("f"));
    assert_eq!(result(&run("e")).0, result(&run("f")).0);
}

/// The held-out loss is the objective: with the same weights of the timesteps.
#[test]
fn the_loss_held_out_is_the_objective() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 40, 8);
    // Rates of 0 and a rate of the average that keeps it at the start: loss and both held-out losses are of one network.
    for (i, weighting) in ["simple", "min-snr", "variational"].into_iter().enumerate() {
        let run = folder.path().join(weighting);
        let more = [
            ("objective.weighting", weighting),
            ("objective.min_snr_gamma", "0.05"),
            ("optimizer.learning_rate", "1e-30"),
            ("data.holdout", "20"),
            ("batch_size", "20"),
            ("steps", "60"),
            ("output.log_every", "60"),
            ("output.evaluate_every", "60"),
        ];
        train(Run::create(&run, settings(folder.path(), &more), &Pipeline::load).unwrap()).unwrap();
        let line: serde_json::Value = serde_json::from_str(fs::read_to_string(run.join("metrics.jsonl")).unwrap().trim()).unwrap();
        let [loss, average, raw] = ["loss", "evaluation_loss", "evaluation_loss_raw"].map(|key| line[key].as_f64().unwrap());
        assert!((average / raw - 1.0).abs() < 1e-6, "{line}");
        // Twenty timesteps stand for all; the variational weights are largest at few of them.
        let tolerance = [0.1, 0.5, 2.0][i];
        assert!((average / loss - 1.0).abs() < tolerance, "{line}");
        if i == 1 {
            assert!(average < 0.7, "min-SNR's weights are below 1 here: {line}");
        }
    }
}

/// The model that a run starts from decides the network, size and scheduler: they are recorded, other ones refused, and needed no more.
#[test]
fn fine_tuning_records_its_model_and_needs_it_no_more() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let at = |name: &str| folder.path().join(name);
    let other =
        [("network.block_out_channels", "[16, 8]"), ("scheduler.prediction_type", "v_prediction"), ("network.norm_num_groups", "8")];
    let first = train(Run::create(&at("first"), settings(folder.path(), &other), &Pipeline::load).unwrap()).unwrap();
    fs::rename(first.checkpoint.unwrap(), at("model")).unwrap();
    let base = |more: &[(&str, &str)]| {
        let mut all = Settings::preset("tiny").unwrap();
        all.set_path("data.path", &at("data.npy")).unwrap();
        all.set_path("model", &at("model")).unwrap();
        let small = [("batch_size", "6"), ("steps", "6"), ("output.preview_every", "0"), ("output.checkpoint_every", "4")];
        small.iter().chain(more).for_each(|(key, value)| all.set(key, value).unwrap());
        all
    };
    for (key, value, expected) in [
        ("network.sample_size", "16", "network.sample_size (--size) is 16, the model's 8: expected the model's"),
        ("network.block_out_channels", "[8, 16]", "network.block_out_channels is [8, 16], the model's [16, 8]"),
        ("network.dropout", "0.5", "network.dropout is 0.5, the model's 0.0"),
        ("scheduler.prediction_type", "epsilon", "scheduler.prediction_type is \"epsilon\", the model's \"v_prediction\""),
        ("scheduler.num_train_timesteps", "500", "scheduler.num_train_timesteps is 500, the model's 1000"),
    ] {
        let error = Run::create(&at("refused"), base(&[(key, value)]), &Pipeline::load).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!at("refused").exists());
    }
    // The same said again is no conflict.
    let same = [("network.sample_size", "[8, 8]"), ("scheduler.prediction_type", "v_prediction"), ("network.dropout", "0")];
    let whole = train(Run::create(&at("whole"), base(&same), &Pipeline::load).unwrap()).unwrap();
    let config = Settings::of_run(&at("whole/config.toml")).unwrap().resolve().unwrap();
    assert_eq!(config.network["block_out_channels"].as_array().unwrap()[0].as_integer(), Some(16));
    assert_eq!(config.scheduler.prediction().name(), "v_prediction");
    let trained = Pipeline::load(&whole.checkpoint.unwrap()).unwrap();
    assert_eq!(trained.scheduler.prediction().name(), "v_prediction");

    // Stopped after `after` steps, its model gone: the same bytes in the end.
    for after in [0, 2, 5] {
        let run = at(&format!("stopped{after}"));
        let (stop, mut seen) = (AtomicBool::new(after == 0), 0);
        let begun = Run::create(&run, base(&same), &Pipeline::load).unwrap();
        let outcome = begun.train(&stop, &mut |event| {
            if let Event::Stepped { .. } = event {
                seen += 1;
                stop.store(seen == after, Ordering::Relaxed);
            }
            Ok(())
        });
        assert_eq!(outcome.unwrap().checkpoint.is_some(), after > 0);
        fs::rename(at("model"), at("moved")).unwrap();
        for asked in [Settings::changes(), base(&same)] {
            drop(Run::resume(&run, &asked, &Pipeline::load).unwrap());
        }
        train(Run::resume(&run, &base(&same), &Pipeline::load).unwrap()).unwrap();
        fs::rename(at("moved"), at("model")).unwrap();
        assert_eq!(result(&run).0, result(&at("whole")).0, "{after}");
    }
}

/// A model that knows no classes learns those of the data: its network begins as it was, and goes on as any other.
#[test]
fn classes_are_added_to_a_model() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let at = |name: &str| folder.path().join(name);
    let first = train(Run::create(&at("first"), settings(folder.path(), &[]), &Pipeline::load).unwrap()).unwrap();
    fs::rename(first.checkpoint.unwrap(), at("model")).unwrap();
    fs::write(at("labels.txt"), (0..23).map(|i| format!("{}\n", i % 3)).collect::<String>()).unwrap();
    let labelled = |more: &[(&str, &str)]| {
        let mut all = settings(folder.path(), more);
        all.set_path("model", &at("model")).unwrap();
        all.set_path("data.labels", &at("labels.txt")).unwrap();
        all.set("objective.label_dropout", "0.2").unwrap();
        all
    };
    let whole = train(Run::create(&at("whole"), labelled(&[("steps", "6")]), &Pipeline::load).unwrap()).unwrap();
    let config = Settings::of_run(&at("whole/config.toml")).unwrap().resolve().unwrap();
    assert_eq!(config.network["num_class_embeds"].as_integer(), Some(4));
    let (before, after) = (Pipeline::load(&at("model")).unwrap(), Pipeline::load(&whole.checkpoint.unwrap()).unwrap());
    assert_eq!((before.config.num_class_embeds, after.config.num_class_embeds), (None, Some(4)));
    let (_, shape, range) = after.unet.parameters().find(|(name, ..)| *name == "class_embedding.weight").unwrap();
    assert!(after.unet.values()[range.clone()].chunks(shape[1]).all(|row| row.iter().any(|x| *x != 0.0)), "all were learnt from");
    // Stopped on the way, it ends with the same bytes.
    train(Run::create(&at("part"), labelled(&[("steps", "3"), ("optimizer.decay_steps", "6")]), &Pipeline::load).unwrap()).unwrap();
    train(Run::resume(&at("part"), &changes(&[("steps", "6")]), &Pipeline::load).unwrap()).unwrap();
    let weights = |run: &str| result(&at(run)).0.into_iter().filter(|(name, _)| name.ends_with("safetensors")).collect::<Vec<_>>();
    assert_eq!(weights("part"), weights("whole"));
    // Its settings make the same run.
    let mut again = Settings::preset("tiny").unwrap();
    again.over(&fs::read_to_string(at("whole/config.toml")).unwrap(), "config.toml").unwrap();
    train(Run::create(&at("again"), again, &Pipeline::load).unwrap()).unwrap();
    assert_eq!(weights("again"), weights("whole"));
    // More rows than the data need are taken; before its first step a run takes other labels, or none, whether its model is there or not.
    let rows = |run: &str| {
        let network = Settings::of_run(&at(run).join("config.toml")).unwrap().resolve().unwrap().network;
        network.get("num_class_embeds").and_then(|rows| rows.as_integer())
    };
    drop(Run::create(&at("other"), labelled(&[("network.num_class_embeds", "20")]), &Pipeline::load).unwrap());
    assert_eq!(rows("other"), Some(20));
    drop(Run::create(&at("begun"), labelled(&[]), &Pipeline::load).unwrap());
    fs::rename(at("model"), at("moved")).unwrap();
    fs::write(at("seven.txt"), (0..23).map(|i| format!("{}\n", i % 7)).collect::<String>()).unwrap();
    let mut seven = changes(&[]);
    seven.set_path("data.labels", &at("seven.txt")).unwrap();
    let none = changes(&[("data.labels", "none"), ("objective.label_dropout", "0")]);
    for (asked, expected) in [(&seven, Some(8)), (&changes(&[("objective.label_dropout", "0")]), Some(7)), (&none, None)] {
        drop(Run::resume(&at("begun"), asked, &Pipeline::load).unwrap());
        assert_eq!(rows("begun"), expected);
    }
}

/// Classes that a model knows by name keep their numbers, whatever their order in the data; others take the places of those that the data has not.
#[test]
fn classes_of_a_model_keep_their_numbers() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = |name: &str, classes: &[(&str, u8)]| {
        for (class, count) in classes {
            fs::create_dir_all(at(name).join(class)).unwrap();
            for i in 0..*count {
                image::GrayImage::from_pixel(8, 8, image::Luma([9 * i])).save(at(name).join(class).join(format!("{i}.png"))).unwrap();
            }
        }
    };
    data("first", &[("ant", 6), ("bee", 5), ("cat", 4)]);
    data("some", &[("cat", 7), ("ant", 6)]);
    data("other", &[("bee", 7), ("aye", 3), ("yak", 5)]);
    data("added", &[("ant", 5), ("bee", 5), ("cat", 5), ("dog", 5)]);
    data("more", &[("a", 5), ("b", 5), ("c", 5), ("d", 5)]);
    let of = |data: &str, dropout: &str, model: Option<&str>| {
        let mut all = settings(folder.path(), &[("steps", "4"), ("data.labels", "data"), ("objective.label_dropout", dropout)]);
        all.set_path("data.path", &at(data)).unwrap();
        model.iter().for_each(|model| all.set_path("model", &at(model)).unwrap());
        all
    };
    let first = train(Run::create(&at("run"), of("first", "0.2", None), &Pipeline::load).unwrap()).unwrap();
    fs::rename(first.checkpoint.unwrap(), at("model")).unwrap();
    fs::write(at("model/sampling.json"), r#"{"guidance": 1.5, "guidance_interval": [0, 0.6], "classes": "cat,ant"}"#).unwrap();
    let trained = |run: &str| {
        let pipeline = Pipeline::load(&checkpoints(&at(run)).unwrap().pop().unwrap().1).unwrap();
        (pipeline.classes.join(" "), pipeline.class_counts.clone(), pipeline.null_class(), pipeline.sampling)
    };
    const LOST: &str = "the model's list of classes drawn by default is dropped, because the classes have changed";
    // What is drawn by default is kept while the classes stay the same.
    let sampling = |classes: Option<&str>| SamplingDefaults {
        guidance: Some(1.5),
        guidance_interval: Some([0.0, 0.6]),
        classes: classes.map(str::to_owned),
    };
    for (data, dropout, names, counts, drawn, said) in [
        ("some", "0", "ant bee cat", [6, 0, 7], Some("cat,ant"), vec![]),
        (
            "other",
            "0.1",
            "aye bee yak",
            [3, 7, 5],
            None,
            vec!["classes that the model does not know: aye replaces ant, yak replaces cat", LOST],
        ),
    ] {
        let begun = Run::create(&at(data).with_extension("run"), of(data, dropout, Some("model")), &Pipeline::load).unwrap();
        assert_eq!(remarks(begun).iter().filter(|line| !line.contains("average")).collect::<Vec<_>>(), said);
        let run = format!("{data}.run");
        train(Run::resume(&at(&run), &changes(&[]), &Pipeline::load).unwrap()).unwrap();
        let expected = (names.to_owned(), counts.to_vec(), Some(3), sampling(drawn));
        assert_eq!(trained(&run), expected);
        train(Run::resume(&at(&run), &changes(&[("steps", "6")]), &Pipeline::load).unwrap()).unwrap();
        assert_eq!(trained(&run), expected);
    }
    // A class without images is not touched.
    let row = |path: &Path, row: usize| {
        let unet = Pipeline::load(path).unwrap().unet;
        let (_, shape, range) = unet.parameters().find(|(name, ..)| *name == "class_embedding.weight").unwrap();
        unet.values()[range][row * shape[1]..(row + 1) * shape[1]].to_vec()
    };
    let some = checkpoints(&at("some.run")).unwrap().pop().unwrap().1;
    assert!(
        [1, 3].into_iter().all(|k| row(&some, k) == row(&at("model"), k))
            && [0, 2].into_iter().all(|k| row(&some, k) != row(&at("model"), k))
    );
    // More classes than the model has: its table grows.
    let begun = Run::create(&at("more.run"), of("more", "0.1", Some("model")), &Pipeline::load).unwrap();
    let expected = [
        "classes that the model does not know: a replaces ant, b replaces bee, c replaces cat, new: d",
        LOST,
        "the model's table of classes grows from 4 to 5 rows",
    ];
    assert_eq!(remarks(begun)[..3], expected);
    train(Run::resume(&at("more.run"), &changes(&[]), &Pipeline::load).unwrap()).unwrap();
    assert_eq!(trained("more.run"), ("a b c d".to_owned(), vec![5; 4], Some(4), sampling(None)));
    let begun = Run::create(&at("added.run"), of("added", "0.1", Some("model")), &Pipeline::load).unwrap();
    assert!(!remarks(begun).iter().any(|line| line == LOST));
    train(Run::resume(&at("added.run"), &changes(&[]), &Pipeline::load).unwrap()).unwrap();
    assert_eq!(trained("added.run"), ("ant bee cat dog".to_owned(), vec![5; 4], Some(4), sampling(Some("cat,ant"))));
    // Its settings make the same run, and rows may be left over.
    let weights = |run: &str| result(&at(run)).0.into_iter().filter(|(name, _)| name.ends_with("safetensors")).collect::<Vec<_>>();
    let mut again = Settings::preset("tiny").unwrap();
    again.over(&fs::read_to_string(at("more.run/config.toml")).unwrap(), "config.toml").unwrap();
    train(Run::create(&at("again"), again, &Pipeline::load).unwrap()).unwrap();
    assert_eq!(weights("again"), weights("more.run"));
    let with = |rows: &str| {
        let mut all = of("more", "0.1", Some("model"));
        all.set("network.num_class_embeds", rows).unwrap();
        Run::create(&at("rows"), all, &Pipeline::load)
    };
    drop(with("9").unwrap());
    assert_eq!(Settings::of_run(&at("rows/config.toml")).unwrap().resolve().unwrap().network["num_class_embeds"].as_integer(), Some(9));
    fs::remove_dir_all(at("rows")).unwrap();
    assert!(with("3").unwrap_err().to_string().contains("network.num_class_embeds is 3, the model's 4"));
    assert!(with("4").unwrap_err().to_string().contains("network.num_class_embeds is 4: expected at least 5"));
    // Numbers alone are the model's classes, and more of them new ones. They begin as the model's for none, and so does a class in another's place.
    fs::write(at("labels.txt"), (0..20).map(|i| format!("{}\n", i % 6)).collect::<String>()).unwrap();
    let begins = |run: &str, data: &str, labels: Option<&str>| {
        let mut all = of(data, "0.1", Some("model"));
        all.set("steps", "1").unwrap();
        all.set("optimizer.learning_rate", "1e-30").unwrap();
        labels.iter().for_each(|labels| all.set_path("data.labels", &at(labels)).unwrap());
        train(Run::create(&at(run), all, &Pipeline::load).unwrap()).unwrap().checkpoint.unwrap()
    };
    let was = |class: usize| row(&at("model"), class);
    let numbered = begins("numbered", "more", Some("labels.txt"));
    assert_eq!(Pipeline::load(&numbered).unwrap().classes.join(" "), "ant bee cat 3 4 5");
    assert!([0, 1, 2, 3, 3, 3, 3].map(was) == std::array::from_fn(|class| row(&numbered, class)));
    let placed = begins("placed", "other", None);
    assert!([3, 1, 3, 3].map(was) == std::array::from_fn(|class| row(&placed, class)));
    let mut few = of("more", "0.1", None);
    few.set("network.num_class_embeds", "4").unwrap();
    let error = Run::create(&at("few"), few, &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("network.num_class_embeds is 4: expected at least 5"), "{error}");
}

/// Classes that have numbers alone are as many as the model counts, and the one for none stays behind them.
#[test]
fn classes_by_number_keep_the_one_for_none() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let at = |name: &str| folder.path().join(name);
    let of = |classes: usize, dropout: &str, model: Option<&str>| {
        let labels = at(&format!("{classes}.txt"));
        fs::write(&labels, (0..23).map(|i| format!("{}\n", i % classes)).collect::<String>()).unwrap();
        let mut all = settings(folder.path(), &[("steps", "4"), ("objective.label_dropout", dropout)]);
        all.set_path("data.labels", &labels).unwrap();
        model.iter().for_each(|model| all.set_path("model", &at(model)).unwrap());
        all
    };
    let first = train(Run::create(&at("run"), of(5, "0.2", None), &Pipeline::load).unwrap()).unwrap();
    fs::rename(first.checkpoint.unwrap(), at("model")).unwrap();
    let trained = |run: &str, settings| {
        let said = remarks(Run::create(&at(run), settings, &Pipeline::load).unwrap()).join("; ");
        let trained = |run: Run| {
            let pipeline = Pipeline::load(&train(run).unwrap().checkpoint.unwrap()).unwrap();
            (pipeline.classes_count(), pipeline.class_counts.len(), pipeline.null_class())
        };
        let found = trained(Run::resume(&at(run), &changes(&[]), &Pipeline::load).unwrap());
        assert_eq!(trained(Run::resume(&at(run), &changes(&[("steps", "6")]), &Pipeline::load).unwrap()), found, "{run}");
        (found, said)
    };
    assert_eq!(Pipeline::load(&at("model")).unwrap().null_class(), Some(5));
    // Fewer classes than it knows, with and without labels that are dropped; then more.
    for (run, dropout) in [("fewer", "0.2"), ("plain", "0")] {
        assert_eq!(trained(run, of(3, dropout, Some("model"))).0, (Some(6), 5, Some(5)), "{run}");
    }
    assert_eq!(trained("more", of(7, "0.2", Some("model"))).0, (Some(8), 7, Some(7)));
    // One more, and none is dropped: it takes the place of none, which is said.
    let (found, said) = trained("lost", of(6, "0", Some("model")));
    assert!(found == (Some(6), 6, None) && said.contains("the model's null class becomes one of the data's"), "{said}");
    // Rows that are left over separate the last from the classes: nothing says that it stands for none.
    let mut all = of(5, "0.2", None);
    all.set("network.num_class_embeds", "9").unwrap();
    let (found, said) = trained("rows", all);
    assert!(
        found == (Some(9), 5, None) && said.contains("dropped labels use its last row, which guidance cannot use: expected 6 rows"),
        "{said}"
    );
}

/// A class of which the data has two by name is two.
#[test]
fn classes_of_one_name_stay_apart() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As CIFAR-10's are: a list of names beside planes of 32x32.
    fs::create_dir(at("data")).unwrap();
    let image = |class: u8| std::iter::once(class).chain(std::iter::repeat_n(80 * class, 3072));
    fs::write(at("data/data_batch_1.bin"), (0..12).flat_map(|i| image(i % 3)).collect::<Vec<u8>>()).unwrap();
    fs::write(at("data/batches.meta.txt"), "cat\ncat\ndog\n").unwrap();
    let mut all = settings(folder.path(), &[("steps", "2"), ("data.labels", "data"), ("network.sample_size", "32")]);
    all.set_path("data.path", &at("data")).unwrap();
    let counts = |run: Run| Pipeline::load(&train(run).unwrap().checkpoint.unwrap()).unwrap().class_counts;
    assert_eq!(counts(Run::create(&at("run"), all, &Pipeline::load).unwrap()), [4, 4, 4]);
    assert_eq!(counts(Run::resume(&at("run"), &changes(&[("steps", "3")]), &Pipeline::load).unwrap()), [4, 4, 4]);
}

/// What a run draws on the way is none of its data, though it lies among them.
#[test]
fn a_run_among_its_data() {
    let folder = TempDir::new().unwrap();
    for i in 0..8u8 {
        image::GrayImage::from_pixel(8, 8, image::Luma([30 * i])).save(folder.path().join(format!("{i}.png"))).unwrap();
    }
    let mut all = settings(folder.path(), &[("steps", "4"), ("data.holdout", "0")]);
    all.set_path("data.path", folder.path()).unwrap();
    let preview = || image::GrayImage::new(8, 8).save(folder.path().join("previews/step-00000004.png")).unwrap();
    train(Run::create(folder.path(), all, &Pipeline::load).unwrap()).unwrap();
    fs::create_dir_all(folder.path().join("previews")).unwrap();
    preview();
    let again = train(Run::resume(folder.path(), &changes(&[("steps", "6")]), &Pipeline::load).unwrap()).unwrap();
    assert_eq!(again.step, 6);
}

/// The file of labels is copied: a run goes on when it is gone, and is not changed by a change of it.
#[test]
fn a_run_has_its_labels() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let labels = folder.path().join("labels.txt");
    let text: String = (0..23).map(|i| format!("{}\n", i % 3)).collect();
    fs::write(&labels, &text).unwrap();
    let all = |steps: &str| {
        let mut all = settings(folder.path(), &[("steps", steps)]);
        all.set_path("data.labels", &labels).unwrap();
        all
    };
    let run = folder.path().join("run");
    train(Run::create(&run, all("4"), &Pipeline::load).unwrap()).unwrap();
    fs::write(&labels, text.replace('2', "1")).unwrap();
    train(Run::resume(&run, &changes(&[("steps", "6")]), &Pipeline::load).unwrap()).unwrap();
    let error = Run::resume(&run, &all("8"), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("labels.txt: the labels have changed"), "{error}");
    fs::remove_file(&labels).unwrap();
    train(Run::resume(&run, &all("8"), &Pipeline::load).unwrap()).unwrap();
    // The same labels under another name are the same.
    let other = folder.path().join("other.txt");
    fs::write(&other, &text).unwrap();
    let mut same = Settings::changes();
    same.set_path("data.labels", &other).unwrap();
    drop(Run::resume(&run, &same, &Pipeline::load).unwrap());
    same.set("data.labels", "data").unwrap();
    let error = Run::resume(&run, &same, &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("data.labels is \"data\" here,"), "{error}");
}

/// Before its first checkpoint a run takes any setting; and a new one replaces it.
#[test]
fn a_run_without_a_checkpoint_may_change() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let run = folder.path().join("run");
    let bad = [("optimizer.learning_rate", "1e30"), ("optimizer.warmup", "0"), ("output.checkpoint_every", "100"), ("steps", "30")];
    let diverge = || train(Run::create(&run, settings(folder.path(), &bad), &Pipeline::load).unwrap()).unwrap_err().to_string();
    let error = diverge();
    assert!(error.contains("there is no checkpoint yet, start again with ddim train --out "), "{error}");
    assert!(error.ends_with("--resume --learning-rate 2.0e-4"), "{error}");
    // Gray pictures now: what was found of the others is forgotten.
    let gray = folder.path().join("gray");
    fs::create_dir(&gray).unwrap();
    for i in 0..8u8 {
        image::GrayImage::from_pixel(8, 8, image::Luma([30 * i])).save(gray.join(format!("{i}.png"))).unwrap();
    }
    let mut other = changes(&[("optimizer.learning_rate", "2e-4"), ("data.holdout", "0"), ("steps", "3"), ("network.in_channels", "1")]);
    other.set_path("data.path", &gray).unwrap();
    let resumed = Run::resume(&run, &other, &Pipeline::load).unwrap();
    assert_eq!((resumed.config().steps, resumed.config().optimizer.decay_steps.clone()), (3, Some(ddim_train::DecayEnd::Step(3))));
    drop(resumed);
    diverge();
    let fine = [("optimizer.learning_rate", "2e-4"), ("steps", "3")];
    let resumed = train(Run::resume(&run, &changes(&fine), &Pipeline::load).unwrap()).unwrap();
    assert_eq!(resumed.step, 3);
    let error = Run::create(&run, settings(folder.path(), &[]), &Pipeline::load).unwrap_err().to_string();
    assert!(error.contains("holds a run already"), "{error}");
}

/// Labels reach the network: a class that is always white, one that is always black, and a null class for the dropped.
#[test]
fn classes_are_learned() {
    let folder = TempDir::new().unwrap();
    for (class, value) in [("black", 20u8), ("white", 235)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..8 {
            let image = image::GrayImage::from_pixel(4, 4, image::Luma([value + i]));
            image.save(folder.path().join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let mut all = Settings::preset("tiny").unwrap();
    all.set_path("data.path", folder.path()).unwrap();
    for (key, value) in [
        ("data.labels", "data"),
        ("network.sample_size", "4"),
        ("network.in_channels", "1"),
        ("objective.label_dropout", "0.1"),
        ("batch_size", "8"),
        ("steps", "400"),
        ("optimizer.learning_rate", "4e-3"),
        ("output.preview_every", "0"),
        ("output.checkpoint_every", "400"),
    ] {
        all.set(key, value).unwrap();
    }
    let run = folder.path().join("run");
    let outcome = train(Run::create(&run, all, &Pipeline::load).unwrap()).unwrap();
    let pipeline = Pipeline::load(&outcome.checkpoint.unwrap()).unwrap();
    assert_eq!(pipeline.config.num_class_embeds, Some(3));
    let sampler_schedule = pipeline.scheduler.schedule();
    let trajectory = pipeline.scheduler.trajectory(20).unwrap();
    let sampler =
        ddim::Sampler::new(&sampler_schedule, &trajectory, &ddim::Sigma::Eta(0.0)).unwrap().with_clip(pipeline.scheduler.clip()).unwrap();
    let network = Network::new(pipeline).unwrap();
    let mean = |class: usize| {
        let (network, batch) = (network.with_condition(Condition::Labels(vec![class; 4])).unwrap(), Batch { seed: 0, first: 0 });
        let x = ddim::Sampling::new(&sampler, network, batch.latents::<f32>(16, 4), batch).unwrap().finish().unwrap();
        x.iter().sum::<f32>() / x.len() as f32
    };
    assert!(mean(0) < -0.4 && mean(1) > 0.4, "{} {}", mean(0), mean(1));
}

/// The whole chain: sixteen pictures, learned by heart, come out of noise.
#[test]
fn sixteen_images_are_learned_by_heart() {
    let folder = TempDir::new().unwrap();
    let images = pictures(folder.path(), 16, 8);
    let mut all = Settings::preset("tiny").unwrap();
    all.set_path("data.path", &folder.path().join("data.npy")).unwrap();
    for (key, value) in [
        ("network.sample_size", "8"),
        ("data.flip", "false"),
        ("network.block_out_channels", "[16, 32]"),
        ("network.norm_num_groups", "8"),
        ("steps", "6000"),
        ("output.log_every", "500"),
        ("output.preview_every", "0"),
        ("output.checkpoint_every", "6000"),
    ] {
        all.set(key, value).unwrap();
    }
    let (mut last, mut drawn) = (None, Vec::new());
    let run = Run::create(&folder.path().join("run"), all, &Pipeline::load).unwrap();
    let outcome = run.train(&AtomicBool::new(false), &mut |event| {
        if let Event::Metrics(metrics) = event {
            last = Some(metrics.loss);
        }
        Ok(())
    });
    let checkpoint = outcome.unwrap().checkpoint.unwrap();
    let loss = last.unwrap();
    assert!(loss < 0.02, "loss {loss}");

    let pipeline = Pipeline::load(&checkpoint).unwrap();
    let trajectory = pipeline.scheduler.trajectory(100).unwrap();
    let sampler = ddim::Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &ddim::Sigma::Eta(0.0)).unwrap();
    let sampler = sampler.with_clip(pipeline.scheduler.clip()).unwrap();
    let network = Network::new(pipeline).unwrap();
    let batch = Batch { seed: 0, first: 0 };
    let x = ddim::Sampling::new(&sampler, network, batch.latents::<f32>(192, 32), batch).unwrap().finish().unwrap();
    for sample in x.chunks_exact(192) {
        // Root mean squared distance in [-1, 1] from each picture.
        let distances: Vec<f64> = images
            .chunks_exact(192)
            .map(|image| {
                let of = |i: usize| f64::from(sample[i % 3 * 64 + i / 3]) - (f64::from(image[i]) / 127.5 - 1.0);
                ((0..192).map(|i| of(i).powi(2)).sum::<f64>() / 192.0).sqrt()
            })
            .collect();
        let nearest = (0..16).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap();
        drawn.push((distances[nearest], nearest));
    }
    let mut errors: Vec<f64> = drawn.iter().map(|d| d.0).collect();
    errors.sort_by(f64::total_cmp);
    let distinct = drawn.iter().map(|d| d.1).collect::<std::collections::BTreeSet<_>>().len();
    println!("loss {loss:.4}, distances from the nearest picture: median {:.3}, worst {:.3}; {distinct} pictures", errors[16], errors[31]);
    assert!(errors[16] < 0.08 && errors[26] < 0.25 && distinct >= 8, "{drawn:?}");
}

/// However many micro-batches are computed at a time, and with activations computed again or not: the same losses and weights.
#[test]
fn threads_change_no_step() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 30, 64);
    // Five micro-batches of four images.
    let settings = settings(folder.path(), &[("network.sample_size", "64"), ("batch_size", "20")]);
    let on = |threads: usize, checkpoint: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = Trainer::begin(&mut settings.clone(), &[], &Pipeline::load).unwrap();
            trainer.checkpoint_activations(checkpoint);
            let steps: Vec<_> = (0..3).map(|_| trainer.step().unwrap()).collect();
            (steps, trainer.images_at_a_time(), trainer.pipeline(0).unwrap().unet.values().to_vec())
        })
    };
    let (steps, at_a_time, values) = on(1, false);
    assert_eq!(at_a_time, 4);
    for (threads, checkpoint, expected) in [(2, false, 8), (3, false, 12), (3, true, 4)] {
        let found = on(threads, checkpoint);
        assert!(found.1 == expected && found.0 == steps && found.2 == values, "{threads} threads, {checkpoint}");
    }
}

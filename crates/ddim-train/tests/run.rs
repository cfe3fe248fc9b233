//! Whole runs: the same bytes however they are interrupted, the end of those that go wrong, and the chain from images to the same images.

use ddim_nn::{Condition, Network, Pipeline, cpu};
use ddim_train::{Error, Event, Outcome, Run, Settings, checkpoints, load_for_training};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// `n` smooth pictures of `size`, written as one .npy of bytes.
fn pictures(folder: &Path, n: usize, size: usize) -> Vec<u8> {
    let at = |i: usize| 2.0 * i as f64 / (size - 1) as f64 - 1.0;
    let draw = |k: usize, salt: u64| ddim::noise::Stream::new(salt, k as u64, 0).unit();
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
    let path = format!("{:?}", folder.join("data.npy").display().to_string());
    let small = [
        ("data.path", path.as_str()),
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
        let whole = train(Run::create(&at("whole"), settings(folder.path(), more), &load_for_training).unwrap()).unwrap();
        assert!(whole.finished && whole.step == 12);

        let parts = at("parts");
        let mut run = Run::create(&parts, settings(folder.path(), more), &load_for_training).unwrap();
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
            run = Run::resume(&parts, |_| Ok(()), &load_for_training).unwrap();
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
    let losses = ["1", "2", "6"].map(|parts| {
        let run = Run::create(&folder.path().join(parts), settings(folder.path(), &[("accumulate", parts)]), &load_for_training).unwrap();
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
    train(Run::create(&run, settings(folder.path(), &[]), &load_for_training).unwrap()).unwrap();
    let before = result(&run);

    let error = Run::create(&run, settings(folder.path(), &[]), &load_for_training).err().unwrap().to_string();
    assert!(error.contains("holds a run already: --resume continues it"), "{error}");
    let resume = |key: &str, value: &str| Run::resume(&run, |settings| settings.set(key, value), &load_for_training);
    let error = resume("optimizer.learning_rate", "0.5").err().unwrap().to_string();
    assert!(error.contains("optimizer.learning_rate is 0.5, there 0.002"), "{error}");
    let error = Run::resume(&folder.path().join("none"), |_| Ok(()), &load_for_training).err().unwrap().to_string();
    assert!(error.contains("holds no run"), "{error}");

    // Longer is fine, and so is more output.
    let held = resume("steps", "14").unwrap();
    let error = resume("steps", "14").err().unwrap().to_string();
    assert!(error.contains("another process is training here"), "{error}");
    assert_eq!(train(held).unwrap().step, 14);
    assert_ne!(before, result(&run));

    pictures(folder.path(), 22, 8);
    let error = Run::resume(&run, |_| Ok(()), &load_for_training).err().unwrap().to_string();
    assert!(error.contains("the data has changed: 22 images here, 23 when the run was made"), "{error}");
    pictures(folder.path(), 23, 8);

    // A checkpoint that lost bytes.
    let state = checkpoints(&run).unwrap().pop().unwrap().1.join("training_state.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() - 100]).unwrap();
    let error = Run::resume(&run, |_| Ok(()), &load_for_training).err().unwrap().to_string();
    assert!(error.contains("not a whole safetensors file") && error.lines().count() == 1, "{error}");
}

#[test]
fn data_and_network_must_go_together() {
    let folder = TempDir::new().unwrap();
    pictures(folder.path(), 23, 8);
    let refused = |more: &[(&str, &str)], expected: &str| {
        let run = folder.path().join("refused");
        let error = Run::create(&run, settings(folder.path(), more), &load_for_training).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!run.exists(), "nothing is written before it can start");
    };
    refused(&[("batch_size", "32")], "batch_size is 32: expected at most the 19 images to train on");
    refused(&[("data.holdout", "23")], "data.holdout is 23: expected fewer than the 23 images");
    refused(&[("network.sample_size", "9")], "sample_size is [9, 9]: expected multiples of 2");
    refused(&[("network.in_channels", "4")], "network.in_channels is 4: expected 1 (gray) or 3 (colours)");
    refused(&[("network.num_class_embeds", "4")], "a network with classes: expected data.labels");
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
    let error = train(Run::create(&run, settings(folder.path(), &more), &load_for_training).unwrap()).unwrap_err().to_string();
    assert!(error.contains("expected a finite number") && error.contains("the last good checkpoint is"), "{error}");
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
    let grown = Run::create(&folder.path().join("grown"), settings(folder.path(), &decay), &load_for_training).unwrap();
    let error = train(grown).unwrap_err().to_string();
    assert!(error.contains("the loss has grown to"), "{error}");
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
    let path = format!("{:?}", folder.path().display().to_string());
    for (key, value) in [
        ("data.path", path.as_str()),
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
    let outcome = train(Run::create(&run, all, &load_for_training).unwrap()).unwrap();
    let pipeline = Pipeline::load(&outcome.checkpoint, &cpu()).unwrap();
    assert_eq!(pipeline.config.num_class_embeds, Some(3));
    let sampler_schedule = pipeline.scheduler.schedule();
    let trajectory = pipeline.scheduler.trajectory(20).unwrap();
    let sampler =
        ddim::Sampler::new(&sampler_schedule, &trajectory, &ddim::Sigma::Eta(0.0)).unwrap().with_clip(pipeline.scheduler.clip()).unwrap();
    let network = Network::new(pipeline, &cpu()).unwrap();
    let mean = |class: usize| {
        let mut x = vec![0f32; 4 * 16];
        ddim::noise::fill_batch(&mut x, 16, 0, 0, ddim::noise::LATENT);
        ddim::sample(&sampler, &network.with_condition(Condition::Labels(vec![class; 4])).unwrap(), &mut x, 0, 0, |_| {}).unwrap();
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
    let path = format!("{:?}", folder.path().join("data.npy").display().to_string());
    for (key, value) in [
        ("data.path", path.as_str()),
        ("network.sample_size", "8"),
        ("data.flip", "false"),
        ("steps", "4000"),
        ("output.log_every", "500"),
        ("output.preview_every", "0"),
        ("output.checkpoint_every", "4000"),
    ] {
        all.set(key, value).unwrap();
    }
    let (mut last, mut drawn) = (None, Vec::new());
    let run = Run::create(&folder.path().join("run"), all, &load_for_training).unwrap();
    let outcome = run.train(&AtomicBool::new(false), &mut |event| {
        if let Event::Metrics(metrics) = event {
            last = Some(metrics.loss);
        }
        Ok(())
    });
    let checkpoint = outcome.unwrap().checkpoint;
    let loss = last.unwrap();
    assert!(loss < 0.02, "loss {loss}");

    let pipeline = Pipeline::load(&checkpoint, &cpu()).unwrap();
    let trajectory = pipeline.scheduler.trajectory(100).unwrap();
    let sampler = ddim::Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &ddim::Sigma::Eta(0.0)).unwrap();
    let sampler = sampler.with_clip(pipeline.scheduler.clip()).unwrap();
    let network = Network::new(pipeline, &cpu()).unwrap();
    let mut x = vec![0f32; 32 * 192];
    ddim::noise::fill_batch(&mut x, 192, 0, 0, ddim::noise::LATENT);
    ddim::sample(&sampler, &network, &mut x, 0, 0, |_| {}).unwrap();
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

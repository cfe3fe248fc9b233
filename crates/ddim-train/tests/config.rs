//! Settings: presets, files over them, and what is refused.

use ddim_train::{Config, Settings};

#[test]
fn presets_resolve_and_files_come_back() {
    for name in Settings::presets() {
        let settings = Settings::preset(name).unwrap();
        let config = settings.resolve().unwrap();
        let mut again = Settings::preset("tiny").unwrap();
        again.over(&settings.to_toml(), "the file").unwrap();
        assert_eq!(again.resolve().unwrap(), config, "{name}");
        assert_eq!(again.differences(&settings), [], "{name}");
    }
    assert!(Settings::preset("huge").unwrap_err().to_string().contains("tiny, small, ddpm-cifar10"));
}

/// DDPM's recipe (paper.md, section 4).
#[test]
fn the_defaults_are_ddpms() {
    let config = Settings::preset("ddpm-cifar10").unwrap().resolve().unwrap();
    assert_eq!((config.batch_size, config.steps, config.ema.rates.as_slice()), (128, 800_000, &[0.9999][..]));
    assert_eq!((config.optimizer.learning_rate, config.optimizer.betas, config.optimizer.epsilon), (2e-4, [0.9, 0.999], 1e-8));
    assert_eq!((config.optimizer.clip, config.optimizer.warmup, config.network["dropout"].as_float()), (Some(1.0), 5000, Some(0.1)));
}

#[test]
fn learning_rates() {
    let rate = |settings: &[(&str, &str)], k| {
        let mut all = Settings::preset("ddpm-cifar10").unwrap();
        settings.iter().for_each(|(key, value)| all.set(key, value).unwrap());
        let config: Config = all.resolve().unwrap();
        config.learning_rate(k) / config.optimizer.learning_rate
    };
    let found = [1, 2500, 5000, 800_000].map(|k| rate(&[], k));
    assert!(found.iter().zip([1.0 / 5000.0, 0.5, 1.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    let cosine = [("optimizer.decay", "cosine"), ("optimizer.warmup", "100"), ("steps", "1100")];
    let found = [50, 100, 600, 1100].map(|k| rate(&cosine, k));
    assert!(found.iter().zip([0.5, 1.0, 0.5, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    assert_eq!(rate(&[("optimizer.warmup", "0")], 1), 1.0);
}

/// A decay ends at the last step, or where it is said; a longer run has its ends in a list.
#[test]
fn ends_of_a_decay() {
    let rate = |end: &str, k| {
        let mut all = Settings::preset("tiny").unwrap();
        for (key, value) in
            [("optimizer.warmup", "0"), ("steps", "100"), ("optimizer.learning_rate", "1.0"), ("optimizer.decay_steps", end)]
        {
            all.set(key, value).unwrap();
        }
        all.resolve().unwrap().learning_rate(k)
    };
    assert_eq!([rate("none", 50), rate("40", 20), rate("200", 100)].map(|r| (1e9 * r).round()), [5e8; 3]);
    assert!(rate("40", 40) < 1e-12 && rate("40", 90) < 1e-12);
    let longer = "[[0, 40], [40, 100]]";
    assert_eq!([20, 40].map(|k| rate(longer, k)), [20, 40].map(|k| rate("40", k)));
    assert_eq!([41, 90].map(|k| rate(longer, k)), [41, 90].map(|k| rate("none", k)));
}

#[test]
fn the_share_of_the_start_in_an_average() {
    let share = |rate: &str, warmup: &str, steps: &str| {
        let mut all = Settings::preset("ddpm-cifar10").unwrap();
        for (key, value) in [("ema.rates", rate), ("ema.warmup", warmup), ("steps", steps)] {
            all.set(key, value).unwrap();
        }
        all.resolve().unwrap().initial_share(0)
    };
    assert!((share("[0.9999]", "false", "1000") - 0.9999f64.powi(1000)).abs() < 1e-9);
    assert_eq!((share("[0.9999]", "true", "10"), share("[0.0]", "false", "1"), share("[0.9999]", "false", "800000")), (0.0, 0.0, 0.0));
}

/// Values as they are, not as some text of them.
#[test]
fn paths_come_back() {
    let path = |settings: &Settings| settings.resolve().unwrap().data.path.unwrap();
    let again = |settings: &Settings| {
        let mut again = Settings::preset("tiny").unwrap();
        again.over(&settings.to_toml(), "the file").unwrap();
        again
    };
    let names =
        ["e\u{301}te", "\u{e23}\u{e39}\u{e1b}", "\u{5199}\u{3000}\u{732b}", "\u{2764}\u{fe0f}", "a\u{a0}b", "a\"b\\c", "2024", "a\nb"];
    for name in names {
        let mut settings = Settings::preset("tiny").unwrap();
        settings.set_path("data.path", name.as_ref()).unwrap();
        settings.set_path("data.labels", name.as_ref()).unwrap();
        assert_eq!(path(&again(&settings)).as_os_str(), name);
        assert_eq!(settings.resolve().unwrap().data.labels, Some(ddim_data::Labels::File(name.into())));
    }
    #[cfg(unix)]
    {
        let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/caf\xe9/\xff");
        let mut settings = Settings::preset("tiny").unwrap();
        settings.set_path("data.path", bytes.as_ref()).unwrap();
        settings.set_path("data.labels", bytes.as_ref()).unwrap();
        assert_eq!(path(&again(&settings)).as_os_str(), bytes);
        assert_eq!(again(&settings).resolve().unwrap(), settings.resolve().unwrap());
    }
    // --set takes bare words as such.
    for (text, expected) in [("2024", "2024"), ("/a/b c", "/a/b c"), ("'quoted'", "quoted"), ("true", "true")] {
        let mut settings = Settings::preset("tiny").unwrap();
        settings.set("data.path", text).unwrap();
        assert_eq!(path(&settings).as_os_str(), expected);
    }
    let error = Settings::preset("tiny").unwrap().set("data.path", "\"half").unwrap_err().to_string();
    assert!(error.contains("data.path=\"half: expected a value as TOML writes it"), "{error}");
}

#[test]
fn mistakes_are_named_in_one_line() {
    let cases = [
        ("optimiser.clip = 1.0", "no setting is called optimiser: did you mean optimizer?"),
        ("[optimizer]\nlerning_rate = 1.0", "no setting is called optimizer.lerning_rate: did you mean optimizer.learning_rate?"),
        ("[network]\nblock_out_chanels = [32]", "did you mean network.block_out_channels?"),
        ("steps = ", "the file"),
        ("data = 3", "data is 3: expected a table of settings"),
        ("steps = 0", "steps is 0: expected 1 or more"),
        ("steps = \"many\"", "steps"),
        (
            "[network]\ntime_embedding_type = \"learned\"\nnum_train_timesteps = 500",
            "network.num_train_timesteps is 500: expected at least 1000",
        ),
        (
            "[scheduler]\nrescale_betas_zero_snr = true\ntimestep_spacing = \"trailing\"",
            "scheduler.prediction_type is epsilon: a preview of output.preview_steps starts at timestep 999",
        ),
        ("[network]\ntime_embedding_type = \"fourier\"", "network.time_embedding_type is fourier: it takes the logarithm"),
        ("accumulate = 3", "accumulate is 3: expected a divisor of batch_size, 16"),
        ("[optimizer]\nlearning_rate = -1.0", "optimizer.learning_rate is -1: expected a positive number"),
        ("[ema]\nrates = [1.0]", "ema.rates has 1"),
        ("[ema]\nrates = []", "ema.rates is empty"),
        ("[data]\nfit = \"squeeze\"", "fit"),
        ("[data]\nbackground = \"pinkish\"", "expected a colour"),
        ("[objective]\nmin_snr_gamma = -2.0\nweighting = \"min-snr\"", "objective.min_snr_gamma is -2: expected a positive number"),
        ("[output]\npreview_steps = 1001", "output.preview_steps is 1001: expected at most 1000"),
        ("[scheduler]\nbeta_end = 3.0", "beta"),
        ("[scheduler]\nprediction_type = \"noise\"", "prediction type \"noise\""),
    ];
    for (text, expected) in cases {
        let mut settings = Settings::preset("tiny").unwrap();
        let error = settings.over(text, "the file").and_then(|()| settings.resolve().map(drop)).expect_err(text).to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
    }
}

#[test]
fn a_wrong_value_names_its_file() {
    let error = |settings: &Settings| settings.resolve().unwrap_err().to_string();
    for (text, key) in
        [("[ema]\nwarmup = 300", "ema.warmup"), ("steps = 0", "steps is 0"), ("[optimizer]\nclip = -1", "optimizer.clip is -1")]
    {
        let mut settings = Settings::preset("tiny").unwrap();
        settings.over(text, "mine.toml").unwrap();
        settings.over("batch_size = 4", "other.toml").unwrap();
        let found = error(&settings);
        assert!(found.starts_with("mine.toml: ") && found.contains(key) && found.lines().count() == 1, "{found}");
    }
    // A flag comes after the file.
    let mut settings = Settings::preset("tiny").unwrap();
    settings.over("steps = 5", "mine.toml").unwrap();
    settings.set("steps", "0").unwrap();
    assert_eq!(error(&settings), "steps is 0: expected 1 or more");
}

/// `DDIM_FUZZ_CASES=1000000 cargo test --release --workspace --test config mutated` tries a million.
#[test]
fn mutated_settings() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let cases = std::env::var("DDIM_FUZZ_CASES").map_or(256, |cases| cases.parse().expect("DDIM_FUZZ_CASES is a number"));
    let text = Settings::preset("tiny").unwrap().to_toml();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let edits = proptest::collection::vec((any::<usize>(), 0usize..3, "[-0-9a-z.\"\\[\\]{}=\n#]{0,6}"), 1..4);
    let result = runner.run(&edits, |edits| {
        let mut bytes = text.clone().into_bytes();
        for (at, removed, inserted) in edits {
            let at = at % bytes.len();
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, inserted.into_bytes());
        }
        let mut settings = Settings::preset("tiny").unwrap();
        // One line that says what is wrong, or settings that hold together.
        let read = settings.over(&String::from_utf8_lossy(&bytes), "x.toml").and_then(|()| settings.resolve().map(drop));
        if let Err(e) = read {
            prop_assert_eq!(e.to_string().lines().count(), 1);
        }
        Ok(())
    });
    result.unwrap();
}

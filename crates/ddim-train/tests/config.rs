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
        ("accumulate = 3", "accumulate is 3: expected a divisor of batch_size, 16"),
        ("[optimizer]\nlearning_rate = -1.0", "optimizer.learning_rate is -1: expected a positive number"),
        ("[ema]\nrates = [1.0]", "ema.rates has 1"),
        ("[ema]\nrates = []", "ema.rates is empty"),
        ("[data]\nfit = \"squeeze\"", "fit"),
        ("[data]\nbackground = \"pinkish\"", "expected a colour"),
        ("[objective]\nmin_snr_gamma = -2.0\nweighting = \"min-snr\"", "min-SNR's gamma -2"),
        ("[scheduler]\nbeta_end = 3.0", "beta"),
        ("[scheduler]\nprediction_type = \"noise\"", "prediction type \"noise\""),
    ];
    for (text, expected) in cases {
        let mut settings = Settings::preset("tiny").unwrap();
        let error = settings.over(text, "the file").and_then(|()| settings.resolve().map(drop)).expect_err(text).to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
    }
}

//! What a network is given that does not go together: an error, and nothing is written.

use ddim::Denoiser;
use ddim_nn::{Condition, ErrorKind, Network, Pipeline, TimeEmbeddingType, UNetConfig};
use std::path::Path;

fn network(name: &str) -> Network {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet").join(name);
    Network::new(Pipeline::load(&folder).unwrap()).unwrap()
}

#[test]
fn lengths_and_levels_are_checked() {
    let network = network("ddpm");
    let dim = network.dim();
    let both = [7.0, 900.5];
    for (x, levels, out, word) in [
        (2 * dim, &both[..], 2 * dim, ""),
        (0, &[], 0, ""),
        (2 * dim - 1, &both, 2 * dim, "multiple"),
        (2 * dim + 1, &both, 2 * dim, "multiple"),
        (2 * dim, &both, 2 * dim - 1, "as many as the batch has"),
        (2 * dim, &both, 3 * dim, "as many as the batch has"),
        (2 * dim, &both, 0, "as many as the batch has"),
        (2 * dim, &both[..1], 2 * dim, "one per image"),
        (2 * dim, &[7.0, 8.0, 9.0], 2 * dim, "one per image"),
        (dim, &[0.5], dim, "expected 1 to 1000"),
        (dim, &[1000.5], dim, "expected 1 to 1000"),
        (dim, &[f64::NAN], dim, "expected 1 to 1000"),
    ] {
        let mut y = vec![7.0; out];
        match network.predict(&vec![0.5; x], levels, &mut y) {
            Ok(()) => assert!(word.is_empty() && y.iter().all(|y| *y != 7.0), "{x} {levels:?} {out}"),
            Err(error) => {
                assert!(!word.is_empty() && error.to_string().contains(word) && error.kind() == ErrorKind::Input, "{error}");
                assert!(y.iter().all(|y| *y == 7.0), "{error}");
            }
        }
    }
}

#[test]
fn conditions_are_checked() {
    let network = network("learned_classes");
    let dim = network.dim();
    let predict = |network: &Network, n: usize| network.predict(&vec![0.5; n * dim], &vec![1.0; n], &mut vec![0.0; n * dim]);
    assert_eq!(predict(&network, 1).unwrap_err().kind(), ErrorKind::Input);
    let two = network.with_condition(Condition::Labels(vec![0, 4])).unwrap();
    assert!(predict(&two, 2).is_ok());
    for n in [0, 1, 3] {
        assert_eq!(predict(&two, n).unwrap_err().kind(), ErrorKind::Input, "{n}");
    }
    assert!(network.with_condition(Condition::Labels(vec![5])).is_err());
    assert!(network.with_condition(Condition::Embeddings(vec![0.0; 64])).is_err());
}

/// Labels that are embedded as timesteps are: of a table there are so many rows, and 0 has no logarithm.
#[test]
fn labels_in_place_of_timesteps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet/class_timestep");
    let Pipeline { config, scheduler, .. } = Pipeline::load(&folder).unwrap();
    let network = |time_embedding_type, num_train_timesteps| {
        let config = UNetConfig { time_embedding_type, num_train_timesteps, ..config.clone() };
        Network::new(Pipeline::untrained(config, scheduler.clone()).unwrap()).unwrap()
    };
    let [learned, fourier] = [network(TimeEmbeddingType::Learned, Some(1200)), network(TimeEmbeddingType::Fourier, None)];
    let taken = |network: &Network, label: usize| network.with_condition(Condition::Labels(vec![label])).is_ok();
    assert_eq!([0, 1199, 1200].map(|label| taken(&learned, label)), [true, true, false]);
    assert_eq!([0, 1, 5000].map(|label| taken(&fourier, label)), [false, true, true]);
}

/// A batch is evaluated in groups, some at a time and on as many threads as there are: each image has its own level and class, and the bits that it has alone.
#[test]
fn groups_of_a_batch_are_its_images() {
    let network = network("learned_classes");
    let (n, dim) = (1100, network.dim());
    let labels: Vec<usize> = (0..n).map(|i| i * i % 5).collect();
    let levels: Vec<f64> = (0..n).map(|i| (1 + i * 37 % 1000) as f64).collect();
    let x = ddim::noise::Batch { seed: 0, first: 0 }.latents(dim, n);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let network = network.with_condition(Condition::Labels(labels.clone())).unwrap();
        let mut out = vec![0f32; n * dim];
        pool.install(|| network.predict(&x, &levels, &mut out)).unwrap();
        out
    };
    let found = on(1);
    assert!([2, 3, 7].into_iter().all(|threads| on(threads) == found));
    for i in [0, 1, 127, 128, 333, 1023, 1024, 1099] {
        let alone = network.with_condition(Condition::Labels(vec![labels[i]])).unwrap();
        let mut out = vec![0f32; dim];
        alone.predict(&x[i * dim..(i + 1) * dim], &levels[i..=i], &mut out).unwrap();
        assert_eq!(out, found[i * dim..(i + 1) * dim], "image {i}");
    }
}

/// Older versions of diffusers save the frequencies of a Fourier embedding under two names. Two that differ are not one.
#[test]
fn frequencies_under_two_names() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet/fourier");
    let folder = tempfile::tempdir().unwrap();
    for file in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"] {
        let to = folder.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from.join(file), to).unwrap();
    }
    let weights = Path::new("unet/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(from.join(weights)).unwrap();
    let load = |change: f32| {
        let state = ddim_weights::parse_safetensors(&bytes, weights).unwrap();
        let mut frequencies = state["time_proj.weight"].clone();
        frequencies.data[0] += change;
        let all = state.iter().map(|(name, array)| (name.as_str(), array)).chain([("time_proj.W", &frequencies)]);
        let all = all.map(|(name, array)| (name, &array.shape[..], &array.data[..]));
        let written = ddim_weights::to_safetensors(all, ddim_weights::WeightsDtype::F32).unwrap();
        std::fs::write(folder.path().join(weights), written).unwrap();
        Pipeline::load(folder.path())
    };
    assert_eq!(load(0.0).unwrap().unet.values(), Pipeline::load(&from).unwrap().unet.values());
    assert!(load(1.0).unwrap_err().to_string().contains("tensor time_proj.W is unexpected"));
}

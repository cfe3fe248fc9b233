//! Guidance over whole loops of diffusers (conformance/make_guidance.py), and what holds of it by definition; mixtures of classes.

use ddim::noise::Batch;
use ddim::{Denoiser, Sampler, Sampling, Sigma};
use ddim_nn::{Condition, ErrorKind, Guidance, Guided, Network, Pipeline, SchedulerConfig};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn conformance(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance").join(name)
}

fn pipeline(name: &str) -> Pipeline {
    Pipeline::load(&conformance("unet").join(name)).unwrap()
}

/// Five classes, the last of them taken for none.
fn network() -> Network {
    Network::new(pipeline("learned_classes")).unwrap()
}

const NULL: usize = 4;

fn predict(denoiser: &impl Denoiser<f32, Error = ddim_nn::Error>, x: &[f32], levels: &[f64]) -> Vec<f32> {
    let mut out = vec![7.0; x.len()];
    denoiser.predict(x, levels, &mut out).unwrap();
    out
}

#[test]
fn loops_equal_diffusers() {
    let bytes = std::fs::read(conformance("guidance.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| -> Vec<f32> {
        golden.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let text = std::fs::read_to_string(conformance("guidance.json")).unwrap();
    let cases: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 9);
    let mut failures = Vec::new();
    for (name, case) in cases {
        let number = |key: &str| case[key].as_f64().unwrap();
        let scheduler = SchedulerConfig::from_json(&case["scheduler"].to_string(), Path::new(&name)).unwrap();
        let network = Network::new(Pipeline { scheduler: scheduler.clone(), ..pipeline("learned_classes") }).unwrap();
        let guidance = Guidance::new(number("scale"), NULL).unwrap().with_rescale(number("rescale")).unwrap();
        let guidance = guidance.with_interval([0, 1].map(|i| case["interval"][i].as_f64().unwrap())).unwrap();
        let guided = Guided::new(&network, Condition::Labels(vec![0, 1, 2, 3]), Some(guidance)).unwrap();
        let trajectory = scheduler.trajectory(case["steps"].as_u64().unwrap() as usize).unwrap();
        let sampler = Sampler::new(&scheduler.schedule(), &trajectory, &Sigma::Eta(0.0)).unwrap();
        let sampler = sampler.with_clip(scheduler.clip()).unwrap();
        let x = Sampling::new(&sampler, guided, tensor("x_T"), Batch { seed: 0, first: 0 }).unwrap().finish().unwrap();
        let expected = tensor(&name);
        let top = expected.iter().fold(1f32, |m, v| m.max(v.abs()));
        let error = x.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m }) / top;
        println!("{name:16} {error:.1e}");
        if error.is_nan() || error >= 1e-3 {
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Where nothing is guided, the bits are those of the network; so they are at levels beside the interval, while others of the batch are guided.
#[test]
fn what_is_not_guided_is_the_network() {
    let network = network();
    let labels = vec![2, 0, 3];
    let x: Vec<f32> = Batch { seed: 3, first: 0 }.latents(network.dim(), 3);
    let levels = [1000.0, 400.0, 1.0];
    let plain = predict(&network.with_condition(Condition::Labels(labels.clone())).unwrap(), &x, &levels);
    let under =
        |guidance: Option<Guidance>| predict(&Guided::new(&network, Condition::Labels(labels.clone()), guidance).unwrap(), &x, &levels);
    let guidance = |scale: f64| Guidance::new(scale, NULL).unwrap();
    assert_eq!(under(None), plain);
    assert_eq!(under(Some(guidance(1.0).with_rescale(0.5).unwrap())), plain);
    assert_eq!(under(Some(guidance(3.0).with_interval([0.5, 0.9]).unwrap())), plain);
    let (whole, dim) = (under(Some(guidance(3.0))), network.dim());
    assert!((0..3).all(|i| whole[i * dim..(i + 1) * dim] != plain[i * dim..(i + 1) * dim]));
    let middle = under(Some(guidance(3.0).with_interval([0.4, 0.9]).unwrap()));
    assert_eq!((&middle[..dim], &middle[2 * dim..]), (&plain[..dim], &plain[2 * dim..]));
    assert_eq!(middle[dim..2 * dim], whole[dim..2 * dim]);
    // Without a class, guidance by any scale is no class.
    let null = vec![NULL; 3];
    let none = predict(&network.with_condition(Condition::Labels(null.clone())).unwrap(), &x, &levels);
    assert_eq!(predict(&Guided::new(&network, Condition::Labels(null), Some(guidance(3.0))).unwrap(), &x, &levels), none);
}

/// By the definition, from two evaluations apart; and an image has the same bits in any batch.
#[test]
fn two_evaluations_in_one_batch() {
    let network = network();
    // More than the network evaluates together.
    let n = 300;
    let labels: Vec<usize> = (0..n).map(|i| i % 4).collect();
    let x: Vec<f32> = Batch { seed: 5, first: 0 }.latents(network.dim(), n);
    let levels: Vec<f64> = (0..n).map(|i| (1 + i % 3 * 400) as f64).collect();
    let of = |labels: Vec<usize>| predict(&network.with_condition(Condition::Labels(labels)).unwrap(), &x, &levels);
    let (class, none) = (of(labels.clone()), of(vec![NULL; n]));
    let guidance = Some(Guidance::new(2.5, NULL).unwrap());
    let guided = predict(&Guided::new(&network, Condition::Labels(labels.clone()), guidance).unwrap(), &x, &levels);
    for ((guided, class), none) in guided.iter().zip(class).zip(none) {
        let (class, none) = (f64::from(class), f64::from(none));
        assert_eq!(*guided, (none + 2.5 * (class - none)) as f32);
    }
    let dim = network.dim();
    for batch in [1, 7, 256] {
        let mut parts = Vec::new();
        for first in (0..n).step_by(batch) {
            let images = first..n.min(first + batch);
            let guided = Guided::new(&network, Condition::Labels(labels[images.clone()].to_vec()), guidance).unwrap();
            parts.extend(predict(&guided, &x[images.start * dim..images.end * dim], &levels[images]));
        }
        assert!(parts == guided, "batches of {batch}");
    }
}

#[test]
fn mixtures_are_sums_of_rows() {
    let network = network();
    let x: Vec<f32> = Batch { seed: 7, first: 0 }.latents(network.dim(), 3);
    let levels = [900.0, 500.0, 20.0];
    let under = |condition: Condition| predict(&network.with_condition(condition).unwrap(), &x, &levels);
    let labels = under(Condition::Labels(vec![2, 0, 3]));
    let alone = Condition::Mixtures(vec![vec![(2, 1.0)], vec![(0, 1.0)], vec![(3, 1.0)]]);
    assert_eq!(under(alone.clone()), labels);
    // Under guidance too.
    let guidance = Some(Guidance::new(3.0, NULL).unwrap());
    let guided = |condition| predict(&Guided::new(&network, condition, guidance).unwrap(), &x, &levels);
    assert_eq!(guided(alone), guided(Condition::Labels(vec![2, 0, 3])));

    // A network whose row 0 holds what is mixed says the same of class 0.
    let mut mixed = pipeline("learned_classes");
    let (start, width) = {
        let (_, _, range) = mixed.unet.parameters().find(|(name, ..)| *name == "class_embedding.weight").unwrap();
        (range.start, range.len() / 5)
    };
    let mut values = mixed.unet.values().to_vec();
    for i in 0..width {
        let row = |k: usize| f64::from(values[start + k * width + i]);
        values[start + i] = (0.25 * row(1) + 0.75 * row(3)) as f32;
    }
    mixed.unet = mixed.unet.with_values(values).unwrap();
    let mixed = Network::new(mixed).unwrap().with_condition(Condition::Labels(vec![0; 3])).unwrap();
    assert_eq!(under(Condition::Mixtures(vec![vec![(1, 0.25), (3, 0.75)]; 3])), predict(&mixed, &x, &levels));

    let refused = |network: &Network, mixture: Vec<(usize, f64)>, word: &str| {
        let error = network.with_condition(Condition::Mixtures(vec![mixture])).unwrap_err();
        assert!(error.kind() == ErrorKind::Input && error.to_string().contains(word), "{error}");
    };
    refused(&network, vec![(0, 0.5), (5, 0.5)], "0 to 4");
    refused(&network, vec![], "one class or more");
    refused(&network, vec![(0, f64::NAN)], "finite");
    for name in ["class_timestep", "class_identity"] {
        refused(&Network::new(pipeline(name)).unwrap(), vec![(0, 1.0)], "table");
    }
    refused(&Network::new(pipeline("ddpm")).unwrap(), vec![(0, 1.0)], "without classes");
}

/// Classes that are added to a network change nothing before they are learnt.
#[test]
fn added_classes_say_nothing() {
    let pipeline = pipeline("ddpm");
    let unet = pipeline.unet.with_classes(&[None; 5]).unwrap();
    let with = Pipeline::new(unet, pipeline.scheduler.clone());
    assert!(pipeline.unet.with_classes(&[]).unwrap_err().to_string().contains("num_class_embeds"));
    assert!(pipeline.unet.with_classes(&[Some(0)]).unwrap_err().to_string().contains("class 0: expected one of the network's 0"));
    let without = Network::new(pipeline).unwrap();
    let [c, h, w] = without.shape();
    let x = Batch { seed: 1, first: 0 }.latents(c * h * w, 2);
    let network = Network::new(with).unwrap().with_condition(Condition::Labels(vec![0, 4])).unwrap();
    assert_eq!(predict(&network, &x, &[3.0, 700.0]), predict(&without, &x, &[3.0, 700.0]));
}

/// A class says what that of the other table said which it is from.
#[test]
fn classes_come_from_a_table() {
    let pipeline = pipeline("learned_classes");
    let other = Pipeline::new(pipeline.unet.with_classes(&[Some(3), None, Some(0)]).unwrap(), pipeline.scheduler.clone());
    assert!(other.unet.with_classes(&[Some(3)]).unwrap_err().to_string().contains("class 3: expected one of the network's 3"));
    let (before, after) = (Network::new(pipeline).unwrap(), Network::new(other).unwrap());
    let [c, h, w] = before.shape();
    let x = Batch { seed: 1, first: 0 }.latents(c * h * w, 1);
    let of = |network: &Network, label: usize| {
        let network = network.clone().with_condition(Condition::Labels(vec![label])).unwrap();
        predict(&network, &x, &[300.0])
    };
    for (was, is) in [(3, 0), (0, 2)] {
        assert_eq!(of(&before, was), of(&after, is));
    }
    assert!((0..4).all(|label| of(&before, label) != of(&after, 1)));
    for name in ["class_timestep", "class_identity"] {
        assert!(self::pipeline(name).unet.with_classes(&[None]).unwrap_err().to_string().contains("not a table"));
    }
}

#[test]
fn guidance_needs_classes() {
    let guidance = Some(Guidance::new(3.0, NULL).unwrap());
    let network = network();
    assert!(Guided::new(&network, Condition::None, guidance).unwrap_err().to_string().contains("class labels"));
    let far = Some(Guidance::new(3.0, 9).unwrap());
    assert!(Guided::new(&network, Condition::Labels(vec![0]), far).unwrap_err().to_string().contains("class label 9"));
    let identity = Network::new(pipeline("class_identity")).unwrap();
    assert!(Guided::new(&identity, Condition::Embeddings(vec![0.0; 20]), guidance).is_err());
    // What does not go together is said as the network says it, and nothing is written.
    let guided = Guided::new(&network, Condition::Labels(vec![0, 1]), guidance).unwrap();
    for (x, levels, out) in [(1, vec![500.0; 2], 2), (2, vec![500.0; 1], 2), (2, vec![500.0; 2], 1), (1, vec![500.0; 1], 1)] {
        let mut y = vec![7.0; out * network.dim()];
        let error = guided.predict(&vec![0.5; x * network.dim()], &levels, &mut y).unwrap_err();
        assert!(error.kind() == ErrorKind::Input && y.iter().all(|y| *y == 7.0), "{error}");
    }
}

#[test]
fn the_null_class_is_the_row_beyond() {
    let mut pipeline = pipeline("learned_classes");
    assert_eq!(pipeline.null_class(), None);
    for (names, counts, expected) in [(4, 0, Some(4)), (0, 4, Some(4)), (4, 4, Some(4)), (5, 0, None), (3, 0, None), (0, 5, None)] {
        pipeline.classes = vec!["class".to_owned(); names];
        pipeline.class_counts = vec![1; counts];
        assert_eq!(pipeline.null_class(), expected, "{names} names, {counts} counts");
    }
}

//! Statistics and the Fréchet distance against closed forms; its error against other draws; files of statistics.

#![allow(clippy::print_stdout)] // the errors, with --nocapture

use ddim::noise::{Draw, Key};
use ddim_eval::{Moments, Reference, Statistics, frechet_distance};
use half::f16;
use proptest::prelude::*;
use std::path::Path;

fn normal(n: usize, seed: u64) -> Vec<f64> {
    let mut x = vec![0f64; n];
    Key { seed, image: 0, draw: Draw::Step(1) }.fill(&mut x);
    x
}

fn multiply(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|i| (0..d).map(|k| a[i / d * d + k] * b[k * d + i % d]).sum()).collect()
}

fn transposed(a: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|i| a[i % d * d + i / d]).collect()
}

fn statistics(mean: Vec<f64>, covariance: Vec<f64>) -> Statistics {
    Statistics { count: 0, mean, covariance }
}

fn diagonal(values: impl Iterator<Item = f64>, mean: f64) -> Statistics {
    let values: Vec<f64> = values.collect();
    let d = values.len();
    let mut covariance = vec![0.0; d * d];
    values.iter().enumerate().for_each(|(i, v)| covariance[i * d + i] = *v);
    statistics(vec![mean; d], covariance)
}

/// N(0, I) against N(1, I) in 2048 dimensions: only the means differ.
#[test]
fn unit_gaussians_a_unit_apart() {
    let (a, b) = (diagonal((0..2048).map(|_| 1.0), 0.0), diagonal((0..2048).map(|_| 1.0), 1.0));
    let distance = frechet_distance(&a, &b).unwrap();
    assert!((distance - 2048.0).abs() < 1e-8, "{distance}");
}

/// Covariances with the same axes: Σ (√a - √b)², also where they are singular.
#[test]
fn covariances_that_commute() {
    let (a, b) = ((0..40).map(|i| f64::from(i % 7)), (0..40).map(|i| f64::from((i + 3) % 5)));
    let expected: f64 = a.clone().zip(b.clone()).map(|(a, b)| (a.sqrt() - b.sqrt()).powi(2)).sum::<f64>() + 40.0 * 0.25;
    let distance = frechet_distance(&diagonal(a.clone(), 0.5), &diagonal(b, 0.0)).unwrap();
    assert!((distance - expected).abs() < 1e-9, "{distance} {expected}");
    // Nothing at all.
    let nothing = diagonal((0..40).map(|_| 0.0), 0.5);
    assert!(frechet_distance(&nothing, &nothing).unwrap().abs() < 1e-12);
    assert!((frechet_distance(&nothing, &diagonal(a.clone(), 0.5)).unwrap() - a.sum::<f64>()).abs() < 1e-9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// The optimal way from N(0, Σ) to N(0, A Σ A), A positive, is x -> A x: the distance is tr((A - I) Σ (A - I)).
    #[test]
    fn covariances_that_do_not_commute(d in 1usize..30, rank in 1usize..30, seed: u64) {
        let rank = rank.min(d);
        let root: Vec<f64> = normal(d * d, seed).into_iter().enumerate().map(|(i, v)| if i % d < rank { v } else { 0.0 }).collect();
        let sigma = multiply(&root, &transposed(&root, d), d);
        let half = normal(d * d, seed ^ 1);
        let mut a = multiply(&half, &transposed(&half, d), d);
        (0..d).for_each(|i| a[i * d + i] += 0.1);
        let target = multiply(&multiply(&a, &sigma, d), &a, d);
        let symmetric: Vec<f64> = (0..d * d).map(|i| 0.5 * (target[i] + target[i % d * d + i / d])).collect();
        let mut moved = a.clone();
        (0..d).for_each(|i| moved[i * d + i] -= 1.0);
        let cost = multiply(&multiply(&moved, &sigma, d), &moved, d);
        let expected: f64 = (0..d).map(|i| cost[i * d + i]).sum();
        let (from, to) = (statistics(vec![0.0; d], sigma), statistics(vec![0.0; d], symmetric));
        let scale = (0..d).map(|i| to.covariance[i * d + i] + from.covariance[i * d + i]).sum::<f64>();
        // Eigenvalues that are nearly 0 are found with the rounding of the largest: their roots are off by the root of that, 1.5e-8.
        let tolerance = 4e-8 * d as f64 * scale.max(1.0);
        for (a, b) in [(&from, &to), (&to, &from)] {
            let distance = frechet_distance(a, b).unwrap();
            prop_assert!((distance - expected).abs() < tolerance, "{distance} {expected}");
        }
        let none = frechet_distance(&to, &to).unwrap();
        prop_assert!(none.abs() < tolerance, "{none}");
    }

    /// Against the definition; however the features came, the same bits.
    #[test]
    fn moments(n in 2usize..1300, d in 1usize..20, cut in 1usize..700, seed: u64) {
        let features: Vec<f32> = normal(n * d, seed).into_iter().enumerate().map(|(i, x)| (x + 30.0 * (i % d) as f64) as f32).collect();
        let all = Statistics::of(&features, d).unwrap();
        let mut parts = Moments::new(d);
        features.chunks(cut * d).for_each(|part| parts.push(part));
        prop_assert_eq!(&parts.finish().unwrap(), &all);

        prop_assert_eq!(all.count, n);
        for i in 0..d {
            let mean = (0..n).map(|k| f64::from(features[k * d + i])).sum::<f64>() / n as f64;
            prop_assert!((all.mean[i] - mean).abs() < 1e-9);
            let j = (i * 7 + 1) % d;
            let other = (0..n).map(|k| f64::from(features[k * d + j])).sum::<f64>() / n as f64;
            let covariance = (0..n).map(|k| (f64::from(features[k * d + i]) - mean) * (f64::from(features[k * d + j]) - other)).sum::<f64>() / (n - 1) as f64;
            prop_assert!((all.covariance[i * d + j] - covariance).abs() < 1e-9, "{} {covariance}", all.covariance[i * d + j]);
            prop_assert_eq!(all.covariance[i * d + j], all.covariance[j * d + i]);
        }
        // Shards, put together.
        let at = (n / 2).clamp(2, n.saturating_sub(2).max(2)) * d;
        if at + 2 * d <= n * d {
            let merged = Statistics::of(&features[..at], d).unwrap().merged(&Statistics::of(&features[at..], d).unwrap()).unwrap();
            prop_assert_eq!(merged.count, n);
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-10 * (1.0 + b.abs()));
            prop_assert!(close(&merged.mean, &all.mean) && close(&merged.covariance, &all.covariance));
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let d = 300;
    let features: Vec<f32> = normal(900 * d, 3).into_iter().map(|x| x as f32).collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (a, b) = (Statistics::of(&features[..400 * d], d).unwrap(), Statistics::of(&features[400 * d..], d).unwrap());
            (Reference::new(a.clone()).unwrap().distance(&b).unwrap(), a)
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

#[test]
fn files_of_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.npz");
    let features: Vec<f32> = normal(50 * 6, 0).into_iter().map(|x| x as f32).collect();
    let statistics = Statistics::of(&features, 6).unwrap();
    std::fs::write(&path, statistics.to_npz()).unwrap();
    assert_eq!(Statistics::read(&path).unwrap(), statistics);

    let refused = |bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = Statistics::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("s.npz") && error.lines().count() == 1, "{error}");
    };
    let whole = statistics.to_npz();
    refused(&whole[..whole.len() / 2], "not a .npz file");
    refused(b"", "not a .npz file");
    let zip = |arrays: &[(&str, &[u8])]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let mean = npy("<f8", "(2,)", &[0; 16]);
    refused(&zip(&[("arr_0.npy", &mean)]), "no array mu");
    refused(&zip(&[("mu.npy", &mean)]), "no array sigma");
    refused(&zip(&[("mu.npy", &mean), ("sigma.npy", &npy("<f8", "(2, 3)", &[0; 48]))]), "sigma [2, 3]");
    refused(&zip(&[("mu.npy", &mean), ("sigma.npy", &npy("<c16", "(2, 2)", &[0; 64]))]), "<c16");
    refused(&zip(&[("mu.npy", &mean), ("sigma.npy", &npy("<f8", "(99999999, 99999999)", &[0; 32]))]), "too short");
    refused(&zip(&[("mu.npy", &mean), ("sigma.npy", &npy("<f8", "(2, 2)", &f64::NAN.to_le_bytes().repeat(4)))]), "not finite");
    refused(&zip(&[("mu.npy", &mean), ("sigma.npy", &npy("<f8", "(2, 2)", &1e200f64.to_le_bytes().repeat(4)))]), "squares are not finite");
    refused(&zip(&[("mu.npy", b"no array"), ("sigma.npy", b"")]), "array mu");
    // Singles, as some tools write them, and no count.
    std::fs::write(
        &path,
        zip(&[("mu.npy", &npy("<f4", "(2,)", &[0; 8])), ("sigma.npy", &npy("<f4", "(2, 2)", &1f32.to_le_bytes().repeat(4)))]),
    )
    .unwrap();
    let read = Statistics::read(&path).unwrap();
    assert_eq!((read.count, read.covariance.clone()), (0, vec![1.0; 4]));
    assert!(read.merged(&read).unwrap_err().to_string().contains("without a number of images"));
    assert!(frechet_distance(&read, &statistics).unwrap_err().to_string().contains("features of 2 numbers, and of 6"));
    assert!(Statistics::read(Path::new("nowhere.npz")).unwrap_err().to_string().contains("nowhere.npz"));
    assert!(Statistics::of(&features[..6], 6).unwrap_err().to_string().contains("at least 2"));
    assert!(Statistics::of(&[f32::NAN; 12], 6).unwrap_err().to_string().contains("image 0"));
}

/// Features [n, d] whose axes are mixed and scaled: 1, 1/2, 1/3 … far from their mean.
fn features(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mix = normal(d * d, 77);
    let x = normal(n * d, seed);
    let row = |i: usize, j: usize| (0..d).map(|k| x[i * d + k] * mix[k * d + j] / (k + 1) as f64).sum::<f64>() + j as f64;
    (0..n * d).map(|at| row(at / d, at % d) as f32).collect()
}

/// The distance without each image in turn, by its definition.
fn distances_by_leaving_out(reference: &Reference, features: &[f32], d: usize) -> Vec<f64> {
    let n = features.len() / d;
    let without = (0..n).map(|i| {
        let rest = [&features[..i * d], &features[(i + 1) * d..]].concat();
        reference.distance(&Statistics::of(&rest, d).unwrap()).unwrap()
    });
    without.collect()
}

/// The error by the definition of the jackknife.
fn error_by_leaving_out(reference: &Reference, features: &[f32], d: usize) -> f64 {
    let without = distances_by_leaving_out(reference, features, d);
    let n = without.len();
    let mean = without.iter().sum::<f64>() / n as f64;
    ((n - 1) as f64 / n as f64 * without.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sqrt()
}

/// One decomposition gives what as many as there are images would: fewer images than numbers, as many, and more, against a whole and a
/// singular reference; images that lie twice, and numbers that are always 0.
#[test]
fn the_error_is_that_of_leaving_out_each_image() {
    let d = 12;
    for (n, m) in [(3, 200), (5, 200), (12, 200), (13, 200), (14, 200), (60, 200), (400, 200), (9, 6), (60, 6)] {
        let reference = Reference::new(Statistics::of(&features(m, d, 1), d).unwrap()).unwrap();
        let x = features(n, d, 2);
        let statistics = Statistics::of(&x, d).unwrap();
        let found = reference.error(&statistics, &x).unwrap().unwrap();
        let expected = error_by_leaving_out(&reference, &x, d);
        assert!((found / expected - 1.0).abs() < 1e-4, "{n} against {m}: {found}, by leaving out {expected}");
        let found = reference.distances_without(&statistics, &x).unwrap().unwrap();
        let expected = distances_by_leaving_out(&reference, &x, d);
        assert!(
            found.len() == n && found.iter().zip(&expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-4),
            "{n} against {m}: {found:?}, {expected:?}"
        );
    }
    let reference = Reference::new(Statistics::of(&features(200, d, 1), d).unwrap()).unwrap();
    for n in [6, 30] {
        let mut x = features(n, d, 3);
        x.copy_within(..d, d);
        x.chunks_mut(d).for_each(|row| row[4] = 0.0);
        let found = reference.error(&Statistics::of(&x, d).unwrap(), &x).unwrap().unwrap();
        let expected = error_by_leaving_out(&reference, &x, d);
        assert!((found / expected - 1.0).abs() < 1e-3, "{n}: {found}, by leaving out {expected}");
    }
    let x = features(2, d, 2);
    assert_eq!(reference.error(&Statistics::of(&x, d).unwrap(), &x).unwrap(), None);
    let same = [1f32; 60];
    let found = reference.error(&Statistics::of(&same, d).unwrap(), &same).unwrap().unwrap();
    assert!(found < 1e-9, "{found}");
}

/// Few images are told by their number, and their covariances are factored by fewer columns: the same distances and errors as where the number is not
/// known, or is wrong.
#[test]
fn few_images_have_the_distances_of_any() {
    let d = 48;
    let of = |n: usize, seed: u64| (features(n, d, seed), Statistics::of(&features(n, d, seed), d).unwrap());
    let any = |s: &Statistics, count: usize| Statistics { count, ..s.clone() };
    for (n, m) in [(2, 2), (3, 9), (9, 3), (13, 13), (5, 300), (300, 5), (300, 13)] {
        let ((x, b), (_, a)) = (of(n, 2), of(m, 1));
        let found = Reference::new(a.clone()).unwrap();
        let distance = found.distance(&b).unwrap();
        let expected = Reference::new(any(&a, 0)).unwrap();
        for other in [b.clone(), any(&b, 0), any(&b, 2), any(&b, 1000)] {
            let expected = expected.distance(&other).unwrap();
            // Where no number says which eigenvalues are 0, the roots of their rounding are counted.
            assert!((distance / expected - 1.0).abs() < 1e-6, "{n} against {m}: {distance}, {expected}");
        }
        let wrong = Reference::new(any(&a, 2)).unwrap().distance(&b).unwrap();
        assert!((distance / wrong - 1.0).abs() < 1e-6, "{n} against {m} said to be 2: {distance}, {wrong}");
        let errors = [found, expected].map(|reference| reference.error(&b, &x).unwrap());
        assert!(n == 2 || (errors[0].unwrap() / errors[1].unwrap() - 1.0).abs() < 1e-5, "{n} against {m}: {errors:?}");
    }
    // The same image twice, a number that is always the same, and images that are all the same.
    let (mut x, _) = of(9, 3);
    x.copy_within(..d, d);
    x.chunks_mut(d).for_each(|row| row[7] = 2.0);
    let b = Statistics::of(&x, d).unwrap();
    let same = Statistics::of(&x[..d].repeat(4), d).unwrap();
    for a in [of(9, 4).1, of(300, 4).1, same.clone(), b.clone()] {
        for b in [&b, &same] {
            let [found, expected] = [a.clone(), any(&a, 0)].map(|a| frechet_distance(&a, b).unwrap());
            assert!((found - expected).abs() < 1e-6 * (1.0 + expected), "{found}, {expected}");
        }
    }
}

/// The error is how FID differs between sets of other images: from fewer of them than numbers to many, near the reference and far from it.
#[test]
fn the_error_is_the_spread_over_other_images() {
    let (d, times) = (16, 200);
    let reference = Reference::new(Statistics::of(&features(3000, d, 1), d).unwrap()).unwrap();
    for (n, shift) in [(8, 0.0), (40, 0.0), (40, 1.0), (400, 0.0), (400, 1.0)] {
        let found: Vec<(f64, f64)> = (0..times)
            .map(|i| {
                let x: Vec<f32> = features(n, d, 1000 + i).into_iter().map(|x| 1.2 * x + shift).collect();
                let statistics = Statistics::of(&x, d).unwrap();
                (reference.distance(&statistics).unwrap(), reference.error(&statistics, &x).unwrap().unwrap())
            })
            .collect();
        let t = times as f64;
        let mean = found.iter().map(|(fid, _)| fid).sum::<f64>() / t;
        let spread = (found.iter().map(|(fid, _)| (fid - mean).powi(2)).sum::<f64>() / (t - 1.0)).sqrt();
        let error = (found.iter().map(|(_, error)| error.powi(2)).sum::<f64>() / t).sqrt();
        println!("{n} images, {shift} away: FID {mean:.3}, error {error:.4}, in truth {spread:.4}");
        assert!((0.85..1.25).contains(&(error / spread)), "{n} images, {shift} away: {error}, in truth {spread}");
    }
}

/// Sets at no distance are at 0: not at a little less, and not at the root of what rounding makes of eigenvalues that are 0.
#[test]
fn never_below_zero() {
    let d = 64;
    for n in [2, 5, 40, 65, 300] {
        let statistics = Statistics::of(&features(n, d, 5), d).unwrap();
        let distance = frechet_distance(&statistics, &statistics).unwrap();
        let size: f64 = (0..d).map(|i| statistics.covariance[i * d + i]).sum();
        assert!(distance.is_sign_positive() && distance < 1e-9 * size, "{n}: {distance}");
    }
}

/// What holds no covariance is refused, in files with their names; what is one but for rounding is not.
#[test]
fn statistics_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.npz");
    let write = |mu: &[u8], sigma: &[u8]| {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in [("mu.npy", mu), ("sigma.npy", sigma)] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, bytes).unwrap();
        }
        zip.finish().unwrap();
        Statistics::read(&path)
    };
    let npy = |descr: &str, shape: &str, data: Vec<u8>| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &data].concat()
    };
    let doubles = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let mu = npy("<f8", "(2,)", doubles(&[1.0, 2.0]));
    for (sigma, expected) in [
        ([1.0, 0.5, 0.2, 1.0], "expected a symmetric one"),
        ([1.0, 2.0, 2.0, 1.0], "positive semidefinite"),
        ([-1.0, 0.0, 0.0, 1.0], "expected none below 0"),
        ([1.0, f64::INFINITY, f64::INFINITY, 1.0], "not finite"),
    ] {
        let error = write(&mu, &npy("<f8", "(2, 2)", doubles(&sigma))).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("s.npz") && error.lines().count() == 1, "{error}");
        let bad = statistics(vec![0.0; 2], sigma.to_vec());
        let good = statistics(vec![0.0; 2], vec![1.0, 0.0, 0.0, 1.0]);
        assert!(frechet_distance(&good, &bad).is_err() && frechet_distance(&bad, &good).is_err(), "{sigma:?}");
    }
    assert!(frechet_distance(&statistics(vec![0.0; 2], vec![1.0]), &statistics(vec![0.0; 2], vec![1.0; 4])).is_err());

    // Singular ones, with the rounding of each type: still covariances, and at no distance from themselves.
    let d = 40;
    let whole = Statistics::of(&features(10, d, 6), d).unwrap();
    let shapes = (format!("({d},)"), format!("({d}, {d})"));
    let as_f16 = |x: &[f64]| x.iter().flat_map(|x| f16::from_f64(*x).to_le_bytes()).collect::<Vec<u8>>();
    let as_f32 = |x: &[f64]| x.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect::<Vec<u8>>();
    for (descr, mean, covariance, tolerance) in [
        ("<f2", as_f16(&whole.mean), as_f16(&whole.covariance), 0.1),
        ("<f4", as_f32(&whole.mean), as_f32(&whole.covariance), 1e-2),
        ("<f8", doubles(&whole.mean), doubles(&whole.covariance), 1e-5),
    ] {
        let read = write(&npy(descr, &shapes.0, mean), &npy(descr, &shapes.1, covariance)).unwrap();
        let distance = frechet_distance(&whole, &read).unwrap();
        let size: f64 = (0..d).map(|i| whole.covariance[i * d + i]).sum();
        assert!(distance.is_sign_positive() && distance < tolerance * size, "{descr}: {distance} of {size}");
    }
}

//! Gradients against their definitions in f64: a sum Σ y · dy, differentiated by hand for what is linear and by differences for the norm.

use ddim_kernels::{Attention, Conv2d, Finish, GroupNorm, Images, Normal, PackedConv2d, normalised, sum_of_pixels};
use proptest::prelude::*;

/// Fewer cases where tests run under emulation.
const SLOWER: u32 = if cfg!(target_arch = "aarch64") { 8 } else { 1 };

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The largest |a - b| as a share of the largest |b|; NaN where there is one.
fn error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let errors = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs());
    let top = b.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    errors.fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m }) / top
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128 / SLOWER))]

    #[test]
    fn convolution(
        outs in prop_oneof![1usize..20, 60usize..80], ins in prop_oneof![1usize..20, 60usize..80], kind in 0usize..5, n in 1usize..5,
        h in 2usize..18, w in 2usize..18, enlarge: bool, gap in 0usize..3, seed: u64,
    ) {
        let (kernel, stride, padding) = [(1, 1, [0, 0]), (3, 1, [1, 1]), (3, 1, [1, 1]), (3, 2, [0, 1]), (3, 2, [1, 1])][kind];
        let conv = Conv2d { channels: [outs, ins], kernel: [kernel; 2], stride, padding: [padding; 2], enlarge };
        let [oh, ow] = conv.output([h, w]);
        let (weight, x, dy) = (values(conv.weights(), seed), values(n * h * w * (ins + gap), seed ^ 1), values(n * oh * ow * (outs + gap), seed ^ 2));
        let images = Images { data: &x, shape: [n, h, w, ins], stride: ins + gap };
        let gradient = Images { data: &dy, shape: [n, oh, ow, outs], stride: outs + gap };
        let (mut dx, mut dw, mut db) = (vec![f32::NAN; n * h * w * ins], vec![0.0; conv.weights()], vec![0.0; outs]);
        conv.input_gradient(&weight, [h, w], &gradient, &mut dx, ins, false);
        conv.weight_gradient(&images, None, &gradient, &mut dw);
        sum_of_pixels(&gradient, &mut db);

        // Once more, on top, with gaps.
        let mut twice = vec![7.0; n * h * w * (ins + 1)];
        conv.input_gradient(&weight, [h, w], &gradient, &mut twice, ins + 1, false);
        conv.input_gradient(&weight, [h, w], &gradient, &mut twice, ins + 1, true);
        prop_assert!(twice.chunks(ins + 1).zip(dx.chunks(ins)).all(|(twice, once)| twice[..ins].iter().zip(once).all(|(t, o)| *t == o + o)));
        prop_assert!(twice.chunks(ins + 1).all(|pixel| pixel[ins] == 7.0));
        let mut summed = dw.clone();
        conv.weight_gradient(&images, None, &gradient, &mut summed);
        prop_assert!(summed.iter().zip(&dw).all(|(s, d)| *s == d + d));

        let (mut dx_expected, mut dw_expected, mut db_expected) = (vec![0f64; dx.len()], vec![0f64; dw.len()], vec![0f64; outs]);
        let times = if enlarge { 2 } else { 1 };
        for p in 0..n * oh * ow {
            let (i, y, x_) = (p / (oh * ow), p % (oh * ow) / ow, p % ow);
            for o in 0..outs {
                let dy = f64::from(dy[p * (outs + gap) + o]);
                db_expected[o] += dy;
                for tap in 0..kernel * kernel {
                    let at = |out: usize, tap: usize| (out * stride + tap).wrapping_sub(padding[0]);
                    let (sy, sx) = (at(y, tap / kernel), at(x_, tap % kernel));
                    if sy >= h * times || sx >= w * times {
                        continue;
                    }
                    let source = (i * h + sy / times) * w + sx / times;
                    for c in 0..ins {
                        let index = (o * ins + c) * kernel * kernel + tap;
                        dx_expected[source * ins + c] += dy * f64::from(weight[index]);
                        dw_expected[index] += dy * f64::from(x[source * (ins + gap) + c]);
                    }
                }
            }
        }
        prop_assert!(error(&dx, &dx_expected) < 6e-6, "input {conv:?} {}", error(&dx, &dx_expected));
        prop_assert!(error(&dw, &dw_expected) < 2e-5, "weights {conv:?} {}", error(&dw, &dw_expected));
        // Sums of both signs may nearly vanish.
        let tolerance = 2e-7 * (n * oh * ow) as f64;
        prop_assert!(db.iter().zip(&db_expected).all(|(a, b)| (f64::from(*a) - b).abs() < tolerance), "bias {db:?} {db_expected:?}");
    }

    /// A norm that the convolution reads through: the same as of the images it makes.
    #[test]
    fn weights_behind_a_norm(outs in 1usize..20, ins in 1usize..20, kind in 0usize..3, h in 2usize..10, w in 2usize..10, silu: bool, seed: u64) {
        let (kernel, stride, padding) = [(1, 1, [0, 0]), (3, 1, [1, 1]), (3, 2, [0, 1])][kind];
        let conv = Conv2d { channels: [outs, ins], kernel: [kernel; 2], stride, padding: [padding; 2], enlarge: false };
        let [oh, ow] = conv.output([h, w]);
        let (x, dy) = (values(2 * h * w * ins, seed), values(2 * oh * ow * outs, seed ^ 1));
        let (center, scale, shift) = (values(2 * ins, seed ^ 2), values(2 * ins, seed ^ 3), values(ins, seed ^ 4));
        let (x, dy) = (Images::new(&x, [2, h, w, ins]), Images::new(&dy, [2, oh, ow, outs]));
        let normal = Normal { center: &center, scale: &scale, shift: &shift, silu };
        let mut y = vec![0.0; 2 * h * w * ins];
        normalised(&x, normal, &mut y);
        let (mut through, mut of) = (vec![0.0; conv.weights()], vec![0.0; conv.weights()]);
        conv.weight_gradient(&x, Some(normal), &dy, &mut through);
        conv.weight_gradient(&Images::new(&y, x.shape), None, &dy, &mut of);
        prop_assert!(through == of);
    }

    /// Weights that nobody packed: no bit is another, in any size.
    #[test]
    fn changing_weights(
        outs in 1usize..80, ins in prop_oneof![1usize..20, 60usize..140], kind in 0usize..5, n in 1usize..5, h in 5usize..20, w in 5usize..20,
        enlarge: bool, seed: u64,
    ) {
        let (kernel, stride, padding) = [(1, 1, 0), (3, 1, 1), (3, 1, 1), (3, 2, 1), (5, 1, 2)][kind];
        let conv = Conv2d { channels: [outs, ins], kernel: [kernel; 2], stride, padding: [[padding; 2]; 2], enlarge };
        let [oh, ow] = conv.output([h, w]);
        let (weight, bias, x) = (values(conv.weights(), seed), values(outs, seed ^ 1), values(n * h * w * ins, seed ^ 2));
        let x = Images::new(&x, [n, h, w, ins]);
        let [mut packed, mut loose] = [(); 2].map(|()| vec![0.0; n * oh * ow * outs]);
        PackedConv2d::new(conv, [h, w], &weight, Some(&bias)).run(&x, None, &Finish::default(), &mut packed, outs);
        conv.run(&weight, &bias, &x, None, &Finish::default(), &mut loose, outs);
        prop_assert!(packed == loose);
    }

    #[test]
    fn attention(n in 1usize..4, heads in 1usize..4, dim in prop_oneof![1usize..20, 60usize..80], h in 1usize..9, w in 1usize..18, gap in 0usize..3, seed: u64) {
        let (inner, pixels) = (heads * dim, h * w);
        let stride = inner + gap;
        let data: Vec<Vec<f32>> = (0..4).map(|i| values(n * pixels * stride, seed ^ i)).collect();
        let [queries, keys, values, dy] = [0, 1, 2, 3].map(|i: usize| Images { data: &data[i], shape: [n, h, w, inner], stride });
        let scale = 1.5 / (dim as f32).sqrt();
        let mut found = [0, 1, 2].map(|_| vec![f32::NAN; n * pixels * inner]);
        Attention { queries, keys, values, heads, scale }.gradient(&dy, found.each_mut().map(Vec::as_mut_slice));

        let mut expected = [0, 1, 2].map(|_| vec![0f64; n * pixels * inner]);
        for (i, channel) in (0..n).flat_map(|i| (0..heads).map(move |head| (i, head * dim))) {
            let at = |which: usize, p: usize, c: usize| f64::from(data[which][(i * pixels + p) * stride + channel + c]);
            let dot = |a: usize, p: usize, b: usize, q: usize| (0..dim).map(|c| at(a, p, c) * at(b, q, c)).sum::<f64>();
            for p in 0..pixels {
                let powers: Vec<f64> = (0..pixels).map(|k| (f64::from(scale) * dot(0, p, 1, k)).exp()).collect();
                let total: f64 = powers.iter().sum();
                let slopes: Vec<f64> = (0..pixels).map(|k| dot(3, p, 2, k)).collect();
                let mean = powers.iter().zip(&slopes).map(|(w, s)| w / total * s).sum::<f64>();
                for k in 0..pixels {
                    let weight = powers[k] / total;
                    let slope = weight * (slopes[k] - mean) * f64::from(scale);
                    for c in 0..dim {
                        let index = |p: usize| (i * pixels + p) * inner + channel + c;
                        expected[0][index(p)] += slope * at(1, k, c);
                        expected[1][index(k)] += slope * at(0, p, c);
                        expected[2][index(k)] += weight * at(3, p, c);
                    }
                }
            }
        }
        // With one pixel the weights are constant, and only the values have a gradient: measured against the largest of all.
        let top = expected.iter().flatten().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in found.iter().zip(expected) {
                let e = (f64::from(*found) - expected).abs() / top;
                prop_assert!(e < 5e-6, "{found} {expected} of {top}");
            }
        }
    }

    #[test]
    fn normalisation(n in 1usize..3, groups in 1usize..4, per_group in 1usize..20, h in 1usize..5, w in 2usize..5, silu: bool, gap in 0usize..3, seed: u64) {
        let c = groups * per_group;
        let (weight, bias) = (values(c, seed), values(c, seed ^ 1));
        let (x, dy) = (values(n * h * w * (c + gap), seed ^ 2), values(n * h * w * (c + gap), seed ^ 3));
        let images = |data| Images { data, shape: [n, h, w, c], stride: c + gap };
        let norm = GroupNorm { weight: &weight, bias: &bias, groups, eps: 1e-3 };
        let (mut dx, mut dw, mut db) = (vec![f32::NAN; n * h * w * c], vec![0.0; c], vec![0.0; c]);
        let mut kept = [(); 3].map(|()| vec![f32::NAN; n * c]);
        norm.statistics(&images(&x), kept.each_mut().map(Vec::as_mut_slice));
        let kept = [&kept[0][..], &kept[2]];
        norm.gradient(&images(&x), kept, silu, &images(&dy), (&mut dx, c, false), [&mut dw, &mut db]);
        let mut twice = vec![7.0; n * h * w * (c + 1)];
        for accumulate in [false, true] {
            norm.gradient(&images(&x), kept, silu, &images(&dy), (&mut twice, c + 1, accumulate), [&mut vec![0.0; c], &mut vec![0.0; c]]);
        }
        prop_assert!(twice.chunks(c + 1).zip(dx.chunks(c)).all(|(twice, once)| twice[..c].iter().zip(once).all(|(t, o)| *t == o + o)));

        // Σ y · dy in f64, as a function of everything.
        let at = |p: usize, channel: usize| p * (c + gap) + channel;
        let objective = |x: &[f64], weight: &[f64], bias: &[f64]| {
            let mut total = 0.0;
            for i in 0..n {
                for group in 0..groups {
                    let members = || (i * h * w..(i + 1) * h * w).flat_map(|p| (group * per_group..(group + 1) * per_group).map(move |k| (p, k)));
                    let len = (h * w * per_group) as f64;
                    let mean = members().map(|(p, k)| x[at(p, k)]).sum::<f64>() / len;
                    let variance = members().map(|(p, k)| (x[at(p, k)] - mean).powi(2)).sum::<f64>() / len;
                    for (p, k) in members() {
                        let z = (x[at(p, k)] - mean) / (variance + f64::from(1e-3f32)).sqrt() * weight[k] + bias[k];
                        total += if silu { z / (1.0 + (-z).exp()) } else { z } * f64::from(dy[at(p, k)]);
                    }
                }
            }
            total
        };
        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (x, weight, bias) = (wide(&x), wide(&weight), wide(&bias));
        let slope = |values: &[f64], index: usize, f: &dyn Fn(&[f64]) -> f64| {
            let step = 1e-5;
            let moved = |by: f64| {
                let mut values = values.to_vec();
                values[index] += by;
                f(&values)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        };
        let places: Vec<(usize, usize)> = (0..n * h * w).flat_map(|p| (0..c).map(move |k| (p, k))).step_by(3).collect();
        let expected: Vec<f64> = places.iter().map(|&(p, k)| slope(&x, at(p, k), &|x| objective(x, &weight, &bias))).collect();
        let found: Vec<f32> = places.iter().map(|&(p, k)| dx[p * c + k]).collect();
        let expected_w: Vec<f64> = (0..c).map(|k| slope(&weight, k, &|w| objective(&x, w, &bias))).collect();
        let expected_b: Vec<f64> = (0..c).map(|k| slope(&bias, k, &|b| objective(&x, &weight, b))).collect();
        // A group of two numbers has nearly no gradient: measured against the others.
        let scale = 1.0 / expected.iter().chain(&expected_w).chain(&expected_b).fold(f64::MIN_POSITIVE, |m: f64, v| m.max(v.abs()));
        for (found, expected) in [(&found, &expected), (&dw, &expected_w), (&db, &expected_b)] {
            for (found, expected) in found.iter().zip(expected) {
                let e = (f64::from(*found) - expected).abs() * scale;
                prop_assert!(e < 2e-5, "{found} {expected}");
            }
        }
    }
}

/// Weight gradients of many images, more than are transformed at once, have the same bits for any number of threads but for the order of
/// the sums over tiles, which does not depend on them either.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "has no threads")]
fn the_same_bits_for_any_number_of_threads() {
    for (n, size, channels @ [outs, ins], kernel, stride) in
        [(9, 16, [70, 33], 3, 1), (3, 8, [130, 150], 3, 1), (1, 4, [70, 200], 3, 1), (2, 9, [40, 150], 3, 2), (5, 7, [100, 30], 1, 1)]
    {
        let conv = Conv2d { channels, kernel: [kernel; 2], stride, padding: [[kernel / 2; 2]; 2], enlarge: false };
        let out = conv.output([size; 2])[0];
        let (weight, bias) = (values(conv.weights(), 3), values(outs, 4));
        let (x, dy) = (values(n * size * size * ins, 1), values(n * out * out * outs, 2));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; conv.weights()]);
            let (x, dy) = (Images::new(&x, [n, size, size, ins]), Images::new(&dy, [n, out, out, outs]));
            pool.install(|| {
                conv.run(&weight, &bias, &x, None, &Finish::default(), &mut y, outs);
                conv.input_gradient(&weight, [size; 2], &dy, &mut dx, ins, false);
                conv.weight_gradient(&x, None, &dy, &mut dw);
            });
            [y, dx, dw]
        };
        let one = run(1);
        for threads in [2, 5, 30] {
            assert!(one == run(threads), "{conv:?}, {threads} threads");
        }
    }
}

/// No images: nothing is added.
#[test]
fn no_images() {
    for (kernel, stride) in [(3, 1), (3, 2), (1, 1)] {
        let conv = Conv2d { channels: [20, 30], kernel: [kernel; 2], stride, padding: [[kernel / 2; 2]; 2], enlarge: false };
        let out = conv.output([8; 2])[0];
        let mut dw = vec![1.0; conv.weights()];
        conv.weight_gradient(&Images::new(&[], [0, 8, 8, 30]), None, &Images::new(&[], [0, out, out, 20]), &mut dw);
        conv.input_gradient(&vec![0.0; conv.weights()], [8; 2], &Images::new(&[], [0, out, out, 20]), &mut [], 30, false);
        assert!(dw.iter().all(|v| *v == 1.0));
    }
}

/// All the tests of this file again, with narrower vectors than the processor has.
#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "has no narrower vectors")]
fn the_other_paths() {
    if std::env::var_os("DDIM_SIMD").is_some() {
        return; // one of the runs below
    }
    for path in ["scalar", "avx2"] {
        let tests = std::env::current_exe().unwrap();
        let output = std::process::Command::new(tests).env("DDIM_SIMD", path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("8 passed"), "{path}: {text}");
    }
}

//! Each kernel against the same formula in f64, for odd sizes, odd channel counts, and inputs that are large, tiny or constant.

use ddim_kernels::{Conv2d, GroupNorm, PreparedConv2d, PreparedPointwise, attention, group_norm};
use proptest::prelude::*;

/// Numbers that look random, of the size of `scale`.
fn values(n: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
        })
        .collect()
}

/// |a - b| as a share of the largest |b|.
fn error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let top = b.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    worst(a, b) / top
}

/// The largest |a - b|; NaN where there is one, which `f64::max` would pass over.
fn worst(a: &[f32], b: &[f64]) -> f64 {
    let errors = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs());
    errors.fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

const SCALES: [f32; 4] = [1.0, 1e-20, 1e15, 0.0];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolution(
        out in 1usize..20, inp in 1usize..20, h in 3usize..20, w in 3usize..40, kernel in prop::sample::select(vec![1usize, 3]),
        stride in 1usize..3, before in 0usize..2, after in 0usize..2, bias: bool, scale in prop::sample::select(SCALES.to_vec()), seed: u64,
    ) {
        let weight = values(out * inp * kernel * kernel, seed, 0.3);
        let bias = bias.then(|| values(out, seed ^ 1, 1.0 * scale));
        let x = values(inp * h * w, seed ^ 2, scale);
        let conv = Conv2d { weight: &weight, bias: bias.as_deref(), channels: [out, inp], kernel, stride, padding: [before, after] };
        let (oh, ow) = (conv.output(h), conv.output(w));
        let mut y = vec![f32::NAN; out * oh * ow];
        PreparedConv2d::new(conv).run(&x, [h, w], &mut y);
        let mut expected = Vec::new();
        for o in 0..out {
            for yy in 0..oh {
                for xx in 0..ow {
                    let mut sum = bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
                    for c in 0..inp {
                        for ky in 0..kernel {
                            for kx in 0..kernel {
                                let (sy, sx) = ((yy * stride + ky).wrapping_sub(before), (xx * stride + kx).wrapping_sub(before));
                                if sy < h && sx < w {
                                    sum += f64::from(weight[((o * inp + c) * kernel + ky) * kernel + kx]) * f64::from(x[(c * h + sy) * w + sx]);
                                }
                            }
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        prop_assert!(error(&y, &expected) < 2e-6, "{}", error(&y, &expected));
    }

    #[test]
    fn linear_over_channels(out in 1usize..40, inp in 1usize..40, pixels in 1usize..200, seed: u64) {
        let (weight, bias, x) = (values(inp * out, seed, 0.5), values(out, seed ^ 1, 1.0), values(inp * pixels, seed ^ 2, 1.0));
        let y = PreparedPointwise::new(&weight, Some(&bias), [out, inp]).run(&x, pixels);
        let at = |o: usize, p: usize| {
            f64::from(bias[o]) + (0..inp).map(|i| f64::from(weight[i * out + o]) * f64::from(x[i * pixels + p])).sum::<f64>()
        };
        let expected: Vec<f64> = (0..out).flat_map(|o| (0..pixels).map(move |p| (o, p))).map(|(o, p)| at(o, p)).collect();
        prop_assert!(error(&y, &expected) < 2e-6);
    }

    #[test]
    fn normalisation(
        n in 1usize..3, groups in 1usize..6, per_group in 1usize..5, pixels in 1usize..300, silu: bool,
        mean in prop::sample::select(vec![0f32, 3.0, -1e3]), scale in prop::sample::select(SCALES.to_vec()), seed: u64,
    ) {
        let channels = groups * per_group;
        let (weight, bias) = (values(channels, seed, 2.0), values(channels, seed ^ 1, 1.0));
        let mut x = values(n * channels * pixels, seed ^ 2, scale);
        x.iter_mut().for_each(|v| *v += mean);
        let mut expected = Vec::new();
        for (i, group) in x.chunks(per_group * pixels).enumerate() {
            let len = group.len() as f64;
            let mean = group.iter().map(|v| f64::from(*v)).sum::<f64>() / len;
            let variance = group.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / len;
            for (j, v) in group.iter().enumerate() {
                let c = i % groups * per_group + j / pixels;
                let y = (f64::from(*v) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[c]) + f64::from(bias[c]);
                expected.push(if silu { y / (1.0 + (-y).exp()) } else { y });
            }
        }
        group_norm(&GroupNorm { weight: &weight, bias: &bias, groups, eps: 1e-5, silu }, &mut x, pixels);
        // The mean itself is rounded to f32, and 1/√eps of that remains where the variance is small.
        let tolerance = 1e-5 + 320.0 * f64::from(mean.abs()) * 1.2e-7;
        let worst = worst(&x, &expected);
        prop_assert!(worst < tolerance, "{worst}");
    }

    #[test]
    fn self_attention(heads in 1usize..4, dim in 1usize..20, pixels in 1usize..300, scale in prop::sample::select(vec![1f32, 30.0, 0.0]), seed: u64) {
        let n = heads * dim * pixels;
        let (q, k, v) = (values(n, seed, scale), values(n, seed ^ 1, scale), values(n, seed ^ 2, 1.0));
        let out = attention(&q, &k, &v, heads, pixels);
        for head in 0..heads {
            let at = |x: &[f32], c: usize, p: usize| f64::from(x[(head * dim + c) * pixels + p]);
            for i in (0..pixels).step_by(7) {
                let scores: Vec<f64> =
                    (0..pixels).map(|j| (0..dim).map(|c| at(&q, c, i) * at(&k, c, j)).sum::<f64>() / (dim as f64).sqrt()).collect();
                let top = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in 0..dim {
                    let expected = weights.iter().enumerate().map(|(j, w)| w * at(&v, c, j)).sum::<f64>() / total;
                    let found = at(&out, c, i);
                    // Scores of size s are rounded at s·2⁻²⁴.
                    let tolerance = 2e-6 * (1.0 + scores.iter().fold(0f64, |m, s| m.max(s.abs())));
                    prop_assert!((found - expected).abs() < tolerance, "{found} {expected}");
                }
            }
        }
    }
}

/// Sizes where the last output row ends exactly at, or just before, the end of a register tile.
#[test]
fn rows_that_end_with_a_tile() {
    for [h, w] in [[5, 8], [3, 14], [10, 3], [1, 48], [1, 47], [2, 23]] {
        let (weight, x) = (vec![1.0; 9], vec![1.0; h * w]);
        let conv = Conv2d { weight: &weight, bias: None, channels: [1, 1], kernel: 3, stride: 1, padding: [1, 1] };
        let mut y = vec![f32::NAN; h * w];
        PreparedConv2d::new(conv).run(&x, [h, w], &mut y);
        // Each pixel counts its neighbours and itself.
        let reach = |at: usize, n: usize| 1 + usize::from(at > 0) + usize::from(at + 1 < n);
        let expected: Vec<f64> = (0..h * w).map(|p| (reach(p / w, h) * reach(p % w, w)) as f64).collect();
        assert_eq!(worst(&y, &expected), 0.0, "{h} x {w}");
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (weight, x) = (values(64 * 64 * 9, 1, 0.1), values(64 * 32 * 32, 2, 1.0));
    let conv = Conv2d { weight: &weight, bias: None, channels: [64, 64], kernel: 3, stride: 1, padding: [1, 1] };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut y = vec![0.0; 64 * 32 * 32];
        pool.install(|| PreparedConv2d::new(conv).run(&x, [32, 32], &mut y));
        (y, pool.install(|| attention(&x, &x, &x, 4, 1024)))
    };
    assert_eq!(run(1), run(3));
}

/// All the tests of this file again, with narrower vectors than the processor has.
#[test]
fn the_other_paths() {
    if std::env::var_os("DDIM_SIMD").is_some() {
        return; // one of the runs below
    }
    for path in ["scalar", "avx2"] {
        let tests = std::env::current_exe().unwrap();
        let output = std::process::Command::new(tests).env("DDIM_SIMD", path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("7 passed"), "{path}: {text}");
    }
}

//! Each kernel against the same formula in f64: odd sizes, channels that are no multiple of a vector, and inputs that are large, tiny,
//! denormal or constant.

use ddim_kernels::{Attention, Conv2d, Finish, GroupNorm, Images, Normal, PackedConv2d, Pool, Pooling, mean_of_pixels, normalised};
use proptest::prelude::*;

/// Fewer cases where tests run under emulation.
const SLOWER: u32 = if cfg!(target_arch = "aarch64") { 8 } else { 1 };

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

/// The largest |a - b|; NaN where there is one, which `f64::max` would pass over.
fn worst(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let errors = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs());
    errors.fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()))
}

/// Attention over queries, keys and values that lie side by side.
fn attend(qkv: &[f32], shape @ [.., inner]: [usize; 4], heads: usize) -> Attention<'_> {
    let part = |which: usize| Images { data: &qkv[which * inner..], shape, stride: 3 * inner };
    let scale = ((inner / heads) as f32).sqrt().recip();
    Attention { queries: part(0), keys: part(1), values: part(2), heads, scale }
}

const SCALES: [f32; 5] = [1.0, 1e-20, 1e-40, 1e25, 0.0];

/// A convolution and everything that can be fused with it.
#[derive(Debug, Clone)]
struct Case {
    conv: Conv2d,
    images: usize,
    size: [usize; 2],
    bias: bool,
    normal: Option<bool>,
    rows: bool,
    residual: bool,
    scale: f32,
    relu: bool,
    constant: bool,
    /// Numbers between the channels of one pixel and those of the next, in input, residual and output.
    gap: usize,
    seed: u64,
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

impl Case {
    fn run(&self) {
        let Self { conv, images: n, size: [h, w], seed, gap, .. } = *self;
        let [outs, ins] = conv.channels;
        let [oh, ow] = conv.output([h, w]);
        let taps = conv.kernel[0] * conv.kernel[1];
        let fan = (ins * taps) as f32;
        let weight = values(conv.weights(), seed, fan.sqrt().recip());
        let bias = self.bias.then(|| values(outs, seed ^ 1, self.scale));
        let stride = ins + gap;
        let x = if self.constant { vec![self.scale; n * h * w * stride] } else { values(n * h * w * stride, seed ^ 2, self.scale) };
        let (center, scale, shift) = (values(n * ins, seed ^ 3, 0.5), values(n * ins, seed ^ 4, 2.0), values(ins, seed ^ 5, 1.0));
        let rows = self.rows.then(|| values(n * outs, seed ^ 6, 1.0));
        let out_stride = outs + gap;
        let residual = self.residual.then(|| values(n * oh * ow * out_stride, seed ^ 7, 1.0));

        let normal = self.normal.map(|silu| Normal { center: &center, scale: &scale, shift: &shift, silu });
        let finish = Finish {
            rows: rows.as_deref(),
            residual: residual.as_ref().map(|data| Images { data, shape: [n, oh, ow, outs], stride: out_stride }),
            scale: if self.residual { 0.5 } else { 1.0 },
            relu: self.relu,
            accumulate: false,
        };
        let images = Images { data: &x, shape: [n, h, w, ins], stride };
        let mut out = vec![f32::NAN; n * oh * ow * out_stride];
        let packed = PackedConv2d::new(conv, [h, w], &weight, bias.as_deref());
        packed.run(&images, normal, &finish, &mut out, out_stride);

        // What the convolution reads, and what it should give.
        let read = |i: usize, y: usize, x_: usize, c: usize| {
            let value = f64::from(x[((i * h + y) * w + x_) * stride + c]);
            let Some(activate) = self.normal else { return value };
            let value = (value - f64::from(center[i * ins + c])) * f64::from(scale[i * ins + c]) + f64::from(shift[c]);
            if activate { silu(value) } else { value }
        };
        let times = if conv.enlarge { 2 } else { 1 };
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        // What rounding errors are measured by: the largest sum, also one below zero that relu removes.
        let mut size = 0.0f64;
        for p in 0..n * oh * ow {
            let (i, y, x_) = (p / (oh * ow), p % (oh * ow) / ow, p % ow);
            for o in 0..outs {
                let mut sum = bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
                for tap in 0..taps {
                    let at = |axis: usize, out: usize, tap: usize| (out * conv.stride + tap).wrapping_sub(conv.padding[axis][0]);
                    let (sy, sx) = (at(0, y, tap / conv.kernel[1]), at(1, x_, tap % conv.kernel[1]));
                    if sy < h * times && sx < w * times {
                        for c in 0..ins {
                            let weight = weight[(o * ins + c) * taps + tap];
                            sum += f64::from(weight) * read(i, sy / times, sx / times, c);
                        }
                    }
                }
                sum += rows.as_ref().map_or(0.0, |rows| f64::from(rows[i * outs + o]));
                sum += residual.as_ref().map_or(0.0, |r| f64::from(r[p * out_stride + o]));
                sum *= f64::from(finish.scale);
                size = size.max(sum.abs());
                expected.push(if self.relu { sum.max(0.0) } else { sum });
                found.push(out[p * out_stride + o]);
            }
            // The gap is not ours.
            assert!(out[p * out_stride + outs..][..gap].iter().all(|v| v.is_nan()));
        }
        // Roundings add up as a random walk does: with the root of the number of terms. Denormal numbers have few digits: each product may
        // lose one of 2⁻¹⁴⁹.
        let tolerance = (2e-7 * f64::from(fan).sqrt()).max(6e-6) * size + 2f64.powi(-149) * f64::from(fan);
        assert!(worst(&found, &expected) < tolerance, "{:e} of {size:e}: {self:?}", worst(&found, &expected));
    }
}

/// Mostly what networks have.
const KERNELS: [[usize; 2]; 10] = [[1, 1], [3, 3], [3, 3], [3, 3], [3, 3], [1, 7], [7, 1], [1, 3], [3, 1], [5, 5]];

fn cases() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![1usize..20, 16usize..90, Just(64), Just(128)];
    let geometry = (channels.clone(), channels, prop::sample::select(KERNELS.to_vec()), 1usize..3, any::<[[bool; 2]; 2]>(), any::<bool>());
    let size = (1usize..5, 1usize..20, 1usize..20, 0usize..3);
    let fused = (any::<bool>(), prop::option::of(any::<bool>()), any::<bool>(), any::<bool>(), any::<bool>());
    (geometry, size, fused, prop::sample::select(SCALES.to_vec()), prop::bool::weighted(0.1), any::<u64>()).prop_map(
        |(
            (outs, ins, kernel, stride, padded, enlarge),
            (images, h, w, gap),
            (bias, normal, rows, residual, relu),
            scale,
            constant,
            seed,
        )| {
            let padding = if seed % 3 > 0 { kernel.map(|k| [k / 2; 2]) } else { padded.map(|sides| sides.map(usize::from)) };
            let stride = if seed % 4 > 0 { 1 } else { stride };
            let least = kernel[0].max(kernel[1]);
            let conv = Conv2d { channels: [outs, ins], kernel, stride, padding, enlarge };
            let size = [h.max(least), w.max(least)];
            // A large or tiny scale says nothing of what is normalised or added to numbers of size 1.
            let plain = scale != 1.0;
            let normal = normal.filter(|_| !plain);
            let (rows, residual) = (rows && !plain, residual && !plain);
            Case { conv, images, size, bias, normal, rows, residual, scale, relu, constant, gap, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200 / SLOWER))]

    #[test]
    fn convolution(case in cases()) {
        case.run();
    }
}

/// Few tiles and many channels: weights are transformed as they are used, for one tile and for several.
#[test]
fn weights_that_are_not_kept() {
    for (channels, size, images) in [([130, 200], [4, 4], 1), ([130, 200], [3, 4], 5), ([300, 250], [8, 8], 1), ([70, 250], [8, 8], 25)] {
        let conv = Conv2d { channels, kernel: [3, 3], stride: 1, padding: [[1, 1]; 2], enlarge: false };
        let (bias, normal, rows, residual, relu, constant) = (true, Some(true), true, true, false, false);
        Case { conv, images, size, bias, normal, rows, residual, scale: 1.0, relu, constant, gap: 1, seed: 7 }.run();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64 / SLOWER))]

    #[test]
    fn linear(outs in 1usize..150, ins in 1usize..150, n in 1usize..20, seed: u64) {
        let (weight, bias, x) = (values(ins * outs, seed, 0.5), values(outs, seed ^ 1, 1.0), values(ins * n, seed ^ 2, 1.0));
        let mut y = vec![f32::NAN; n * outs];
        let linear = PackedConv2d::new(Conv2d::pointwise([outs, ins]), [1, 1], &weight, Some(&bias));
        linear.run(&Images::new(&x, [n, 1, 1, ins]), None, &Finish::default(), &mut y, outs);
        let at = |i: usize, o: usize| {
            f64::from(bias[o]) + (0..ins).map(|c| f64::from(weight[o * ins + c]) * f64::from(x[i * ins + c])).sum::<f64>()
        };
        let expected: Vec<f64> = (0..n * outs).map(|p| at(p / outs, p % outs)).collect();
        prop_assert!(worst(&y, &expected) < 2e-6 * largest(&expected));
    }

    #[test]
    fn pooling(n in 1usize..4, c in 1usize..40, h in 3usize..12, w in 3usize..12, average: bool, stride in 1usize..3, padding in 0usize..2, gap in 0usize..3, seed: u64) {
        let pool = Pool { pooling: if average { Pooling::Average } else { Pooling::Max }, stride, padding };
        let [oh, ow] = pool.output([h, w]);
        let x = values(n * h * w * (c + gap), seed, 1.0);
        let images = Images { data: &x, shape: [n, h, w, c], stride: c + gap };
        let (mut y, mut means) = (vec![f32::NAN; n * oh * ow * (c + gap)], vec![f32::NAN; n * c]);
        pool.run(&images, &mut y, c + gap);
        mean_of_pixels(&images, &mut means);
        let at = |i: usize, y: usize, x_: usize, channel: usize| f64::from(x[((i * h + y) * w + x_) * (c + gap) + channel]);
        for (p, y) in y.chunks_exact(c + gap).enumerate() {
            let (i, row, column) = (p / (oh * ow), p % (oh * ow) / ow, p % ow);
            for (channel, y) in y[..c].iter().enumerate() {
                // Negative places wrap to ones that are too large.
                let places = (0..9).map(|tap| (row * stride + tap / 3).wrapping_sub(padding)).zip((0..9).map(|tap| (column * stride + tap % 3).wrapping_sub(padding)));
                let window: Vec<f64> = places.filter(|(y, x)| *y < h && *x < w).map(|(y, x)| at(i, y, x, channel)).collect();
                let expected = if average { window.iter().sum::<f64>() / window.len() as f64 } else { window.iter().copied().fold(f64::MIN, f64::max) };
                prop_assert!((f64::from(*y) - expected).abs() < 1e-6, "{y} {expected}");
            }
            prop_assert!(y[c..].iter().all(|gap| gap.is_nan()));
        }
        for (k, mean) in means.iter().enumerate() {
            let expected = (0..h * w).map(|p| at(k / c, p / w, p % w, k % c)).sum::<f64>() / (h * w) as f64;
            prop_assert!((f64::from(*mean) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn normalisation(
        n in 1usize..4, groups in 1usize..6, per_group in 1usize..40, h in 1usize..18, w in 1usize..18, silu_follows: bool, gap in 0usize..3,
        mean in prop::sample::select(vec![0f32, 3.0, -1e3]), scale in prop::sample::select(vec![1.0f32, 1e-20, 1e-40, 1e15, 0.0]), seed: u64,
    ) {
        // Numbers beyond 1e19 have no squares in f32.
        let c = groups * per_group;
        let (weight, bias) = (values(c, seed, 2.0), values(c, seed ^ 1, 1.0));
        let stride = c + gap;
        let mut x = values(n * h * w * stride, seed ^ 2, scale);
        x.iter_mut().for_each(|v| *v += mean);
        let images = Images { data: &x, shape: [n, h, w, c], stride };
        let at = |i: usize, p: usize, channel: usize| f64::from(x[(i * h * w + p) * stride + channel]);
        let mut expected = vec![0.0; n * h * w * c];
        for i in 0..n {
            for group in 0..groups {
                let members = || (0..h * w).flat_map(|p| (group * per_group..(group + 1) * per_group).map(move |channel| (p, channel)));
                let len = (per_group * h * w) as f64;
                let mean = members().map(|(p, channel)| at(i, p, channel)).sum::<f64>() / len;
                let variance = members().map(|(p, channel)| (at(i, p, channel) - mean).powi(2)).sum::<f64>() / len;
                for (p, channel) in members() {
                    let y = (at(i, p, channel) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[channel]) + f64::from(bias[channel]);
                    expected[(i * h * w + p) * c + channel] = if silu_follows { silu(y) } else { y };
                }
            }
        }
        let (mut center, mut factor, mut y) = (vec![f32::NAN; n * c], vec![f32::NAN; n * c], vec![f32::NAN; n * h * w * c]);
        GroupNorm { weight: &weight, bias: &bias, groups, eps: 1e-5 }.statistics(&images, [&mut center, &mut factor, &mut vec![0.0; n * c]]);
        normalised(&images, Normal { center: &center, scale: &factor, shift: &bias, silu: silu_follows }, &mut y);
        // The mean itself is rounded to f32, and 1/√eps of that remains where the variance is small.
        let tolerance = 1e-5 + 320.0 * f64::from(mean.abs()) * 1.2e-7;
        prop_assert!(worst(&y, &expected) < tolerance, "{}", worst(&y, &expected));
    }

    #[test]
    fn self_attention(
        n in 1usize..4, heads in 1usize..4, dim in prop_oneof![1usize..40, 60usize..140], h in 1usize..18, w in 1usize..18, scale in prop::sample::select(vec![1f32, 30.0, 0.0]), seed: u64,
    ) {
        let (pixels, inner) = (h * w, heads * dim);
        let qkv = values(n * pixels * 3 * inner, seed, scale);
        let (bias, residual) = (values(inner, seed ^ 1, 1.0), values(n * pixels * inner, seed ^ 2, 1.0));
        let mut out = vec![f32::NAN; n * pixels * (inner + 1)];
        let finish = Finish { residual: Some(Images::new(&residual, [n, h, w, inner])), ..Default::default() };
        attend(&qkv, [n, h, w, inner], heads).run(&bias, &finish, &mut out, inner + 1);
        for (i, head) in (0..n).flat_map(|i| (0..heads).map(move |head| (i, head))) {
            let at = |which: usize, c: usize, p: usize| f64::from(qkv[((i * pixels + p) * 3 + which) * inner + head * dim + c]);
            for query in (0..pixels).step_by(7) {
                let scores: Vec<f64> =
                    (0..pixels).map(|key| (0..dim).map(|c| at(0, c, query) * at(1, c, key)).sum::<f64>() / (dim as f64).sqrt()).collect();
                let top = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in 0..dim {
                    let expected = weights.iter().enumerate().map(|(key, w)| w * at(2, c, key)).sum::<f64>() / total
                        + f64::from(bias[head * dim + c])
                        + f64::from(residual[(i * pixels + query) * inner + head * dim + c]);
                    let found = f64::from(out[(i * pixels + query) * (inner + 1) + head * dim + c]);
                    // Scores of size s are rounded at s·2⁻²⁴.
                    let tolerance = 2e-6 * (1.0 + scores.iter().fold(0f64, |m, s| m.max(s.abs()))) * (1.0 + f64::from(scale));
                    prop_assert!((found - expected).abs() < tolerance, "{found} {expected}");
                }
            }
        }
    }
}

/// The algorithm never depends on the batch or on the threads, and so no bit of the result does.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "has no threads")]
fn the_same_bits_for_any_batch_and_number_of_threads() {
    let run = |conv: Conv2d, size: [usize; 2], n: usize, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let [h, w] = size;
        let (weight, x) = (values(conv.weights(), 1, 0.1), values(n * h * w * conv.channels[1], 2, 1.0));
        let [oh, ow] = conv.output(size);
        let mut y = vec![0.0; n * oh * ow * conv.channels[0]];
        let images = Images::new(&x, [n, h, w, conv.channels[1]]);
        pool.install(|| PackedConv2d::new(conv, size, &weight, None).run(&images, None, &Finish::default(), &mut y, conv.channels[0]));
        y
    };
    // Weights kept and not, many tiles and few, odd sizes, the direct sums, and tiles along one axis.
    for (channels, size, kernel, stride) in [
        ([70, 130], [16, 16], [3, 3], 1),
        ([130, 200], [8, 8], [3, 3], 1),
        ([130, 200], [4, 4], [3, 3], 1),
        ([300, 250], [8, 8], [3, 3], 1),
        ([64, 64], [13, 7], [3, 3], 1),
        ([70, 33], [9, 9], [3, 3], 2),
        ([200, 64], [8, 8], [1, 1], 1),
        ([70, 600], [5, 7], [1, 1], 1),
        ([20, 18], [9, 10], [5, 5], 1),
        ([70, 64], [9, 10], [1, 7], 1),
        ([70, 64], [10, 9], [7, 1], 1),
        ([70, 64], [8, 8], [1, 3], 1),
    ] {
        let padding = kernel.map(|k| [k / 2; 2]);
        let conv = Conv2d { channels, kernel, stride, padding, enlarge: false };
        let expected = run(conv, size, 17, 1);
        for (n, threads) in [(17, 2), (17, 5), (4, 3), (1, 1), (1, 4)] {
            let y = run(conv, size, n, threads);
            assert!(y == expected[..y.len()], "{conv:?}, {n} images, {threads} threads");
        }
    }
    let qkv = values(3 * 100 * 3 * 64, 5, 1.0);
    let run = |n: usize, threads: usize| {
        let mut out = vec![0.0; n * 100 * 64];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| attend(&qkv[..n * 100 * 192], [n, 10, 10, 64], 2).run(&[0.0; 64], &Finish::default(), &mut out, 64));
        out
    };
    assert_eq!(run(3, 1), run(3, 4));
    assert_eq!(run(1, 2), run(3, 1)[..6400]);
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

//! NaN goes through every kernel as NaN, to where PyTorch has it: a network that has diverged must not look as if it had not. And it stays
//! where it is: what does not depend on it keeps its bits, also in what runs afterwards over the same scratch memory.

use ddim_kernels::{
    Adam, Attention, Conv2d, Finish, GroupNorm, Images, Normal, PackedConv2d, Pool, Pooling, approach, mean_of_pixels, normalised,
    sum_of_pixels, sum_of_squares,
};

/// Quiet and signalling, of both signs, with the bits that a payload may have.
const NANS: [u32; 5] = [0x7fc0_0000, 0xffc0_0000, 0x7fff_ffff, 0x7f80_0001, 0xff80_0155];

/// Numbers that look random, from -1 to 1.
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

/// How far NaN must go, and how far it may.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// To this number, as every sum that it is in.
    Must,
    /// A transform of tiles may carry it here.
    May,
    /// Not here: the number has the bits that it would have without.
    Not,
}

fn must(yes: bool) -> Reach {
    if yes { Reach::Must } else { Reach::Not }
}

/// Runs `kernel` on inputs, on the same with one NaN of each kind at `at` of input `which`, and on the first again.
fn check(
    what: &str,
    inputs: &[Vec<f32>],
    which: usize,
    at: usize,
    kernel: impl Fn(&[Vec<f32>]) -> Vec<f32>,
    reach: impl Fn(usize) -> Reach,
) {
    let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let clean = kernel(inputs);
    assert!(clean.iter().all(|v| v.is_finite()), "{what}");
    for nan in NANS {
        let mut inputs = inputs.to_vec();
        inputs[which][at] = f32::from_bits(nan);
        let found = kernel(&inputs);
        for (i, (found, clean)) in found.iter().zip(&clean).enumerate() {
            match reach(i) {
                Reach::Must => assert!(found.is_nan(), "{what}: input {which} is NaN at {at}, output {i} is {found}"),
                Reach::May => assert!(found.is_nan() || found == clean, "{what}: input {which} is NaN at {at}, output {i} is {found}"),
                Reach::Not => assert!(found.to_bits() == clean.to_bits(), "{what}: input {which} is NaN at {at}, output {i} is {found}"),
            }
        }
    }
    assert!(bits(&kernel(inputs)) == bits(&clean), "{what}: NaN at {at} of input {which} is still there");
}

/// First, last and some between: every lane of a vector and what remains after the vectors.
fn places(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by((n / 23).max(1) | 1).chain([n - 1])
}

#[test]
fn attention() {
    let (n, [h, w], heads) = (2, [5, 11], 2);
    for dim in [5, 16, 67] {
        let (inner, pixels) = (heads * dim, h * w);
        let inputs: Vec<Vec<f32>> = (0..4).map(|i| values(n * pixels * inner, i)).collect();
        let shape = [n, h, w, inner];
        let attention = |x: &[Vec<f32>]| {
            let [queries, keys, values] = [0, 1, 2].map(|i: usize| Images::new(&x[i], shape));
            let mut y = vec![0.0; n * pixels * inner];
            Attention { queries, keys, values, heads, scale: 0.7 }.run(&vec![0.1; inner], &Finish::default(), &mut y, inner);
            y
        };
        // Image, pixel and channel of a number.
        let place = |i: usize| (i / inner / pixels, i / inner % pixels, i % inner);
        for at in places(n * pixels * inner) {
            let (image, pixel, channel) = place(at);
            let same_head = |i: usize| place(i).0 == image && place(i).2 / dim == channel / dim;
            check("attention", &inputs, 0, at, attention, |i| must(same_head(i) && place(i).1 == pixel));
            check("attention", &inputs, 1, at, attention, |i| must(same_head(i)));
            check("attention", &inputs, 2, at, attention, |i| must(place(i).0 == image && place(i).2 == channel));
        }
        let gradient = |x: &[Vec<f32>]| {
            let [queries, keys, values, dy] = [0, 1, 2, 3].map(|i: usize| Images::new(&x[i], shape));
            let mut found = vec![0.0; 3 * n * pixels * inner];
            let (dq, rest) = found.split_at_mut(n * pixels * inner);
            let (dk, dv) = rest.split_at_mut(n * pixels * inner);
            Attention { queries, keys, values, heads, scale: 0.7 }.gradient(&dy, [dq, dk, dv]);
            found
        };
        for at in places(n * pixels * inner).step_by(3) {
            let (image, pixel, channel) = place(at);
            let len = n * pixels * inner;
            for which in 0..4 {
                check("gradient of attention", &inputs, which, at, gradient, |i| {
                    let (output, (of_image, of_pixel, of_channel)) = (i / len, place(i % len));
                    let same_head = of_image == image && of_channel / dim == channel / dim;
                    must(match (which, output) {
                        // The weights of one query; of all; what is weighed; the gradient of one pixel.
                        (0 | 3, 0) => same_head && of_pixel == pixel,
                        (2, 2) => false,
                        (3, 2) => of_image == image && of_channel == channel,
                        _ => same_head,
                    })
                });
            }
        }
    }
}

/// ∞ - ∞ is not a number: a score of +∞ has no weights.
#[test]
fn infinite_scores() {
    let (shape, inner) = ([1, 5, 7, 16], 16);
    let [mut queries, mut keys, v] = [0, 1, 2].map(|i| values(35 * inner, i));
    (queries[3 * inner], keys[20 * inner]) = (f32::INFINITY, 1.0);
    let mut y = vec![0.0; 35 * inner];
    let [q, k, v] = [&queries, &keys, &v].map(|data| Images::new(data, shape));
    Attention { queries: q, keys: k, values: v, heads: 1, scale: 1.0 }.run(&[0.0; 16], &Finish::default(), &mut y, inner);
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i / inner == 3)));
}

#[test]
fn group_norm_and_silu() {
    let (n, [h, w], groups) = (2, [5, 9], 3);
    for (per_group, silu) in [(1, false), (5, true), (16, true), (21, false), (21, true)] {
        let c = groups * per_group;
        let inputs = [values(n * h * w * c, 1), values(c, 2), values(c, 3), values(n * h * w * c, 4)];
        let shape = [n, h, w, c];
        let norm = |x: &[Vec<f32>]| {
            let (mut center, mut scale, mut y) = (vec![0.0; n * c], vec![0.0; n * c], vec![0.0; n * h * w * c]);
            GroupNorm { weight: &x[1], bias: &x[2], groups, eps: 1e-5 }
                .statistics(&Images::new(&x[0], shape), [&mut center, &mut scale, &mut vec![0.0; n * c]]);
            normalised(&Images::new(&x[0], shape), Normal { center: &center, scale: &scale, shift: &x[2], silu }, &mut y);
            y
        };
        let len = n * h * w * c;
        let group = |i: usize| (i / c / (h * w), i % c / per_group);
        for at in places(len) {
            check("group norm", &inputs, 0, at, norm, |i| must(group(i) == group(at)));
        }
        for at in 0..c {
            check("group norm", &inputs, 1, at, norm, |i| must(i % c == at));
            check("group norm", &inputs, 2, at, norm, |i| must(i % c == at));
        }
        // [dx, dw, db]
        let gradient = |x: &[Vec<f32>]| {
            let mut found = vec![0.0; len + 2 * c];
            let (dx, rest) = found.split_at_mut(len);
            let (dw, db) = rest.split_at_mut(c);
            let norm = GroupNorm { weight: &x[1], bias: &x[2], groups, eps: 1e-5 };
            let mut kept = [(); 3].map(|()| vec![0.0; n * c]);
            norm.statistics(&Images::new(&x[0], shape), kept.each_mut().map(Vec::as_mut_slice));
            let dy = Images::new(&x[3], shape);
            norm.gradient(&Images::new(&x[0], shape), [&kept[0], &kept[2]], silu, &dy, (dx, c, false), [dw, db]);
            found
        };
        for at in places(len) {
            check("gradient of group norm", &inputs, 0, at, gradient, |i| {
                must(match i.checked_sub(len) {
                    None => group(i) == group(at),
                    // The SiLU's slope is that of what the norm gives; without it the bias has the sum of dy.
                    Some(k) if k < c => k / per_group == group(at).1,
                    Some(k) => silu && (k - c) / per_group == group(at).1,
                })
            });
            check("gradient of group norm", &inputs, 3, at, gradient, |i| {
                must(match i.checked_sub(len) {
                    None => group(i) == group(at),
                    Some(k) => k % c == at % c,
                })
            });
        }
    }
}

fn convolutions() -> Vec<(Conv2d, [usize; 2])> {
    let conv =
        |channels, kernel: [usize; 2], stride, enlarge| Conv2d { channels, kernel, stride, padding: kernel.map(|k| [k / 2; 2]), enlarge };
    vec![
        (conv([5, 3], [1, 1], 1, false), [5, 7]),
        (conv([70, 33], [1, 1], 1, false), [4, 5]),
        (conv([20, 19], [3, 3], 1, false), [9, 10]),
        (conv([70, 64], [3, 3], 1, false), [8, 8]),
        (conv([19, 20], [3, 3], 1, true), [5, 6]),
        (conv([19, 20], [3, 3], 2, false), [9, 8]),
        (conv([9, 17], [1, 7], 1, false), [8, 9]),
        (conv([33, 32], [1, 7], 1, false), [4, 9]),
        (conv([32, 48], [3, 1], 1, false), [8, 5]),
    ]
}

#[test]
fn convolution_and_relu() {
    let n = 2;
    for (conv, [h, w]) in convolutions() {
        let ([outs, ins], [oh, ow]) = (conv.channels, conv.output([h, w]));
        let inputs =
            [values(n * h * w * ins, 1), values(conv.weights(), 2), values(outs, 3), values(n * oh * ow * outs, 4), values(n * outs, 5)];
        for relu in [false, true] {
            let run = |x: &[Vec<f32>]| {
                let mut y = vec![0.0; n * oh * ow * outs];
                let residual = Some(Images::new(&x[3], [n, oh, ow, outs]));
                let finish = Finish { rows: Some(&x[4]), residual, scale: 0.5, relu, ..Finish::default() };
                PackedConv2d::new(conv, [h, w], &x[1], Some(&x[2])).run(&Images::new(&x[0], [n, h, w, ins]), None, &finish, &mut y, outs);
                y
            };
            let place = |i: usize| (i / outs / (oh * ow), i / outs % (oh * ow) / ow, i / outs % ow, i % outs);
            let what = format!("{conv:?}, max(0, x): {relu}");
            for at in places(n * h * w * ins) {
                let (image, y, x) = (at / ins / (h * w), at / ins % (h * w) / w, at / ins % w);
                check(&what, &inputs, 0, at, run, |i| {
                    let (of_image, oy, ox, _) = place(i);
                    let times = if conv.enlarge { 2 } else { 1 };
                    // Whether a window along one axis reads the place.
                    let reads = |axis: usize, out: usize, at: usize| {
                        let first = (out * conv.stride) as isize - conv.padding[axis][0] as isize;
                        (first..first + conv.kernel[axis] as isize).any(|place| place.div_euclid(times) == at as isize)
                    };
                    match of_image == image {
                        false => Reach::Not,
                        true if reads(0, oy, y) && reads(1, ox, x) => Reach::Must,
                        true => Reach::May,
                    }
                });
            }
            for at in places(conv.weights()).step_by(4) {
                // Of a window's edge not all pixels are read.
                let [kh, kw] = conv.kernel;
                let centre = at % (kh * kw) == kh / 2 * kw + kw / 2;
                let of = at / (ins * kh * kw);
                check(&what, &inputs, 1, at, run, |i| {
                    if i % outs != of {
                        Reach::Not
                    } else if centre {
                        Reach::Must
                    } else {
                        Reach::May
                    }
                });
            }
            for at in 0..outs {
                check(&what, &inputs, 2, at, run, |i| must(i % outs == at));
                check(&what, &inputs, 4, at, run, |i| must(i % outs == at && place(i).0 == 0));
            }
            for at in places(n * oh * ow * outs) {
                check(&what, &inputs, 3, at, run, |i| must(i == at));
            }
        }
    }
}

#[test]
fn gradients_of_convolution() {
    let n = 2;
    for (conv, [h, w]) in convolutions().into_iter().filter(|(conv, _)| conv.kernel[0] == conv.kernel[1]) {
        let ([outs, ins], [oh, ow], taps) = (conv.channels, conv.output([h, w]), conv.kernel[0] * conv.kernel[1]);
        let inputs = [values(n * h * w * ins, 1), values(conv.weights(), 2), values(n * oh * ow * outs, 3)];
        // [dx, dw, db]
        let run = |x: &[Vec<f32>]| {
            let dy = Images::new(&x[2], [n, oh, ow, outs]);
            let (mut dx, mut dw, mut db) = (vec![0.0; n * h * w * ins], vec![0.0; conv.weights()], vec![0.0; outs]);
            conv.input_gradient(&x[1], [h, w], &dy, &mut dx, ins, false);
            conv.weight_gradient(&Images::new(&x[0], [n, h, w, ins]), None, &dy, &mut dw);
            sum_of_pixels(&dy, &mut db);
            [dx, dw, db].concat()
        };
        let (len, weights) = (n * h * w * ins, conv.weights());
        for at in places(n * oh * ow * outs) {
            let (image, oy, ox, of) = (at / outs / (oh * ow), at / outs % (oh * ow) / ow, at / outs % ow, at % outs);
            let times = if conv.enlarge { 2 } else { 1 };
            // The pixel under the window's middle.
            let middle = (image * h + oy * conv.stride / times) * w + ox * conv.stride / times;
            check(&format!("gradients of {conv:?}"), &inputs, 2, at, run, |i| match i.checked_sub(len) {
                None if i / ins == middle => Reach::Must,
                None => {
                    if i / ins / (h * w) == image {
                        Reach::May
                    } else {
                        Reach::Not
                    }
                }
                Some(k) if k < weights && k / (ins * taps) != of => Reach::Not,
                Some(k) if k < weights => {
                    if k % taps == taps / 2 {
                        Reach::Must
                    } else {
                        Reach::May
                    }
                }
                Some(k) => must(k - weights == of),
            });
        }
    }
}

#[test]
fn pooling() {
    let (n, [h, w]) = (2, [7, 8]);
    for c in [1, 7, 16, 37] {
        let inputs = [values(n * h * w * c, 1)];
        for (pooling, stride, padding) in [(Pooling::Max, 2, 0), (Pooling::Max, 1, 1), (Pooling::Average, 1, 1)] {
            let pool = Pool { pooling, stride, padding };
            let [oh, ow] = pool.output([h, w]);
            let run = |x: &[Vec<f32>]| {
                let mut y = vec![0.0; n * oh * ow * c];
                pool.run(&Images::new(&x[0], [n, h, w, c]), &mut y, c);
                y
            };
            for at in places(n * h * w * c) {
                let (image, y, x, channel) = (at / c / (h * w), at / c % (h * w) / w, at / c % w, at % c);
                let covers = |out: usize, at: usize| (out * stride..out * stride + 3).contains(&(at + padding));
                check(&format!("{pool:?}"), &inputs, 0, at, run, |i| {
                    let (of_image, oy, ox, of_channel) = (i / c / (oh * ow), i / c % (oh * ow) / ow, i / c % ow, i % c);
                    must(of_image == image && of_channel == channel && covers(oy, y) && covers(ox, x))
                });
            }
        }
        let mean = |x: &[Vec<f32>]| {
            let mut y = vec![0.0; n * c];
            mean_of_pixels(&Images::new(&x[0], [n, h, w, c]), &mut y);
            y
        };
        for at in places(n * h * w * c) {
            check("mean", &inputs, 0, at, mean, |i| must(i == at / c / (h * w) * c + at % c));
        }
    }
}

/// What training does to a gradient that is none shows in the weights and in the norm.
#[test]
fn training() {
    let n = 1100;
    let inputs = [values(n, 1), values(n, 2), vec![0.1; n], vec![0.2; n]];
    let step = |x: &[Vec<f32>]| {
        let [mut values, gradient, mut first, mut second] = [0, 1, 2, 3].map(|i: usize| x[i].clone());
        let adam = Adam { scale: 1.0, betas: [0.9, 0.999], step_size: 0.1, root_scale: 1.0, epsilon: 1e-8, kept: 1.0 };
        let mut average = values.clone();
        adam.apply(&mut values, &gradient, [&mut first, &mut second], vec![(&mut average, 0.1)]);
        [values, average].concat()
    };
    for at in places(n) {
        (0..3).for_each(|which| check("Adam", &inputs, which, at, step, |i| must(i % n == at)));
        for which in [0, 1] {
            check(
                "average",
                &inputs[..2],
                which,
                at,
                |x| {
                    let mut mean = x[0].clone();
                    approach(&mut mean, &x[1], 0.1);
                    mean
                },
                |i| must(i == at),
            );
        }
        check("norm", &inputs[..1], 0, at, |x| vec![sum_of_squares(&x[0]) as f32], |_| Reach::Must);
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

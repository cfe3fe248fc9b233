//! The six transforms of F(4, 3) along one axis, in registers: G, B and A of what is multiplied, and the transposes of those.
//!
//! The points are 0, ±3/4, ±3/2, ∞: all constants of A and B are exact in f32, and the error is a fifth of that with the usual 0, ±1, ±2
//! (worst of 200 tiles of 256 channels: 2.1e-6 of the largest output against 1.1e-5).

use pulp::Simd;

/// Outputs along a side of a tile.
pub(crate) const TILE: usize = 4;
/// Inputs along a side of a tile.
pub(super) const SIDE: usize = TILE + 2;
pub(crate) const POINTS: usize = SIDE * SIDE;

const P: f32 = 0.75;
const Q: f32 = 1.5;
/// Halves of the points that are neither 0 nor ∞; the other halves have the other sign.
pub(crate) const HALVES: [f32; 2] = [P, Q];
const P2: f32 = P * P;
const Q2: f32 = Q * Q;

/// Numbers between the planes of two points, over their size: so that the 36 planes do not fall into the same sets of the cache.
pub(crate) const SPREAD: usize = 16;

/// Rows of points that have intermediate results in common.
pub(super) const ROWS_OF_POINTS: [[usize; 2]; 3] = [[0, 5], [1, 2], [3, 4]];

/// G g.
#[inline(always)]
pub(super) fn points_of_weights<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; SIDE] {
    let [zero, infinity] = two_points_of_weights::<S, 0>(simd, g);
    let [p, minus_p] = two_points_of_weights::<S, 1>(simd, g);
    let [q, minus_q] = two_points_of_weights::<S, 2>(simd, g);
    [zero, p, minus_p, q, minus_q, infinity]
}

/// Two points of [`ROWS_OF_POINTS`] of them.
#[inline(always)]
pub(super) fn two_points_of_weights<S: Simd, const PAIR: usize>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 2] {
    let c = |v: f32| simd.splat_f32s(v);
    if PAIR == 0 {
        return [simd.mul_f32s(g[0], c(1.0 / (P2 * Q2))), g[2]];
    }
    let (point, square, other) = if PAIR == 1 { (P, P2, Q2) } else { (Q, Q2, P2) };
    let scale = c(1.0 / (2.0 * square * (square - other)));
    let (even, odd) = (simd.mul_add_e_f32s(g[2], c(square), g[0]), simd.mul_f32s(g[1], c(point)));
    [simd.mul_f32s(simd.add_f32s(even, odd), scale), simd.mul_f32s(simd.sub_f32s(even, odd), scale)]
}

/// Bᵀ d.
#[inline(always)]
pub(crate) fn points_of_input<S: Simd>(simd: S, d: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let c = |v: f32| simd.splat_f32s(v);
    let (even_p, odd_p) = (simd.mul_add_e_f32s(d[2], c(-Q2), d[4]), simd.mul_add_e_f32s(d[1], c(-Q2), d[3]));
    let (even_q, odd_q) = (simd.mul_add_e_f32s(d[2], c(-P2), d[4]), simd.mul_add_e_f32s(d[1], c(-P2), d[3]));
    [
        simd.mul_add_e_f32s(d[0], c(P2 * Q2), simd.mul_add_e_f32s(d[2], c(-P2 - Q2), d[4])),
        simd.mul_add_e_f32s(odd_p, c(P), even_p),
        simd.mul_add_e_f32s(odd_p, c(-P), even_p),
        simd.mul_add_e_f32s(odd_q, c(Q), even_q),
        simd.mul_add_e_f32s(odd_q, c(-Q), even_q),
        simd.mul_add_e_f32s(d[1], c(P2 * Q2), simd.mul_add_e_f32s(d[3], c(-P2 - Q2), d[5])),
    ]
}

/// Aᵀ m.
#[inline(always)]
pub(crate) fn outputs<S: Simd>(simd: S, m: [S::f32s; SIDE]) -> [S::f32s; TILE] {
    let c = |v: f32| simd.splat_f32s(v);
    let (sum_p, difference_p) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (sum_q, difference_q) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum_p, sum_q)),
        simd.mul_add_e_f32s(difference_p, c(P), simd.mul_f32s(difference_q, c(Q))),
        simd.mul_add_e_f32s(sum_p, c(P2), simd.mul_f32s(sum_q, c(Q2))),
        simd.mul_add_e_f32s(difference_p, c(P2 * P), simd.mul_add_e_f32s(difference_q, c(Q2 * Q), m[5])),
    ]
}

/// Rows and columns of points of a gradient: A y.
#[inline(always)]
pub(super) fn points_of_gradient<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; SIDE] {
    let c = |v: f32| simd.splat_f32s(v);
    let even_p = simd.mul_add_e_f32s(y[2], c(P2), y[0]);
    let odd_p = simd.mul_add_e_f32s(y[3], c(P2 * P), simd.mul_f32s(y[1], c(P)));
    let even_q = simd.mul_add_e_f32s(y[2], c(Q2), y[0]);
    let odd_q = simd.mul_add_e_f32s(y[3], c(Q2 * Q), simd.mul_f32s(y[1], c(Q)));
    [y[0], simd.add_f32s(even_p, odd_p), simd.sub_f32s(even_p, odd_p), simd.add_f32s(even_q, odd_q), simd.sub_f32s(even_q, odd_q), y[3]]
}

/// Gᵀ w.
#[inline(always)]
pub(super) fn taps<S: Simd>(simd: S, w: [S::f32s; SIDE]) -> [S::f32s; 3] {
    let c = |v: f32| simd.splat_f32s(v);
    let (p, q) = (c(1.0 / (2.0 * P2 * (P2 - Q2))), c(1.0 / (2.0 * Q2 * (Q2 - P2))));
    let (sum_p, difference_p) = (simd.mul_f32s(simd.add_f32s(w[1], w[2]), p), simd.mul_f32s(simd.sub_f32s(w[1], w[2]), p));
    let (sum_q, difference_q) = (simd.mul_f32s(simd.add_f32s(w[3], w[4]), q), simd.mul_f32s(simd.sub_f32s(w[3], w[4]), q));
    [
        simd.mul_add_e_f32s(w[0], c(1.0 / (P2 * Q2)), simd.add_f32s(sum_p, sum_q)),
        simd.mul_add_e_f32s(difference_p, c(P), simd.mul_f32s(difference_q, c(Q))),
        simd.mul_add_e_f32s(sum_p, c(P2), simd.mul_add_e_f32s(sum_q, c(Q2), w[5])),
    ]
}

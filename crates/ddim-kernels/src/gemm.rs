//! Matrix products, c[r][j] = Σ_k a[r][k] · b[k][j], on a register tile; both operands are read in place.

use crate::simd::{LINE, arch, load_into, prefetch};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Columns that are multiplied together: a register tile's width with 512-bit vectors, or several tiles'.
pub(crate) const PANEL: usize = 64;

/// Rows of a register tile: with four vectors a row, 24 sums in registers with 512-bit vectors and with NEON.
const ROWS: usize = 6;

/// Most rows of `b` that are multiplied before the next: with a register tile's columns they stay in the first cache.
const DEPTH: usize = 288;

/// Most rows of a transposed `a` that are multiplied before the next.
const DEPTH_TRANSPOSED: usize = 128;

/// Columns that packed weights keep together, a divisor of [`PANEL`]: those of a register tile, so that it reads them without gaps. Rows 256
/// bytes apart would meet in a quarter of the first cache's lines.
pub(crate) fn width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            width_of::<S>()
        }
    }
    arch().dispatch(Width)
}

/// [`width`] under these vectors.
#[inline(always)]
pub(crate) fn width_of<S: Simd>() -> usize {
    if S::F32_LANES == 16 { 64 } else { 16 }
}

/// `depth` in parts of about the same size that the first cache holds.
pub(crate) fn parts(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let part = depth.div_ceil(depth.div_ceil(DEPTH).max(1)).max(1);
    (0..depth).step_by(part).map(move |start| start..(start + part).min(depth))
}

/// A product with packed `b`, some of whose depth lies in lines: c[r][j] = Σ a[starts[r] + line · a_line + k] · b[line · b_line + k · width + j]
/// over lines and k.
pub(crate) struct PackedProduct<'a> {
    pub(crate) a: &'a [f32],
    /// Where each row begins.
    pub(crate) starts: &'a [usize],
    pub(crate) lines: usize,
    pub(crate) a_line: usize,
    pub(crate) k: usize,
    /// [line][k][width], lines `b_line` apart.
    pub(crate) b: &'a [f32],
    pub(crate) b_line: usize,
    /// Rows, `c_stride` apart, writable up to the next multiple of 16 columns.
    pub(crate) c: &'a mut [f32],
    pub(crate) c_stride: usize,
    /// At most [`width`].
    pub(crate) columns: usize,
    /// Whether to add to what is in `c`.
    pub(crate) accumulate: bool,
    /// What is read next, if it is far away: it is fetched meanwhile.
    pub(crate) next: &'a [f32],
}

impl WithSimd for PackedProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let end = self.columns.div_ceil(S::F32_LANES);
        for vector in (0..end).step_by(most::<S>()) {
            let column = vector * S::F32_LANES;
            match (end - vector).min(most::<S>()) {
                1 => self.columns_at::<S, 1>(simd, column),
                2 => self.columns_at::<S, 2>(simd, column),
                3 => self.columns_at::<S, 3>(simd, column),
                _ => self.columns_at::<S, 4>(simd, column),
            }
        }
    }
}

impl PackedProduct<'_> {
    /// In functions of their own: what surrounds a loop in one function costs it registers.
    #[inline(always)]
    fn columns_at<S: Simd, const V: usize>(&mut self, simd: S, column: usize) {
        let (sixes, rest) = heights(self.starts.len());
        let mut row = sixes * ROWS;
        simd.vectorize(Tiles::<ROWS, V> { product: self, column, rows: 0..row });
        for height in rest {
            let rows = row..row + height;
            match height {
                5 => simd.vectorize(Tiles::<5, V> { product: self, column, rows }),
                4 => simd.vectorize(Tiles::<4, V> { product: self, column, rows }),
                3 => simd.vectorize(Tiles::<3, V> { product: self, column, rows }),
                2 => simd.vectorize(Tiles::<2, V> { product: self, column, rows }),
                1 => simd.vectorize(Tiles::<1, V> { product: self, column, rows }),
                _ => {}
            }
            row += height;
        }
    }
}

/// `rows` as tiles of six rows, and up to two of fewer. Four and three are better than six and one, and twice four than six and two: few sums leave
/// the processor waiting.
#[inline(always)]
fn heights(rows: usize) -> (usize, [usize; 2]) {
    match (rows / ROWS, rows % ROWS) {
        (sixes @ 1.., 1) => (sixes - 1, [4, 3]),
        (sixes @ 1.., 2) => (sixes - 1, [4, 4]),
        (sixes, rest) => (sixes, [rest, 0]),
    }
}

/// A product with a panel of up to 64 packed columns, [64 / width][line][k][width].
pub(crate) struct PackedPanel<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) starts: &'a [usize],
    pub(crate) lines: usize,
    pub(crate) a_line: usize,
    pub(crate) b: &'a [f32],
    /// Rows of [`PANEL`] numbers.
    pub(crate) c: &'a mut [f32],
    pub(crate) columns: usize,
    pub(crate) k: usize,
    pub(crate) accumulate: bool,
    /// As in [`PackedProduct`].
    pub(crate) next: &'a [f32],
}

impl WithSimd for PackedPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, starts, lines, a_line, b, c, columns, k, accumulate, next } = self;
        let width = width_of::<S>();
        for (first, b) in (0..columns).step_by(width).zip(b.chunks_exact(lines * k * width)) {
            for part in parts(k) {
                let product = PackedProduct {
                    a: &a[part.start..],
                    starts,
                    lines,
                    a_line,
                    k: part.len(),
                    b: &b[part.start * width..],
                    b_line: k * width,
                    c: &mut c[first..],
                    c_stride: PANEL,
                    columns: width.min(columns - first),
                    accumulate: accumulate || part.start > 0,
                    next: share_of(next, (first / width * k + part.start)..(first / width * k + part.end), columns.div_ceil(width) * k),
                };
                product.with_simd(simd);
            }
        }
    }
}

/// The part of `next` that belongs to some steps of all, in whole lines of the cache.
#[inline(always)]
fn share_of(next: &[f32], part: Range<usize>, all: usize) -> &[f32] {
    let at = |step: usize| next.len() / LINE * step / all * LINE;
    &next[at(part.start)..at(part.end)]
}

/// R rows at a time of a product, V vectors from `column`.
struct Tiles<'a, 'b, const R: usize, const V: usize> {
    product: &'a mut PackedProduct<'b>,
    column: usize,
    rows: Range<usize>,
}

impl<const R: usize, const V: usize> WithSimd for Tiles<'_, '_, R, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { product, column, rows } = self;
        let PackedProduct { a, starts, lines, a_line, k, b, b_line, c_stride, accumulate, next, .. } = *product;
        for row in rows.step_by(R) {
            let c = &mut product.c[row * c_stride + column..];
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            if accumulate {
                for (r, sums) in sums.iter_mut().enumerate() {
                    load_into::<S, V>(&c[r * c_stride..], sums);
                }
            }
            for line in 0..lines {
                let mut slices: [&[f32]; R] = [&[]; R];
                for (slice, start) in slices.iter_mut().zip(&starts[row..row + R]) {
                    *slice = &a[start + line * a_line..][..k];
                }
                let fetch = if line == 0 { Fetch::share(next, k, row..row + R, starts.len()) } else { Fetch::NOTHING };
                accumulate_packed(simd, &mut sums, slices, &b[line * b_line..], column, fetch);
            }
            for (r, sums) in sums.iter().enumerate() {
                S::as_mut_simd_f32s(&mut c[r * c_stride..][..V * S::F32_LANES]).0.copy_from_slice(sums);
            }
        }
    }
}

/// Lines of the cache that are fetched while something is multiplied.
#[derive(Clone, Copy)]
struct Fetch<'a> {
    from: &'a [f32],
    /// At each step of the depth.
    lines: usize,
}

impl<'a> Fetch<'a> {
    const NOTHING: Self = Self { from: &[], lines: 0 };

    /// The share that some of all `rows` have in what follows, over `k` steps.
    #[inline(always)]
    fn share(next: &'a [f32], k: usize, part: Range<usize>, rows: usize) -> Self {
        if next.is_empty() || k == 0 {
            return Self::NOTHING;
        }
        let from = share_of(next, part, rows);
        Self { from, lines: (from.len() / LINE).div_ceil(k) }
    }

    #[inline(always)]
    fn step(&self, i: usize) {
        for line in 0..self.lines {
            prefetch(self.from, i * self.lines + line);
        }
    }
}

/// Vectors of a register tile's row: AVX2 has registers for 6 x 2, the others for 6 x 4.
#[inline(always)]
fn most<S: Simd>() -> usize {
    if S::F32_LANES == 8 { 2 } else { 4 }
}

/// `rows` x `columns` of a product of depth `k`.
pub(crate) struct Product<'a> {
    /// The first row, `a_stride` before the next; k numbers each. Transposed: the first column, as long as there are rows.
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) transposed: bool,
    /// k rows, `b_stride` apart, readable up to the next multiple of 16 columns.
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    /// Rows, `c_stride` apart, writable up to the next multiple of 16 columns.
    pub(crate) c: &'a mut [f32],
    pub(crate) c_stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) k: usize,
    /// Whether to add to what is in `c`.
    pub(crate) accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.transposed && self.k > DEPTH_TRANSPOSED {
            // In parts whose rows stay in the first cache, in whole lines of it, until all columns of `a` that lie in these were used.
            let Self { a, a_stride, b, b_stride, k, .. } = self;
            for start in (0..k).step_by(DEPTH_TRANSPOSED) {
                (self.a, self.b) = (&a[start * a_stride..], &b[start * b_stride..]);
                self.k = DEPTH_TRANSPOSED.min(k - start);
                self.all_columns(simd);
                self.accumulate = true;
            }
        } else {
            self.all_columns(simd);
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn all_columns<S: Simd>(&mut self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            let left = (self.columns - column).div_ceil(S::F32_LANES);
            let most = most::<S>();
            match left.min(most) {
                1 => self.columns_at::<S, 1>(simd, column),
                2 => self.columns_at::<S, 2>(simd, column),
                3 => self.columns_at::<S, 3>(simd, column),
                _ => self.columns_at::<S, 4>(simd, column),
            }
            column += left.min(most) * S::F32_LANES;
        }
    }

    #[inline(always)]
    fn columns_at<S: Simd, const V: usize>(&mut self, simd: S, column: usize) {
        let (sixes, rest) = heights(self.rows);
        let mut row = 0;
        for _ in 0..sixes {
            self.tile::<S, ROWS, V>(simd, row, column);
            row += ROWS;
        }
        for height in rest {
            match height {
                5 => self.tile::<S, 5, V>(simd, row, column),
                4 => self.tile::<S, 4, V>(simd, row, column),
                3 => self.tile::<S, 3, V>(simd, row, column),
                2 => self.tile::<S, 2, V>(simd, row, column),
                1 => self.tile::<S, 1, V>(simd, row, column),
                _ => {}
            }
            row += height;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, column: usize) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.accumulate {
            for (r, sums) in sums.iter_mut().enumerate() {
                load_into::<S, V>(&self.c[(row + r) * self.c_stride + column..], sums);
            }
        }
        let b = &self.b[column..];
        if self.transposed {
            for i in 0..self.k {
                let column = &self.a[i * self.a_stride + row..][..R];
                // The numbers of the rows that follow: so far apart nothing else would ask for them in time.
                prefetch(column, 1);
                let mut vectors = [simd.splat_f32s(0.0); V];
                load_into::<S, V>(&b[i * self.b_stride..], &mut vectors);
                for (sums, &a) in sums.iter_mut().zip(column) {
                    let a = simd.splat_f32s(a);
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = simd.mul_add_e_f32s(a, vector, *sum);
                    }
                }
            }
        } else {
            let mut rows: [&[f32]; R] = [&[]; R];
            for (r, slice) in rows.iter_mut().enumerate() {
                *slice = &self.a[(row + r) * self.a_stride..][..self.k];
            }
            accumulate(simd, &mut sums, rows, b, self.b_stride, Fetch::NOTHING);
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (row + r) * self.c_stride + column;
            let (out, _) = S::as_mut_simd_f32s(&mut self.c[at..at + V * S::F32_LANES]);
            out.copy_from_slice(sums);
        }
    }
}

/// sums[r][v] += Σ_k rows[r][k] · b[k · stride + v-th vector].
#[inline(always)]
fn accumulate<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    rows: [&[f32]; R],
    b: &[f32],
    stride: usize,
    fetch: Fetch<'_>,
) {
    for i in 0..rows[0].len() {
        fetch.step(i);
        let mut vectors = [simd.splat_f32s(0.0); V];
        load_into::<S, V>(&b[i * stride..], &mut vectors);
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let a = simd.splat_f32s(row[i]);
            for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                *sum = simd.mul_add_e_f32s(a, vector, *sum);
            }
        }
    }
}

/// sums[r][v] += Σ_k rows[r][k] · b[k][column + v-th vector], for packed b.
#[inline(always)]
fn accumulate_packed<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    rows: [&[f32]; R],
    b: &[f32],
    column: usize,
    fetch: Fetch<'_>,
) {
    let (width, depth) = (width_of::<S>(), rows[0].len());
    if S::F32_LANES != 8 {
        // The larger tile of these vectors leaves no registers for what follows.
        return accumulate(simd, sums, rows, &b[column.min(b.len())..], width, fetch);
    }
    // Four steps at a time, whose bounds are checked once.
    const STEPS: usize = 4;
    let whole = depth / STEPS;
    let mut quads: [&[[f32; STEPS]]; R] = [&[]; R];
    for (quads, row) in quads.iter_mut().zip(&rows) {
        *quads = &row.as_chunks().0[..whole];
    }
    for i in 0..whole {
        (0..STEPS).for_each(|step| fetch.step(i * STEPS + step));
        let b = &b[i * STEPS * width..][..STEPS * width];
        for step in 0..STEPS {
            let mut vectors = [simd.splat_f32s(0.0); V];
            load_into::<S, V>(&b[step * width + column..], &mut vectors);
            for (sums, quads) in sums.iter_mut().zip(&quads) {
                let a = simd.splat_f32s(quads[i][step]);
                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                    *sum = simd.mul_add_e_f32s(a, vector, *sum);
                }
            }
        }
    }
    let mut rest: [&[f32]; R] = [&[]; R];
    for (rest, row) in rest.iter_mut().zip(&rows) {
        *rest = &row[whole * STEPS..depth];
    }
    accumulate(simd, sums, rest, &b[(whole * STEPS * width + column).min(b.len())..], width, Fetch::NOTHING);
}

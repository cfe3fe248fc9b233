//! The choice of vector instructions, and vector functions that pulp lacks.

use pulp::{Arch, Simd};
use std::sync::OnceLock;

/// The widest vectors of the processor, or those that the environment variable `DDIM_SIMD` names: `scalar`, or `avx2` where it is there.
pub(crate) fn arch() -> Arch {
    static CHOSEN: OnceLock<Arch> = OnceLock::new();
    *CHOSEN.get_or_init(|| match std::env::var("DDIM_SIMD").as_deref() {
        Ok("scalar") => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        _ => Arch::new(),
    })
}

/// Checks that the processor supports the vector instructions that `DDIM_SIMD` names: those that it lacks are not used, whatever was asked for.
///
/// # Errors
/// If it names others: one line with its value and the values that it may have.
pub fn check_vectors() -> Result<(), String> {
    let Some(asked) = std::env::var_os("DDIM_SIMD").filter(|value| !value.is_empty()) else { return Ok(()) };
    match asked.to_str() {
        Some("scalar") => Ok(()),
        #[cfg(target_arch = "x86_64")]
        Some("avx2") if pulp::x86::V3::try_new().is_some() => Ok(()),
        #[cfg(target_arch = "x86_64")]
        Some("avx2") => Err("DDIM_SIMD avx2: this processor has no AVX2: expected scalar, or nothing".to_owned()),
        _ => Err(format!("DDIM_SIMD {}: expected scalar, avx2 (of x86-64), or nothing", asked.display())),
    }
}

/// The name of the vector instructions in use; results differ between them in the last digits.
pub fn vectors() -> &'static str {
    match arch() {
        Arch::Scalar => "scalar",
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => "AVX2",
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => "AVX-512",
        #[cfg(target_arch = "wasm32")]
        _ => "simd128",
        #[cfg(not(target_arch = "wasm32"))]
        _ => "NEON",
    }
}

/// e^x to about 1 ulp for x in [-87, 88]; outside, that of the nearer end. NaN stays.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let c = |v: f32| simd.splat_f32s(v);
    // What min and max make of NaN depends on the processor.
    let (given, is_number) = (x, simd.less_than_or_equal_f32s(x, x));
    let x = simd.max_f32s(simd.min_f32s(x, c(88.0)), c(-87.0));
    // x = n ln 2 + r, |r| <= ln 2 / 2: adding 1.5·2^23 rounds to an integer, which the low bits then hold.
    let magic = c(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, c(std::f32::consts::LOG2_E), magic);
    let n = simd.sub_f32s(shifted, magic);
    let r = simd.mul_add_e_f32s(n, c(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, c(2.121_944_4e-4), r);
    // Cephes' polynomial for e^r.
    let coefficients = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let mut p = c(1.987_569_1e-4);
    for coefficient in coefficients {
        p = simd.mul_add_e_f32s(p, r, c(coefficient));
    }
    let p = simd.add_f32s(simd.mul_add_e_f32s(simd.mul_f32s(p, r), r, r), c(1.0));
    // 2^n as bits of the exponent.
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let e = simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), bits));
    simd.select_f32s(is_number, e, given)
}

/// x / (1 + e^-x). NaN stays.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(x, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// The vector at the start of `x`.
#[inline(always)]
pub(crate) fn load<S: Simd>(x: &[f32]) -> S::f32s {
    S::as_simd_f32s(&x[..S::F32_LANES]).0[0]
}

/// The first V vectors of `x`.
#[inline(always)]
pub(crate) fn load_into<S: Simd, const V: usize>(x: &[f32], out: &mut [S::f32s; V]) {
    out.copy_from_slice(S::as_simd_f32s(&x[..V * S::F32_LANES]).0);
}

/// Writes `v` to the start of `x`.
#[inline(always)]
pub(crate) fn store<S: Simd>(x: &mut [f32], v: S::f32s) {
    S::as_mut_simd_f32s(&mut x[..S::F32_LANES]).0[0] = v;
}

/// A hint that line `line` of the cache, counted from the start of `x`, will be read. It may lie behind the end: a hint never faults.
#[inline(always)]
pub(crate) fn prefetch(x: &[f32], line: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = pulp::core_arch::x86::Sse::try_new() {
        sse._mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(x.as_ptr().wrapping_add(line * LINE).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (x, line);
}

/// Numbers of a line of the cache.
pub(crate) const LINE: usize = 16;

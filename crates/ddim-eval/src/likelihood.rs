//! J_σ and the variational bound of a network on images, in bits/dim, and L_simple at each timestep (sections 2 and 3, Theorem 1).

use crate::error::Result;
use ddim::noise::Batch;
use ddim::objective::{constant, decoder_nats, gamma, gamma_simple, l_gamma};
use ddim::{Denoiser, NoiseSchedule, Sigma, Trajectory};
use std::f64::consts::{LN_2, PI};
use std::ops::Range;

/// The bound of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// Bits/dim of each step of the trajectory, ascending: E KL(q_σ ‖ p_θ), and for the first the decoder's -log P(x_0|x_1).
    pub terms: Vec<f64>,
    /// KL(q(x_T|x_0) ‖ N(0, I)), bits/dim.
    pub prior: f64,
    /// The bound on -log₂ P(x_0), bits/dim: prior and terms.
    pub bits: f64,
    /// The standard error of `bits` over the images. `None` for one image.
    pub error: Option<f64>,
    /// J_σ itself, whose last step is a density (Eq. 10), in bits/dim for bytes: the density times a byte's width.
    pub j_bits: f64,
}

/// A network's likelihood of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// Code timesteps, ascending.
    pub timesteps: Vec<usize>,
    /// Mean squared error of ε at each: L_simple.
    pub l_simple: Vec<f64>,
    /// One bound for each process that was asked for.
    pub bounds: Vec<Bound>,
}

/// σ of each step for a bound: that of the process, and √(1 - ᾱ_{τ_1}) for the step to the image, where η gives 0.
///
/// # Errors
/// η outside (0, 1]; σ̂ out of its range for steps this long (a forward process needs σ² ≤ 1 - ᾱ of where it arrives).
fn deviations(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &Sigma) -> Result<Vec<f64>> {
    let mut values = sigma.values(schedule, trajectory)?;
    values[0] = (1.0 - schedule.alpha_bar(trajectory.levels()[0])).sqrt();
    Ok(values)
}

/// Estimates likelihoods by Monte Carlo over images `x_0` ([n, c, h, w] of byte values in [-1, 1]), with one draw of noise for each image
/// and timestep, the same for all processes. `network` evaluates a batch, the images of these numbers; `observe` receives the number of
/// evaluations done since its last call.
///
/// # Errors
/// Returns an error for processes without a bound (η = 0: J_σ needs every σ above 0), and the errors of the network and `observe`.
///
/// ```
/// use ddim::{GaussianDenoiser, NoiseSchedule, Sigma, Trajectory};
/// use ddim_eval::likelihood;
///
/// let (schedule, trajectory) = (NoiseSchedule::ddpm(), Trajectory::uniform(1000, 20)?);
/// let model = GaussianDenoiser::isotropic(&schedule, 12, 0.0, 0.5);
/// let images: Vec<f32> = (0..4 * 12).map(|i| ddim::from_byte(5 * i)).collect();
/// let found = likelihood(&schedule, &trajectory, &[Sigma::Eta(1.0)], &images, (0, 2), &|_| Ok(&model), &mut |_| Ok(()))?;
/// let bound = &found.bounds[0];
/// assert_eq!(bound.terms.len(), 20);
/// assert!((bound.bits - (bound.prior + bound.terms.iter().sum::<f64>())).abs() < 1e-9);
/// assert!(bound.bits > 0.0);
/// # Ok::<(), ddim_eval::Error>(())
/// ```
pub fn likelihood<D: Denoiser<f32>>(
    schedule: &NoiseSchedule,
    trajectory: &Trajectory,
    sigmas: &[Sigma],
    x_0: &[f32],
    (seed, batch): (u64, usize),
    network: &dyn Fn(Range<usize>) -> Result<D>,
    observe: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Likelihood>
where
    crate::Error: From<D::Error>,
{
    let deviations = sigmas.iter().map(|sigma| deviations(schedule, trajectory, sigma)).collect::<Result<Vec<_>>>()?;
    let gammas = deviations.iter().map(|sigma| Ok(gamma(schedule, trajectory, sigma)?)).collect::<Result<Vec<_>>>()?;
    let last: Vec<f64> = deviations.iter().map(|sigma| sigma[0]).collect();
    let dim = network(0..1)?.dim();
    let n = x_0.len() / dim;
    let per_bit = dim as f64 * LN_2;
    // ‖ε - ε_θ‖² of each image and step; the decoder's nats of each image and process.
    let (mut squares, mut decoders) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for (i, x_0) in x_0.chunks(batch.saturating_mul(dim)).enumerate() {
        let keys = Batch { seed, first: (i * batch) as u64 };
        let count = x_0.len() / dim;
        let network = network(i * batch..i * batch + count)?;
        // Step by step, so that whoever waits sees it.
        let mut of_batch = vec![Vec::with_capacity(trajectory.len()); count];
        for &level in trajectory.levels() {
            let one = Trajectory::from_timesteps(trajectory.total(), &[level - 1])?;
            let terms = l_gamma(schedule, &one, &gamma_simple(&one), &network, x_0, keys)?;
            of_batch.iter_mut().zip(terms).for_each(|(all, term)| all.extend(term));
            observe(count)?;
        }
        squares.extend(of_batch);
        decoders.extend(decoder_nats(schedule, trajectory, &last, &network, x_0, keys)?);
        observe(count)?;
    }
    let norms: Vec<f64> = x_0.chunks_exact(dim).map(|x| x.iter().map(|x| f64::from(*x).powi(2)).sum()).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n as f64;
    let bounds = gammas.iter().zip(&deviations).enumerate().map(|(which, (gamma, sigma))| {
        // Of one image; Theorem 1's constant holds the density of the last step as well.
        let density = 0.5 * dim as f64 * (2.0 * PI * sigma[0] * sigma[0]).ln();
        let prior = |i: usize| Ok::<f64, ddim::Error>(constant(schedule, trajectory, sigma, dim, norms[i])? - density);
        let priors = (0..n).map(prior).collect::<std::result::Result<Vec<_>, _>>()?;
        let mut terms: Vec<f64> = gamma.iter().enumerate().map(|(t, g)| g * mean(&mut squares.iter().map(|s| s[t])) / per_bit).collect();
        let kl: f64 = terms[1..].iter().sum();
        let j = (mean(&mut priors.iter().copied()) + density) / per_bit + kl + terms[0] + 127.5f64.log2();
        terms[0] = mean(&mut decoders.iter().map(|d| d[which])) / per_bit;
        let prior = mean(&mut priors.iter().copied()) / per_bit;
        let bits = prior + kl + terms[0];
        let of_image = |i: usize| {
            let kl: f64 = gamma[1..].iter().zip(&squares[i][1..]).map(|(g, s)| g * s).sum();
            (priors[i] + kl + decoders[i][which]) / per_bit
        };
        let scatter: f64 = (0..n).map(|i| (of_image(i) - bits).powi(2)).sum();
        let error = (n > 1).then(|| (scatter / (n * (n - 1)) as f64).sqrt());
        Ok(Bound { terms, prior, bits, error, j_bits: j })
    });
    let bounds = bounds.collect::<Result<Vec<_>>>()?;
    let l_simple = (0..trajectory.len()).map(|t| mean(&mut squares.iter().map(|s| s[t])) / dim as f64).collect();
    Ok(Likelihood { timesteps: trajectory.levels().iter().map(|level| level - 1).collect(), l_simple, bounds })
}

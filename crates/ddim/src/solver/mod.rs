//! Solvers: how the step of Eq. 12 uses the network's outputs at earlier steps.
//!
//! Each solver is Eq. 12 plus a weighted sum of differences between the network's outputs, so a solver without history, or whose outputs do
//! not change, is DDIM. Each file gives the weights of one solver, as a function of the steps.

mod dpmpp;
mod heun;
mod ipndm;
mod unipc;

use crate::error::{Error, ErrorKind};
use crate::step::Step;
use std::fmt;
use std::str::FromStr;

/// How a sampler goes from one level to the next.
///
/// DDIM's ODE (Eq. 14) is solved to a higher order by using more than one output of the network. All solvers use the same network and the
/// same trajectories, and all but [`Heun`](Self::Heun) evaluate the network once per step. The step to the image is always f_θ: the log-SNR
/// of the clean image is infinitely far away, and extrapolating over it is ruinous.
///
/// A multistep solver starts at order 1, which is DDIM, and gains one order per step. [`Sampling::x_mut`](crate::Sampling::x_mut) restarts
/// it, because outputs for another x cannot be extrapolated.
///
/// | solver | name | order | evaluations | σ > 0 |
/// |---|---|---|---|---|
/// | [`Ddim`](Self::Ddim) | `ddim` | 1 | S | yes |
/// | [`Ipndm`](Self::Ipndm) | `ipndm` | 2 (4 in the middle of evenly spaced σ) | S | no |
/// | [`Dpmpp2m`](Self::Dpmpp2m) | `dpmpp-2m` | 2 | S | no |
/// | [`UniPc`](Self::UniPc) | `unipc` | 3 | S | no |
/// | [`Heun`](Self::Heun) | `heun` | 2 | 2S - 1 | no |
/// | [`Dpmpp2mSde`](Self::Dpmpp2mSde) | `dpmpp-2m-sde` | 2, of the law | S | yes |
///
/// ```
/// use ddim::{GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Solver, Trajectory, noise::Batch};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5);
/// let exact = model.flow(1.2, 0, 1000, 0);
/// let error = |solver| -> Result<f64, ddim::Error> {
///     let sampler = Sampler::new(&schedule, &Trajectory::power(1000, 10, 1.5)?, &Sigma::Eta(0.0))?.with_solver(solver)?;
///     let x: Vec<f64> = Sampling::new(&sampler, &model, vec![1.2], Batch { seed: 0, first: 0 })?.finish()?;
///     Ok((x[0] - exact).abs())
/// };
/// // Ten evaluations each.
/// assert!(error("dpmpp-2m".parse()?)? < 0.3 * error(Solver::Ddim)?);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Solver {
    /// Eq. 12 as it is (arXiv 2010.02502).
    #[default]
    Ddim,
    /// PNDM's linear multistep formula without its Runge-Kutta start (arXiv 2202.09778; "improved PNDM" in arXiv 2204.13902):
    /// Adams-Bashforth weights for equal steps on ε, of order 4 after three steps, lowered by one per step as the image is approached.
    Ipndm,
    /// DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2): f_θ extrapolated in the log-SNR from the last two.
    Dpmpp2m,
    /// UniPC-2 with B(h) = e^h - 1, "bh2" (arXiv 2302.04867): each evaluation first corrects the x that it was made at, then serves the
    /// next step. The value of [`Sampling::x`](crate::Sampling::x) between steps is not yet corrected.
    UniPc,
    /// Heun's method in σ, as in EDM's sampler (arXiv 2206.00364, algorithm 1): ε at both ends of the step, averaged. A step evaluates the
    /// network twice; the step into the image and the one from ᾱ = 0 evaluate it once and are DDIM's.
    Heun,
    /// SDE-DPM-Solver++(2M) (arXiv 2211.01095) for η = 1. For other η and σ it applies the same correction to Eq. 12's step, and for η = 0
    /// it is [`Dpmpp2m`](Self::Dpmpp2m). The noise is that of Eq. 12, drawn under the same keys.
    Dpmpp2mSde,
}

impl Solver {
    /// All solvers, the default first.
    pub const ALL: [Self; 6] = [Self::Ddim, Self::Ipndm, Self::Dpmpp2m, Self::UniPc, Self::Heun, Self::Dpmpp2mSde];

    /// Returns the solver's name: `ddim`, `ipndm`, `dpmpp-2m`, `unipc`, `heun` or `dpmpp-2m-sde`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::Ipndm => "ipndm",
            Self::Dpmpp2m => "dpmpp-2m",
            Self::UniPc => "unipc",
            Self::Heun => "heun",
            Self::Dpmpp2mSde => "dpmpp-2m-sde",
        }
    }

    /// Whether it can run `steps`.
    pub(crate) fn check(self, steps: &[Step]) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Sigma, message));
        match self {
            Self::Ddim => Ok(()),
            Self::Dpmpp2mSde => {
                // σ̂ adds more noise than the direction leaves room for. The σ of the step to the image is free.
                let off = |s: &Step| s.next > 0 && (s.direction.powi(2) + s.sigma.powi(2) - (1.0 - s.alpha_bar_next)).abs() > 1e-9;
                match steps.iter().any(off) {
                    true => {
                        error(format!("the solver {self} keeps the marginals, which sigma-hat does not: expected an eta, or solver ddim"))
                    }
                    false => Ok(()),
                }
            }
            _ if steps.iter().any(|s| s.sigma > 0.0) => {
                error(format!("the solver {self} adds no noise: expected eta 0, or solver ddim or dpmpp-2m-sde"))
            }
            _ => Ok(()),
        }
    }

    /// How many of the network's last answers it looks at, the present one not counted.
    pub(crate) fn history(self) -> usize {
        match self {
            Self::Ddim => 0,
            Self::Ipndm => 3,
            Self::UniPc => 2,
            Self::Dpmpp2m | Self::Heun | Self::Dpmpp2mSde => 1,
        }
    }

    /// Whether the answers that it looks at are ε, and not f_θ.
    pub(crate) fn is_in_epsilon(self) -> bool {
        matches!(self, Self::Ddim | Self::Ipndm | Self::Heun)
    }

    /// What is added to Eq. 12 on step `i`: weights of (answer k steps ago - present answer), k = 1, 2, 3, of which there are `past`.
    pub(crate) fn weights(self, steps: &[Step], i: usize, past: usize) -> [f64; 3] {
        match self {
            Self::Ddim | Self::Heun => [0.0; 3],
            Self::Ipndm => ipndm::weights(steps, i, past),
            Self::Dpmpp2m | Self::UniPc | Self::Dpmpp2mSde => dpmpp::weights(steps, i, past),
        }
    }

    /// Whether steps are corrected after the evaluation at their end.
    pub(crate) fn corrects(self) -> bool {
        self == Self::UniPc
    }

    /// What is added to Eq. 12 of step `i - 1` once the network has answered at its end: weights of (present answer - that one ago) and
    /// (that two ago - that one ago).
    pub(crate) fn correction(self, steps: &[Step], i: usize, past: usize) -> Option<[f64; 2]> {
        if self.corrects() && past > 0 { Some(unipc::correction(steps, i, past)) } else { None }
    }

    /// What is added to Eq. 12 where ε is evaluated at the end of the step as well: the weight of (that ε - the first).
    pub(crate) fn second(self, step: &Step) -> Option<f64> {
        if self == Self::Heun { heun::weight(step) } else { None }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Solver {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|solver| solver.name() == s).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::Solver, format!("solver {s:?}: expected one of {names}"))
        })
    }
}

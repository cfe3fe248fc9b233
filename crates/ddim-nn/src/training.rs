//! One step of training: the gradient of a squared error, Adam, and averages of the weights. The loop around it is in `ddim-train`.

use crate::condition::Condition;
use crate::plan::{Backward, Inputs, Profile};
use crate::unet::UNet;
use ddim_kernels as kernels;
use rayon::prelude::*;
use std::ops::Range;

/// The inputs of a network and their targets, n of each.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// [n, c, h, w].
    pub shape: [usize; 4],
    /// x_t.
    pub x: &'a [f32],
    /// The target, of the shape of `x`.
    pub target: &'a [f32],
    /// The code timesteps.
    pub timesteps: &'a [usize],
    /// The weight of each image's mean squared error.
    pub weights: &'a [f32],
    /// The classes.
    pub condition: &'a Condition,
    /// The seeds of the dropout masks, one per image; empty for no dropout.
    pub dropout: &'a [u64],
}

/// Pixels of the images whose gradients are computed together, and summed before others are added: so that no bit of a sum depends on the memory
/// or the machines that a batch is spread over.
const PIXELS_TOGETHER: usize = 16 * 32 * 32;

/// Bytes of micro-batches that are computed at a time, about, where these are several.
const BYTES_AT_A_TIME: usize = 1 << 30;

/// Gradients that are summed together.
const PART: usize = 1 << 14;

/// A network's plan for training, with the gradients of a batch.
///
/// ```
/// use ddim_nn::{Adam, Condition, Ema, Examples, TrainingPlan, UNet, UNetConfig, clipping};
///
/// let mut unet = UNet::initialised(&UNetConfig::preset("tiny").unwrap(), 0)?;
/// let mut plan = TrainingPlan::new(&unet, [8, 8]);
/// let (mut adam, mut averages) = (Adam::new(1e-3), [Ema::new(0.9, true, &unet)]);
/// let (x, epsilon) = ([0.5; 192], [1.0; 192]);
/// let examples = Examples {
///     shape: [1, 3, 8, 8],
///     x: &x,
///     target: &epsilon,
///     timesteps: &[500],
///     weights: &[1.0],
///     condition: &Condition::None,
///     dropout: &[],
/// };
/// let mut losses = Vec::new();
/// for k in 1..=5 {
///     plan.begin();
///     losses.push(plan.add(&unet, &examples));
///     adam.step(&mut unet, plan.gradients(), clipping(plan.norm(), 1.0), &mut averages, k);
/// }
/// assert_eq!(losses[0], 1.0); // a new network predicts 0
/// assert!(losses[4] < losses[0]);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
pub struct TrainingPlan {
    /// One for each that is computed at a time.
    micro_batches: Vec<MicroBatch>,
    checkpoint: bool,
    size: [usize; 2],
    gradients: Vec<f32>,
    loss: f64,
    /// Whether nothing was added yet.
    begun: bool,
}

/// The plan of a micro-batch, and its gradients where they do not go straight to those of the batch.
struct MicroBatch {
    backward: Backward,
    gradients: Vec<f32>,
}

impl std::fmt::Debug for TrainingPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainingPlan").field("size", &self.size).field("gradients", &self.gradients.len()).finish_non_exhaustive()
    }
}

impl TrainingPlan {
    /// Creates a plan for images of `size` [h, w].
    pub fn new(unet: &UNet, size: [usize; 2]) -> Self {
        Self::of(unet, size, false)
    }

    /// Creates a plan with checkpointed activations: values within a residual block are not kept but recomputed in the backward pass. It
    /// uses less memory and more time, and gives the same bits.
    pub fn checkpointed(unet: &UNet, size: [usize; 2]) -> Self {
        Self::of(unet, size, true)
    }

    fn of(unet: &UNet, size: [usize; 2], checkpoint: bool) -> Self {
        let micro_batches = vec![MicroBatch::new(unet, size, checkpoint)];
        Self { micro_batches, checkpoint, size, gradients: vec![0.0; unet.values().len()], loss: 0.0, begun: true }
    }

    /// Begins a batch: sets the gradients and the loss to 0.
    pub fn begin(&mut self) {
        self.gradients.fill(0.0);
        (self.loss, self.begun) = (0.0, true);
    }

    /// Adds the gradients of Σ weight · mean (prediction - target)² over the images, and returns that sum. With weights 1/n and the noise
    /// as target, it is L_simple.
    ///
    /// Images are processed in micro-batches of a fixed number of pixels, counted from the first; several at a time, on threads of their
    /// own. Their sums are added in order.
    ///
    /// # Panics
    /// Panics if lengths do not match, if the plan is not for these images, or if the network is not that of [`new`](Self::new).
    pub fn add(&mut self, unet: &UNet, examples: &Examples<'_>) -> f64 {
        self.add_profiled(unet, examples, None)
    }

    /// Adds gradients as [`add`](Self::add) does, and adds to a profile if one is given, with one micro-batch at a time.
    ///
    /// # Panics
    /// As `add`.
    pub fn add_profiled(&mut self, unet: &UNet, examples: &Examples<'_>, mut profile: Option<&mut Profile>) -> f64 {
        let Examples { shape: [n, c, h, w], x, timesteps, weights, dropout, .. } = *examples;
        assert_eq!([h, w], self.size, "images of the plan's size");
        assert_eq!(unet.values().len(), self.gradients.len(), "the network of the plan");
        assert!(x.len() == n * c * h * w && timesteps.len() == n && weights.len() == n && (dropout.is_empty() || dropout.len() == n));
        let together = Self::images_together(self.size);
        let at_a_time = if profile.is_some() { 1 } else { self.micro_batches_at_a_time().min(n.div_ceil(together)) };
        while self.micro_batches.len() < at_a_time {
            self.micro_batches.push(MicroBatch::new(unet, self.size, self.checkpoint));
        }
        let ranges: Vec<Range<usize>> = (0..n).step_by(together).map(|first| first..n.min(first + together)).collect();
        let Self { micro_batches, gradients, loss, begun, .. } = self;
        let mut added = 0.0;
        // On a thread of the pool: else each operation would wait for one to wake up.
        rayon::scope(|_| {
            for ranges in ranges.chunks(at_a_time.max(1)) {
                let micro_batches = &mut micro_batches[..ranges.len()];
                // What is added to nothing goes there at once.
                let straight = std::mem::take(begun);
                if straight {
                    std::mem::swap(gradients, &mut micro_batches[0].gradients);
                }
                let others = usize::from(straight)..;
                for other in &mut micro_batches[others.clone()] {
                    other.gradients.clear();
                    other.gradients.resize(unet.values().len(), 0.0);
                }
                let losses: Vec<f64> = match profile.as_deref_mut() {
                    Some(profile) => vec![micro_batches[0].squared_error(unet, examples, ranges[0].clone(), Some(profile))],
                    None => {
                        let pairs = micro_batches.par_iter_mut().zip(ranges);
                        pairs.map(|(micro_batch, range)| micro_batch.squared_error(unet, examples, range.clone(), None)).collect()
                    }
                };
                for of_one in losses {
                    added += of_one;
                    *loss += of_one;
                }
                if straight {
                    std::mem::swap(gradients, &mut micro_batches[0].gradients);
                }
                let others = &micro_batches[others];
                gradients.par_chunks_mut(PART).enumerate().for_each(|(part, gradients)| {
                    for other in others {
                        gradients.iter_mut().zip(&other.gradients[part * PART..]).for_each(|(sum, of_one)| *sum += of_one);
                    }
                });
            }
        });
        added
    }

    /// Returns the number of images of this size whose gradients are computed together.
    pub fn images_together([h, w]: [usize; 2]) -> usize {
        (PIXELS_TOGETHER / (h * w)).max(1)
    }

    /// Returns the number of images that [`add`](Self::add) holds in memory at a time, if it is given that many. It grows with the number
    /// of threads, and no bit of a result depends on it.
    pub fn images_at_a_time(&self) -> usize {
        self.micro_batches_at_a_time() * Self::images_together(self.size)
    }

    fn micro_batches_at_a_time(&self) -> usize {
        // Who keeps few activations has no memory to spare.
        if self.checkpoint {
            return 1;
        }
        // What images are computed of, and its gradients; those of the parameters.
        let per_image = 2 * self.micro_batches[0].backward.plan().numbers_per_image();
        let bytes = (Self::images_together(self.size) * per_image + self.gradients.len()) * size_of::<f32>();
        (BYTES_AT_A_TIME / bytes).clamp(1, rayon::current_num_threads())
    }

    /// Returns the sum of what [`add`](Self::add) returned since [`begin`](Self::begin), micro-batch by micro-batch; no bit of it depends
    /// on how a batch was spread over calls.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Returns the gradients of all parameters, in the order of [`UNet::values`].
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// Returns the norm of the gradients over all parameters.
    pub fn norm(&self) -> f64 {
        kernels::sum_of_squares(&self.gradients).sqrt()
    }
}

impl MicroBatch {
    fn new(unet: &UNet, size: [usize; 2], checkpoint: bool) -> Self {
        Self { backward: Backward::new(unet, size, checkpoint), gradients: Vec::new() }
    }

    /// Adds the gradients of these images to its own; their part of the sum.
    fn squared_error(&mut self, unet: &UNet, examples: &Examples<'_>, range: Range<usize>, profile: Option<&mut Profile>) -> f64 {
        let Examples { shape: [n, c, h, w], x, target, timesteps, weights, condition, dropout } = *examples;
        let outputs = target.len() / n;
        let kinds: Vec<usize> = (0..range.len()).collect();
        let condition = condition.of(range.clone(), n);
        let inputs = Inputs {
            x: &x[range.start * c * h * w..range.end * c * h * w],
            interleaved: false,
            timesteps: &timesteps[range.clone()].iter().map(|&t| t as f32).collect::<Vec<_>>(),
            condition: &condition,
            kinds: &kinds,
            dropout: dropout.get(range.clone()).unwrap_or_default(),
        };
        let target = &target[range.start * outputs..range.end * outputs];
        self.backward.squared_error(unet.values(), &inputs, target, &weights[range], &mut self.gradients, profile)
    }
}

/// Returns the factor that clips gradients of this norm: clip / (norm + 1e-6) if that is below 1, as in PyTorch's `clip_grad_norm_`.
///
/// ```
/// use ddim_nn::clipping;
///
/// assert_eq!(clipping(0.5, 1.0), 1.0);
/// assert!((clipping(4.0, 1.0) - 0.25).abs() < 1e-6);
/// ```
pub fn clipping(norm: f64, clip: f64) -> f64 {
    (clip / (norm + 1e-6)).min(1.0)
}

/// Adam (Kingma & Ba, algorithm 1) over a network's parameters; AdamW if `weight_decay` is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// α.
    pub learning_rate: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ of AdamW (arXiv 1711.05101): a step first subtracts α λ times each weight.
    pub weight_decay: f64,
    /// The number of steps taken.
    pub steps: u64,
    /// First and second moments, in the order of [`UNet::values`]; empty before the first step.
    pub moments: [Vec<f32>; 2],
}

impl Adam {
    /// Creates an optimiser with PyTorch's defaults except for the learning rate: β = (0.9, 0.999), ε = 1e-8, no decay.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, steps: 0, moments: [Vec::new(), Vec::new()] }
    }

    /// Takes one step along the gradients, each multiplied by `scale` ([`clipping`]), then updates the averages, as of their step `k`.
    ///
    /// # Panics
    /// Panics if the gradients, moments or averages are those of another network.
    pub fn step(&mut self, unet: &mut UNet, gradients: &[f32], scale: f64, averages: &mut [Ema], k: u64) {
        self.steps += 1;
        for moments in &mut self.moments {
            if moments.is_empty() {
                moments.resize(gradients.len(), 0.0);
            }
        }
        let power = |beta: f64| beta.powf(self.steps as f64);
        let [first, second] = self.betas;
        let rule = kernels::Adam {
            scale,
            betas: self.betas,
            step_size: self.learning_rate / (1.0 - power(first)),
            root_scale: (1.0 - power(second)).sqrt().recip(),
            epsilon: self.epsilon,
            kept: 1.0 - self.learning_rate * self.weight_decay,
        };
        // What training leaves as it is lies between the others.
        let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
        for parameter in unet.definition().iter() {
            match runs.last_mut() {
                Some((run, trained)) if *trained == parameter.trained => run.end = parameter.range.end,
                _ => runs.push((parameter.range.clone(), parameter.trained)),
            }
        }
        for (run, trained) in runs {
            let values = &mut unet.values_mut()[run.clone()];
            let averages = averages.iter_mut().map(|average| {
                let share = 1.0 - average.rate_at(k);
                (&mut average.values[run.clone()], share)
            });
            if trained {
                let moments = self.moments.each_mut().map(|moments| &mut moments[run.clone()]);
                rule.apply(values, &gradients[run.clone()], moments, averages.collect());
            } else {
                averages.for_each(|(average, share)| kernels::approach(average, values, share));
            }
        }
    }
}

/// An exponential moving average of a network's parameters, which is what one samples from.
///
/// ```
/// use ddim_nn::{Ema, UNet, UNetConfig};
///
/// let unet = UNet::initialised(&UNetConfig::preset("tiny").unwrap(), 0)?;
/// let average = Ema::new(0.9999, true, &unet);
/// assert_eq!((average.rate_at(1), average.rate_at(9)), (0.0, 0.5)); // warming up
/// assert_eq!(average.rate_at(1_000_000), 0.9999);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ema {
    /// The share of the average that a step keeps, once warmed up.
    pub rate: f64,
    /// Whether it forgets its start sooner: at step k, counted from 1, the rate is at most k / (9 + k), and 0 at the first, as in
    /// diffusers' `EMAModel`.
    pub warmup: bool,
    /// The averages, in the order of [`UNet::values`].
    pub values: Vec<f32>,
}

impl Ema {
    /// Creates an average that starts from these parameters.
    pub fn new(rate: f64, warmup: bool, unet: &UNet) -> Self {
        Self { rate, warmup, values: unet.values().to_vec() }
    }

    /// Returns the rate at step `k`, counted from 1.
    pub fn rate_at(&self, k: u64) -> f64 {
        match (self.warmup, k) {
            (false, _) => self.rate,
            (true, 0..=1) => 0.0,
            (true, _) => self.rate.min(k as f64 / (9.0 + k as f64)),
        }
    }
}

//! Training on a device: weights, gradients, moments and averages stay on it, and losses are downloaded.

use crate::devices::Gpu;
use crate::scale::Scale;
use burn::tensor::{Tensor, TensorData};
use ddim_nn::{Adam, Ema, Error, ErrorKind, Examples, Learner, Precision, Result, TensorDevice, TensorNetwork, UNet};
use std::ops::Range;

/// Numbers whose squares are summed there; the sums are summed here, in f64.
const RUN: usize = 4096;

/// The state of a network being trained on a device.
pub struct Training {
    network: TensorNetwork,
    device: TensorDevice,
    /// What had gone wrong on the device when the state was last known to be good.
    since: u64,
    /// All parameters, one after the other, as [`UNet::values`] has them.
    values: Tensor<1>,
    moments: [Tensor<1>; 2],
    averages: Vec<Tensor<1>>,
    gradients: Option<Tensor<1>>,
    /// Whether a step was taken.
    began: bool,
    /// Of gradients on the way back, where they are f16.
    scale: Option<Scale>,
    /// What training leaves as it is, where weights decay.
    fixed: Vec<(Range<usize>, Tensor<1>)>,
}

impl Gpu {
    /// Starts training a network on images of `size` [h, w] from the given state.
    ///
    /// # Errors
    /// If the device has no room for the images or the weights.
    pub fn training(&self, unet: &UNet, size: [usize; 2], adam: &Adam, averages: &[Ema]) -> Result<Training> {
        let network = TensorNetwork::new(&unet.module(size), &self.device)?;
        network.check_training()?;
        let device = &self.device.device;
        let upload = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
        let count = unet.values().len();
        self.device.guarded(|| {
            let values = upload(unet.values());
            let fixed = |range: Range<usize>| (range.clone(), values.clone().narrow(0, range.start, range.len()));
            let training = Training {
                fixed: network.fixed().into_iter().map(fixed).collect(),
                network,
                device: self.device.clone(),
                since: self.device.mark(),
                moments: [0, 1].map(|i| if adam.moments[i].is_empty() { Tensor::zeros([count], device) } else { upload(&adam.moments[i]) }),
                averages: averages.iter().map(|average| upload(&average.values)).collect(),
                values,
                gradients: None,
                began: false,
                scale: (self.device.precision == Precision::F16).then(Scale::default),
            };
            self.device.sync().map(|()| training)
        })
    }
}

impl Training {
    /// The gradient of the last batch, in the order of [`UNet::values`]. For tests.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn gradient(&self) -> Result<Vec<f32>> {
        self.gradients.clone().map_or(Ok(Vec::new()), |gradients| Ok(self.device.guarded(|| self.device.fetch([gradients]))?.remove(0)))
    }

    /// The current loss scale of f16 gradients; `None` in f32.
    pub fn loss_scale(&self) -> Option<f32> {
        self.scale.map(Scale::value)
    }

    /// Continues with another loss scale, a power of two. For tests.
    #[must_use]
    pub fn with_loss_scale(mut self, value: f32) -> Self {
        self.scale = self.scale.map(|_| Scale::from(value));
        self
    }

    /// The gradients of a batch under this scale, which stay there; the objective, and their norm.
    fn scaled(&mut self, examples: &Examples<'_>, scale: f32) -> Result<[f64; 2]> {
        let (gradients, means) = self.network.gradients(examples, scale);
        let [count] = gradients.dims();
        let whole = count / RUN * RUN;
        let squares = gradients.clone().square();
        let mut sums = vec![means];
        if whole > 0 {
            sums.push(squares.clone().narrow(0, 0, whole).reshape([whole / RUN, RUN]).sum_dim(1).reshape([whole / RUN]));
        }
        if whole < count {
            sums.push(squares.narrow(0, whole, count - whole));
        }
        self.gradients = Some(gradients);
        // The one wait of a step.
        let found = self.device.fetch(sums)?;
        let loss = found[0].iter().zip(examples.weights).map(|(mean, weight)| f64::from(*mean) * f64::from(*weight)).sum();
        let norm = found[1..].iter().flatten().map(|v| f64::from(*v)).sum::<f64>().sqrt();
        Ok([loss, norm])
    }

    /// The gradients of a batch, which stay there, under a scale at which they do not overflow; the objective, and their norm.
    fn differentiate(&mut self, examples: &Examples<'_>) -> Result<[f64; 2]> {
        loop {
            let [loss, norm] = self.scaled(examples, self.loss_scale().unwrap_or(1.0))?;
            let Some(scale) = &mut self.scale else { return Ok([loss, norm]) };
            // A prediction that overflowed does so under any scale.
            if norm.is_finite() || !loss.is_finite() {
                if norm.is_finite() {
                    scale.held();
                }
                return Ok([loss, norm]);
            }
            if !scale.halve() {
                return Ok([loss, norm]);
            }
        }
    }

    /// See [`Learner::update`]. It is not waited for: what goes wrong is found when gradients or the state are fetched.
    fn step(&mut self, adam: &mut Adam, scale: f64, averages: &[Ema], k: u64) -> Result<()> {
        let Some(gradients) = self.gradients.take() else {
            return Err(Error::device("an update without gradients"));
        };
        self.began = true;
        adam.steps += 1;
        let [first, second] = adam.betas;
        let power = |beta: f64| beta.powf(adam.steps as f64);
        let step_size = adam.learning_rate / (1.0 - power(first));
        let root_scale = (1.0 - power(second)).sqrt().recip();
        let empty = || Tensor::empty([1], &self.device.device);
        // Taken out, so that nothing else holds them and they are changed where they lie.
        let [m, v] = std::mem::replace(&mut self.moments, [empty(), empty()]);
        let values = std::mem::replace(&mut self.values, empty());
        let g = gradients * scale;
        let m = m * first + g.clone() * (1.0 - first);
        let v = v * second + g.square() * (1.0 - second);
        let kept = 1.0 - adam.learning_rate * adam.weight_decay;
        let mut values = values * kept - m.clone() * step_size / (v.clone().sqrt() * root_scale + adam.epsilon);
        for (range, fixed) in &self.fixed {
            values = values.slice_assign([range.clone()], fixed.clone());
        }
        for (average, rule) in self.averages.iter_mut().zip(averages) {
            let old = std::mem::replace(average, Tensor::empty([1], &self.device.device));
            *average = old.clone() + (values.clone() - old) * (1.0 - rule.rate_at(k));
        }
        self.network.set(&values);
        (self.values, self.moments) = (values, [m, v]);
        Ok(())
    }
}

impl Learner for Training {
    fn gradients(&mut self, examples: &Examples<'_>) -> Result<[f64; 2]> {
        loop {
            let device = self.device.clone();
            if self.began {
                return device.continued(self.since, true, || self.differentiate(examples));
            }
            let n = self.network.together()[1].min(examples.timesteps.len());
            match device.guarded(|| self.differentiate(examples)) {
                // Of the first step alone: later ones go in the same parts, so that a run is the same as long as the device is.
                Err(error) if error.kind() == ErrorKind::Memory && n > 1 => {
                    self.gradients = None;
                    self.network.limit_training(n / 2);
                }
                found => {
                    // The state is good: what others did before was not with it.
                    self.since = self.device.mark();
                    return found;
                }
            }
        }
    }

    fn together(&self) -> usize {
        self.network.together()[1]
    }

    fn update(&mut self, adam: &mut Adam, scale: f64, averages: &[Ema], k: u64) -> Result<()> {
        let device = self.device.clone();
        device.continued(self.since, false, || self.step(adam, scale, averages, k))
    }

    fn fetch(&self, unet: &mut UNet, adam: &mut Adam, averages: &mut [Ema]) -> Result<()> {
        let state = [&self.values, &self.moments[0], &self.moments[1]];
        let all: Vec<Tensor<1>> = state.into_iter().chain(&self.averages).cloned().collect();
        let mut found = self.device.continued(self.since, true, || self.device.fetch(all))?.into_iter();
        let mut next = || found.next().expect("as many as were asked for");
        *unet = unet.with_values(next())?;
        let moments = [next(), next()];
        // There are none before the first step.
        if adam.steps > 0 {
            adam.moments = moments;
        }
        averages.iter_mut().for_each(|average| average.values = next());
        Ok(())
    }
}

//! One step of training: the gradient of a squared error, Adam, and averages of the weights. The loop around it is in `ddim-train`.

use crate::error::{Error, Result};
use crate::unet::{Condition, UNet};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ddim_kernels as kernels;

/// The device of a network that is trained on the processor.
pub fn training_cpu() -> Device {
    Device::flex().autodiff()
}

/// The gradient of every parameter of a module, in the order in which the module has them; none where it took no part.
#[derive(Debug, Clone)]
pub struct Gradients(Vec<Option<Vec<f32>>>);

impl Gradients {
    /// Adds those of another batch of the same module.
    ///
    /// # Panics
    /// On those of another module.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.0.len(), other.0.len(), "gradients of one module");
        for (sum, other) in self.0.iter_mut().zip(&other.0) {
            match (sum, other) {
                (Some(sum), Some(other)) => kernels::add(sum, other),
                (sum @ None, Some(other)) => *sum = Some(other.clone()),
                (_, None) => {}
            }
        }
    }

    /// Over all parameters.
    pub fn norm(&self) -> f64 {
        self.0.iter().flatten().map(|g| kernels::sum_of_squares(g)).sum::<f64>().sqrt()
    }

    /// What gradients of this norm are scaled by to be clipped: clip / (norm + 1e-6) if that is below 1, as PyTorch's `clip_grad_norm_` does.
    pub fn clipping(norm: f64, clip: f64) -> f64 {
        (clip / (norm + 1e-6)).min(1.0)
    }
}

/// Inputs of a network and what it should say, n of each.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// [n, c, h, w].
    pub shape: [usize; 4],
    /// x_t.
    pub x: &'a [f32],
    /// Of the shape of `x`.
    pub target: &'a [f32],
    /// Code indices.
    pub timesteps: &'a [usize],
    /// Of the mean squared error of each image.
    pub weights: &'a [f32],
    /// The classes.
    pub condition: &'a Condition,
    /// Seeds of what dropout drops, one an image; none for no dropout.
    pub dropout: &'a [u64],
}

/// Σ weight · mean (prediction - target)² over the images, and its gradients: of a network on [`training_cpu`]. With weights 1/n, and the
/// noise as target, L_simple.
///
/// # Panics
/// On shapes that the network does not take; a network whose device does not differentiate; another number of seeds than images or none.
pub fn squared_error(unet: &UNet, examples: &Examples<'_>) -> (f64, Gradients) {
    let device = training_cpu();
    let Examples { shape: shape @ [n, c, h, w], x, target, timesteps, weights, condition, dropout } = *examples;
    let tensor = |data: &[f32]| Tensor::<4>::from_data(TensorData::new(data.to_vec(), shape), &device);
    let prediction = unet.forward_with(tensor(x), timesteps, condition, dropout);
    let difference = prediction - tensor(target);
    let per_number: Vec<f32> = weights.iter().map(|weight| weight / (c * h * w) as f32).collect();
    let weights = Tensor::<4>::from_data(TensorData::new(per_number, [n, 1, 1, 1]), &device);
    let loss = (difference.clone() * difference * weights).sum();
    let value: Vec<f32> = loss.to_data().try_into_vec().expect("the loss is an f32");
    let mut found = Found { gradients: loss.backward(), all: Vec::new() };
    unet.visit(&mut found);
    (f64::from(value[0]), Gradients(found.all))
}

/// Adam (Kingma & Ba, algorithm 1) over a module's parameters, in the order in which the module has them; AdamW where weights decay.
#[derive(Debug, Clone)]
pub struct Adam {
    /// α.
    pub learning_rate: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ of AdamW (arXiv 1711.05101): a step first takes α λ of each weight away.
    pub weight_decay: f64,
    /// Steps taken.
    pub steps: u64,
    /// First and second moments, one pair a parameter; empty before the first step.
    pub moments: Vec<[Vec<f32>; 2]>,
}

impl Adam {
    /// PyTorch's defaults but for the learning rate: β = (0.9, 0.999), ε = 1e-8, no decay.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, steps: 0, moments: Vec::new() }
    }

    /// One step along the gradients, each times `scale` ([`Gradients::clipping`]).
    ///
    /// # Panics
    /// If the module has other parameters than at the last step.
    pub fn step<M: Module>(&mut self, module: M, gradients: &Gradients, scale: f64) -> M {
        self.steps += 1;
        if self.moments.is_empty() {
            self.moments = gradients.0.iter().map(|g| [(); 2].map(|()| vec![0.0; g.as_ref().map_or(0, Vec::len)])).collect();
        }
        assert_eq!(self.moments.len(), gradients.0.len(), "the parameters of the last step");
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
        let mut update = Update { rule, steps: gradients.0.iter().zip(&mut self.moments) };
        module.map(&mut update)
    }
}

struct Found {
    gradients: burn::tensor::Gradients,
    all: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Found {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad_remove(&mut self.gradients);
        self.all.push(gradient.map(|g| g.into_data().try_into_vec().expect("gradients are f32")));
    }
}

/// A tensor in a parameter's place.
fn replaced<const D: usize>(param: Param<Tensor<D>>, change: impl FnOnce(&mut Vec<f32>)) -> Param<Tensor<D>> {
    let (id, tensor, mapper) = param.consume();
    let (device, shape) = (tensor.device(), tensor.dims());
    let trained = device.is_autodiff();
    let mut values = into_numbers(tensor);
    change(&mut values);
    let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
    Param::from_mapped_value(id, if trained { tensor.require_grad() } else { tensor }, mapper)
}

fn into_numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
    tensor.into_data().try_into_vec().expect("parameters are f32")
}

struct Update<I> {
    rule: kernels::Adam,
    steps: I,
}

impl<'a, I: Iterator<Item = (&'a Option<Vec<f32>>, &'a mut [Vec<f32>; 2])>> ModuleMapper for Update<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (gradient, [first, second]) = self.steps.next().expect("as many gradients as parameters");
        let Some(gradient) = gradient else { return param };
        replaced(param, |values| self.rule.apply(values, gradient, first, second))
    }
}

/// The numbers of a module's parameters, in its order.
pub fn parameters<M: Module>(module: &M) -> Vec<Vec<f32>> {
    struct Numbers(Vec<Vec<f32>>);
    impl ModuleVisitor for Numbers {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(into_numbers(param.val()));
        }
    }
    let mut numbers = Numbers(Vec::new());
    module.visit(&mut numbers);
    numbers.0
}

/// The module with these numbers in its parameters: what [`parameters`] gives.
///
/// # Errors
/// Another number of parameters, or one of another length.
pub fn with_parameters<M: Module>(module: M, numbers: &[Vec<f32>]) -> Result<M> {
    struct Replace<'a>(std::slice::Iter<'a, Vec<f32>>);
    impl ModuleMapper for Replace<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let numbers = self.0.next().expect("counted below");
            replaced(param, |values| values.copy_from_slice(numbers))
        }
    }
    let lengths: Vec<usize> = parameters(&module).iter().map(Vec::len).collect();
    if !lengths.iter().copied().eq(numbers.iter().map(Vec::len)) {
        return Err(Error::input(format!("{} parameters: expected {} of the network's lengths", numbers.len(), lengths.len())));
    }
    Ok(module.map(&mut Replace(numbers.iter())))
}

/// An exponential moving average of a module's parameters: what one samples from.
#[derive(Debug, Clone, PartialEq)]
pub struct Ema {
    /// How much of it stays at a step, once it is warm.
    pub rate: f64,
    /// Whether it forgets its start sooner: at step k, the first being 1, the rate is at most k / (9 + k), and 0 at the first, as in
    /// diffusers' `EMAModel`.
    pub warmup: bool,
    /// In the module's order.
    pub values: Vec<Vec<f32>>,
}

impl Ema {
    /// From these parameters.
    pub fn new<M: Module>(rate: f64, warmup: bool, module: &M) -> Self {
        Self { rate, warmup, values: parameters(module) }
    }

    /// The rate at step `k`, the first being 1.
    pub fn rate_at(&self, k: u64) -> f64 {
        match (self.warmup, k) {
            (false, _) => self.rate,
            (true, 0..=1) => 0.0,
            (true, _) => self.rate.min(k as f64 / (9.0 + k as f64)),
        }
    }

    /// Takes in the parameters after step `k`.
    ///
    /// # Panics
    /// On those of another module.
    pub fn update(&mut self, parameters: &[Vec<f32>], k: u64) {
        assert_eq!(self.values.len(), parameters.len(), "the parameters of one module");
        let rest = 1.0 - self.rate_at(k);
        for (average, new) in self.values.iter_mut().zip(parameters) {
            kernels::approach(average, new, rest);
        }
    }
}

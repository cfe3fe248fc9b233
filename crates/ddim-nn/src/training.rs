//! One step of training: the gradient of the epsilon objective and Adam. The loop around it is not here.

use crate::unet::{Condition, UNet};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ddim_kernels as kernels;

/// The device of a network that is trained on the processor.
pub fn training_cpu() -> Device {
    Device::flex().autodiff()
}

/// The mean over all numbers of (prediction - target)², and its gradients: of a network on [`training_cpu`], for images of `shape`
/// [n, c, h, w] at `timesteps` (code indices, one an image). L_simple where `target` is the noise.
///
/// # Panics
/// On shapes that the network does not take; a network whose device does not differentiate.
pub fn squared_error(
    unet: &UNet,
    x: &[f32],
    target: &[f32],
    shape: [usize; 4],
    timesteps: &[usize],
    condition: &Condition,
) -> (f64, Gradients) {
    let device = training_cpu();
    let tensor = |data: &[f32]| Tensor::<4>::from_data(TensorData::new(data.to_vec(), shape), &device);
    let prediction = unet.forward(tensor(x), timesteps, condition);
    let difference = prediction - tensor(target);
    let loss = (difference.clone() * difference).mean();
    let value: Vec<f32> = loss.to_data().try_into_vec().expect("the loss is an f32");
    (f64::from(value[0]), loss.backward())
}

/// Adam (Kingma & Ba, algorithm 1) over a module's parameters, in the order in which the module has them.
#[derive(Debug, Clone)]
pub struct Adam {
    /// α.
    pub learning_rate: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    steps: i32,
    /// First and second moments, one pair a parameter.
    moments: Vec<[Vec<f32>; 2]>,
}

impl Adam {
    /// PyTorch's defaults but for the learning rate: β = (0.9, 0.999), ε = 1e-8.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, steps: 0, moments: Vec::new() }
    }

    /// One step. Where `clip` is given, gradients are scaled by clip / (norm + 1e-6) if that is below 1, as PyTorch's `clip_grad_norm_` does.
    /// Returns the norm before that, over all parameters.
    ///
    /// # Panics
    /// If the module has other parameters than at the last step.
    pub fn step<M: Module>(&mut self, module: M, gradients: &mut Gradients, clip: Option<f64>) -> (M, f64) {
        let mut found = Found { gradients, all: Vec::new() };
        module.visit(&mut found);
        let all = found.all;
        let norm = all.iter().flatten().map(|g| kernels::sum_of_squares(g)).sum::<f64>().sqrt();
        self.steps += 1;
        if self.moments.is_empty() {
            self.moments = all.iter().map(|g| [(); 2].map(|()| vec![0.0; g.as_ref().map_or(0, Vec::len)])).collect();
        }
        assert_eq!(self.moments.len(), all.len(), "the parameters of the last step");
        let [first, second] = self.betas;
        let rule = kernels::Adam {
            scale: clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0)),
            betas: self.betas,
            step_size: self.learning_rate / (1.0 - first.powi(self.steps)),
            root_scale: (1.0 - second.powi(self.steps)).sqrt().recip(),
            epsilon: self.epsilon,
        };
        let mut update = Update { rule, steps: all.into_iter().zip(&mut self.moments) };
        (module.map(&mut update), norm)
    }
}

struct Found<'a> {
    gradients: &'a mut Gradients,
    /// Of each parameter; none where it took no part.
    all: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad_remove(self.gradients);
        self.all.push(gradient.map(|g| g.into_data().try_into_vec().expect("gradients are f32")));
    }
}

struct Update<I> {
    rule: kernels::Adam,
    steps: I,
}

impl<'a, I: Iterator<Item = (Option<Vec<f32>>, &'a mut [Vec<f32>; 2])>> ModuleMapper for Update<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (gradient, moments) = self.steps.next().expect("visited before");
        let Some(gradient) = gradient else { return param };
        let (id, tensor, mapper) = param.consume();
        let (device, shape) = (tensor.device(), tensor.dims());
        let mut values: Vec<f32> = tensor.inner().into_data().try_into_vec().expect("parameters are f32");
        let [first, second] = moments;
        assert_eq!(values.len(), first.len(), "the parameters of the last step");
        self.rule.apply(&mut values, &gradient, first, second);
        let tensor = Tensor::from_data(TensorData::new(values, shape), &device).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

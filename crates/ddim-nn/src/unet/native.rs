//! The operations over our kernels, with gradients: for training on the processor. Tensors are [n, h, w, c].

use super::names::Activation;
use super::ops::{Eager, Ops};
use super::trace::geometry;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops as BackwardOps, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::conv::Conv2d;
use burn::nn::{Dropout, GroupNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use ddim::noise::Stream;
use ddim_kernels as kernels;
use ddim_kernels::{Finish, Images, Normal, PackedConv2d, normalised, sum_of_pixels};
use rayon::prelude::*;

/// Whether our kernels take tensors of this device.
pub(crate) fn is_native(device: &Device) -> bool {
    *device == Device::flex() || *device == Device::flex().autodiff()
}

/// A group norm without its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormKind {
    groups: usize,
    eps: f32,
    silu: bool,
}

/// What burn's processor backend learns from our kernels.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait KernelOps: Backend {
    /// Images [n, h, w, in], weights [out, in, k, k], bias [out] -> [n, h', w', out].
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, conv: kernels::Conv2d) -> FloatTensor<Self>;
    /// Images [n, h, w, c], weight and bias [c].
    fn normalise(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, norm: NormKind) -> FloatTensor<Self>;
    /// softmax(q kᵀ / √d) v over pixels; all [n, h, w, heads · d].
    fn attend(queries: FloatTensor<Self>, keys: FloatTensor<Self>, values: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
}

type Primitive = FloatTensor<Flex>;

/// The same tensor, one number after the other.
fn laid_out(x: &Primitive) -> Primitive {
    x.to_contiguous()
}

fn numbers(x: &Primitive) -> &[f32] {
    x.as_slice().expect("laid out, and f32")
}

fn dims(x: &Primitive) -> [usize; 4] {
    x.shape().dims()
}

fn tensor(data: Vec<f32>, shape: impl Into<Vec<usize>>, like: &Primitive) -> Primitive {
    Flex::float_from_data(TensorData::new(data, shape.into()), &like.device())
}

impl KernelOps for Flex {
    fn convolve(x: Primitive, weight: Primitive, bias: Primitive, conv: kernels::Conv2d) -> Primitive {
        let (x, weight, bias) = (laid_out(&x), laid_out(&weight), laid_out(&bias));
        let shape @ [n, h, w, _] = dims(&x);
        let [out_h, out_w] = conv.output([h, w]);
        let channels = conv.channels[0];
        let mut y = vec![0.0; n * out_h * out_w * channels];
        let packed = PackedConv2d::new(conv, [h, w], numbers(&weight), Some(numbers(&bias)));
        packed.run(&Images::new(numbers(&x), shape), None, &Finish::default(), &mut y, channels);
        tensor(y, [n, out_h, out_w, channels], &x)
    }

    fn normalise(x: Primitive, weight: Primitive, bias: Primitive, norm: NormKind) -> Primitive {
        let (x, weight, bias) = (laid_out(&x), laid_out(&weight), laid_out(&bias));
        let shape @ [n, .., c] = dims(&x);
        let images = Images::new(numbers(&x), shape);
        let (mut center, mut scale, mut y) = (vec![0.0; n * c], vec![0.0; n * c], vec![0.0; numbers(&x).len()]);
        kernels::GroupNorm { weight: numbers(&weight), bias: numbers(&bias), groups: norm.groups, eps: norm.eps }.statistics(
            &images,
            &mut center,
            &mut scale,
        );
        normalised(&images, Normal { center: &center, scale: &scale, shift: numbers(&bias), silu: norm.silu }, &mut y);
        tensor(y, shape, &x)
    }

    fn attend(queries: Primitive, keys: Primitive, values: Primitive, heads: usize) -> Primitive {
        let inputs = [queries, keys, values].map(|x| laid_out(&x));
        let shape @ [.., inner] = dims(&inputs[0]);
        let mut y = vec![0.0; numbers(&inputs[0]).len()];
        attention(&inputs, heads).run(&vec![0.0; inner], &Finish::default(), &mut y, inner);
        tensor(y, shape, &inputs[0])
    }
}

/// Of queries, keys and values that are laid out.
fn attention([queries, keys, values]: &[Primitive; 3], heads: usize) -> kernels::Attention<'_> {
    let images = |x| Images::new(numbers(x), dims(x));
    let scale = 1.0 / ((dims(queries)[3] / heads) as f32).sqrt();
    kernels::Attention { queries: images(queries), keys: images(keys), values: images(values), heads, scale }
}

#[derive(Debug)]
struct ConvolveBackward;

impl Backward<Flex, 3> for ConvolveBackward {
    type State = (Primitive, Primitive, kernels::Conv2d);

    fn backward(self, ops: BackwardOps<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = laid_out(&gradients.consume::<Flex>(&ops.node));
        let (x, weight, conv) = ops.state;
        let [of_x, of_weight, of_bias] = ops.parents;
        let images = Images::new(numbers(&dy), dims(&dy));
        let (x, weight) = (laid_out(&x), laid_out(&weight));
        let shape @ [n, h, w, c] = dims(&x);
        if let Some(node) = of_x {
            let mut dx = vec![0.0; n * h * w * c];
            conv.input_gradient([h, w], numbers(&weight), &images, &mut dx);
            gradients.register::<Flex>(node.id, tensor(dx, shape, &x));
        }
        if let Some(node) = of_weight {
            let mut dw = vec![0.0; conv.weights()];
            conv.weight_gradient(&Images::new(numbers(&x), shape), &images, &mut dw);
            gradients.register::<Flex>(node.id, tensor(dw, dims(&weight), &x));
        }
        if let Some(node) = of_bias {
            let mut db = vec![0.0; conv.channels[0]];
            sum_of_pixels(&images, &mut db);
            gradients.register::<Flex>(node.id, tensor(db, [conv.channels[0]], &x));
        }
    }
}

#[derive(Debug)]
struct NormaliseBackward;

impl Backward<Flex, 3> for NormaliseBackward {
    type State = (Primitive, Primitive, Primitive, NormKind);

    fn backward(self, ops: BackwardOps<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = laid_out(&gradients.consume::<Flex>(&ops.node));
        let (x, weight, bias, norm) = ops.state;
        let (x, weight, bias) = (laid_out(&x), laid_out(&weight), laid_out(&bias));
        let shape @ [.., c] = dims(&x);
        let (mut dx, mut dw, mut db) = (vec![0.0; numbers(&x).len()], vec![0.0; c], vec![0.0; c]);
        kernels::GroupNorm { weight: numbers(&weight), bias: numbers(&bias), groups: norm.groups, eps: norm.eps }.gradient(
            &Images::new(numbers(&x), shape),
            norm.silu,
            &Images::new(numbers(&dy), shape),
            &mut dx,
            &mut dw,
            &mut db,
        );
        let found = [tensor(dx, shape, &x), tensor(dw, [c], &x), tensor(db, [c], &x)];
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                gradients.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct AttendBackward;

impl Backward<Flex, 3> for AttendBackward {
    type State = ([Primitive; 3], usize);

    fn backward(self, ops: BackwardOps<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = laid_out(&gradients.consume::<Flex>(&ops.node));
        let (inputs, heads) = ops.state;
        let inputs = inputs.map(|x| laid_out(&x));
        let shape = dims(&dy);
        let mut found = [(); 3].map(|()| vec![0.0; numbers(&dy).len()]);
        attention(&inputs, heads).gradient(&Images::new(numbers(&dy), shape), found.each_mut().map(Vec::as_mut_slice));
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                gradients.register::<Flex>(node.id, tensor(gradient, shape, &dy));
            }
        }
    }
}

impl<C: CheckpointStrategy> KernelOps for Autodiff<Flex, C> {
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, conv: kernels::Conv2d) -> FloatTensor<Self> {
        match ConvolveBackward.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (x.primitive().clone(), weight.primitive().clone(), conv);
                prep.finish(state, Flex::convolve(x.primitive().clone(), weight.primitive().clone(), bias.primitive().clone(), conv))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::convolve(x.primitive().clone(), weight.primitive().clone(), bias.primitive().clone(), conv))
            }
        }
    }

    fn normalise(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, norm: NormKind) -> FloatTensor<Self> {
        match NormaliseBackward.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (x.primitive().clone(), weight.primitive().clone(), bias.primitive().clone(), norm);
                prep.finish(state, Flex::normalise(x.primitive().clone(), weight.primitive().clone(), bias.primitive().clone(), norm))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::normalise(x.primitive().clone(), weight.primitive().clone(), bias.primitive().clone(), norm))
            }
        }
    }

    fn attend(queries: FloatTensor<Self>, keys: FloatTensor<Self>, values: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let inputs = [&queries, &keys, &values].map(|x| x.primitive().clone());
        let [q, k, v] = inputs.clone();
        let y = Flex::attend(q, k, v, heads);
        match AttendBackward.prepare::<C>([queries.node(), keys.node(), values.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((inputs, heads), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// Our kernels for convolutions, group norms and attention, burn's operations for the rest.
pub(crate) struct Native {
    pub(crate) eager: Eager,
    /// What dropout draws from; none where nothing is dropped.
    pub(crate) dropout: Option<Draws>,
}

/// The random numbers of one evaluation in training: a function of an image's seed, the layer and the number's place in the image, not of
/// what else runs.
pub(crate) struct Draws {
    /// One an image.
    pub(crate) seeds: Vec<u64>,
    /// Layers that have drawn.
    pub(crate) layers: u64,
}

/// Numbers of one stream.
const RUN: usize = 1 << 14;

impl Draws {
    /// A tensor that keeps a share of another's numbers, scaled so that their mean stays.
    fn mask(&mut self, kept: f64, shape: [usize; 4], device: &Device) -> Tensor<4> {
        self.layers += 1;
        let scale = (1.0 / kept) as f32;
        assert_eq!(self.seeds.len(), shape[0], "a seed an image");
        let mut mask = vec![0.0; shape.iter().product()];
        let images = mask.par_chunks_mut(shape[1..].iter().product::<usize>().max(1)).zip(&self.seeds);
        images.for_each(|(image, &seed)| {
            image.par_chunks_mut(RUN).enumerate().for_each(|(i, part)| {
                let mut stream = Stream::new(seed, self.layers, i as u64);
                part.iter_mut().for_each(|m| *m = if stream.unit() < kept { scale } else { 0.0 });
            });
        });
        Tensor::from_data(TensorData::new(mask, shape), device)
    }
}

impl Ops for Native {
    type Image = Tensor<4>;
    type Rows = Tensor<2>;

    fn conv2d(&mut self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        convolve(x, conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()), geometry(conv))
    }

    fn norm(&mut self, norm: &GroupNorm, activation: Option<Activation>, x: Tensor<4>) -> Tensor<4> {
        let silu = activation == Some(Activation::Silu);
        let kind = NormKind { groups: norm.num_groups, eps: norm.epsilon as f32, silu };
        let [weight, bias] = [&norm.gamma, &norm.beta].map(|p| p.as_ref().expect("our norms are affine").val().into_dispatch());
        let y = Tensor::from_dispatch(Dispatch::normalise(x.into_dispatch(), weight, bias, kind));
        match activation {
            Some(activation) if !silu => activation.apply(y),
            _ => y,
        }
    }

    fn activate(&mut self, activation: Activation, x: Tensor<4>) -> Tensor<4> {
        self.eager.activate(activation, x)
    }

    fn attention(&mut self, [to_q, to_k, to_v, to_out]: [&Linear; 4], heads: usize, x: Tensor<4>) -> Tensor<4> {
        let (q, k, v) = (project(to_q, x.clone()), project(to_k, x.clone()), project(to_v, x));
        let attended = Dispatch::attend(q.into_dispatch(), k.into_dispatch(), v.into_dispatch(), heads);
        project(to_out, Tensor::from_dispatch(attended))
    }

    fn enlarge(&mut self, x: Tensor<4>) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let x: Tensor<6> = x.reshape([n, h, 1, w, 1, c]).expand([n, h, 2, w, 2, c]);
        x.reshape([n, 2 * h, 2 * w, c])
    }

    fn halve(&mut self, x: Tensor<4>) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let x: Tensor<6> = x.reshape([n, h / 2, 2, w / 2, 2, c]).mean_dim(2).mean_dim(4);
        x.reshape([n, h / 2, w / 2, c])
    }

    fn add(&mut self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        x + y
    }

    fn concat(&mut self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        Tensor::cat(vec![x, y], 3)
    }

    fn affine(&mut self, x: Tensor<4>, factor: f64, summand: f64) -> Tensor<4> {
        self.eager.affine(x, factor, summand)
    }

    fn dropout(&mut self, dropout: &Dropout, x: Tensor<4>) -> Tensor<4> {
        match &mut self.dropout {
            Some(draws) if dropout.prob > 0.0 => {
                let mask = draws.mask(1.0 - dropout.prob, x.dims(), &x.device());
                x * mask
            }
            _ => x,
        }
    }

    fn project_embedding(&mut self, linear: &Linear, activation: Activation) -> Tensor<2> {
        self.eager.project_embedding(linear, activation)
    }

    fn add_rows(&mut self, x: Tensor<4>, rows: Tensor<2>) -> Tensor<4> {
        x + over_pixels(rows)
    }

    fn scale_shift(&mut self, x: Tensor<4>, rows: Tensor<2>) -> Tensor<4> {
        let mut parts = over_pixels(rows).chunk(2, 3).into_iter();
        let (scale, shift) = (parts.next().expect("two chunks"), parts.next().expect("two chunks"));
        x * (scale + 1.0) + shift
    }

    fn divide_by_timestep(&mut self, x: Tensor<4>) -> Tensor<4> {
        self.eager.divide_by_timestep(x)
    }
}

/// A linear layer of every pixel: a 1×1 convolution.
fn project(linear: &Linear, x: Tensor<4>) -> Tensor<4> {
    let [ins, outs] = linear.weight.dims();
    let weight = linear.weight.val().transpose().reshape([outs, ins, 1, 1]);
    convolve(x, weight, linear.bias.as_ref().map(|bias| bias.val()), kernels::Conv2d::pointwise([outs, ins]))
}

fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, conv: kernels::Conv2d) -> Tensor<4> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([conv.channels[0]], &x.device()));
    Tensor::from_dispatch(Dispatch::convolve(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), conv))
}

/// [n, c] -> [n, 1, 1, c].
fn over_pixels(rows: Tensor<2>) -> Tensor<4> {
    let [n, c] = rows.dims();
    rows.reshape([n, 1, 1, c])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::{Condition, UNet};
    use crate::{Pipeline, training_cpu};
    use burn::module::{Module, ModuleVisitor, Param};
    use std::path::Path;

    struct Gradients<'a>(&'a mut burn::tensor::Gradients, Vec<Vec<f32>>);

    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad_remove(self.0);
            self.1.push(gradient.map_or_else(Vec::new, |g| g.into_data().try_into_vec().unwrap()));
        }
    }

    /// Of Σ y² for every parameter.
    fn gradients(unet: &UNet, y: Tensor<4>) -> Vec<Vec<f32>> {
        let mut found = (y.clone() * y).sum().backward();
        let mut visitor = Gradients(&mut found, Vec::new());
        unet.visit(&mut visitor);
        visitor.1
    }

    /// A share is dropped, the mean stays, and what is drawn is a function of an image's seed and the layer, not of the batch.
    #[test]
    fn dropout_is_keyed() {
        let device = training_cpu();
        let mask = |seeds: &[u64], layers| {
            let mask = Draws { seeds: seeds.to_vec(), layers }.mask(0.9, [seeds.len(), 32, 32, 24], &device);
            mask.into_data().try_into_vec::<f32>().unwrap()
        };
        let first = mask(&[1], 0);
        let kept = first.iter().filter(|m| **m > 0.0).count() as f64 / first.len() as f64;
        assert!((kept - 0.9).abs() < 0.01 && first.iter().all(|m| *m == 0.0 || (*m - 1.0 / 0.9).abs() < 1e-6), "{kept}");
        assert!(first == mask(&[1], 0) && first != mask(&[1], 1) && first != mask(&[2], 0));
        assert!(first[..1024] != first[RUN..RUN + 1024]);
        assert!(mask(&[3, 1, 2], 0) == [mask(&[3], 0), first, mask(&[2], 0)].concat());
    }

    /// Every parameter's gradient by our kernels and by burn's own operations.
    #[test]
    fn gradients_equal_burns() {
        let device = training_cpu();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folders = ["conformance/unet/ddpm", "conformance/unet/scale_shift", "conformance/unet/resnet_resampling", "models/fashion"];
        for (folder, size) in folders.into_iter().zip([[8, 8], [8, 8], [16, 8], [16, 24]]) {
            let unet = Pipeline::load(&root.join(folder), &device).unwrap().unet;
            let [h, w] = size;
            let c = unet.conv_in.weight.dims()[1];
            let x: Vec<f32> = (0..3 * c * h * w).map(|i| ((i * 7919) as f32).sin()).collect();
            let x = Tensor::<4>::from_data(TensorData::new(x, [3, c, h, w]), &device);
            let timesteps = [10, 500, 999];
            let ops = || Eager {
                embedding: unet.embedding(&timesteps, &Condition::None, &device),
                timesteps: Tensor::from_floats([10.0, 500.0, 999.0], &device),
            };
            let burns = gradients(&unet, unet.images(&mut ops(), x.clone()));
            let ours = gradients(&unet, unet.images(&mut Native { eager: ops(), dropout: None }, x.permute([0, 2, 3, 1])));
            assert_eq!(ours.len(), burns.len());
            // Some gradients are zero but for rounding (that of a key's bias): measured against the largest of all.
            let top = burns.iter().flatten().fold(0f32, |m, g| m.max(g.abs()));
            for (parameter, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
                assert_eq!(ours.len(), burns.len());
                let largest = burns.iter().fold(1e-3 * top, |m, g| m.max(g.abs()));
                let error = ours.iter().zip(burns).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
                assert!(error < 1e-4 * largest, "{folder}, parameter {parameter}: {error:e} of {largest:e}");
            }
        }
    }
}

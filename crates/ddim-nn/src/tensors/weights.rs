//! Parameters on a device, and what goes there and comes back.

use crate::graph::{Features, Graph, Id, Index, Op, Parameters};
use crate::plan::write_features;
use crate::unet::UNet;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;
use std::ops::Range;

use super::conv;
use crate::condition::Condition;

/// Images or rows.
pub(super) type Images = Tensor<4>;

/// A network whose parameters lie on a device.
pub(super) struct Weights {
    unet: UNet,
    size: [usize; 2],
    /// Flat, in the order of [`UNet::parameters`].
    parameters: Vec<Tensor<1>>,
    /// Those of convolutions, as products take them.
    matrices: HashMap<usize, Tensor<2>>,
    /// What features are computed from on the processor, which is a few numbers.
    tables: HashMap<usize, Vec<f32>>,
    device: Device,
}

impl Weights {
    pub(super) fn new(unet: &UNet, size: [usize; 2], device: &Device) -> Self {
        let mut tables = HashMap::new();
        for node in unet.graph(size).nodes {
            if let Op::Features(Features::Fourier(id), _) = node.op {
                tables.insert(id, unet.values()[unet.definition().get(id).range.clone()].to_vec());
            }
        }
        let upload = |range: Range<usize>| tensor(&unet.values()[range.clone()], [range.len()], device);
        let parameters = unet.parameters().map(|(_, _, range)| upload(range)).collect();
        let mut weights = Self { unet: unet.without_numbers(), size, parameters, matrices: HashMap::new(), tables, device: device.clone() };
        weights.arrange();
        weights
    }

    pub(super) fn set(&mut self, flat: &Tensor<1>) {
        let ranges = self.unet.parameters().map(|(_, _, range)| range);
        self.parameters = ranges.map(|range| flat.clone().narrow(0, range.start, range.len())).collect();
        self.arrange();
    }

    fn arrange(&mut self) {
        self.matrices.clear();
        for node in self.graph().nodes {
            if let Op::Conv(layer) = node.op {
                self.matrices.insert(layer.weight, conv::matrix(&layer.conv, self.parameters[layer.weight].clone()));
            }
        }
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Of the images that it is for.
    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    pub(super) fn graph(&self) -> Graph {
        self.unet.graph(self.size)
    }

    pub(super) fn definition(&self) -> &Parameters {
        self.unet.definition()
    }

    pub(super) fn parameter(&self, id: usize) -> Tensor<1> {
        self.parameters[id].clone()
    }

    /// The weights of a convolution.
    pub(super) fn matrix(&self, id: usize) -> &Tensor<2> {
        &self.matrices[&id]
    }

    /// The features of timesteps or labels, but for those that are rows of a table.
    pub(super) fn features(&self, features: &Features, index: Index, (timesteps, condition): (&[f32], &Condition), width: usize) -> Images {
        let n = timesteps.len();
        let mut out = vec![0.0; n * width];
        let table = |id: Id| self.tables[&id].as_slice();
        write_features(features, index, timesteps, condition, table, out.chunks_exact_mut(width));
        tensor(&out, [n, 1, 1, width], &self.device)
    }
}

pub(super) fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

//! Parameters on a device, with uploads and downloads.

use crate::executor::GraphModule;
use crate::graph::{Features, Graph, INPUT, Id, Index, Op, Parameters};
use crate::plan::write_features;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::conv;
use crate::condition::Condition;

/// Images or rows.
pub(super) type Images = Tensor<4>;

/// A network whose parameters lie on a device.
pub(super) struct Weights {
    graph: Graph,
    definition: Arc<Parameters>,
    /// What values are, and the factors of products: what convolutions have. All else, which norms have or tables, is f32.
    dtype: FloatDType,
    /// Flat, in the order of their definition.
    parameters: Vec<Tensor<1>>,
    /// Those of convolutions, as products take them.
    matrices: HashMap<usize, Tensor<2>>,
    /// What features are computed from on the processor, which is a few numbers.
    tables: HashMap<usize, Vec<f32>>,
    device: Device,
}

impl Weights {
    pub(super) fn new(module: &GraphModule<'_>, device: &Device, dtype: FloatDType) -> Self {
        let GraphModule { graph, parameters: definition, values } = module;
        let mut tables = HashMap::new();
        for node in &graph.nodes {
            if let Op::Features(Features::Fourier(id), _) = node.op {
                tables.insert(id, values[definition.get(id).range.clone()].to_vec());
            }
        }
        let upload = |range: Range<usize>| tensor(&values[range.clone()], [range.len()], device);
        let parameters = definition.iter().map(|parameter| upload(parameter.range.clone())).collect();
        let (graph, definition, device) = (graph.clone(), definition.clone(), device.clone());
        let mut weights = Self { graph, definition, dtype, parameters, matrices: HashMap::new(), tables, device };
        weights.arrange();
        weights
    }

    pub(super) fn set(&mut self, flat: &Tensor<1>) {
        let of = |range: &Range<usize>| flat.clone().narrow(0, range.start, range.len());
        self.parameters = self.definition.iter().map(|parameter| of(&parameter.range)).collect();
        self.arrange();
    }

    fn arrange(&mut self) {
        self.matrices.clear();
        for node in &self.graph.nodes {
            if let Op::Conv(layer) = &node.op {
                for id in [layer.weight, layer.bias] {
                    self.parameters[id] = self.parameters[id].clone().cast(self.dtype);
                }
                self.matrices.insert(layer.weight, conv::matrix(&layer.conv, self.parameters[layer.weight].clone()));
            }
        }
    }

    /// As values of the network are.
    pub(super) fn narrow<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        x.cast(self.dtype)
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Of the images that it is for.
    pub(super) fn size(&self) -> [usize; 2] {
        let [h, w, _] = self.graph.shape(INPUT);
        [h, w]
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn definition(&self) -> &Parameters {
        &self.definition
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

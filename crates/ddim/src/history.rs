//! The results of earlier steps that a multistep solver keeps.

use crate::real::Real;
use std::collections::VecDeque;

/// The network's last answers for a batch, as a solver looks at them, newest first, and Eq. 12 of the last step.
#[derive(Debug, Clone)]
pub(crate) struct History<T> {
    answers: VecDeque<Vec<T>>,
    most: usize,
    /// Eq. 12 of the last step, before a solver adds to it; kept where it is corrected later.
    pub(crate) euler: Vec<T>,
}

impl<T: Real> History<T> {
    /// For at most `most` answers.
    pub(crate) fn new(most: usize) -> Self {
        Self { answers: VecDeque::new(), most, euler: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    pub(crate) fn clear(&mut self) {
        self.answers.clear();
    }

    /// Answer `k` of image elements `from..from + dim`, 0 the newest.
    pub(crate) fn answer(&self, k: usize, from: usize, dim: usize) -> &[T] {
        &self.answers[k][from..from + dim]
    }

    /// A batch's room for the present answer, to be given back to [`push`](Self::push).
    pub(crate) fn room(&self, len: usize) -> Vec<T> {
        vec![T::from_f64(0.0); if self.most > 0 { len } else { 0 }]
    }

    /// Keeps the present answer, and drops the oldest where there are too many.
    pub(crate) fn push(&mut self, answer: Vec<T>) {
        self.answers.push_front(answer);
        self.answers.truncate(self.most);
    }
}

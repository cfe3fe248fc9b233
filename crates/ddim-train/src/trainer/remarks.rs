//! Remarks before training.

use super::Trainer;
use crate::config::{Config, Decay};

impl Trainer {
    /// Returns what the user should know about these settings before training with them, one line each.
    pub fn remarks(&self) -> Vec<String> {
        let mut found: Vec<String> = self.class_changes.clone();
        let Config { steps, ema, .. } = &self.config;
        let share = self.config.initial_share(0);
        // e^-3: three times the steps over which the average forgets.
        if share > 0.05 {
            let (rate, percent) = (ema.rates[0], (100.0 * share).round());
            let enough = (3.0 / (1.0 - rate)).round();
            // Of those that a run keeps beside it, the slowest that is past its beginning.
            let ripe = (1..ema.rates.len()).filter(|&which| self.config.initial_share(which) <= 0.05).map(|which| ema.rates[which]);
            let other = ripe.max_by(f64::total_cmp).map_or(String::new(), |rate| format!(", --ema {rate} uses another average"));
            found.push(format!(
                "after {steps} steps {percent} % of the average that checkpoints sample with (ema.rates {rate}) is still the initial \
                 weights: expected {enough} steps or more, --set ema.warmup=true, or a smaller rate; --raw uses the plain \
                 weights{other}"
            ));
        }
        let end = self.config.decay_end(*steps);
        // Of those that are yet to come.
        let idle = steps.saturating_sub(end.max(self.step));
        if self.config.optimizer.decay == Decay::Cosine && idle > 0 {
            let them = if idle == 1 { "the last step changes".to_owned() } else { format!("the last {idle} steps change") };
            found.push(format!("the learning rate is 0 after step {end} (optimizer.decay_steps): {them} no weights"));
        }
        if let (Some(rows), true) = (self.network.num_class_embeds, self.data.labels.is_some()) {
            let (known, dropped) = (self.data.classes, self.config.objective.label_dropout > 0.0);
            // The last row may stand for none.
            if known + usize::from(dropped) < rows && known + 1 != rows && self.network.class_embed_type.is_none() {
                let none =
                    format!("; dropped labels use its last row, which guidance cannot use: expected {} rows for guidance", known + 1);
                let none = if dropped { none } else { String::new() };
                found.push(format!("the data has {known} classes and the network {rows}: they are its first {known}{none}"));
            }
        }
        found
    }
}

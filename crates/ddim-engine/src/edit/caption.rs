//! The command line of an edit, for captions.

use super::{Edit, Repaint};
use crate::choices::Eta;
use crate::inversion::Inversion;
use crate::session::Session;
use ddim_train::quoted;
use std::path::PathBuf;

impl Edit {
    /// What decides the pictures, as one would type it.
    pub(super) fn settings(
        &self,
        encoder: Option<&Session<'_, '_>>,
        session: &Session<'_, '_>,
        strength: f64,
        inversion: Option<Inversion>,
    ) -> String {
        let noise = match self.eta {
            Eta::Hat => "--sigma-hat".to_owned(),
            Eta::Value(eta) => format!("--eta {eta}"),
        };
        let path = |flag: &str, path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| format!(" {flag} {}", quoted(path)));
        let input = self.preparation.flags_of(&self.input, self.count);
        let model = encoder.filter(|_| self.to_model.is_some()).map_or_else(|| session.model_flags(), Session::model_flags);
        let others = path("--to-model", &self.to_model) + &path("--from-class", &self.from_class) + &path("--mask", &self.mask);
        let Repaint { times, jump } = self.jumps(encoder.is_some());
        let repaint = if self.mask.is_none() { String::new() } else { format!(" --repaint {times}:{jump}") };
        let inversion = inversion.map_or(String::new(), |inversion| format!(" --inversion {inversion}"));
        let variations = if self.variations == 1 { String::new() } else { format!(" --variations {}", self.variations) };
        format!(
            "{model} {input} --strength {strength} --steps {} --trajectory {} {noise} --seed {}{}{others}{repaint}{inversion}{variations}",
            self.steps,
            session.spacing_word(self.trajectory.as_ref()),
            self.seed,
            session.flags(self.clip, self.solver),
        )
    }
}

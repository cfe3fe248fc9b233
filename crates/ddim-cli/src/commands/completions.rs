//! `ddim completions`

use crate::error::{Error, Result};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::io::Write;

/// Print shell completions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim completions bash > ~/.local/share/bash-completion/completions/ddim
  ddim completions zsh > ~/.zfunc/_ddim                  a folder of $fpath
  ddim completions fish > ~/.config/fish/completions/ddim.fish")]
pub(crate) struct Flags {
    /// Shell to generate completions for.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(flags: &Flags, mut whole: Command) -> Result<()> {
    let mut script = Vec::new();
    generate(flags.shell, &mut whole, "ddim", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script).and_then(|()| out.flush()).map_err(Error::stdout)
}

//! `ddim`: arguments in, calls down, words and files out.

mod commands;
mod error;
mod flags;
mod front;
mod progress;
mod signals;

use clap::Parser;
use commands::Command;
use error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Denoising diffusion implicit models: train once, then choose any sampling trajectory.
///
/// Draws pictures from a diffusion model in 10 to 100 times fewer steps than it was trained with, gives the same picture for the same
/// latent whatever the number of steps, encodes images to latents and back, and interpolates between them (arXiv 2010.02502).
#[derive(Debug, Parser)]
#[command(
    name = "ddim",
    version,
    max_term_width = 110,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = cli.command.run();
    let (code, message) = match result {
        Ok(()) | Err(Error::ClosedPipe) => return ExitCode::SUCCESS,
        Err(Error::Interrupted(signal)) => return signals::end(signal),
        Err(Error::Usage(message)) => (2, message),
        Err(Error::Failure(message)) => (1, message),
    };
    let _ = writeln!(std::io::stderr(), "error: {}", message.replace('\n', " "));
    ExitCode::from(code)
}

/// Help and version go to standard output, which may be closed; a usage error is one line on standard error, and code 2.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let text = error.render().to_string();
    // What is wrong and a tip; usage and a pointer to --help follow.
    let said = text.split("\n\nUsage:").next().unwrap_or(&text).replace("\n\n", "; ");
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches("; For more information, try '--help'.");
    let _ = writeln!(std::io::stderr(), "{line} (see --help)");
    ExitCode::from(2)
}

//! `ddim`: arguments in, calls down, words and files out.

mod commands;
mod error;
mod flags;
mod front;
mod progress;
mod signals;

use clap::{CommandFactory, FromArgMatches, Parser};
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
    let whole = Cli::command().long_version(version());
    let cli = match whole.clone().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = cli.command.run(whole);
    let (code, message) = match result {
        Ok(()) | Err(Error::ClosedPipe) => return ExitCode::SUCCESS,
        Err(Error::Interrupted(signal)) => return signals::end(signal),
        Err(Error::Usage(message)) => (2, message),
        Err(Error::Setting(message) | Error::Failure(message)) => (1, message),
    };
    let _ = writeln!(std::io::stderr(), "error: {}", message.replace('\n', " "));
    ExitCode::from(code)
}

/// What --version says; -V says the number alone. Answers to a report of a fault begin with this.
fn version() -> String {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let models = ddim_engine::built_in().collect::<Vec<_>>().join(", ");
    let rows = [
        ("commit", env!("DDIM_COMMIT").to_owned()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        ("vectors", ddim_engine::vectors().to_owned()),
        ("features", env!("DDIM_FEATURES").to_owned()),
        ("threads", threads.to_string()),
        ("models", models),
    ];
    let rows = rows.iter().map(|(name, value)| format!("\n{name:<8} {value}"));
    format!("{}{}", env!("CARGO_PKG_VERSION"), rows.collect::<String>())
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

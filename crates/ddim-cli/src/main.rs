//! `ddim`: arguments in, calls down, words and files out.

mod commands;
mod error;
mod flags;
mod front;
mod progress;
mod signals;
mod terminal;

use clap::{CommandFactory, FromArgMatches, Parser};
use commands::Command;
use error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Denoising diffusion implicit models: train once, then choose any sampling trajectory.
///
/// Samples from a diffusion model in 10 to 100 times fewer steps than it was trained with. The same latent gives the same image whatever
/// the number of steps, so images can also be encoded to latents, decoded again, and interpolated (arXiv 2010.02502).
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
    let whole = negative_numbers(Cli::command().long_version(version()));
    let result = match whole.clone().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command.run(whole).map(|()| ExitCode::SUCCESS),
        Err(error) => refuse(&error),
    };
    let (code, message) = match result {
        Ok(code) => return code,
        Err(Error::ClosedPipe) => return ExitCode::SUCCESS,
        Err(Error::Interrupted(signal)) => return signals::end(signal),
        Err(Error::Usage(message)) => (2, message),
        Err(Error::Setting(message) | Error::Failure(message)) => (1, message),
    };
    terminal::say(&format!("error: {}", message.replace('\n', " ")));
    ExitCode::from(code)
}

/// Numbers below 0 are values, and refused as such, with the flag's name; no flag is called like one.
fn negative_numbers(command: clap::Command) -> clap::Command {
    let allowed = |arg: clap::Arg| if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg };
    command.mut_args(allowed).mut_subcommands(negative_numbers)
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
fn refuse(error: &clap::Error) -> error::Result<ExitCode> {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.print().and_then(|()| std::io::stdout().flush()).map_err(Error::stdout)?;
        return Ok(ExitCode::from(if error.use_stderr() { 2 } else { 0 }));
    }
    let text = error.render().to_string();
    // What is wrong and a tip; usage and a pointer to --help follow.
    let said = text.split("\n\nUsage:").next().unwrap_or(&text).replace("\n\n", "; ");
    // What Rust says of numbers tells nobody what to write.
    let said = said
        .replace("invalid digit found in string", "expected a whole number, 0 or more")
        .replace("cannot parse integer from empty string", "expected a whole number, 0 or more")
        .replace("number too large to fit in target type", "expected a smaller number")
        .replace("invalid float literal", "expected a number")
        .replace("cannot parse float from empty string", "expected a number");
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches("; For more information, try '--help'.");
    terminal::say(&format!("{line} (see --help)"));
    Ok(ExitCode::from(2))
}

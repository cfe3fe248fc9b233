//! `ddim`: arguments in, calls down, words and files out.

mod args;
mod classes;
mod commands;
mod error;
mod inputs;
mod models;
mod output;
mod progress;
mod session;
mod signals;
mod usage;
mod used_folder;

use args::{Cli, Command};
use clap::Parser;
use error::Error;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Command::Sample(args) => commands::sample::run(&args),
        Command::Encode(args) => commands::encode::run(&args),
        Command::Reconstruct(args) => commands::reconstruct::run(&args),
        Command::Interpolate(args) => commands::interpolate::run(&args),
        Command::Consistency(args) => commands::consistency::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Fid(args) => commands::fid::run(&args),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Nll(args) => commands::nll::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Convert(args) => commands::convert::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
    };
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

//! `ddim man`

use crate::error::{Error, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io::Write;
use std::path::PathBuf;

/// Write manual pages: ddim.1, and one for each verb.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim man ~/.local/share/man/man1        then: man ddim-sample")]
pub(crate) struct Flags {
    /// Folder to write to; created if missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(flags: &Flags, mut whole: Command) -> Result<()> {
    let failed = |path: &std::path::Path, e: std::io::Error| Error::failure(format!("{}: cannot be written: {e}", path.display()));
    std::fs::create_dir_all(&flags.folder).map_err(|e| failed(&flags.folder, e))?;
    // Names of verbs as they are typed, and what every verb has.
    whole.build();
    let verbs = whole.get_subcommands().filter(|verb| verb.get_name() != "help").cloned().collect::<Vec<_>>();
    let mut written = 0;
    for page in std::iter::once(whole).chain(verbs) {
        let name = page.get_display_name().unwrap_or("ddim").to_owned();
        let path = flags.folder.join(format!("{name}.1"));
        let text = manual(page, name).map_err(|e| failed(&path, e))?;
        ddim_engine::write_file(&path, &text).map_err(|e| failed(&path, e))?;
        written += 1;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{written} pages\n{}", flags.folder.display()).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// A page. Its examples are as they stand: clap_mangen fills them into paragraphs.
fn manual(command: Command, name: String) -> std::io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_verbs = command.has_subcommands();
    let man = Man::new(command).title(name).source(concat!("ddim ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_verbs {
        man.render_subcommands_section(&mut text)?;
    }
    let mut examples = after.lines().skip_while(|line| *line == "Examples:").peekable();
    if examples.peek().is_some() {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut text)?;
    }
    Ok(text)
}

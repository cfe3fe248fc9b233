//! One file per verb: its flags, the request that they make, and its report in words. A verb is added by its file and its two lines here.

use crate::error::Result;
use clap::Subcommand;

mod bench;
mod completions;
mod consistency;
mod convert;
mod edit;
mod encode;
mod fid;
mod info;
mod interpolate;
mod man;
mod nll;
mod reconstruct;
mod sample;
mod serve;
mod sweep;
mod train;
mod tune;

macro_rules! verbs {
    ($($verb:ident $module:ident,)*) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($verb(Box<$module::Flags>),)*
            Completions(completions::Flags),
            Man(man::Flags),
        }

        impl Command {
            /// `whole` is the command line itself.
            pub(crate) fn run(&self, whole: clap::Command) -> Result<()> {
                match self {
                    $(Self::$verb(flags) => $module::run(flags),)*
                    Self::Completions(flags) => completions::run(flags, whole),
                    Self::Man(flags) => man::run(flags, whole),
                }
            }
        }
    };
}

verbs! {
    Sample sample,
    Edit edit,
    Encode encode,
    Reconstruct reconstruct,
    Interpolate interpolate,
    Consistency consistency,
    Train train,
    Fid fid,
    Sweep sweep,
    Tune tune,
    Nll nll,
    Info info,
    Convert convert,
    Bench bench,
    Serve serve,
}

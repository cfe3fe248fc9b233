//! One file per verb: its flags, the request that they make, and its report in words. A verb is added by its file and a line here.

use crate::error::Result;
use clap::Subcommand;

macro_rules! verbs {
    ($($verb:ident $module:ident,)*) => {
        $(mod $module;)*

        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($verb(Box<$module::Flags>),)*
        }

        impl Command {
            pub(crate) fn run(&self) -> Result<()> {
                match self {
                    $(Self::$verb(flags) => $module::run(flags),)*
                }
            }
        }
    };
}

verbs! {
    Sample sample,
    Encode encode,
    Reconstruct reconstruct,
    Interpolate interpolate,
    Consistency consistency,
    Train train,
    Fid fid,
    Sweep sweep,
    Nll nll,
    Info info,
    Convert convert,
    Bench bench,
}

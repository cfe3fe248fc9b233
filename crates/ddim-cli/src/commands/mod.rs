//! One module a verb.

pub(crate) mod bench;
pub(crate) mod consistency;
pub(crate) mod convert;
pub(crate) mod encode;
pub(crate) mod fid;
pub(crate) mod info;
pub(crate) mod interpolate;
pub(crate) mod nll;
pub(crate) mod reconstruct;
pub(crate) mod sample;
pub(crate) mod sweep;
pub(crate) mod train;

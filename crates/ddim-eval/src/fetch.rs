//! Downloading one file: the weights of Inception.

use crate::error::{Error, Result};
use crate::features::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

const SHA256: &str = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";
/// Bytes, about: for the progress of a server that does not say.
pub(crate) const SIZE: u64 = 95_628_359;

/// How long a server may say nothing.
const WAIT: Duration = Duration::from_secs(20);

/// Writes what comes from `url`, if it is the weights.
pub(crate) fn fetch(
    url: &str,
    path: &Path,
    failed: &dyn Fn(&dyn std::fmt::Display) -> Error,
    observe: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(WAIT))
        .timeout_recv_response(Some(WAIT))
        .timeout_per_read(Some(WAIT))
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|e| failed(&e).because(e))?;
    let total = response.body().content_length().unwrap_or(SIZE);
    let mut reader = response.body_mut().as_reader();
    let mut file = File::create(path).map_err(|e| failed(&e).because(e))?;
    let mut digest = Sha256::new();
    let (mut buffer, mut come) = (vec![0; 1 << 16], 0);
    loop {
        let n = reader.read(&mut buffer).map_err(|e| failed(&e).because(e))?;
        if n == 0 {
            break;
        }
        digest.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(|e| failed(&e).because(e))?;
        come += n as u64;
        observe(come, total)?;
    }
    let found = hex(&digest.finalize());
    if found != SHA256 {
        return Err(failed(&format!("{come} bytes with SHA-256 {found}, not {SHA256}")));
    }
    file.sync_all().map_err(|e| failed(&e).because(e))
}

//! Tests that need FID's Inception weights run where they are, beside the project; elsewhere they are ignored.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(inception_weights)");
    let weights = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../../../shared/weights/inception-fid.safetensors");
    println!("cargo::rerun-if-changed={}", weights.display());
    if weights.is_file() {
        println!("cargo::rustc-cfg=inception_weights");
    }
}

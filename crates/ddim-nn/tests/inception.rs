//! The FID Inception against pytorch-fid's (conformance/make_inception.py), and files that are not its weights.
//!
//! What is needed beside the project is named by environment variables and looked for when the tests run: a test that misses one is counted
//! as ignored, with the name of what it misses. The usual harness ignores when it is compiled; hence this one.

#![allow(clippy::print_stdout)] // the errors, with --nocapture

use ddim_nn::Inception;
use libtest_mimic::{Arguments, Completion, Trial};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Weights of FID's Inception (2015-12-05).
const INCEPTION: &str = "DDIM_INCEPTION";
/// CIFAR-10's `test_batch.bin`, which is not ours to hand on.
const CIFAR10: &str = "DDIM_CIFAR10";

fn main() {
    let tests = vec![
        needing(&[INCEPTION], "features_equal_pytorch_fids", features_equal_pytorch_fids),
        needing(&[INCEPTION, CIFAR10], "features_of_cifar10", features_of_cifar10),
        needing(&[INCEPTION], "other_weights_are_refused", other_weights_are_refused),
        needing(&[INCEPTION], "weights_are_known_by_their_checksum", weights_are_known_by_their_checksum),
        needing(&[], "what_holds_no_weights_is_refused", what_holds_no_weights_is_refused),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

/// A test that is ignored where one of `variables` names nothing.
fn needing(variables: &'static [&'static str], name: &str, test: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        if let Some(missing) = variables.iter().find(|name| file(name).is_none()) {
            return Ok(Completion::ignored_with(format!("{missing} is not set, see CONTRIBUTING.md")));
        }
        test();
        Ok(Completion::Completed)
    })
}

/// What a variable names.
fn file(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn weights() -> PathBuf {
    file(INCEPTION).expect("looked for before")
}

/// The bytes of an array of f32 or bytes.
fn array(file: &Path, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(File::open(file).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    let header = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    bytes.split_off(header)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The largest difference over all features of an image, relative to their largest.
fn error(name: &str, found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let images = found.chunks(Inception::FEATURES).zip(expected.chunks(Inception::FEATURES));
    let error = images
        .map(|(found, expected)| {
            let top = expected.iter().fold(0f32, |top, v| top.max(v.abs()));
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            worst.fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m }) / top
        })
        .fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
    println!("{name}: {error:.1e} of the largest feature");
    error
}

fn features_equal_pytorch_fids() {
    let net = Inception::load(&weights()).unwrap();
    let golden = root().join("conformance/inception.npz");

    let coloured = array(&golden, "coloured_pictures");
    let found = net.features(&coloured, [37, 53]).unwrap();
    assert!(error("coloured, 37 x 53", &found, &floats(&array(&golden, "coloured"))) < 2e-5);

    let gray: Vec<u8> = (0..16)
        .flat_map(|i| {
            let file = File::open(root().join(format!("conformance/fashion_test/{i:02}.png"))).unwrap();
            let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
            let mut pixels = vec![0; 32 * 32];
            reader.next_frame(&mut pixels).unwrap();
            pixels.into_iter().flat_map(|gray| [gray; 3])
        })
        .collect();
    let found = net.features(&gray, [32, 32]).unwrap();
    assert!(error("gray, 32 x 32", &found, &floats(&array(&golden, "fashion"))) < 2e-5);

    // Those of an image depend neither on the others nor on the threads.
    let size = 37 * 53 * 3;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let one = pool.install(|| net.features(&coloured[2 * size..3 * size], [37, 53]).unwrap());
    let all = net.features(&coloured, [37, 53]).unwrap();
    assert_eq!(one, all[2 * Inception::FEATURES..3 * Inception::FEATURES]);
}

fn features_of_cifar10() {
    let bytes = std::fs::read(file(CIFAR10).expect("looked for before")).unwrap();
    let pixels: Vec<u8> = bytes
        .chunks_exact(3073)
        .take(400)
        .flat_map(|record| (0..1024).flat_map(move |p| [0, 1, 2].map(|channel| record[1 + channel * 1024 + p])))
        .collect();
    let expected = floats(&array(&root().join("../shared/conformance/golden_inception_cifar_test400.npz"), "feats"));
    let found = Inception::load(&weights()).unwrap().features(&pixels, [32, 32]).unwrap();
    assert!(error("CIFAR-10", &found, &expected) < 2e-5);
}

fn other_weights_are_refused() {
    let bytes = std::fs::read(weights()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let zeros = vec![0u8; 1 << 22];
    let ones: Vec<u8> = std::iter::repeat_n(2f32.to_le_bytes(), 32).flatten().collect();
    let nan: Vec<u8> = std::iter::repeat_n(f32::NAN.to_le_bytes(), 32).flatten().collect();
    let refused = |changed: &str, tensor: Option<(&[usize], &[u8])>, expected: &str| {
        let kept = file.iter().filter(|(name, _)| *name != changed).map(|(name, view)| (name.to_owned(), view));
        let added = tensor.map(|(shape, bytes)| (changed.to_owned(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
        std::fs::write(&path, safetensors::serialize(kept.chain(added), None).unwrap()).unwrap();
        let error = Inception::load(&path).expect_err("not the weights").to_string();
        assert!(error.contains(expected) && error.contains("2015-12-05") && error.lines().count() == 1, "{error}");
    };
    refused("Mixed_7c.branch_pool.conv.weight", None, "tensor Mixed_7c.branch_pool.conv.weight is missing");
    refused("Conv2d_1a_3x3.conv.weight", Some((&[32, 3, 1, 1], &zeros[..384])), "has shape [32, 3, 1, 1], not [32, 3, 3, 3]");
    refused("Conv2d_1a_3x3.bn.weight", Some((&[32], &ones)), "torchvision's");
    refused("Conv2d_1a_3x3.bn.running_mean", Some((&[32], &nan)), "not finite");
}

/// One weight that is a little different makes other weights of them; the order of the tensors and a layer that FID does not use do not.
fn weights_are_known_by_their_checksum() {
    let bytes = std::fs::read(weights()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let name = "Mixed_7c.branch_pool.conv.weight";
    let view = file.tensor(name).unwrap();
    let mut changed = view.data().to_vec();
    let last = changed.len() - 4;
    changed[last] ^= 1;
    let checksum = |data: &[u8]| {
        let kept = file.iter().filter(|(other, _)| *other != name && !other.starts_with("fc.")).map(|(n, view)| (n.to_owned(), view));
        let added = (name.to_owned(), TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap());
        // Counters of training, which PyTorch's state dict has, are whole numbers.
        let counter = ("Conv2d_1a_3x3.bn.num_batches_tracked".to_owned(), TensorView::new(Dtype::I64, Vec::new(), &[0; 8]).unwrap());
        std::fs::write(&path, safetensors::serialize([added, counter].into_iter().chain(kept), None).unwrap()).unwrap();
        Inception::load(&path).unwrap().checksum()
    };
    let known = Inception::load(&weights()).unwrap().checksum();
    assert_eq!(checksum(view.data()), known);
    assert_ne!(checksum(&changed), known);
}

fn what_holds_no_weights_is_refused() {
    let refused = |path: &Path, expected: &str| {
        let error = Inception::load(path).expect_err("not the weights").to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    };
    refused(Path::new("nowhere.safetensors"), "nowhere.safetensors");
    refused(&root().join("Cargo.toml"), "not a complete safetensors file");
    refused(&root().join("conformance/unet/ddpm/unet/diffusion_pytorch_model.safetensors"), "Conv2d_1a_3x3");
    refused(&root().join("conformance/unet/legacy_pickle/unet/diffusion_pytorch_model.bin"), "Conv2d_1a_3x3");
}

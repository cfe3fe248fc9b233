//! The FID Inception.
use ddim_nn::Inception;
use std::path::Path;
#[test]
fn speed() {
    let net = Inception::load(Path::new("/work/shared/weights/inception-fid.safetensors")).unwrap();
    let bytes = std::fs::read("/work/data/cifar10/cifar-10-batches-bin/test_batch.bin").unwrap();
    let n: usize = std::env::var("N").map_or(32, |n| n.parse().unwrap());
    let mut pixels = vec![];
    for r in bytes.chunks(3073).take(n) {
        for p in 0..1024 {
            for c in 0..3 {
                pixels.push(r[1 + c * 1024 + p]);
            }
        }
    }
    let t = std::time::Instant::now();
    let f = net.features(&pixels, [32, 32]);
    println!("{} ms an image", t.elapsed().as_secs_f64() * 1e3 / n as f64);
    let mut npz =
        zip::ZipArchive::new(std::fs::File::open("/work/shared/conformance/golden_inception_cifar_test400.npz").unwrap()).unwrap();
    let mut g = vec![];
    std::io::Read::read_to_end(&mut npz.by_index(0).unwrap(), &mut g).unwrap();
    let g: Vec<f32> = g[g.len() - 400 * 2048 * 4..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let e = f.iter().zip(&g).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    let rel: f64 = (f.iter().zip(&g).map(|(a, b)| ((a - b) as f64).powi(2)).sum::<f64>()
        / g[..f.len()].iter().map(|b| (*b as f64).powi(2)).sum::<f64>())
    .sqrt();
    println!("largest {e} of {}, relative norm {rel}", g.iter().fold(0f32, |a, b| a.max(*b)));
}

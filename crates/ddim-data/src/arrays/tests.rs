//! Every reader over the same files: what one reads, the others may refuse, and none fails at.

use super::archive::{names, open_entry};
use super::container::{Container, is_array};
use super::floats::{floats_in, npy_bytes, read_floats, read_floats_any};
use super::read::{batch_of, read_batch, shape_in, shape_of};
use super::real::{Npz, npy_numbers, numbers_of};
use crate::batch::{Batch, Step, interleave};
use crate::fuzz::fuzz;
use ddim::to_byte;
use half::f16;
use std::io::{Cursor, Write};
use zip::ZipArchive;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub(crate) fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn singles(data: impl IntoIterator<Item = f32>) -> Vec<u8> {
    data.into_iter().flat_map(f32::to_le_bytes).collect()
}

pub(crate) fn zip(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Step<Batch> {
    batch_of(Container::of(Cursor::new(bytes))?, usize::MAX)
}

fn refused(bytes: &[u8], expected: &str) {
    let error = read(bytes).unwrap_err();
    assert!(error.contains(expected), "{error}: expected {expected}");
    assert!(!error.contains('\n'));
}

#[test]
fn bytes_in_every_layout() {
    let data: Vec<u8> = (0..2 * 2 * 4 * 3).collect();
    let last = read(&npy("|u1", "False", "(2, 2, 4, 3)", &data)).unwrap();
    assert_eq!((last.size, last.channels, last.len()), ([2, 4], 3, 2));
    assert_eq!(last.bytes, data);
    assert!(last.warnings.is_empty());
    let first = read(&npy("|u1", "False", "(2, 3, 2, 4)", &data)).unwrap();
    assert_eq!((first.size, first.channels), ([2, 4], 3));
    assert_eq!(first.bytes[..6], [0, 8, 16, 1, 9, 17]);
    let gray = read(&npy("|u1", "False", "(2, 4, 6)", &data)).unwrap();
    assert_eq!((gray.size, gray.channels, gray.bytes), ([4, 6], 1, data.clone()));
    let limited = batch_of(Container::of(Cursor::new(npy("|u1", "False", "(2, 4, 6)", &data))).unwrap(), 1).unwrap();
    assert_eq!(limited.bytes, data[..24]);
    // Columns first, as MATLAB and NumPy's transposes are written.
    let mut fortran = vec![0; data.len()];
    for (i, byte) in data.iter().enumerate() {
        let (n, y, x, c) = (i / 24, i / 12 % 2, i / 3 % 4, i % 3);
        fortran[n + 2 * (y + 2 * (x + 4 * c))] = *byte;
    }
    assert_eq!(read(&npy("|u1", "True", "(2, 2, 4, 3)", &fortran)).unwrap().bytes, data);
}

#[test]
fn floats_of_every_width() {
    let values: Vec<f32> = (0..2 * 3 * 16).map(|i| i as f32 / 48.0 - 1.0).collect();
    let expected: Vec<u8> = {
        let planes: Vec<u8> = values.iter().map(|x| to_byte(*x)).collect();
        let mut out = Vec::new();
        planes.chunks_exact(48).for_each(|image| interleave(image, 3, &mut out));
        out
    };
    let doubles: Vec<u8> = values.iter().flat_map(|x| f64::from(*x).to_be_bytes()).collect();
    for bytes in [npy("<f4", "False", "(2, 3, 4, 4)", &singles(values.clone())), npy(">f8", "False", "(2, 3, 4, 4)", &doubles)] {
        let batch = read(&bytes).unwrap();
        assert_eq!((batch.bytes, batch.warnings.len()), (expected.clone(), 0));
    }
    let halves: Vec<u8> = (0..16).flat_map(|i| f16::from_f32(i as f32 / 8.0 - 1.0).to_le_bytes()).collect();
    let batch = read(&npy("<f2", "False", "(1, 4, 4, 1)", &halves)).unwrap();
    assert_eq!(batch.bytes[..3], [0, 16, 32]);
    let wide = npy("<f4", "False", "(1, 1, 2, 2)", &singles([-9.5, 0.0, 0.0, 9.5]));
    assert_eq!(read(&wide).unwrap().bytes, [0, 128, 128, 255], "unclamped samples");
}

#[test]
fn floats_that_are_no_images_in_the_networks_scale() {
    let of = |values: [f32; 8]| npy("<f4", "False", "(2, 1, 2, 2)", &singles(values));
    refused(&of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 255.0]), "values from 0 to 255: expected f32 in [-1, 1]");
    refused(&of([0.0, -300.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]), "values from -300 to 0.5");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        refused(&of([0.0, 0.0, 0.0, 0.0, 0.0, bad, 0.0, 0.0]), "image 1 has numbers that are not finite");
    }
    let warned = read(&of([0.0, 0.5, 1.0, 0.0, 0.0, 0.5, 1.0, 0.0])).unwrap().warnings;
    assert_eq!(warned, ["no value below 0: data in [0, 1]? expected [-1, 1]"]);
    assert!(read(&of([0.0; 8])).unwrap().warnings.is_empty(), "gray pictures are nothing to warn of");
}

#[test]
fn arrays_that_are_refused() {
    refused(&npy("<c8", "False", "(1, 3, 4, 4)", &[0; 384]), "numbers of type <c8: expected bytes");
    refused(&npy("<i8", "False", "(1, 4, 4)", &[0; 128]), "numbers of type <i8");
    refused(&npy("|b1", "False", "(1, 4, 4)", &[0; 16]), "numbers of type |b1");
    refused(&npy("<f4", "False", "(1, 3, 16, 16)", &[0; 472]), "472 bytes of data: expected 3072");
    refused(&npy("|u1", "False", "(99999999999, 32, 32, 3)", &[0; 100]), "100 bytes of data");
    refused(&npy("|u1", "False", "(18446744073709551615, 32, 32, 3)", &[0; 100]), "100 bytes of data");
    refused(&npy("|u1", "False", "(32, 32, 3)", &[0; 3072]), "a single image: expected [1, 32, 32, 3]");
    refused(&npy("|u1", "False", "(10, 784)", &[0; 7840]), "an array of shape [10, 784]");
    refused(&npy("|u1", "False", "(0, 4, 4)", &[]), "an array of shape [0, 4, 4]");
    refused(&npy("|u1", "False", "(2, 4, 4, 4)", &[0; 128]), "an array of shape [2, 4, 4, 4]");
    refused(b"\x93NUMPY\x03\x00\xff\xff\xff\xff{", "a header of 4294967295 bytes");
    refused(b"\x93NUMPY\x01\x00\x76\x00{'descr'", "ends within its header");
    refused(b"text", "not a .npy file");
    refused(b"", "not a .npy file");
    refused(&npy("|u1', 'descr': [('a', '<f4'), ('b", "False", "(1,)", &[]), "without descr");
    let record = b"{'descr': [('a', '<f4'), ('b', '<f4', (2,))], 'fortran_order': False, 'shape': (1,), }";
    let bytes = [b"\x93NUMPY\x01\x00", &(record.len() as u16).to_le_bytes()[..], record].concat();
    refused(&bytes, "numbers of type [('a', '<f4'), ('b', '<f4', (2,))]");
    let warned = read(&npy("|u1", "False", "(3, 32, 32)", &[0; 3072])).unwrap().warnings;
    assert!(warned[0].contains("3 gray images"), "{warned:?}");
}

#[test]
fn headers_as_other_programs_write_them() {
    for header in [
        "{\"shape\":[2L,2L,2L],\"fortran_order\":False,\"descr\":\"|u1\"}",
        "{'descr': 'u1', 'fortran_order': False, 'shape': (2, 2, 2)}   ",
        "  {'fortran_order':False,'descr':'|u1','shape':(2,2,2,),}",
    ] {
        let bytes = [b"\x93NUMPY\x02\x00", &(header.len() as u32).to_le_bytes()[..], header.as_bytes(), &[1; 8]].concat();
        assert_eq!(read(&bytes).unwrap().bytes, [1; 8], "{header}");
    }
}

#[test]
fn archives_of_images_and_labels() {
    let images = npy("|u1", "False", "(3, 2, 2, 3)", &[7; 36]);
    let whole = npy("<i8", "False", "(3,)", &[2i64, 0, 1].map(i64::to_le_bytes).concat());
    let column = npy("<f4", "False", "(3, 1)", &singles([2.0, 0.0, 1.0]));
    let scores = npy("<f4", "False", "(3,)", &singles([0.5, 0.1, 0.2]));
    let other = npy("<i4", "False", "(5,)", &[0; 20]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        for entries in [
            &[("arr_0.npy", &images[..]), ("arr_1.npy", &whole)],
            &[("arr_0.npy", &whole), ("arr_1.npy", &images)],
            &[("labels.npy", &column), ("samples.npy", &images)],
        ] {
            let batch = read(&zip(entries, method)).unwrap();
            assert_eq!((batch.len(), batch.labels, batch.warnings.len()), (3, Some(vec![2, 0, 1]), 0));
        }
    }
    let stored = |entries: &[(&str, &[u8])]| zip(entries, CompressionMethod::Stored);
    let batch = read(&stored(&[("x.npy", &images), ("score.npy", &scores), ("five.npy", &other)])).unwrap();
    assert_eq!(
        (batch.labels, batch.warnings),
        (
            None,
            vec![
                "arrays score (0.5 of image 0: expected class numbers from 0 to 1048575) and five (5 numbers for 3 images) are not used"
                    .to_owned()
            ]
        )
    );
    let batch = read(&stored(&[("x.npy", &images), ("a.npy", &whole), ("b.npy", &column)])).unwrap();
    assert_eq!((batch.labels, batch.warnings), (None, vec!["arrays a and b could each be labels: none is used".to_owned()]));
    let batch = read(&stored(&[("x.npy", &images), ("a.npy", &whole), ("y.npy", &column)])).unwrap();
    assert_eq!((batch.labels, batch.warnings), (Some(vec![2, 0, 1]), vec!["array a is not used".to_owned()]));
    refused(&stored(&[("x.npy", &images), ("labels.npy", &other)]), "array labels: 5 labels: expected 3");
    refused(&stored(&[("x.npy", &images), ("y.npy", &scores)]), "array y: 0.5 of image 0");
    refused(&stored(&[("x.npy", &images), ("z.npy", &images)]), "arrays x (|u1 [3, 2, 2, 3]) and z (|u1 [3, 2, 2, 3]): expected one");
    refused(&stored(&[("mu.npy", &whole), ("sigma.npy", &scores)]), "no array of images among mu (<i8 [3]) and sigma (<f4 [3])");
    refused(&stored(&[("x.npy", &npy("<i8", "False", "(1, 2, 2)", &[0; 32])), ("y.npy", &other)]), "array x: numbers of type <i8");
    refused(&stored(&[("x.npy", &images[..100])]), "array x: too short");
    refused(&stored(&[("a.txt", b"text")]), "an archive without arrays");
    let mut broken = stored(&[("x.npy", &images)]);
    let at = broken.windows(36).position(|w| w == [7; 36]).unwrap();
    broken[at] = 8;
    refused(&broken, "array x: ");
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let values: Vec<f32> = (0..2 * 12).map(|i| i as f32 - 12.5).collect();
    std::fs::write(&path, npy_bytes(&values, [3, 2, 2])).unwrap();
    assert_eq!(read_floats(&path, [3, 2, 2]).unwrap(), values);
    assert_eq!(read_floats_any(&path).unwrap(), ([2, 3, 2, 2], values.clone()));
    assert_eq!(shape_of(&path).unwrap(), [3, 2, 2]);
    assert!(is_array(&path) && !is_array(folder.path()) && !is_array(&folder.path().join("absent")));
    let refused = |bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = read_floats(&path, [3, 2, 2]).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{error}");
    };
    refused(&npy_bytes(&values, [3, 4, 2]), "an array of shape [1, 3, 4, 2]: expected [n, 3, 2, 2]");
    refused(&npy("<f4", "False", "(1, 3, 2, 2)", &singles([f32::NAN; 12])), "NaN in image 0: expected finite numbers");
    refused(&npy("<f4", "False", "(1, 3, 2, 2)", &[0; 40]), "too short for shape [1, 3, 2, 2]: 40 bytes of data: expected 48");
    refused(&npy("<i4", "False", "(1, 3, 2, 2)", &[0; 48]), "numbers of type <i4: expected f32");
    let halves: Vec<u8> = (0..12).flat_map(|i| f16::from_f32(i as f32).to_be_bytes()).collect();
    std::fs::write(&path, npy(">f2", "False", "(1, 3, 2, 2)", &halves)).unwrap();
    assert_eq!(read_floats(&path, [3, 2, 2]).unwrap(), (0..12).map(|i| i as f32).collect::<Vec<_>>());
    // Images 0 and 1 take turns where the first index runs fastest.
    std::fs::write(&path, npy("<f4", "True", "(2, 1, 1, 2)", &singles([0.0, 2.0, 1.0, 3.0]))).unwrap();
    assert_eq!(read_floats(&path, [1, 1, 2]).unwrap(), [0.0, 1.0, 2.0, 3.0]);

    let npz = folder.path().join("x.npz");
    let mu = npy("<f8", "False", "(2,)", &[1.5f64, 2.5].map(f64::to_le_bytes).concat());
    let count = npy("<i8", "False", "()", &7i64.to_le_bytes());
    std::fs::write(&npz, zip(&[("mu.npy", &mu), ("count.npy", &count)], CompressionMethod::Stored)).unwrap();
    let mut archive = Npz::open(&npz).unwrap();
    assert_eq!(archive.names(), ["mu", "count"]);
    let mu = archive.numbers("mu").unwrap().unwrap();
    assert_eq!((mu.shape, mu.data), (vec![2], vec![1.5, 2.5]));
    let count = archive.numbers("count").unwrap().unwrap();
    assert_eq!((count.shape, count.data), (vec![], vec![7.0]));
    assert_eq!(archive.numbers("sigma").unwrap(), None);
    std::fs::write(&npz, b"text").unwrap();
    assert!(read_batch(&npz, 9).unwrap_err().to_string().contains("x.npz: not a .npz file"));
}

/// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib arrays::tests::mutated`
#[test]
fn mutated_npy() {
    let valid = [
        npy("|u1", "False", "(2, 4, 4, 3)", &[9; 96]),
        npy("<f4", "True", "(2, 3, 4, 4)", &singles((0..96).map(|i| i as f32 / 48.0 - 1.0))),
        npy(">f2", "False", "(1, 1, 4, 4)", &[0; 32]),
    ];
    fuzz(&valid, |bytes| {
        if let Ok(batch) = read(bytes) {
            assert!(batch.bytes.len() <= bytes.len());
        }
        let floats = |shape| floats_in(Container::of(Cursor::new(bytes))?, shape);
        let _ = floats(Some([3, 4, 4]));
        let _ = floats(None);
        let _ = npy_numbers(bytes);
        let _ = Container::of(Cursor::new(bytes)).and_then(shape_in);
    });
}

/// As above.
#[test]
fn mutated_npz() {
    let images = npy("<f4", "False", "(2, 3, 2, 2)", &singles([0.5; 24]));
    let labels = npy("<i8", "False", "(2,)", &[0; 16]);
    let entries = [("arr_0.npy", &images[..]), ("y.npy", &labels)];
    fuzz(&[zip(&entries, CompressionMethod::Stored), zip(&entries, CompressionMethod::Deflated)], |bytes| {
        let _ = read(bytes);
        let _ = Container::of(Cursor::new(bytes)).and_then(shape_in);
        let _ = floats_in_npz(bytes);
    });
}

fn floats_in_npz(bytes: &[u8]) -> Step<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    for (index, _) in names(&archive) {
        let _ = open_entry(&mut archive, index).and_then(numbers_of);
    }
    Ok(())
}

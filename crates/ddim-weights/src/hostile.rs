//! Files of every kind in memory: what is wrapped is found; what is damaged gives an error of one line, or a state dict no larger than the
//! file, never a panic or a hang.
//!
//! `DDIM_FUZZ_CASES=1000000 cargo test --release --workspace --lib hostile` tries a million of each kind.

use crate::damage::{cases, damaged, damages};
use crate::state_dict::StateDict;
use crate::torch::TorchFile;
use crate::wrapped::{Unwrapped, safetensors as parse_safetensors, unwrap};
use ::safetensors::tensor::{Dtype, TensorView};
use proptest::prelude::*;
use std::io::{Cursor, Write};
use std::path::Path;

/// What `torch.save` is given.
#[derive(Clone)]
enum Object {
    None,
    Int(u8),
    Dict(Vec<(&'static str, Object)>),
    List(Vec<Object>),
    /// Two numbers, the first as given.
    Tensor(f32),
}

use Object::{Dict, Int, List, Tensor};

/// A U-Net's state dict, as far as it is known by its names.
fn network(prefix: &str, number: f32) -> Object {
    Dict(named(prefix, number))
}

fn named(prefix: &str, number: f32) -> Vec<(&'static str, Object)> {
    let name = |end: &str| -> &'static str { format!("{prefix}{end}").leak() };
    vec![(name("conv_in.weight"), Tensor(number)), (name("time_embedding.linear_1.weight"), Tensor(number))]
}

/// Writes instructions of protocol 2, and the storages' bytes in their order.
fn pickled(object: &Object, out: &mut Vec<u8>, storages: &mut Vec<[u8; 8]>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    match object {
        Object::None => out.push(b'N'),
        Int(n) => out.extend([b'K', *n]),
        Dict(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                text(key, out);
                pickled(value, out, storages);
            }
            out.push(b'u');
        }
        List(items) => {
            out.extend(b"](");
            items.iter().for_each(|item| pickled(item, out, storages));
            out.push(b'e');
        }
        Tensor(number) => {
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            text("storage", out);
            out.extend(b"ctorch\nFloatStorage\n");
            text(&storages.len().to_string(), out);
            text("cpu", out);
            out.extend(b"K\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR");
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            storages.push(bytes);
        }
    }
}

fn program(object: &Object) -> (Vec<u8>, Vec<[u8; 8]>) {
    let (mut out, mut storages) = (vec![0x80, 2], Vec::new());
    pickled(object, &mut out, &mut storages);
    out.push(b'.');
    (out, storages)
}

/// As PyTorch since 1.6 writes it.
fn archived(pickle: &[u8], storages: &[[u8; 8]]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut file = |name: &str, bytes: &[u8]| {
        archive.start_file(name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    };
    file("archive/data.pkl", pickle);
    storages.iter().enumerate().for_each(|(i, bytes)| file(&format!("archive/data/{i}"), bytes));
    archive.finish().unwrap().into_inner()
}

/// As it did before.
fn legacy(pickle: &[u8], storages: &[[u8; 8]]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(pickle);
    let order = (0..storages.len()).map(|i| i.to_string());
    out.extend(b"\x80\x02](");
    for key in order {
        out.push(b'X');
        out.extend((key.len() as u32).to_le_bytes());
        out.extend(key.as_bytes());
    }
    out.extend(b"e.");
    for bytes in storages {
        out.extend(2u64.to_le_bytes());
        out.extend(bytes);
    }
    out
}

fn path() -> &'static Path {
    Path::new("wrapped.ckpt")
}

fn unwrapped(bytes: &[u8], raw: bool) -> Result<Unwrapped, String> {
    let read = || unwrap(TorchFile::parse(Cursor::new(bytes), path())?, raw, path());
    read().map_err(|e| e.to_string())
}

/// The first number of the network that is found.
fn number(object: &Object, raw: bool) -> Result<(f32, Vec<String>), String> {
    let (pickle, storages) = program(object);
    let found = unwrapped(&archived(&pickle, &storages), raw)?;
    let older = unwrapped(&legacy(&pickle, &storages), raw)?;
    assert_eq!(found.notes, older.notes);
    assert!(found.state.contains_key("time_embedding.linear_1.weight"), "{:?}", found.state.keys());
    assert_eq!(found.state["conv_in.weight"].data, older.state["conv_in.weight"].data);
    Ok((found.state["conv_in.weight"].data[0], found.notes))
}

#[test]
fn wrappings() {
    let (own, average) = (|prefix: &str| network(prefix, 1.0), |prefix: &str| network(prefix, 2.0));
    let both = |a: &str, b: &str| Dict([named(a, 1.0), named(b, 2.0), vec![("initted", Tensor(7.0)), ("step", Int(3))]].concat());
    // What is wrapped; what is found, without and with --raw.
    let cases: Vec<(Object, [Option<f32>; 2])> = vec![
        (own(""), [Some(1.0), Some(1.0)]),
        (own("module."), [Some(1.0); 2]),
        (own("_orig_mod.module."), [Some(1.0); 2]),
        (own("model.unet."), [Some(1.0); 2]),
        (Dict(vec![("state_dict", own("")), ("epoch", Int(3))]), [Some(1.0); 2]),
        (Dict(vec![("model", Dict(vec![("module", own("unet."))]))]), [Some(1.0); 2]),
        (
            Dict(vec![("step", Int(9)), ("model", own("")), ("ema", average("")), ("opt", Dict(vec![("state", Dict(vec![]))]))]),
            [Some(2.0), Some(1.0)],
        ),
        (Dict(vec![("state_dict", both("model.", "model_ema."))]), [Some(2.0), Some(1.0)]),
        (both("online_model.model.", "ema_model.model."), [Some(2.0), Some(1.0)]),
        (both("", "ema_model."), [Some(2.0), Some(1.0)]),
        (Dict(vec![("ema_state_dict", average("module."))]), [Some(2.0), None]),
        (List(vec![own(""), Dict(vec![]), Int(1), Int(2), average("")]), [Some(2.0), Some(1.0)]),
        (List(vec![own("module."), Dict(vec![]), Int(1), Int(2), average("module.")]), [Some(2.0), Some(1.0)]),
        (List(vec![own(""), Dict(vec![]), Int(0), Int(3)]), [Some(1.0), Some(1.0)]),
    ];
    for (i, (object, expected)) in cases.iter().enumerate() {
        for (raw, expected) in [false, true].into_iter().zip(expected) {
            match (number(object, raw), expected) {
                (Ok((found, notes)), Some(expected)) => {
                    assert_eq!(found, *expected, "case {i}, raw {raw}");
                    let list = matches!(object, List(_)) && *expected == 1.0;
                    assert_eq!(notes.iter().any(|note| note.contains("no averaged weights")), list && !raw, "case {i}: {notes:?}");
                }
                (Err(message), None) => assert!(message.contains("holds only averaged weights"), "case {i}: {message}"),
                (found, _) => panic!("case {i}, raw {raw}: {found:?}"),
            }
        }
    }
    for (object, word) in [
        (Dict(vec![("a", own("")), ("b", own(""))]), "several networks, a, b"),
        (Dict(vec![("epoch", Int(1)), ("lr", Object::None)]), "a dictionary of epoch, lr without a U-Net's tensors"),
        (List(vec![Int(1)]), "a list without a state dict"),
        (Int(3), "a number: expected a state dict"),
    ] {
        let error = number(&object, false).unwrap_err();
        assert!(error.contains("wrapped.ckpt") && error.contains(word), "{word}: {error}");
    }
}

/// Small files must not become much memory: names and objects that are repeated, storages that are shared.
#[test]
fn amplification() {
    let refused = |pickle: &[u8], storages: &[[u8; 8]], word: &str| {
        let error = unwrapped(&archived(pickle, storages), false).unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
    };
    // 5 million objects in as many bytes.
    let mut many = vec![0x80, 2];
    many.resize(5_000_000, b'N');
    many.push(b'.');
    refused(&many, &[], "objects");
    // A tensor a hundred thousand times, under one long name.
    let name = format!("{}.time_embedding.linear_1.weight", "x".repeat(900));
    let mut again = b"\x80\x02}(X".to_vec();
    again.extend((name.len() as u32).to_le_bytes());
    again.extend(name.bytes());
    again.extend(b"q\x00ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89)tRq\x01");
    again.extend(b"h\x00h\x01".repeat(100_000));
    again.extend(b"u.");
    let found = unwrapped(&archived(&again, &[[0; 8]]), false).unwrap();
    assert_eq!((found.state.len(), found.notes.len()), (1, 0));
    // A storage of a million numbers that a thousand names share.
    let mut shared = b"\x80\x02}(".to_vec();
    for i in 0..1000u32 {
        shared.extend(b"X\x04\x00\x00\x00");
        shared.extend(format!("{i:04}").bytes());
        shared.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ");
        shared.extend(1_000_000i32.to_le_bytes());
        shared.extend(b"tQK\x00J");
        shared.extend(1_000_000i32.to_le_bytes());
        shared.extend(b"\x85K\x01\x85\x89)tR");
    }
    shared.extend(b"u.");
    let storage = vec![[0u8; 8]; 500_000].concat();
    let bytes = archive_of(&shared, zip::CompressionMethod::Stored, &[("a/data/0", &storage)]);
    let error = unwrapped(&bytes, false).unwrap_err();
    assert!(error.contains("more numbers than the file can hold"), "{error}");
}

/// An archive of `pickle`, deflated or stored, with one storage and other entries.
fn archive_of(pickle: &[u8], method: zip::CompressionMethod, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("a/data.pkl", zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
    archive.write_all(pickle).unwrap();
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        archive.start_file(*name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A pickle that unpacks to more than the file has is no file of PyTorch's, which stores it.
#[test]
fn a_pickle_that_unpacks_to_much() {
    let mut again = b"\x80\x02}(ctorch._utils\n_rebuild_tensor_v2\nq\x00((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89)tq\x01".to_vec();
    again.extend(b"h\x00h\x01R0".repeat(100_000));
    again.extend(b".");
    let bytes = archive_of(&again, zip::CompressionMethod::Deflated, &[("a/data/0", &[0; 4])]);
    let error = unwrapped(&bytes, false).unwrap_err();
    assert!(error.contains("data.pkl has") && bytes.len() < 10_000, "{error}");
    // A list of pairs, made a dictionary again and again.
    let mut again = b"\x80\x02ccollections\nOrderedDict\nq\x00](".to_vec();
    again.extend(b"](K\x01K\x02e".repeat(1000));
    again.extend(b"e\x85q\x01");
    again.extend(b"h\x00h\x01R0".repeat(1000));
    again.extend(b"N.");
    let error = unwrapped(&archived(&again, &[]), false).unwrap_err();
    assert!(error.contains("more than is in the file"), "{error}");
}

/// What other machines and versions write: PyTorch 0.3 from Python 2, whole numbers among the storages of files before 1.6, and the highest byte first.
#[test]
fn other_writers() {
    let names = ["conv_in.weight", "time_embedding.linear_1.weight"];
    let tensor = |call: &str, class: &str, key: usize, rest: &[u8]| {
        let head = format!("ctorch._utils\n{call}\n((U\x07storagectorch\n{class}\nU\x01{key}U\x03cpuK\x02tQK\x00K\x02");
        [head.as_bytes(), b"\x85K\x01\x85", rest, b"tR"].concat()
    };
    let string = |text: &str| [&[b'U', text.len() as u8][..], text.as_bytes()].concat();
    let numbers = |order: fn(f32) -> [u8; 4]| [3.0, 4.0].map(order).concat();
    // A list of pairs, in Python 2's strings.
    let mut python_2 = b"\x80\x02ccollections\nOrderedDict\n](".to_vec();
    for (key, name) in names.iter().enumerate() {
        python_2.extend([b"](".to_vec(), string(name), tensor("_rebuild_tensor", "FloatStorage", key, b""), b"e".to_vec()].concat());
    }
    python_2.extend(b"e\x85R.");
    let storages = [[3.0f32, 4.0], [5.0, 6.0]].map(|two| <[u8; 8]>::try_from(two.map(f32::to_le_bytes).concat()).unwrap());
    let found = unwrapped(&legacy(&python_2, &storages), false).unwrap().state;
    assert_eq!((&found[names[0]].data[..], &found[names[1]].data[..]), (&[3.0, 4.0][..], &[5.0, 6.0][..]));

    // The state of a generator of random numbers, of bytes, before the weights.
    let mut mixed = b"\x80\x02}(".to_vec();
    mixed.extend([string("rng"), tensor("_rebuild_tensor_v2", "ByteStorage", 0, b"\x89)")].concat());
    mixed.extend([string("model"), b"}(".to_vec()].concat());
    for (key, name) in names.iter().enumerate() {
        mixed.extend([string(name), tensor("_rebuild_tensor_v2", "FloatStorage", key + 1, b"\x89)")].concat());
    }
    mixed.extend(b"uu.");
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend(mixed.iter().chain(b"\x80\x02](U\x010U\x011U\x012e."));
    file.extend(2u64.to_le_bytes().iter().chain(&[7, 9]));
    storages.iter().for_each(|bytes| file.extend(2u64.to_le_bytes().iter().chain(bytes)));
    let found = unwrapped(&file, false).unwrap().state;
    assert_eq!((&found[names[0]].data[..], &found[names[1]].data[..]), (&[3.0, 4.0][..], &[5.0, 6.0][..]));

    let (pickle, _) = program(&network("", 0.0));
    for (order, bytes) in [("big", numbers(f32::to_be_bytes)), ("little", numbers(f32::to_le_bytes))] {
        let entries = [("a/byteorder", order.as_bytes()), ("a/data/0", &bytes), ("a/data/1", &bytes)];
        let found = unwrapped(&archive_of(&pickle, zip::CompressionMethod::Stored, &entries), false).unwrap().state;
        assert_eq!(found[names[0]].data, [3.0, 4.0], "{order}");
    }
}

fn safetensors_of(bytes: &[u8]) -> crate::Result<Unwrapped> {
    parse_safetensors(bytes, false, path())
}

fn check(found: Result<StateDict, String>, length: usize) {
    match found {
        Ok(state) => {
            let numbers: usize = state.values().map(|array| array.data.len()).sum();
            assert!(numbers <= length, "{numbers} numbers of {length} bytes");
        }
        Err(message) => assert!(message.lines().count() == 1 && message.len() < 20_000, "{message:?}"),
    }
}

fn checkpoint() -> (Vec<u8>, Vec<[u8; 8]>) {
    program(&Dict(vec![("model", network("module.", 1.0)), ("ema", network("", 2.0)), ("epoch", Int(3)), ("none", Object::None)]))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn safetensors(damage in damages()) {
        let names = ["conv_in.weight", "time_embedding.linear_1.weight", "half"];
        let views = names.iter().zip([Dtype::F32, Dtype::F64, Dtype::BF16]).map(|(name, dtype)| {
            (*name, TensorView::new(dtype, vec![8 / (dtype.bitsize() / 8), 1], &[1; 8]).unwrap())
        });
        let bytes = damaged(&::safetensors::serialize(views, None).unwrap(), &damage);
        check(safetensors_of(&bytes).map(|found| found.state).map_err(|e| e.to_string()), bytes.len());
    }

    #[test]
    fn pickles(damage in damages(), older: bool, raw: bool) {
        let (pickle, storages) = checkpoint();
        // The program alone: an archive's checksums would find most of what is done to it.
        let pickle = damaged(&pickle, &damage);
        let bytes = if older { legacy(&pickle, &storages) } else { archived(&pickle, &storages) };
        check(unwrapped(&bytes, raw).map(|found| found.state), bytes.len());
    }

    #[test]
    fn archives(damage in damages(), older: bool) {
        let (pickle, storages) = checkpoint();
        let whole = if older { legacy(&pickle, &storages) } else { archived(&pickle, &storages) };
        let bytes = damaged(&whole, &damage);
        check(unwrapped(&bytes, false).map(|found| found.state), bytes.len());
    }
}

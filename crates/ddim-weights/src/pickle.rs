//! PyTorch's own files: the tensors in a pickle, found without running anything.
//!
//! A pickle is a program for a stack machine. This one knows the instructions that `torch.save` writes, builds dictionaries, lists and tensors
//! of them, and takes every other object for an opaque one; no name is looked up, nothing is called. Values live in an arena, so that what
//! refers to itself costs nothing, and arrays are read only when they are asked for.

use crate::error::{Error, Result};
use crate::safetensors::mistaken;
use crate::state_dict::{Array, StateDict, narrowed};
use half::{bf16, f16};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A value, by its place in the arena.
type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    Int(i64),
    /// Shared: a file that repeats a long name costs its memory once.
    Text(Arc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module name`, of a class or function.
    Global(String),
    Storage(Storage),
    Tensor(Tensor),
    /// Anything else.
    Opaque,
}

#[derive(Debug, Clone, PartialEq)]
struct Storage {
    key: Arc<str>,
    dtype: Option<Dtype>,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dtype {
    F32,
    F16,
    Bf16,
    F64,
}

#[derive(Debug, Clone)]
struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Where the bytes of storages are.
enum Container<'a> {
    /// PyTorch 1.6 and later: an archive with a file for each, under this folder.
    Zip(Box<zip::ZipArchive<Source<'a>>>, String),
    /// Before: one after another, at these offsets.
    Plain(Source<'a>, HashMap<Arc<str>, (u64, u64)>),
}

/// A file, or one in memory.
trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}
type Source<'a> = Box<dyn Bytes + 'a>;

/// An open file.
pub(crate) struct Pickle<'a> {
    path: PathBuf,
    nodes: Vec<Node>,
    root: Id,
    container: Container<'a>,
    /// Of the whole file, in bytes.
    length: u64,
}

/// The number that begins a file of PyTorch 0.1.10 to 1.5, pickled.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The longest pickle, without its arrays.
const MOST: u64 = 1 << 26;
/// The most objects in one: a checkpoint of 10,000 tensors with its optimizer has a quarter of a million.
const MOST_NODES: usize = 1 << 22;
/// The longest name of a class or function, and the most dimensions of a tensor.
const MOST_LETTERS: usize = 1 << 10;
const MOST_DIMENSIONS: usize = 16;

impl<'a> Pickle<'a> {
    /// Opens a file that `torch.save` wrote; `path` is for messages.
    pub(crate) fn parse(file: impl Read + Seek + 'a, path: &Path) -> Result<Self> {
        let io = |e: std::io::Error| Error::io(path, e);
        let wrong = |e: String| Error::weights(path, format!("not a PyTorch state dict: {e}"));
        let mut file: Source<'a> = Box::new(file);
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        file.rewind().map_err(io)?;
        let mut first = Vec::new();
        (&mut file).take(512).read_to_end(&mut first).map_err(io)?;
        file.rewind().map_err(io)?;
        if let Some(what) = mistaken(&first) {
            return Err(Error::weights(path, what));
        }
        if first.starts_with(b"PK") {
            let mut archive = zip::ZipArchive::new(file).map_err(|e| wrong(e.to_string()))?;
            let name = archive.file_names().flatten().find(|name| name.ends_with("/data.pkl")).map(std::borrow::Cow::into_owned);
            let name = name.ok_or_else(|| wrong("a zip archive without data.pkl".into()))?;
            let pickle = archive.by_name(&name).map_err(|e| wrong(e.to_string()))?;
            if pickle.size() > MOST {
                return Err(wrong(format!("{name} has {} bytes", pickle.size())));
            }
            let mut machine = Machine::default();
            let root = machine.run(&mut pickle.take(MOST)).map_err(wrong)?;
            let folder = name.trim_end_matches("data.pkl").to_owned();
            return Ok(Self {
                path: path.to_owned(),
                nodes: machine.nodes,
                root,
                container: Container::Zip(Box::new(archive), folder),
                length,
            });
        }
        let neither = || wrong("neither a zip archive nor a file of PyTorch before 1.6".into());
        if first.first() != Some(&0x80) {
            return Err(neither());
        }
        let mut machine = Machine::default();
        let magic = machine.run(&mut (&mut file).take(MOST)).map_err(wrong)?;
        if !matches!(&machine.nodes[magic], Node::Text(found) if **found == *hex(&MAGIC)) {
            return Err(neither());
        }
        // Protocol version and the machine's properties, then the object and the order of its storages.
        for _ in 0..2 {
            machine.run(&mut (&mut file).take(MOST)).map_err(wrong)?;
        }
        let root = machine.run(&mut (&mut file).take(MOST)).map_err(wrong)?;
        let order = machine.run(&mut (&mut file).take(MOST)).map_err(wrong)?;
        let Node::List(order) = machine.nodes[order].clone() else { return Err(wrong("no list of storages".into())) };
        let sizes: HashMap<&str, usize> = machine
            .nodes
            .iter()
            .filter_map(|node| match node {
                Node::Storage(Storage { key, dtype, .. }) => Some((&**key, dtype.map_or(8, Dtype::size))),
                _ => None,
            })
            .collect();
        let mut places = HashMap::new();
        for id in order {
            let Node::Text(key) = &machine.nodes[id] else { return Err(wrong("a storage without a name".into())) };
            let mut count = [0; 8];
            file.read_exact(&mut count).map_err(|_| wrong("it ends within its arrays".into()))?;
            let begin = file.stream_position().map_err(io)?;
            let len = u64::from_le_bytes(count).checked_mul(sizes.get(&**key).copied().unwrap_or(8) as u64);
            let len = len.filter(|len| begin.checked_add(*len).is_some_and(|after| after <= length));
            let len = len.ok_or_else(|| wrong("it ends within its arrays".into()))?;
            places.insert(Arc::clone(key), (begin, len));
            file.seek(SeekFrom::Start(begin + len)).map_err(io)?;
        }
        Ok(Self { path: path.to_owned(), nodes: machine.nodes, root, container: Container::Plain(file, places), length })
    }

    /// The entries of a list (or tuple); none where it is something else.
    pub(crate) fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// What is at the top.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// The entries of a dictionary that have names; none where it is something else.
    pub(crate) fn entries(&self, id: Id) -> Option<Vec<(&str, Id)>> {
        let Node::Dict(entries) = &self.nodes[id] else { return None };
        let named = |(key, value): &(Id, Id)| match &self.nodes[*key] {
            Node::Text(name) => Some((&**name, *value)),
            _ => None,
        };
        Some(entries.iter().filter_map(named).collect())
    }

    /// The names of a dictionary's tensors; what else it holds is passed over.
    pub(crate) fn tensor_names(&self, id: Id) -> Vec<&str> {
        let entries = self.entries(id).unwrap_or_default();
        entries.into_iter().filter(|(_, value)| matches!(self.nodes[*value], Node::Tensor(_))).map(|(name, _)| name).collect()
    }

    /// What an object is, for messages.
    pub(crate) fn kind(&self, id: Id) -> &'static str {
        match &self.nodes[id] {
            Node::Int(_) => "a number",
            Node::Text(_) => "a text",
            Node::Tuple(_) | Node::List(_) => "a list",
            Node::Dict(_) => "a dictionary",
            Node::Tensor(_) => "a tensor",
            Node::Global(_) | Node::Storage(_) | Node::Opaque => "an object of a class that is not read",
        }
    }

    /// Reads the tensors of a dictionary whose names `keep` says.
    pub(crate) fn state_dict(&mut self, id: Id, keep: impl Fn(&str) -> bool) -> Result<StateDict> {
        let path = self.path.clone();
        let Node::Dict(entries) = &self.nodes[id] else {
            return Err(Error::weights(&path, format!("not a PyTorch state dict: {}: expected a dictionary of tensors", self.kind(id))));
        };
        // A name that comes again is what it was last, as in Python.
        let mut tensors: BTreeMap<Arc<str>, Id> = BTreeMap::new();
        for (key, value) in entries {
            if let (Node::Text(name), Node::Tensor(_)) = (&self.nodes[*key], &self.nodes[*value])
                && keep(name)
            {
                tensors.insert(Arc::clone(name), *value);
            }
        }
        let tensor = |(name, id)| match &self.nodes[id] {
            Node::Tensor(tensor) => Some((name, tensor.clone())),
            _ => None,
        };
        let mut tensors: Vec<(Arc<str>, Tensor)> = tensors.into_iter().filter_map(tensor).collect();
        // Tensors may share their storage, which is then read once; what a small file claims to hold stays small all the same.
        tensors.sort_by(|(_, a), (_, b)| a.storage.key.cmp(&b.storage.key));
        let (mut most_bytes, mut most_numbers) = (self.length, self.length);
        let mut last: Option<(Storage, Vec<u8>)> = None;
        let mut arrays = StateDict::new();
        for (name, tensor) in tensors {
            let wrong = |message: String| Error::weights(&path, format!("tensor {name}: {message}"));
            let beyond = || wrong("more numbers than the file can hold".into());
            let dtype = tensor.storage.dtype.ok_or_else(|| wrong("not of F32, F16, BF16 or F64: expected one of these".into()))?;
            let bytes = match last.take() {
                Some((storage, bytes)) if storage == tensor.storage => bytes,
                _ => {
                    let bytes = self.bytes(&tensor.storage, dtype).map_err(wrong)?;
                    most_bytes = most_bytes.checked_sub(bytes.len() as u64).ok_or_else(beyond)?;
                    bytes
                }
            };
            let data = tensor.gather(&bytes, dtype).map_err(wrong)?;
            most_numbers = most_numbers.checked_sub(data.len() as u64).ok_or_else(beyond)?;
            last = Some((tensor.storage, bytes));
            arrays.insert(name.to_string(), Array { shape: tensor.shape, data });
        }
        Ok(arrays)
    }

    fn bytes(&mut self, storage: &Storage, dtype: Dtype) -> std::result::Result<Vec<u8>, String> {
        let expected = storage.len.checked_mul(dtype.size()).ok_or("a storage too large")? as u64;
        let short = |found: u64| format!("its storage has {found} bytes: expected {expected}");
        let mut bytes = Vec::new();
        match &mut self.container {
            Container::Zip(archive, folder) => {
                let file =
                    archive.by_name(&format!("{folder}data/{}", storage.key)).map_err(|e| format!("storage {}: {e}", storage.key))?;
                // As PyTorch writes and requires it; so what the archive holds bounds what is read.
                if file.compression() != zip::CompressionMethod::Stored {
                    return Err(format!("storage {} is compressed: expected it as torch.save writes it", storage.key));
                }
                file.take(expected).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            }
            Container::Plain(file, places) => {
                let (begin, len) = *places.get(&storage.key).ok_or("its storage is missing")?;
                if len < expected {
                    return Err(short(len));
                }
                file.seek(SeekFrom::Start(begin)).map_err(|e| e.to_string())?;
                file.take(expected).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            }
        }
        if bytes.len() as u64 != expected {
            return Err(short(bytes.len() as u64));
        }
        Ok(bytes)
    }
}

impl Dtype {
    fn of(class: &str) -> Option<Self> {
        [("FloatStorage", Self::F32), ("HalfStorage", Self::F16), ("BFloat16Storage", Self::Bf16), ("DoubleStorage", Self::F64)]
            .into_iter()
            .find_map(|(name, dtype)| class.ends_with(&format!(" {name}")).then_some(dtype))
    }

    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F64 => 8,
        }
    }

    /// None where f32 cannot hold it.
    fn number(self, b: &[u8]) -> Option<f32> {
        Some(match self {
            Self::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Self::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::F64 => return narrowed(f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
        })
    }
}

impl Tensor {
    /// The numbers in the order of the shape, whatever the strides.
    fn gather(&self, bytes: &[u8], dtype: Dtype) -> std::result::Result<Vec<f32>, String> {
        let outside = || format!("shape {:?} with strides {:?} reaches outside its storage", self.shape, self.strides);
        let total = self.shape.iter().try_fold(1usize, |total, n| total.checked_mul(*n)).ok_or_else(outside)?;
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |at, (n, stride)| at.checked_add((n.max(&1) - 1).checked_mul(*stride)?));
        let size = dtype.size();
        // A stride of 0 would make much of little.
        if self.shape.len() != self.strides.len()
            || self.shape.len() > MOST_DIMENSIONS
            || total > bytes.len() / size
            || (total > 0 && last.is_none_or(|last| last >= bytes.len() / size))
        {
            return Err(outside());
        }
        let mut data = Vec::with_capacity(total);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..total {
            let at = self.offset + index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            data.push(dtype.number(&bytes[at * size..]).ok_or("a number beyond those of f32")?);
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok(data)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[derive(Default)]
struct Machine {
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

type Step<T> = std::result::Result<T, String>;

fn take<const N: usize>(input: &mut impl Read) -> Step<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|_| "it ends within its pickle")?;
    Ok(bytes)
}

fn text(input: &mut impl Read, len: u64) -> Step<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(len).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 != len {
        return Err("it ends within its pickle".into());
    }
    Ok(bytes)
}

/// Up to the end of the line.
fn line(input: &mut impl Read) -> Step<String> {
    let mut bytes = Vec::new();
    loop {
        let [byte] = take(input)?;
        if byte == b'\n' {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.push(byte);
    }
}

impl Machine {
    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn push_text(&mut self, bytes: &[u8]) {
        self.push(Node::Text(String::from_utf8_lossy(bytes).into()));
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("its stack is empty".into());
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| "its stack is empty".into())
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn insert(&mut self, pairs: &[Id]) -> Step<()> {
        let top = self.top()?;
        let pairs = pairs.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if let Node::Dict(entries) = &mut self.nodes[top] {
            entries.extend(pairs);
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        if let Node::List(entries) = &mut self.nodes[top] {
            entries.extend(items);
        }
        Ok(())
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Node::Tuple(items) = &self.nodes[id] else { return None };
        items[..items.len().min(MOST_DIMENSIONS + 1)].iter().map(|item| self.whole(*item)).collect()
    }

    fn whole(&self, id: Id) -> Option<usize> {
        match &self.nodes[id] {
            Node::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// ('storage', class, key, location, length).
    fn storage(&self, id: Id) -> Option<Node> {
        let Node::Tuple(fields) = &self.nodes[id] else { return None };
        let [_, class, key, _, len, ..] = fields.as_slice() else { return None };
        let (Node::Global(class), Node::Text(key)) = (&self.nodes[*class], &self.nodes[*key]) else { return None };
        Some(Node::Storage(Storage { key: Arc::clone(key), dtype: Dtype::of(class), len: self.whole(*len)? }))
    }

    /// What a call would give, for the few functions whose results matter.
    fn call(&self, function: Id, arguments: Id) -> Option<Node> {
        let (Node::Global(name), Node::Tuple(arguments)) = (&self.nodes[function], &self.nodes[arguments]) else { return None };
        match (name.as_str(), arguments.as_slice()) {
            ("collections OrderedDict", []) => Some(Node::Dict(Vec::new())),
            ("torch._utils _rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                let Node::Storage(storage) = &self.nodes[*storage] else { return None };
                let (offset, shape, strides) = (self.whole(*offset)?, self.sizes(*shape)?, self.sizes(*strides)?);
                Some(Node::Tensor(Tensor { storage: storage.clone(), offset, shape, strides }))
            }
            ("torch._utils _rebuild_parameter", [tensor, ..]) => {
                let tensor = &self.nodes[*tensor];
                matches!(tensor, Node::Tensor(_)).then(|| tensor.clone())
            }
            _ => None,
        }
    }

    /// Runs one pickle of a stream, up to its end; returns its value.
    fn run(&mut self, input: &mut impl Read) -> Step<Id> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let [code] = take(input)?;
            if self.nodes.len() > MOST_NODES {
                return Err(format!("more than {MOST_NODES} objects: expected those of a state dict"));
            }
            match code {
                // PROTO, FRAME
                0x80 => drop(take::<1>(input)?),
                0x95 => drop(take::<8>(input)?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                b'N' => self.push(Node::Opaque),
                0x88 => self.push(Node::Int(1)),
                0x89 => self.push(Node::Int(0)),
                b'K' => {
                    let [n] = take(input)?;
                    self.push(Node::Int(n.into()));
                }
                b'M' => {
                    let n = u16::from_le_bytes(take(input)?);
                    self.push(Node::Int(n.into()));
                }
                b'J' => {
                    let n = i32::from_le_bytes(take(input)?);
                    self.push(Node::Int(n.into()));
                }
                0x8a => {
                    let [len] = take(input)?;
                    let bytes = text(input, len.into())?;
                    self.push(if bytes == MAGIC {
                        Node::Text(hex(&bytes).into())
                    } else if bytes.len() <= 8 {
                        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                        let mut full = [if negative { 0xff } else { 0 }; 8];
                        full[..bytes.len()].copy_from_slice(&bytes);
                        Node::Int(i64::from_le_bytes(full))
                    } else {
                        Node::Opaque
                    });
                }
                b'G' => {
                    take::<8>(input)?;
                    self.push(Node::Opaque);
                }
                b'I' | b'L' | b'F' | b'S' | b'V' => {
                    line(input)?;
                    self.push(Node::Opaque);
                }
                // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; strings and bytes
                b'X' | b'T' | b'B' => {
                    let len = u32::from_le_bytes(take(input)?);
                    let bytes = text(input, len.into())?;
                    self.push_text(&bytes);
                }
                0x8c | b'U' | b'C' => {
                    let [len] = take(input)?;
                    let bytes = text(input, len.into())?;
                    self.push_text(&bytes);
                }
                0x8d | 0x8e => {
                    let len = u64::from_le_bytes(take(input)?);
                    let bytes = text(input, len)?;
                    self.push_text(&bytes);
                }
                b')' => self.push(Node::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let mut items = (0..code - 0x84).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
                    items.reverse();
                    self.push(Node::Tuple(items));
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Node::Tuple(items));
                }
                b']' => self.push(Node::List(Vec::new())),
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Node::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b'}' => self.push(Node::Dict(Vec::new())),
                b'd' => {
                    let pairs = self.since_mark()?;
                    self.push(Node::Dict(Vec::new()));
                    self.insert(&pairs)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.insert(&[key, value])?;
                }
                b'u' => {
                    let pairs = self.since_mark()?;
                    self.insert(&pairs)?;
                }
                // Sets: nothing that matters holds one.
                0x8f => self.push(Node::Opaque),
                0x90 => drop(self.since_mark()?),
                0x91 => {
                    self.since_mark()?;
                    self.push(Node::Opaque);
                }
                b'c' => {
                    let name = format!("{} {}", line(input)?, line(input)?);
                    self.push(Node::Global(name));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let node = match (&self.nodes[module], &self.nodes[name]) {
                        (Node::Text(module), Node::Text(name)) if module.len().max(name.len()) <= MOST_LETTERS => {
                            Node::Global(format!("{module} {name}"))
                        }
                        _ => Node::Opaque,
                    };
                    self.push(node);
                }
                b'Q' => {
                    let id = self.pop()?;
                    let node = self.storage(id).ok_or("an array whose storage cannot be told")?;
                    self.push(node);
                }
                // REDUCE, NEWOBJ, NEWOBJ_EX
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let node = self.call(function, arguments).unwrap_or(Node::Opaque);
                    self.push(node);
                }
                0x92 => {
                    for _ in 0..3 {
                        self.pop()?;
                    }
                    self.push(Node::Opaque);
                }
                // BUILD: the state of an object, which is not looked at.
                b'b' => drop(self.pop()?),
                b'q' => {
                    let ([key], top) = (take(input)?, self.top()?);
                    self.memo.insert(key.into(), top);
                }
                b'r' => {
                    let (key, top) = (u32::from_le_bytes(take(input)?), self.top()?);
                    self.memo.insert(key.into(), top);
                }
                0x94 => {
                    let top = self.top()?;
                    self.memo.insert(self.memo.len() as u64, top);
                }
                b'h' | b'j' => {
                    let key = if code == b'h' { u64::from(take::<1>(input)?[0]) } else { u64::from(u32::from_le_bytes(take(input)?)) };
                    let id = *self.memo.get(&key).ok_or("it remembers what it never had")?;
                    self.stack.push(id);
                }
                other => return Err(format!("instruction {other:#04x} is not one that torch.save writes")),
            }
        }
    }
}

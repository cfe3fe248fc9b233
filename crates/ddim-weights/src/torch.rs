//! PyTorch's own files: the tensors in a pickle, found without running anything. Their values are read only on request.

use crate::error::{Error, Result};
use crate::pickle::{Id, Names, Pickle, Step, Value};
use crate::safetensors::mistaken;
use crate::state_dict::{Array, StateDict, narrowed};
use half::{bf16, f16};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the names in such a file make.
#[derive(Debug, Default)]
struct Torch {
    objects: Vec<Object>,
}

#[derive(Debug, Clone)]
enum Object {
    Storage(Storage),
    Tensor(Tensor),
}

#[derive(Debug, Clone, PartialEq)]
struct Storage {
    key: Arc<str>,
    dtype: Option<Dtype>,
    /// Bytes of one number, of other types too.
    size: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dtype {
    F32,
    F16,
    Bf16,
    F64,
}

/// As the pickle has it: many tensors of a few bytes each stay small.
#[derive(Debug, Clone, Copy)]
struct Tensor {
    /// Its number among the objects.
    storage: usize,
    offset: usize,
    shape: Id,
    strides: Id,
}

/// Where the numbers of a tensor are.
#[derive(Debug)]
struct Layout {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Where the bytes of storages are.
enum Container<'a> {
    /// PyTorch 1.6 and later: an archive with a file for each, under this folder; whether their numbers begin with the highest byte.
    Zip(Box<zip::ZipArchive<Source<'a>>>, String, bool),
    /// Before: one after another, at these offsets.
    Plain(Source<'a>, HashMap<Arc<str>, (u64, u64)>),
}

/// A file, or one in memory.
trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}
type Source<'a> = Box<dyn Bytes + 'a>;

/// An open file.
pub(crate) struct TorchFile<'a> {
    path: PathBuf,
    pickle: Pickle<'static>,
    torch: Torch,
    root: Id,
    container: Container<'a>,
    /// Of the whole file, in bytes.
    length: u64,
}

/// The number that begins a file of PyTorch 0.1.10 to 1.5.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The longest pickle, without its arrays.
const MOST: u64 = 1 << 26;
/// The longest name of a tensor or wrapping, in bytes, and the most dimensions of a tensor.
const MOST_LETTERS: usize = 1 << 10;
const MOST_DIMENSIONS: usize = 16;

impl<'a> TorchFile<'a> {
    /// Opens a file that `torch.save` wrote; `path` is for messages.
    pub(crate) fn parse(file: impl Read + Seek + 'a, path: &Path) -> Result<Self> {
        let io = |e: std::io::Error| Error::io(path, &e).because(e);
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
            let program = archive.by_name(&name).map_err(|e| wrong(e.to_string()))?;
            let size = program.size();
            // Stored, as PyTorch writes it, it is smaller than the file.
            if size > MOST.min(length) {
                return Err(wrong(format!("{name} has {size} bytes")));
            }
            let mut bytes = Vec::new();
            program.take(size).read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
            let (mut pickle, mut torch) = (Pickle::new(bytes), Torch::default());
            let root = pickle.run(&mut torch).map_err(wrong)?;
            let folder = name.trim_end_matches("data.pkl").to_owned();
            let mut order = String::new();
            if let Ok(entry) = archive.by_name(&format!("{folder}byteorder")) {
                entry.take(8).read_to_string(&mut order).map_err(|e| wrong(e.to_string()))?;
            }
            let container = Container::Zip(Box::new(archive), folder, order.trim() == "big");
            return Ok(Self { path: path.to_owned(), pickle, torch, root, container, length });
        }
        let neither = || wrong("neither a zip archive nor a file of PyTorch before 1.6".into());
        if first.first() != Some(&0x80) {
            return Err(neither());
        }
        let mut bytes = Vec::new();
        (&mut file).take(MOST).read_to_end(&mut bytes).map_err(io)?;
        let (mut pickle, mut torch) = (Pickle::new(bytes), Torch::default());
        let mut next = || pickle.run(&mut torch).map_err(wrong);
        let magic = next()?;
        if !matches!(pickle.value(magic), Value::Long(found) if *pickle.span(*found) == MAGIC) {
            return Err(neither());
        }
        // Protocol version and the machine's properties, then the object and the order of its storages.
        let mut next = || pickle.run(&mut torch).map_err(wrong);
        let [_, _, root, order] = [next()?, next()?, next()?, next()?];
        let Value::List(order) = pickle.value(order) else { return Err(wrong("no list of storages".into())) };
        let sizes: HashMap<&str, usize> = torch
            .objects
            .iter()
            .filter_map(|object| match object {
                Object::Storage(Storage { key, size, .. }) => Some((&**key, *size)),
                Object::Tensor(_) => None,
            })
            .collect();
        let mut places = HashMap::new();
        file.seek(SeekFrom::Start(pickle.position() as u64)).map_err(io)?;
        for id in order {
            let key = text(&pickle, *id).ok_or_else(|| wrong("a storage without a name".into()))?;
            let mut count = [0; 8];
            file.read_exact(&mut count).map_err(|_| wrong("it ends within its arrays".into()))?;
            let begin = file.stream_position().map_err(io)?;
            let len = u64::from_le_bytes(count).checked_mul(sizes.get(key).copied().unwrap_or(8) as u64);
            let len = len.filter(|len| begin.checked_add(*len).is_some_and(|after| after <= length));
            let len = len.ok_or_else(|| wrong("it ends within its arrays".into()))?;
            places.insert(key.into(), (begin, len));
            file.seek(SeekFrom::Start(begin + len)).map_err(io)?;
        }
        Ok(Self { path: path.to_owned(), pickle, torch, root, container: Container::Plain(file, places), length })
    }

    /// The entries of a list (or tuple); none where it is something else.
    pub(crate) fn list(&self, id: Id) -> Option<&[Id]> {
        self.pickle.items(id)
    }

    /// What is at the top.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// The entries of a dictionary that have names; none where it is something else.
    pub(crate) fn entries(&self, id: Id) -> Option<Vec<(&str, Id)>> {
        let Value::Dict(entries) = self.pickle.value(id) else { return None };
        Some(entries.iter().filter_map(|(key, value)| Some((text(&self.pickle, *key)?, *value))).collect())
    }

    /// The names of a dictionary's tensors; what else it holds is passed over.
    pub(crate) fn tensor_names(&self, id: Id) -> Vec<&str> {
        let entries = self.entries(id).unwrap_or_default();
        entries.into_iter().filter(|(_, value)| self.torch.tensor(&self.pickle, *value).is_some()).map(|(name, _)| name).collect()
    }

    /// What an object is, for messages.
    pub(crate) fn kind(&self, id: Id) -> &'static str {
        match self.pickle.value(id) {
            Value::Int(_) | Value::Long(_) => "a number",
            Value::Text(_) | Value::Bytes(_) => "a text",
            Value::Tuple(_) | Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
            Value::Object(_) if self.torch.tensor(&self.pickle, id).is_some() => "a tensor",
            Value::None | Value::Global(_) | Value::Object(_) | Value::Opaque => "an object of an unsupported class",
        }
    }

    /// Reads the tensors of a dictionary whose names `keep` says.
    pub(crate) fn state_dict(&mut self, id: Id, keep: impl Fn(&str) -> bool) -> Result<StateDict> {
        let path = self.path.clone();
        let Some(entries) = self.entries(id) else {
            return Err(Error::weights(&path, format!("not a PyTorch state dict: {}: expected a dictionary of tensors", self.kind(id))));
        };
        // A name that comes again is what it was last, as in Python.
        let mut tensors: BTreeMap<&str, Tensor> = BTreeMap::new();
        for (name, value) in entries {
            if let Some(tensor) = self.torch.tensor(&self.pickle, value)
                && keep(name)
            {
                tensors.insert(name, tensor);
            }
        }
        let layout = |(name, tensor): (&str, Tensor)| Some((name.to_owned(), self.torch.layout(&self.pickle, tensor)?));
        let mut tensors: Vec<(String, Layout)> = tensors.into_iter().filter_map(layout).collect();
        // Tensors may share their storage, which is then read once; what a small file claims to hold stays small all the same.
        tensors.sort_by(|(_, a), (_, b)| a.storage.key.cmp(&b.storage.key));
        let (mut most_bytes, mut most_numbers) = (self.length, self.length);
        let mut last: Option<(Storage, Vec<u8>)> = None;
        let mut arrays = StateDict::new();
        for (name, tensor) in tensors {
            let wrong = |message: String| Error::weights(&path, format!("tensor {name}: {message}"));
            let beyond = || wrong("more numbers than the file can hold".into());
            let dtype = tensor.storage.dtype.ok_or_else(|| wrong("an unsupported dtype: expected F32, F16, BF16 or F64".into()))?;
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
            arrays.insert(name, Array { shape: tensor.shape, data });
        }
        Ok(arrays)
    }

    fn bytes(&mut self, storage: &Storage, dtype: Dtype) -> Step<Vec<u8>> {
        let expected = storage.len.checked_mul(dtype.size()).ok_or("a storage too large")? as u64;
        let short = |found: u64| format!("its storage has {found} bytes: expected {expected}");
        let mut bytes = Vec::new();
        match &mut self.container {
            Container::Zip(archive, folder, big) => {
                let file =
                    archive.by_name(&format!("{folder}data/{}", storage.key)).map_err(|e| format!("storage {}: {e}", storage.key))?;
                // As PyTorch writes and requires it; so what the archive holds bounds what is read.
                if file.compression() != zip::CompressionMethod::Stored {
                    return Err(format!("storage {} is compressed: expected it as torch.save writes it", storage.key));
                }
                file.take(expected).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
                if *big {
                    bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
                }
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

impl Layout {
    /// The numbers in the order of the shape, whatever the strides.
    fn gather(&self, bytes: &[u8], dtype: Dtype) -> Step<Vec<f32>> {
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

impl Torch {
    fn new_object(&mut self, object: Object) -> Value {
        self.objects.push(object);
        Value::Object(self.objects.len() - 1)
    }

    fn tensor(&self, pickle: &Pickle<'_>, id: Id) -> Option<Tensor> {
        match pickle.value(id) {
            Value::Object(object) => match &self.objects[*object] {
                Object::Tensor(tensor) => Some(*tensor),
                Object::Storage(_) => None,
            },
            _ => None,
        }
    }

    fn layout(&self, pickle: &Pickle<'_>, Tensor { storage, offset, shape, strides }: Tensor) -> Option<Layout> {
        let Object::Storage(storage) = &self.objects[storage] else { return None };
        Some(Layout { storage: storage.clone(), offset, shape: sizes(pickle, shape)?, strides: sizes(pickle, strides)? })
    }

    /// ('storage', class, key, location, length).
    fn storage(&self, pickle: &Pickle<'_>, id: Id) -> Option<Storage> {
        let &[_, class, key, _, len, ..] = pickle.items(id)? else { return None };
        let class = pickle.global(class)?;
        let dtype = Dtype::of(class);
        let size = dtype.map_or_else(|| size_of(class), Dtype::size);
        Some(Storage { key: text(pickle, key)?.into(), dtype, size, len: whole(pickle, len)? })
    }
}

impl Names for Torch {
    fn call(&mut self, pickle: &Pickle<'_>, name: &str, arguments: &[Id]) -> Option<Value> {
        match (name, arguments) {
            // The first is PyTorch 0.3's.
            ("torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2", &[storage, offset, shape, strides, ..]) => {
                let Value::Object(storage) = *pickle.value(storage) else { return None };
                let Object::Storage(_) = self.objects[storage] else { return None };
                let offset = whole(pickle, offset)?;
                // What has no sizes is no tensor.
                sizes(pickle, shape)?;
                sizes(pickle, strides)?;
                Some(self.new_object(Object::Tensor(Tensor { storage, offset, shape, strides })))
            }
            ("torch._utils _rebuild_parameter", [tensor, ..]) => {
                self.tensor(pickle, *tensor)?;
                Some(pickle.value(*tensor).clone())
            }
            _ => None,
        }
    }

    fn persistent(&mut self, pickle: &Pickle<'_>, id: Id) -> Step<Value> {
        let storage = self.storage(pickle, id).ok_or("an array whose storage cannot be told")?;
        Ok(self.new_object(Object::Storage(storage)))
    }
}

/// Bytes of a number in the storages of a class that is not one of [`Dtype`]'s.
fn size_of(class: &str) -> usize {
    let of = |size: usize, names: &[&str]| names.iter().any(|name| class.ends_with(&format!(" {name}Storage"))).then_some(size);
    of(1, &["Byte", "Char", "Bool", "QInt8", "QUInt8", "Untyped"])
        .or_else(|| of(2, &["Short"]))
        .or_else(|| of(4, &["Int", "QInt32"]))
        .or_else(|| of(16, &["ComplexDouble"]))
        .unwrap_or(8)
}

fn text<'a>(pickle: &'a Pickle<'_>, id: Id) -> Option<&'a str> {
    pickle.bytes(id).filter(|bytes| bytes.len() <= MOST_LETTERS).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

fn whole(pickle: &Pickle<'_>, id: Id) -> Option<usize> {
    pickle.integer(id).and_then(|n| usize::try_from(n).ok())
}

fn sizes(pickle: &Pickle<'_>, id: Id) -> Option<Vec<usize>> {
    let items = pickle.items(id)?;
    items[..items.len().min(MOST_DIMENSIONS + 1)].iter().map(|item| whole(pickle, *item)).collect()
}

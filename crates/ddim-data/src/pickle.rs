//! Python's pickles of plain data and NumPy's arrays, read without running anything.
//!
//! A pickle is a program for a stack machine. This one knows the instructions of protocols 0 to 5, builds dictionaries, lists, numbers, text and
//! arrays of them, and takes every other object for an opaque one; no name is looked up, nothing is called but what is written here. Values live in
//! an arena, so that what refers to itself costs nothing; bytes stay in the file, where they can. CIFAR's batches are such files.

use crate::arrays::Numbers;
use crate::batch::Step;
use std::borrow::Cow;
use std::collections::HashMap;

/// A value, by its place in the arena.
pub(crate) type Id = usize;

#[derive(Debug, Clone)]
enum Node<'a> {
    None,
    Int(i64),
    /// Bytes or text; Python 2 has one kind for both.
    Bytes(Cow<'a, [u8]>),
    /// Text in UTF-8.
    Text(Cow<'a, [u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module name`, of a class or function.
    Global(String),
    /// `u1`, and whether its bytes are turned around.
    Dtype(Id, bool),
    /// Shape, dtype, Fortran's order, data; before its state is known, none.
    Array(Option<[Id; 4]>),
    /// Anything else.
    Opaque,
}

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

/// An array of a pickle, in C order.
#[derive(Debug, PartialEq)]
pub(crate) struct Array<'a> {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers,
    /// As many as the shape and the numbers say.
    pub(crate) bytes: &'a [u8],
}

/// Values, items of the stack, and of the memo: CIFAR-100's file has 200,000.
const MOST: usize = 1 << 21;

impl<'a> Pickle<'a> {
    /// Runs the one pickle of `bytes`; what follows it is not looked at.
    pub(crate) fn parse(bytes: &'a [u8]) -> Step<Self> {
        // Whatever is decoded was in the file, in some form and once: a byte as Latin-1, that as UTF-8, and that as a byte.
        let mut machine = Machine { input: bytes, owned: 5 * bytes.len() + 1024, ..Machine::default() };
        let root = machine.run()?;
        Ok(Self { nodes: machine.nodes, root })
    }

    /// What the dictionary at the top has under a name, in bytes or text.
    pub(crate) fn get(&self, name: &str) -> Option<Id> {
        let Node::Dict(entries) = &self.nodes[self.root] else { return None };
        let named = |key: Id| matches!(&self.nodes[key], Node::Bytes(b) | Node::Text(b) if **b == *name.as_bytes());
        entries.iter().rev().find(|(key, _)| named(*key)).map(|(_, value)| *value)
    }

    /// Whether the value at the top is a dictionary.
    pub(crate) fn is_dictionary(&self) -> bool {
        matches!(self.nodes[self.root], Node::Dict(_))
    }

    /// The whole numbers of a list, a tuple or an array of one dimension.
    pub(crate) fn integers(&self, id: Id) -> Option<Vec<i64>> {
        match &self.nodes[id] {
            Node::List(items) | Node::Tuple(items) => items.iter().map(|item| self.integer(*item)).collect(),
            Node::Array(_) => {
                let array = self.array(id).ok()?;
                let whole = |x: f64| (x.fract() == 0.0 && x.abs() < 2f64.powi(53)).then_some(x as i64);
                (array.shape.len() == 1).then(|| array.numbers.numbers(array.bytes).map(whole).collect())?
            }
            _ => None,
        }
    }

    /// The strings of a list or tuple; what is not UTF-8 is replaced.
    pub(crate) fn strings(&self, id: Id) -> Option<Vec<String>> {
        let (Node::List(items) | Node::Tuple(items)) = &self.nodes[id] else { return None };
        let string = |item: &Id| match &self.nodes[*item] {
            Node::Bytes(b) | Node::Text(b) => Some(String::from_utf8_lossy(b).into_owned()),
            _ => None,
        };
        items.iter().map(string).collect()
    }

    /// A NumPy array.
    pub(crate) fn array(&self, id: Id) -> Step<Array<'_>> {
        let Node::Array(Some([shape, dtype, fortran, data])) = &self.nodes[id] else { return Err("not a NumPy array".into()) };
        let sizes = match &self.nodes[*shape] {
            Node::Tuple(items) | Node::List(items) => {
                items.iter().map(|item| self.integer(*item).and_then(|n| usize::try_from(n).ok())).collect()
            }
            _ => None,
        };
        let sizes: Vec<usize> = sizes.ok_or("an array without a shape")?;
        let numbers = self.numbers(*dtype).ok_or("an array of a type that holds no numbers")?;
        let bytes = self.bytes(*data).ok_or("an array without data")?;
        let expected = sizes.iter().try_fold(numbers.size, |total, n| total.checked_mul(*n));
        if expected != Some(bytes.len()) {
            return Err(format!("{} bytes of data: expected an array of shape {sizes:?}", bytes.len()));
        }
        // One long axis is the same in both orders.
        if !matches!(self.nodes[*fortran], Node::Int(0) | Node::None) && sizes.iter().filter(|n| **n > 1).count() > 1 {
            return Err("an array in Fortran order: expected C order".into());
        }
        Ok(Array { shape: sizes, numbers, bytes })
    }

    fn integer(&self, id: Id) -> Option<i64> {
        match self.nodes[id] {
            Node::Int(n) => Some(n),
            _ => None,
        }
    }

    fn bytes(&self, id: Id) -> Option<&[u8]> {
        match &self.nodes[id] {
            Node::Bytes(b) => Some(b),
            _ => None,
        }
    }

    fn numbers(&self, id: Id) -> Option<Numbers> {
        numbers(&self.nodes, id)
    }
}

fn numbers(nodes: &[Node<'_>], id: Id) -> Option<Numbers> {
    let Node::Dtype(name, big) = nodes[id] else { return None };
    let (Node::Bytes(name) | Node::Text(name)) = &nodes[name] else { return None };
    let name = std::str::from_utf8(name).ok()?.trim_start_matches(['<', '>', '=', '|']);
    Numbers::parse(&format!("{}{name}", if big { '>' } else { '<' }))
}

#[derive(Default)]
struct Machine<'a> {
    input: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// How many bytes may still be decoded into memory of their own.
    owned: usize,
}

const ENDS: &str = "it ends within its pickle";
const GROWS: &str = "a pickle of more than is in the file";
const EMPTY: &str = "a broken pickle: its stack is empty";

impl<'a> Machine<'a> {
    fn bytes(&mut self, len: u64) -> Step<&'a [u8]> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.input.len()).ok_or(ENDS)?;
        let (taken, rest) = self.input.split_at(len);
        self.input = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        Ok(self.bytes(N as u64)?.try_into().expect("that many"))
    }

    /// Up to the end of the line.
    fn line(&mut self) -> Step<&'a [u8]> {
        let len = self.input.iter().position(|b| *b == b'\n').ok_or(ENDS)?;
        let line = self.bytes(len as u64)?;
        self.input = &self.input[1..];
        Ok(line)
    }

    fn push(&mut self, node: Node<'a>) -> Step<()> {
        self.nodes.push(node);
        self.push_again(self.nodes.len() - 1)
    }

    fn push_again(&mut self, id: Id) -> Step<()> {
        self.stack.push(id);
        if self.nodes.len() > MOST || self.stack.len() > MOST {
            return Err(format!("a pickle of more than {MOST} values"));
        }
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        if self.stack.len() <= self.floor() {
            return Err(EMPTY.into());
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| EMPTY.into())
    }

    fn mark(&mut self) -> Step<()> {
        self.marks.push(self.stack.len());
        if self.marks.len() > MOST { Err(format!("a pickle of more than {MOST} values")) } else { Ok(()) }
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("a broken pickle: a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn insert(&mut self, pairs: &[Id]) -> Step<()> {
        let top = self.top()?;
        if let Node::Dict(entries) = &mut self.nodes[top] {
            entries.extend(pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])));
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

    fn remember(&mut self, key: u64) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        if self.memo.len() > MOST { Err(format!("a pickle that remembers more than {MOST} values")) } else { Ok(()) }
    }

    fn recall(&mut self, key: u64) -> Step<()> {
        let id = *self.memo.get(&key).ok_or("a broken pickle: it remembers what it never had")?;
        self.push_again(id)
    }

    /// Takes memory for bytes that are not in the file as they are.
    fn own(&mut self, bytes: Vec<u8>) -> Step<Cow<'a, [u8]>> {
        self.owned = self.owned.checked_sub(bytes.len()).ok_or(GROWS)?;
        Ok(Cow::Owned(bytes))
    }

    /// What a call would give, for the few functions whose results matter.
    fn call(&mut self, function: Id, arguments: Id) -> Step<Node<'a>> {
        let Node::Global(name) = &self.nodes[function] else { return Ok(Node::Opaque) };
        let Node::Tuple(arguments) = &self.nodes[arguments] else { return Ok(Node::Opaque) };
        Ok(match (name.as_str(), arguments.as_slice()) {
            ("numpy.core.multiarray _reconstruct" | "numpy._core.multiarray _reconstruct", _) => Node::Array(None),
            ("numpy dtype", [name, ..]) => Node::Dtype(*name, false),
            ("numpy.core.numeric _frombuffer" | "numpy._core.numeric _frombuffer", &[data, dtype, shape, order]) => {
                let fortran = matches!(&self.nodes[order], Node::Text(b) | Node::Bytes(b) if **b == *b"F");
                self.nodes.push(Node::Int(fortran.into()));
                Node::Array(Some([shape, dtype, self.nodes.len() - 1, data]))
            }
            ("numpy.core.multiarray scalar" | "numpy._core.multiarray scalar", [dtype, data]) => {
                let (Some(numbers), Node::Bytes(data)) = (numbers(&self.nodes, *dtype), &self.nodes[*data]) else {
                    return Ok(Node::Opaque);
                };
                match numbers.numbers(data).next() {
                    Some(x) if x.fract() == 0.0 && x.abs() < 2f64.powi(53) && data.len() == numbers.size => Node::Int(x as i64),
                    _ => Node::Opaque,
                }
            }
            // How Python 3 writes bytes for Python 2.
            ("_codecs encode", [text, codec]) if matches!(&self.nodes[*codec], Node::Text(c) if c.starts_with(b"latin")) => {
                let Node::Text(text) = &self.nodes[*text] else { return Ok(Node::Opaque) };
                // Even looking at it again and again would take long.
                self.owned = self.owned.checked_sub(text.len()).ok_or(GROWS)?;
                if let Cow::Borrowed(text) = text
                    && text.is_ascii()
                {
                    return Ok(Node::Bytes(Cow::Borrowed(text)));
                }
                let bytes = latin_1(text);
                bytes.map_or(Node::Opaque, |bytes| Node::Bytes(Cow::Owned(bytes)))
            }
            ("__builtin__ bytes" | "builtins bytes" | "__builtin__ bytearray" | "builtins bytearray", arguments) => match arguments {
                [] => Node::Bytes(Cow::Borrowed(&[])),
                [bytes] => match &self.nodes[*bytes] {
                    Node::Bytes(Cow::Borrowed(bytes)) => Node::Bytes(Cow::Borrowed(bytes)),
                    _ => Node::Opaque,
                },
                _ => Node::Opaque,
            },
            ("collections OrderedDict", []) => Node::Dict(Vec::new()),
            _ => Node::Opaque,
        })
    }

    /// The state of an object: of arrays and their types, (version, shape, dtype, Fortran's order, data) and (version, byte order, ..).
    fn build(&mut self, object: Id, state: Id) {
        let Node::Tuple(state) = &self.nodes[state] else { return };
        match (&self.nodes[object], state.as_slice()) {
            (Node::Array(None), &[_, shape, dtype, fortran, data]) => {
                self.nodes[object] = Node::Array(Some([shape, dtype, fortran, data]));
            }
            (&Node::Dtype(name, _), &[_, order, ..]) => {
                let big = matches!(&self.nodes[order], Node::Bytes(b) | Node::Text(b) if **b == *b">");
                self.nodes[object] = Node::Dtype(name, big);
            }
            _ => (),
        }
    }

    fn global(&mut self, module: &[u8], name: &[u8]) -> Step<()> {
        // Names are short; longer ones are none that matter.
        let node = match module.len() + name.len() {
            0..64 => Node::Global(format!("{} {}", String::from_utf8_lossy(module), String::from_utf8_lossy(name))),
            _ => Node::Opaque,
        };
        self.push(node)
    }

    /// Runs the pickle up to its end; returns its value.
    fn run(&mut self) -> Step<Id> {
        loop {
            let [code] = self.take()?;
            match code {
                // PROTO, FRAME
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.mark()?,
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push_again(top)?;
                }
                b'N' => self.push(Node::None)?,
                0x88 => self.push(Node::Int(1))?,
                0x89 => self.push(Node::Int(0))?,
                b'K' => {
                    let [n] = self.take()?;
                    self.push(Node::Int(n.into()))?;
                }
                b'M' => {
                    let n = u16::from_le_bytes(self.take()?);
                    self.push(Node::Int(n.into()))?;
                }
                b'J' => {
                    let n = i32::from_le_bytes(self.take()?);
                    self.push(Node::Int(n.into()))?;
                }
                // LONG1, LONG4
                0x8a | 0x8b => {
                    let len = if code == 0x8a { self.take::<1>()?[0].into() } else { u32::from_le_bytes(self.take()?) };
                    let bytes = self.bytes(len.into())?;
                    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                    let mut full = [if negative { 0xff } else { 0 }; 8];
                    let node = full.get_mut(..bytes.len()).map(|low| low.copy_from_slice(bytes));
                    self.push(node.map_or(Node::Opaque, |()| Node::Int(i64::from_le_bytes(full))))?;
                }
                // INT (and protocol 0's booleans, 00 and 01), LONG
                b'I' | b'L' => {
                    let line = std::str::from_utf8(self.line()?).ok().map(|line| line.trim().trim_end_matches('L'));
                    let number = line.and_then(|line| line.parse().ok());
                    self.push(number.map_or(Node::Opaque, Node::Int))?;
                }
                b'F' => {
                    self.line()?;
                    self.push(Node::Opaque)?;
                }
                b'G' => {
                    self.take::<8>()?;
                    self.push(Node::Opaque)?;
                }
                // STRING, Python 2's repr
                b'S' => {
                    let line = self.line()?;
                    let bytes = unquoted(line).ok_or("a broken pickle: a string without quotes")?;
                    let bytes = self.own(bytes)?;
                    self.push(Node::Bytes(bytes))?;
                }
                // UNICODE, raw-unicode-escape
                b'V' => {
                    let line = self.line()?;
                    let text = raw_unicode(line).into_bytes();
                    let text = self.own(text)?;
                    self.push(Node::Text(text))?;
                }
                // BINSTRING, BINBYTES and their short and long kinds; BYTEARRAY8
                b'T' | b'B' => {
                    let len = u32::from_le_bytes(self.take()?);
                    let bytes = self.bytes(len.into())?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                b'U' | b'C' => {
                    let [len] = self.take()?;
                    let bytes = self.bytes(len.into())?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                0x8e | 0x96 => {
                    let len = u64::from_le_bytes(self.take()?);
                    let bytes = self.bytes(len)?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
                b'X' | 0x8c | 0x8d => {
                    let len = match code {
                        b'X' => u32::from_le_bytes(self.take()?).into(),
                        0x8c => self.take::<1>()?[0].into(),
                        _ => u64::from_le_bytes(self.take()?),
                    };
                    let text = self.bytes(len)?;
                    self.push(Node::Text(Cow::Borrowed(text)))?;
                }
                b')' => self.push(Node::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let mut items = (0..code - 0x84).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
                    items.reverse();
                    self.push(Node::Tuple(items))?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                b']' => self.push(Node::List(Vec::new()))?,
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Node::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b'}' => self.push(Node::Dict(Vec::new()))?,
                b'd' => {
                    let pairs = self.since_mark()?;
                    self.push(Node::Dict(Vec::new()))?;
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
                0x8f => self.push(Node::Opaque)?,
                0x90 => drop(self.since_mark()?),
                0x91 => {
                    self.since_mark()?;
                    self.push(Node::Opaque)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&self.nodes[module], &self.nodes[name]) {
                        (&Node::Text(Cow::Borrowed(module)), &Node::Text(Cow::Borrowed(name))) => self.global(module, name)?,
                        _ => self.push(Node::Opaque)?,
                    }
                }
                // Persistent values, and those of extensions: other programs' own.
                b'P' => {
                    self.line()?;
                    self.push(Node::Opaque)?;
                }
                b'Q' => {
                    self.pop()?;
                    self.push(Node::Opaque)?;
                }
                // REDUCE, NEWOBJ, NEWOBJ_EX
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let node = self.call(function, arguments)?;
                    self.push(node)?;
                }
                0x92 => {
                    for _ in 0..3 {
                        self.pop()?;
                    }
                    self.push(Node::Opaque)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    let object = self.top()?;
                    self.build(object, state);
                }
                b'p' => {
                    let line = std::str::from_utf8(self.line()?).ok().and_then(|line| line.trim().parse().ok());
                    self.remember(line.ok_or("a broken pickle: a place that is no number")?)?;
                }
                b'q' => {
                    let [key] = self.take()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.take()?);
                    self.remember(key.into())?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'g' => {
                    let line = std::str::from_utf8(self.line()?).ok().and_then(|line| line.trim().parse().ok());
                    self.recall(line.ok_or("a broken pickle: a place that is no number")?)?;
                }
                b'h' => {
                    let [key] = self.take()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.take()?);
                    self.recall(key.into())?;
                }
                other => return Err(format!("not a pickle of plain data: instruction {other:#04x}")),
            }
        }
    }
}

/// Bytes from text of the characters that Latin-1 has, in UTF-8.
fn latin_1(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            0..0x80 => *byte,
            0xc2 | 0xc3 => (byte << 6) | (rest.next().filter(|b| **b & 0xc0 == 0x80)? & 0x3f),
            _ => return None,
        });
    }
    Some(bytes)
}

/// Python 2's `repr` of a string, read back.
fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner = match line {
        [a @ (b'\'' | b'"'), inner @ .., b] if a == b => inner,
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [escape, more @ ..] = rest else { return None };
        rest = more;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other, // a quote or a backslash
        });
    }
    Some(bytes)
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
fn raw_unicode(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [first, more @ ..] = rest {
        let digits = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            _ => 0,
        };
        let escaped = rest.get(2..2 + digits).filter(|_| digits > 0).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                text.push(c);
                rest = &rest[2 + digits..];
            }
            None => {
                text.push(char::from(*first));
                rest = more;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    /// Python 3.12 and NumPy 2.4: `pickle.dumps({b"data": np.array([[1, 200, 3], [4, 5, 255]], np.uint8), b"labels": [7, 0]}, protocol)`, of each.
    const PROTOCOLS: [&[u8]; 6] = [
        b"(dp0\nc_codecs\nencode\np1\n(Vdata\np2\nVlatin1\np3\ntp4\nRp5\ncnumpy._core.multiarray\n_reconstruct\np6\n(cnumpy\nndarray\np7\n(I0\ntp8\ng1\n(Vb\np9\ng3\ntp10\nRp11\ntp12\nRp13\n(I1\n(I2\nI3\ntp14\ncnumpy\ndtype\np15\n(Vu1\np16\nI00\nI01\ntp17\nRp18\n(I3\nV|\np19\nNNNI-1\nI-1\nI0\ntp20\nbI00\ng1\n(V\x01\xc8\x03\x04\x05\xff\np21\ng3\ntp22\nRp23\ntp24\nbsg1\n(Vlabels\np25\ng3\ntp26\nRp27\n(lp28\nI7\naI0\nas.",
        b"}q\x00(c_codecs\nencode\nq\x01(X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\x00latin1q\x03tq\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06(cnumpy\nndarray\nq\x07(K\x00tq\x08h\x01(X\x01\x00\x00\x00bq\x09h\x03tq\nRq\x0btq\x0cRq\x0d(K\x01(K\x02K\x03tq\x0ecnumpy\ndtype\nq\x0f(X\x02\x00\x00\x00u1q\x10I00\nI01\ntq\x11Rq\x12(K\x03X\x01\x00\x00\x00|q\x13NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14bI00\nh\x01(X\x08\x00\x00\x00\x01\xc3\x88\x03\x04\x05\xc3\xbfq\x15h\x03tq\x16Rq\x17tq\x18bh\x01(X\x06\x00\x00\x00labelsq\x19h\x03tq\x1aRq\x1b]q\x1c(K\x07K\x00eu.",
        b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\x00latin1q\x03\x86q\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08h\x01X\x01\x00\x00\x00bq\x09h\x03\x86q\nRq\x0b\x87q\x0cRq\x0d(K\x01K\x02K\x03\x86q\x0ecnumpy\ndtype\nq\x0fX\x02\x00\x00\x00u1q\x10\x89\x88\x87q\x11Rq\x12(K\x03X\x01\x00\x00\x00|q\x13NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x01X\x08\x00\x00\x00\x01\xc3\x88\x03\x04\x05\xc3\xbfq\x15h\x03\x86q\x16Rq\x17tq\x18bh\x01X\x06\x00\x00\x00labelsq\x19h\x03\x86q\x1aRq\x1b]q\x1c(K\x07K\x00eu.",
        b"\x80\x03}q\x00(C\x04dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x03\x86q\x08cnumpy\ndtype\nq\x09X\x02\x00\x00\x00u1q\n\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00|q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89C\x06\x01\xc8\x03\x04\x05\xffq\x0ftq\x10bC\x06labelsq\x11]q\x12(K\x07K\x00eu.",
        b"\x80\x04\x95\xad\x00\x00\x00\x00\x00\x00\x00}\x94(C\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x06\x01\xc8\x03\x04\x05\xff\x94t\x94bC\x06labels\x94]\x94(K\x07K\x00eu.",
        b"\x80\x05\x95\x98\x00\x00\x00\x00\x00\x00\x00}\x94(C\x04data\x94\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96\x06\x00\x00\x00\x00\x00\x00\x00\x01\xc8\x03\x04\x05\xff\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02K\x03\x86\x94\x8c\x01C\x94t\x94R\x94C\x06labels\x94]\x94(K\x07K\x00eu.",
    ];

    /// Python 2's, of the same with its strings: the authors' own spelling.
    const PYTHON_2: [&[u8]; 2] = [
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x07K\x00eU\x04dataq\x06\
          cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01K\x02K\x03\x86\
          cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89\
          T\x06\x00\x00\x00\x01\xc8\x03\x04\x05\xfftbu.",
        b"(dp1\nS'data'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'\np6\ntp7\nRp8\n(I1\n(L2L\nL3L\n\
          tp9\ncnumpy\ndtype\np10\n(S'u1'\np11\nI0\nI1\ntp12\nRp13\n(I3\nS'|'\np14\nNNNI-1\nI-1\nI0\ntp15\nbI00\nS'\\x01\\xc8\\x03\\x04\
          \\x05\\xff'\np16\ntp17\nbsS\"labels\"\np18\n(lp19\nI7\naI0\nas.",
    ];

    #[test]
    fn every_protocol() {
        for (i, bytes) in PROTOCOLS.iter().chain(&PYTHON_2).enumerate() {
            let pickle = Pickle::parse(bytes).unwrap_or_else(|e| panic!("{i}: {e}"));
            let array = pickle.array(pickle.get("data").unwrap()).unwrap_or_else(|e| panic!("{i}: {e}"));
            assert_eq!((&array.shape[..], array.bytes), (&[2, 3][..], &[1, 200, 3, 4, 5, 255][..]), "{i}");
            assert!(array.numbers.is_byte());
            assert_eq!(pickle.integers(pickle.get("labels").unwrap()), Some(vec![7, 0]), "{i}");
            assert_eq!(pickle.get("absent"), None);
        }
    }

    /// `pickle.dumps({"x": np.array([1, -2], ">i2"), "s": [np.int64(5)], "names": ["a", "bé"]}, 2)`
    const OTHERS: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00xq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04c_codecs\nencode\nq\x05X\x01\x00\x00\x00bq\x06X\x06\x00\x00\x00latin1q\x07\x86q\x08Rq\x09\x87q\nRq\x0b(K\x01K\x02\x85q\x0ccnumpy\ndtype\nq\x0dX\x02\x00\x00\x00i2q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00>q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89h\x05X\x06\x00\x00\x00\x00\x01\xc3\xbf\xc3\xbeq\x13h\x07\x86q\x14Rq\x15tq\x16bX\x01\x00\x00\x00sq\x17]q\x18cnumpy._core.multiarray\nscalar\nq\x19h\x0dX\x02\x00\x00\x00i8q\x1a\x89\x88\x87q\x1bRq\x1c(K\x03X\x01\x00\x00\x00<q\x1dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x1ebh\x05X\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00q\x1fh\x07\x86q Rq!\x86q\"Rq#aX\x05\x00\x00\x00namesq$]q%(X\x01\x00\x00\x00aq&X\x03\x00\x00\x00b\xc3\xa9q'eu.";

    #[test]
    fn other_numbers_and_strings() {
        let pickle = Pickle::parse(OTHERS).unwrap();
        let at = |name| pickle.get(name).unwrap();
        assert_eq!(pickle.integers(at("x")), Some(vec![1, -2]));
        assert_eq!(pickle.integers(at("s")), Some(vec![5]));
        assert_eq!(pickle.strings(at("names")), Some(vec!["a".into(), "bé".into()]));
        assert_eq!(pickle.integers(at("names")), None);
        assert!(pickle.array(at("names")).is_err());
    }

    #[test]
    fn nothing_is_run_and_little_is_taken() {
        // os.system is a name like any other.
        let pickle = Pickle::parse(b"cos\nsystem\n(S'false'\ntR.").unwrap();
        assert!(!pickle.is_dictionary());
        let refused = |bytes: &[u8], expected: &str| {
            let error = Pickle::parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        refused(b"", "it ends");
        refused(b".", "its stack is empty");
        refused(b"(0.", "its stack is empty");
        refused(b"t.", "a mark is missing");
        refused(b"h\x01.", "it remembers what it never had");
        refused(b"B\xff\xff\xff\x7f....", "it ends");
        refused(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "it ends");
        refused(b"\xfe", "instruction 0xfe");
        refused(&vec![b'N'; 3 << 20], "more than");
        refused(&vec![b'('; 3 << 20], "more than");
        // One text, encoded again and again.
        let mut grows = b"c_codecs\nencode\nq\x01X\x00\x10\x00\x00".to_vec();
        grows.extend("é".repeat(2048).bytes());
        grows.extend(b"q\x02X\x06\x00\x00\x00latin1q\x030");
        grows.extend(b"h\x01h\x02h\x03\x86R0".repeat(1000));
        refused(&grows, "more than is in the file");
        // A list in itself.
        assert!(Pickle::parse(b"]q\x01h\x01a.").is_ok());
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib pickle::tests::mutated`
    #[test]
    fn mutated() {
        let valid: Vec<Vec<u8>> = PROTOCOLS.iter().chain(&PYTHON_2).chain([&OTHERS]).map(|b| b.to_vec()).collect();
        fuzz(&valid, |bytes| {
            let Ok(pickle) = Pickle::parse(bytes) else { return };
            for id in ["data", "labels", "x", "s", "names"].into_iter().filter_map(|name| pickle.get(name)) {
                let _ = (pickle.array(id), pickle.integers(id), pickle.strings(id));
            }
        });
    }
}

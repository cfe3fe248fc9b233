//! Python's pickles, of protocols 0 to 5, read without running anything.
//!
//! A pickle is a program for a stack machine. This one builds dictionaries, lists, numbers and text, of which it calls nothing but what is written
//! here: no name is looked up. What a call of a name gives, its readers decide ([`Names`]); any other object is an opaque one. Values live in an
//! arena, so that what refers to itself costs nothing and nothing is as deep as it is nested; bytes stay where they were read, where they can.

use std::borrow::Cow;
use std::collections::HashMap;

/// A value, by its place in the arena.
pub type Id = usize;

/// What went wrong, without the file's name.
pub type Step<T> = std::result::Result<T, String>;

/// Something that a pickle builds.
#[derive(Debug, Clone)]
pub enum Value {
    /// `None`.
    None,
    /// A whole number, or 0 and 1 for `False` and `True`.
    Int(i64),
    /// One beyond these: little-endian, in two's complement.
    Long(Span),
    /// Bytes, or a string of Python 2.
    Bytes(Span),
    /// Text in UTF-8, as far as the pickle is right.
    Text(Span),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// Keys and values in their order. A key that comes again is what it was last.
    Dict(Vec<(Id, Id)>),
    /// `module name`, of a class or function.
    Global(Span),
    /// What [`Names`] made, by a number of its own.
    Object(usize),
    /// Anything else.
    Opaque,
}

/// Where some bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    begin: usize,
    len: usize,
    /// Among those that are not in the input as they are.
    decoded: bool,
}

/// What the names in a pickle mean to its reader.
pub trait Names {
    /// What a call of a class or function, `module name`, gives; none where it does not matter.
    fn call(&mut self, pickle: &Pickle<'_>, name: &str, arguments: &[Id]) -> Option<Value>;

    /// Takes the state that an object ([`Value::Object`]) is given after it was made.
    fn build(&mut self, _pickle: &Pickle<'_>, _object: usize, _state: &[Id]) {}

    /// What is kept outside of the pickle.
    ///
    /// # Errors
    /// What cannot be missed.
    fn persistent(&mut self, _pickle: &Pickle<'_>, _id: Id) -> Step<Value> {
        Ok(Value::Opaque)
    }
}

/// Bytes with one pickle after another, and the values of those that were [`run`](Pickle::run).
#[derive(Debug)]
pub struct Pickle<'a> {
    input: Cow<'a, [u8]>,
    at: usize,
    decoded: Vec<u8>,
    values: Vec<Value>,
    /// How many bytes may still be decoded.
    budget: usize,
}

/// The most values, items of the stack, and of the memo: CIFAR-100's file has 200,000, a checkpoint of 10,000 tensors with its optimizer a
/// quarter of a million.
const MOST: usize = 1 << 22;
/// The longest name of a class or function; longer ones are none that matter.
const MOST_LETTERS: usize = 128;

const ENDS: &str = "it ends within its pickle";
const GROWS: &str = "a pickle of more than is in the file";
const EMPTY: &str = "a broken pickle: its stack is empty";
const NO_PLACE: &str = "a broken pickle: a place that is no number";

impl<'a> Pickle<'a> {
    /// Bytes that begin with a pickle.
    pub fn new(input: impl Into<Cow<'a, [u8]>>) -> Self {
        let input = input.into();
        // Whatever is decoded was in the file, in some form and once: a byte as Latin-1, that as UTF-8, and that as a byte.
        let budget = 5 * input.len() + 1024;
        Self { input, at: 0, decoded: Vec::new(), values: Vec::new(), budget }
    }

    /// Runs the next pickle up to its end; gives its value.
    ///
    /// # Errors
    /// No pickle, one that is damaged, or one of more than four million values.
    pub fn run(&mut self, names: &mut impl Names) -> Step<Id> {
        Machine { pickle: self, names, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
    }

    /// How many bytes the pickles had that were run.
    pub fn position(&self) -> usize {
        self.at
    }

    /// A value.
    ///
    /// # Panics
    /// Where there is none of this id.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Bytes or text.
    pub fn bytes(&self, id: Id) -> Option<&[u8]> {
        match &self.values[id] {
            Value::Bytes(span) | Value::Text(span) => Some(self.span(*span)),
            _ => None,
        }
    }

    /// What is at a place.
    pub fn span(&self, Span { begin, len, decoded }: Span) -> &[u8] {
        let all = if decoded { &self.decoded } else { &*self.input };
        &all[begin..begin + len]
    }

    /// `module name` of a class or function.
    pub fn global(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Global(span) => std::str::from_utf8(self.span(*span)).ok(),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, id: Id) -> Option<i64> {
        match self.values[id] {
            Value::Int(n) => Some(n),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The next bytes.
    fn next(&mut self, len: u64) -> Step<Span> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.input.len() - self.at).ok_or(ENDS)?;
        let span = Span { begin: self.at, len, decoded: false };
        self.at += len;
        Ok(span)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let span = self.next(N as u64)?;
        Ok(self.span(span).try_into().expect("that many"))
    }

    /// Up to the end of the line.
    fn line(&mut self) -> Step<Span> {
        let len = self.input[self.at..].iter().position(|b| *b == b'\n').ok_or(ENDS)?;
        let line = self.next(len as u64)?;
        self.at += 1;
        Ok(line)
    }

    /// A number, in decimal, up to the end of the line.
    fn number<T: std::str::FromStr>(&mut self) -> Step<Option<T>> {
        let line = self.line()?;
        let digits = std::str::from_utf8(self.span(line)).ok();
        Ok(digits.and_then(|digits| digits.trim().trim_end_matches('L').parse().ok()))
    }

    fn spend(&mut self, bytes: usize) -> Step<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(GROWS)?;
        Ok(())
    }

    /// Keeps bytes that are not in the input as they are.
    fn keep(&mut self, bytes: &[u8]) -> Step<Span> {
        self.spend(bytes.len())?;
        let span = Span { begin: self.decoded.len(), len: bytes.len(), decoded: true };
        self.decoded.extend(bytes);
        Ok(span)
    }
}

struct Machine<'m, 'a, N> {
    pickle: &'m mut Pickle<'a>,
    names: &'m mut N,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<N: Names> Machine<'_, '_, N> {
    fn push(&mut self, value: Value) -> Step<()> {
        self.pickle.values.push(value);
        self.push_again(self.pickle.values.len() - 1)
    }

    fn push_again(&mut self, id: Id) -> Step<()> {
        self.stack.push(id);
        within(self.pickle.values.len().max(self.stack.len()))
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(EMPTY.into());
        }
        Ok(self.stack.pop().expect("not empty"))
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| EMPTY.into())
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("a broken pickle: a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn insert(&mut self, pairs: &[Id]) -> Step<()> {
        let top = self.top()?;
        if let Value::Dict(entries) = &mut self.pickle.values[top] {
            entries.extend(pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        if let Value::List(entries) = &mut self.pickle.values[top] {
            entries.extend(items);
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        within(self.memo.len())
    }

    fn recall(&mut self, key: u64) -> Step<()> {
        let id = *self.memo.get(&key).ok_or("a broken pickle: it remembers what it never had")?;
        self.push_again(id)
    }

    fn push_global(&mut self, module: Span, name: Span) -> Step<()> {
        if module.len + name.len > MOST_LETTERS {
            return self.push(Value::Opaque);
        }
        let both = [self.pickle.span(module), self.pickle.span(name)].join(&b' ');
        let both = self.pickle.keep(&both)?;
        self.push(Value::Global(both))
    }

    /// What a call gives: that of Python's own here.
    fn call(&mut self, function: Id, arguments: Id) -> Step<Value> {
        let pickle = &mut *self.pickle;
        let (Some(name), Value::Tuple(arguments)) = (pickle.global(function), &pickle.values[arguments]) else { return Ok(Value::Opaque) };
        match (name, arguments.as_slice()) {
            ("collections OrderedDict", []) => Ok(Value::Dict(Vec::new())),
            // How Python 3 writes bytes for Python 2.
            ("_codecs encode", &[text, codec]) if pickle.bytes(codec).is_some_and(|codec| codec.starts_with(b"latin")) => {
                let Value::Text(text) = pickle.values[text] else { return Ok(Value::Opaque) };
                // Even looking at it again and again would take long.
                pickle.spend(text.len)?;
                if pickle.span(text).is_ascii() {
                    return Ok(Value::Bytes(text));
                }
                let Some(bytes) = latin_1(pickle.span(text)) else { return Ok(Value::Opaque) };
                Ok(Value::Bytes(pickle.keep(&bytes)?))
            }
            ("__builtin__ bytes" | "builtins bytes" | "__builtin__ bytearray" | "builtins bytearray", arguments) => match arguments {
                [] => Ok(Value::Bytes(pickle.keep(&[])?)),
                [bytes] => match pickle.values[*bytes] {
                    Value::Bytes(bytes) => Ok(Value::Bytes(bytes)),
                    _ => Ok(Value::Opaque),
                },
                _ => Ok(Value::Opaque),
            },
            (name, arguments) => Ok(self.names.call(pickle, name, arguments).unwrap_or(Value::Opaque)),
        }
    }

    fn run(mut self) -> Step<Id> {
        loop {
            let [code] = self.pickle.take()?;
            match code {
                // PROTO, FRAME
                0x80 => drop(self.pickle.take::<1>()?),
                0x95 => drop(self.pickle.take::<8>()?),
                b'.' => return self.pop(),
                b'(' => {
                    self.marks.push(self.stack.len());
                    within(self.marks.len())?;
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push_again(top)?;
                }
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Int(1))?,
                0x89 => self.push(Value::Int(0))?,
                b'K' => {
                    let [n] = self.pickle.take()?;
                    self.push(Value::Int(n.into()))?;
                }
                b'M' => {
                    let n = u16::from_le_bytes(self.pickle.take()?);
                    self.push(Value::Int(n.into()))?;
                }
                b'J' => {
                    let n = i32::from_le_bytes(self.pickle.take()?);
                    self.push(Value::Int(n.into()))?;
                }
                // LONG1, LONG4
                0x8a | 0x8b => {
                    let len = if code == 0x8a { self.pickle.take::<1>()?[0].into() } else { u32::from_le_bytes(self.pickle.take()?) };
                    let span = self.pickle.next(len.into())?;
                    let bytes = self.pickle.span(span);
                    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                    let mut full = [if negative { 0xff } else { 0 }; 8];
                    let short = full.get_mut(..bytes.len()).map(|low| low.copy_from_slice(bytes));
                    self.push(short.map_or(Value::Long(span), |()| Value::Int(i64::from_le_bytes(full))))?;
                }
                // INT (and protocol 0's booleans, 00 and 01), LONG
                b'I' | b'L' => {
                    let number = self.pickle.number()?;
                    self.push(number.map_or(Value::Opaque, Value::Int))?;
                }
                b'F' => {
                    self.pickle.line()?;
                    self.push(Value::Opaque)?;
                }
                b'G' => {
                    self.pickle.take::<8>()?;
                    self.push(Value::Opaque)?;
                }
                // STRING, Python 2's repr
                b'S' => {
                    let line = self.pickle.line()?;
                    let bytes = unquoted(self.pickle.span(line)).ok_or("a broken pickle: a string without quotes")?;
                    let bytes = self.pickle.keep(&bytes)?;
                    self.push(Value::Bytes(bytes))?;
                }
                // UNICODE, raw-unicode-escape
                b'V' => {
                    let line = self.pickle.line()?;
                    let text = raw_unicode(self.pickle.span(line));
                    let text = self.pickle.keep(text.as_bytes())?;
                    self.push(Value::Text(text))?;
                }
                // BINSTRING, BINBYTES and their short and long kinds; BYTEARRAY8
                b'T' | b'B' | b'U' | b'C' | 0x8e | 0x96 => {
                    let len = match code {
                        b'T' | b'B' => u32::from_le_bytes(self.pickle.take()?).into(),
                        b'U' | b'C' => self.pickle.take::<1>()?[0].into(),
                        _ => u64::from_le_bytes(self.pickle.take()?),
                    };
                    let bytes = self.pickle.next(len)?;
                    self.push(Value::Bytes(bytes))?;
                }
                // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
                b'X' | 0x8c | 0x8d => {
                    let len = match code {
                        b'X' => u32::from_le_bytes(self.pickle.take()?).into(),
                        0x8c => self.pickle.take::<1>()?[0].into(),
                        _ => u64::from_le_bytes(self.pickle.take()?),
                    };
                    let text = self.pickle.next(len)?;
                    self.push(Value::Text(text))?;
                }
                b')' => self.push(Value::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let mut items = (0..code - 0x84).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
                    items.reverse();
                    self.push(Value::Tuple(items))?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b'd' => {
                    let pairs = self.since_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
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
                0x8f => self.push(Value::Opaque)?,
                0x90 => drop(self.since_mark()?),
                0x91 => {
                    self.since_mark()?;
                    self.push(Value::Opaque)?;
                }
                b'c' => {
                    let (module, name) = (self.pickle.line()?, self.pickle.line()?);
                    self.push_global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&self.pickle.values[module], &self.pickle.values[name]) {
                        (&Value::Text(module), &Value::Text(name)) => self.push_global(module, name)?,
                        _ => self.push(Value::Opaque)?,
                    }
                }
                // PERSID: protocol 0's, in text
                b'P' => {
                    self.pickle.line()?;
                    self.push(Value::Opaque)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let value = self.names.persistent(self.pickle, id)?;
                    self.push(value)?;
                }
                // REDUCE, NEWOBJ, NEWOBJ_EX
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let value = self.call(function, arguments)?;
                    self.push(value)?;
                }
                0x92 => {
                    for _ in 0..3 {
                        self.pop()?;
                    }
                    self.push(Value::Opaque)?;
                }
                b'b' => {
                    let (state, object) = (self.pop()?, self.top()?);
                    if let (Value::Object(object), Value::Tuple(state)) = (&self.pickle.values[object], &self.pickle.values[state]) {
                        self.names.build(self.pickle, *object, state);
                    }
                }
                b'p' => {
                    let key = self.pickle.number()?.ok_or(NO_PLACE)?;
                    self.remember(key)?;
                }
                b'q' => {
                    let [key] = self.pickle.take()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.pickle.take()?);
                    self.remember(key.into())?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'g' => {
                    let key = self.pickle.number()?.ok_or(NO_PLACE)?;
                    self.recall(key)?;
                }
                b'h' => {
                    let [key] = self.pickle.take()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.pickle.take()?);
                    self.recall(key.into())?;
                }
                other => return Err(format!("not a pickle of plain data: instruction {other:#04x}")),
            }
        }
    }
}

fn within(count: usize) -> Step<()> {
    if count > MOST { Err(format!("a pickle of more than {MOST} objects")) } else { Ok(()) }
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

    /// Whose names mean nothing.
    struct Nobody;

    impl Names for Nobody {
        fn call(&mut self, _: &Pickle<'_>, _: &str, _: &[Id]) -> Option<Value> {
            None
        }
    }

    #[test]
    fn nothing_is_run_and_little_is_taken() {
        // os.system is a name like any other.
        let mut system = Pickle::new(b"cos\nsystem\n(S'false'\ntR.");
        let called = system.run(&mut Nobody).unwrap();
        assert!(matches!(system.value(called), Value::Opaque));
        let refused = |bytes: &[u8], expected: &str| {
            let error = Pickle::new(bytes).run(&mut Nobody).unwrap_err();
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
        refused(&vec![b'N'; 5 << 20], "more than");
        refused(&vec![b'('; 5 << 20], "more than");
        // One text, encoded again and again.
        let mut grows = b"c_codecs\nencode\nq\x01X\x00\x10\x00\x00".to_vec();
        grows.extend("é".repeat(2048).bytes());
        grows.extend(b"q\x02X\x06\x00\x00\x00latin1q\x030");
        grows.extend(b"h\x01h\x02h\x03\x86R0".repeat(1000));
        refused(&grows, "more than is in the file");
        // A list in itself.
        assert!(Pickle::new(b"]q\x01h\x01a.").run(&mut Nobody).is_ok());
    }
}

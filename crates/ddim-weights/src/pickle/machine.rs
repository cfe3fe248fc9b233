//! The stack machine, instruction by instruction.

use super::text::{latin_1, raw_unicode, unquoted};
use super::values::{Id, Pickle, Span, Step, Value};
use std::collections::HashMap;

/// What the names in a pickle mean to its reader.
pub trait Names {
    /// Returns the result of calling a class or function, `module name`, or `None` if it does not matter.
    fn call(&mut self, pickle: &Pickle<'_>, name: &str, arguments: &[Id]) -> Option<Value>;

    /// Receives the state that an object ([`Value::Object`]) is given after its creation.
    fn build(&mut self, _pickle: &Pickle<'_>, _object: usize, _state: &[Id]) {}

    /// Returns an object that is kept outside the pickle.
    ///
    /// # Errors
    /// Returns an error if the object is indispensable.
    fn persistent(&mut self, _pickle: &Pickle<'_>, _id: Id) -> Step<Value> {
        Ok(Value::Opaque)
    }
}

/// The most values, items of the stack, and of the memo: CIFAR-100's file has 200,000, a checkpoint of 10,000 tensors with its optimizer a
/// quarter of a million.
const MOST: usize = 1 << 22;
/// The longest name of a class or function; longer ones are none that matter.
const MOST_LETTERS: usize = 128;

const EMPTY: &str = "a broken pickle: its stack is empty";
const NO_PLACE: &str = "a broken pickle: an index that is not a number";

impl Pickle<'_> {
    /// Runs the next pickle to its end and returns its value.
    ///
    /// # Errors
    /// Returns an error if there is no pickle, it is damaged, or it has more than four million values.
    pub fn run(&mut self, names: &mut impl Names) -> Step<Id> {
        Machine { pickle: self, names, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
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
        let id = *self.memo.get(&key).ok_or("a broken pickle: it recalls a value it never stored")?;
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
            // As Python 2 writes one: of a list of pairs.
            ("collections OrderedDict", &[pairs]) => {
                let count = pickle.items(pairs).map_or(0, <[Id]>::len);
                // The same list again and again would be much.
                pickle.spend(count)?;
                let Some(pairs) = pickle.items(pairs) else { return Ok(Value::Opaque) };
                let pair = |id: &Id| match pickle.items(*id)? {
                    &[key, value] => Some((key, value)),
                    _ => None,
                };
                Ok(pairs.iter().map(pair).collect::<Option<Vec<_>>>().map_or(Value::Opaque, Value::Dict))
            }
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
        refused(b"h\x01.", "it recalls a value it never stored");
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

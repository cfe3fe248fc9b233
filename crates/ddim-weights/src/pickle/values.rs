//! The values that pickles build, in an arena, and the bytes that they are read from.

use std::borrow::Cow;

/// A value, by its place in the arena.
pub type Id = usize;

/// A `Result` whose error message does not name the file.
pub type Step<T> = std::result::Result<T, String>;

/// Something that a pickle builds.
#[derive(Debug, Clone)]
pub enum Value {
    /// `None`.
    None,
    /// An integer, or 0 and 1 for `False` and `True`.
    Int(i64),
    /// An integer outside that range: little-endian, in two's complement.
    Long(Span),
    /// Bytes, or a string of Python 2.
    Bytes(Span),
    /// Text in UTF-8, provided that the pickle is valid.
    Text(Span),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// Keys and values in order. For a repeated key, the last value counts.
    Dict(Vec<(Id, Id)>),
    /// The `module name` of a class or function.
    Global(Span),
    /// An object made by [`Names`](super::Names), under a number of its choice.
    Object(usize),
    /// Anything else.
    Opaque,
}

/// The location of some bytes.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    begin: usize,
    pub(super) len: usize,
    /// Among those that are not in the input as they are.
    decoded: bool,
}

/// Bytes that hold one pickle after another, and the values of those that were [`run`](Pickle::run).
///
/// ```
/// use ddim_weights::pickle::{Id, Names, Pickle, Value};
///
/// /// For pickles of plain values.
/// struct NoNames;
///
/// impl Names for NoNames {
///     fn call(&mut self, _: &Pickle<'_>, _: &str, _: &[Id]) -> Option<Value> {
///         None
///     }
/// }
///
/// let mut pickle = Pickle::new(&b"\x80\x02]K\x05a."[..]); // pickle.dumps([5])
/// let list = pickle.run(&mut NoNames)?;
/// assert_eq!(pickle.integer(pickle.items(list).unwrap()[0]), Some(5));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Pickle<'a> {
    input: Cow<'a, [u8]>,
    at: usize,
    decoded: Vec<u8>,
    pub(super) values: Vec<Value>,
    /// How many bytes may still be decoded.
    budget: usize,
}

const ENDS: &str = "it ends within its pickle";
const GROWS: &str = "a pickle of more than is in the file";

impl<'a> Pickle<'a> {
    /// Takes bytes that begin with a pickle.
    pub fn new(input: impl Into<Cow<'a, [u8]>>) -> Self {
        let input = input.into();
        // Whatever is decoded was in the file, in some form and once: a byte as Latin-1, that as UTF-8, and that as a byte.
        let budget = 5 * input.len() + 1024;
        Self { input, at: 0, decoded: Vec::new(), values: Vec::new(), budget }
    }

    /// Returns the number of bytes of the pickles run so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns a value.
    ///
    /// # Panics
    /// Panics if there is no value with this id.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Returns bytes or text, if the value is either.
    pub fn bytes(&self, id: Id) -> Option<&[u8]> {
        match &self.values[id] {
            Value::Bytes(span) | Value::Text(span) => Some(self.span(*span)),
            _ => None,
        }
    }

    /// Returns the bytes at a location.
    pub fn span(&self, Span { begin, len, decoded }: Span) -> &[u8] {
        let all = if decoded { &self.decoded } else { &*self.input };
        &all[begin..begin + len]
    }

    /// Returns the `module name` of a class or function.
    pub fn global(&self, id: Id) -> Option<&str> {
        match &self.values[id] {
            Value::Global(span) => std::str::from_utf8(self.span(*span)).ok(),
            _ => None,
        }
    }

    /// Returns an integer.
    pub fn integer(&self, id: Id) -> Option<i64> {
        match self.values[id] {
            Value::Int(n) => Some(n),
            _ => None,
        }
    }

    /// Returns the items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The next bytes.
    pub(super) fn next(&mut self, len: u64) -> Step<Span> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.input.len() - self.at).ok_or(ENDS)?;
        let span = Span { begin: self.at, len, decoded: false };
        self.at += len;
        Ok(span)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let span = self.next(N as u64)?;
        Ok(self.span(span).try_into().expect("that many"))
    }

    /// Up to the end of the line.
    pub(super) fn line(&mut self) -> Step<Span> {
        let len = self.input[self.at..].iter().position(|b| *b == b'\n').ok_or(ENDS)?;
        let line = self.next(len as u64)?;
        self.at += 1;
        Ok(line)
    }

    /// A number, in decimal, up to the end of the line.
    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Step<Option<T>> {
        let line = self.line()?;
        let digits = std::str::from_utf8(self.span(line)).ok();
        Ok(digits.and_then(|digits| digits.trim().trim_end_matches('L').parse().ok()))
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Step<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(GROWS)?;
        Ok(())
    }

    /// Keeps bytes that are not in the input as they are.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Step<Span> {
        self.spend(bytes.len())?;
        let span = Span { begin: self.decoded.len(), len: bytes.len(), decoded: true };
        self.decoded.extend(bytes);
        Ok(span)
    }
}

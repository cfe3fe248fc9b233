//! NumPy's arrays in Python's pickles, without running anything in them. CIFAR's batches are such files.

use crate::arrays::Numbers;
use crate::batch::Step;
use ddim_weights::pickle::{self, Id, Names, Value};

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    pickle: pickle::Pickle<'a>,
    numpy: Numpy,
    root: Id,
}

/// What NumPy's names make.
#[derive(Debug, Default)]
struct Numpy {
    objects: Vec<Object>,
}

#[derive(Debug, Clone, Copy)]
enum Object {
    /// `u1`, and whether its bytes are turned around.
    Dtype(Id, bool),
    /// Before its state is known, none.
    Array(Option<Parts>),
}

#[derive(Debug, Clone, Copy)]
struct Parts {
    shape: Id,
    dtype: Id,
    fortran: bool,
    data: Id,
}

/// An array of a pickle, in C order.
#[derive(Debug, PartialEq)]
pub(crate) struct Array<'a> {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers,
    /// As many as the shape and the numbers say.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Pickle<'a> {
    /// Runs the one pickle of `bytes`; what follows it is not looked at.
    pub(crate) fn parse(bytes: &'a [u8]) -> Step<Self> {
        let (mut pickle, mut numpy) = (pickle::Pickle::new(bytes), Numpy::default());
        let root = pickle.run(&mut numpy)?;
        Ok(Self { pickle, numpy, root })
    }

    /// What the dictionary at the top has under a name, in bytes or text.
    pub(crate) fn get(&self, name: &str) -> Option<Id> {
        let Value::Dict(entries) = self.pickle.value(self.root) else { return None };
        entries.iter().rev().find(|(key, _)| self.pickle.bytes(*key) == Some(name.as_bytes())).map(|(_, value)| *value)
    }

    /// Whether the value at the top is a dictionary.
    pub(crate) fn is_dictionary(&self) -> bool {
        matches!(self.pickle.value(self.root), Value::Dict(_))
    }

    /// The whole numbers of a list, a tuple or an array of one dimension.
    pub(crate) fn integers(&self, id: Id) -> Option<Vec<i64>> {
        if let Some(items) = self.pickle.items(id) {
            return items.iter().map(|item| self.pickle.integer(*item)).collect();
        }
        let array = self.array(id).ok()?;
        (array.shape.len() == 1).then(|| array.numbers.numbers(array.bytes).map(whole).collect())?
    }

    /// The strings of a list or tuple, together no longer than the file; what is not UTF-8 is replaced.
    pub(crate) fn strings(&self, id: Id) -> Option<Vec<String>> {
        let mut left = self.pickle.position();
        let string = |item: &Id| {
            let bytes = self.pickle.bytes(*item)?;
            left = left.checked_sub(bytes.len())?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        self.pickle.items(id)?.iter().map(string).collect()
    }

    /// A NumPy array.
    pub(crate) fn array(&self, id: Id) -> Step<Array<'_>> {
        let Some(Object::Array(Some(parts))) = self.numpy.object(&self.pickle, id) else { return Err("not a NumPy array".into()) };
        let size = |item: &Id| self.pickle.integer(*item).and_then(|n| usize::try_from(n).ok());
        let shape = self.pickle.items(parts.shape).and_then(|items| items.iter().map(size).collect());
        let shape: Vec<usize> = shape.ok_or("an array without a shape")?;
        let numbers = self.numpy.numbers(&self.pickle, parts.dtype).ok_or("an array of a type that holds no numbers")?;
        let Value::Bytes(data) = self.pickle.value(parts.data) else { return Err("an array without data".into()) };
        let bytes = self.pickle.span(*data);
        let expected = shape.iter().try_fold(numbers.size, |total, n| total.checked_mul(*n));
        if expected != Some(bytes.len()) {
            return Err(format!("{} bytes of data: expected an array of shape {shape:?}", bytes.len()));
        }
        // One long axis is the same in both orders.
        if parts.fortran && shape.iter().filter(|n| **n > 1).count() > 1 {
            return Err("an array in Fortran order: expected C order".into());
        }
        Ok(Array { shape, numbers, bytes })
    }
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < 2f64.powi(53)).then_some(x as i64)
}

impl Numpy {
    fn new_object(&mut self, object: Object) -> Value {
        self.objects.push(object);
        Value::Object(self.objects.len() - 1)
    }

    fn object(&self, pickle: &pickle::Pickle<'_>, id: Id) -> Option<Object> {
        match pickle.value(id) {
            Value::Object(object) => Some(self.objects[*object]),
            _ => None,
        }
    }

    fn numbers(&self, pickle: &pickle::Pickle<'_>, dtype: Id) -> Option<Numbers> {
        let Object::Dtype(name, big) = self.object(pickle, dtype)? else { return None };
        let name = std::str::from_utf8(pickle.bytes(name)?).ok()?.trim_start_matches(['<', '>', '=', '|']);
        Numbers::parse(&format!("{}{name}", if big { '>' } else { '<' }))
    }
}

impl Names for Numpy {
    fn call(&mut self, pickle: &pickle::Pickle<'_>, name: &str, arguments: &[Id]) -> Option<Value> {
        match (name, arguments) {
            ("numpy.core.multiarray _reconstruct" | "numpy._core.multiarray _reconstruct", _) => Some(self.new_object(Object::Array(None))),
            ("numpy dtype", [name, ..]) => Some(self.new_object(Object::Dtype(*name, false))),
            ("numpy.core.numeric _frombuffer" | "numpy._core.numeric _frombuffer", &[data, dtype, shape, order]) => {
                let fortran = pickle.bytes(order) == Some(b"F");
                Some(self.new_object(Object::Array(Some(Parts { shape, dtype, fortran, data }))))
            }
            ("numpy.core.multiarray scalar" | "numpy._core.multiarray scalar", &[dtype, data]) => {
                let numbers = self.numbers(pickle, dtype)?;
                let data = pickle.bytes(data).filter(|data| data.len() == numbers.size)?;
                numbers.numbers(data).next().and_then(whole).map(Value::Int)
            }
            _ => None,
        }
    }

    /// Of arrays (version, shape, dtype, Fortran's order, data), of their types (version, byte order, ..).
    fn build(&mut self, pickle: &pickle::Pickle<'_>, object: usize, state: &[Id]) {
        match (self.objects[object], state) {
            (Object::Array(None), &[_, shape, dtype, fortran, data]) => {
                let fortran = !matches!(pickle.value(fortran), Value::Int(0) | Value::None);
                self.objects[object] = Object::Array(Some(Parts { shape, dtype, fortran, data }));
            }
            (Object::Dtype(name, _), &[_, order, ..]) => {
                self.objects[object] = Object::Dtype(name, pickle.bytes(order) == Some(b">"));
            }
            _ => (),
        }
    }
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
        // One long string, a hundred thousand times.
        let mut many = b"}(U\x01a](T\x00\x00\x01\x00".to_vec();
        many.extend(vec![b'x'; 1 << 16]);
        many.extend(b"q\x00");
        many.extend(b"h\x00".repeat(100_000));
        many.extend(b"eu.");
        let pickle = Pickle::parse(&many).unwrap();
        assert_eq!(pickle.strings(pickle.get("a").unwrap()), None);
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

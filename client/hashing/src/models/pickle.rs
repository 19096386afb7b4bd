//! Finds tensors in the pickle of a `torch.save` archive without executing it.
//!
//! A pickle is a program for a small machine that can call anything. Here its instructions only build a tree of
//! plain data: there is nothing to call. Exactly the instructions and names that `torch.save` writes for tensors and
//! plain containers are understood; anything else ends the reading with an error that names it. A file that asks
//! for more is worth a person's attention for that alone.
//!
//! Time and memory are bounded: one step for each instruction, at most [`NODES_MAX`] values, and the walk over the
//! finished tree, which may refer to itself, visits no more than that.

use std::collections::BTreeMap;

use super::element::{self, Encoding};
use super::layout::{DIMENSIONS_MAX, LayoutError, TENSORS_MAX, check_bounds, shown};

/// The most values that a pickle may make.
const NODES_MAX: usize = 1 << 20;
/// The longest name of a storage.
const KEY_MAX_BYTES: usize = 64;
/// How deep tensors may lie in containers.
const DEPTH_MAX: usize = 8;

/// A tensor as the pickle describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) storage: Storage,
    /// Values of the storage before the first one.
    pub(crate) offset: u64,
    pub(crate) dimensions: Vec<u64>,
    pub(crate) strides: Vec<u64>,
    pub(crate) encoding: Encoding,
}

/// A member of the archive that holds values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Storage {
    pub(crate) key: String,
    /// Nothing for untyped bytes.
    encoding: Option<Encoding>,
}

type Id = usize;

#[derive(Clone, Debug)]
enum Node {
    /// A value that no tensor needs.
    Other,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List,
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(Box<View>),
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Global {
    OrderedDict,
    /// `_rebuild_tensor` and its second version.
    Rebuild,
    /// The third version, which names the type.
    RebuildTyped,
    Parameter,
    Size,
    Device,
    Storage(Option<Encoding>),
    Type(Encoding),
}

/// The names that `torch.save` writes.
fn global(module: &str, name: &str) -> Option<Global> {
    let of = |name| element::plain(name);
    match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Global::Rebuild),
        ("torch._utils", "_rebuild_tensor_v3") => Some(Global::RebuildTyped),
        ("torch._utils", "_rebuild_parameter") => Some(Global::Parameter),
        ("torch", "Size") => Some(Global::Size),
        ("torch", "device") => Some(Global::Device),
        ("torch.storage" | "torch", "UntypedStorage") => Some(Global::Storage(None)),
        ("torch", _) => {
            let types = [
                ("Float", "float32", "F32"),
                ("Half", "float16", "F16"),
                ("BFloat16", "bfloat16", "BF16"),
                ("Double", "float64", "F64"),
                ("Byte", "uint8", "U8"),
                ("Char", "int8", "I8"),
                ("Short", "int16", "I16"),
                ("Int", "int32", "I32"),
                ("Long", "int64", "I64"),
                ("Bool", "bool", "BOOL"),
                ("ComplexFloat", "complex64", "C64"),
                ("", "float8_e4m3fn", "F8_E4M3"),
                ("", "float8_e5m2", "F8_E5M2"),
                ("", "float8_e8m0fnu", "F8_E8M0"),
                ("", "uint16", "U16"),
                ("", "uint32", "U32"),
                ("", "uint64", "U64"),
            ];
            types.into_iter().find_map(|(storage, kind, plain)| {
                if kind == name {
                    of(plain).map(Global::Type)
                } else if !storage.is_empty() && name.strip_suffix("Storage") == Some(storage) {
                    of(plain).map(|encoding| Global::Storage(Some(encoding)))
                } else {
                    None
                }
            })
        }
        _ => None,
    }
}

fn malformed(what: &'static str) -> LayoutError {
    LayoutError::Malformed { format: "pickle", what }
}

/// The tensors of a pickle: those under `state_dict` or `string_to_param` when the outermost dictionary has such a
/// key, else all.
pub(crate) fn views(pickle: &[u8]) -> Result<Vec<View>, LayoutError> {
    let mut machine = Machine { bytes: pickle, ..Machine::default() };
    let root = machine.run()?;
    let inner = ["state_dict", "string_to_param"].iter().find_map(|key| {
        machine
            .member(root, key)
            .filter(|id| matches!(machine.nodes[*id], Node::Dict(_)))
            .map(|id| (*key, id))
    });
    let (prefix, start) = match inner {
        Some(("string_to_param", id)) => ("string_to_param", id),
        Some((_, id)) => ("", id),
        None => ("", root),
    };
    let mut walk = Walk { machine: &machine, found: Vec::new(), visited: 0 };
    walk.visit(start, prefix, 0)?;
    Ok(walk.found)
}

#[derive(Default)]
struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at which a mark was set.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'b> Machine<'b> {
    fn take(&mut self, bytes: usize) -> Result<&'b [u8], LayoutError> {
        let end = self.at.checked_add(bytes);
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        let found = found.ok_or_else(|| malformed("it ends inside an instruction"))?;
        self.at += bytes;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        Ok(self.take(N)?.first_chunk::<N>().copied().unwrap_or([0; N]))
    }

    fn byte(&mut self) -> Result<usize, LayoutError> {
        self.array::<1>().map(|[byte]| usize::from(byte))
    }

    fn u32(&mut self) -> Result<u32, LayoutError> {
        self.array().map(u32::from_le_bytes)
    }

    fn line(&mut self) -> Result<&'b str, LayoutError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length =
            rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| malformed("a line has no end"))?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| LayoutError::NotUtf8("a name in the pickle"))
    }

    fn push(&mut self, node: Node) -> Result<(), LayoutError> {
        if self.nodes.len() >= NODES_MAX {
            let (found, max) = (self.nodes.len() as u64 + 1, NODES_MAX as u64);
            return Err(LayoutError::TooLarge { what: "values of the pickle", found, max });
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, LayoutError> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err(malformed("it takes a value from below a mark"));
        }
        self.stack.pop().ok_or_else(|| malformed("it takes a value from an empty stack"))
    }

    fn top(&self) -> Result<Id, LayoutError> {
        self.stack.last().copied().ok_or_else(|| malformed("it takes a value from an empty stack"))
    }

    /// The values above the last mark, which goes away.
    fn above_mark(&mut self) -> Result<Vec<Id>, LayoutError> {
        let mark = self.marks.pop().ok_or_else(|| malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn run(&mut self) -> Result<Id, LayoutError> {
        loop {
            let at = self.at as u64;
            let code = self.byte()? as u8;
            if code == b'.' {
                return self.pop();
            }
            if !(self.plain(code)? || self.container(code)? || self.named(code)?) {
                return Err(LayoutError::PickleInstruction { code, at });
            }
        }
    }

    /// Instructions that push a plain value, or remember one.
    fn plain(&mut self, code: u8) -> Result<bool, LayoutError> {
        match code {
            0x80 => {
                let version = self.byte()?;
                if !(2..=5).contains(&version) {
                    return Err(malformed("only protocols 2 to 5 are read"));
                }
            }
            0x95 => drop(self.take(8)?),
            b'N' | 0x88 | 0x89 => self.push(Node::Other)?,
            b'K' => {
                let value = self.byte()?;
                self.push(Node::Int(value as i64))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            0x8a => {
                let length = self.byte()?;
                let node = long(self.take(length)?);
                self.push(node)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Node::Other)?;
            }
            b'X' | 0x8c | b'U' | b'T' => {
                let length = if matches!(code, b'X' | b'T') { self.u32()? as usize } else { self.byte()? };
                let text = self.take(length)?;
                self.push(std::str::from_utf8(text).map_or(Node::Other, |text| Node::Text(text.to_owned())))?;
            }
            b'q' | b'r' | 0x94 => {
                let key = match code {
                    b'q' => self.byte()? as u32,
                    b'r' => self.u32()?,
                    _ => self.memo.len() as u32,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            b'h' | b'j' => {
                let key = if code == b'h' { self.byte()? as u32 } else { self.u32()? };
                let id =
                    self.memo.get(&key).ok_or_else(|| malformed("it asks for a value that it never kept"))?;
                if self.stack.len() >= NODES_MAX {
                    return Err(malformed("its stack is too high"));
                }
                self.stack.push(*id);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Instructions that build tuples, lists and dictionaries.
    fn container(&mut self, code: u8) -> Result<bool, LayoutError> {
        match code {
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b']' | 0x8f => self.push(Node::List)?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let mut items = (0..code - 0x84).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.push(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.above_mark()?;
                self.push(Node::Tuple(items))?;
            }
            // Items of lists and sets: no tensor of a model lies in one.
            b'a' => drop(self.pop()?),
            b'e' | 0x90 => drop(self.above_mark()?),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set_items(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), LayoutError> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        let Some(Node::Dict(members)) = self.nodes.get_mut(dict).filter(|_| rest.is_empty()) else {
            return Err(malformed("it sets items of something that is no dictionary"));
        };
        members.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    /// Instructions that name something: the ones that make a pickle dangerous elsewhere.
    fn named(&mut self, code: u8) -> Result<bool, LayoutError> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(name), Some(module)) = (self.text(name), self.text(module)) else {
                    return Err(malformed("a name is no text"));
                };
                self.push_global(&module, &name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Node::Storage(storage))?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let node = self.made(callee, arguments)?;
                self.push(node)?;
            }
            b'b' => {
                // The attributes of an ordered dictionary: version numbers of modules.
                self.pop()?;
                let object = self.top()?;
                if !matches!(self.nodes[object], Node::Dict(_)) {
                    return Err(malformed("it sets the state of something that is no dictionary"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), LayoutError> {
        match global(module, name) {
            Some(known) => self.push(Node::Global(known)),
            None => Err(LayoutError::PickleGlobal { found: shown(&format!("{module}.{name}")) }),
        }
    }

    fn text(&self, id: Id) -> Option<String> {
        if let Some(Node::Text(text)) = self.nodes.get(id) { Some(text.clone()) } else { None }
    }

    fn tuple(&self, id: Id) -> Result<&[Id], LayoutError> {
        match self.nodes.get(id) {
            Some(Node::Tuple(items)) => Ok(items),
            _ => Err(malformed("a tuple is missing")),
        }
    }

    fn node(&self, items: &[Id], nth: usize) -> Result<&Node, LayoutError> {
        let node = items.get(nth).and_then(|id| self.nodes.get(*id));
        node.ok_or_else(|| malformed("an argument is missing"))
    }

    /// `("storage", type, key, location, count)`.
    fn storage(&self, id: Id) -> Result<Storage, LayoutError> {
        let items = self.tuple(id)?;
        match (self.node(items, 0)?, self.node(items, 1)?, self.node(items, 2)?) {
            (Node::Text(word), Node::Global(Global::Storage(encoding)), Node::Text(key))
                if word == "storage" && key.len() <= KEY_MAX_BYTES =>
            {
                Ok(Storage { key: key.clone(), encoding: *encoding })
            }
            _ => Err(malformed("a persistent id is no storage")),
        }
    }

    /// What would be called, as data.
    fn made(&self, callee: Id, arguments: Id) -> Result<Node, LayoutError> {
        let Some(Node::Global(callee)) = self.nodes.get(callee) else {
            return Err(malformed("it calls something that is no name"));
        };
        let arguments = self.tuple(arguments)?;
        match callee {
            Global::OrderedDict if arguments.is_empty() => Ok(Node::Dict(Vec::new())),
            Global::OrderedDict => Err(malformed("a dictionary is made from arguments")),
            Global::Rebuild => self.view(arguments, None),
            Global::RebuildTyped => match self.node(arguments, 6)? {
                Node::Global(Global::Type(encoding)) => self.view(arguments, Some(*encoding)),
                _ => Err(malformed("a tensor has no type")),
            },
            Global::Parameter => match self.node(arguments, 0)? {
                tensor @ Node::Tensor(_) => Ok(tensor.clone()),
                _ => Err(malformed("a parameter is no tensor")),
            },
            Global::Size => match self.node(arguments, 0)? {
                Node::Tuple(sides) if sides.len() <= DIMENSIONS_MAX => Ok(Node::Tuple(sides.clone())),
                _ => Err(malformed("a size is no tuple of a few numbers")),
            },
            Global::Device => Ok(Node::Other),
            Global::Storage(_) | Global::Type(_) => Err(malformed("it calls a type")),
        }
    }

    /// `(storage, offset, size, stride, …)`.
    fn view(&self, arguments: &[Id], typed: Option<Encoding>) -> Result<Node, LayoutError> {
        let Node::Storage(storage) = self.node(arguments, 0)? else {
            return Err(malformed("a tensor has no storage"));
        };
        let encoding = typed.or(storage.encoding).ok_or_else(|| malformed("a tensor has no type"))?;
        let numbers = |nth: usize| -> Result<Vec<u64>, LayoutError> {
            let Node::Tuple(items) = self.node(arguments, nth)? else {
                return Err(malformed("a tensor has no size or stride"));
            };
            check_bounds(0, "", items.len())?;
            (0..items.len()).map(|item| self.number(items, item)).collect()
        };
        let (dimensions, strides) = (numbers(2)?, numbers(3)?);
        if dimensions.len() != strides.len() {
            return Err(malformed("size and stride of a tensor have different lengths"));
        }
        let offset = self.number(arguments, 1)?;
        let storage = storage.clone();
        Ok(Node::Tensor(Box::new(View {
            name: String::new(),
            storage,
            offset,
            dimensions,
            strides,
            encoding,
        })))
    }

    fn number(&self, items: &[Id], nth: usize) -> Result<u64, LayoutError> {
        match self.node(items, nth)? {
            Node::Int(value) => u64::try_from(*value).map_err(|_| malformed("a size or stride is negative")),
            _ => Err(malformed("a number is missing")),
        }
    }

    fn member(&self, dict: Id, key: &str) -> Option<Id> {
        let Some(Node::Dict(members)) = self.nodes.get(dict) else { return None };
        let is_key = |id: Id| matches!(self.nodes.get(id), Some(Node::Text(text)) if text == key);
        members.iter().rev().find(|(name, _)| is_key(*name)).map(|(_, value)| *value)
    }
}

/// A signed number of any length; one that does not fit is of no use to a tensor.
fn long(bytes: &[u8]) -> Node {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(place) => place.copy_from_slice(bytes),
        None => return Node::Other,
    }
    Node::Int(i64::from_le_bytes(wide))
}

/// Collects the tensors of a tree.
struct Walk<'m> {
    machine: &'m Machine<'m>,
    found: Vec<View>,
    visited: usize,
}

impl Walk<'_> {
    fn visit(&mut self, id: Id, name: &str, depth: usize) -> Result<(), LayoutError> {
        self.visited += 1;
        if depth > DEPTH_MAX || self.visited > NODES_MAX {
            return Err(malformed("its containers are nested too deeply or refer to themselves"));
        }
        let machine = self.machine;
        match machine.nodes.get(id) {
            Some(Node::Tensor(view)) => {
                if self.found.len() >= TENSORS_MAX {
                    check_bounds(TENSORS_MAX + 1, "", 0)?;
                }
                check_bounds(0, name, 0)?;
                self.found.push(View { name: name.to_owned(), ..(**view).clone() });
            }
            Some(Node::Dict(members)) => {
                for (key, value) in members {
                    let key = match machine.nodes.get(*key) {
                        Some(Node::Text(text)) => {
                            // Before it is copied: a long key may stand in many dictionaries.
                            check_bounds(0, text, 0)?;
                            text.clone()
                        }
                        Some(Node::Int(number)) => number.to_string(),
                        _ => continue,
                    };
                    let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                    self.visit(*value, &name, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

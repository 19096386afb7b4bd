use super::*;
use proptest::prelude::*;

/// Instructions, written with less noise.
struct Program(Vec<u8>);

impl Program {
    fn new() -> Self {
        Self(vec![0x80, 2])
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// A tensor of 2 x 3 values of a storage.
    fn tensor(self, kind: &str, key: &str) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", kind)
            .text(key)
            .text("cpu")
            .raw(b"K\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    fn views(self) -> Result<Vec<View>, LayoutError> {
        views(&self.raw(b".").0)
    }
}

fn names(views: &[View]) -> Vec<&str> {
    views.iter().map(|view| view.name.as_str()).collect()
}

#[test]
fn tensors_are_found_under_their_names() {
    let program = Program::new()
        .raw(b"}q\x00(")
        .text("state_dict")
        .raw(b"}(")
        .text("a.weight")
        .tensor("HalfStorage", "7");
    let program = program.text("b").tensor("FloatStorage", "8").raw(b"u").text("epoch").raw(b"K\x05u");
    let found = program.views().unwrap();
    assert_eq!(names(&found), ["a.weight", "b"]);
    let view = &found[0];
    assert_eq!((view.storage.key.as_str(), view.encoding.name), ("7", "F16"));
    assert_eq!((&view.dimensions[..], &view.strides[..], view.offset), (&[2, 3][..], &[3, 1][..], 0));
    let nested =
        Program::new().raw(b"}").text("x").raw(b"}").text("y").tensor("LongStorage", "1").raw(b"ss").views();
    assert_eq!(names(&nested.unwrap()), ["x.y"]);
    let inversion =
        Program::new().raw(b"}").text("string_to_param").raw(b"}").text("*").tensor("FloatStorage", "0");
    assert_eq!(names(&inversion.raw(b"ss").views().unwrap()), ["string_to_param.*"]);
}

#[test]
fn nothing_is_called() {
    let check = |program: Program, message: &str| {
        let error = program.views().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    check(Program::new().global("os", "system").text("true").raw(b"\x85R"), "\"os.system\"");
    check(Program::new().global("builtins", "eval").text("1").raw(b"\x85R"), "nothing was executed");
    check(Program::new().text("posix").text("system").raw(b"\x93"), "\"posix.system\"");
    check(Program::new().global("torch", "load"), "\"torch.load\"");
    check(Program::new().global("torch", "FloatStorage").raw(b")R"), "it calls a type");
    // INST, OBJ, EXT1 and the text forms are what other programs are tricked with.
    check(Program::new().raw(b"(ios\nsystem\n"), "instruction 0x69");
    check(Program::new().raw(b"(o"), "instruction 0x6f");
    check(Program::new().raw(b"\x82\x01"), "instruction 0x82");
    check(Program::new().raw(b"0"), "instruction 0x30");
}

#[test]
fn broken_programs_are_refused() {
    let check = |bytes: &[u8], message: &str| {
        let error = views(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    check(b"", "ends inside an instruction");
    check(b"\x80\x07.", "protocols 2 to 5");
    check(b".", "empty stack");
    check(b"h\x05", "never kept");
    check(b"(.", "below a mark");
    check(b"t", "a mark is missing");
    check(b"]K\x01K\x02s.", "no dictionary");
    check(b"X\xff\xff\xff\xff", "ends inside");
    check(b"K\x01Q", "a tuple is missing");
    check(b"K\x01K\x02R", "no name");
    // A dictionary that contains itself, and a tree that doubles at each level.
    check(b"}q\x00X\x01\x00\x00\x00ah\x00s.", "nested too deeply or refer to themselves");
    let mut bomb = b"}q\x00".to_vec();
    for level in 1..=7u8 {
        bomb.extend(b"}");
        for key in 0..100u8 {
            bomb.extend([b'K', key, b'h', level - 1, b's']);
        }
        bomb.extend([b'q', level]);
    }
    bomb.push(b'.');
    check(&bomb, "nested too deeply or refer to themselves");
    let many = [b"\x80\x02".to_vec(), vec![b'N'; NODES_MAX + 1]].concat();
    check(&many, "at most 1048576");
}

#[test]
fn long_numbers() {
    for (bytes, expected) in [
        (&[][..], Some(0)),
        (&[0xff], Some(-1)),
        (&[0, 1], Some(256)),
        (&[0xff, 0xff, 0xff, 0xff, 0], Some(0xffff_ffff)),
    ] {
        let found = if let Node::Int(value) = long(bytes) { Some(value) } else { None };
        assert_eq!(found, expected, "{bytes:?}");
    }
    assert!(matches!(long(&[1; 9]), Node::Other));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_program_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..500, byte in any::<u8>()) {
        let _ = views(&bytes);
        let mut program = Program::new().raw(b"}(").text("a").tensor("HalfStorage", "7").raw(b"u.").0;
        let length = program.len();
        program[at % length] = byte;
        let _ = views(&program);
    }
}

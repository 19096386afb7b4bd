use super::*;
use proptest::prelude::*;

fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}")
}

fn parsed(entries: &[String], data: u64) -> Result<Layout, LayoutError> {
    let header = format!("{{{}}}  ", entries.join(","));
    let body = 8 + header.len() as u64;
    parse(&header, body, body + data)
}

#[test]
fn tensors_are_found_whatever_their_order() {
    let entries = [
        entry("b", "F16", "[2,3]", "[8,20]"),
        "\"__metadata__\":{\"sshs_model_hash\":\"0xAB\",\"note\":\"x\",\"ss_sd_model_hash\":\"0123ABCD\"}"
            .to_owned(),
        entry("a", "I64", "[]", "[0,8]"),
        entry("c", "F32", "[0,5]", "[20,20]"),
    ];
    let layout = parsed(&entries, 20).unwrap();
    let names: Vec<&str> = layout.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(layout.tensors[1].bytes, 12);
    let claim = Claim { about: About::Base, identifier: "autov1", hex: "0123abcd".to_owned() };
    assert_eq!(layout.claims, [claim], "a digest of the wrong length is no claim");
}

#[test]
fn each_broken_rule_is_named() {
    let check = |entries: &[String], data: u64, message: &str| {
        let error = parsed(entries, data).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    let a = entry("a", "F32", "[2]", "[0,8]");
    check(&[a.clone(), a.clone()], 16, "two tensors are named \"a\"");
    check(&[a.clone(), entry("b", "F32", "[2]", "[4,12]")], 12, "overlaps the one before it");
    check(&[a.clone(), entry("b", "F32", "[2]", "[12,20]")], 20, "4 bytes at byte");
    check(&[entry("a", "F32", "[2]", "[4,12]")], 12, "belong to no tensor");
    check(std::slice::from_ref(&a), 7, "the last tensor needs");
    check(std::slice::from_ref(&a), 9, "1 bytes at byte");
    check(&[entry("a", "F32", "[3]", "[0,8]")], 8, "needs 12 bytes and has 8");
    check(&[entry("a", "F99", "[2]", "[0,8]")], 8, "unknown type \"F99\"");
    check(&[entry("a", "F32", "[2]", "[8,0]")], 8, "end before they begin");
    check(&[entry("a", "F32", "[2]", "[0]")], 8, "two numbers");
    check(&[entry("a", "F32", "[-2]", "[0,8]")], 8, "whole number");
    check(&[entry("a", "F4", "[3]", "[0,2]")], 2, "whole blocks");
    check(&[entry("a", "F32", "[4294967296,4294967296]", "[0,8]")], 8, "exceed 64 bits");
    check(&[entry("a", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]")], 4, "17, at most 16");
    check(&[entry(&"n".repeat(1025), "F32", "[1]", "[0,4]")], 4, "1025, at most 1024");
    check(&["\"a\":{\"dtype\":\"F32\",\"shape\":[1]}".to_owned()], 4, "data_offsets is missing");
    check(&["\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}".to_owned()], 4, "dtype stands there twice");
    check(&["\"a\":{\"kind\":1}".to_owned()], 4, "an unknown key");
    check(&["\"__metadata__\":{\"a\":1}".to_owned()], 0, "expected a text");
    check(&["\"a\":[]".to_owned()], 0, "expected an object");
    let far = entry("a", "U8", "[8]", "[18446744073709551600,18446744073709551608]");
    check(&[far], 8, "exceed 64 bits");
}

#[test]
fn a_header_bomb_is_refused_by_its_length() {
    let read = |bytes: &[u8]| {
        let mut reader = std::io::Cursor::new(bytes.to_vec());
        super::read(&mut Source::new(&mut reader).unwrap()).unwrap_err().to_string()
    };
    let length = |n: u64| n.to_le_bytes();
    assert!(read(&length(HEADER_MAX_BYTES + 1)).contains("at most 100000000"));
    assert!(read(&length(5)).contains("the header needs 13 bytes, the file has 8"));
    assert!(read(&[1, 2, 3]).contains("the length of the header"));
    let mut not_text = length(2).to_vec();
    not_text.extend([0xff, 0xfe]);
    assert!(read(&not_text).contains("not UTF-8"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_header_never_panics_and_never_reaches_beyond_the_file(
        at in 0usize..400, byte in any::<u8>(), cut in 0usize..400,
    ) {
        let entries = [entry("a", "F32", "[2,2]", "[0,16]"), entry("b", "BF16", "[4]", "[16,24]")];
        let mut header = format!("{{{},\"__metadata__\":{{\"x\":\"y\"}}}}", entries.join(",")).into_bytes();
        let length = header.len();
        header[at % length] = byte;
        header.truncate(length - cut % 30);
        if let Ok(text) = std::str::from_utf8(&header)
            && let Ok(layout) = parse(text, 8 + length as u64, 8 + length as u64 + 24)
        {
            let end = layout.tensors.iter().map(|tensor| tensor.start + tensor.bytes).max().unwrap_or(0);
            prop_assert!(end <= 8 + length as u64 + 24);
        }
    }
}

use super::*;

fn group(tiles: usize) -> TileGroupJson {
    TileGroupJson::new(TileShape { rows: 64, columns: 320 }, &vec![[7; 32]; tiles])
}

fn id(id_type: Option<&str>, digits: usize) -> ModelMatchRequest {
    let id = ModelIdJson { id_type: id_type.map(str::to_owned), value: "a".repeat(digits) };
    ModelMatchRequest { ids: vec![id], ..ModelMatchRequest::default() }
}

#[test]
fn identifiers_have_the_digits_of_their_type() {
    for (id_type, digits) in [
        (None, 8),
        (None, 64),
        (Some("sha256"), 10),
        (Some("sha256"), 64),
        (Some("st_body"), 12),
        (Some("tset1"), 64),
        (Some("autov1"), 8),
        (Some("autov2"), 10),
        (Some("autov3"), 12),
        (Some("ti"), 12),
        (Some("crc32"), 8),
    ] {
        assert!(id(id_type, digits).to_model().is_ok(), "{id_type:?} {digits}");
    }
    for (id_type, digits) in
        [(None, 9), (None, 63), (Some("tset1"), 12), (Some("autov2"), 12), (Some("crc32"), 64), (None, 0)]
    {
        let error = id(id_type, digits).to_model().unwrap_err();
        assert_eq!(error.path, "ids[0].value", "{error}");
    }
    assert_eq!(id(Some("md5"), 64).to_model().unwrap_err().path, "ids[0].type");
    let mut upper = id(None, 8);
    upper.ids[0].value = "ABCDEF00".to_owned();
    assert!(upper.to_model().unwrap_err().to_string().contains("lower-case"));
}

#[test]
fn a_whole_digest_of_unknown_type_is_looked_for_as_all() {
    let count = |id_type, digits| id(id_type, digits).to_model().unwrap().query().signals.len();
    assert_eq!(count(None, 64), 4);
    assert_eq!(count(Some("tset1"), 64), 1);
    assert_eq!(count(None, 12), 0, "a prefix is a lead");
    assert_eq!(count(Some("crc32"), 8), 0);
}

#[test]
fn tiles_are_whole_and_bounded() {
    let ask = |groups: Vec<TileGroupJson>| BasesRequest { tiles: groups }.to_tiles();
    let tiles = ask(vec![group(2), group(1)]).unwrap();
    let places: Vec<(u32, u32)> = tiles.iter().map(|(group, tile, _)| (*group, *tile)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(ask(vec![group(MODEL_TILES_PER_CALL_MAX)]).unwrap().len(), MODEL_TILES_PER_CALL_MAX);
    let error = ask(vec![group(MODEL_TILES_PER_CALL_MAX), group(1)]).unwrap_err();
    assert_eq!(error.to_string(), "tiles[1]: 16385 elements, at most 16384 are allowed");
    for bits in ["", "AAAA", "****"] {
        let error = ask(vec![TileGroupJson { bits: bits.to_owned(), ..group(1) }]).unwrap_err();
        assert_eq!(error.path, "tiles[0].bits", "{bits:?}");
    }
    assert_eq!(ask(vec![TileGroupJson { rows: 15, ..group(1) }]).unwrap_err().path, "tiles[0]");
}

#[test]
fn a_question_asks_something() {
    assert!(ModelMatchRequest::default().to_model().is_err());
    let fingerprint = FingerprintJson { base: Some("0".repeat(64)), tiles: vec![group(3)], ..Default::default() };
    let request = ModelMatchRequest { fingerprints: vec![fingerprint; 4], ..Default::default() };
    let asked = request.to_model().unwrap();
    assert_eq!((asked.fingerprints.len(), asked.fingerprints[3].tiles.len()), (4, 3));
    assert_eq!(asked.fingerprints[0].base, Some(RecordId::new([0; 32])));
    let more = ModelMatchRequest { fingerprints: vec![FingerprintJson::default(); 5], ..Default::default() };
    assert_eq!(more.to_model().unwrap_err().path, "fingerprints");
}

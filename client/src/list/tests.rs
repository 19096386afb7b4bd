use hashpact_protocol::api::RecordJson;
use hashpact_protocol::record::{
    Activity, AgeBand, AgeGroup, Date, Evidence, Handling, IncidentId, Label, Labels, Likeness, Month,
    Origin, OtherClass, Realism, ReportedTo, Review, Scheme, Signal, SignalType, Source, Tlp, Token,
    Vocabulary,
};
use proptest::prelude::*;

use super::*;

const PDQ: &str = "f8f8f0cce0f4a84d0e370a22028f67f0b36e2ed596623e1d33e6b39c4e9c9b22";
const MD5: &str = "0123456789abcdef0123456789abcdef";

/// Usable records and the messages about unusable lines, or the message about the list.
fn read(text: &str, options: ReadOptions) -> Result<(Vec<ListItem>, Vec<String>), String> {
    let mut reader = ListReader::new(text.as_bytes(), options);
    let (mut items, mut bad) = (Vec::new(), Vec::new());
    while let Some(step) = reader.next_step().map_err(|error| error.to_string())? {
        match step {
            Step::Item(item) => items.push(*item),
            Step::Bad(line) => bad.push(format!("{}: {}", line.line, line.reason)),
        }
    }
    Ok((items, bad))
}

fn good(text: &str) -> Vec<ListItem> {
    let (items, bad) = read(text, ReadOptions::default()).unwrap();
    assert_eq!(bad, Vec::<String>::new());
    items
}

/// Every line after the header is unusable, for exactly these reasons.
fn check_bad(text: &str, expected: &[&str]) {
    let (items, bad) = read(text, ReadOptions::default()).unwrap();
    assert_eq!(items, []);
    assert_eq!(bad, expected);
}

fn check_refused(text: &str, expected: &str) {
    assert_eq!(read(text, ReadOptions::default()).unwrap_err(), expected);
}

#[test]
fn a_typed_csv_list() {
    let upper = MD5.to_uppercase();
    let items =
        good(&format!("\u{feff}Type,VALUE,quality,review\r\npdq,{PDQ},98,dual\r\n\r\nmd5,\"{upper}\",,\r\n"));
    assert_eq!(items.len(), 2);
    assert_eq!((items[0].line, items[1].line), (2, 4));
    assert_eq!(items[0].content.review, Label::Known(Review::Dual));
    assert_eq!(items[0].content.signals[0].quality(), Some(98));
    assert_eq!(items[1].record.signals[0].value, MD5);
    assert_eq!(items[1].record.labels, LabelsJson::default());
}

#[test]
fn a_wide_csv_list() {
    let other = PDQ.replace('f', "0");
    let items = good(&format!(
        "md5,pdq,quality,origin,evidence,source_org,source_date,tlp\n\
         {MD5},{PDQ};{other},98;,generated,human_review;watermark,iwf,2026-01-31,amber\n"
    ));
    let content = &items[0].content;
    assert_eq!(content.signals.len(), 3);
    let qualities: Vec<_> =
        content.signals.iter().filter(|s| s.kind() == SignalType::Pdq).map(Signal::quality).collect();
    assert_eq!(qualities.iter().flatten().collect::<Vec<_>>(), [&98]);
    assert_eq!(content.labels.origin, Label::Known(Origin::Generated));
    assert!(content.labels.evidence.contains(Evidence::Watermark));
    assert_eq!(content.source.as_ref().unwrap().organisation.as_str(), "iwf");
    assert_eq!(content.labels.tlp, Label::Known(Tlp::Amber));
}

#[test]
fn defaults_fill_what_is_silent_and_nothing_else() {
    let defaults = Defaults {
        labels: LabelsJson { origin: Some("generated".into()), ..LabelsJson::default() },
        review: Some("single".into()),
        source: Some(SourceJson { organisation: "own-desk".into(), ..SourceJson::default() }),
        ..Defaults::default()
    };
    let options = ReadOptions { defaults, ..ReadOptions::default() };
    let text = format!("md5,origin,review,source_org\n{MD5},,,\n{MD5},undetermined,dual,iwf\n");
    let (items, bad) = read(&text, options).unwrap();
    assert!(bad.is_empty());
    assert_eq!(items[0].content.labels.origin, Label::Known(Origin::Generated));
    assert_eq!(items[0].content.review, Label::Known(Review::Single));
    assert_eq!(items[0].content.source.as_ref().unwrap().organisation.as_str(), "own-desk");
    assert_eq!(items[1].content.labels.origin, Label::Known(Origin::Undetermined));
    assert_eq!(items[1].content.review, Label::Known(Review::Dual));
    assert_eq!(items[1].content.source.as_ref().unwrap().organisation.as_str(), "iwf");
}

#[test]
fn handling_in_columns() {
    let items = good(&format!(
        "md5,hash_set,reported_to,preserved_until,valid_from,incident,classes\n\
         {MD5},cg-csam,ncmec:2026-11; iwf:2026-10,2027-01-01T00:00:00Z,2026-10-01T00:00:00Z,{MD5},iwf:2:a\n"
    ));
    let handling = items[0].content.handling.as_ref().expect("stated");
    assert_eq!(handling.hash_set.as_ref().map(Token::as_str), Some("cg-csam"));
    let reports: Vec<_> = handling.reports.iter().map(|report| (report.to.get(), report.month)).collect();
    let month = |text| Month::parse(text).unwrap();
    assert_eq!(reports, [(ReportedTo::Ncmec, month("2026-11")), (ReportedTo::Iwf, month("2026-10"))]);
    assert_eq!(handling.incident.map(|id| id.to_string()).as_deref(), Some(MD5));
    assert_eq!(handling.classes.len(), 1);
    check_bad(
        &format!(
            "md5,reported_to,classes,incident\n{MD5},ncmec,,\n{MD5},ncmec:2026-13,,\n{MD5},fbi:2026-01,,\n\
             {MD5},iwf:2026-01;iwf:2026-01,,\n{MD5},,iwf:2,\n{MD5},,iwf:2:a b,\n{MD5},,,wave\n"
        ),
        &[
            "2: reported_to: expected TO:YYYY-MM, several separated by ';'",
            "3: handling.reported_to[0].month: expected a month as YYYY-MM, from 1970-01 to 9999-12",
            "4: handling.reported_to[0].to: unknown value \"fbi\", expected one of: other, ncmec, iwf, c3p, \
             inhope_hotline, law_enforcement, national_authority",
            "5: handling.reported_to: the same one stands there twice",
            "6: classes: expected SCHEME:VERSION:CLASS, several separated by ';'",
            "7: handling.classes[0].class: a token has only the characters a-z 0-9 . _ - (byte 1 is another)",
            "8: handling.incident: an incident id has 32 lower-case hex digits: expected 16 bytes in hexadecimal, found 2",
        ],
    );
}

#[test]
fn bad_csv_lines_are_told_apart() {
    let short = &PDQ[1..];
    check_bad(
        &format!(
            "type,value,quality,origin,source_list\n\
             pdq,{short},,,\n\
             pdq,{PDQ},101,,\n\
             md5,{MD5},50,,\n\
             sha3,{MD5},,,\n\
             md5,{MD5},,generatd,\n\
             md5,{MD5}\n\
             md5,\"{MD5},,,\n\
             ,,,,\n\
             md5,{MD5},,,list\n\
             md5,g{},,,\n",
            &MD5[1..]
        ),
        &[
            "2: signals[0].value: expected 64 lower-case hex digits, got 63",
            "3: quality: expected a whole number from 0 to 100, got \"101\"",
            "4: quality given, but there is no PDQ value that it could be about",
            "5: signals[0].type: unknown value \"sha3\", expected one of: pdq, md5, sha1, sha256, photodna, model_sha256, model_blake3, st_body, tset1, model_crc32, dataset_sha256, dataset_root, url_key, package_sha256, certificate_sha256, domain_key",
            "6: labels.origin: unknown value \"generatd\", expected one of: undetermined, generated, edited_benign, \
             edited_abuse, photographic",
            "7: 2 cells, but the header has 5",
            "8: cell 2 opens a quote that does not close on the same line",
            "9: no signal on this line",
            "10: source_list, source_id and source_date need a source_org",
            "11: signals[0].value: expected lower-case hex digits, but character 0 is none (counted from 0)",
        ],
    );
    check_bad(
        &format!("pdq,quality\n{PDQ},1;2\n{PDQ};{PDQ},\n"),
        &[
            "2: 2 qualities for 1 PDQ values; separate both with ';', or leave quality empty",
            "3: signals[1]: same type and value as signals[0]",
        ],
    );
}

#[test]
fn bad_headers_are_told_apart() {
    check_refused(
        "md5,case number,Analyst\n",
        "line 1: unknown column(s) \"case number\", \"analyst\"; rename them, or pass over them with \
         --ignore-unknown-columns",
    );
    check_refused("md5,origin,md5\n", "line 1: column md5 stands twice");
    check_refused(
        "\n\norigin,review\n",
        "line 3: no column for signals: expected type and value, or one of pdq, md5, sha1, sha256, photodna",
    );
    check_refused("type,origin\n", "line 1: type and value belong together, but only one of them is there");
    check_refused(
        "type,value,md5\n",
        "line 1: either type and value, or a column for each signal type, not both",
    );
    check_refused(
        "What is this\n",
        "line 1: the format of the list is not recognised; expected a CSV header, a JSON object, or TYPE VALUE (use \
         --format to say which it is)",
    );
    let options = ReadOptions { ignore_unknown_columns: true, ..ReadOptions::default() };
    let (items, bad) = read(&format!("case,md5,case\n7,{MD5},8\n"), options).unwrap();
    assert_eq!((items.len(), bad.len()), (1, 0));
}

#[test]
fn type_value_lines() {
    let items = good(&format!("pdq {PDQ}\nvideo_md5 {MD5}\n\n  sha1   {MD5}01234567  \n"));
    let kinds: Vec<&str> = items.iter().map(|item| item.record.signals[0].signal_type.as_str()).collect();
    assert_eq!(kinds, ["pdq", "md5", "sha1"]);
    for item in items {
        assert_eq!(good(&tx::line(&item.record.signals[0]))[0].content, item.content);
    }
    check_bad(
        &format!(
            "raw_text some words\nurl https://example.org/\npdq {PDQ} extra\nvpdq {PDQ}\npdq\nmd5 {PDQ}\n"
        ),
        &[
            "1: raw_text carries text; Hashpact takes hashes of media only",
            "2: url carries text; Hashpact takes hashes of media only",
            "3: expected TYPE VALUE, as `threatexchange dataset --print-signals --signals-only` prints",
            "4: unknown signal type \"vpdq\"; known are pdq, md5, sha1, sha256, photodna, and video_md5 for md5",
            "5: expected TYPE VALUE, as `threatexchange dataset --print-signals --signals-only` prints",
            "6: signals[0].value: expected 32 lower-case hex digits, got 64",
        ],
    );
}

#[test]
fn three_shapes_of_json() {
    let variants: Vec<String> = (0..7).map(|n| format!("{n}{}", &PDQ[1..])).collect();
    let hashed = serde_json::json!({"file": "a b.png", "signals": [
        {"type": "pdq", "value": PDQ, "quality": 90, "variants": variants},
        {"type": "md5", "value": MD5},
    ]});
    let exported = RecordJson {
        record: "00".repeat(32),
        member: "alpha".into(),
        kind: "content".into(),
        status: "active".into(),
        signals: vec![NewSignal { signal_type: "md5".into(), value: MD5.into(), quality: None }],
        ..RecordJson::default()
    };
    let text = format!(
        "{}\n{}\n{}\n",
        hashed,
        serde_json::to_string(&exported).unwrap(),
        serde_json::json!({"kind": "content", "signals": [{"type": "md5", "value": MD5}], "review": "single"}),
    );
    let items = good(&text);
    assert_eq!((items[0].file.as_deref(), items[0].variants.len()), (Some("a b.png"), 7));
    assert_eq!(items[1].content.source.as_ref().unwrap().organisation.as_str(), "alpha");
    assert_eq!(items[2].content.review, Label::Known(Review::Single));
}

#[test]
fn a_signal_says_of_which_kind_its_record_is() {
    let value = "ab".repeat(32);
    for text in [format!("type,value,review\nurl_key,{value},dual\n"), format!("url_key {value}\n")] {
        let items = good(&text);
        assert_eq!((items[0].record.kind.as_str(), items[0].record.signals.len()), ("dataset", 1), "{text}");
    }
    check_bad(
        &format!("md5,sha1\n{MD5},x\n"),
        &["2: signals[1].value: expected 40 lower-case hex digits, got 1"],
    );
    let options = ReadOptions { for_everybody: true, ..ReadOptions::default() };
    let (items, bad) = read(&format!("domain_key {value}\nmd5 {MD5}\n"), options).unwrap();
    assert_eq!((items.len(), items[0].line), (1, 2));
    assert!(bad[0].starts_with("1: a keyed digest, which only"), "{bad:?}");
}

#[test]
fn what_a_record_adds_to_is_kept() {
    let subject = "cd".repeat(32);
    let line = |subject: &str| {
        let signals = serde_json::json!([{"type": "md5", "value": MD5}]);
        serde_json::json!({"kind": "content", "signals": signals, "subject": subject}).to_string()
    };
    let items = good(&(line(&subject) + "\n"));
    assert_eq!(items[0].record.subject.as_ref(), Some(&subject));
    check_bad(&(line("cd") + "\n"), &["1: subject: expected 64 lower-case hex digits, got 2"]);
}

#[test]
fn bad_json_lines_are_told_apart() {
    check_bad(
        &format!(
            "{{\"kind\":\"content\"\n\
             {{\"kind\":\"content\",\"signals\":[]}}\n\
             {{\"kind\":\"model\",\"signals\":[]}}\n\
             {{\"kind\":\"content\",\"signals\":[],\"url\":\"x\"}}\n\
             {{\"file\":\"x\",\"signals\":[],\"error\":\"No such file\"}}\n\
             {{\"record\":\"00\",\"member\":\"a\",\"log\":\"l\",\"index\":0,\"kind\":\"opinion\",\"time\":\"t\",\"status\":\"active\",\"proof\":\"p\"}}\n\
             {{\"record\":\"00\",\"member\":\"a\",\"log\":\"l\",\"index\":0,\"kind\":\"content\",\"time\":\"t\",\"status\":\"retracted\",\"proof\":\"p\"}}\n\
             [\"{MD5}\"]\n"
        ),
        &[
            "1: not a record in JSON: EOF while parsing an object at line 1 column 17",
            "2: signals: must not be empty",
            "3: signals: must not be empty",
            "4: not a record in JSON: unknown field `url`, expected one of `kind`, `signals`, `subject`, `labels`, `review`, `source`, `expires`, `handling`, `genmeta`, `model`, `dataset`, `service`, `ttp`",
            "5: this file was not hashed: No such file",
            "6: a record of kind \"opinion\" cannot be imported, only statements",
            "7: the record is retracted; only records that stand are imported",
            "8: not a record in JSON: expected an object in braces",
        ],
    );
}

fn label<T: Vocabulary>() -> impl Strategy<Value = Label<T>> {
    proptest::sample::select(T::all().collect::<Vec<T>>()).prop_map(Label::Known)
}

fn signals() -> impl Strategy<Value = Vec<Signal>> {
    let signal = (
        proptest::sample::select(SignalType::ALL[..5].to_vec()),
        any::<[u8; 4]>(),
        proptest::option::of(0u8..=100),
    );
    proptest::collection::vec(signal, 1..8).prop_map(|parts| {
        let mut signals: Vec<Signal> = Vec::new();
        for (kind, seed, quality) in parts {
            let value: Vec<u8> =
                (0..kind.width_bytes()).map(|at| seed[at % 4].wrapping_add(at as u8)).collect();
            let quality = quality.filter(|_| kind == SignalType::Pdq);
            let signal = Signal::new(kind, &value, quality).unwrap();
            if !signals.iter().any(|other| other.same_value(&signal)) {
                signals.push(signal);
            }
        }
        signals
    })
}

fn source() -> impl Strategy<Value = Option<Source>> {
    let token = "[a-z0-9._-]{1,64}";
    proptest::option::of((
        token,
        proptest::option::of(token),
        proptest::option::of(token),
        proptest::option::of(0u64..40_000),
    ))
    .prop_map(|parts| {
        parts.map(|(organisation, list, id, days)| {
            let mut source = Source::new(Token::new(&organisation).unwrap());
            source.list = list.map(|text| Token::new(&text).unwrap());
            source.id = id.map(|text| Token::new(&text).unwrap());
            source.date = days.map(|days| Date::from_days(days).unwrap());
            source
        })
    })
}

/// What may be passed on.
fn handling() -> impl Strategy<Value = Option<Box<Handling>>> {
    let id = "[a-z0-9._-]{1,32}";
    let class = (proptest::sample::select(Scheme::all().collect::<Vec<_>>()), id, id)
        .prop_map(|(scheme, version, class)| OtherClass::new(scheme, &version, &class).unwrap());
    let option =
        (proptest::option::of(id), proptest::option::of(any::<[u8; 16]>()), proptest::option::of(1u64..100));
    (option, proptest::collection::vec(class, 0..3)).prop_filter_map(
        "twice",
        |((hash_set, incident, valid_from_s), classes)| {
            let hash_set = hash_set.map(|text| Token::new(&text).unwrap());
            let incident = incident.map(IncidentId::new);
            Handling { hash_set, incident, valid_from_s, classes, ..Handling::default() }.boxed().ok()
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let first =
        (label::<Origin>(), label::<Realism>(), label::<Activity>(), label::<AgeGroup>(), label::<AgeBand>());
    let second = (label::<Likeness>(), label::<Tlp>(), label::<Review>());
    let evidence = proptest::sample::subsequence(Evidence::all().collect::<Vec<_>>(), 0..=6);
    let times = proptest::option::of(100u64..4_000_000_000);
    (signals(), first, second, evidence, source(), (times, handling())).prop_map(
        |(signals, first, second, evidence, source, (expires_s, handling))| {
            let (origin, realism, activity, age_group, age_band) = first;
            let (likeness, tlp, review) = second;
            let mut labels =
                Labels { origin, realism, activity, age_group, age_band, likeness, tlp, ..Labels::default() };
            evidence.into_iter().for_each(|word| labels.evidence.insert(word));
            Content { labels, review, source, expires_s, handling, ..Content::new(signals).unwrap() }
        },
    )
}

proptest! {
    /// What `export` writes, `import` reads: same signals, labels, review, source and expiry.
    #[test]
    fn csv_and_json_round_trip(content in content()) {
        let exported = RecordJson {
            record: "00".repeat(32), member: "alpha".into(), kind: "content".into(), status: "active".into(),
            ..RecordJson::default()
        }.with_content(&content);
        let author = Source::new(Token::new("alpha").unwrap());
        let expected = Content { source: Some(content.source.clone().unwrap_or(author)), ..content };
        let csv = format!("{}\n{}\n", csv::header_line(), csv::row(&exported).unwrap());
        prop_assert_eq!(&good(&csv)[0].content, &expected, "{}", csv);
        prop_assert_eq!(&good(&serde_json::to_string(&exported).unwrap())[0].content, &expected);
    }

    /// The canonical request states the same, and leaves out what is the default.
    #[test]
    fn canonical_requests_state_the_same(content in content()) {
        let record = canonical(&content);
        prop_assert_eq!(record.to_record().unwrap(), content);
        prop_assert_ne!(record.labels.origin.as_deref(), Some("undetermined"));
    }

    /// Nothing that a file may contain stops the reader or makes it panic.
    #[test]
    fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), format in proptest::sample::select(vec![None, Some(Format::Csv), Some(Format::Jsonl), Some(Format::Tx)])) {
        let mut reader = ListReader::new(bytes.as_slice(), ReadOptions { format, ..ReadOptions::default() });
        while let Ok(Some(_)) = reader.next_step() {}
    }
}

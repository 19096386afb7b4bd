//! Rosters, their chain and node cards: vectors, the generator that wrote them, and laws.

mod bodies;
mod cards;
mod files;
mod laws;
mod malice;
mod rights;
mod sample;
#[path = "../vector_files/mod.rs"]
mod vector_files;
#[path = "../vector_writer/mod.rs"]
mod vector_writer;

use hashpact_protocol::digest::Root;
use hashpact_protocol::roster::{ChainError, Roster, RosterChain, RosterError, SignedRoster, VerifiedCard};
use vector_files::VectorFile;
use vector_writer::Vector;

const AREA: &str = "roster";

#[test]
fn vectors() {
    let vectors = vector_files::read_area(AREA);
    for vector in &vectors {
        match vector.get("kind") {
            "body" => check_body(vector),
            "file" => vector.check(&read_file(vector).map(|_| ())),
            "card" => check_card(vector, &vectors),
            kind => panic!("{}: unknown kind {kind}", vector.name),
        }
    }
}

#[test]
fn vectors_are_what_the_generator_writes() {
    let vectors: Vec<Vector> =
        [bodies::vectors(), rights::vectors(), files::vectors(), cards::vectors()].concat();
    vector_writer::compare_or_update(AREA, &vectors);
}

fn check_body(vector: &VectorFile) {
    let outcome = Roster::parse(&vector.body);
    if let Ok(roster) = &outcome {
        assert_eq!(roster.encode(), vector.body, "{}: encode is the inverse of parse", vector.name);
    }
    if let Err(error) = &outcome {
        assert_eq!(line_of(error).to_string(), vector.get("line"), "{}: {error}", vector.name);
        if line_of(error) > 0 {
            assert!(error.to_string().contains(&format!("line {}", vector.get("line"))), "{error}");
        }
    }
    vector.check(&outcome.map(|_| ()));
}

/// The line that an error names; 0 for one about the whole.
fn line_of(error: &RosterError) -> usize {
    match error {
        RosterError::Length { .. } => 0,
        RosterError::Utf8 { line }
        | RosterError::Truncated { line, .. }
        | RosterError::Keyword { line, .. }
        | RosterError::Value { line, .. }
        | RosterError::Key { line, .. }
        | RosterError::AfterEnd { line }
        | RosterError::NotCanonical { line }
        | RosterError::Rule { line, .. } => *line,
        error => panic!("an error of no known line: {error:?}"),
    }
}

/// Walks a file from its first version, with the pin that the header names.
fn read_file(vector: &VectorFile) -> Result<RosterChain, ChainError> {
    let pin = match vector.get("pin") {
        "none" => None,
        hex => Some(Root::from_hex(hex).unwrap()),
    };
    let chain = walk(&vector.body, pin.as_ref())?;
    assert_eq!(chain.root().to_hex(), vector.get("root"), "{}", vector.name);
    let again: Vec<u8> = chain.suffix_from(0).iter().flat_map(SignedRoster::encode).collect();
    assert_eq!(again, vector.body, "{}: encode is the inverse of parse", vector.name);
    Ok(chain)
}

fn walk(file: &[u8], pin: Option<&Root>) -> Result<RosterChain, ChainError> {
    let versions = SignedRoster::parse_file(file)?;
    let mut chain = RosterChain::start(&versions[0], pin)?;
    for version in &versions[1..] {
        chain.advance(version)?;
    }
    Ok(chain)
}

fn check_card(vector: &VectorFile, vectors: &[VectorFile]) {
    let roster = vectors.iter().find(|other| other.name.ends_with(vector.get("roster"))).unwrap();
    let roster = Roster::parse(&roster.body).unwrap();
    let now_s = vector.get("now").parse().unwrap();
    vector.check(&VerifiedCard::verify(&vector.body, &roster, now_s).map(|_| ()));
}

/// What a person reads about each broken rule, one message a vector (`tests/vectors/messages/`).
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test reads and writes files, the crate under test does not"
)]
fn every_broken_rule_has_its_message() {
    let vectors = vector_files::read_area(AREA);
    let message = |vector: &VectorFile| match vector.get("kind") {
        "body" => Roster::parse(&vector.body).err().map(|error| error.to_string()),
        "file" => read_file(vector).err().map(|error| error.to_string()),
        _ => None,
    };
    let mut text = String::new();
    for vector in &vectors {
        let Some(message) = message(vector) else { continue };
        let name = vector.name.rsplit('/').next().unwrap_or_default().trim_end_matches(".txt");
        text.push_str(&format!("{name}\n    {message}\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/messages/roster-rules.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == text,
        "{path} differs; if that is meant, run with UPDATE_GOLDEN=1 and review the diff"
    );
}

//! What is stated about files or lines: labels, review and source, from options.
//!
//! Every word is of a controlled vocabulary and checked before anything is hashed or sent.

use clap::builder::PossibleValuesParser;
use hashpact_client::list::{Defaults, csv};
use hashpact_protocol::api::{HandlingJson, LabelsJson, NewRecord, SourceJson};
use hashpact_protocol::record::{
    Activity, AgeBand, AgeGroup, Evidence, Likeness, Origin, Realism, Review, Tlp, Vocabulary,
};

/// The words that an option may take.
pub(crate) fn words<T: Vocabulary>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::all().map(Vocabulary::name).collect::<Vec<&'static str>>())
}

/// Options for labels; each left out is undetermined.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Labels (left out: undetermined)")]
pub(crate) struct LabelArgs {
    /// How the content came to be
    #[arg(long, value_name = "WORD", value_parser = words::<Origin>())]
    origin: Option<String>,
    /// How it looks
    #[arg(long, value_name = "WORD", value_parser = words::<Realism>())]
    realism: Option<String>,
    /// Activity class of the industry scheme
    #[arg(long, value_name = "WORD", value_parser = words::<Activity>())]
    activity: Option<String>,
    /// Age group of the industry scheme
    #[arg(long, value_name = "WORD", value_parser = words::<AgeGroup>())]
    age_group: Option<String>,
    /// Age band, if it was assessed
    #[arg(long, value_name = "WORD", value_parser = words::<AgeBand>())]
    age_band: Option<String>,
    /// Whether it resembles a real person: a flag, never an identity
    #[arg(long, value_name = "WORD", value_parser = words::<Likeness>())]
    likeness: Option<String>,
    /// Evidence of its origin; repeat for several
    #[arg(long, value_name = "WORD", value_parser = words::<Evidence>())]
    evidence: Vec<String>,
    /// Who has reviewed that it is harmful; left out: unreviewed
    #[arg(long, value_name = "WORD", value_parser = words::<Review>())]
    review: Option<String>,
    /// Traffic Light Protocol 2.0; left out: amber+strict
    #[arg(long, value_name = "WORD", value_parser = words::<Tlp>())]
    tlp: Option<String>,
    /// Organisation that first stated this, when you pass on its list
    #[arg(long, value_name = "NAME")]
    source_org: Option<String>,
    /// Its list
    #[arg(long, value_name = "NAME", requires = "source_org")]
    source_list: Option<String>,
    /// The id in that list
    #[arg(long, value_name = "ID", requires = "source_org")]
    source_id: Option<String>,
    /// The day of its statement, YYYY-MM-DD
    #[arg(long, value_name = "DATE", requires = "source_org")]
    source_date: Option<String>,
    /// When the statement stops counting, such as 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Since when it is true; delays nothing
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Until when your member preserves what it is about
    #[arg(long, value_name = "TIME")]
    preserved_until: Option<String>,
    /// Hash set to put it in, one that the roster registers
    #[arg(long, value_name = "NAME")]
    hash_set: Option<String>,
    /// Report that your member made, such as ncmec:2026-11; repeat for several
    #[arg(long, value_name = "TO:YYYY-MM")]
    reported_to: Vec<String>,
    /// Content incident that it belongs to, 32 hex digits
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    /// What another scheme calls it, such as jurisdiction:2021:de.184b-1; repeat for several
    #[arg(long, value_name = "SCHEME:VERSION:CLASS")]
    other_class: Vec<String>,
}

impl LabelArgs {
    /// The checked defaults.
    ///
    /// # Errors
    /// A source that is not made of tokens or a date.
    pub(crate) fn defaults(&self) -> anyhow::Result<Defaults> {
        let labels = LabelsJson {
            origin: self.origin.clone(),
            realism: self.realism.clone(),
            activity: self.activity.clone(),
            age_group: self.age_group.clone(),
            age_band: self.age_band.clone(),
            likeness: self.likeness.clone(),
            evidence: self.evidence.clone(),
            tlp: self.tlp.clone(),
            ..LabelsJson::default()
        };
        labels.to_labels()?;
        let source = self.source_org.clone().map(|organisation| SourceJson {
            organisation,
            list: self.source_list.clone(),
            id: self.source_id.clone(),
            date: self.source_date.clone(),
        });
        if let Some(source) = &source {
            source.to_source().map_err(|error| anyhow::anyhow!("source {error}"))?;
        }
        let handling = self.handling()?;
        let expires = self.expires.clone();
        let stated =
            NewRecord { expires: expires.clone(), handling: handling.clone(), ..NewRecord::default() };
        stated.expiry_and_handling()?;
        Ok(Defaults { labels, review: self.review.clone(), source, expires, handling })
    }
}

impl LabelArgs {
    fn handling(&self) -> anyhow::Result<HandlingJson> {
        let mut handling = HandlingJson {
            hash_set: self.hash_set.clone(),
            preserved_until: self.preserved_until.clone(),
            valid_from: self.valid_from.clone(),
            incident: self.incident.clone(),
            ..HandlingJson::default()
        };
        for report in &self.reported_to {
            handling.reported_to.extend(csv::read_reports(report)?);
        }
        for class in &self.other_class {
            handling.classes.extend(csv::read_classes(class)?);
        }
        Ok(handling)
    }
}

/// Labels in one line for a person: the determined ones, in the order of the scheme.
pub(crate) fn in_words(labels: &LabelsJson) -> String {
    let single = [
        &labels.origin,
        &labels.realism,
        &labels.activity,
        &labels.age_group,
        &labels.age_band,
        &labels.likeness,
    ];
    let known = single.into_iter().flatten().filter(|word| *word != "undetermined").cloned();
    let mut words: Vec<String> = known.collect();
    if !labels.evidence.is_empty() {
        words.push(format!("evidence: {}", labels.evidence.join(" + ")));
    }
    for (field, code) in &labels.raw {
        words.push(format!("{field}: value {code} of a newer version"));
    }
    if words.is_empty() { "no labels".to_owned() } else { words.join(", ") }
}

/// What is stated about every record that does not say otherwise, in one line.
pub(crate) fn statement(defaults: &Defaults) -> String {
    let mut record = NewRecord::default();
    defaults.apply(&mut record);
    let source = record.source.map_or("your member's own".to_owned(), |source| {
        let parts = [Some(source.organisation), source.list, source.id, source.date];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" / ")
    });
    let mut statement = format!(
        "labels: {}; review: {}; tlp: {}; source: {source}",
        in_words(&record.labels),
        record.review.as_deref().unwrap_or("unreviewed"),
        record.labels.tlp.as_deref().unwrap_or("amber+strict"),
    );
    for (name, value) in handling_in_words(&record.handling) {
        statement.push_str(&format!("; {name}: {value}"));
    }
    if let Some(expires) = &record.expires {
        statement.push_str(&format!("; expires: {expires}"));
    }
    statement
}

/// Hash set, reports and the like for a person: name and value of each that is stated.
pub(crate) fn handling_in_words(handling: &HandlingJson) -> Vec<(&'static str, String)> {
    let newer = |word: &str, raw: Option<u64>| {
        raw.map_or(word.to_owned(), |code| format!("number {code} of a newer version"))
    };
    let reports = handling.reported_to.iter();
    let reports = reports.map(|report| format!("{} {}", newer(&report.to, report.raw), report.month));
    let classes = handling.classes.iter();
    let classes = classes
        .map(|class| format!("{} {}: {}", newer(&class.scheme, class.raw), class.version, class.class));
    let one = |name, value: &Option<String>| value.clone().map(|value| (name, value));
    let several = |name, values: Vec<String>| (!values.is_empty()).then(|| (name, values.join(", ")));
    [
        one("hash set", &handling.hash_set),
        several("reported to", reports.collect()),
        one("preserved", &handling.preserved_until),
        one("valid from", &handling.valid_from),
        one("incident", &handling.incident),
        several("classes", classes.collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

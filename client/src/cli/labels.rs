//! What is stated about files or lines: labels, review and source, from options.
//!
//! Every word is of a controlled vocabulary and checked before anything is hashed or sent.

use clap::builder::PossibleValuesParser;
use hashpact_client::list::Defaults;
use hashpact_protocol::api::{LabelsJson, NewRecord, SourceJson};
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
        Ok(Defaults { labels, review: self.review.clone(), source })
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
    format!(
        "labels: {}; review: {}; tlp: {}; source: {source}",
        in_words(&record.labels),
        record.review.as_deref().unwrap_or("unreviewed"),
        record.labels.tlp.as_deref().unwrap_or("amber+strict"),
    )
}

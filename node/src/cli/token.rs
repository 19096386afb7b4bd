//! `hashpact-node token`: bearer tokens of the API, with an end and limits. A running node takes changes up within a second.

use super::duration::{parse_duration, words};
use crate::config::Config;
use crate::driver::now_ms;
use crate::journal::{Actor, record};
use crate::tokens::{LIFETIME_MAX_S, Limits, NewToken, Scope, Token, Tokens};
use clap::{Args, Subcommand};
use hashpact_protocol::api::time::rfc3339_seconds;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; only its hash is kept.
    Create(CreateArguments),
    /// Show all tokens: what they allow, when they expire, their limits. Never a secret.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Take a token back.
    Revoke {
        /// Its name.
        name: String,
    },
    /// Show tokens that have expired or will soon; exits with 1 if there are any.
    ShowExpiring {
        /// How soon: a number with s, m, h or d.
        #[arg(long, default_value = "14d", value_parser = parse_duration)]
        within: u64,
    },
}

#[derive(Args)]
pub(super) struct CreateArguments {
    /// A name for the journal and for revoking: [a-z0-9._-], at most 64.
    #[arg(long)]
    name: String,
    /// What the token allows; repeat for several.
    #[arg(long = "scope", required = true)]
    scopes: Vec<Scope>,
    /// How long it is valid: a number with s, m, h or d; at most 366d.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_duration)]
    expires: u64,
    /// Requests a second that it may send.
    #[arg(long, value_name = "COUNT")]
    requests_per_s: Option<u64>,
    /// Items of look-ups, and records, a second.
    #[arg(long, value_name = "COUNT")]
    items_per_s: Option<u64>,
    /// How many seconds' worth of these two may come at once; 10 unless said otherwise.
    #[arg(long, value_name = "SECONDS")]
    burst_s: Option<u64>,
    /// Requests a day (UTC).
    #[arg(long, value_name = "COUNT")]
    requests_per_day: Option<u64>,
    /// Items a day (UTC).
    #[arg(long, value_name = "COUNT")]
    items_per_day: Option<u64>,
    /// Write the token to a new file with mode 600 instead of printing it.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(arguments) => create(config, arguments),
        TokenCommand::List { json } => list(config, json),
        TokenCommand::Revoke { name } => revoke(config, &name),
        TokenCommand::ShowExpiring { within } => show_expiring(config, within),
    }
}

fn create(config: &Config, arguments: CreateArguments) -> anyhow::Result<()> {
    if let Some(path) = &arguments.out {
        anyhow::ensure!(!path.exists(), "{} exists; a token file is never overwritten", path.display());
    }
    let new = NewToken {
        name: arguments.name,
        scopes: arguments.scopes.into_iter().collect(),
        lifetime_s: arguments.expires,
        limits: Limits {
            requests_per_s: arguments.requests_per_s,
            items_per_s: arguments.items_per_s,
            burst_s: arguments.burst_s,
            requests_per_day: arguments.requests_per_day,
            items_per_day: arguments.items_per_day,
        },
    };
    let journal =
        |token: &Token| record(&config.journal_file(), &Actor::of_command(), "create-token", &as_json(token));
    let (token, secret) = Tokens::create(&config.tokens_file(), &new, now_ms() / 1_000, journal)?;
    let until = rfc3339_seconds(token.expires_s);
    match arguments.out {
        Some(path) => {
            let mut file =
                std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(format!("{secret}\n").as_bytes())?;
            file.sync_all()?;
            println!("token {} written to {}; it expires on {until}", token.name, path.display());
        }
        None => {
            eprintln!("token {} expires on {until}", token.name);
            println!("{secret}");
        }
    }
    Ok(())
}

fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let (tokens, now_s) = (Tokens::load(&config.tokens_file())?, now_ms() / 1_000);
    for token in tokens.all() {
        println!("{}", if json { as_json(token).to_string() } else { line(token, now_s) });
    }
    if tokens.is_empty() && !json {
        println!("no tokens; `hashpact-node token create` makes one");
    }
    Ok(())
}

fn revoke(config: &Config, name: &str) -> anyhow::Result<()> {
    let journal =
        |token: &Token| record(&config.journal_file(), &Actor::of_command(), "revoke-token", &as_json(token));
    let token = Tokens::revoke(&config.tokens_file(), name, journal)?;
    println!("token {} is revoked; a running node refuses it within a second", token.name);
    Ok(())
}

fn show_expiring(config: &Config, within_s: u64) -> anyhow::Result<()> {
    let (tokens, now_s) = (Tokens::load(&config.tokens_file())?, now_ms() / 1_000);
    let soon: Vec<&Token> =
        tokens.all().iter().filter(|token| token.has_expired(now_s.saturating_add(within_s))).collect();
    for token in &soon {
        println!("{}", line(token, now_s));
    }
    let (count, span) = (soon.len(), words(within_s));
    anyhow::ensure!(
        count == 0,
        "{count} of {} tokens expire within {span}, or have expired",
        tokens.all().len()
    );
    println!("none of {} tokens expires within {span}", tokens.all().len());
    Ok(())
}

/// One token for a person.
fn line(token: &Token, now_s: u64) -> String {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
    let end = rfc3339_seconds(token.expires_s);
    let left = match token.expires_s.checked_sub(now_s) {
        None | Some(0) => format!("expired on {end}"),
        Some(left_s) => format!("expires on {end}, in {}", words(left_s.min(LIFETIME_MAX_S))),
    };
    let limits: String = token.limits.fields().map(|(key, value)| format!("; {key} = {value}")).collect();
    format!("{}: {}; {left}{limits}", token.name, scopes.join(", "))
}

/// What the journal and `list --json` say of a token: everything but its hash.
fn as_json(token: &Token) -> serde_json::Value {
    let limits: serde_json::Map<String, serde_json::Value> =
        token.limits.fields().map(|(key, value)| (key.to_owned(), value.into())).collect();
    serde_json::json!({
        "name": token.name, "scopes": token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
        "created": rfc3339_seconds(token.created_s), "expires": rfc3339_seconds(token.expires_s), "limits": limits,
    })
}

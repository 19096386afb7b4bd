//! `hashpact members`: who is in the consortium, with their logs and the keys that `verify` needs.

use hashpact_client::Client;
use hashpact_protocol::api::{LogJson, MemberJson};
use serde::Serialize;

use super::exit::Outcome;
use super::output::{Output, grouped, printable};

/// A member as printed with `--json`.
#[derive(Serialize)]
struct MemberLine<'m> {
    #[serde(flatten)]
    member: &'m MemberJson,
    held: Vec<&'m LogJson>,
}

pub(crate) async fn run(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let members = client.members().await?;
    let logs = client.logs().await?;
    let held =
        |member: &MemberJson| logs.logs.iter().filter(|log| log.member == member.member).collect::<Vec<_>>();
    if output.json {
        members
            .members
            .iter()
            .for_each(|member| output.json_line(&MemberLine { member, held: held(member) }));
        return Ok(Outcome::Done);
    }
    output.note(&printable(&format!("{}, roster version {}", members.consortium, members.roster)));
    let mut rows = Vec::new();
    for member in &members.members {
        rows.push(vec![
            printable(&member.member),
            printable(&member.name),
            printable(&member.status),
            printable(&member.roles.join(", ")),
        ]);
    }
    output.table(&["member", "name", "status", "roles"], &rows);
    output.line("");
    let rows: Vec<Vec<String>> = logs
        .logs
        .iter()
        .map(|log| {
            let open = if log.open { "open" } else { "closed" };
            vec![printable(&log.origin), open.to_owned(), grouped(log.size), printable(&log.key)]
        })
        .collect();
    output.table(&["log", "state", "entries", "public key"], &rows);
    output.note("Keys as this node knows them; compare them with the signed roster before you rely on them.");
    Ok(Outcome::Done)
}

//! Founding a consortium with the commands that people would use.

use crate::node::{Node, free_port, run};
use anyhow::{Context as _, Result};
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::roster::{Roster, SignedRoster};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of the governance keys; two of three sign.
pub const GOVERNANCE: [&str; 3] = ["north", "south", "west"];

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The daemon.
    pub node: PathBuf,
    /// The command.
    pub client: PathBuf,
    /// The reference signer.
    pub signer: PathBuf,
}

impl Programs {
    /// Finds both programs beside the running one, where cargo puts them.
    ///
    /// # Errors
    /// They are not built.
    pub fn beside_us() -> Result<Self> {
        let mut dir = std::env::current_exe().context("path of this program")?;
        dir.pop();
        if dir.ends_with("deps") {
            dir.pop();
        }
        let programs = Self {
            node: dir.join("hashpact-node"),
            client: dir.join("hashpact"),
            signer: dir.join("hashpact-test-signer"),
        };
        for program in [&programs.node, &programs.client, &programs.signer] {
            anyhow::ensure!(
                program.exists(),
                "{} is not built; run `cargo build --workspace --bins` first (xtask does)",
                program.display()
            );
        }
        Ok(programs)
    }
}

/// Members' nodes with everything that they need, not yet started.
pub struct Consortium {
    /// The members' nodes, in the order of their names as given.
    pub nodes: Vec<Node>,
    /// The programs.
    pub programs: Programs,
    /// The signed roster file.
    pub roster: PathBuf,
    dir: tempfile::TempDir,
}

impl Consortium {
    /// Founds a consortium of these members.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn found(members: &[&str]) -> Result<Self> {
        Self::found_with(members, &[])
    }

    /// The same with more arguments for `roster create`.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn found_with(members: &[&str], options: &[&str]) -> Result<Self> {
        let programs = Programs::beside_us()?;
        let dir = tempfile::Builder::new().prefix("hashpact-").tempdir().context("temporary folder")?;
        let governance = dir.path().join("governance");
        std::fs::create_dir(&governance)?;
        let mut nodes = Vec::new();
        let p2p: Vec<u16> = members.iter().map(|_| free_port()).collect::<Result<_>>()?;
        for (position, member) in members.iter().enumerate() {
            let node = Node::prepare(&programs, dir.path(), member, position, &p2p)?;
            node.command(&["init"])?;
            nodes.push(node);
        }
        let roster = governance.join("roster");
        sign_roster(&programs, &governance, &nodes, &roster, options)?;
        for node in &mut nodes {
            node.command(&["init", "--roster", path(&roster)?])?;
            node.create_tokens()?;
        }
        Ok(Self { nodes, programs, roster, dir })
    }

    /// A node that the roster does not list yet: its keys exist, its log does not.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn prepare(&mut self, member: &str) -> Result<()> {
        self.prepare_with(member, "", &[])
    }

    /// The same with more lines in its configuration, and more arguments for `init`.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn prepare_with(&mut self, member: &str, lines: &str, arguments: &[&str]) -> Result<()> {
        let mut p2p: Vec<u16> = self.nodes.iter().map(|node| node.peer_port).collect();
        p2p.push(free_port()?);
        let node = Node::prepare(&self.programs, self.dir.path(), member, p2p.len() - 1, &p2p)?;
        let config = std::fs::read_to_string(node.config())?;
        std::fs::write(node.config(), config + lines)?;
        node.command(&[&["init"], arguments].concat())?;
        self.nodes.push(node);
        Ok(())
    }

    /// A prepared node takes the roster that lists it by now.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn admit(&mut self, position: usize) -> Result<()> {
        let roster = path(&self.roster)?.to_owned();
        let node = self.nodes.get_mut(position).context("such a node")?;
        node.command(&["init", "--roster", &roster])?;
        node.create_tokens()
    }

    /// A read replica of a member: another node, with a peer key that the author's configuration lists from now on, as the
    /// commands say it. Its place among the nodes.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn add_replica(&mut self, of: usize) -> Result<usize> {
        let folder = self.dir.path().join(format!("replica-{}", self.nodes.len()));
        std::fs::create_dir(&folder)?;
        let mut p2p: Vec<u16> = self.nodes.iter().map(|node| node.peer_port).collect();
        p2p.push(free_port()?);
        let author = self.nodes.get(of).context("such a node")?;
        let mut node = Node::prepare(&self.programs, &folder, &author.member, p2p.len() - 1, &p2p)?;
        let config = std::fs::read_to_string(node.config())?;
        std::fs::write(node.config(), format!("role = \"replica\"\n{config}"))?;
        let said = node.command(&["init", "--replica"])?;
        let lines = said.find("[[replicas]]").and_then(|from| said.get(from..)?.split("\n\n").next());
        let lines = lines.context("what goes into the author's configuration")?;
        let config = std::fs::read_to_string(author.config())?;
        std::fs::write(author.config(), format!("{config}\n{lines}\n"))?;
        node.command(&["init", "--replica", "--roster", path(&self.roster)?])?;
        node.create_tokens()?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Governance signs a next version; the file with all versions. It becomes this consortium's roster file.
    ///
    /// # Errors
    /// The command that failed, with its words.
    pub fn next_roster(&mut self, change: impl FnOnce(&mut Roster)) -> Result<PathBuf> {
        let held = std::fs::read(&self.roster)?;
        let versions = SignedRoster::parse_file(&held)?;
        let last = versions.last().context("a version")?;
        let mut roster = Roster::parse(&last.body)?;
        roster.previous = Some(RosterDigest::of_body(&last.body));
        roster.version += 1;
        roster.created_s += 1;
        change(&mut roster);
        let draft = SignedRoster { body: roster.encode(), note: Vec::new() };
        let governance = self.dir.path().join("governance");
        let file = governance.join(format!("roster-{}", roster.version));
        std::fs::write(&file, [held, draft.encode()].concat())?;
        for name in &GOVERNANCE[..2] {
            let key = governance.join(format!("{name}.key"));
            let sign = ["roster", "sign", "--key", path(&key)?, "--name", name, path(&file)?];
            run(Command::new(&self.programs.node).args(sign))?;
        }
        self.roster.clone_from(&file);
        Ok(file)
    }

    /// The folder of this consortium.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Keeps the folder after the end.
    pub fn keep(self) -> PathBuf {
        let Self { dir, nodes, .. } = self;
        drop(nodes);
        dir.keep()
    }

    /// Starts every node and waits until each is ready, complete and may append.
    ///
    /// # Errors
    /// A node that does not get there in time, with its last words.
    pub fn start(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        for node in &self.nodes {
            node.wait_until_open()?;
        }
        Ok(())
    }
}

fn sign_roster(
    programs: &Programs,
    governance: &Path,
    nodes: &[Node],
    roster: &Path,
    options: &[&str],
) -> Result<()> {
    let mut create: Vec<String> =
        ["roster", "create", "--name", "demo", "--threshold", "2", "--out"].map(String::from).into();
    create.push(path(roster)?.to_owned());
    create.extend(options.iter().map(|option| (*option).to_owned()));
    for name in GOVERNANCE {
        let key = governance.join(format!("{name}.key"));
        let public = run(Command::new(&programs.node).args(["roster", "keygen", "--out", path(&key)?]))?;
        create.extend(["--governance".to_owned(), format!("{name}={}", public.trim())]);
    }
    for node in nodes {
        create.extend(["--member".to_owned(), path(&node.dir.join("data/join.toml"))?.to_owned()]);
        create.extend(["--witness".to_owned(), node.member.clone()]);
    }
    run(Command::new(&programs.node).args(&create))?;
    for name in &GOVERNANCE[..2] {
        let key = governance.join(format!("{name}.key"));
        let sign = ["roster", "sign", "--key", path(&key)?, "--name", name, path(roster)?];
        run(Command::new(&programs.node).args(sign))?;
    }
    Ok(())
}

/// A path as text.
///
/// # Errors
/// It is not UTF-8.
pub fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

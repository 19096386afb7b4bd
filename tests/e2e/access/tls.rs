//! TLS with certificates made here: served, asked for, renewed without a restart, and each broken file named.

use crate::evidence::wait_until;
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::consortium::path;
use hashpact_tests::node::Outcome;
use hashpact_tests::{Consortium, Node};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// An authority with its key.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate()?;
        Ok(Self { certificate: params.self_signed(&key)?, key })
    }

    /// A certificate of this name and its key, in files.
    fn issue(&self, dir: &Path, file: &str, name: &str) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.certificate, &self.key)?;
        let paths = (dir.join(format!("{file}.pem")), dir.join(format!("{file}.key")));
        std::fs::write(&paths.0, certificate.pem())?;
        std::fs::write(&paths.1, key.serialize_pem())?;
        std::fs::set_permissions(&paths.1, std::fs::Permissions::from_mode(0o600))?;
        Ok(paths)
    }

    fn write(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, self.certificate.pem())?)
    }
}

fn ask(node: &Node, options: &[&str]) -> Result<Outcome> {
    let url = format!("https://localhost:{}", node.http_port);
    node.hashpact(&[&["--url", &url], options, &["members"]].concat())
}

#[test]
fn the_api_speaks_tls_and_renewed_certificates_count_without_a_restart() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let dir = consortium.dir().join("tls");
    std::fs::create_dir(&dir)?;
    let (first, second, clients) =
        (Authority::new("first")?, Authority::new("second")?, Authority::new("clients")?);
    let (ca, other_ca, client_ca) = (dir.join("ca.pem"), dir.join("other.pem"), dir.join("clients.pem"));
    first.write(&ca)?;
    second.write(&other_ca)?;
    clients.write(&client_ca)?;
    let (certificate, key) = first.issue(&dir, "node", "localhost")?;
    let (client, client_key) = clients.issue(&dir, "client", "pipeline")?;
    let (stranger, stranger_key) = second.issue(&dir, "stranger", "stranger")?;
    let node = &mut consortium.nodes[0];
    let plain = std::fs::read_to_string(node.config())?;
    let tls = format!("\n[http.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    std::fs::write(node.config(), format!("{plain}{tls}"))?;
    node.start()?;
    let (ca, other_ca) = (["--ca", path(&ca)?], ["--ca", path(&other_ca)?]);
    wait_until("an answer over TLS", || Ok(ask(node, &ca)?.code == Some(0)))?;
    for (options, what) in [(&[][..], "the built-in roots"), (&other_ca, "another authority")] {
        let refused = ask(node, options)?;
        ensure!(
            refused.code != Some(0) && refused.stderr.to_lowercase().contains("certificate"),
            "{what}: {refused:?}"
        );
    }
    let in_clear = node.hashpact(&["members"])?;
    ensure!(in_clear.code != Some(0), "plain HTTP was answered: {in_clear:?}");

    // Renewed by the other authority: the two files are written one after the other, and one of them alone fits to nothing.
    let renewed = second.issue(&dir, "renewed", "localhost")?;
    std::fs::copy(&renewed.0, &certificate)?;
    wait_until("a word about files that do not fit", || {
        Ok(std::fs::read_to_string(node.dir.join("node.log"))?
            .contains("is not the key of the first certificate"))
    })?;
    ensure!(ask(node, &ca)?.code == Some(0), "those before go on");
    std::fs::copy(&renewed.1, &key)?;
    wait_until("the renewed certificate", || Ok(ask(node, &other_ca)?.code == Some(0)))?;
    ensure!(ask(node, &ca)?.code != Some(0));
    node.stop()?;

    // Client certificates: asked for, and optional.
    for (wish, without) in [("required", false), ("optional", true)] {
        let lines = format!("client_ca = {client_ca:?}\nclient_certificates = \"{wish}\"\n");
        std::fs::write(node.config(), format!("{plain}{tls}{lines}"))?;
        node.start()?;
        let shown = |certificate: &Path, key: &Path| -> Result<Outcome> {
            ask(
                node,
                &[&other_ca[..], &["--client-cert", path(certificate)?, "--client-key", path(key)?]].concat(),
            )
        };
        wait_until("an answer with a client certificate", || {
            Ok(shown(&client, &client_key)?.code == Some(0))
        })?;
        ensure!((ask(node, &other_ca)?.code == Some(0)) == without, "{wish}");
        ensure!(shown(&stranger, &stranger_key)?.code != Some(0), "{wish}: a certificate of a stranger");
        node.stop()?;
    }
    Ok(())
}

#[test]
fn each_broken_file_is_named() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let dir = consortium.dir().join("tls");
    std::fs::create_dir(&dir)?;
    let authority = Authority::new("an authority")?;
    let (certificate, key) = authority.issue(&dir, "node", "localhost")?;
    let (other, _) = authority.issue(&dir, "other", "localhost")?;
    let (empty, open, garbage) = (dir.join("empty"), dir.join("open.key"), dir.join("garbage"));
    std::fs::write(&empty, "")?;
    std::fs::copy(&key, &open)?;
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644))?;
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n")?;
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o600))?;
    let node = &mut consortium.nodes[0];
    let plain = std::fs::read_to_string(node.config())?;
    let missing = dir.join("missing");
    let cases: [(&Path, &Path, Option<&Path>, &str); 9] = [
        (&missing, &key, None, "http.tls.certificate = "),
        (&certificate, &missing, None, "http.tls.key = "),
        (&empty, &key, None, "holds no certificate (-----BEGIN CERTIFICATE-----)"),
        (&garbage, &key, None, "http.tls.certificate = "),
        (&certificate, &empty, None, "holds no private key (-----BEGIN PRIVATE KEY-----)"),
        (&certificate, &open, None, "has mode 644; it must be readable by its owner only (chmod 600)"),
        (&other, &key, None, "is not the key of the first certificate in http.tls.certificate"),
        (&certificate, &key, Some(&missing), "http.tls.client_ca = "),
        (&certificate, &key, Some(&empty), "http.tls.client_ca = "),
    ];
    for (certificate, key, client_ca, says) in cases {
        let mut tls = format!("\n[http.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        if let Some(client_ca) = client_ca {
            tls.push_str(&format!("client_ca = {client_ca:?}\n"));
        }
        std::fs::write(node.config(), format!("{plain}{tls}"))?;
        let refused = node.try_command(&["run"])?;
        ensure!(refused.code == Some(1) && refused.stderr.contains(says), "{says}: {refused:?}");
    }
    // The client names its files as well.
    let shown = |options: &[&str]| ask(&consortium.nodes[0], options);
    let (empty, certificate, open) = (path(&empty)?, path(&certificate)?, path(&open)?);
    for (options, says) in [
        (&["--ca", "/no/such/file"][..], "CA file \"/no/such/file\": No such file"),
        (&["--ca", empty], "holds no certificate"),
        (&["--client-cert", certificate], "--client-key"),
        (&["--client-cert", certificate, "--client-key", open], "can be read by others (mode 0644)"),
    ] {
        let refused = shown(options).context("the client")?;
        ensure!(refused.code != Some(0) && refused.stderr.contains(says), "{options:?}: {refused:?}");
    }
    Ok(())
}
